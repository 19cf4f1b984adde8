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
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .buckets import Plan, alone, append, append_dealt, by_bucket, divided, pieces, which
from .cells import DEPTH, codes_of, grow, jit, node_type, sort_codes
from .disk import Journal, sync, told, write
from .errors import BadInput
from .store import VERSION, Store
from .stored import Stored
from .tree import LEAF, blocks_of, counted_of, leaf_size, leaves_of

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
                        (folder / JOURNAL).unlink(missing_ok=True)
                        return store
                except BadInput:
                    pass
                _clear(folder)
            journal = Journal(folder / JOURNAL)
            if not _usable(folder, journal.lines()):
                _clear(folder)
                journal.add({"galnb": "store", "version": VERSION})
            rows = _take_rows(chunks, folder, journal, n)
            plan = _plan(folder, journal, rows)
            _deal(folder, journal, plan)
            sizes, cells = _sort(folder, journal, plan)
            sizes["xy"] = rows["rows"] * 8
            about = {"galnb": "store", "version": VERSION, "sizes": sizes, "cells": cells, **asdict(plan)}
            write(folder / DONE, json.dumps(about, sort_keys=True).encode())
            (folder / JOURNAL).unlink()
    return Store.open(folder)


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


def _plan(folder: Path, journal: Journal, rows: dict) -> Plan:
    for line in journal.lines():
        if "plan" in line:
            return Plan(**line["plan"])
    plan = divided(Stored(folder / "xy", ("<f4", (2,)), rows["rows"]), rows["kept"], rows["span"])
    journal.add({"plan": asdict(plan)})
    return plan


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
    if plan.heap(k):
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
