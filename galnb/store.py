"""`Store`: points sorted into cells, so that a view, a lasso or a click touches only what it needs.

Points are ordered along a Morton (Z-order) curve over 2^bits x 2^bits cells; cell c holds the sorted
positions `offsets[c]:offsets[c + 1]`. A pyramid of counts (and of sums of a column) answers views of more
points than can be drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np

from .errors import one_of

COARSEST, FINEST, FINEST_CATEGORIES = 16, 4096, 1024
MOST_CATEGORIES = 20
_jit = numba.njit(cache=True, nogil=True)


@dataclass(frozen=True, eq=False)
class Column:
    """One column in store order: numbers, or codes into `categories`."""

    values: np.ndarray
    categories: tuple[str, ...] | None
    label: str


class Store:
    """Points of a plane, sorted for looking at them; made by `Store.build`.

    Attributes
    ----------
    n, n_dropped : int
        Points kept; points left out because x or y is NaN or infinite.
    x, y : ndarray (n,) float32
        Coordinates in cell order.
    order : ndarray (n,)
        Original row of each sorted position.
    offsets : ndarray (cells + 1,)
        First sorted position of each cell.
    bounds : tuple (x0, x1, y0, y1)
        What the cells cover; (0, 1, 0, 1) when there are no points.
    columns : dict of Column
        Added by `build` or `add`.
    """

    def __init__(self, x, y, order, offsets, bounds, rank, n_dropped: int = 0):
        self.x, self.y, self.order, self.offsets, self.bounds = (x, y, order, offsets, bounds)
        self.rank, self.n_dropped, self.n = rank, n_dropped, len(x)
        self.columns: dict[str, Column] = {}
        self._pyramids: dict[object, list[np.ndarray]] = {}

    @classmethod
    def build(cls, x, y, columns: Mapping[str, object] | None = None) -> Store:
        """Sort points into cells.

        Parameters
        ----------
        x, y : array (n,)
            Positions, kept as float32. NaN or infinite ones are left out and counted in `n_dropped`.
        columns : mapping of name to array (n,), optional
            Numbers, bools or strings to color by; an astropy Column's unit goes into its label.

        Examples
        --------
        >>> store = Store.build([0.0, 1.0, np.nan], [0.0, 1.0, 2.0], {"z": [0.1, 0.2, 0.3]})
        >>> store.n, store.n_dropped, store.nearest(0.9, 0.9, 0.5, 0.5)
        (2, 1, 1)
        """
        x, y = np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(
                f"x has shape {x.shape} and y {y.shape}, wanted two arrays (n,); give one place a point"
            )
        rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        px, py = (x, y) if len(rows) == len(x) else (x[rows], y[rows])
        bounds = (0.0, 1.0, 0.0, 1.0)
        if len(rows):
            bounds = (*_span(px), *_span(py))
        # about 64 points a cell: a cell's offset then costs an eighth of a byte a point
        bits = int(np.clip(np.ceil(np.log2(max(len(rows), 1) / 64) / 2), 2, 11))
        cells = 1 << bits
        codes = _morton(_cell(px, *bounds[:2], cells), _cell(py, *bounds[2:], cells))
        offsets, order = _counting_sort(codes, cells * cells)
        small = np.int32 if len(x) < 2**31 else np.int64
        rank = np.full(len(x), -1, dtype=small)
        px, py, order = px[order], py[order], rows[order].astype(small)
        rank[order] = np.arange(len(order), dtype=small)
        store = cls(px, py, order, offsets, bounds, rank, len(x) - len(rows))
        for name, values in (columns or {}).items():
            store.add(name, values)
        return store

    def add(self, name: str, values) -> None:
        """Add a column (original order); strings and bools become categories, all else numbers.

        More than 20 different strings become the 19 commonest and "other"; masked numbers become NaN.
        """
        masked = np.ma.asarray(values)
        if masked.shape != self.rank.shape:
            raise ValueError(
                f"column {name!r} has shape {masked.shape}, wanted ({len(self.rank)},): one value a point"
            )
        if masked.dtype.kind in "OUSb":
            codes, categories = categorize(masked)
            self.columns[name] = Column(codes[self.order], categories, name)
        else:
            plain = np.ma.filled(masked.astype(np.float32), np.nan)
            self.columns[name] = Column(plain[self.order], None, with_unit(name, values))
        self._pyramids = {
            key: levels for key, levels in self._pyramids.items() if key is None or key[0] != name
        }

    @property
    def cells(self) -> int:
        """Cells along one side."""
        return round((len(self.offsets) - 1) ** 0.5)

    def runs(self, view) -> np.ndarray:
        """Stretches (k, 2) of sorted positions, first and past-the-last, of the cells that overlap `view`."""
        x0, x1, y0, y1 = view
        bx0, bx1, by0, by1 = self.bounds
        if x1 < bx0 or x0 > bx1 or y1 < by0 or y0 > by1 or not self.n:
            return np.zeros((0, 2), dtype=np.int64)
        i0, i1 = (int(_cell(np.float64(v), bx0, bx1, self.cells)) for v in (x0, x1))
        j0, j1 = (int(_cell(np.float64(v), by0, by1, self.cells)) for v in (y0, y1))
        return _runs(self.offsets, self.cells, i0, i1, j0, j1)

    def positions(self, view) -> np.ndarray:
        """Sorted positions of the points of the cells that overlap `view` (x0, x1, y0, y1): a superset."""
        runs = self.runs(view)
        return (
            np.concatenate([np.arange(a, b) for a, b in runs]) if len(runs) else np.zeros(0, dtype=np.int64)
        )

    def take(self, array: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """The stretches `runs` of a sorted array; no copy when there is only one."""
        parts = [array[a:b] for a, b in runs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [array[:0]])

    def count(self, view) -> int:
        """At most this many points are in `view`: the points of the cells that overlap it."""
        runs = self.runs(view)
        return int((runs[:, 1] - runs[:, 0]).sum())

    def lasso(self, polygon) -> np.ndarray:
        """Original rows, ascending, of the points inside a polygon (k, 2); even-odd where it crosses itself.

        Cells that no edge comes near are taken or left whole; points of other cells are tested one by one.

        Examples
        --------
        >>> Store.build([0.0, 1.0, 2.0], [0.0, 0.1, 2.0]).lasso([(-1, -1), (1.5, -1), (-1, 1.5)])
        array([0])
        """
        polygon = np.ascontiguousarray(polygon, dtype=np.float64)
        if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3 or not np.isfinite(polygon).all():
            raise ValueError(
                f"the polygon has shape {polygon.shape}, wanted finite (k, 2) with k >= 3; draw it again"
            )
        x, y = polygon.T
        room = self.count((x.min(), x.max(), y.min(), y.max()))
        inside = _lasso(self.x, self.y, self.offsets, polygon, self.cells, *self.bounds, room)
        return np.sort(self.order[inside]).astype(np.intp)

    def nearest(self, x: float, y: float, rx: float, ry: float) -> int | None:
        """Original row of the point nearest to (x, y) within radii rx, ry, or None; of equals the lowest."""
        runs = self.runs((x - rx, x + rx, y - ry, y + ry))
        if not len(runs) or not (rx > 0 and ry > 0):
            return None
        square = ((self.take(self.x, runs) - np.float64(x)) / rx) ** 2
        square += ((self.take(self.y, runs) - np.float64(y)) / ry) ** 2
        if not len(square) or not square.min() <= 1:
            return None
        return int(self.take(self.order, runs)[square == square.min()].min())

    def pyramid(self, name: str | None = None, code: int | None = None) -> list[np.ndarray]:
        """Grids, finest first, each half as fine as the one before, row 0 at the bottom; built once.

        Counts of points (no name); counts of a category (`name` and its `code`); sums of a column (`name`);
        counts of its finite values (`name`, code -1).
        """
        key = None if name is None else (name, code)
        if key not in self._pyramids:
            column = None if name is None else self.columns[name]
            finest = FINEST if column is None or column.categories is None else FINEST_CATEGORIES
            while finest > COARSEST and finest * finest > 17 * self.n:
                finest //= 2
            x, y, weights = self.x, self.y, None
            if column is not None and column.categories is None:
                good = np.isfinite(column.values)
                weights = np.where(good, column.values, 0) if code is None else good.astype(np.float32)
            elif column is not None:
                chosen = column.values == code
                x, y = x[chosen], y[chosen]
            if weights is None:
                levels = [_count_grid(x, y, *self.bounds, finest)]
            else:
                levels = [_sum_grid(x, y, weights, *self.bounds, finest)]
            while len(levels[-1]) > COARSEST:
                half = len(levels[-1]) // 2
                levels.append(levels[-1].reshape(half, 2, half, 2).sum(axis=(1, 3), dtype=levels[-1].dtype))
            self._pyramids[key] = levels
        return self._pyramids[key]

    def column(self, name: str) -> Column:
        """A column by name; a misspelt one is refused."""
        one_of("color", name, ("count", *self.columns))
        return self.columns[name]


def with_unit(name: str, column) -> str:
    """A column's name, with its unit in brackets where it has one."""
    unit = str(getattr(column, "unit", None) or "")
    return f"{name} [{unit}]" if unit else name


