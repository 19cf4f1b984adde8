"""`Neighbors`: galaxies like this one, among a thousand or a thousand million latents."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from . import disk
from .errors import BadInput, one_of
from .indexes import CARD, Exact, Inverted, build, seal, trusted
from .provenance import sha256
from .recall import Receipt, Truth, draw, measure, truth
from .vectors import Vectors

METRICS, KINDS = ("euclidean", "cosine"), ("auto", "exact", "ivf", "pq")
MOST_EXACT, MOST_IVF = 10**6, 10**8
SHARD = 20_000_000
FORMAT = 2  # of what is kept on disk
BATCH = 16  # faiss takes another, less exact way for 20 queries and more
WANTED, QUERIES = 0.97, 200  # the recall that is tuned for, and the queries that it is measured with


@dataclass(frozen=True, eq=False)
class Found:
    """What a search finds.

    Attributes
    ----------
    rows : ndarray (m, k) int64
        Nearest first, of equally near ones the lowest first; -1 where fewer than k can be found.
    distances : ndarray (m, k) float32
        Euclidean, or 1 - cosine; infinite where the row is -1.
    """

    rows: np.ndarray
    distances: np.ndarray


class Neighbors:
    """An index of latents that finds the nearest ones.

    Up to a million rows, every latent is compared ("exact"). Beyond, only those in the lists around the
    nearest centers are, by codes of 8 bits a number ("ivf", to 1e8 rows, d + 8 to d + 23 bytes each) or of 4
    ("pq", d / 2 + 8 bytes), and the best of them again by their latents. How many lists are read is tuned
    on rows of this catalogue, for a `recall@10` of 0.97 or more; `receipt` says what came of it.

    Distances are exact, whatever the kind; what an index may miss is a neighbor. A query gets the same
    answer in any batch.

    Parameters
    ----------
    latents : Latents or Catalogue
        Rows with NaN or infinite numbers are never found nor, for "cosine", rows of zeros only.
    metric : "euclidean" or "cosine"
    kind : "auto", "exact", "ivf" or "pq"
        "auto" goes by the number of rows.
    seed : int
        Draws the rows that centers are trained on, and the queries that recall is measured with.
    folder : path, optional
        Where the index is kept, else galnb's cache folder. It is used again where this account wrote it for
        these very latents and no byte has changed, and made anew otherwise. Latents that are not in memory
        are copied there, by row, in 4 d + 4 bytes each.
    shard_rows : int
        Rows indexed at a time: building takes about twice the memory of a shard's index.
    progress : bool
        Show a bar while building.

    Raises
    ------
    CannotWrite
        If the disk is full or the folder read-only.

    References
    ----------
    Jegou, Douze & Schmid 2011; Douze et al. 2024 (faiss).

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> index = Neighbors(Latents([7, 8, 9], [[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    >>> found = index.search([0.0, 0.0], k=2)
    >>> found.rows.tolist(), found.distances.tolist()
    ([[0, 2]], [[0.0, 1.0]])
    """

    def __init__(
        self,
        latents,
        *,
        metric: str = "euclidean",
        kind: str = "auto",
        seed: int = 0,
        folder: str | Path | None = None,
        shard_rows: int = SHARD,
        progress: bool = False,
    ):
        one_of("metric", metric, METRICS)
        one_of("kind", kind, KINDS)
        if shard_rows < 1:
            raise ValueError(f"shard_rows={shard_rows}, wanted at least 1; leave it out")
        if kind == "auto":
            n = len(latents)
            kind = "exact" if n <= MOST_EXACT else "ivf" if n <= MOST_IVF else "pq"
        self.latents, self.metric, self.kind, self.seed = latents, metric, kind, seed
        self._receipt = None
        if kind == "exact":
            start = time.perf_counter()
            self._vectors = Vectors(latents, metric)
            self._index = Exact(self._vectors)
            self._built = time.perf_counter() - start
        else:
            self._keep(Path(folder or disk.cache_folder() / "neighbors"), shard_rows, progress)

    def __len__(self) -> int:
        return len(self.latents)

    def __repr__(self) -> str:
        return f"<Neighbors: {len(self):,} latents, {self.metric}, {self.kind}>"

    def search(self, z, k: int = 10) -> Found:
        """The k nearest rows to latents z (m, d) or (d,), and how far they are.

        Raises BadInput for a query of another dimension, one that is not finite and, for "cosine", zero.
        """
        if k < 1:
            raise ValueError(f"k={k} neighbors, wanted at least 1")
        z = np.atleast_2d(np.asarray(z, dtype=np.float32))
        if z.ndim != 2 or z.shape[1] != self._vectors.d:
            wanted = f"wanted (m, {self._vectors.d}); encode it with the model that made the latents"
            raise BadInput("query", f"it has shape {z.shape}, {wanted}")
        for row in np.flatnonzero(~np.isfinite(self._vectors.points(z)).all(axis=1)):
            if np.isfinite(z[row]).all():
                reason = "it is zero and has no direction; leave it out, or use metric='euclidean'"
            else:
                reason = "it has NaN or infinite numbers, wanted finite ones; leave it out"
            raise BadInput(f"query {row}", reason)
        return Found(*self._search(z, k))

    def _search(self, z: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows, far = np.full((len(z), k), -1), np.full((len(z), k), np.inf, dtype=np.float32)
        for start in range(0, len(z), BATCH):
            part = slice(start, start + BATCH)
            near = self._index.candidates(self._vectors.points(z[part]), k)
            near, apart = self._vectors.rank(z[part], near, k)
            rows[part, : near.shape[1]], far[part, : near.shape[1]] = near, apart
        return rows, far

    def receipt(self) -> Receipt:
        """What this index does, measured: an exact one now, another when it was built."""
        if self._receipt is None:
            rows = draw(self._vectors, QUERIES, np.random.default_rng([self.seed, 1]))
            self._receipt = self._measured(*truth(self._vectors, rows, self._index.center))
        return self._receipt

    def _measured(self, known: Truth, exact_ms: float) -> Receipt:
        shares, times = measure(self._search, known)
        recall = median = late = float("nan")
        if len(times):
            recall, (median, late) = float(shares.mean()), np.quantile(times, [0.5, 0.9]).tolist()
        v, index = self._vectors, self._index
        return Receipt(
            v.n, index.size, v.d, self.metric, self.kind, index.parameters, recall, len(times),
            median, late, exact_ms, index.memory, v.size_on_disk, self._built,
        )  # fmt: skip

    # what is kept on disk

    def _keep(self, folder: Path, shard_rows: int, progress: bool) -> None:
        """Open the index in a folder, or build it there; one process at a time."""
        import faiss
        from filelock import FileLock

        key = {
            "format": FORMAT, "faiss": faiss.__version__, "latents": self.latents.hash(),
            "metric": self.metric, "kind": self.kind, "seed": self.seed, "shard_rows": shard_rows,
        }  # fmt: skip
        name = f"{key['latents'][:16]}-{self.metric}-{self.kind}-{self.seed}-{shard_rows}-v{FORMAT}"
        home = folder / name
        self._vectors = Vectors(self.latents, self.metric, home / "vectors")
        with disk.told(folder):
            home.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{name}.lock"):
                card = trusted(home, key)
                if card is None or not self._load(home, card):
                    for old in home.iterdir():
                        old.unlink()
                    self._build(home, key, shard_rows, progress)

    def _load(self, home: Path, card: dict) -> bool:
        if card["damaged"] and self.latents.mended(card["damaged"]):
            return False  # galaxies that were left out are there again
        if not self._vectors.open():
            return False
        files = [home / name for name in card["files"]]
        self._index = Inverted(files, np.array(card["center"], dtype=np.float32), self.kind, card["probes"])
        self._receipt = Receipt(**card["receipt"])
        return True

    def _build(self, home: Path, key: dict, shard_rows: int, progress: bool) -> None:
        from tqdm.auto import tqdm

        start = time.perf_counter()
        with tqdm(total=len(self), disable=not progress, unit="galaxy", desc="indexing") as bar:
            self._vectors.copy()
            self._vectors.open()
            files, center = build(self._vectors, home, self.kind, self.seed, shard_rows, bar.update)
        self._index = Inverted(files, center, self.kind)
        rows = draw(self._vectors, 2 * QUERIES, np.random.default_rng([self.seed, 1]))
        known, exact_ms = truth(self._vectors, rows, center)
        half = len(rows) // 2
        self._tune(known[:half])
        self._built = time.perf_counter() - start
        self._receipt = self._measured(known[half:], exact_ms)  # not on what it was tuned with
        card = {
            "key": key, "damaged": getattr(self.latents, "damaged", []),
            "probes": self._index.probes, "center": center.tolist(),
            "files": {path.name: sha256(path) for path in files}, "receipt": asdict(self._receipt),
        }  # fmt: skip
        disk.write(home / CARD, json.dumps(card | {"seal": seal(card)}, indent=2).encode())

    def _tune(self, known: Truth) -> None:
        """Find the fewest lists, within a tenth, that give all rows, not only these, the wanted recall."""

        index, means = self._index, []

        def good() -> bool:
            shares, _ = measure(self._search, known)
            means.append(shares.mean())
            return means[-1] - 2 * shares.std() / len(shares) ** 0.5 >= WANTED

        while index.probes < index.lists and len(known.rows) and not good():
            if len(means) > 2 and 0.5 < means[-1] < means[-3] + 1e-3:
                return  # four times as many lists brought nothing: what is missing is lost to the codes
            index.probes = min(2 * index.probes, index.lists)
        low, high = index.probes // 2, index.probes
        while high - low > max(1, high // 10):
            index.probes = (low + high) // 2
            low, high = (low, index.probes) if good() else (index.probes, high)
        index.probes = high


def query(latents, more, less=(), *, weight: float = 0.25) -> np.ndarray:
    """The latent (d,) of "more like these, less like those", for `Neighbors.search`.

    The mean of `more`, moved away from the mean of `less` by a share of what lies between the two: Rocchio's
    formula, with weights that add up to one so that it does not matter where latents have their zero.

    Parameters
    ----------
    latents : Latents or Catalogue
    more, less : id or ids
    weight : float
        The share. 0.25 weighs the two as 0.75 to 0.15, as is usual.

    Raises
    ------
    KeyError
        For an id that is not there.
    BadInput
        If none is wanted, or one has no finite latents.

    References
    ----------
    Rocchio 1971, in "The SMART Retrieval System".

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> latents = Latents([7, 8, 9], [[0.0, 0.0], [2.0, 0.0], [1.0, 4.0]])
    >>> query(latents, [7, 8], less=9).tolist()
    [1.0, -1.0]
    """
    return _rocchio(latents, _rows(latents, more), _rows(latents, less), weight)


def similar(
    latents,
    *,
    id=None,
    ids=None,
    z=None,
    k: int = 10,
    less=(),
    weight: float = 0.25,
    exclude_self: bool = True,
    index: Neighbors | None = None,
) -> Table:
    """The k galaxies most like one, like several, or like a latent.

    Parameters
    ----------
    latents : Latents or Catalogue
    id, ids, z
        One of: an object's id, the ids of several (see `query`), or a latent (d,).
    less : ids
        Galaxies that the result shall be unlike.
    weight : float
        How much; see `query`.
    exclude_self : bool
        Leave out the galaxies that were named, in `less` too.
    index : Neighbors, optional
        Of these latents, else `Neighbors(latents)`.

    Returns
    -------
    Table
        id, distance, row, and ra and dec where known; nearest first, fewer than k where there are no more.

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> similar(Latents([7, 8, 9], [[0.0], [3.0], [1.0]]), id=7, k=1)["id"].tolist()
    [9]
    """
    given = [name for name, value in (("id", id), ("ids", ids), ("z", z)) if value is not None]
    if len(given) != 1:
        raise ValueError(f"{' and '.join(given) or 'nothing'} came, wanted one of id, ids and z; give one")
    if z is not None and np.size(less):
        raise ValueError("z and less came; give the latent of query(latents, more, less) as z")
    more, less = (_rows(latents, names) for names in (ids if id is None else id, less))
    z = _rocchio(latents, more, less, weight) if z is None else z
    index = Neighbors(latents) if index is None else index
    if len(index) != len(latents):
        raise ValueError(f"the index has {len(index)} rows, the latents {len(latents)}; index these latents")
    out = np.union1d(more, less) if exclude_self else more[:0]
    found = index.search(z, k + len(out))
    keep = np.flatnonzero((found.rows[0] >= 0) & ~np.isin(found.rows[0], out))[:k]
    rows = found.rows[0, keep]
    table = Table({"id": latents.id[rows], "distance": found.distances[0, keep], "row": rows})
    for name in latents.columns:
        if name.lower() in ("ra", "dec"):
            table[name.lower()] = latents.table[name][rows]
            table[name.lower()].unit = latents.table[name].unit or "deg"
    table.meta = {"metric": index.metric, "kind": index.kind}
    return table


def _rows(latents, ids) -> np.ndarray:
    ids = np.atleast_1d(np.asarray([] if ids is None else ids))
    return latents.rows_of(ids) if len(ids) else np.zeros(0, dtype=np.int64)


def _rocchio(latents, more: np.ndarray, less: np.ndarray, weight: float) -> np.ndarray:
    if not len(more):
        raise BadInput("more", "no id came, wanted at least one galaxy to be like; name one")
    rows = np.concatenate([more, less])
    z = np.asarray(latents.z[rows], dtype=np.float64)
    for row in rows[~np.isfinite(z).all(axis=1)]:
        reason = "it has NaN or infinite latents, wanted galaxies with finite ones; leave it out"
        raise BadInput(f"id {latents.id[row]}", reason)
    toward = z[: len(more)].mean(axis=0)
    if len(less):
        toward = toward + weight * (toward - z[len(more) :].mean(axis=0))
    return toward.astype(np.float32)
