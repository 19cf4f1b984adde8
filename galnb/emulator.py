"""Emulator of periodic fields: learned from few of them, coarse to fine, by conditional densities."""

from __future__ import annotations

import numpy as np

from . import density
from . import fields as slices
from .errors import BadInput
from .figures import OKABE_ITO, blank

TOP = 4  # pixels a side of the coarsest field
BLOCK = 20_000  # sites at a time
# Of four neighboring sites each is drawn after those before it, and knows which of its neighbors are drawn.
SITES = ((0, 0), (1, 1), (0, 1), (1, 0))
AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
CORNERS, SIDES = ((-1, -1), (-1, 1), (1, -1), (1, 1)), ((-1, 0), (1, 0), (0, -1), (0, 1))
DRAWN = ((), CORNERS, SIDES, AROUND)


class Emulator:
    """Density contrasts like those that it was shown, drawn in milliseconds each.

    log(1 + delta) is halved in resolution until 4 x 4 pixels are left. Their density is learned, and that of
    Haar's three details of each coarse pixel given the coarse pixels around it and the details that are
    drawn already: p(field) = p(4 x 4) x the product of p(details | coarse). One density of a resolution
    serves all its sites, so that few fields teach much; they are also shown shifted and mirrored.

    Parameters
    ----------
    kind : str
        Of the conditional densities: "gmm" or a flow.
    views : int
        Shifted, mirrored and transposed copies of each field that are looked at.
    rows : int
        Sites at most that a density is learned from.
    **options
        Of `density.fit`. Without any a "gmm" has one component: details are then linear in what is known,
        with Gaussian scatter, which makes the emulator right where log(1 + delta) is Gaussian.

    Notes
    -----
    After the wavelet-conditional renormalisation group (Marchand, Ozawa, Biroli & Mallat 2022).

    Examples
    --------
    >>> from galnb import fields
    >>> emulator = Emulator(views=10).fit(fields.simulate(60, 16, seed=1))
    >>> emulator.sample(3, seed=2).shape
    (3, 16, 16)
    """

    def __init__(self, kind: str = "gmm", *, views: int = 40, rows: int = 20_000, **options):
        self.kind, self.views, self.rows = kind, views, rows
        self.options = options or ({"components": 1} if kind == "gmm" else {})
        self.details: dict[tuple[int, int], object] = {}  # by pixels a side and place among four sites
        self.top = None

    def fit(self, fields: np.ndarray, *, seed: int = 0) -> Emulator:
        """Learn from density contrasts (n, size, size), size 8, 16, 32, ...; returns itself.

        Raises
        ------
        BadInput
            Where a field is not square, of such a size, finite and above -1.
        """
        fields = np.asarray(fields, dtype=np.float32)
        self.size = size = fields.shape[-1]
        if fields.ndim != 3 or fields.shape[1] != size or size < 2 * TOP or size & (size - 1):
            raise BadInput(
                "fields", f"they have shape {fields.shape}, wanted (n, size, size) of size 8, 16, 32, ..."
            )
        if not (np.isfinite(fields) & (fields > -1)).all():
            raise BadInput("fields", "some density is NaN, infinite or not positive, wanted delta above -1")
        rng = np.random.default_rng(seed)
        coarse = views(np.log1p(fields), self.views, rng)
        while size > TOP:
            coarse, fine = split(coarse)
            size //= 2
            for place, (y, x) in enumerate(SITES):
                known = _known(coarse, fine, place)
                known, z = known.reshape(-1, known.shape[-1]), fine[:, y::2, x::2].reshape(-1, 3)
                rows = rng.permutation(len(z))[: self.rows]
                self.details[size, place] = density.fit(
                    z[rows], self.kind, given=known[rows], seed=seed, **self.options
                )
        z = coarse.reshape(len(coarse), -1)
        z = z + 0.01 * z.std() * rng.standard_normal(z.shape)  # a mean that never varies has no density
        self.top = density.fit(z.astype(np.float32), "gmm", components=1, seed=seed)
        return self

    def sample(self, n: int, *, seed: int = 0) -> np.ndarray:
        """Density contrasts (n, size, size) float32. One seed, one result."""
        if self.top is None:
            raise BadInput("the emulator", "it knows no fields yet; fit it to some first")
        seeds = np.random.default_rng(seed).integers(0, 2**31, 10_000).tolist()
        coarse = self.top.sample(n, seed=seeds.pop()).reshape(n, TOP, TOP)
        while coarse.shape[-1] < self.size:
            size = coarse.shape[-1]
            fine = np.zeros((n, size, size, 3), dtype=np.float32)
            for place, (y, x) in enumerate(SITES):
                known = _known(coarse, fine, place)
                sites = known.reshape(-1, known.shape[-1])
                parts = np.split(sites, range(BLOCK, len(sites), BLOCK))
                drawn = [self.details[size, place].sample(1, given=c, seed=seeds.pop())[:, 0] for c in parts]
                fine[:, y::2, x::2] = np.concatenate(drawn).reshape(*known.shape[:3], 3)
            coarse = join(coarse, fine)
        return np.expm1(coarse)


