"""What else two sets of galaxies differ in: measured, and held fixed by matching or by regression."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from .errors import BadInput
from .images import Images
from .morphology import measure as morphology
from .sky import sky_only

# Unit of each; fluxes and noise are in the pixels' unit, a display stretch.
CONFOUNDERS = {
    "flux": "",
    "half_light_radius": "pix",
    "concentration": "",
    "sky_noise": "",
    "signal_to_noise": "",
}
LOGARITHMIC = ("flux", "half_light_radius", "sky_noise", "signal_to_noise")
CALIPER = 0.5  # scatters of the observed, by which partners may differ in each confounder
FEWEST = 20  # galaxies of which an expectation is learned
MOST = 10_000_000  # distances of observed from simulated galaxies that are held, of each confounder


def measure(images: Images) -> Table:
    """Size, flux, concentration, sky noise and signal to noise of each picture, on the mean of its bands.

    Parameters
    ----------
    images : Images
        The galaxy in the middle, with some sky around it.

    Returns
    -------
    Table, one row a galaxy
        flux, half_light_radius (pixels), concentration as `morphology.measure` has them. sky_noise: scatter
        of the pixels that `sky.sky_only` leaves, at least that of rounding to 256 levels. signal_to_noise:
        half the flux over the noise of the sky in the half-light circle. NaN where nothing was found.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> galaxy = np.exp(-np.hypot(x, y) / 4) + rng.normal(0, 0.01, (64, 64))
    >>> float(measure(Images(galaxy[None, None]))["sky_noise"][0].round(3))
    0.01
    """
    found = morphology(images)
    grey = images.grey()
    free = sky_only(grey).pixels.reshape(len(images), -1).astype(np.float64)
    floor = 1 / 255 / np.sqrt(12)
    table = Table({name: np.asarray(found[name]) for name in ("flux", "half_light_radius", "concentration")})
    table["sky_noise"] = [
        max(sky.std(), floor) if len(sky) > 8 else np.nan for sky in (row[np.isfinite(row)] for row in free)
    ]
    area = np.pi * np.square(table["half_light_radius"])
    table["signal_to_noise"] = 0.5 * table["flux"] / (table["sky_noise"] * np.sqrt(area))
    for name, unit in CONFOUNDERS.items():
        table[name].unit = unit or None
    return table[list(CONFOUNDERS)]


def scaled(table: Table, names, reference: Table) -> np.ndarray:
    """Columns (n, k), logarithmic where that is usual, in units of their robust scatter in `reference`.

    Raises BadInput for a column that is not there.
    """
    names = [names] if isinstance(names, str) else list(names)
    missing = [name for name in names if name not in reference.colnames or name not in table.colnames]
    if missing or not names:
        raise BadInput("confounders", f"{missing or names} came, wanted some of {', '.join(table.colnames)}")
    columns = []
    for name in names:
        own, usual = (_values(each, name) for each in (table, reference))
        usual = usual[np.isfinite(usual)]
        if len(usual) < 2:
            raise BadInput(f"confounder {name!r}", "it was not measured in the observed set; leave it out")
        low, middle, high = np.percentile(usual, [15.85, 50, 84.15])
        columns.append((own - middle) / max(0.5 * (high - low), 1e-9))
    return np.stack(columns, axis=1)


def _values(table: Table, name: str) -> np.ndarray:
    values = np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan)
    if name not in LOGARITHMIC:
        return values
    return np.log(values, where=values > 0, out=np.full(values.shape, np.nan))


def pairs(observed: Table, simulated: Table, names=tuple(CONFOUNDERS), *, caliper: float = CALIPER):
    """Rows of observed galaxies and of their simulated partners, (k,) and (k,), as alike as can be.

    One to one, without replacement: of all ways to pair as many galaxies as can be paired within the caliper,
    the one with the least distances in all (optimal matching, Rosenbaum 1989). Galaxies without a partner,
    or with a confounder that is NaN, are left out.

    Parameters
    ----------
    names : of columns that partners share
    caliper : float
        Scatters of the observed by which partners may differ in each of them.

    Examples
    --------
    >>> size = lambda *values: Table({"half_light_radius": values})
    >>> pairs(size(1.0, 2.0, 4.0, 5.0), size(4.1, 99.0), "half_light_radius")
    (array([2]), array([0]))
    """
    from scipy.optimize import linear_sum_assignment

    if not caliper > 0:
        raise ValueError(f"caliper={caliper}, wanted a positive number")
    a, b = (scaled(each, names, observed) for each in (observed, simulated))
    rows_a, rows_b = (np.flatnonzero(np.isfinite(each).all(axis=1)) for each in (a, b))
    if len(rows_a) * len(rows_b) > MOST:
        came = f"{len(rows_a):,} observed and {len(rows_b):,} simulated galaxies"
        raise BadInput("pairs", f"{came}, wanted at most {MOST:,} combinations; take a random part of them")
    apart = np.abs(a[rows_a, None] - b[None, rows_b])
    far = apart.max(axis=2) > caliper if apart.size else np.zeros(apart.shape[:2], dtype=bool)
    cost = np.square(apart).sum(axis=2)
    # A pair beyond the caliper costs more than all others together, so that as many as can be are within.
    worst = 1 + min(cost.shape) * len(np.atleast_1d(names)) * caliper**2 if cost.size else 0
    i, j = linear_sum_assignment(np.where(far, worst, cost))
    good = ~far[i, j]
    return rows_a[i[good]], rows_b[j[good]]


def balance(observed: Table, simulated: Table, names=tuple(CONFOUNDERS)) -> dict[str, float]:
    """How far simulated galaxies are from observed ones in each confounder, in scatters of the observed.

    Differences of means over the standard deviation of the observed; below 0.1 is called balanced
    (Austin 2009).
    """
    names = [names] if isinstance(names, str) else list(names)
    a, b = (scaled(each, names, observed) for each in (observed, simulated))
    apart = (np.nanmean(b, axis=0) - np.nanmean(a, axis=0)) / np.maximum(np.nanstd(a, axis=0), 1e-9)
    return {name: float(value) for name, value in zip(names, apart, strict=True)}


def expected(
    values: np.ndarray, observed: Table, tables: list[Table], names=tuple(CONFOUNDERS), *, seed: int = 0
) -> tuple[np.ndarray, list[np.ndarray]]:
    """What a statistic would be of an observed galaxy of the same size, flux, noise and concentration.

    Gradient boosted trees of the observed galaxies; each of these is expected by trees that did not see it
    (five folds). Beyond what the observed span, the expectation is that of their border.

    Parameters
    ----------
    values : ndarray (n,)
        The statistic of observed galaxies.
    observed : Table (n rows)
    tables : list of Table
        Of others.

    Returns
    -------
    ndarray (n,), and one array for each of `tables`
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    x = scaled(observed, names, observed)
    good = np.isfinite(values) & np.isfinite(x).any(axis=1)
    if good.sum() < FEWEST:
        raise BadInput("the observed set", f"{good.sum()} galaxies were measured, wanted at least {FEWEST}")
    trees = HistGradientBoostingRegressor(
        max_iter=60, learning_rate=0.08, min_samples_leaf=max(5, min(20, good.sum() // 15)), random_state=seed
    )
    own = np.full(len(values), np.nan)
    own[good] = cross_val_predict(trees, x[good], values[good], cv=KFold(5, shuffle=True, random_state=seed))
    trees.fit(x[good], values[good])
    return own, [trees.predict(scaled(table, names, observed)) for table in tables]
