"""Points or counted cells of a `Store` turned into pixels: counts, means, commonest categories, marks.

Points are put where Datashader would, so that counts are those of HoloViews' `rasterize` over all points;
Datashader itself compiles for seconds before the first picture. Cells as fine as the pixels are added by
the area that they share with each; where points are so few that a cell would show, the points themselves are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cells import DEPTH, FEW, jit
from .spans import Spans
from .store import Column, Store
from .stored import take
from .tree import Tree

POINTS, CELLS = 1 << 22, 1 << 19  # points, and counted cells, that are in memory at once
MOST_CELLS = 1 << 22  # of a view where they are finer than the pixels one way, since coarser the other
COARSEST = 3.0  # pixels of a cell then
LONE_POINTS = 1 << 22  # drawn of a view's sparse cells
HEAP = 4096  # points drawn of one cell that cannot be split
ONLY = np.zeros(0, dtype=np.int8)  # all amounts go to one layer
ALL = np.zeros(0, dtype=np.float32)  # all amounts are 1


@dataclass(frozen=True, eq=False)
class Drawn:
    """Arrays (height, width) of a view, row 0 at the bottom; `marked` is None where nothing is."""

    counts: np.ndarray
    values: np.ndarray
    marked: np.ndarray | None


def draw_points(store: Store, runs, view, width: int, height: int, column: Column | None, marks) -> Drawn:
    """Every point of sorted stretches; marked are those of `marks`, a set of sorted positions."""
    kinds = 0 if column is None or column.categories is None else len(column.categories)
    numbers = column is not None and not kinds
    out = np.zeros((1 + (marks is not None) + kinds, height, width), dtype=np.uint32)
    sums, where = np.zeros((2 * numbers, height, width)), Spans(runs)
    for start in range(0, len(where), POINTS):
        part = where.page(start, start + POINTS).runs
        x, y = take(store.x, part), take(store.y, part)
        _plot(out[:1], x, y, ALL, ONLY, *view)
        if marks is not None:
            chosen = marks.mask(part)
            _plot(out[1:2], x[chosen], y[chosen], ALL, ONLY, *view)
        known = None if column is None else take(column.values, part)
        if kinds:
            _plot(out[-kinds:], x, y, ALL, known, *view)
        elif numbers:
            good = np.isfinite(known)
            _plot(sums[:1], x, y, np.where(good, known, np.float32(0)), ONLY, *view)
            _plot(sums[1:], x, y, good.astype(np.float32), ONLY, *view)
    values = _values(out[0], out[-kinds:] if kinds else sums, column).astype(np.float32, copy=False)
    return Drawn(out[0], values, None if marks is None else out[1])


def count_points(x, y, view, width: int, height: int) -> np.ndarray:
    """Points a pixel (height, width) uint32."""
    counts = np.zeros((1, height, width), dtype=np.uint32)
    _plot(counts, x, y, ALL, ONLY, *view)
    return counts[0]


def majority(by_category: np.ndarray):
    """Counts (h, w) of counts (k, h, w), and the code of the commonest category or NaN; ties: the first."""
    counts = by_category.sum(axis=0, dtype=by_category.dtype)
    return counts, np.where(counts > 0, by_category.argmax(axis=0), np.nan).astype(np.float32)


def draw_cells(store: Store, runs, view, width: int, height: int, column: Column | None, marks) -> Drawn:
    """Counted cells as fine as the pixels, whatever the number of points."""
    tree, last = store.tree, level_of(store.tree, view, width, height)
    pixels = np.array([max(_pixels(tree, level, view, width, height)) for level in range(last + 1)])
    kinds = 0 if column is None or column.categories is None else len(column.categories)
    numbers = column is not None and not kinds
    # points, marked points where there are any, a column's sum and number; and points by category
    wide = np.zeros((1 + (marks is not None) + 2 * numbers + kinds, height + 3, width + 3), dtype=np.float32)
    out, layered = wide[: len(wide) - kinds], wide[len(wide) - kinds :]
    totals = None if column is None else store.totals(column)
    where, levels = tree.cells(runs, last)
    scattered, room = [], LONE_POINTS
    for first, past in _parts(where):
        part = where[first:past]
        cells, size, limit = take(tree.counted, part), np.diff(part)[:, 0], 2.0
        while True:  # cells of a pixel or two may stand for their points; wider ones would show
            use, level, start, count, lone = _sift(cells, levels[first:past], size, last, pixels > limit)
            drawn = int(np.minimum(cells["count"][lone], HEAP).sum())
            if drawn <= room:
                break
            limit *= 2
        scattered.append(cells[lone])
        room -= drawn
        area = (cells["i"][use], cells["j"][use], level, *tree.bounds, *view)
        amounts = np.empty((len(out), len(use)), dtype=np.float32)
        amounts[0] = count
        if marks is not None:
            amounts[1] = marks.before(start + count) - marks.before(start)
        if numbers:
            amounts[-2:] = take(totals, part)[use].T
        _spread(out, amounts, ONLY, *area)
        if kinds:
            _spread(layered, amounts, take(totals, part)[use], *area)
    wide = np.ascontiguousarray(wide[:, 1:-2, 1:-2])
    out, layered = wide[: len(wide) - kinds], wide[len(wide) - kinds :]
    for found, weight in _lone_points(np.concatenate(scattered)) if scattered else ():
        x, y = (take(array, found.runs) for array in (store.x, store.y))
        _plot(out[:1], x, y, weight, ONLY, *view)
        if marks is not None:
            _plot(out[1:2], x, y, weight * marks.mask(found.runs), ONLY, *view)
        known = None if column is None else take(column.values, found.runs)
        if kinds:
            _plot(layered, x, y, weight, known, *view)
        elif numbers:
            good = np.isfinite(known)
            _plot(out[-2:-1], x, y, weight * np.where(good, known, 0), ONLY, *view)
            _plot(out[-1:], x, y, weight * good, ONLY, *view)
    values = _values(out[0], layered if kinds else out[-2:], column)
    return Drawn(out[0], values, None if marks is None else out[1])


def _values(counts, layered, column: Column | None) -> np.ndarray:
    if column is None:
        return counts
    if column.categories is not None:
        return majority(layered)[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(layered[1] > 0, layered[0] / layered[1], np.nan).astype(np.float32)


def level_of(tree: Tree, view, width: int, height: int) -> int:
    """The coarsest level whose cells are within a pixel; where only one way counts, within three."""
    level = int(np.clip(np.ceil(np.log2(max(_pixels(tree, 0, view, width, height)))), 0, DEPTH))
    while level and max(_pixels(tree, level - 1, view, width, height)) <= COARSEST:
        wide, high = tree.step(level)
        x0, x1 = np.clip(view[:2], *tree.bounds[:2])
        y0, y1 = np.clip(view[2:], *tree.bounds[2:])
        if (x1 - x0) / wide * (y1 - y0) / high <= MOST_CELLS:
            break
        level -= 1
    return level


def _pixels(tree: Tree, level: int, view, width: int, height: int) -> tuple[float, float]:
    """How many pixels a level's cells are wide and high."""
    wide, high = tree.step(level)
    return wide / (view[1] - view[0]) * width, high / (view[3] - view[2]) * height


