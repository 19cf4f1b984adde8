"""Points on disk divided into buckets that are sorted one at a time, and things dealt into them."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cells import DEPTH, cell, first_not_below, interleave, jit
from .store import PIECE, bounds_of
from .stored import Stored

BUCKET = 1 << 22  # points that are sorted at once
GRID, FINER = 11, 6  # halvings of the first count, and of each further one where points crowd


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

    def heap(self, k: int) -> bool:
        """Whether a bucket is one cell of the deepest level: as its points came is in order."""
        atoms = self.bucket(k)[0]
        return atoms.stop - atoms.start == 1 and self.atoms[atoms.start][0] == DEPTH

    def point(self) -> np.dtype:
        """Of a point on its way."""
        return np.dtype([("x", "<f4"), ("y", "<f4"), ("row", "<u4" if self.n_rows < 2**32 else "<u8")])


def divided(xy: Stored, n: int, span) -> Plan:
    """Buckets for positions (n_rows, 2) on disk of which n are finite, within a span (x0, x1, y0, y1)."""
    bounds = bounds_of(*span) if n else (0.0, 1.0, 0.0, 1.0)
    atoms, crowded = [], [(0, 0)] if n > BUCKET // 2 else []
    if not crowded and n:
        atoms = [[0, 0, n]]
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
    return Plan(n, len(xy), bounds, atoms, buckets)


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


def append(file, array: np.ndarray) -> None:
    """Write all of an array at the end of a file."""
    view = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    while len(view):
        view = view[file.write(view) :]


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
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
