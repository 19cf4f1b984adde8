"""From a few votes to an order of all galaxies, and why each of them stands where it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from .errors import BadInput, one_of
from .votes import CHOICES

METHODS = ("forest", "process")
STRATEGIES = ("most wanted", "uncertain", "both")
MOST_DIM = 20  # directions that distances are measured in: in more, all galaxies are about equally far
TREES = 100
NOISE = 0.1  # of a process' variance: the same person votes otherwise on another day
WIDTH = 1.0  # of a process' kernel, in median distances between galaxies
REACH = 2.0  # mean distances to the nearest vote over which trust falls to 1 / e
CHUNK, SAMPLE = 8192, 20_000


@dataclass(frozen=True, eq=False)
class Why:
    """Why a galaxy stands where it does: value = trust x user + (1 - trust) x prior, and the nearest votes.

    Attributes
    ----------
    row : int
    value, user, prior, trust : float
        As in `Ranking`.
    rows : ndarray (k,)
        The nearest galaxies with a vote, nearest first.
    distances : ndarray (k,)
        How far they are, in standard deviations of the features.
    choices : tuple of str
        The votes on them.
    """

    row: int
    value: float
    user: float
    prior: float
    trust: float
    rows: np.ndarray
    distances: np.ndarray
    choices: tuple[str, ...]

    def __str__(self) -> str:
        near = zip(self.rows, self.choices, self.distances, strict=True)
        votes = ", ".join(f"row {row} ({choice}, {far:.2g} away)" for row, choice, far in near)
        parts = (
            f"{self.trust:.2f} x {self.user:.2f} (votes) + {1 - self.trust:.2f} x {self.prior:.2f} (scores)"
        )
        return f"row {self.row}: {self.value:.2f} = {parts}; nearest votes: {votes or 'none'}"


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of all galaxies, the one most wanted first.

    Attributes
    ----------
    order : ndarray (n,)
        Rows, best first, those with votes among them; those without finite features last.
    value : ndarray (n,)
        How much each is wanted, 0 to 1; NaN without finite features.
    spread : ndarray (n,)
        How little the votes tell about it: a standard deviation, about 0.5 where they tell nothing.
    artefact : ndarray (n,) or None
        The probability of being an artefact, as far as the votes tell; None if they do not.
    user, prior, trust : ndarray (n,)
        What the value is made of: what the votes foretell, what the scores say, how near the votes are.
    votes : dict of int to str
        The votes, by row.
    """

    order: np.ndarray
    value: np.ndarray
    spread: np.ndarray
    artefact: np.ndarray | None
    user: np.ndarray = field(repr=False)
    prior: np.ndarray = field(repr=False)
    trust: np.ndarray = field(repr=False)
    votes: dict[int, str] = field(repr=False)
    _space: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.order)

    def ask(self, k: int = 1, strategy: str = "both") -> np.ndarray:
        """Rows (k,) without a vote to vote on next; fewer where there are fewer.

        "most wanted" have the largest value, "uncertain" the largest spread, and "both" the largest sum of
        the two, an upper confidence bound (Srinivas et al. 2010): they are wanted, or may be.
        """
        one_of("strategy", strategy, STRATEGIES)
        best = {"most wanted": self.value, "uncertain": self.spread, "both": self.value + self.spread}
        gain = best[strategy].copy()
        gain[list(self.votes)] = np.nan
        place = np.argsort(self.order)
        best = np.lexsort((place, -gain))  # among equals the one that is more wanted
        return best[np.isfinite(gain[best])][: max(k, 0)]

    def explain(self, row: int, k: int = 3) -> Why:
        """Why a galaxy stands where it does: what its value is made of, and the k nearest votes.

        Its own vote is not among them; there are none for a row without finite features.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row}, wanted 0 to {len(self) - 1}")
        voted = np.array([other for other in self.votes if other != row], dtype=np.int64)
        far = np.linalg.norm(self._space[voted] - self._space[row], axis=1)
        near = np.argsort(far, kind="stable")
        near = near[np.isfinite(far[near])][:k]
        parts = (float(part[row]) for part in (self.value, self.user, self.prior, self.trust))
        return Why(int(row), *parts, voted[near], far[near], tuple(self.votes[int(v)] for v in voted[near]))


def rank(z, votes: Mapping[int, str], *, scores=None, method: str = "forest", seed: int = 0) -> Ranking:
    """An order of all galaxies by how much the person who gave a few votes would want to see them.

    As in Astronomaly (Lochner & Bassett 2021), the votes are learned as a function of the features, and the
    farther a galaxy is from every vote, the more the anomaly scores decide in their place:

        value = t u + (1 - t) q s,    t = exp(-d / 2 d0)

    with u the vote that is foretold (interesting is 1, ordinary and artefact are 0), s the mean rank of the
    scores (0 to 1), q the share of interesting votes (one of each kind is taken for granted), d the distance
    to the nearest vote and d0 its mean. There the score is S tanh(δ - 1 + arctanh U), δ = exp(d / d0), which
    never exceeds S; this sum lets a galaxy rise that no score has found. Without votes, s gives the order.

    Parameters
    ----------
    z : array (n, d)
        Latents, or any other features; those that carry what is wanted (such as a measured asymmetry) need
        fewer votes (`features.beside` joins both). Each is divided by its standard deviation.
    votes : mapping of int to str
        "interesting", "ordinary" or "artefact" by row; `Votes.by_row` gives it.
    scores : array (n,) or (n, k), optional
        Anomaly scores, larger for what is more anomalous, NaN where unknown. Where not given: the distance
        from the mean, in standard deviations.
    method : "forest" or "process"
        Extremely randomized trees (Geurts, Ernst & Wehenkel 2006) on features and scores, or a Gaussian
        process in the features' 20 main directions, its width a share of their median distance.
    seed : int
        One seed, one order.

    Returns
    -------
    Ranking
        Rows with NaN or infinite features have the value NaN and are last; votes on them teach nothing.

    Raises
    ------
    BadInput
        For z or scores of another shape, and for votes on rows that there are not.
    ValueError
        For another vote or method.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(500, 4))
    >>> z[:20, 0] += 6
    >>> z[20:60, 1] -= 9  # stranger still, and not wanted
    >>> ranking = rank(z, {0: "interesting", 1: "interesting", 20: "artefact", 99: "ordinary"})
    >>> bool((ranking.order[:20] < 20).sum() > 15), ranking.explain(5, k=2).choices
    (True, ('interesting', 'interesting'))
    """
    one_of("method", method, METHODS)
    z, finite = _features(z)
    votes = _votes(votes, len(z))
    x = _standard(z, finite)
    ranks = _ranks((x**2).sum(axis=1) if scores is None else scores, finite)
    known = np.isfinite(ranks)
    prior = np.where(known, ranks, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    prior = np.where(finite, np.round(prior, 12), np.nan)  # so that equal means are equal
    space = _directions(x, finite, seed)
    rows = np.array([row for row in votes if finite[row]], dtype=np.int64)
    y = np.array(
        [[votes[int(row)] == kind for kind in ("interesting", "artefact")] for row in rows], dtype=float
    )
    if not len(y):
        nothing, unsure = np.where(finite, 0.0, np.nan), np.where(finite, 0.5, np.nan)
        return Ranking(_order(prior), prior, unsure, None, prior, prior, nothing, votes, space)
    if method == "forest":
        mean, spread = _forest(np.column_stack([x, np.where(known, ranks, 0.5)]), finite, rows, y, seed)
    else:
        mean, spread = _process(space, finite, rows, y, seed)
    far = _to_nearest(space, finite, rows)
    trust = np.exp(-far / (REACH * max(np.nanmean(far), 1e-30)))
    prior = prior * (y[:, 0].sum() + 1) / (len(y) + 2)  # Laplace's rule: one of each before the first vote
    value = trust * mean[:, 0] + (1 - trust) * prior
    artefact = mean[:, 1] if y[:, 1].any() else None
    return Ranking(_order(value), value, spread, artefact, mean[:, 0], prior, trust, votes, space)


def _features(z) -> tuple[np.ndarray, np.ndarray]:
    z = np.asarray(z)
    if z.ndim != 2 or not z.shape[1] or z.dtype.kind not in "fiu":
        raise BadInput("z", f"it has shape {z.shape} of {z.dtype}, wanted numbers (n, d) with d at least 1")
    return z, np.isfinite(z).all(axis=1)


def _votes(votes: Mapping[int, str], n: int) -> dict[int, str]:
    """The votes in order of rows, so that the order in which they came changes nothing."""
    for row, choice in votes.items():
        if not isinstance(row, int | np.integer) or not 0 <= row < n:
            raise BadInput("votes", f"row {row!r}, wanted 0 to {n - 1}; votes.by_row(latents.id) gives rows")
        one_of("vote", choice, CHOICES)
    return {int(row): str(votes[row]) for row in sorted(votes)}


def _standard(z: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Features as float32 with mean 0 and standard deviation 1, NaN in rows that are not finite."""
    x = np.full(z.shape, np.nan, dtype=np.float32)
    if finite.any():
        part = z[finite]
        mean, scale = part.mean(axis=0, dtype=np.float64), part.std(axis=0, dtype=np.float64)
        x[finite] = (part - mean) / np.where(scale > 0, scale, 1)
    return x


