"""Exercises of notebook 03, Sampling."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import alike, array, close, number, pictures, survey


@cache
def to_nearest() -> tuple[np.ndarray, np.ndarray]:
    """Distances to the nearest real latents: of independent draws, and of each real one to another one."""
    from sklearn.neighbors import NearestNeighbors

    real = survey().latents.z
    drawn = np.random.default_rng(0).normal(real.mean(0), real.std(0), size=(1000, real.shape[1]))
    index = NearestNeighbors(n_neighbors=2).fit(real)
    return index.kneighbors(drawn)[0][:, 0], index.kneighbors(real)[0][:, 1]


@exercise(
    "03.1",
    "a ratio: one number",
    "sklearn's NearestNeighbors(n_neighbors=2).fit(latents.z).kneighbors(z) has distances (n, 2), and rows.",
    "the nearest to a real galaxy is itself, so take the second column there, and the first one for z; "
    "np.median of each.",
    why="Where numbers are drawn one by one, a galaxy that is near is rare: the decoder has never been "
    "there.",
)
def beside(answer):
    drawn, real = to_nearest()
    found, truth = number(answer), float(np.median(drawn) / np.median(real))
    if close(found, truth, 0.04):
        return True
    if np.isinf(found):
        return "each real galaxy is the nearest to itself, at a distance of 0: take the next one."
    if close(found, 1 / truth, 0.04):
        return "the other way round: how many times farther are those drawn?"
    if close(found, truth**2, 0.04):
        return "these are squares of distances: take the root."
    if close(found, drawn.mean() / real.mean(), 0.04):
        return "this is a ratio of means, wanted that of medians."
    return False


@exercise(
    "03.2",
    "a function: apart(a, b) -> one number, of two arrays (n,)",
    "the least that must be carried: the smallest of a goes to the smallest of b, the next to the next.",
    "np.sort puts both in order; the distance is the mean of |a - b| then, in units of the standard "
    "deviation of b.",
    why="A distance of distributions compares what is equally rare in both, and not galaxy with galaxy.",
)
def wasserstein(answer):
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(0)
    a, b = rng.normal(2.8, 0.5, 700), rng.gamma(2.0, 1.5, 700)
    plain, ordered = abs(a - b).mean(), wasserstein_distance(a, b)
    found = number(answer(a.copy(), b.copy()))
    if close(found, ordered / b.std()):
        return close(answer(b.copy(), a.copy()), ordered / a.std())
    if close(found, ordered):
        return "this is in the units of what is measured; wanted: over the standard deviation of b."
    if close(found, ordered / a.std()):
        return "it is divided by the scatter of a; b are the real galaxies."
    if close(found, plain) or close(found, plain / b.std()):
        return (
            "it compares the first with the first, as they happen to come; distributions have no such order."
        )
    if close(found, abs(a.mean() - b.mean()) / b.std()):
        return "it compares means only: two distributions with the same mean may differ in width and shape."
    return False


@exercise(
    "03.3",
    "a function: divergence(mean, log_std) -> nats (n,), of two tensors (n, d)",
    "it is zero for mean 0 and log_std 0, and a sum over the d numbers.",
    "each number adds (mean**2 + std**2 - 1) / 2 - log(std); std is the exponential of log_std.",
    why="The prior charges for each number that leaves 0 or is said too exactly; unused numbers are free.",
)
def divergence(answer):
    import torch

    mean, log_std = np.random.default_rng(0).normal(0, [[[1.0]], [[0.5]]], (2, 40, 16))
    each = (mean**2 + np.exp(2 * log_std) - 1) / 2 - log_std
    truth = each.sum(axis=1)
    try:
        found = array(answer(torch.from_numpy(mean), torch.from_numpy(log_std)))
    except Exception:  # a function of arrays is as good
        found = array(answer(mean.copy(), log_std.copy()))
    mistakes = {
        "it gives a number for each latent, wanted their sum.": each,
        "it is a mean over latents, wanted a sum.": each.mean(axis=1),
        "a factor of two is missing, or there is one too many.": [2 * truth, truth / 2],
        "its sign is wrong: a divergence is never negative.": -truth,
        "it is in bits, wanted nats: a natural logarithm.": truth / np.log(2),
        "it takes log_std for the logarithm of a variance.": (mean**2 + np.exp(log_std) - 1 - log_std).sum(1)
        / 2,
        "it sums over galaxies, wanted one number for each of them.": truth.sum(),
        "it is a mean over galaxies, wanted one number for each of them.": truth.mean(),
    }
    if alike(found, truth, 1e-4):
        return True
    for said, wrong in mistakes.items():
        if any(alike(found, x, 1e-4) for x in (wrong if isinstance(wrong, list) else [wrong])):
            return said
    return False


@cache
def real_ones():
    """Measured properties of half of the real galaxies, all of them to look among, and how near they are."""
    from .. import realism
    from ..known import Known

    images = survey().images
    half = np.arange(len(images)) % 2 == 0
    _, apart = realism.nearest(images[~half], images[half])
    return realism.properties(images[half]), Known(images), float(np.median(apart))


@exercise(
    "03.4",
    "at least 150 pictures: pixels (n, 3, 32, 32)",
    "the look beside each sample knows turns by 90 degrees, and mirrors; what else leaves a galaxy what it "
    "is?",
    "a copy that is moved by some pixels, or turned by another angle, is measured as before; np.roll moves "
    "all.",
    why="A test finds the copies that it was told of: that galaxies are new is never proved by one number.",
)
def not_new(answer):
    from .. import realism
    from ..images import Images

    drawn = pictures(answer, 3, 32, 32)
    if len(drawn) < 150:
        return f"these are {len(drawn)}, wanted at least 150 pictures."
    if not (np.isfinite(drawn).all() and drawn.min() >= 0 and drawn.max() <= 1):
        return "some of their pixels are not from 0 to 1."
    drawn = drawn[np.linspace(0, len(drawn) - 1, 150).astype(int)]
    some = Images(drawn.astype(np.float32), bands=survey().images.bands)
    real, known, usual = real_ones()
    _, apart = known.nearest(some)
    if np.median(apart) < 0.2 * usual:
        return "these are found out as copies: turned back and mirrored, they are real galaxies."
    if np.median(apart) < usual:
        near = f"half within {np.median(apart):.4f}, wanted {usual:.4f} at least"
        return f"they are too near to real galaxies: {near}."
    told = realism.told_apart(realism.properties(some), real)
    if told > 0.65:
        hint = "take galaxies of every brightness (they are in order), and leave them what they are"
        return f"a classifier tells them from real galaxies ({told:.2f}, wanted 0.65 at most): {hint}."
    return True
