"""Simulated mergers among isolated galaxies, stage by stage, with known truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import one_of
from ..images import Images
from .simulator import Galaxy, Simulator

STAGES = ("isolated", "pre", "merger", "post")
SHARES = {"isolated": 0.7, "pre": 0.1, "merger": 0.1, "post": 0.1}
CLUMPS = 60  # of a tail or a shell: closer than they are wide
NOTHING = np.zeros((0, 4))


@dataclass(frozen=True)
class Scene:
    """What is drawn: galaxies, the shares of all light in tails and in shells, and where these lie.

    Tails and shells are arrays (k, 4) of Gaussian clumps: x, y and sigma in arcsec, and share of their light.
    """

    galaxies: list[Galaxy]
    mass_ratio: float
    tails: np.ndarray
    tail_share: float
    shells: np.ndarray
    shell_share: float = 0.0


class Mergers(Simulator):
    """Galaxies of `Simulator`, some of which merge: as close pairs, then with tails, and at last with shells.

    A cartoon for training and testing, and no N-body simulation: two bulge and disc galaxies are put side by
    side, tails are chains of Gaussians along spirals, shells are thin arcs. Nothing here obeys dynamics.

    Parameters
    ----------
    n : int
        Galaxies; row r depends on (seed, r) alone.
    stage : str, optional
        One of "isolated", "pre", "merger" and "post", for every galaxy.
    shares : dict, optional
        Stage to its share of the galaxies, in any unit; seven in ten are isolated where not given.
    seed : int
    **options
        size, pixel_scale, bands, psf_fwhm_arcsec, noise and bulge_fraction of `Simulator`.

    Raises
    ------
    ValueError
        At a stage of no such name, shares that are negative or all zero, or both `stage` and `shares`.

    Notes
    -----
    Isolated galaxies are those of `Simulator`, pixel by pixel. A merger has the flux that its row has there,
    divided among both galaxies and their debris: flux does not give it away. Radius, ellipticity, angle and
    bulge_fraction (which merging raises) are those of the larger galaxy; flux_BAND is all light. More
    columns: stage; separation_arcsec of the nuclei; mass_ratio, the smaller galaxy's light over the larger's
    (that of before the merger in "post"); tail_share (tails, bridge and envelope) and shell_share of all
    light in the middle band. Each is 0 where there is none. Tails are bluer than the rest.

    Examples
    --------
    >>> source = Mergers(2, stage="post", size=32, bands=("r",))
    >>> source.read().table["stage"].tolist()
    ['post', 'post']
    """

    def __init__(
        self,
        n: int = 1000,
        *,
        stage: str | None = None,
        shares: dict[str, float] | None = None,
        seed: int = 0,
        **options,
    ):
        super().__init__(n, seed=seed, **options)
        if stage is not None and shares is not None:
            raise ValueError(f"stage={stage!r} and shares={shares}, wanted one of them")
        shares = {stage: 1.0} if stage is not None else SHARES if shares is None else shares
        for name in shares:
            one_of("stage", name, STAGES)
        weights = np.array([shares.get(name, 0.0) for name in STAGES], dtype=float)
        if not (weights.min() >= 0 and 0 < weights.sum() < np.inf):
            raise ValueError(f"shares={shares}, wanted numbers of at least 0, one of them positive")
        self._until = np.cumsum(weights / weights.sum())[:-1]

    def read_rows(self, rows: np.ndarray) -> Images:
        images = super().read_rows(rows)
        if len(images):
            images.table["separation_arcsec"].unit = "arcsec"
        return images

    def _draw(self, row: int) -> tuple[np.ndarray, dict]:
        rng = np.random.default_rng([self.seed, row, 1])  # not the galaxy's own, which stays the isolated one
        stage = STAGES[np.searchsorted(self._until, rng.uniform(), side="right")]
        if stage == "isolated":
            planes, truth = super()._draw(row)
            scene = Scene([Galaxy(0, 0, 1, 0, 0)], 0.0, NOTHING, 0.0, NOTHING)
            return planes, truth | {"stage": stage} | _columns(scene)
        first = self._galaxy(np.random.default_rng([self.seed, row]))
        companion, field = self._galaxy(rng), self.size * self.pixel_scale
        scene = {"pre": _pair, "merger": _merger, "post": _remnant}[stage](first, companion, field, rng)
        planes = [self._plane(scene, first.flux, i) for i in range(len(self.bands))]
        planes = [plane + self.noise * rng.normal(size=plane.shape) for plane in planes]
        truth = self._truth(replace(scene.galaxies[0], flux=first.flux))
        return np.array(planes), truth | {"stage": stage} | _columns(scene)

    def _plane(self, scene: Scene, flux: float, band: int) -> np.ndarray:
        """One band (y, x) without noise."""
        bluer = len(self.bands) // 2 - band
        tails = scene.tail_share ** np.exp(-0.1 * bluer) if scene.tail_share else 0.0
        stars = (1 - tails - scene.shell_share) * flux / sum(one.flux for one in scene.galaxies)
        lights = [stars * one.flux * self._light(one, band).shift(one.x, one.y) for one in scene.galaxies]
        plane = self._seen(sum(lights[1:], lights[0])).astype(float)
        plane += self._clumps(scene.tails, flux * tails)
        return plane + self._clumps(scene.shells, flux * scene.shell_share)

    def _clumps(self, clumps: np.ndarray, flux: float) -> np.ndarray:
        """Gaussian clumps (k, 4) as pixels (y, x), seen through a Gaussian of the PSF's FWHM."""
        at = (np.arange(self.size) - (self.size - 1) / 2) * self.pixel_scale
        x, y, sigma, share = clumps.T[:, :, None]
        sigma = np.hypot(np.maximum(sigma, 0.7 * self.pixel_scale), self.psf_fwhm_arcsec / 2.355)
        across, up = (np.exp(-0.5 * ((at - place) / sigma) ** 2) for place in (x, y))
        norm = flux * share * self.pixel_scale**2 / (2 * np.pi * sigma**2)
        return np.einsum("ky,kx->yx", norm * up, across)


