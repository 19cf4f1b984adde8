"""Contours: the regions of a plane in which a density holds a given share of what it was fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import density as densities
from .densities.base import Density
from .errors import BadInput

SHARES = (0.5, 0.9, 0.99)
SIDE = 256  # cells of the grid each way
FITTED, LEVELLED = 5_000, 100_000  # points that a density is fitted to, and from which levels are read
FLOOR = 60.0  # nats below the lowest contour at which a grid is cut: marching squares knows no infinity


@dataclass(frozen=True, eq=False)
class Regions:
    """Highest-density regions of a plane, each the smallest that holds its share of the points.

    Attributes
    ----------
    shares : ndarray (k,)
    levels : ndarray (k,)
        Log density on the boundary of each, in nats: of a number a unit of area of the plane.
    lines : list of k lists of ndarray (m, 2)
        Their boundaries; a closed one ends where it began.
    density : Density
        Of the plane.
    """

    shares: np.ndarray
    levels: np.ndarray
    lines: list[list[np.ndarray]]
    density: Density


def regions(xy, shares=SHARES, *, kind: str = "gmm", side: int = SIDE, seed: int = 0, **options) -> Regions:
    """The regions of a plane that hold 50, 90 and 99 % of some points, where these lie densest.

    Parameters
    ----------
    xy : ndarray (n, 2)
        Such as `Plane.xy`. Rows with NaN are left out; of many, 5,000 are fitted to, and 100,000 say levels.
    shares : tuple of float
        Between 0 and 1.
    kind : str
        Of the density that is fitted to them, with its options; see `density.fit`.
    side : int
        Cells of the grid each way, on which boundaries are followed.

    Raises
    ------
    BadInput
        Where fewer than three points are finite, or all of them lie on a line.

    Examples
    --------
    >>> xy = np.random.default_rng(0).normal(size=(2000, 2))
    >>> found = regions(xy, [0.5], components=1)
    >>> float(np.hypot(*found.lines[0][0].T).mean().round(1))  # half of a Gaussian is within 1.18 sigma
    1.2
    """
    xy = np.asarray(xy, dtype=np.float64)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise BadInput("xy", f"it has shape {xy.shape}, wanted (n, 2), positions in a plane")
    xy = xy[np.isfinite(xy).all(axis=1)]
    order = np.random.default_rng(seed).permutation(len(xy))
    fitted = densities.fit(xy[order[:FITTED]].astype(np.float32), kind, seed=seed, **options)
    shares = np.asarray(shares, dtype=np.float64)
    levels = densities.levels(fitted.log_prob(xy[order[:LEVELLED]].astype(np.float32)), shares)
    x, y, log_p = on_grid(fitted, xy, levels.min(), side=side)
    return Regions(shares, levels, [lines_at(x, y, log_p, level) for level in levels], fitted)


def on_grid(density: Density, xy: np.ndarray, lowest: float, *, side: int = SIDE):
    """Log density (side, side) at x (side,) and y (side,): a box that holds all that is above a level."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    for _ in range(5):
        margin = 0.1 * (high - low)
        low, high = low - margin, high + margin
        x, y = np.linspace(low, high, side).T
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        log_p = density.log_prob(grid.astype(np.float32)).reshape(side, side)
        edge = np.concatenate([log_p[0], log_p[-1], log_p[:, 0], log_p[:, -1]])
        if edge.max() < lowest:
            break
    return x, y, np.maximum(log_p, lowest - FLOOR)


def lines_at(x, y, values, level: float) -> list[np.ndarray]:
    """Where values (len(y), len(x)) on a regular grid are `level`: polylines (m, 2), the longest first.

    >>> x = np.linspace(-2, 2, 101)
    >>> [circle] = lines_at(x, x, x**2 + x[:, None] ** 2, 1.0)
    >>> bool(np.abs(np.hypot(*circle.T) - 1).max() < 1e-3)
    True
    """
    from skimage.measure import find_contours

    found = []
    for line in find_contours(np.asarray(values, dtype=np.float64), level):
        row, column = line.T
        found.append(
            np.stack([np.interp(column, range(len(x)), x), np.interp(row, range(len(y)), y)], axis=1)
        )
    return sorted(found, key=len, reverse=True)