def views(fields: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Each periodic field (m, size, size) n times (m n, size, size), shifted, mirrored, transposed at random.

    >>> views(np.eye(4)[None], 3, np.random.default_rng(0)).sum((1, 2))
    array([4., 4., 4.])
    """
    size = fields.shape[-1]
    fields = np.repeat(fields, n, axis=0)
    shift, sign = rng.integers(0, size, (2, len(fields), 1)), rng.choice((-1, 1), (2, len(fields), 1))
    y, x = (sign * np.arange(size) + shift) % size
    shown = fields[np.arange(len(fields))[:, None, None], y[:, :, None], x[:, None, :]]
    turned = rng.random(len(fields)) < 0.5
    shown[turned] = shown[turned].swapaxes(1, 2)
    return shown


def split(fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, size / 2, size / 2) of 2 x 2 pixels, and Haar's details (n, size / 2, size / 2, 3)."""
    a, b, c, d = (fields[:, y::2, x::2] for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)))
    return (a + b + c + d) / 4, np.stack([a - b + c - d, a + b - c - d, a - b - c + d], axis=-1) / 4


def join(coarse: np.ndarray, details: np.ndarray) -> np.ndarray:
    """What was split (n, size, size).

    >>> fields = np.random.default_rng(0).normal(size=(2, 8, 8))
    >>> bool(np.allclose(join(*split(fields)), fields))
    True
    """
    n, size, _ = coarse.shape
    across, down, both = np.moveaxis(details, -1, 0)
    fields = np.empty((n, 2 * size, 2 * size), dtype=coarse.dtype)
    fields[:, ::2, ::2], fields[:, ::2, 1::2] = coarse + across + down + both, coarse - across + down - both
    fields[:, 1::2, ::2], fields[:, 1::2, 1::2] = coarse + across - down - both, coarse - across - down + both
    return fields


def _known(coarse: np.ndarray, details: np.ndarray, place: int) -> np.ndarray:
    """What is known at a quarter of the sites (n, size / 2, size / 2, number) when their details are drawn.

    The coarse pixel and how 24 (of 4 x 4 pixels all 15) around it differ from it, and neighbors' details.
    """
    y, x = SITES[place]
    size = coarse.shape[-1]
    around = {id(a): np.pad(a, [(0, 0), (2, 2), (2, 2), (0, 0)][: a.ndim], "wrap") for a in (coarse, details)}

    def seen(values: np.ndarray, by: tuple[int, int]) -> np.ndarray:
        up, left = by[0] + y + 2, by[1] + x + 2
        return around[id(values)][:, up : up + size : 2, left : left + size : 2]

    reach = range(-2, 3) if size > TOP else range(-1, 3)
    middle = seen(coarse, (0, 0))
    others = [seen(coarse, (i, j)) - middle for i in reach for j in reach if (i, j) != (0, 0)]
    pixels = np.stack([middle, *others], axis=-1)
    return np.concatenate([pixels, *(seen(details, by) for by in DRAWN[place])], axis=-1)