def _columns(scene: Scene) -> dict[str, float]:
    """Truth of a scene, for the table."""
    first, last = scene.galaxies[0], scene.galaxies[-1]
    return {
        "separation_arcsec": float(np.hypot(last.x - first.x, last.y - first.y)),
        "mass_ratio": scene.mass_ratio,
        "tail_share": scene.tail_share,
        "shell_share": scene.shell_share,
    }


def _ratio(rng: np.random.Generator) -> float:
    """The smaller galaxy's light over the larger's: a quarter (the least of a major merger) to one."""
    return float(np.exp(rng.uniform(np.log(0.25), 0)))


def _two(first: Galaxy, other: Galaxy, apart: float, field: float, rng: np.random.Generator) -> list[Galaxy]:
    """The larger galaxy and its companion, `apart` in units of the sum of their radii."""
    ratio, toward = _ratio(rng), rng.uniform(0, 2 * np.pi)
    companion = replace(other, radius=first.radius * ratio**0.35, flux=first.flux * ratio)
    separation = min(apart * (first.radius + companion.radius), 0.45 * field)
    x, y = separation * np.cos(toward), separation * np.sin(toward)
    # A cutout is centred on the galaxy or, where they blend, somewhere on the way to the centre of light.
    middle = rng.uniform(0, 1) * ratio / (1 + ratio)
    return [
        replace(first, x=-middle * x, y=-middle * y),
        replace(companion, x=(1 - middle) * x, y=(1 - middle) * y),
    ]


def _pair(first: Galaxy, other: Galaxy, field: float, rng: np.random.Generator) -> Scene:
    """Before the merger: two galaxies beside one another, at most with a faint tail."""
    galaxies = _two(first, other, rng.uniform(1.7, 2.6), field, rng)
    tails = _tail(galaxies, 0, field, rng)
    return Scene(galaxies, galaxies[1].flux / first.flux, tails, rng.uniform(0.0, 0.05), NOTHING)


