"""Exercises of notebook 05, Flows and densities."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import alike, array, close, number, survey

LESS_THAN = 1e-3


@exercise(
    "05.1",
    "a function: log_p(x) -> nats (n,), of points (n, 2)",
    "go back first: the first coordinate of u is that of x, and the second follows from both of x.",
    "log p(u) of a Gaussian in two dimensions is -(u1**2 + u2**2) / 2 - log(2 pi); then take away log |det|, "
    "which is s(x1).",
    why="A flow is a Gaussian and a change of units: where the map stretches, the density thins out.",
)
def coupled(answer):
    x = np.random.default_rng(0).normal(0, [1.0, 2.0], (200, 2))
    found = array(answer(x.copy()))
    s, t = x[:, 0] / 2, x[:, 0] ** 2
    log_normal = lambda u: -(x[:, 0] ** 2 + u**2) / 2 - np.log(2 * np.pi)  # noqa: E731
    back = (x[:, 1] - t) * np.exp(-s)
    mistakes = {
        "the determinant has the wrong sign: where the map stretches, points thin out.": log_normal(back) + s,
        "the determinant is left out: this is log p(u).": log_normal(back),
        "a Gaussian's constant is left out.": log_normal(back) - s + np.log(2 * np.pi),
        "a Gaussian's constant is that of one dimension, wanted of two.": log_normal(back)
        - s
        + np.log(2 * np.pi) / 2,
        "it moves x once more, wanted back: x2 is given, and u2 is looked for.": log_normal(
            x[:, 1] * np.exp(s) + t
        )
        - s,
        "on the way back the shift comes first, and then the scale.": log_normal(x[:, 1] * np.exp(-s) - t)
        - s,
        "this is the density, wanted its logarithm.": np.exp(log_normal(back) - s),
    }
    if alike(found, log_normal(back) - s, 1e-6):
        return True
    return next((said for said, wrong in mistakes.items() if alike(found, wrong, 1e-6)), False)


@cache
def split() -> tuple[np.ndarray, np.ndarray]:
    """Rows that are held out, and rows to learn from, as in the notebook."""
    order = np.random.default_rng(0).permutation(len(survey().latents))
    return order[: len(order) // 5], order[len(order) // 5 :]


@cache
def gaussians() -> tuple[np.ndarray, np.ndarray]:
    """How far a Gaussian with a full covariance is above one with none, on galaxies held out, and seen."""
    from scipy.stats import multivariate_normal

    z, (held, train) = survey().latents.z.astype(np.float64), split()
    covariance = np.cov(z[train].T)
    known = (covariance, np.diag(np.diag(covariance)))
    full, diagonal = (multivariate_normal(z[train].mean(axis=0), each) for each in known)
    return tuple(full.logpdf(z[rows]) - diagonal.logpdf(z[rows]) for rows in (held, train))


@exercise(
    "05.2",
    "a difference in nats a galaxy: one number",
    "np.cov(latents.z[train].T) has variances in its diagonal; np.diag of np.diag keeps these alone.",
    "scipy.stats.multivariate_normal(mean, covariance).logpdf(z) has log p (n,) of each: fit to `train`, "
    "ask `held`.",
    why="Covariances help most galaxies a little and cost a few strange ones dearly: the mean counts both.",
)
def pays_off(answer):
    held, seen = gaussians()
    found, truth = number(answer), float(held.mean())
    if close(found, truth, 0.03):
        return True
    if close(found, np.median(held), 0.002):
        return "this is the median, wanted the mean, as in the table above."
    if close(found, -truth, 0.03):
        return "its sign is wrong: wanted the full one above the diagonal one."
    if close(found, seen.mean(), 0.03):
        return "so it is on galaxies that both have seen; asked is for those held out."
    if close(found, held.sum(), 0.03):
        return "this is the sum, wanted a galaxy's mean."
    if close(found, truth / np.log(2), 0.03):
        return "this is in bits, wanted nats."
    return False


def fewest(square) -> int:
    """The fewest dimensions d in which less than one in a thousand is within a radius of squared size."""
    from scipy.stats import chi2

    return next(d for d in range(1, 1000) if chi2.cdf(square(d), d) < LESS_THAN)


@exercise(
    "05.3",
    "a number of dimensions",
    "draw a hundred thousand points of d numbers each, and look at their distances from 0.",
    "the square of the distance is chi-squared distributed: scipy.stats.chi2.cdf(r**2, d) is the share "
    "within r.",
    why="The likeliest place of all is where nothing ever is; most of a Gaussian is a shell of radius "
    "sqrt(d).",
)
def empty_peak(answer):
    found, truth = number(answer), fewest(lambda d: d / 4)
    if found == truth - 1:
        return "one too few: there it is still a little more than one in a thousand."
    if found == fewest(lambda d: d / 2):
        return "half of sqrt(d), squared, is d / 4."
    if found == fewest(lambda d: d**0.5 / 2):
        return "chi-squared is the distribution of the distance's square."
    return found == truth


@cache
def radii() -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of half-light radii: of the galaxies to learn from, and of those to test with."""
    size = np.log(np.asarray(survey().latents["half_light_radius"], dtype=float))
    held, train = split()
    return size[train[np.isfinite(size[train])]], size[held[np.isfinite(size[held])]]


@exercise(
    "05.4",
    "draws (n, m): for each galaxy of `test`, m draws of the logarithm of its radius, m at least 100",
    "what do you know of a galaxy's radius before you have looked at it?",
    "size[learn] are radii of other galaxies: what if each galaxy's posterior were drawn from them?",
    why="A flat PIT says that errors are as large as they are said to be; it does not say that they are "
    "small.",
)
def useless(answer):
    from ..calibration import pit, uniformity

    learn, test = radii()
    draws = array(answer)
    if draws.ndim != 2 or len(draws) != len(test) or not 100 <= draws.shape[1] <= 10_000:
        return f"its shape is {draws.shape}, wanted ({len(test)}, m) with m at least 100."
    if not np.isfinite(draws).all():
        return "some of the draws are not finite."
    if np.median(draws, axis=1).std() > 0.3 * learn.std():
        return "these know something of each galaxy; wanted a posterior that has looked at none."
    if alike(np.median(draws), np.exp(np.median(learn)), 0.1):
        return "these are radii, wanted their logarithms."
    found, most = uniformity(pit(draws, test)), 1.36 / len(test) ** 0.5
    if found > most and draws.std(axis=1).mean() < 0.7 * learn.std():
        return f"this is too sure of itself: the distance from flat is {found:.3f}, wanted below {most:.3f}."
    return bool(found <= most)
