"""A column of values for a map on disk, dealt and sorted as its points were, in bounded memory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import numpy as np

from .buckets import Plan, alone, append, append_dealt, by_bucket, pieces, which
from .disk import sync, told, write
from .store import PIECE, Store, as_text, commonest
from .stored import Stored
from .tree import amounts

MOST_NAMES = 1 << 17  # different strings that are counted at once; beyond, the rarest are forgotten


def write_column(store: Store, name: str, chunks, label: str) -> None:
    """Write a column that comes in pieces, `chunks(row)`, beside a map's points, and open it.

    Files of a column that could not be finished are left out, and written anew the next time.
    """
    key = hashlib.sha1(name.encode()).hexdigest()[:16]
    path = store.folder / f"column-{key}.json"
    with alone(store.folder), told(store.folder):
        for left in store.folder.glob(f"column-{key}*"):
            left.unlink()
        names = _names(name, chunks)
        plan = Plan(**{field.name: store.plan[field.name] for field in fields(Plan)})
        _deal(store, plan, name, chunks, names, key)
        _sort(store, plan, names, path)
        about = {"name": name, "label": label, "file": path.name}
        about["categories"] = None if names is None else list(names[0])
        write(path, json.dumps(about, sort_keys=True).encode())
        store.open_column(about)  # before another kernel may write the same anew


def _names(name: str, chunks) -> tuple[tuple[str, ...], dict[str, int]] | None:
    """Categories, and the code of each string; None where values are numbers."""
    counts: Counter = Counter()
    for chunk in chunks(0):
        chunk = np.ma.asarray(chunk)
        if chunk.ndim != 1:
            raise ValueError(f"column {name!r} has pieces of shape {chunk.shape}, wanted (k,): a value a row")
        if chunk.dtype.kind not in "OUSb":
            return None
        codes, names = _factors(chunk)
        counts.update(dict(zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True)))
        if len(counts) > MOST_NAMES:
            counts = Counter(dict(counts.most_common(MOST_NAMES // 2)))
    names = sorted(counts)
    kept, renumber = commonest(names, [counts[own] for own in names])
    return kept, dict(zip(names, renumber.tolist(), strict=True))


def _factors(chunk) -> tuple[np.ndarray, list[str]]:
    import pandas as pd

    codes, names = pd.factorize(as_text(chunk).astype(object))
    return codes, list(names)


def _values(chunks, names):
    """Pieces as they are kept, numbers or codes, put together to some size: a file is opened for each."""
    held, n = [], 0
    for chunk in chunks(0):
        if names is None:
            held.append(np.ma.filled(np.ma.asarray(chunk).astype(np.float32), np.nan))
        else:
            codes, own = _factors(chunk)
            known = np.array([names[1].get(text, len(names[0]) - 1) for text in own], dtype=np.int8)
            held.append(known[codes])
        n += len(held[-1])
        if n >= PIECE:
            yield np.concatenate(held)
            held, n = [], 0
    if n:
        yield np.concatenate(held)


def _deal(store: Store, plan: Plan, name: str, chunks, names, key: str) -> None:
    row = 0
    for values in _values(chunks, names):
        if row + len(values) > store.n_rows:
            row += len(values)
            break
        for xy in pieces(store.xy, row, row + len(values)):
            order, ends = by_bucket(which(xy, plan), len(plan.buckets))
            append_dealt(store.folder, f"column-{key}-bucket", values[: len(xy)][order], ends)
            values, row = values[len(xy) :], row + len(xy)
    if row != store.n_rows:
        raise ValueError(f"column {name!r} has {row} values, wanted {store.n_rows}: one value a point")


def _sort(store: Store, plan: Plan, names, path: Path) -> None:
    """The values in the map's order, and what they give to each counted cell."""
    kind, k = ("<f4", None) if names is None else ("i1", len(names[0]))
    ends = [0, *store.plan["cells"]]
    values_path, totals_path = path.with_suffix(".values"), path.with_suffix(".totals")
    # cells that reach beyond their bucket are few; they wait here for what follows
    waiting, gathered = store.tree.counted.read(0, 0), np.zeros((k or 2, 0))
    numbers = np.zeros(0, dtype=np.int64)
    with ExitStack() as stack:
        values_file, totals_file = (
            stack.enter_context(open(file, "w+b", buffering=0)) for file in (values_path, totals_path)
        )
        for bucket in range(len(plan.buckets)):
            _, start, stop = plan.bucket(bucket)
            dealt = path.with_name(f"{path.stem}-bucket-{bucket:06d}")
            cells = store.tree.counted.read(ends[bucket], ends[bucket + 1])
            own = np.zeros((k or 2, len(cells)))
            for first, values in _in_order(store, dealt, kind, start, stop, plan.heap(bucket)):
                append(values_file, values)
                own += amounts(cells, first, values, k)
                gathered += amounts(waiting, first, values, k)
            dealt.unlink(missing_ok=True)
            append(totals_file, _told(own, k))
            beyond = np.flatnonzero(cells["start"] + cells["count"] > stop)
            waiting = np.concatenate([waiting, cells[beyond]])
            gathered = np.concatenate([gathered, own[:, beyond]], axis=1)
            numbers = np.concatenate([numbers, beyond + ends[bucket]])
        told_late = _told(gathered, k)
        for number, one in zip(numbers.tolist(), told_late, strict=True):
            totals_file.seek(number * told_late.itemsize * (2 if k is None else 1))
            append(totals_file, one)
    sync(values_path)
    sync(totals_path)


def _in_order(store: Store, dealt: Path, kind: str, start: int, stop: int, heap: bool):
    """First sorted position and values of a bucket, in the map's order, which is a heap's own."""
    if heap:
        values = Stored(dealt, kind, stop - start)
        for at in range(start, stop, PIECE):
            yield at, values.read(at - start, min(at + PIECE, stop) - start)
        return
    values = np.fromfile(dealt, dtype=kind)
    order = store.order.read(start, stop)
    # values came by row: the n-th belongs to the n-th lowest row
    out = np.empty_like(values)
    out[np.argsort(order)] = values
    yield start, out


def _told(amounts: np.ndarray, categories: int | None) -> np.ndarray:
    """What is written of each cell: sum and number (m, 2), or the commonest code (m,)."""
    return amounts.T.astype("<f4") if categories is None else amounts.argmax(axis=0).astype(np.int8)
