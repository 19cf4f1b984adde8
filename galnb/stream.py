"""A `Store` of any number of points, sorted on disk in bounded memory; stopped at any moment, it goes on.

1. Rows are written as they come (`xy`), with a journal line every million.
2. Points are counted in the cells of a grid, finer where they crowd; cells make buckets of some millions.
3. Each point is dealt into its bucket, then each bucket is sorted in memory and appended to `x`, `y`,
   `order` and the tree's `cells`, `blocks` and `leaves`, with a journal line a bucket.
4. `store.json` says that all is there.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .cells import DEPTH, cell, codes_of, first_not_below, grow, interleave, jit, node_type, sort_codes
from .disk import Journal, sync, told, write
from .errors import BadInput
from .store import PIECE, VERSION, Store, bounds_of
from .stored import Stored
from .tree import LEAF, blocks_of, counted_of, leaf_size, leaves_of

BUCKET = 1 << 22  # points that are sorted at once
GRID, FINER = 11, 6  # halvings of the first count, and of each further one where points crowd
EVERY = 1 << 20  # rows between journal lines
SORTED = ("x", "y", "order", "cells", "blocks", "leaves")
JOURNAL, DONE = "journal.jsonl", "store.json"


def stream(chunks, folder: Path, n: int | None) -> Store:
    """See `Store.stream`."""
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        if (folder / DONE).exists():
            try:
                store = Store.open(folder)
                if n in (None, store.n_rows):
                    return store
            except BadInput:
                pass
            _clear(folder)
        journal = Journal(folder / JOURNAL)
        if not _usable(folder, journal.lines()):
            _clear(folder)
            journal.add({"galnb": "store", "version": VERSION})
        with told(folder):
            rows = _take_rows(chunks, folder, journal, n)
            plan = _plan(folder, journal, rows)
            _deal(folder, journal, plan)
            sizes, cells = _sort(folder, journal, plan)
            sizes["xy"] = rows["rows"] * 8
            about = {"galnb": "store", "version": VERSION, "sizes": sizes, "cells": cells, **asdict(plan)}
            write(folder / DONE, json.dumps(about, sort_keys=True).encode())
            (folder / JOURNAL).unlink()
    return Store.open(folder)


@contextmanager
def alone(folder: Path):
    """Only one process works in a folder; others wait, and then find what it did."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _clear(folder: Path) -> None:
    for pattern in (DONE, JOURNAL, "xy", *SORTED, "bucket-*", "column-*"):
        for path in folder.glob(pattern):
            path.unlink()


def _usable(folder: Path, lines: list[dict]) -> bool:
    """Whether what a journal says can be gone on from: all lines there, and no file shorter than they say."""
    if not lines or (lines[0].get("galnb"), lines[0].get("version")) != ("store", VERSION):
        return False
    buckets = [line["bucket"] for line in lines if "bucket" in line]
    if buckets != list(range(len(buckets))) or (buckets and not any("plan" in line for line in lines)):
        return False
    wanted = {"xy": max((line["rows"] for line in lines if "rows" in line), default=0) * 8}
    for line in lines:
        wanted |= line.get("sizes", {})
    files = ((folder / name, size) for name, size in wanted.items() if size)
    return all(path.exists() and path.stat().st_size >= size for path, size in files)


# rows as they come


def _take_rows(chunks, folder: Path, journal: Journal, n: int | None) -> dict:
    far = float("inf")
    state = {"rows": 0, "kept": 0, "span": [far, -far, far, -far]}
    state |= next((line for line in reversed(journal.lines()) if "rows" in line), {})
    if state.get("all"):
        return state
    with open(folder / "xy", "ab", buffering=0) as file:
        file.truncate(state["rows"] * 8)
        told_rows = state["rows"]
        for chunk in chunks(state["rows"]):
            xy = np.ascontiguousarray(chunk, dtype="<f4")
            if xy.ndim != 2 or xy.shape[1] != 2:
                raise BadInput(folder, f"a piece has shape {xy.shape}, wanted (k, 2): x and y of each point")
            append(file, xy)
            kept, *span = _extent(xy, *state["span"])
            state |= {"rows": state["rows"] + len(xy), "kept": state["kept"] + kept, "span": span}
            if state["rows"] - told_rows >= EVERY:
                os.fsync(file.fileno())
                journal.add(state)
                told_rows = state["rows"]
        if n is not None and state["rows"] != n:
            if state["rows"] > n:
                journal.path.unlink()  # more would not help
            raise BadInput(folder, f"{state['rows']} points came, wanted {n}; give as many as there are rows")
        os.fsync(file.fileno())
    state["all"] = True
    journal.add(state)
    return state