def _ranks(scores, finite: np.ndarray) -> np.ndarray:
    """The rank (n, k) of each score, 0 to 1; equal scores have equal ranks."""
    from scipy.stats import rankdata

    scores = np.asarray(scores)
    if scores.ndim not in (1, 2) or len(scores) != len(finite) or scores.dtype.kind not in "fiu":
        wanted = f"wanted ({len(finite)},) or ({len(finite)}, k), one row a galaxy"
        raise BadInput("scores", f"they have shape {scores.shape} of {scores.dtype}, {wanted}")
    scores = scores.reshape(len(finite), -1)
    ranks = np.full(scores.shape, np.nan)
    for k, column in enumerate(scores.T):
        known = finite & ~np.isnan(column)
        ranks[known, k] = (rankdata(column[known]) - 0.5) / max(known.sum(), 1)
    return ranks


def _directions(x: np.ndarray, finite: np.ndarray, seed: int) -> np.ndarray:
    """The features in the (at most 20) directions in which they vary most: there distances are measured."""
    if x.shape[1] <= MOST_DIM:
        return x
    _, vectors = np.linalg.eigh(
        np.cov(x[_some(finite, SAMPLE, seed)].T) if finite.sum() > 1 else np.eye(x.shape[1])
    )
    return x @ vectors[:, ::-1][:, :MOST_DIM].astype(np.float32)