def categorize(values) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes (n,) int8 and sorted names; beyond 20 the 19 commonest and "other"; "missing" where masked.

    >>> categorize(np.array(["spiral", "merger", "spiral"]))
    (array([1, 0, 1], dtype=int8), ('merger', 'spiral'))
    """
    text = np.ma.filled(np.ma.asarray(values).astype(str).astype(object), "missing").astype(str)
    names, codes, counts = np.unique(text, return_inverse=True, return_counts=True)
    if len(names) > MOST_CATEGORIES:
        kept = np.sort(np.argsort(-counts, kind="stable")[: MOST_CATEGORIES - 1])
        renumber = np.full(len(names), len(kept))
        renumber[kept] = np.arange(len(kept))
        names, codes = [*names[kept], "other"], renumber[codes]
    return codes.astype(np.int8), tuple(str(name) for name in names) or ("missing",)


def _span(values) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


@numba.vectorize(cache=True)
def _cell(value, low, high, cells):
    """Cell number along one axis. It grows with `value`, so a view's end cells bound those of its points."""
    cell = np.floor((value - low) * (cells / (high - low)))
    return np.int32(min(max(cell, 0), cells - 1))


@numba.vectorize(cache=True)
def _morton(i, j):
    code = 0
    for bit in range(12):
        code |= ((i >> bit) & 1) << (2 * bit) | ((j >> bit) & 1) << (2 * bit + 1)
    return np.uint32(code)


