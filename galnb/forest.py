"""Isolation forests: what a few random cuts part from all else is an anomaly."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from . import disk
from .cuts import credit, grow, step, walk
from .engines import cores
from .errors import BadInput, BadWeights

LANES = 16  # numbers that a processor multiplies at once; rows of hyperplanes are filled up to it
LEAST = 4096  # rows that are worth a thread
CUTS = ("features", "normals", "points", "limits", "below", "above", "sizes")  # one row for each cut
TENSORS = (*CUTS, "leaves", "roots")


class IsolationForest:
    """Trees of random cuts, each grown on a few galaxies; the score is high where few cuts isolate one.

    A tree cuts `psi` random rows in two, and each part again, until rows are alone or the tree is log2(psi)
    cuts deep. The score is 2^(-E[h] / c(psi)), of the cuts h on a row's way and their mean c in a random
    search tree (Liu, Ting & Zhou 2008, equations 1 and 2): above 0.5 for what is isolated sooner than usual.

    A cut is a value of one feature or, with an `extension` k, a hyperplane with a random normal in k + 1
    features, through a random point in the box of the rows (Hariri, Carrasco Kind & Brunner 2019): scores of
    such a forest have no stripes along the axes.

    Parameters
    ----------
    trees : int
    psi : int
        Rows that each tree is grown on, fewer where there are fewer.
    extension : int or "full"
        Features beyond the first that a cut goes through: 0 is the standard forest, "full" takes all.
    seed : int

    Attributes
    ----------
    n_features : int
        0 before `fit`.

    Notes
    -----
    One seed gives the same scores, whatever the number of threads. Cuts compare features as they are:
    with an extension, scale them first, where their units differ.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> forest = IsolationForest(extension="full").fit(rng.normal(size=(1000, 2)))
    >>> near, far = forest.score([[0.0, 0.0], [6.0, 6.0]])
    >>> bool(near < 0.45), bool(far > 0.7)
    (True, True)
    """

    def __init__(self, trees: int = 100, psi: int = 256, *, extension: int | str = 0, seed: int = 0):
        if not trees >= 1 or not psi >= 2:
            raise ValueError(f"trees={trees}, psi={psi}, wanted at least 1 tree of at least 2 rows")
        if extension != "full" and (not isinstance(extension, int) or extension < 0):
            raise ValueError(f"extension={extension!r}, wanted 0, 1, 2, … or 'full'")
        self.trees, self.psi, self.extension, self.seed = int(trees), int(psi), extension, int(seed)
        self.n_features = 0

    @property
    def config(self) -> dict:
        """What it was built from."""
        return {name: getattr(self, name) for name in ("trees", "psi", "extension", "seed")}

    def fit(self, x) -> IsolationForest:
        """Grow the trees on features (n, d), or on the z of latents; returns the forest.

        Of a catalogue on disk only those rows are read that trees are grown on.

        Raises
        ------
        BadInput
            For another shape, fewer than 2 rows, or a row with NaN or infinity that a tree would grow on.
        """
        x = x.z if hasattr(x, "z") else x
        x = x if hasattr(x, "shape") else np.asarray(x)
        if len(x.shape) != 2 or x.shape[0] < 2 or x.shape[1] < 1:
            raise BadInput("features", f"they have shape {tuple(x.shape)}, wanted (n, d) with n at least 2")
        n, d = x.shape
        psi, cuts = min(self.psi, n), d if self.extension == "full" else min(self.extension + 1, d)
        rngs = [np.random.default_rng(seed) for seed in np.random.SeedSequence(self.seed).spawn(self.trees)]
        rows = np.stack([np.sort(rng.choice(n, psi, replace=False)) for rng in rngs])
        unique, place = np.unique(rows, return_inverse=True)
        seen, place = _checked(x[unique], d), place.reshape(rows.shape)
        depth, grown = math.ceil(math.log2(psi)), []
        for at, rng in zip(place, rngs, strict=True):
            keys, points = rng.random((2, psi - 1, d))
            grown.append(grow(seen[at], keys, points, rng.normal(size=(psi - 1, cuts)), depth))
        self._join(grown)
        self.n_features, self.seen = d, psi
        return self

    def _join(self, grown: list[tuple]) -> None:
        """Number cuts and leaves of all trees through: cuts from 0 upwards, leaves from -1 downwards."""
        roots, cuts, leaves = [], 0, 0
        for *tree, ends in grown:
            for links in tree[CUTS.index("below")], tree[CUTS.index("above")]:
                links += np.where(links >= 0, cuts, -leaves).astype(np.int32)
            roots.append(cuts if len(tree[0]) else -leaves - 1)
            cuts, leaves = cuts + len(tree[0]), leaves + len(ends)
        parts = [np.concatenate(part) for part in zip(*grown, strict=True)]
        self._take(dict(zip(TENSORS, [*parts, np.array(roots, dtype=np.int32)], strict=True)))

    def _take(self, tensors: dict[str, np.ndarray]) -> None:
        vars(self).update(tensors)
        sizes, depths = self.leaves.T
        self._lengths = (depths + mean_path(sizes)).astype(np.float32)
        self._nodes = self._numbered() if self.features.shape[1] == 1 else None
        self._filled = _fill(self.normals) if self._nodes is None else None

    def _numbered(self) -> tuple[np.ndarray, ...]:
        """Cuts and leaves as one list of nodes, in which the two below a cut are neighbors.

        A leaf is a cut that nothing passes and that leads to itself: all rows go the same number of steps,
        and no step hangs on a guess of the processor.
        """
        cuts, trees = len(self.limits), len(self.roots)
        grown = self.roots >= 0
        sizes = np.diff(np.append(self.roots[grown], cuts))
        tree = np.repeat(np.flatnonzero(grown), sizes)
        slots = 2 * np.arange(cuts) + tree + 1  # of the node below; that above is the next one
        start = np.zeros(trees, dtype=np.int64)
        start[1:] = np.cumsum(2 * np.bincount(tree, minlength=trees) + 1)[:-1]
        child = np.arange(2 * cuts + trees, dtype=np.int32)
        feature, lengths = np.zeros_like(child), np.zeros(len(child), dtype=np.float32)
        limit, node = np.full(len(child), np.inf, dtype=np.float32), np.empty(cuts, dtype=np.int64)
        places, links = (
            np.concatenate([slots, slots + 1, start]),
            np.concatenate([self.below, self.above, self.roots]),
        )
        cut = links >= 0
        node[links[cut]], lengths[places[~cut]] = places[cut], self._lengths[-1 - links[~cut]]
        child[node], limit[node], feature[node] = slots, self.limits, self.features[:, 0]
        return feature, limit, child, lengths, start.astype(np.int32)

    # asking

    def score(self, x) -> np.ndarray:
        """Scores (n,), 0 to 1, of features (n, d) or latents; float32, NaN where a row is not finite."""
        x = self._asked(x)
        paths = np.empty(len(x))
        if self._nodes is not None:
            depth = int(self.leaves[:, 1].max())
            self._spread(lambda rows, out: step(rows, *self._nodes, depth, out), x, paths)
        else:
            cuts = self.features, self._filled, self.limits, self.below, self.above, self.roots
            self._spread(lambda rows, out: walk(rows, *cuts, self._lengths, out), x, paths)
        scores = np.exp2(-paths / (self.trees * mean_path(self.seen))).astype(np.float32)
        scores[~np.isfinite(x).all(axis=1)] = np.nan
        return scores

    def attribution(self, x) -> np.ndarray:
        """How many cuts each feature saves on the way of each row (n, d), in the mean of all trees.

        A cut that leaves s' of s rows saves c(s) - 1 - c(s') of the way that was expected, so that a row's
        sum is c(psi) - E[h], of which the score is 2^(sum / c(psi) - 1). Features of a hyperplane share what
        it saves by `|n (x - p)|`, as far as each of them parts the row from its point p.
        """
        x = self._asked(x)
        saved = np.zeros(x.shape)
        means = mean_path(np.arange(self.seen + 1))
        cuts = self.features, self.normals, self.limits, self.below, self.above, self.roots
        more = self.points, self.sizes, self.leaves, means
        self._spread(lambda rows, out: credit(rows, *cuts, *more, out), x, saved)
        saved[~np.isfinite(x).all(axis=1)] = np.nan
        return (saved / self.trees).astype(np.float32)

    def _asked(self, x) -> np.ndarray:
        if not self.n_features:
            raise BadInput("the forest", "it has no trees yet; grow them with fit(features)")
        x = np.ascontiguousarray(x.z if hasattr(x, "z") else x, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise BadInput("features", f"they have shape {x.shape}, wanted (n, {self.n_features}), as in fit")
        return x

    @staticmethod
    def _spread(work, x: np.ndarray, out: np.ndarray) -> None:
        """Let threads do `work(rows, out)` on parts of the rows."""
        # Not numba's prange, which would change torch's number of threads, and with it the bits of training.
        workers = max(min(cores(), -(-len(x) // LEAST)), 1)
        ends = np.linspace(0, len(x), workers + 1).astype(int)
        parts = [slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda part: work(x[part], out[part]), parts))

    # keeping

    def save(self, path: str | Path) -> Path:
        """Write the forest as one .safetensors file, atomically, with its seal."""
        from safetensors.numpy import save as serialize

        if not self.n_features:
            raise BadInput("the forest", "it has no trees yet; grow them with fit(features)")
        about = {**self.config, "n_features": self.n_features, "seen": self.seen}
        described = {"forest": json.dumps(about, sort_keys=True), "seal": disk.UNSEALED}
        data = serialize({name: getattr(self, name) for name in TENSORS}, metadata=described)
        write = lambda unfinished: (unfinished.write_bytes(data), disk.seal(unfinished, disk.HEAD))  # noqa: E731
        return disk.write(path, write)

    @classmethod
    def load(cls, path: str | Path) -> IsolationForest:
        """A forest that `save` wrote. Raises BadWeights if the file is damaged, or none of a forest."""
        from safetensors import safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                described = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            whole = disk.sealing(path, disk.HEAD)
        except Exception as error:  # safetensors raises its own type, OSError or a Rust panic's
            raise BadWeights(path, f"not readable as a forest ({error}); grow and save it again") from error
        if not whole or set(described) != {"forest", "seal"}:
            raise BadWeights(path, "damaged, or no forest of galnb; grow and save it again")
        about = json.loads(described["forest"])
        n_features, seen = about.pop("n_features"), about.pop("seen")
        forest = cls(about.pop("trees"), about.pop("psi"), **about)
        forest._take(tensors)
        forest.n_features, forest.seen = n_features, seen
        return forest


def mean_path(n) -> np.ndarray:
    """Mean cuts c(n) that find one of n rows in a random search tree: 2 H(n - 1) - 2 (n - 1) / n.

    >>> mean_path(np.array([0, 1, 2, 256])).round(2).tolist()
    [0.0, 0.0, 1.0, 10.25]
    """
    n = np.asarray(n)
    harmonic = np.concatenate([[0.0, 0.0], np.cumsum(1.0 / np.arange(1, max(int(n.max(initial=0)), 1)))])
    return np.where(n > 1, 2 * harmonic[n] - 2 * (n - 1) / np.maximum(n, 1), 0.0)


def _checked(x: np.ndarray, d: int) -> np.ndarray:
    x = np.ascontiguousarray(x, dtype=np.float32).reshape(-1, d)
    if not np.isfinite(x).all():
        bad = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        todo = "leave such rows out, x[np.isfinite(x).all(axis=1)]"
        raise BadInput("features", f"NaN or infinity came ({x[bad].tolist()[:4]} …), wanted finite; {todo}")
    return x


def _fill(normals: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.pad(normals, ((0, 0), (0, -normals.shape[1] % LANES))))