def append(file, array: np.ndarray) -> None:
    """Write all of an array at the end of a file."""
    view = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    while len(view):
        view = view[file.write(view) :]


@jit
def _extent(xy, x0, x1, y0, y1):
    """How many points are finite, and what they span together with a span."""
    kept = 0
    for k in range(len(xy)):
        x, y = np.float64(xy[k, 0]), np.float64(xy[k, 1])
        if np.isfinite(x) and np.isfinite(y):
            kept += 1
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    return kept, x0, x1, y0, y1


# which cells, which buckets


@dataclass(frozen=True)
class Plan:
    """How points are sorted.

    Attributes
    ----------
    atoms : list of [level, code, number of points]
        Cells that are sorted whole, along the curve.
    buckets : list of int
        First atom of each bucket.
    """

    n: int
    n_rows: int
    bounds: tuple[float, float, float, float]
    atoms: list
    buckets: list

    @property
    def firsts(self) -> np.ndarray:
        """First code of each atom, at the deepest level."""
        return np.array([code << 2 * (DEPTH - level) for level, code, _ in self.atoms], dtype=np.uint64)

    @property
    def starts(self) -> np.ndarray:
        """First sorted position of each atom, and the end."""
        return np.concatenate([[0], np.cumsum([count for *_, count in self.atoms])]).astype(np.int64)

    def bucket(self, k: int) -> tuple[slice, int, int]:
        """A bucket's atoms, its first and past-the-last sorted position."""
        atoms = slice(self.buckets[k], [*self.buckets, len(self.atoms)][k + 1])
        return atoms, int(self.starts[atoms.start]), int(self.starts[atoms.stop])

    def point(self) -> np.dtype:
        """Of a point on its way."""
        return np.dtype([("x", "<f4"), ("y", "<f4"), ("row", "<u4" if self.n_rows < 2**32 else "<u8")])


def _plan(folder: Path, journal: Journal, rows: dict) -> Plan:
    for line in journal.lines():
        if "plan" in line:
            return Plan(**line["plan"])
    bounds = bounds_of(*rows["span"]) if rows["kept"] else (0.0, 1.0, 0.0, 1.0)
    xy = Stored(folder / "xy", ("<f4", (2,)), rows["rows"])
    atoms, crowded = [], [(0, 0)] if rows["kept"] > BUCKET // 2 else []
    if not crowded and rows["kept"]:
        atoms = [[0, 0, rows["kept"]]]
    while crowded:
        level = crowded[0][0]
        finer = min(FINER if level else GRID, DEPTH - level)
        codes = np.array(sorted(code for _, code in crowded), dtype=np.uint64)
        counts = np.zeros((len(codes), 4**finer), dtype=np.int64)
        for piece in pieces(xy):
            _count(piece, *bounds, codes, level, finer, counts)
        crowded = []
        for code, within in zip(codes.tolist(), counts, strict=True):
            crowded += _divide(level, code, within, finer, atoms)
    atoms.sort(key=lambda atom: atom[1] << 2 * (DEPTH - atom[0]))
    buckets, held = [], BUCKET
    for k, (*_, count) in enumerate(atoms):
        if held + count > BUCKET:
            buckets.append(k)
            held = 0
        held += count
    plan = {"n": rows["kept"], "n_rows": rows["rows"], "bounds": bounds, "atoms": atoms, "buckets": buckets}
    journal.add({"plan": plan})
    return Plan(**plan)


def pieces(array: Stored, start: int = 0, stop: int | None = None):
    """An array on disk, or a stretch of it, some at a time."""
    stop = len(array) if stop is None else stop
    for at in range(start, stop, PIECE):
        yield array.read(at, min(at + PIECE, stop))


