"""`Store`: points sorted along a curve, so that a view, a lasso or a click touches only what it needs.

In memory (`Store.build`), or in a folder for any number of points (`Store.stream`): the same answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cells import FEW, codes_of, grow, node_type, sort_codes
from .errors import BadInput, one_of
from .lasso import Polygon
from .spans import Spans
from .stored import Stored, at, find, take
from .tree import LEAF, Tree, amounts, blocks_of, counted_of, leaf_size, leaves_of

MOST_CATEGORIES = 20
PIECE = 1 << 20  # points that are read at once where all of something is
VERSION = 2
# what a document of another shape than was written makes of code that reads it
DAMAGES = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError)


@dataclass(eq=False)
class Column:
    """One column in store order: numbers, or codes into `categories`.

    `totals` holds, a counted cell each, sum and number of finite values (m, 2), or the commonest code (m,).
    """

    values: np.ndarray | Stored
    categories: tuple[str, ...] | None
    label: str
    totals: np.ndarray | Stored | None = None


class Store:
    """Points of a plane, sorted for looking at them; made by `Store.build` or `Store.stream`.

    Attributes
    ----------
    n, n_rows, n_dropped : int
        Points kept; rows that came; rows left out because x or y is NaN or infinite.
    x, y : ndarray or Stored (n,) float32
        Coordinates along the curve.
    order : ndarray or Stored (n,)
        Original row of each sorted position.
    rank : ndarray (n_rows,) or None
        Sorted position of each row, -1 where it was left out; None on disk.
    bounds : tuple (x0, x1, y0, y1)
        What the points span; (0, 1, 0, 1) when there are none.
    tree : Tree
    columns : dict of Column
        Added by `build` or `add`.
    folder : Path or None
        Where it is, on disk.
    """

    def __init__(self, x, y, order, tree: Tree, n_rows: int, *, rank=None, xy=None, folder=None, plan=None):
        self.x, self.y, self.order, self.tree, self.bounds = x, y, order, tree, tree.bounds
        self.n, self.n_rows, self.n_dropped = len(x), n_rows, n_rows - len(x)
        self.rank, self.xy, self.folder, self.plan = rank, xy, folder, plan
        self.columns: dict[str, Column] = {}
        self.marked: tuple | None = None  # the last selection that was looked up here, and what it is here

    @classmethod
    def build(cls, x, y, columns: Mapping[str, object] | None = None) -> Store:
        """Sort points that are in memory.

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
        bounds = bounds_of(px.min(), px.max(), py.min(), py.max()) if len(rows) else (0.0, 1.0, 0.0, 1.0)
        codes, order = sort_codes(codes_of(px, py, *bounds))
        levels, n = grow(codes), len(rows)
        counted, leaves = counted_of(levels, node_type(n)), leaves_of(levels, leaf_size(n))
        tree = Tree.of(bounds, leaves, n, counted, blocks_of(levels))
        small = np.int32 if len(x) < 2**31 else np.int64
        rank = np.full(len(x), -1, dtype=small)
        px, py, order = px[order], py[order], rows[order].astype(small)
        rank[order] = np.arange(len(order), dtype=small)
        store = cls(px, py, order, tree, len(x), rank=rank)
        for name, values in (columns or {}).items():
            store.add(name, values)
        return store

    @classmethod
    def stream(cls, chunks: Callable[[int], Iterable], folder: str | Path, *, n: int | None = None) -> Store:
        """Sort points that come in pieces into a folder, in bounded memory; goes on where it was stopped.

        A folder that is complete is opened; a damaged one is made again. The files are the same bytes
        whatever the pieces were and however often it was stopped.

        Parameters
        ----------
        chunks : callable
            ``chunks(row)`` gives the positions from that row on, in row order, as arrays (k, 2) of float32.
            The first call is ``chunks(0)``; after a stop, `row` is where one of its arrays began. NaN or
            infinite positions are left out and counted.
        folder : path
            Name it after what the points are, such as by a hash: what is in it is trusted.
        n : int, optional
            Rows that should come; BadInput if others do.

        Raises
        ------
        BadInput, CannotWrite

        Examples
        --------
        >>> import tempfile
        >>> xy = np.random.default_rng(0).normal(size=(1000, 2)).astype("f4")
        >>> store = Store.stream(lambda row: [xy[row:]], tempfile.mkdtemp())
        >>> store.n, len(store.lasso([(-9, -9), (9, -9), (9, 9), (-9, 9)]))
        (1000, 1000)
        """
        from .stream import stream

        return stream(chunks, Path(folder), n)

    @classmethod
    def open(cls, folder: str | Path) -> Store:
        """The map that `stream` made; BadInput where it is unfinished or damaged."""
        folder = Path(folder)
        try:
            plan = json.loads((folder / "store.json").read_text())
            if plan["galnb"] != "store" or plan["version"] != VERSION:
                raise KeyError("version")
            n, rows, sizes = plan["n"], plan["n_rows"], plan["sizes"]
            for name, size in sizes.items():
                if (folder / name).stat().st_size != size:
                    raise ValueError(f"{name} has not the {size} bytes that were written")
            place = np.dtype("<i4" if rows < 2**31 else "<i8")
            leaves = np.fromfile(folder / "leaves", dtype=LEAF)
            blocks = np.fromfile(folder / "blocks", dtype="<i8").reshape(-1, 4)
            kind = node_type(n)
            counted = Stored(folder / "cells", kind, sizes["cells"] // kind.itemsize)
            tree = Tree.of(tuple(plan["bounds"]), leaves, n, counted, blocks)
            kinds = {"x": "<f4", "y": "<f4", "order": place}
            x, y, order = (Stored(folder / name, kind, n) for name, kind in kinds.items())
            xy = Stored(folder / "xy", ("<f4", (2,)), rows)
            store = cls(x, y, order, tree, rows, xy=xy, folder=folder, plan=plan)
            for path in sorted(folder.glob("column-*.json")):
                with suppress(*DAMAGES, OSError):  # damaged, or being written: as none
                    store.open_column(json.loads(path.read_text()))
        except (*DAMAGES, OSError) as error:
            begun = (folder / "journal.jsonl").exists()
            todo = "it is unfinished" if begun else f"not readable as a map ({error})"
            raise BadInput(folder, f"{todo}; build it again in its place with Store.stream") from error
        return store

    def open_column(self, about: dict) -> None:
        """Open a column on disk, by what describes it."""
        names, file = about["categories"], self.folder / about["file"]
        kinds = ("<f4", ("<f4", (2,))) if names is None else ("i1", "i1")
        values = Stored(file.with_suffix(".values"), kinds[0], self.n)
        totals = Stored(file.with_suffix(".totals"), kinds[1], len(self.tree.counted))
        categories = None if names is None else tuple(names)
        self.columns[about["name"]] = Column(values, categories, about["label"], totals)

    def add(self, name: str, values, *, label: str | None = None) -> None:
        """Add a column (original order); strings and bools become categories, all else numbers.

        More than 20 different strings become the 19 commonest and "other"; masked numbers become NaN.
        On disk, `values` may be a function as in `stream` that gives it in pieces (k,).
        """
        if self.folder is not None:
            from .columns import write_column

            if not callable(values):
                whole = values
                label, values = label or with_unit(name, whole), lambda row: [whole[row:]]
            write_column(self, name, values, label or name)
            return
        masked = np.ma.asarray(values)
        if masked.shape != self.rank.shape:
            raise ValueError(
                f"column {name!r} has shape {masked.shape}, wanted ({len(self.rank)},): one value a point"
            )
        if masked.dtype.kind in "OUSb":
            codes, categories = categorize(masked)
            self.columns[name] = Column(codes[self.order], categories, label or name)
        else:
            plain = np.ma.filled(masked.astype(np.float32), np.nan)
            self.columns[name] = Column(plain[self.order], None, label or with_unit(name, values))

    def column(self, name: str) -> Column:
        """A column by name; a misspelt one is refused."""
        one_of("color", name, ("count", *self.columns))
        return self.columns[name]

    def totals(self, column: Column) -> np.ndarray | Stored:
        """The column's `totals`, in memory made when they are first asked for."""
        if column.totals is None:
            k = None if column.categories is None else len(column.categories)
            found = amounts(self.tree.counted, 0, column.values, k)
            column.totals = found.T.astype(np.float32) if k is None else found.argmax(axis=0).astype(np.int8)
        return column.totals

    # what is where

    def runs(self, view) -> np.ndarray:
        """Stretches (k, 2) of sorted positions, first and past-the-last, of leaves that overlap `view`."""
        return self.tree.runs(view)

    def take(self, array, runs: np.ndarray) -> np.ndarray:
        """The stretches `runs` of a sorted array; no copy when there is only one in memory."""
        return take(array, runs)

    def positions(self, view) -> np.ndarray:
        """Sorted positions of the points of the leaves that overlap `view` (x0, x1, y0, y1): a superset."""
        return Spans(self.runs(view)).positions()

    def count(self, view) -> int:
        """At most this many points are in `view`: the points of the leaves that overlap it."""
        return len(Spans(self.runs(view)))

    def within(self, polygon) -> Spans:
        """Sorted positions of the points inside a polygon (k, 2); even-odd where it crosses itself.

        Leaves that no edge comes near are taken or left whole; points of other leaves are tested one by one.
        """
        polygon = Polygon(polygon)
        near, inside = polygon.cells(self.tree.codes, self.tree.levels, self.bounds)
        starts, found = self.tree.starts, []
        for chosen in (inside, near):
            edges = np.flatnonzero(np.diff(np.r_[False, chosen, False]))
            found.append(Spans(starts[edges].reshape(-1, 2)))
        inside, near = found
        parts = [inside.runs]
        for start in range(0, len(near), PIECE):
            part = near.page(start, start + PIECE)
            hits = polygon.inside(self.take(self.x, part.runs), self.take(self.y, part.runs))
            parts.append(Spans.of(part.positions()[hits]).runs)
        return Spans.union(np.concatenate(parts))

    def lasso(self, polygon) -> np.ndarray:
        """Original rows, ascending, of the points inside a polygon; see `within` for those without end.

        Examples
        --------
        >>> Store.build([0.0, 1.0, 2.0], [0.0, 0.1, 2.0]).lasso([(-1, -1), (1.5, -1), (-1, 1.5)])
        array([0])
        """
        return np.sort(self.take(self.order, self.within(polygon).runs)).astype(np.intp)

    def nearest(self, x: float, y: float, rx: float, ry: float) -> int | None:
        """Original row of the point nearest to (x, y) within radii rx, ry, or None; of equals the lowest."""
        if not (rx > 0 and ry > 0):
            return None
        # from the smallest radius that may hold some on: a click into millions looks at thousands
        box = lambda share: (x - share * rx, x + share * rx, y - share * ry, y + share * ry)
        share, row = 2.0**-20, None
        while share < 1 and self.count(box(share)) < FEW:
            share *= 2
        while row is None and share <= 1:
            row = self._nearest(x, y, rx, ry, share, Spans(self.runs(box(share))))
            share *= 2
        return row

    def _nearest(self, x, y, rx, ry, share: float, runs: Spans) -> int | None:
        best, row = share * share, None
        for start in range(0, len(runs), PIECE):
            part = runs.page(start, start + PIECE).runs
            square = ((self.take(self.x, part) - np.float64(x)) / rx) ** 2
            square += ((self.take(self.y, part) - np.float64(y)) / ry) ** 2
            if len(square) and square.min() <= best:
                here = int(self.take(self.order, part)[square == square.min()].min())
                row = here if row is None or square.min() < best else min(row, here)
                best = square.min()
        return row

    def place(self, rows) -> np.ndarray:
        """Positions (k, 2) float32 of original rows (k,); NaN or infinite where they were left out."""
        rows = np.atleast_1d(np.asarray(rows, dtype=np.int64))
        if self.xy is not None:
            return at(self.xy, rows)
        found = self.rank[rows]
        xy = np.stack([self.x[found], self.y[found]], axis=1) if self.n else np.zeros((len(rows), 2), "f4")
        xy[found < 0] = np.nan
        return xy

    def locate(self, rows) -> np.ndarray:
        """Sorted positions (k,) of original rows, -1 where they were left out; on disk, of some thousands."""
        rows = np.atleast_1d(np.asarray(rows, dtype=np.int64))
        if self.rank is not None:
            return self.rank[rows].astype(np.int64)
        xy = np.ascontiguousarray(self.place(rows).T)
        good = np.flatnonzero(np.isfinite(xy).all(axis=0))
        found = np.full(len(rows), -1, dtype=np.int64)
        codes = codes_of(np.ascontiguousarray(xy[0, good]), np.ascontiguousarray(xy[1, good]), *self.bounds)
        leaf = np.searchsorted(self.tree.codes, codes, side="right") - 1
        order = np.argsort(leaf, kind="stable")
        good, starts = good[order], self.tree.starts
        runs = np.stack([starts[leaf[order]], starts[leaf[order] + 1]], axis=1)
        for part in np.array_split(np.arange(len(runs)), 1 + np.diff(runs).sum() // PIECE):
            found[good[part]] = find(self.order, runs[part], rows[good[part]])
        return found

    def sample(self, view, k: int, *, seed: int = 0) -> np.ndarray:
        """At most `k` original rows, ascending, of points in `view`, drawn evenly; the same each time."""
        x0, x1, y0, y1 = view
        runs = Spans(self.runs(view))
        # leaves overlap the view's edge, so draw more than are wanted and keep those inside
        few, generator = len(runs) <= 8 * k, np.random.default_rng(seed)
        drawn = np.arange(len(runs)) if few else generator.choice(len(runs), 8 * k, replace=False)
        found = runs.pick(drawn)
        x, y = at(self.x, found), at(self.y, found)
        found = found[(x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)]
        if few:
            found = generator.permutation(found)
        return np.sort(at(self.order, found[:k])).astype(np.intp)


def bounds_of(x0, x1, y0, y1) -> tuple[float, float, float, float]:
    """Bounds with an area, of the least and largest coordinates."""
    spans = [(float(low), float(high)) for low, high in ((x0, x1), (y0, y1))]
    wide, high = ((a, b) if b > a else (a - 0.5, b + 0.5) for a, b in spans)
    return *wide, *high


def with_unit(name: str, column) -> str:
    """A column's name, with its unit in brackets where it has one."""
    unit = str(getattr(column, "unit", None) or "")
    return f"{name} [{unit}]" if unit else name


def categorize(values) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes (n,) int8 and sorted names; beyond 20 the 19 commonest and "other"; "missing" where masked.

    >>> categorize(np.array(["spiral", "merger", "spiral"]))
    (array([1, 0, 1], dtype=int8), ('merger', 'spiral'))
    """
    names, codes, counts = np.unique(as_text(values), return_inverse=True, return_counts=True)
    names, renumber = commonest(names, counts)
    return renumber[codes].astype(np.int8), names


def as_text(values) -> np.ndarray:
    """Strings (n,) of strings, bools or objects; "missing" where masked."""
    return np.ma.filled(np.ma.asarray(values).astype(str).astype(object), "missing").astype(str)


def commonest(names, counts) -> tuple[tuple[str, ...], np.ndarray]:
    """Names to tell apart, of sorted ones with their counts, and the code of each that was given."""
    names, renumber = [str(name) for name in names], np.arange(len(names))
    if len(names) > MOST_CATEGORIES:
        kept = np.sort(np.argsort(-np.asarray(counts), kind="stable")[: MOST_CATEGORIES - 1])
        renumber[:] = len(kept)
        renumber[kept] = np.arange(len(kept))
        names = [*(names[k] for k in kept), "other"]
    return tuple(names) or ("missing",), renumber
