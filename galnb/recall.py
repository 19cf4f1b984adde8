"""How good and how fast a search for neighbors is, measured against the exact one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .vectors import Vectors

K = 10  # recall is that of the 10 nearest


@dataclass(frozen=True)
class Receipt:
    """What an index does, measured on this machine; `str` says it in words.

    Attributes
    ----------
    rows, searchable, dim : int
        Latents; those that can be found (finite and, for "cosine", not zero); numbers in each.
    metric, kind : str
    parameters : dict
        Whole numbers by name.
    recall : float
        Mean share of the 10 nearest other rows that a search finds.
    queries : int
        Rows, drawn with the seed, that recall and times are measured with; nothing was tuned on them. Where
        no row can be found there are none, and recall and times are NaN.
    median_ms, p90_ms : float
        Time of a search, one query at a time.
    exact_ms : float
        Median time of comparing a query with all latents, were they in memory.
    memory, disk : int
        Bytes that a search compares with (of files, mapped and shared between processes), and bytes of
        latents on disk that it reads a few of.
    build_seconds : float
        Until the first search, whenever it was built.
    """

    rows: int
    searchable: int
    dim: int
    metric: str
    kind: str
    parameters: dict
    recall: float
    queries: int
    median_ms: float
    p90_ms: float
    exact_ms: float
    memory: int
    disk: int
    build_seconds: float

    @property
    def speed_up(self) -> float:
        """How many times faster than exact search it is."""
        return self.exact_ms / self.median_ms

    def __str__(self) -> str:
        details = "".join(f", {name} {value:,}" for name, value in self.parameters.items())
        return (
            f"{self.kind} index of {self.searchable:,} of {self.rows:,} latents "
            f"(d {self.dim}, {self.metric}{details})\n"
            f"recall@{K} {self.recall:.3f} against exact search, {self.queries} queries\n"
            f"{self.median_ms:.2f} ms a query (median; 90 % within {self.p90_ms:.2f} ms), "
            f"{self.speed_up:.0f}x faster than exact search ({self.exact_ms:.1f} ms)\n"
            f"{self.memory / 1e6:,.1f} MB of memory, {self.disk / 1e6:,.1f} MB of disk, "
            f"built in {self.build_seconds:.1f} s"
        )


@dataclass(frozen=True, eq=False)
class Truth:
    """Queries that are rows (m,), their latents z (m, d), and how far the 10 nearest others of each are.

    `far` has as many numbers a row as there are others, at most 10.
    """

    rows: np.ndarray
    z: np.ndarray
    far: list[np.ndarray]

    def __getitem__(self, part: slice) -> Truth:
        return Truth(self.rows[part], self.z[part], self.far[part])


def draw(vectors: Vectors, m: int, rng: np.random.Generator) -> np.ndarray:
    """At most m rows, in a random order, that can be found."""
    few = vectors.n <= 8 * m
    rows = np.arange(vectors.n) if few else np.unique(rng.integers(0, vectors.n, 8 * m))
    good = np.isfinite(vectors.points(vectors.at(rows))).all(axis=1)
    return rng.permutation(rows[good])[:m]


def truth(vectors: Vectors, rows: np.ndarray, center: np.ndarray) -> tuple[Truth, float]:
    """The nearest others of rows (m,) by comparing with all latents, and the median ms that a query takes.

    `center` (d,) is taken off all points: a matrix product in float32 then keeps its digits.
    """
    import faiss

    z = vectors.at(rows)
    points, short = vectors.points(z) - center, K + 21
    best, far = np.full((len(rows), short), -1), np.full((len(rows), short), np.inf, dtype=np.float32)
    seconds = np.zeros(min(5, len(rows)))
    for span in vectors.spans(0, vectors.n):
        found, others = vectors.points_of(*span)
        others = others - center
        if not len(found) or not len(rows):
            continue
        for i in range(len(seconds)):
            start = time.perf_counter()
            faiss.knn(points[i : i + 1], others, min(K, len(found)))
            seconds[i] += time.perf_counter() - start
        apart, near = faiss.knn(points, others, min(short, len(found)))
        both, apart = np.concatenate([best, found[near]], axis=1), np.concatenate([far, apart], axis=1)
        order = np.argsort(apart, axis=1, kind="stable")[:, :short]
        best, far = np.take_along_axis(both, order, axis=1), np.take_along_axis(apart, order, axis=1)
    nearest, apart = vectors.rank(z, best, short)
    others = (nearest >= 0) & (nearest != rows[:, None])
    far = [line[keep][:K] for line, keep in zip(apart, others, strict=True)]
    return Truth(rows, z, far), 1e3 * float(np.median(seconds)) if len(seconds) else float("nan")


def measure(search: Callable, known: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Recall (m,) of search(z, k) -> (rows, distances), 1 where there are no others, and each query's ms.

    What is as near as the tenth nearest counts as found, whichever of equals the truth happens to hold.
    """
    recall, times = np.ones(len(known.rows)), np.zeros(len(known.rows))
    for i, row in enumerate(known.rows):
        start = time.perf_counter()
        near, far = search(known.z[i : i + 1], K + 1)
        times[i] = 1e3 * (time.perf_counter() - start)
        others, limit = far[0][(near[0] >= 0) & (near[0] != row)], known.far[i]
        if len(limit):
            recall[i] = min((others[:K] <= limit[-1]).sum(), len(limit)) / len(limit)
    return recall, times
