"""A recipe: one TOML file from data to shipped weights, the same for everyone who runs it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table

from . import metrics, models, sources, weights
from .backgrounds import stirred
from .conditions import measure
from .encoding import reconstruct
from .errors import BadInput, one_of
from .images import Images
from .models.base import Model
from .morphology import measure as morphology
from .provenance import array_hash, held_out
from .sky import sky_only
from .train import Settings, fit

TABLES = {
    "data": {"source", "crop", "center", "bin", "grey", "sky", "stirred", "held_out"},
    "model": {"kind"},
    "train": {field.name for field in fields(Settings)},
}


def read(path: str | Path) -> dict:
    """A recipe as a dict, checked: tables [data], [model] and [train], and a name.

    Raises BadInput, naming the file, if it is not TOML, a table is missing or a key, a model, a source
    or a training option is misspelt.
    """
    path = Path(path)
    try:
        recipe = tomllib.loads(path.read_text())
        for name in recipe:
            one_of("key", name, ("name", "credit", "start", "long", "data", "model", "train"))
        for name in ("name", "data", "model", "train"):
            recipe[name]
        one_of("model", recipe["model"].get("kind"), models.MEMBERS)
        one_of("source", recipe["data"].get("source"), sources.MEMBERS)
        for option in recipe["train"]:
            one_of("train option", option, sorted(TABLES["train"]))
        Settings(**_tuples(recipe["train"]))
        if not re.fullmatch(r"\w[\w.-]*", str(recipe["name"])):
            raise ValueError(f"name={recipe['name']!r}, wanted letters, digits, points and hyphens")
        if not isinstance(long := recipe.get("long", 1), int) or long < 1:
            raise ValueError(f"long={long!r}, wanted a whole number of at least 1")
        share = recipe["data"].get("held_out", 0.2)
        if not isinstance(share, int | float) or not 0 <= share < 1:
            raise ValueError(f"held_out={share!r}, wanted a share from 0 to below 1")
        if recipe.get("start") == path.name:
            raise ValueError("it starts from itself, wanted another recipe")
    except KeyError as error:
        raise BadInput(path, f"no {error} in the recipe, wanted name, [data], [model] and [train]") from error
    except OSError as error:
        raise BadInput(path, f"{error.strerror}, wanted a recipe like those in recipes/") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise BadInput(path, str(error)) from error
    return recipe


def load_data(recipe: dict, folder: str | Path) -> tuple[Images, np.ndarray]:
    """The recipe's galaxies, cropped, and the mask (n,) of the held-out ones.

    Of [data], `crop` is done first, with `center = true` about where galaxies are in the median, then `bin`;
    `grey = true` leaves the mean of bands, `sky = true` the sky, `stirred = 0.3` replaces that share of
    pixels by others (held-out ones among themselves).
    """
    options = {k: v for k, v in recipe["data"].items() if k not in TABLES["data"]}
    if "path" in options:
        options["path"] = Path(folder) / options["path"]
    images = sources.load(recipe["data"]["source"], **_tuples(options)).read(skip_bad=True)
    if "crop" in recipe["data"]:
        center = _center(images) if recipe["data"].get("center", False) else None
        images = images.crop(recipe["data"]["crop"], center)
    if "bin" in recipe["data"]:
        images = images.bin(recipe["data"]["bin"])
    if recipe["data"].get("grey", False):
        images = images.grey()
    if recipe["data"].get("sky", False):
        images = sky_only(images)
    mask = held_out(images.id, share=recipe["data"].get("held_out", 0.2))
    if share := recipe["data"].get("stirred"):
        pixels = images.pixels.copy()
        for part in (mask, ~mask):
            pixels[part] = stirred(pixels[part], share)
        images = images.with_pixels(pixels)
    return images, mask


def _center(images: Images) -> tuple[float, float]:
    """Row and column at which galaxies are, in the median."""
    found = morphology(images)
    return tuple(float(np.nanmedian(found[name])) for name in ("y", "x"))


def build(recipe: dict) -> Model:
    """The recipe's model with its seeded random weights."""
    options = {k: v for k, v in recipe["model"].items() if k != "kind"}
    with torch.random.fork_rng():
        torch.manual_seed(recipe["train"].get("seed", 0))
        return models.load(recipe["model"]["kind"], **_tuples(options))


def cook(path: str | Path, out: str | Path = "runs", *, device: str = "cpu", progress: bool = True) -> Path:
    """Train a recipe to the end, resuming where it stopped, and save weights with their card.

    A recipe with `start = "OTHER.toml"` goes on from that recipe's weights, which are made first; with
    `long = 30` rows of more numbers are stored in 8 bits each, as `weights.save` has it.

    Parameters
    ----------
    path : path of a recipe (.toml)
    out : folder
        Gets NAME.checkpoint while training, NAME.safetensors and NAME.json at the end.

    Returns
    -------
    Path
        Of the weights. The card has data, credit, seed, steps and held-out scores.
    """
    path, out = Path(path), Path(out)
    recipe = read(path)
    images, mask = load_data(recipe, path.parent)
    model = build(recipe)
    model.tensor(images)  # raises where bands, size or pixels do not fit
    if "start" in recipe:
        first = cook(path.parent / recipe["start"], out, device=device, progress=progress)
        try:
            model.load_state_dict(weights.load(first).state_dict())
        except RuntimeError as error:
            raise BadInput(path, f"its model has other weights than that of {recipe['start']}") from error
    images = images[list(model.bands)]
    settings = Settings(**_tuples(recipe["train"]))
    labels = _labels(model, images)
    history = fit(
        model,
        images[~mask].pixels,
        held_out=images[mask].pixels if mask.any() else None,
        labels=labels and labels[~mask],
        held_out_labels=labels and labels[mask],
        settings=settings,
        checkpoint=out / f"{recipe['name']}.checkpoint",
        warm_start="start" not in recipe,
        device=device,
        progress=progress,
    )
    steps = history[-1].step if history else 0
    card = {
        "recipe": recipe,
        "credit": recipe.get("credit", ""),
        "seed": settings.seed,
        "steps": steps,
        "n_train": int((~mask).sum()),
        "n_held_out": int(mask.sum()),
        "data_sha256": array_hash(images.pixels),
    }
    if "latent_dim" in model.config:
        shape = (len(model.bands), model.size, model.size)
        card["compression"] = metrics.ratios(shape, model.config["latent_dim"])
    stored = {"half": True, "long": recipe.get("long", weights.LONG)}
    saved = weights.save(model, out / recipe["name"], card=card, **stored)
    if not mask.any():
        return saved
    scores = _scores(weights.load(saved), images[mask])
    return weights.save(model, saved, card=card | {"held_out": scores}, **stored)


def _scores(model: Model, images: Images) -> dict[str, float]:
    """What a reconstruction keeps; of a model of pixels, which has none, the bits that their levels take."""
    if model.can("decode"):
        return metrics.fidelity(images, reconstruct(images, model))
    with torch.inference_mode():
        bits = [model.bits(model.tensor(images[i : i + 256])) for i in range(0, len(images), 256)]
    return {"bits_per_dimension": float(torch.cat(bits).nanmean())}


def _labels(model: Model, images: Images) -> Table | None:
    """The physical conditions that a model wants to be told, measured on the images."""
    names = model.config.get("conditions")
    return measure(images)[list(names)] if names else None


def _tuples(options: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