def _merger(first: Galaxy, other: Galaxy, field: float, rng: np.random.Generator) -> Scene:
    """Two nuclei within one another's light, tails, a bridge and a lopsided envelope."""
    one, other = (
        replace(each, bulge=each.bulge**0.6) for each in _two(first, other, rng.uniform(0.7, 1.4), field, rng)
    )
    way, part = rng.choice([-1, 1]), rng.uniform(0.0, 0.5)
    tails = [
        _tail([one, other], 0, field, rng, way=way) * [1, 1, 1, 0.85 * (1 - part)],
        _tail([one, other], 1, field, rng, way=way) * [1, 1, 1, 0.85 * part],
    ]
    between = np.linspace(0, 1, 12)
    wide = np.full(12, 0.4 * other.radius)
    x, y = one.x + between * (other.x - one.x), one.y + between * (other.y - one.y)
    bridge = np.stack([x, y, wide, np.full(12, 0.05 / 12)], axis=1)
    spread = rng.normal(0, 1.5 * first.radius, (3, 2))
    envelope = np.column_stack([spread, np.full(3, first.radius), np.full(3, 0.1 / 3)])
    clumps = np.concatenate([*tails, bridge, envelope])
    return Scene([one, other], other.flux / one.flux, clumps, rng.uniform(0.12, 0.32), NOTHING)


def _remnant(first: Galaxy, other: Galaxy, field: float, rng: np.random.Generator) -> Scene:
    """After the merger: one nucleus with more of a bulge, one to four shells, and a faint stream."""
    remnant = replace(first, bulge=first.bulge**0.5, q=max(first.q, 0.5))
    shells = _shells(remnant, field, rng)
    stream = _tail([remnant, remnant], 0, field, rng)
    shell_share = rng.uniform(0.015, 0.03) * len(shells) / CLUMPS
    return Scene([remnant], _ratio(rng), stream, rng.uniform(0.01, 0.06), shells, shell_share)


def _tail(
    galaxies: list[Galaxy], which: int, field: float, rng: np.random.Generator, way: int = 1
) -> np.ndarray:
    """Clumps (k, 4) along a spiral that leaves a galaxy on the side away from the other."""
    one, other = galaxies[which], galaxies[1 - which]
    start = np.arctan2(one.y - other.y, one.x - other.x) if one != other else rng.uniform(0, 2 * np.pi)
    along = np.linspace(0, 1, CLUMPS)
    end = min(one.radius * rng.uniform(4, 7.5), 0.42 * field)
    r = 1.2 * one.radius + (end - 1.2 * one.radius) * along
    angle = start + rng.uniform(-0.5, 0.5) + way * rng.uniform(0.6, 2.0) * along
    tilt, squeeze = rng.uniform(0, np.pi), rng.uniform(0.5, 1)
    u, v = r * np.cos(angle - tilt), squeeze * r * np.sin(angle - tilt)
    x, y = u * np.cos(tilt) - v * np.sin(tilt), u * np.sin(tilt) + v * np.cos(tilt)
    sigma = one.radius * (0.25 + 0.2 * along)
    lumps = np.exp(0.5 * np.interp(along, np.linspace(0, 1, 8), rng.normal(size=8)))
    light = np.minimum(along / 0.15, 1) * (1 - 0.7 * along) * lumps
    return np.stack([one.x + x, one.y + y, sigma, light / light.sum()], axis=1)


def _shells(galaxy: Galaxy, field: float, rng: np.random.Generator) -> np.ndarray:
    """Clumps (k, 4) along thin arcs, on one side of the major axis and the other by turns."""
    count, axis = rng.integers(1, 5), np.radians(galaxy.angle) + rng.normal(0, 0.2)
    far = min(galaxy.radius * rng.uniform(2.8, 5), 0.42 * field)
    clumps = []
    for k, radius in enumerate(np.geomspace(far, 0.5 * far, count)):
        opening, side = np.radians(rng.uniform(25, 60)), np.pi * (k % 2)
        away = np.linspace(-1, 1, CLUMPS)
        angle = axis + side + opening * away
        light = 1 - away**2
        thin = np.full(CLUMPS, 0.09 * galaxy.radius)
        clumps.append(np.stack([radius * np.cos(angle), radius * np.sin(angle), thin, light], axis=1))
    clumps = np.concatenate(clumps)
    clumps[:, 3] /= clumps[:, 3].sum()
    return clumps
