"""`Tree`: the quadtree of a map's cells; its leaves lead to points, its counted cells are a picture of them.

Leaves are few and stay in memory: a view, a lasso or a click finds its stretches of sorted points there.
Counted cells go on until a cell holds a handful of points. Those as fine as the pixels of a view are drawn
in place of the points, however many these are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cells import DEPTH, FEW, apart, cell, runs_in
from .stored import Stored

BLOCK = 512  # counted cells of a level that are read together
LEAF = np.dtype([("code", "<u8"), ("start", "<i8"), ("level", "u1")])
NOTHING = np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Tree:
    """Cells of sorted points.

    Attributes
    ----------
    bounds : tuple (x0, x1, y0, y1)
        Of the only cell of level 0.
    codes, levels, starts : ndarray
        Of each leaf its first code at the deepest level, its level, its first point (one more: of the end).
    counted : ndarray or Stored (m,)
        Place, first point and number of points of each counted cell, as `cells.node_type`.
    blocks : ndarray (k, 4)
        Level, first point, first and past-the-last counted cell of stretches of cells of one level,
        by level and first point.
    """

    bounds: tuple[float, float, float, float]
    codes: np.ndarray
    levels: np.ndarray
    starts: np.ndarray
    counted: np.ndarray | Stored
    blocks: np.ndarray

    @classmethod
    def of(cls, bounds, leaves: np.ndarray, n: int, counted, blocks: np.ndarray) -> Tree:
        """From leaves as `leaves_of` and blocks as `blocks_of` make them."""
        codes, levels = (np.ascontiguousarray(leaves[name]) for name in ("code", "level"))
        blocks = blocks[np.lexsort((blocks[:, 1], blocks[:, 0]))]
        return cls(bounds, codes, levels, np.append(leaves["start"], n).astype(np.int64), counted, blocks)

    def runs(self, view) -> np.ndarray:
        """Stretches (k, 2) of sorted points, first and past-the-last, of the leaves that overlap `view`."""
        x0, x1, y0, y1 = view
        bx0, bx1, by0, by1 = self.bounds
        if x1 < bx0 or x0 > bx1 or y1 < by0 or y0 > by1 or not len(self.codes):
            return NOTHING
        i0, i1 = cell(float(x0), bx0, bx1), cell(float(x1), bx0, bx1)
        j0, j1 = cell(float(y0), by0, by1), cell(float(y1), by0, by1)
        return runs_in(self.codes, self.levels, self.starts, i0, i1, j0, j1)

    def step(self, level: int) -> tuple[float, float]:
        """Width and height of a level's cells."""
        x0, x1, y0, y1 = self.bounds
        return (x1 - x0) / 2**level, (y1 - y0) / 2**level

    def cells(self, runs: np.ndarray, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Where in `counted` cells down to level `last` with points in `runs` are: (k, 2), and their levels.

        More cells than that are there, since whole blocks are; ascending.
        """
        if not len(runs):
            return NOTHING, np.zeros(0, dtype=np.int64)
        found = []
        for level in range(last + 1):
            low, high = np.searchsorted(self.blocks[:, 0], (level, level + 1))
            starts = self.blocks[low:high, 1]
            # a cell that starts before a run may reach into it
            first = np.clip(np.searchsorted(starts, runs[:, 0], side="right") - 1, 0, None)
            past = np.searchsorted(starts, runs[:, 1], side="left")
            wanted = np.zeros(len(starts) + 1, dtype=np.int64)
            np.add.at(wanted, first[first < past], 1)
            np.add.at(wanted, past[first < past], -1)
            found.append(self.blocks[low:high][np.cumsum(wanted[:-1]) > 0])
        blocks = np.concatenate(found)
        blocks = blocks[np.argsort(blocks[:, 2], kind="stable")]
        return blocks[:, 2:], blocks[:, 0]


def counted_of(levels: list, kind: np.dtype) -> np.ndarray:
    """Counted cells, one level after the other, of levels as `cells.grow` makes them."""
    code, start, count = (np.concatenate([level[field] for level in levels]) for field in range(3))
    counted = np.empty(len(code), dtype=kind)
    counted["i"], counted["j"] = apart(code)
    counted["start"], counted["count"] = start, count
    return counted


def leaf_size(n: int) -> int:
    """Points of a leaf at most, of a map of n: so that there are a million leaves or so at most."""
    return max(2 * FEW, n >> 18)


def blocks_of(levels: list) -> np.ndarray:
    """Blocks (k, 4) of levels whose cells are counted one level after the other; see `Tree`."""
    blocks, end = [np.zeros((0, 4), dtype=np.int64)], 0
    for level, (_, start, _) in enumerate(levels):
        first = np.arange(0, len(start), BLOCK)
        past = np.minimum(first + BLOCK, len(start))
        blocks.append(np.stack([np.full(len(first), level), start[first], end + first, end + past], axis=1))
        end += len(start)
    return np.concatenate(blocks).astype(np.int64)


def leaves_of(levels: list, most: int) -> np.ndarray:
    """The coarsest cells of at most `most` points, none within another, by code; `most` is FEW or more."""
    found, above = [np.zeros(0, dtype=LEAF)], None
    for level, (code, start, count) in enumerate(levels):
        # its parent was split for it, or it is the first that there is
        open_ = np.ones(len(code), dtype=bool) if above is None else np.isin(code >> np.uint64(2), above)
        chosen = open_ & ((count <= most) | (level == DEPTH))
        leaves = np.empty(int(chosen.sum()), dtype=LEAF)
        leaves["code"] = code[chosen] << np.uint64(2 * (DEPTH - level))
        leaves["start"], leaves["level"] = start[chosen], level
        found.append(leaves)
        if above is not None or len(code):
            above = code[open_ & ~chosen]
    leaves = np.concatenate(found)
    return leaves[np.argsort(leaves["start"], kind="stable")]


def amounts(counted: np.ndarray, first: int, values: np.ndarray, categories: int | None) -> np.ndarray:
    """What the points from `first` on give to cells: (2, m) sums and how many are finite, or by category.

    `values` (k,) are numbers, or codes of so many `categories`; of a cell only the part in them counts.
    """
    start, count = (counted[name].astype(np.int64) for name in ("start", "count"))
    begin, end = (np.clip(place - first, 0, len(values)) for place in (start, start + count))
    out = np.empty((2 if categories is None else categories, len(counted)), dtype=np.float64)
    running = np.zeros(len(values) + 1)
    for channel in range(len(out)):
        share = values == channel if categories else np.isfinite(values)
        if categories is None and channel == 0:
            share = np.where(share, values, np.float32(0))
        np.cumsum(share, out=running[1:])
        out[channel] = running[end] - running[begin]
    return out
