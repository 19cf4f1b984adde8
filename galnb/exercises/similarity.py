"""Exercises of notebook 02, Similarity."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import array, names, strangers, survey

NOBODY = "there is no galaxy of this name; ids look like those in latents.id."
ALIKE = ("color", "half_light_radius", "ellipticity")
TIMES = 6  # more alike than a random galaxy


@cache
def ordered() -> tuple[np.ndarray, np.ndarray]:
    """All other galaxies of each, the nearest first: their rows and distances (n, n - 1)."""
    from scipy.spatial.distance import cdist

    z = survey().latents.z.astype(np.float64)
    apart = cdist(z, z)
    np.fill_diagonal(apart, -1)  # itself first, also where another one has the same latents
    rows = np.argsort(apart, axis=1)[:, 1:]
    return rows, np.take_along_axis(apart, rows, axis=1)


@exercise(
    "02.1",
    "the id of one galaxy",
    "Neighbors(latents).search(latents.z, k=2) asks for all galaxies at once: it has rows and distances (n, "
    "2).",
    "the first column is the galaxy itself; the largest number of the second is at np.argmax(...).",
    why="The distance to the nearest neighbor is an anomaly score already: nothing else is like this galaxy.",
)
def loneliest(answer):
    latents = survey().latents
    (name,) = names(answer)
    if strangers(name):
        return NOBODY
    rows, apart = ordered()
    alone = int(np.argmax(apart[:, 0]))
    if name == str(latents.id[alone]):
        return True
    if name == str(latents.id[rows[alone, 0]]):
        return "this is the neighbor of the loneliest galaxy, wanted the galaxy itself."
    if name == str(latents.id[np.argmin(apart[:, 0])]):
        return "this one has the nearest neighbor of all: it is the least lonely."
    if name == str(latents.id[0]):
        return "each galaxy is the nearest to itself, at a distance of 0: look at the next one."
    return False


@exercise(
    "02.2",
    "two ids: (a, b)",
    "look where b has many near neighbors and a has few: at the edge of a crowd.",
    "rows = Neighbors(latents).search(latents.z, k=11).rows has itself first, and then ten; go through all "
    "galaxies i with the nearest j = rows[i, 1], and ask whether i is in rows[j].",
    why="To be like is not mutual: the nearest to a lonely galaxy has nearer ones. So ranks and distances "
    "differ.",
)
def not_mutual(answer):
    found = names(answer)
    if len(found) != 2:
        return f"these are {len(found)} names, wanted two ids."
    if strangers(found):
        return NOBODY
    a, b = (int(np.flatnonzero(survey().latents.id.astype(str) == name)[0]) for name in found)
    if a == b:
        return "these are twice the same galaxy."
    rows, _ = ordered()
    if rows[a, 0] != b and rows[b, 0] == a:
        return "it is the other way round: the second one shall be the nearest to the first."
    if rows[a, 0] != b:
        return "the second one is not the nearest to the first."
    if a in rows[b, :10]:
        place = 1 + rows[b].tolist().index(a)
        return f"of the second one, the first is neighbor number {place}, wanted beyond the tenth."
    return True


@exercise(
    "02.3",
    "an array (n, d): d numbers for each galaxy, in the order of latents",
    "np.stack([latents[name] for name in (...)], axis=1) has three columns; which of them differ most in "
    "numbers?",
    "a distance adds what columns differ by, whatever their units: divide each by its own spread.",
    why="A space is alike in the sense that it was made for; its units are part of that sense.",
)
def own_space(answer):
    from scipy.spatial.distance import cdist

    latents = survey().latents
    space = array(answer.z if hasattr(answer, "latent_dim") else answer)
    if space.ndim != 2 or len(space) != len(latents) or space.shape[1] > 100:
        return f"its shape is {space.shape}, wanted ({len(latents)}, d) with d from 1 to 100."
    if not np.isfinite(space).all():
        return "some of its numbers are not finite: no distance can be told."
    apart = cdist(space, space)
    np.fill_diagonal(apart, np.inf)
    nearest, random = apart.argmin(axis=1), np.random.default_rng(0).permutation(len(latents))
    times = {}
    for name in ALIKE:
        value = np.asarray(latents[name])
        near, chance = (np.median(abs(value - value[other])) for other in (nearest, random))
        times[name] = chance / max(near, 1e-9)
    short = [name for name in ALIKE if times[name] < TIMES]
    if len(short) == 1:
        near = f"in {short[0]} the nearest galaxy is {times[short[0]]:.1f} times more alike"
        return f"{near} than a random one, wanted {TIMES} times."
    return not short


@exercise(
    "02.4",
    "a function: forgetful(galaxies) -> array (n, d), of Images",
    "there are eight views: np.rot90(pixels, k, axes=(2, 3)) for k = 0 to 3, each also in the mirror.",
    "what is the same for all eight views? Anything that asks all of them and minds no order, such as their "
    "mean.",
    why="A mean over all views cannot hear which of them it began with: so any network can be made to "
    "forget.",
)
def forgetful(answer):
    from scipy.spatial.distance import cdist

    images = survey().images
    some = images[np.arange(10, len(images), 40)]
    numbers = lambda pixels: array(answer(some.with_pixels(np.ascontiguousarray(pixels))))  # noqa: E731
    before = numbers(some.pixels)
    if before.ndim != 2 or len(before) != len(some):
        return f"of {len(some)} galaxies it gives an array {before.shape}, wanted ({len(some)}, d)."
    usual = np.median(cdist(before, before))
    if not usual > 1e-6:
        return "it forgets too much: all galaxies get the same numbers, or none that are finite."
    turned = [numbers(np.rot90(some.pixels, k, axes=(2, 3))) for k in (1, 2)]
    mirrored = numbers(some.pixels[..., ::-1])
    moved, flipped = (
        max(np.linalg.norm(x - before, axis=1).max() / usual for x in xs) for xs in (turned, [mirrored])
    )
    if moved < 0.01 and flipped >= 0.01:
        return "turns are forgotten; what stands in the mirror still gets other numbers."
    if moved >= 0.01 and flipped < 0.01:
        return "mirrors are forgotten; what is turned still gets other numbers."
    return bool(max(moved, flipped) < 0.01)