def _parts(where: np.ndarray):
    """First and past-the-last stretch of so many that few enough cells are in memory at once."""
    ends = np.cumsum(where[:, 1] - where[:, 0])
    first = 0
    while first < len(where):
        before = ends[first - 1] if first else 0
        past = max(int(np.searchsorted(ends, before + CELLS, side="right")), first + 1)
        yield first, past
        first = past


def _lone_points(cells: np.ndarray):
    """Sorted positions of the points of cells, and the weight of each; of a heap a sample."""
    heap = cells["count"] > HEAP
    start, count = (cells[name].astype(np.int64) for name in ("start", "count"))
    found = Spans.union(np.stack([start, start + count], axis=1)[~heap])
    yield found, np.ones(len(found), dtype=np.float32)
    for first, number in zip(start[heap], count[heap], strict=True):
        found = Spans.of(first + np.arange(HEAP) * number // HEAP)
        yield found, np.full(HEAP, number / HEAP, dtype=np.float32)


@jit
def _sift(cells, levels, sizes, last, wide):
    """Which cells stand for their points, with level, start and number; and which are drawn point by point.

    Cells come in stretches of one level, with as many in each as `sizes`; `wide` levels would show.
    """
    n = len(cells)
    use, level, lone = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    start, count = np.empty(n, np.int64), np.empty(n, np.int64)
    at = used = kept = 0
    for run in range(len(levels)):
        own = levels[run]
        for k in range(at, at + sizes[run]):
            number = np.int64(cells[k]["count"])
            few = number <= FEW or own == DEPTH
            if few and wide[own]:
                lone[kept] = k
                kept += 1
            elif few or own == last:
                use[used], level[used], count[used] = k, own, number
                start[used] = np.int64(cells[k]["start"])
                used += 1
        at += sizes[run]
    return use[:used], level[:used], start[:used], count[:used], lone[:kept]


@jit
def _spread(out, amounts, layer, i, j, level, bx0, bx1, by0, by1, x0, x1, y0, y1):
    """Add amounts (m, k) of cells to the pixels that they cover, by shared area.

    `out` (m, h + 3, w + 3) has a margin of one pixel, and two above and to the right. Where `layer` (k,) is
    not empty, the first amount goes to that one of the m.
    """
    height, width = out.shape[1] - 3, out.shape[2] - 3
    across, up = width / (x1 - x0), height / (y1 - y0)
    first, bottom = (bx0 - x0) * across, (by0 - y0) * up
    shares = 0.5 ** np.arange(DEPTH + 1)
    wides, highs = (bx1 - bx0) * across * shares, (by1 - by0) * up * shares
    for k in range(len(level)):
        wide, high = wides[level[k]], highs[level[k]]
        left, low = first + i[k] * wide, bottom + j[k] * high
        if left + wide <= 0 or left >= width or low + high <= 0 or low >= height:
            continue
        if wide > 1 or high > 1:
            _spread_wide(out, amounts, layer, k, left, low, wide, high)
            continue
        pixel, row = int(np.floor(left)), int(np.floor(low))
        # shares of the first pixel and the next; of dust that rounding leaves, none
        near, under = (pixel + 1 - left) / wide, (row + 1 - low) / high
        near, under = 1.0 if near > 1 - 1e-6 else near, 1.0 if under > 1 - 1e-6 else under
        for m in range(1 if len(layer) else len(out)):
            plane, amount = out[layer[k] if len(layer) else m], amounts[m, k]
            plane[row + 1, pixel + 1] += amount * near * under
            plane[row + 1, pixel + 2] += amount * (1 - near) * under
            plane[row + 2, pixel + 1] += amount * near * (1 - under)
            plane[row + 2, pixel + 2] += amount * (1 - near) * (1 - under)


@jit
def _spread_wide(out, amounts, layer, k, left, low, wide, high):
    """The same of one cell that is wider or higher than a pixel."""
    height, width = out.shape[1] - 3, out.shape[2] - 3
    for row in range(max(int(np.floor(low)), 0), min(int(np.ceil(low + high)), height)):
        part = (min(low + high, row + 1.0) - max(low, float(row))) / high
        for pixel in range(max(int(np.floor(left)), 0), min(int(np.ceil(left + wide)), width)):
            area = part * ((min(left + wide, pixel + 1.0) - max(left, float(pixel))) / wide)
            for m in range(1 if len(layer) else len(out)):
                out[layer[k] if len(layer) else m, row + 1, pixel + 1] += amounts[m, k] * area


@jit
def _plot(out, x, y, amount, layer, x0, x1, y0, y1):
    """Add amounts of points, 1 where none are given, to their pixels (k, h, w), those of Datashader."""
    height, width = out.shape[1:]
    across, up = width / (x1 - x0), height / (y1 - y0)
    right, top = -x0 * across, -y0 * up
    for k in range(len(x)):
        if x0 <= x[k] <= x1 and y0 <= y[k] <= y1:
            pixel, row = min(int(x[k] * across + right), width - 1), min(int(y[k] * up + top), height - 1)
            out[layer[k] if len(layer) else 0, row, pixel] += amount[k] if len(amount) else 1