def emulation_figure(
    many: np.ndarray,
    shown: np.ndarray,
    drawn: np.ndarray,
    *,
    box: float = slices.BOX,
    counts=(50, 100, 200, 500, 1000, 2000, 5000),
    width: float = 11.6,
):
    """Fields simulated and emulated, their spectra, correlations, and how many simulations that is worth.

    Parameters
    ----------
    many : ndarray (n, size, size)
        Simulated density contrasts. One half serves as truth, subsets of the other make the curve.
    shown : ndarray (m, size, size)
        Those that the emulator learned from.
    drawn : ndarray (l, size, size)
        The emulator's.
    box : float
        Side in Mpc/h.
    counts : sequence of int
        Of simulations, along the curve, as far as a quarter of `many`.
    width : float
        Inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    k, power, _ = slices.power_spectrum(many, box)
    own, found = (slices.power_spectrum(x, box)[1] for x in (shown, drawn))
    half, pool = power[::2], power[1::2]
    true = slices.covariance(half)
    figure = blank(width, width * 0.82)
    top, middle, low = figure.subfigures(3, 1, height_ratios=(1.35, 2.6, 2.5))
    _walls(top, (("simulated", many), ("emulated", drawn)), box)
    left, right = middle.subplots(1, 2)
    _spectra(left, k, power, found)
    _worth(right, half, pool, own, found, counts)
    axes = low.subplots(1, 3)
    names = (f"{len(half):,} simulations", f"{len(shown):,} simulations", f"emulator, shown {len(shown):,}")
    for ax, name, matrix in zip(axes, names, (true, *map(slices.covariance, (own, found))), strict=True):
        edges = (k[0] - (k[1] - k[0]) / 2, k[-1] + (k[-1] - k[-2]) / 2)
        options = dict(origin="lower", extent=edges * 2, vmin=-0.6, vmax=0.6, cmap="RdBu_r")
        picture = ax.imshow(slices.correlation(matrix), **options)
        ax.set_title(name, fontsize=13)
        ax.set_xlabel("k (h/Mpc)", fontsize=13)
        ax.set(xticks=ax.get_yticks()[1:-1:2], yticks=ax.get_yticks()[1:-1:2])
    axes[0].set_ylabel("k (h/Mpc)", fontsize=13)
    bar = low.colorbar(picture, ax=axes, shrink=0.85, pad=0.01, extend="max")
    bar.set_label("correlation of power", fontsize=13)
    for ax in figure.axes:
        ax.tick_params(labelsize=12)
    return figure


def _walls(figure, walls, box: float, *, n: int = 4) -> None:
    """Rows of fields side by side, in log(1 + delta) on one scale."""
    high = np.quantile(np.log1p(walls[0][1][:100]), 0.998)
    for part, (name, fields) in zip(figure.subfigures(1, 2, wspace=0.03), walls, strict=True):
        title = f"{name}, {box:g} Mpc/h, log(1 + δ) from −{high:.1f} to {high:.1f}"
        part.suptitle(title, fontsize=13)
        for ax, field in zip(part.subplots(1, n), fields, strict=False):
            ax.imshow(np.log1p(field), vmin=-high, vmax=high, cmap="inferno", interpolation="nearest")
            ax.set_axis_off()


def _spectra(ax, k: np.ndarray, power: np.ndarray, found: np.ndarray) -> None:
    """Medians and the middle 68 % of spectra."""
    for values, color, name in ((power, OKABE_ITO[7], "simulated"), (found, OKABE_ITO[3], "emulated")):
        low, middle, high = np.quantile(values, (0.16, 0.5, 0.84), axis=0)
        simulated = name == "simulated"
        if simulated:
            ax.fill_between(k, low, high, color=color, alpha=0.35, linewidth=0, label="simulated, 68 %")
        else:
            ax.plot(k, low, "--", color=color, linewidth=1.5, label="emulated, 68 %")
            ax.plot(k, high, "--", color=color, linewidth=1.5)
        ax.plot(k, middle, color=color, linewidth=2.5 if simulated else 1.5, label=f"{name}, median")
    _logarithmic(ax, x=(0.03, 0.05, 0.1, 0.2, 0.3), y=(10, 20, 50, 100, 200, 500))
    ax.set_xlabel("k (h/Mpc)", fontsize=13)
    ax.set_ylabel("power (Mpc/h)$^2$", fontsize=13)
    ax.legend(fontsize=12, frameon=False)


def _worth(ax, half, pool, own, found, counts) -> None:
    """Errors of covariances of so many simulations, and where the emulator's lies on that curve."""
    true, counts = slices.covariance(half), np.array([n for n in counts if 2 * n <= len(pool)])
    errors, scatter = slices.error_curve(pool, true, counts)
    error = slices.difference(slices.covariance(found), true).error
    worth = slices.simulations(error, counts, errors)
    ax.fill_between(counts, errors - scatter, errors + scatter, color=OKABE_ITO[0], alpha=0.25, linewidth=0)
    ax.plot(counts, errors, color=OKABE_ITO[0], linewidth=2, label="simulations alone")
    alone = slices.difference(slices.covariance(own), true).error
    ax.plot(len(own), alone, "o", color=OKABE_ITO[0], markersize=9, label=f"the {len(own):,} shown")
    label = f"emulator: as about {float(f'{worth:.2g}'):,.0f}"
    ax.axhline(error, color=OKABE_ITO[3], linewidth=2, label=label)
    ax.plot(worth, error, "o", color=OKABE_ITO[3], markersize=9)
    _logarithmic(
        ax, x=(50, 100, 200, 500, 1000, 2000, 5000, 10_000), y=(0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3)
    )
    ax.set_xlabel("simulations", fontsize=13)
    ax.set_ylabel("error of the covariance", fontsize=13)
    ax.legend(fontsize=12, frameon=False)


def _logarithmic(ax, *, x, y) -> None:
    """Logarithmic axes with those of the ticks that are in view, in plain numbers."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    ax.set(xscale="log", yscale="log")
    for axis, ticks, (low, high) in ((ax.xaxis, x, ax.get_xlim()), (ax.yaxis, y, ax.get_ylim())):
        axis.set_minor_locator(NullLocator())
        axis.set_ticks([t for t in ticks if low <= t <= high], labels=None)
        axis.set_major_formatter(FuncFormatter(lambda t, _: f"{t:,g}"))
