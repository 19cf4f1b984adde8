"""Arrays that are read a stretch at a time, from memory or from disk, without ever being there whole."""

from __future__ import annotations

import math
import os
import threading
import weakref
from pathlib import Path

import numpy as np

from .cells import jit
from .errors import BadInput

GAP = 16_384  # bytes: a gap between stretches that is read rather than skipped
PIECE = 1 << 22  # bytes read at once where stretches are close to each other


class Stored:
    """An array in a file; reads only what is asked for, into fresh memory.

    A memory map would do the same, but what it touched would count as this process's memory until
    something else needs it.

    Parameters
    ----------
    path : path
    dtype : numpy dtype
        Of one entry; ``("<f4", (2,))`` makes an array (n, 2).
    n : int
        Entries. BadInput if the file has another size.
    start : int, optional
        Bytes before the first entry. Where it is given, more may follow after the last.
    todo : str
        What mends a file that is damaged.
    """

    def __init__(
        self, path: str | Path, dtype, n: int, *, start: int | None = None, todo: str = "build the map again"
    ):
        self.path, self.dtype, self.n = Path(path), np.dtype(dtype), int(n)
        self.start, self.todo = start, todo
        self._alone = threading.Lock()
        try:
            self._handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            weakref.finalize(self, os.close, self._handle)
            size = os.fstat(self._handle).st_size
        except OSError as error:
            raise BadInput(self.path, f"not readable ({error.strerror}); {todo}") from error
        least = (start or 0) + self.n * self.dtype.itemsize
        if size < least or (start is None and size > least):
            wanted = f"{least} bytes; {todo}"
            raise BadInput(self.path, f"damaged: it has {size} bytes, wanted {wanted}")

    def __reduce__(self):  # another process opens the file for itself
        return _again, (self.path, self.dtype, self.n, self.start, self.todo)

    def __len__(self) -> int:
        return self.n

    def read(self, start: int, stop: int) -> np.ndarray:
        """Entries start to stop (past the last)."""
        out = np.empty(stop - start, dtype=self.dtype)
        self._fill(out, start)
        return out

    def _fill(self, out: np.ndarray, start: int) -> None:
        view = memoryview(out.reshape(-1).view(np.uint8))
        at = (self.start or 0) + start * self.dtype.itemsize
        while len(view):
            got = self._read(view, at)
            if not got:
                raise BadInput(self.path, f"damaged: it ends at byte {at}; {self.todo}")
            view, at = view[got:], at + got

    def _read(self, view: memoryview, at: int) -> int:
        try:
            return self._got(view, at)
        except OSError as error:
            reason = f"not readable ({error.strerror}); bring its disk back and open it again"
            raise BadInput(self.path, reason) from error

    def _got(self, view: memoryview, at: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._handle, [view], at)
        with self._alone:  # Windows: to go there and to read are two steps
            os.lseek(self._handle, at, os.SEEK_SET)
            data = os.read(self._handle, len(view))
        view[: len(data)] = data
        return len(data)

    def take(self, runs: np.ndarray) -> np.ndarray:
        """The stretches `runs` (k, 2), ascending, one after the other."""
        lengths = runs[:, 1] - runs[:, 0]
        ends = np.cumsum(lengths)
        out = np.empty(int(ends[-1]) if len(ends) else 0, dtype=self.dtype)
        for first, last in _groups(runs, self.dtype.itemsize):
            begin, end = int(ends[first] - lengths[first]), int(ends[last - 1])
            if last - first == 1:
                self._fill(out[begin:end], int(runs[first, 0]))
            else:
                wide = self.read(int(runs[first, 0]), int(runs[last - 1, 1]))
                _compact(wide, runs[first:last] - runs[first, 0], out[begin:end])
        return out

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Entries at positions (k,), in their order."""
        order = np.argsort(positions, kind="stable")
        ascending = np.asarray(positions, dtype=np.int64)[order]
        out = np.empty(len(order), dtype=self.dtype)
        runs = np.stack([ascending, ascending + 1], axis=1)
        for first, last in _groups(runs, self.dtype.itemsize):
            wide = self.read(int(runs[first, 0]), int(runs[last - 1, 1]))
            out[order[first:last]] = wide[ascending[first:last] - ascending[first]]
        return out


def _again(path: Path, dtype, n: int, start: int | None, todo: str) -> Stored:
    return Stored(path, dtype, n, start=start, todo=todo)


def take(array: np.ndarray | Stored, runs: np.ndarray) -> np.ndarray:
    """Stretches (k, 2), ascending, of an array in memory or on disk; no copy of a single one in memory."""
    if isinstance(array, Stored):
        return array.take(runs)
    if len(runs) == 1:
        return array[runs[0, 0] : runs[0, 1]]
    out = np.empty((int((runs[:, 1] - runs[:, 0]).sum()), *array.shape[1:]), dtype=array.dtype)
    _compact(array, runs, out)
    return out


def at(array: np.ndarray | Stored, positions: np.ndarray) -> np.ndarray:
    """Entries (k,) of an array in memory or on disk, in the order of the positions."""
    return array.at(positions) if isinstance(array, Stored) else array[positions]


def find(array: np.ndarray | Stored, runs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where in each stretch (k, 2), ascending, an entry (k,) is: its position, -1 where it is not."""
    return _find(take(array, runs), runs, wanted)


def _compact(source: np.ndarray, runs: np.ndarray, out: np.ndarray) -> None:
    """Copy stretches of entries next to each other."""
    if not len(out):
        return
    size = out.itemsize * math.prod(out.shape[1:])
    word, words = ("u4", size // 4) if size % 4 == 0 else ("u1", size)
    _copy(*(np.ascontiguousarray(part).reshape(-1).view(word) for part in (source, out)), runs * words)


def _groups(runs: np.ndarray, itemsize: int):
    """First and past-the-last run of those that are read at once."""
    if not len(runs):
        return
    breaks = np.flatnonzero((runs[1:, 0] - runs[:-1, 1]) * itemsize > GAP) + 1
    edges = [0, *breaks.tolist(), len(runs)]
    most = PIECE // itemsize
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        while last - first > 1 and runs[last - 1, 1] - runs[first, 0] > most:
            cut = int(np.searchsorted(runs[first:last, 1], runs[first, 0] + most, side="right")) + first
            yield first, max(cut, first + 1)
            first = max(cut, first + 1)
        yield first, last


@jit
def _copy(source, out, runs):
    k = 0
    for run in range(len(runs)):
        for at in range(runs[run, 0], runs[run, 1]):
            out[k] = source[at]
            k += 1


@jit
def _find(entries, runs, wanted):
    found, first = np.full(len(runs), -1, dtype=np.int64), 0
    for run in range(len(runs)):
        for k in range(runs[run, 1] - runs[run, 0]):
            if entries[first + k] == wanted[run]:
                found[run] = runs[run, 0] + k
                break
        first += runs[run, 1] - runs[run, 0]
    return found
