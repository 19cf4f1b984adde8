"""`Vectors`: latents by row, wherever they are, and how far they are from a query."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from . import disk

PIECE = 65_536  # rows that are worked on at once


class Vectors:
    """Latents by row: those in memory as they are, others from a copy on disk that gives any row fast.

    Parameters
    ----------
    latents : Latents or Catalogue
    metric : "euclidean" or "cosine"
    path : path, optional
        Where the copy is, once `copy` has made it. Each row carries a checksum of its numbers and its place,
        another one for each catalogue; a row that does not agree is read from the latents instead. Without
        a path, latents that are on disk are read into memory.

    Attributes
    ----------
    n, d : int
    size_on_disk : int
        Bytes of the copy.
    """

    def __init__(self, latents, metric: str, path: str | Path | None = None):
        self.latents, self.metric, self.path = latents, metric, path
        self.n, self.d = len(latents), latents.latent_dim
        self._z, self._file = None, None
        if isinstance(latents.z, np.ndarray):
            self._z = latents.z
        elif path is None:
            self._z = np.concatenate([*_pieces(latents), np.zeros((0, self.d), dtype=np.float32)])
        else:
            rng = np.random.default_rng(int(latents.hash()[:16], 16))
            self._factors = rng.integers(1 << 64, size=self.d + 1, dtype=np.uint64)
            self._record = np.dtype([("z", "<f4", (self.d,)), ("sum", "<u4")])
        self.size_on_disk = 0 if self._z is not None else self.n * self._record.itemsize

    def copy(self) -> None:
        """Make the copy on disk, where one is needed."""

        def stream(path: Path) -> None:
            start = 0
            with open(path, "wb") as file:
                for z in _pieces(self.latents):
                    rows = np.empty(len(z), dtype=self._record)
                    rows["z"], rows["sum"] = z, self._sums(z, np.arange(start, start + len(z)))
                    file.write(rows.tobytes())
                    start += len(z)

        if self._z is None:
            disk.write(self.path, stream)

    def open(self) -> bool:
        """Look for the copy; whether it is there, of the right size."""
        if self._z is None:
            if not self.path.exists() or self.path.stat().st_size != self.size_on_disk:
                return False
            self._file = open(self.path, "rb", buffering=0)
        return True

    def read(self, start: int, stop: int) -> np.ndarray:
        """Latents of rows start to stop (past the last), float32."""
        if self._z is not None:
            return np.asarray(self._z[start:stop], dtype=np.float32)
        return self._checked(self._records([start], stop - start), np.arange(start, stop))

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Latents (k, d) of rows (k,), in their order, float32."""
        if self._z is not None:
            return np.asarray(self._z[rows], dtype=np.float32)
        return self._checked(self._records(rows.tolist(), 1), rows)

    def points(self, z: np.ndarray) -> np.ndarray:
        """Where latents z (k, d) lie so that euclidean distance puts them in the metric's order, float32.

        NaN where there is no such place: a latent of zeros has no direction.
        """
        if self.metric == "euclidean":
            return z
        points = np.empty(z.shape, dtype=np.float32)
        for start, stop in self.spans(0, len(z)):
            part = z[start:stop].astype(np.float64)
            with np.errstate(invalid="ignore"):
                points[start:stop] = part / np.sqrt((part**2).sum(axis=1, keepdims=True))
        return points

    def points_of(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (k,) from start to stop that have a place, and their points (k, d)."""
        points = self.points(self.read(start, stop))
        good = np.isfinite(points).all(axis=1)
        return (start + np.flatnonzero(good), points if good.all() else points[good])

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Rows start to stop in pieces: first and past-the-last of each."""
        for first in range(start, stop, PIECE):
            yield first, min(first + PIECE, stop)

    def rank(self, z: np.ndarray, near: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest to each query z (m, d) among rows (m, s), and how far: (m, k), or (m, s) if less.

        Distances are found in float64 and kept in float32; equal ones come by row, rows of -1 last.
        """
        # one query at a time: all numbers of a batch at once would be more than fits the processor's cache
        best = [self._rank(*query, k) for query in zip(z, near, strict=True)]
        shape = (len(z), min(k, near.shape[1]))
        rows = np.array([rows for rows, _ in best], dtype=np.int64).reshape(shape)
        return rows, np.array([far for _, far in best], dtype=np.float32).reshape(shape)

    def _rank(self, here: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        known = rows >= 0
        there, here = self.at(rows[known]).astype(np.float64), here.astype(np.float64)
        far = np.full(len(rows), np.inf, dtype=np.float32)
        if self.metric == "euclidean":
            far[known] = np.sqrt(((there - here) ** 2).sum(axis=1))
        else:
            norms = np.sqrt((there**2).sum(axis=1) * (here**2).sum())
            far[known] = np.maximum(1 - (there * here).sum(axis=1) / norms, 0)
        order = np.lexsort((np.where(known, rows, self.n), far))[:k]
        return rows[order], far[order]

    def _records(self, starts: list[int], n: int) -> np.ndarray:
        """n rows of the copy from each start on; zeros past its end."""
        out = np.zeros(len(starts) * n, dtype=self._record)
        size, view = n * self._record.itemsize, memoryview(out.view(np.uint8))
        file, places = self._file.fileno(), [start * self._record.itemsize for start in starts]
        if 1 < len(places) <= 4096 and hasattr(os, "posix_fadvise"):
            for place in places:  # all asked for at once, the disk gives 40 rows in 0.7 ms; one by one, in 6
                os.posix_fadvise(file, place, size, os.POSIX_FADV_WILLNEED)
        for k, place in enumerate(places):
            # not a memory map: what that touches, and all around it, counts as this process's memory
            with suppress(OSError):  # what cannot be read agrees with no checksum
                os.preadv(file, [view[k * size : (k + 1) * size]], place)
        return out

    def _checked(self, found: np.ndarray, rows: np.ndarray) -> np.ndarray:
        z = np.ascontiguousarray(found["z"])
        wrong = np.flatnonzero(self._sums(z, rows) != found["sum"])
        if len(wrong):
            z[wrong] = self.latents.z[rows[wrong]]
        return z

    def _sums(self, z: np.ndarray, rows: np.ndarray) -> np.ndarray:
        # multiply-shift hashing (Dietzfelbinger 1996): two different rows agree in one case of 2^31
        words = np.ascontiguousarray(z, dtype="<f4").view("<u4").astype(np.uint64)
        sums = (words * self._factors[1:]).sum(axis=1) + rows.astype(np.uint64) * self._factors[0]
        return (sums >> np.uint64(32)).astype(np.uint32)


def _pieces(latents) -> Iterator[np.ndarray]:
    if hasattr(latents, "chunks"):
        yield from latents.chunks()
    else:
        for start in range(0, len(latents), PIECE):
            yield np.asarray(latents.z[start : start + PIECE], dtype=np.float32)
