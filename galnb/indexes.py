"""Indexes over points: all compared, or lists of short codes around centers; and a seal on those on disk.

An inverted file sorts points into lists around centers (Sivic & Zisserman 2003) and keeps a short code of
each: 8 bits a number ("ivf"), or 8 bits for two numbers by product quantization ("pq"; Jegou, Douze & Schmid
2011). A search reads the lists whose centers are nearest. By faiss (Douze et al. 2024).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np

from . import disk
from .provenance import sha256
from .vectors import Vectors

MOST_LISTS, MOST_SAMPLED = 1 << 16, 1 << 21
MOST_FLAT = 4096  # with more centers than this, a graph finds the nearest ones sooner than a scan
TUNED = 11  # the number of lists is tuned for this many neighbors: 10, and the query itself
CARD = "index.json"


class Exact:
    """All points, compared one by one; the latents themselves where they will do, else a copy in memory.

    Attributes
    ----------
    size : int
        Points that can be found.
    memory : int
        Their bytes.
    """

    parameters: dict = {}

    def __init__(self, vectors: Vectors):
        rows, points = vectors.points_of(0, vectors.n)
        self.size, self.memory = len(rows), points.nbytes
        self._points, self._rows = np.ascontiguousarray(points), None if len(rows) == vectors.n else rows
        self.center = np.zeros(vectors.d, dtype=np.float32)

    def candidates(self, points: np.ndarray, k: int) -> np.ndarray:
        """Rows (m, k + 20) nearest to points (m, d), or all where there are fewer."""
        import faiss

        if not self.size:
            return np.zeros((len(points), 0), dtype=np.int64)
        near = faiss.knn(points, self._points, min(k + 20, self.size))[1]
        return near if self._rows is None else self._rows[near]


class Inverted:
    """Lists of codes around centers, in shards that share the centers.

    Parameters
    ----------
    files : list of path
        Of the shards, as `build` wrote them. They are mapped into memory, which processes share.
    center : ndarray (d,) float32
        Taken off every point before faiss sees it, so that float32 has digits left to tell points apart.
    kind : "ivf" or "pq"
    probes : int
        Lists that a search for up to 11 neighbors reads.
    """

    def __init__(self, files: list[Path], center: np.ndarray, kind: str, probes: int = 1):
        import faiss

        # tables of each center with each code make no search faster here, and fill 2 GB for 65,536 centers
        flags = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE
        self._shards = [faiss.read_index(str(path), flags) for path in files]
        self._centers = faiss.downcast_index(self._shards[0].quantizer)
        self.center, self.kind, self.probes, self._lock = center, kind, probes, Lock()
        self.lists, self._width = self._shards[0].nlist, self._shards[0].d
        self.size, self.memory = sum(s.ntotal for s in self._shards), sum(p.stat().st_size for p in files)

    @property
    def parameters(self) -> dict:
        bits = 8 * self._shards[0].code_size
        return {"bits": bits, "lists": self.lists, "probes": self.probes, "shards": len(self._shards)}

    def candidates(self, points: np.ndarray, k: int) -> np.ndarray:
        """Rows (m, more than k) whose codes are nearest to points (m, d), for a closer look; -1 where fewer.

        More lists are read for more neighbors, which lie further apart, and where they hold fewer than k.
        """
        short = 2 * k + 20 if self.kind == "ivf" else 5 * k + 50
        probes = round(self.probes * max(1, k / TUNED) ** 0.5)
        x = widen(points - self.center, self._width)
        near = self._visit(x, short, probes)
        while probes < self.lists:
            few = np.flatnonzero((near >= 0).sum(axis=1) < min(k, self.size))
            if not len(few):
                break
            probes *= 2
            near[few] = self._visit(x[few], short, probes)
        return near

    def _visit(self, x: np.ndarray, short: int, probes: int) -> np.ndarray:
        import faiss

        if probes >= self.lists:
            lists = np.tile(np.arange(self.lists), (len(x), 1))
            apart = np.zeros(lists.shape, dtype=np.float32)
        elif isinstance(self._centers, faiss.IndexHNSW):
            effort = faiss.SearchParametersHNSW(efSearch=max(64, 2 * probes))
            apart, lists = self._centers.search(x, probes, params=effort)
        else:
            apart, lists = self._centers.search(x, probes)
        found = []
        with self._lock:  # how many lists are read is a state of faiss' index
            for shard in self._shards:
                shard.nprobe = lists.shape[1]
                found.append(shard.search_preassigned(x, short, lists, apart))
        if len(found) == 1:
            return found[0][1]
        far, rows = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        order = np.argsort(np.where(rows < 0, np.inf, far), axis=1, kind="stable")[:, :short]
        return np.take_along_axis(rows, order, axis=1)


def widen(points: np.ndarray, width: int) -> np.ndarray:
    """Points (n, d) with zeros up to (n, width), float32."""
    out = np.zeros((len(points), width), dtype=np.float32)
    out[:, : points.shape[1]] = points
    return out


def build(
    vectors: Vectors, home: Path, kind: str, seed: int, shard_rows: int, tell: Callable[[int], object]
) -> tuple[list[Path], np.ndarray]:
    """Write an index a shard at a time; gives its files and what was taken off the points, (d,).

    `tell` is called with the number of rows that each step has added.
    """
    import faiss

    rng, n = np.random.default_rng(seed), vectors.n
    most = min(MOST_SAMPLED, max(64 * _lists(n), 65_536))
    rows = np.arange(n) if n <= most else np.unique(rng.integers(0, n, most))
    sample = vectors.points(vectors.at(rows))
    sample = sample[np.isfinite(sample).all(axis=1)]
    empty, center = _train(sample, n, kind, seed)
    del sample
    files = []
    for start in range(0, max(n, 1), shard_rows):
        index = faiss.clone_index(empty)
        for first, last in vectors.spans(start, min(start + shard_rows, n)):
            rows, points = vectors.points_of(first, last)
            index.add_with_ids(widen(points - center, index.d), rows)
            tell(last - first)
        path = home / f"shard-{len(files):04}.faiss"
        files.append(disk.write(path, lambda path, index=index: faiss.write_index(index, str(path))))
    return files, center


def _lists(n: int) -> int:
    return int(np.clip(4 * n**0.5, 1, MOST_LISTS))


def _train(sample: np.ndarray, n: int, kind: str, seed: int):
    """An empty faiss index for n points like the sample (k, d), and what was taken off them, (d,)."""
    import faiss

    d = sample.shape[1]
    sample = sample if len(sample) else np.zeros((1, d), dtype=np.float32)
    center = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    # faiss compares 8-bit codes with vector instructions only where their number is a multiple of 8 (AVX2)
    # or 16 (AVX-512): 50 of them take five times as long as 64
    width = -(-d // 16) * 16 if kind == "ivf" else -(-d // 2) * 2
    x = widen(sample - center, width)
    centers = _centers_of(x, min(_lists(n), max(1, len(x) // 30)), seed)
    if len(centers) > MOST_FLAT:
        quantizer = faiss.IndexHNSWFlat(width, 32)
        quantizer.hnsw.efConstruction, quantizer.hnsw.efSearch = 80, 16
    else:
        quantizer = faiss.IndexFlatL2(width)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # a graph that several threads make is another one each time
    try:
        quantizer.add(centers)
    finally:
        faiss.omp_set_num_threads(threads)
    if kind == "ivf":
        codes = faiss.ScalarQuantizer.QT_8bit
        index = faiss.IndexIVFScalarQuantizer(quantizer, width, len(centers), codes, faiss.METRIC_L2, True)
        # a few far outliers would else leave the 256 steps of a number too coarse for all others
        index.sq.rangestat, index.sq.rangestat_arg = faiss.ScalarQuantizer.RS_quantiles, 1e-4
    else:
        index = faiss.IndexIVFPQ(quantizer, width, len(centers), width // 2, 8)
        index.use_precomputed_table = -1
        index.pq.cp.seed, index.pq.cp.niter, index.pq.cp.min_points_per_centroid = seed, 10, 1
        x = np.resize(x, (max(256, len(x)), width))
    index.train(x[:: -(-len(x) // 100_000)])
    return index, center


def _centers_of(x: np.ndarray, k: int, seed: int) -> np.ndarray:
    """k-means in two steps, sqrt(k) centers and some within each: as good here, sqrt(k) / 2 times faster."""
    if k <= 256:
        return _kmeans(x, k, seed).centroids
    first = _kmeans(x, round(k**0.5), seed)
    nearest = first.assign(x)[1]
    ends = np.cumsum(np.bincount(nearest, minlength=first.k))
    groups = np.split(np.argsort(nearest, kind="stable"), ends[:-1])
    shares = np.diff(ends * k // len(x), prepend=0)
    pairs = zip(groups, shares.tolist(), strict=True)
    return np.concatenate([_kmeans(x[rows], share, seed).centroids for rows, share in pairs if share])


def _kmeans(x: np.ndarray, k: int, seed: int):
    import faiss

    limits = {"min_points_per_centroid": 1, "max_points_per_centroid": 256}
    found = faiss.Kmeans(x.shape[1], k, niter=10, seed=seed, **limits)
    found.train(x)
    return found


# trust: an index is a cache, and only what this account wrote is read again


def seal(card: dict) -> str:
    """What only this account can put on a card: an HMAC by a key in the cache folder."""
    path = disk.cache_folder() / "key"
    if not path.exists():
        disk.write(path, lambda new: (new.touch(0o600), new.write_bytes(secrets.token_bytes(32))))
    told = json.dumps({name: card[name] for name in card if name != "seal"}, sort_keys=True)
    return hmac.new(path.read_bytes(), told.encode(), hashlib.sha256).hexdigest()


def trusted(home: Path, key: dict) -> dict | None:
    """The card of a folder whose index was written here for `key` and is undamaged, or None."""
    try:
        card = json.loads((home / CARD).read_text())
        good = card["key"] == key and hmac.compare_digest(card["seal"], seal(card))
        good = good and all(sha256(home / name) == digest for name, digest in card["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return card if good else None