def _some(finite: np.ndarray, most: int, seed: int) -> np.ndarray:
    rows = np.flatnonzero(finite)
    return rows if len(rows) <= most else np.random.default_rng(seed).choice(rows, most, replace=False)


def _order(value: np.ndarray) -> np.ndarray:
    return np.argsort(-value, kind="stable")  # NaN last


def _chunks(finite: np.ndarray) -> Iterator[np.ndarray]:
    rows = np.flatnonzero(finite)
    return (rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK))


def _forest(x, finite, rows, y, seed) -> tuple[np.ndarray, np.ndarray]:
    """Trees' mean (n, 2) for being wanted, being an artefact, and their spread (n,) about the first."""
    from sklearn.ensemble import ExtraTreesRegressor

    share = y[:, 0].mean()
    each = np.maximum([1 - share, share], 1e-9)  # as much for the few as for the many
    weight = 0.5 / each[y[:, 0].astype(int)]
    model = ExtraTreesRegressor(TREES, random_state=seed).fit(x[rows], y, sample_weight=weight)
    mean, spread = np.full((len(x), 2), np.nan), np.full(len(x), np.nan)
    for part in _chunks(finite):
        given = np.ascontiguousarray(x[part], dtype=np.float32)
        each = np.stack([tree.tree_.predict(given).reshape(-1, 2) for tree in model.estimators_])
        mean[part], spread[part] = each.mean(axis=0), each[..., 0].std(axis=0)
    return mean, spread


def _process(x, finite, rows, y, seed) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian process' mean (n, 2), as of the forest, and its spread (n,)."""
    from scipy.spatial.distance import pdist
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    width = WIDTH * np.median(pdist(x[_some(finite, 1000, seed)])) or 1.0
    share = y.mean(axis=0)
    kernel = ConstantKernel(0.25) * RBF(width)
    model = GaussianProcessRegressor(kernel, alpha=0.25 * NOISE, optimizer=None).fit(x[rows], y - share)
    mean, spread = np.full((len(x), 2), np.nan), np.full(len(x), np.nan)
    for part in _chunks(finite):
        found, wide = model.predict(x[part], return_std=True)
        mean[part], spread[part] = np.clip(found + share, 0, 1), wide[:, 0]
    return mean, spread


def _to_nearest(x: np.ndarray, finite: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Distance (n,) to the nearest of some rows."""
    from scipy.spatial.distance import cdist

    far = np.full(len(x), np.nan)
    for part in _chunks(finite):
        far[part] = cdist(x[part], x[rows]).min(axis=1)
    return far