def _divide(level: int, code: int, counts: np.ndarray, finer: int, atoms: list) -> list[tuple[int, int]]:
    """Add the coarsest cells of few enough points to the atoms; returns those that are still crowded."""
    sums = [counts]
    while len(sums[0]) > 1:
        sums.insert(0, sums[0].reshape(-1, 4).sum(axis=1))
    todo, crowded = [(0, 0)], []
    while todo:
        depth, own = todo.pop()
        count = int(sums[depth][own])
        if 0 < count <= BUCKET // 2 or (count and level + depth == DEPTH):
            atoms.append([level + depth, (code << 2 * depth) + own, count])
        elif count and depth == finer:
            crowded.append((level + depth, (code << 2 * depth) + own))
        elif count:
            todo += [(depth + 1, 4 * own + corner) for corner in range(4)]
    return crowded


@jit
def _count(xy, x0, x1, y0, y1, codes, level, finer, counts):
    """Count points of some cells of a level (ascending codes) in cells so many halvings finer."""
    down, within = np.uint64(2 * (DEPTH - level)), np.uint64(2 * (DEPTH - level - finer))
    mask = np.uint64((1 << (2 * finer)) - 1)
    for k in range(len(xy)):
        if not (np.isfinite(xy[k, 0]) and np.isfinite(xy[k, 1])):
            continue
        code = interleave(cell(np.float64(xy[k, 0]), x0, x1), cell(np.float64(xy[k, 1]), y0, y1))
        at = first_not_below(codes, code >> down, 0, len(codes))
        if at < len(codes) and codes[at] == code >> down:
            counts[at, (code >> within) & mask] += 1


# into buckets, and each in order


def _deal(folder: Path, journal: Journal, plan: Plan) -> None:
    if any("dealt" in line for line in journal.lines()):
        return
    for path in folder.glob("bucket-*"):
        path.unlink()
    xy, start = Stored(folder / "xy", ("<f4", (2,)), plan.n_rows), 0
    for piece in pieces(xy):
        order, ends = by_bucket(which(piece, plan), len(plan.buckets))
        points = np.empty(len(order), dtype=plan.point())
        points["x"], points["y"], points["row"] = *piece[order].T, order.astype(np.int64) + start
        append_dealt(folder, "bucket", points, ends)
        start += len(piece)
    for path in folder.glob("bucket-*"):
        sync(path)
    journal.add({"dealt": len(plan.buckets)})


def which(xy: np.ndarray, plan: Plan) -> np.ndarray:
    """Bucket of each point (k, 2), -1 where it is not finite."""
    splits = plan.firsts[plan.buckets] if plan.n else np.zeros(0, dtype=np.uint64)
    return _which(xy, *plan.bounds, splits)


@jit
def _which(xy, x0, x1, y0, y1, splits):
    out = np.full(len(xy), -1, dtype=np.int32)
    for k in range(len(xy)):
        if np.isfinite(xy[k, 0]) and np.isfinite(xy[k, 1]):
            code = interleave(cell(np.float64(xy[k, 0]), x0, x1), cell(np.float64(xy[k, 1]), y0, y1))
            out[k] = first_not_below(splits, code + np.uint64(1), 0, len(splits)) - 1
    return out


@jit
def by_bucket(to, n):
    """Order (k,) that puts things into buckets 0 to n - 1, those of -1 left out, and where each ends."""
    ends = np.zeros(n + 1, dtype=np.int64)
    for bucket in to:
        ends[bucket + 1] += bucket >= 0
    ends = np.cumsum(ends)
    at, order = ends.copy(), np.empty(ends[-1], dtype=np.int64)
    for k in range(len(to)):
        if to[k] >= 0:
            order[at[to[k]]] = k
            at[to[k]] += 1
    return order, ends[1:]


def append_dealt(folder: Path, name: str, things: np.ndarray, ends: np.ndarray) -> None:
    """Append things that are in order of buckets to a file each."""
    for k in np.flatnonzero(np.diff(ends, prepend=0)):
        with open(folder / f"{name}-{k:06d}", "ab", buffering=0) as file:
            append(file, things[ends[k - 1] if k else 0 : ends[k]])