@_jit
def _counting_sort(codes, n_codes):
    offsets = np.zeros(n_codes + 1, dtype=np.int64)
    for code in codes:
        offsets[code + 1] += 1
    offsets = np.cumsum(offsets)
    at, order = offsets.copy(), np.empty(len(codes), dtype=np.int64)
    for row, code in enumerate(codes):
        order[at[code]] = row
        at[code] += 1
    return offsets, order


@_jit
def _runs(offsets, cells, i0, i1, j0, j1):
    """Walk the quadtree in Morton order; whole squares at once, neighbours merged."""
    runs = np.empty((4 * (i1 - i0 + j1 - j0 + 6), 2), dtype=np.int64)
    stack = np.empty((64, 3), dtype=np.int64)  # (i, j, size) of a square
    stack[0, 0], stack[0, 1], stack[0, 2] = 0, 0, cells
    depth, k = 1, 0
    code = 0
    while depth:
        depth -= 1
        i, j, size = stack[depth]
        if i > i1 or j > j1 or i + size <= i0 or j + size <= j0:
            code += size * size
        elif i >= i0 and j >= j0 and i + size - 1 <= i1 and j + size - 1 <= j1:
            start, stop = offsets[code], offsets[code + size * size]
            code += size * size
            if k and runs[k - 1, 1] == start:
                runs[k - 1, 1] = stop
            elif stop > start:
                runs[k, 0], runs[k, 1] = start, stop
                k += 1
        else:
            half = size // 2
            for corner in range(3, -1, -1):
                stack[depth, 0] = i + half * (corner & 1)
                stack[depth, 1] = j + half * (corner >> 1)
                stack[depth, 2] = half
                depth += 1
    return runs[:k]


