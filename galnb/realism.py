"""Whether galaxies that do not exist could: measured shapes against real ones, and copies found out."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from . import twosample
from .conditions import measure
from .images import Images
from .known import Known
from .morphology import measure as morphology

PROPERTIES = (
    "flux", "half_light_radius", "area", "concentration", "ellipticity", "asymmetry", "color",
)  # fmt: skip
ELONGATED = 0.3  # ellipticity above which an angle means something


def properties(images: Images) -> Table:
    """The measured properties of images, one row each: those of `conditions.measure`, and asymmetry."""
    found = morphology(images)
    table = measure(images, found)
    table["asymmetry"] = found["asymmetry"]
    return table


def distances(drawn: Table, real: Table, names: tuple[str, ...] = PROPERTIES) -> dict[str, float]:
    """How far apart the distributions of measured properties are, each in units of the real scatter.

    The one-dimensional Wasserstein distance over the real standard deviation; what could not be measured is
    left out.

    >>> real = Table({"flux": np.arange(100.0)})
    >>> moved = Table({"flux": np.arange(100.0) + 14.43})
    >>> round(distances(moved, real, ("flux",))["flux"], 2)
    0.5
    """
    from scipy.stats import wasserstein_distance

    found = {}
    for name in names:
        a, b = (column[np.isfinite(column)] for column in (np.asarray(t[name]) for t in (drawn, real)))
        found[name] = float(wasserstein_distance(a, b) / b.std()) if len(a) and len(b) else float("nan")
    return found


def told_apart(drawn: Table, real: Table, names: tuple[str, ...] = PROPERTIES, *, seed: int = 0) -> float:
    """How well a classifier tells drawn from real galaxies by properties: see `twosample.told_apart`."""
    parts = (np.stack([np.asarray(t[name], dtype=float) for name in names], 1) for t in (drawn, real))
    return twosample.told_apart(*parts, seed=seed)[0]


def control(asked: Table, found: Table) -> dict[str, float]:
    """How well pictures have the conditions that were asked for.

    Returns
    -------
    dict of float
        Spearman's rank correlation of each condition; for position_angle the median error in degrees, of
        galaxies that were asked to have an ellipticity above 0.3.
    """
    from scipy.stats import spearmanr

    scores = {}
    for name in asked.colnames:
        a, b = (np.asarray(table[name], dtype=float) for table in (asked, found))
        good = np.isfinite(a) & np.isfinite(b)
        if name == "position_angle":
            good &= np.asarray(asked["ellipticity"]) > ELONGATED
            scores[name] = float(np.median(np.abs((b - a + 90)[good] % 180 - 90)))
        else:
            scores[name] = float(spearmanr(a[good], b[good]).statistic)
    return scores


def nearest(images: Images, known: Images, *, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of `known` to each image: its row, and the root mean square difference of pixels (n,).

    As `Known.nearest`; a `Known` is worth keeping where more is to be asked of the same galaxies.
    """
    return Known(known).nearest(images, batch=batch)
