"""`Weighed`: how likely galaxies are, in words, and what a density draws in one place of a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import density as densities
from .densities.base import Density
from .errors import BadInput
from .lasso import Polygon
from .latents import Latents

BATCH = 2000  # draws at a time
SURE = 3.0  # of n draws without a hit, a share of 3 / n is ruled out at 95 %


@dataclass(frozen=True, eq=False)
class Weighed:
    """What a density says of galaxies: made by `weighed`.

    Attributes
    ----------
    density : Density
    log_p : ndarray (n,)
        In nats; NaN where latents are.
    drawn : ndarray (draws,)
        Log density of the density's own draws, ascending: what galaxies are compared with.
    """

    density: Density
    log_p: np.ndarray
    drawn: np.ndarray

    @property
    def rarity(self) -> np.ndarray:
        """The share (n,) of what the density draws that is at most as likely; see `density.rarity`."""
        return densities.shares(self.drawn, self.log_p)

    @property
    def sigmas(self) -> np.ndarray:
        """Sigmas (n,) that log p is above (+) or below (-) the median of draws; see `density.typicality`."""
        return densities.sigmas(self.drawn, self.log_p)

    def rarity_words(self, row: int) -> str:
        """How rare one galaxy is, such as "1 in 340 of what the density draws is as unlikely"."""
        return rarity_words(self.rarity[row], len(self.drawn))

    def typicality_words(self, row: int) -> str:
        """How typical one galaxy is, such as "1.8σ less likely than a typical draw"."""
        return typicality_words(self.sigmas[row])


def weighed(density: Density, latents, *, draws: int = densities.DRAWS, seed: int = 0) -> Weighed:
    """How likely all galaxies of Latents, of a Catalogue or of an array (n, d) are.

    >>> z = np.random.default_rng(0).normal(size=(500, 2))
    >>> found = weighed(densities.fit(z, "gmm"), [[0.0, 0.0], [9.0, 9.0]])
    >>> found.rarity_words(1), found.typicality_words(0)
    ('fewer than 1 in 3,300 of what the density draws are as unlikely', '0.8σ likelier than a typical draw')
    """
    pieces = latents.chunks("z") if hasattr(latents, "chunks") else [latents]
    log_p = np.concatenate([density.log_prob(z) for z in pieces])
    return Weighed(density, log_p, densities.weighed_draws(density, draws=draws, seed=seed))


def rarity_words(share: float, draws: int = densities.DRAWS) -> str:
    """A share of draws in words; where none of the draws was so unlikely, what this rules out at 95 %.

    >>> rarity_words(1 / 340), rarity_words(0.4)[:4], rarity_words(0.0, 10_000)[:21]
    ('1 in 340 of what the density draws is as unlikely', '40 %', 'fewer than 1 in 3,300')
    """
    of = "of what the density draws"
    if not np.isfinite(share):
        return "not known: its latents are not finite"
    if share <= 0:
        return f"fewer than 1 in {_rounded(draws / SURE):,} {of} are as unlikely"
    if share > 0.1:
        return f"{100 * share:.0f} % {of} is as unlikely"
    return f"1 in {_rounded(1 / share):,} {of} is as unlikely"


def typicality_words(sigmas: float) -> str:
    """A distance of log p from that of a draw, in words.

    >>> typicality_words(-1.84), typicality_words(0.01)
    ('1.8σ less likely than a typical draw', 'as likely as a typical draw')
    """
    if not np.isfinite(sigmas):
        return "not known: its latents are not finite"
    size = f"{abs(sigmas):.1f}"
    if size == "0.0":
        return "as likely as a typical draw"
    return f"{size}σ {'likelier' if sigmas > 0 else 'less likely'} than a typical draw"


def _rounded(value: float) -> int:
    """Two digits that count."""
    digits = max(int(np.floor(np.log10(value))) - 1, 0)
    return int(np.floor(value / 10**digits) * 10**digits)


# places of a map


def within(polygon) -> Callable[[np.ndarray], np.ndarray]:
    """Which positions (k, 2) are inside a polygon (m, 2), as `Session.polygon` has it."""
    inside = Polygon(polygon).inside
    return lambda xy: inside(*np.ascontiguousarray(np.asarray(xy, dtype=np.float64).T))


def around(places, radius) -> Callable[[np.ndarray], np.ndarray]:
    """Which positions (k, 2) are within radius, or (rx, ry), of one of some places (m, 2)."""
    from scipy.spatial import cKDTree

    scale = np.broadcast_to(np.asarray(radius, dtype=np.float64), 2)
    tree = cKDTree(np.atleast_2d(places) / scale)
    return lambda xy: tree.query(np.asarray(xy) / scale, distance_upper_bound=1.0)[0] <= 1.0


@dataclass(frozen=True, eq=False)
class Draws:
    """What a density drew in a place: latents z (n, d), of `tried` draws of which `fell` lay there."""

    density: Density
    z: np.ndarray
    tried: int
    fell: int

    @property
    def words(self) -> str:
        """How likely the place is, such as "1 in 12 of what the density draws falls here"."""
        if not self.fell:
            rare = f"less likely than 1 in {_rounded(self.tried / SURE):,}"
            return f"None of {self.tried:,} draws fell here: to this density the place is {rare} (95 % sure)"
        share = self.fell / self.tried
        words = f"{100 * share:.0f} %" if share > 0.1 else f"1 in {_rounded(1 / share):,}"
        return f"{words} of what the density draws falls here"

    def latents(self) -> Latents:
        """The draws as Latents, with their log_p as a column, named "drawn 1" and so on."""
        names = np.array([f"drawn {k + 1}" for k in range(len(self.z))], dtype="U16")
        table = {"log_p": self.density.log_prob(self.z)}
        return Latents(names, self.z, table, {"made_by": "galnb.weighing.draw_here", "exist": False})


def draw_here(density: Density, plane, where, n: int = 6, *, seed: int = 0, batch: int = BATCH) -> Draws:
    """Latents (at most n) that a density draws and a plane shows in some place; see `density.draw_where`.

    Parameters
    ----------
    plane : Plane
        A PCA plane: others place only what they were made from.
    where : callable
        Says which positions (k, 2) of the plane are meant: `within` a polygon, `around` a place.

    Raises
    ------
    BadInput
        For a plane that cannot place what is drawn.

    Examples
    --------
    >>> from galnb.reduce import Plane
    >>> z = np.random.default_rng(0).normal(size=(500, 4))
    >>> found = draw_here(densities.fit(z, "gmm"), Plane(z), around([0, 0], 0.5), 3)
    >>> found.z.shape, found.words[-36:]
    ((3, 4), 'of what the density draws falls here')
    """
    if plane.kind != "pca":
        todo = "go to the PCA map, or decode an empty spot"
        raise BadInput("the map", f"a {plane.kind!r} plane cannot place what a density draws; {todo}")
    tried, fell = 0, 0

    def here(points: np.ndarray) -> np.ndarray:
        nonlocal tried, fell
        hit = where(plane.place(points))
        tried, fell = tried + len(hit), fell + int(hit.sum())
        return hit

    z = densities.draw_where(density, here, n, seed=seed, batch=batch)
    return Draws(density, z, tried, fell)