@_jit
def _within(x, y, edges):
    """Ray cast, even-odd, over edges (k, 4)."""
    inside = False
    for k in range(len(edges)):
        xa, ya, xb, yb = edges[k]
        if (ya > y) != (yb > y) and x < (xb - xa) * (y - ya) / (yb - ya) + xa:
            inside = not inside
    return inside


@_jit
def _lasso(x, y, offsets, polygon, cells, x0, x1, y0, y1, room):
    """Sorted positions inside, a row of cells at a time, with only the edges that come near the row."""
    found = np.empty(room, dtype=np.int64)
    k = 0
    edges, near = np.empty((len(polygon), 4)), np.empty(cells, dtype=np.bool_)
    wide, high = (x1 - x0) / cells, (y1 - y0) / cells
    for j in range(cells):
        # one row more below and above: rounding may put a point's cell off by one
        bottom, top = y0 + (j - 1) * high, y0 + (j + 2) * high
        near[:] = False
        m = 0
        for corner in range(len(polygon)):
            xa, ya = polygon[corner - 1]
            xb, yb = polygon[corner]
            if min(ya, yb) > top or max(ya, yb) < bottom:
                continue
            edges[m, 0], edges[m, 1], edges[m, 2], edges[m, 3] = xa, ya, xb, yb
            m += 1
            left, right = min(xa, xb), max(xa, xb)
            if abs(yb - ya) > 1e-6 * high:
                slope = (xb - xa) / (yb - ya)
                first, last = xa + (bottom - ya) * slope, xa + (top - ya) * slope
                left, right = max(left, min(first, last)), min(right, max(first, last))
            i0 = int(min(max((left - x0) / wide - 1, 0.0), cells))
            i1 = int(max(min((right - x0) / wide + 1, cells - 1.0), -1.0))
            near[i0 : i1 + 1] = True
        if not m:
            continue
        fresh, inside = True, False
        for i in range(cells):
            code = _morton(i, j)
            if near[i]:
                fresh = True
            elif fresh:  # one ray cast serves a stretch of cells that no edge crosses
                inside = _within(x0 + (i + 0.5) * wide, y0 + (j + 0.5) * high, edges[:m])
                fresh = False
            if near[i] or inside:
                for at in range(offsets[code], offsets[code + 1]):
                    if not near[i] or _within(x[at], y[at], edges[:m]):
                        found[k] = at
                        k += 1
    return found[:k]


@_jit
def _count_grid(x, y, x0, x1, y0, y1, cells):
    grid = np.zeros((cells, cells), dtype=np.uint32)
    for k in range(len(x)):
        grid[_cell(y[k], y0, y1, cells), _cell(x[k], x0, x1, cells)] += 1
    return grid


@_jit
def _sum_grid(x, y, weights, x0, x1, y0, y1, cells):
    grid = np.zeros((cells, cells), dtype=np.float32)
    for k in range(len(x)):
        grid[_cell(y[k], y0, y1, cells), _cell(x[k], x0, x1, cells)] += weights[k]
    return grid
