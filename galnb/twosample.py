"""Are two samples drawn from one distribution? Tests of that, each with the error of its answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.spatial.distance import cdist

from .errors import BadInput

MOST = 2000  # points of a sample whose distances are held at a time: 4000 x 4000 numbers are 128 MB
FEWEST = 10  # points of a sample


def ks(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """The largest difference of two cumulative distributions (n,), (m,), and its p-value.

    Kolmogorov & Smirnov. Sees shifts best, and tails badly.

    >>> rng = np.random.default_rng(0)
    >>> distance, p = ks(rng.normal(size=300), rng.normal(size=300) + 0.5)
    >>> distance > 0.15, p < 1e-3
    (True, True)
    """
    a, b = (each[:, 0] for each in _samples(a, b, dims=1))
    found = stats.ks_2samp(a, b)
    return float(found.statistic), float(found.pvalue)


def energy(a: ArrayLike, b: ArrayLike, *, draws: int = 500, seed: int = 0) -> tuple[float, float]:
    """Energy distance of samples (n, d), (m, d), each column in units of its scatter in b, and its p-value.

    `2 E|A - B| - E|A - A'| - E|B - B'|`, without bias, so that it is 0 in the mean, and may be below, where
    both are drawn from one distribution (Szekely & Rizzo 2013). The p-value is the share of `draws`
    permutations of the labels with at least this distance. Of more than 2,000 points a random 2,000 count.

    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(300, 2)), rng.normal(size=(200, 2))
    >>> energy(a, b)[1] > 0.05, energy(a + 0.5, b)[1] < 0.01
    (True, True)
    """
    a, b = _samples(a, b)
    rng = np.random.default_rng(seed)
    scale = b.std(axis=0)
    scale[scale == 0] = 1
    a, b = (each[rng.permutation(len(each))[:MOST]] / scale for each in (a, b))
    n, m = len(a), len(b)
    both = np.concatenate([a, b])
    apart = cdist(both, both)
    # One column a labelling, the true one first; `ones` marks those that count as a.
    ones = np.zeros((n + m, 1 + draws))
    ones[:n, 0] = 1
    for k in range(draws):
        ones[rng.permutation(n + m)[:n], 1 + k] = 1
    to_a = apart @ ones
    within_a = (ones * to_a).sum(0)
    across = ((1 - ones) * to_a).sum(0)
    within_b = apart.sum() - within_a - 2 * across
    distance = 2 * across / (n * m) - within_a / (n * (n - 1)) - within_b / (m * (m - 1))
    return float(distance[0]), float((1 + (distance[1:] >= distance[0] - 1e-12).sum()) / (1 + draws))


def auroc(a: ArrayLike, b: ArrayLike) -> float:
    """The chance that one of a (n,) is below one of b (m,), ties half: 0.5 where they are alike.

    The area under the ROC curve of telling both apart by "low means a" (Mann & Whitney 1947).

    >>> auroc([0, 1, 2], [1, 2, 3])
    0.7777777777777778
    """
    a, b = (each[:, 0] for each in _samples(a, b, dims=1, fewest=1))
    return float(1 - stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)))


def told_apart(a: ArrayLike, b: ArrayLike, *, folds: int = 5, seed: int = 0) -> tuple[float, float]:
    """How well a classifier tells samples (n, d), (m, d) apart: area under its ROC curve, and its error.

    0.5 where it cannot, 1 where it always does (Lopez-Paz & Oquab 2017): gradient boosted trees, which take
    NaN, in five folds, on as many of each. The error is that of the mean of the folds.

    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
    >>> abs(told_apart(a, b)[0] - 0.5) < 0.06, told_apart(a + [0, 0, 2], b)[0] > 0.85
    (True, True)
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_score

    a, b = _samples(a, b, unknown=True)
    rng = np.random.default_rng(seed)
    n = min(len(a), len(b))
    x = np.concatenate([part[rng.permutation(len(part))[:n]] for part in (a, b)])
    y = np.repeat([1, 0], n)
    order = rng.permutation(2 * n)
    trees = HistGradientBoostingClassifier(random_state=seed)
    scores = cross_val_score(trees, x[order], y[order], cv=folds, scoring="roc_auc")
    return float(scores.mean()), float(scores.std(ddof=1) / folds**0.5)


def bootstrap(values: ArrayLike, measure=np.median, *, draws: int = 500, seed: int = 0) -> np.ndarray:
    """What `measure(values, axis=0)` would be of `draws` other samples as large (draws, ...): by resampling.

    Their standard deviation is its error, their percentiles are its band (Efron 1979).

    >>> float(bootstrap(np.arange(100.0), np.mean).std().round())
    3.0
    """
    values = np.asarray(values)
    rng = np.random.default_rng(seed)
    return np.array(
        [measure(values[rng.integers(0, len(values), len(values))], axis=0) for _ in range(draws)]
    )


def _samples(a, b, *, dims: int | None = None, unknown: bool = False, fewest: int = FEWEST):
    """Both as (n, d) of float; BadInput for other shapes, for too few points and for NaN, unless allowed."""
    both = []
    for name, given in (("a", a), ("b", b)):
        x = np.asarray(given, dtype=np.float64)
        x = x[:, None] if x.ndim == 1 else x
        if x.ndim != 2 or (dims is not None and x.shape[1] != dims):
            wanted = "(n,)" if dims == 1 else "(n, d)"
            raise BadInput(f"sample {name}", f"it has shape {np.shape(given)}, wanted {wanted}")
        if len(x) < fewest:
            raise BadInput(f"sample {name}", f"it has {len(x)} points, wanted at least {fewest}")
        if not unknown and not np.isfinite(x).all():
            raise BadInput(f"sample {name}", "it has NaN or infinite values; leave those points out")
        both.append(x)
    if both[0].shape[1] != both[1].shape[1]:
        came = f"they have {both[0].shape[1]} and {both[1].shape[1]} columns"
        raise BadInput("the samples", f"{came}, wanted as many in both")
    return both