def _sort(folder: Path, journal: Journal, plan: Plan) -> tuple[dict, list]:
    """Sizes of the sorted files, and how many counted cells there are up to each bucket's end."""
    lines = [line for line in journal.lines() if "bucket" in line]
    sizes = dict(lines[-1]["sizes"]) if lines else dict.fromkeys(SORTED, 0)
    kind, cells, top = node_type(plan.n), [line["cells"] for line in lines], _top(plan)
    with ExitStack() as stack:
        files = {name: stack.enter_context(open(folder / name, "ab", buffering=0)) for name in SORTED}
        for name, file in files.items():
            file.truncate(sizes[name])
        for k in range(len(plan.buckets)):
            path = folder / f"bucket-{k:06d}"
            if k >= len(lines):
                for parts in _sorted(path, plan, k, top, sizes["cells"] // kind.itemsize):
                    for name, part in parts.items():
                        append(files[name], part)
                        sizes[name] += part.nbytes
                for file in files.values():
                    os.fsync(file.fileno())
                cells.append(sizes["cells"] // kind.itemsize)
                journal.add({"bucket": k, "sizes": sizes, "cells": cells[-1]})
            path.unlink(missing_ok=True)
    return sizes, cells


def _sorted(path: Path, plan: Plan, k: int, top: list, known: int):
    """What a bucket appends to each file, a part at a time; `known` counted cells are there already."""
    atoms, start, stop = plan.bucket(k)
    place = "<i4" if plan.n_rows < 2**31 else "<i8"
    points = Stored(path, plan.point(), stop - start)
    levels, leaves = [[part] for part in _between(top, start, stop)], []
    if stop - start > BUCKET:  # all in one cell of the deepest level: as they came is in order
        _, code, count = plan.atoms[atoms.start]
        levels[DEPTH].append((np.array([code], dtype=np.uint64), np.array([start]), np.array([count])))
        leaves.append(np.array([(code, start, DEPTH)], dtype=LEAF))
        parts = pieces(points)
    else:
        whole = points.read(0, len(points))
        x, y = np.ascontiguousarray(whole["x"]), np.ascontiguousarray(whole["y"])
        codes, order = sort_codes(codes_of(x, y, *plan.bounds))
        for at in range(atoms.start, atoms.stop):
            first, past = plan.starts[at] - start, plan.starts[at + 1] - start
            cells = grow(codes[first:past], level=plan.atoms[at][0], code=plan.atoms[at][1])
            cells = [(code, own + first + start, count) for code, own, count in cells]
            leaves.append(leaves_of(cells, leaf_size(plan.n)))
            for level, part in enumerate(cells):
                levels[level].append(part)
        parts = [whole[order]]
    for piece in parts:
        x, y = np.ascontiguousarray(piece["x"]), np.ascontiguousarray(piece["y"])
        yield {"x": x, "y": y, "order": piece["row"].astype(place)}
    levels = [_joined(parts) for parts in levels]
    counted = counted_of(levels, node_type(plan.n))
    blocks = blocks_of(levels) + [0, 0, known, known]
    yield {"cells": counted, "blocks": blocks.astype("<i8"), "leaves": np.concatenate(leaves)}


def _joined(parts: list) -> tuple[np.ndarray, ...]:
    code, start, count = (np.concatenate([part[field] for part in parts]) for field in range(3))
    order = np.argsort(start, kind="stable")
    return code[order], start[order], count[order]


def _top(plan: Plan) -> list[tuple[np.ndarray, ...]]:
    """Code, start and number of points of the cells above the atoms, by level."""
    levels = np.array([level for level, *_ in plan.atoms], dtype=np.int64)
    counts = np.array([count for *_, count in plan.atoms], dtype=np.int64)
    firsts, starts, top = plan.firsts, plan.starts, []
    for level in range(DEPTH + 1):
        deep = levels > level
        code, first = np.unique(firsts[deep] >> np.uint64(2 * (DEPTH - level)), return_index=True)
        count = np.add.reduceat(counts[deep], first) if len(first) else np.zeros(0, dtype=np.int64)
        top.append((code, starts[:-1][deep][first], count))
    return top


def _between(levels: list, start: int, stop: int) -> list[tuple[np.ndarray, ...]]:
    """Of cells by level those that start within a bucket."""
    chosen = [(first >= start) & (first < stop) for _, first, _ in levels]
    return [tuple(field[use] for field in level) for level, use in zip(levels, chosen, strict=True)]
