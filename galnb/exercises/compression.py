"""Exercises of notebook 01, Compression."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import array, number, pictures, survey


@cache
def held() -> np.ndarray:
    """Mask (n,) of the galaxies that are judged by."""
    from ..provenance import held_out

    return held_out(survey().images.id)


@cache
def explained() -> tuple[np.ndarray, np.ndarray]:
    """Share of variance in the first 1 to 128 components: of galaxies learned from, of those held out."""
    flat = survey().images.pixels.reshape(len(survey().images), -1).astype(np.float64)
    flat -= flat[~held()].mean(axis=0)
    parts = flat[~held()], flat[held()]
    _, weights = np.linalg.eigh(parts[0] @ parts[0].T)  # of galaxies, which are fewer than pixels
    components = weights[:, :-129:-1].T @ parts[0]
    components /= np.linalg.norm(components, axis=1, keepdims=True)
    return tuple(np.square(x @ components.T).sum(axis=0).cumsum() / np.square(x).sum() for x in parts)


@exercise(
    "01.1",
    "a number of components",
    "metrics.mse(unseen.pixels, principal(unseen, k).pixels).mean() is what k components miss; with k = 0 "
    "only the mean galaxy is drawn.",
    "what is explained is 1 - missed(k) / missed(0): ask for k = 1, 2, 3, ... until it is above 0.8.",
    why="Components are made for the galaxies that they were learned from; others need more of them.",
)
def components_for_others(answer):
    seen, unseen = (1 + int(np.argmax(share > 0.8)) for share in explained())
    found = number(answer)
    if found == seen:
        return (
            "so many do for the galaxies that PCA has learned from; asked is for those that it has not seen."
        )
    if found == unseen - 1:
        return "one off: the first place in Python is 0, and so many components explain a little less."
    return found == unseen


@exercise(
    "01.2",
    "at least ten pictures: pixels (n, 3, 32, 32)",
    "with one component PCA draws the mean picture, plus more or less of one other picture.",
    "to turn or to move a galaxy brings light to other pixels; what leaves the light where it is?",
    why="What is straight in pixels, more or less light in the same places, is all that PCA can say with a "
    "number.",
)
def straight(answer):
    found = pictures(answer, 3, 32, 32)
    if len(found) < 10:
        return f"these are {len(found)}, wanted at least ten pictures."
    if not np.isfinite(found).all() or len(np.unique(found.round(6), axis=0)) < len(found):
        return "some of them are the same, or not finite: wanted pictures that all differ."
    flat = found.reshape(len(found), -1)
    spread = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False) ** 2
    if spread[0] < 0.99 * spread.sum():
        return False
    real = survey().images.pixels.reshape(len(survey().images), -1)
    if not (abs(_unit(flat) @ _unit(real).T).max(axis=1) > 0.8).all():
        return "in one of them no galaxy of the survey can be seen."
    return True


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and length 1, so that their products are correlations; a constant row is 0."""
    x = x - x.mean(axis=1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


@cache
def bits_enough() -> int:
    """The fewest bits of a latent with which the shipped network's error grows by less than 5 %."""
    from ..encoding import decode
    from ..metrics import mse

    images, latents, model = survey()
    z, like = latents.z[held()], latents.z[~held()]
    low, high = like.min(axis=0), like.max(axis=0)
    share = (np.clip(z, low, high) - low) / (high - low)
    error = lambda z: mse(images.pixels[held()], decode(z, model)).mean()  # noqa: E731
    steps = [2**bits - 1 for bits in range(1, 17)]
    rounded = (low + np.rint(share * step) / step * (high - low) for step in steps)
    most = 1.05 * error(z)
    return next(bits for bits, each in enumerate(rounded, 1) if error(each.astype(np.float32)) < most)


@exercise(
    "01.3",
    "a number of bits",
    "`one_byte` has 2**8 levels, with 2**8 - 1 steps between them: make a function with 2**bits.",
    "_, latents, shipped = galnb.default_survey() has the network; round galnb.encode(unseen, shipped).z, "
    "decode it, and compare the error with that of galnb.reconstruct(unseen, shipped).",
    why="A latent holds few bits of truth; the rest of its 32 writes down noise.",
)
def fewest_bits(answer):
    found, truth = number(answer), bits_enough()
    if found in (2**truth, 2**truth - 1):
        return "this is a number of levels; b bits make 2**b of them."
    if found == 16 * truth:
        return "so many bits has a galaxy, wanted the bits of one of its 16 numbers."
    return found == truth


@exercise(
    "01.4",
    "an array (n, d) of n points, 500 to 3,000, of d numbers each",
    "draw three numbers for each point, and make all others from these three.",
    "if they are made by a matrix, three components see through it; let them bend, as a cosine does.",
    why="How many numbers there are, how many PCA needs and in how many ways points differ are three "
    "questions.",
)
def bent(answer):
    from sklearn.neighbors import NearestNeighbors

    points = array(answer)
    if points.ndim != 2 or not 500 <= len(points) <= 3000 or not 4 <= points.shape[1] <= 100:
        return f"its shape is {points.shape}, wanted 500 to 3,000 points of 4 to 100 numbers each."
    if not np.isfinite(points).all():
        return "some of its numbers are not finite."
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
    distance = NearestNeighbors(n_neighbors=3).fit(points).kneighbors(points)[0]
    if not distance[:, 1].min() > 0:
        return "some points are the same, wanted points that all differ."
    dimension = len(points) / np.log(distance[:, 2] / distance[:, 1]).sum()
    if not 2.5 <= dimension <= 3.5:
        return False
    if spread[:3].sum() > 0.9 * spread.sum():
        return f"three components hold {spread[:3].sum() / spread.sum():.0%} of the variance: bend them more."
    return True
