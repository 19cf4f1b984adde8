"""Exercises of notebook 00, Start here."""

from __future__ import annotations

import numpy as np

from . import exercise
from .answers import names, strangers, survey

NOBODY = "there is no galaxy of this name; ids look like those in latents.id."


@exercise(
    "00.1",
    "the id of one galaxy",
    "columns of latents are arrays, in the order of latents.id: latents['half_light_radius'].",
    "np.nanargmax(...) is the place of the largest value; NaN stands for what could not be measured.",
    why="Columns and ids are in one order, so that a place in one is a place in the other.",
)
def largest(answer):
    latents = survey().latents
    (name,) = names(answer)
    if strangers(name):
        return NOBODY
    return name == str(latents.id[np.nanargmax(latents["half_light_radius"])])


@exercise(
    "00.2",
    "a selection: ids of galaxies, as explorer.selection has them",
    "color the map by `color` and lasso where it is red; or compare latents['color'] with a number.",
    "np.nanquantile(latents['color'], 0.9) is the color beyond which one galaxy in ten lies.",
    why="A selection is a tuple of ids, whether a hand or a comparison made it.",
)
def red(answer):
    latents = survey().latents
    chosen = set(names(answer))
    if strangers(answer):
        return NOBODY
    if not 20 <= len(chosen) <= 200:
        return f"these are {len(chosen)} galaxies, wanted 20 to 200."
    reddest = set(map(str, latents.id[latents["color"] > np.nanquantile(latents["color"], 0.9)]))
    return len(chosen & reddest) >= len(chosen) / 2


@exercise(
    "00.3",
    "the id of one galaxy",
    "np.linalg.norm(latents.z - latents.z[i], axis=1) has the distances from galaxy i to all.",
    "a galaxy's nearest neighbor is the second in the order of distances: np.argsort(distances)[1].",
    why="Sixteen numbers are enough to find what looks alike: that is all that similarity search does.",
)
def nearest(answer):
    latents = survey().latents
    (name,) = names(answer)
    if strangers(name):
        return NOBODY
    start = np.nanargmax(latents["half_light_radius"])
    if name == str(latents.id[start]):
        return "this is the galaxy itself, at no distance from itself: wanted the next."
    distances = np.linalg.norm(latents.z - latents.z[start], axis=1)
    return name == str(latents.id[np.argsort(distances)[1]])
