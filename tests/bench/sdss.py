"""The galaxies of gz2_7704 as a recipe reads them, of the folder GALNB_DATA where that is set."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from galnb import recipe
from galnb.images import Images

RECIPES = Path(__file__).parents[2] / "recipes"


def survey(name: str, *, path: str | Path | None = None, whole: bool = False) -> tuple[Images, np.ndarray]:
    """All galaxies, in the bands of the recipe's file, and the mask (n,) of the held-out ones.

    Parameters
    ----------
    name : str
        Of a recipe.
    path : path, optional
        Of gz2_7704.npz, where it is neither in GALNB_DATA nor where the recipe says.
    whole : bool
        Not cropped.
    """
    plan = recipe.read(RECIPES / f"{name}.toml")
    if whole:
        del plan["data"]["crop"]
    if path is None and "GALNB_DATA" in os.environ:
        path = Path(os.environ["GALNB_DATA"], "gz2_7704.npz")
    if path is not None:
        plan["data"]["path"] = str(Path(path).resolve())
    return recipe.load_data(plan, RECIPES)
