"""Mock surveys: catalogues of any size of galaxies that do not exist, drawn from a density of real ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from astropy.table import Table

from . import hats
from .builder import DTYPES, build, commit, partition
from .catalogue import Catalogue
from .errors import BadInput, one_of
from .hats import Pixel
from .latents import Latents
from .provenance import versions

SHIPPED = Path(__file__).parent / "assets" / "sdss-latents.parquet"
LOGARITHMIC = ("flux", "half_light_radius")
MOST = 200_000  # rows of a partition


def mock(
    rows: int,
    path: str | Path,
    *,
    latents: Latents | None = None,
    dec: tuple[float, float] = (-90.0, 90.0),
    components: int = 8,
    dtype: str = "float16",
    seed: int = 0,
    workers: int | None = None,
    progress: bool = False,
) -> Catalogue:
    """A catalogue of `rows` galaxies that do not exist, evenly spread over the sky.

    Their latents and columns are drawn together from a Gaussian mixture with full covariances, fitted to
    real ones. Each partition is drawn on its own, from `seed` and its place: it streams, may be stopped
    and resumed, and has the same bytes however many processes work.

    Parameters
    ----------
    rows : int
    path : path
        A folder for the catalogue, such as lsst.hats.
    latents : Latents, optional
        What to imitate, with its columns of numbers; by default those of 7,704 SDSS galaxies, 50 numbers
        each, which `ae50-sdss` decodes.
    dec : pair of float
        Declinations in degrees between which the survey lies, to within a HEALPix pixel (7 degrees, or 15
        below a million rows). LSST's main survey covers about -72 to 12.
    components : int
        Gaussians of the mixture; each galaxy's is in the column "component".
    dtype : "float16", "int8" or "float32"
    seed : int
    workers : int, optional
        Processes; by default one a core.

    Examples
    --------
    >>> import tempfile
    >>> real = Latents(np.arange(99), np.random.default_rng(0).normal(size=(99, 3)))
    >>> survey = mock(1000, tempfile.mkdtemp() + "/mock.hats", latents=real, components=2, workers=0)
    >>> len(survey), survey.columns
    (1000, ('ra', 'dec', 'component'))
    """
    one_of("dtype", dtype, DTYPES)
    rows = _whole(rows)
    latents = shipped() if latents is None else latents
    low, high = (float(value) for value in dec)
    if not -90 <= low < high <= 90:
        raise ValueError(f"dec={dec!r}, wanted two declinations, -90 <= low < high <= 90 degrees")
    pixels = _footprint(rows, low, high)
    shares = np.diff(np.arange(len(pixels) + 1) * rows // len(pixels))
    firsts = np.cumsum(shares) - shares
    drawn = [_Draw(p, int(n), int(f)) for p, n, f in zip(pixels, shares, firsts, strict=True) if n]
    known = ("model", "config", "weights", "credit")
    meta = {
        **{name: latents.meta[name] for name in known if name in latents.meta},
        "mock": {"latents": latents.hash(), "components": components, "seed": seed, "dec": [low, high]},
        "rows": rows, "dtype": dtype, "versions": versions(),
    }  # fmt: skip
    work = Sampler(Path(path), Mixture.of(latents, components, seed=seed), seed, dtype)
    build(path, meta, drawn, work, workers=workers, progress=progress)
    return Catalogue(path)


@cache
def shipped() -> Latents:
    """Latents and measured shapes of 7,704 SDSS galaxies (by `ae50-sdss`), shipped with galnb."""
    return Latents.read(SHIPPED)


@dataclass(frozen=True, eq=False)
class _Draw:
    pixel: Pixel
    n: int
    first: int

    def __len__(self) -> int:
        return self.n


@dataclass(frozen=True, eq=False)
class Mixture:
    """A Gaussian mixture of latents and columns, as arrays that are quick to draw from.

    Attributes
    ----------
    weights : ndarray (k,)
    means : ndarray (k, d + c), factors : ndarray (k, d + c, d + c)
        Means and lower Cholesky factors of the covariances; float32.
    latent_dim : int
    columns : tuple of (name, unit)
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    latent_dim: int
    columns: tuple

    @classmethod
    def of(cls, latents: Latents, components: int = 8, *, seed: int = 0) -> Mixture:
        """Fitted to the galaxies whose latents and columns are all finite; columns that are not numbers, and
        the place on the sky, are left out."""
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits

        table, names = latents.table, []
        for name in latents.columns:
            if table[name].dtype.kind == "f" and table[name].ndim == 1 and name.lower() not in ("ra", "dec"):
                names.append(name)
        known = [_straight(name, np.asarray(latents[name], dtype=np.float64)) for name in names]
        both = np.column_stack([latents.z.astype(np.float64), *known])
        both = both[np.isfinite(both).all(axis=1)]
        if len(both) < 2 * components:
            reason = f"{len(both)} of its rows are finite, wanted at least {2 * components} for {components}"
            raise BadInput("latents", f"{reason} components; take fewer components")
        with threadpool_limits(1):  # more threads add in another order, and give other bits
            fitted = GaussianMixture(components, random_state=seed, reg_covar=1e-6, max_iter=200).fit(both)
        factors = np.linalg.cholesky(fitted.covariances_)
        units = tuple((name, str(table[name].unit or "")) for name in names)
        small = (fitted.means_.astype(np.float32), factors.astype(np.float32))
        return cls(fitted.weights_, *small, latents.latent_dim, units)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, Table]:
        """Latents (n, d) float32 and columns of `n` galaxies."""
        component = rng.choice(len(self.weights), n, p=self.weights).astype(np.int8)
        both = rng.standard_normal((n, self.means.shape[1]), dtype=np.float32)
        for k in range(len(self.weights)):
            here = component == k
            both[here] = both[here] @ self.factors[k].T + self.means[k]
        columns = Table({"component": component})
        for (name, unit), values in zip(self.columns, both[:, self.latent_dim :].T, strict=True):
            columns[name] = _bent(name, values)
            columns[name].unit = unit or None
        return both[:, : self.latent_dim], columns


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws and commits one partition: a function of the seed and the partition alone."""

    path: Path
    mixture: Mixture
    seed: int
    dtype: str

    def __call__(self, task: _Draw, tell) -> dict:
        rng = np.random.default_rng([self.seed, *task.pixel])
        low, high = task.pixel.span
        healpix = np.sort(rng.integers(low, high, task.n))
        z, columns = self.mixture.draw(task.n, rng)
        ids = np.arange(task.first, task.first + task.n)
        table = partition(healpix, ids, *hats.position(healpix), z, columns, dtype=self.dtype)
        return commit(self.path, task.pixel, table)


def _footprint(rows: int, low: float, high: float) -> list[Pixel]:
    """HEALPix pixels between two declinations, as large as they may be."""
    for order in range(hats.FINEST + 1):
        first = np.arange(12 << 2 * order, dtype=np.int64)
        middle = (first << 2 * (hats.ORDER - order)) + (3 << 2 * (hats.ORDER - order)) // 4
        dec = hats.position(middle)[1]
        inside = first[(dec >= low) & (dec <= high)]
        fine = order >= (2 if rows <= 1e6 else 3) or high - low == 180
        if len(inside) and rows <= MOST * len(inside) and fine:
            return [Pixel(order, int(number)) for number in inside]
    raise BadInput("mock", f"{rows:,} rows between {low} and {high} degrees are more than HATS can hold")


def _straight(name: str, values: np.ndarray) -> np.ndarray:
    """A column on a scale without ends, where a Gaussian can follow it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if name in LOGARITHMIC:
            return np.log(values)
        return np.log(values / (1 - values)) if name == "ellipticity" else values


def _bent(name: str, values: np.ndarray) -> np.ndarray:
    """What `_straight` made straight, as it was."""
    if name in LOGARITHMIC:
        return np.exp(values)
    return 1 / (1 + np.exp(-values)) if name == "ellipticity" else values.copy()


def _whole(rows) -> int:
    if isinstance(rows, bool) or float(rows) != int(float(rows)) or not 1 <= float(rows) <= 1e11:
        raise ValueError(f"rows={rows!r}, wanted a whole number from 1 to 1e11")
    return int(float(rows))
