"""Weights with a card: safetensors that are checked before they are believed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor

from . import densities, models
from .densities.base import Density
from .errors import BadWeights, one_of
from .models.base import Model
from .provenance import array_hash, sha256, versions

ASSETS = Path(__file__).parent / "assets"
LONG = 4096  # numbers a row, from which on rows are stored as 8-bit integers
SCALE = ":scale"  # follows the name of such a tensor
TINY = 1e-30  # of rows that are zero


def names() -> list[str]:
    """The weights that are shipped with galnb."""
    return sorted(path.stem for path in ASSETS.glob("*.safetensors"))


def save(model: Model | Density, path: str | Path, *, card: dict | None = None, half: bool = False) -> Path:
    """Write `path` (.safetensors) and its card beside it (.json), each atomically.

    Parameters
    ----------
    card : dict, optional
        Further plain JSON values: data, credit, seed, steps, held-out scores.
    half : bool
        Store floating-point tensors as float16, and those with rows of more than 4,096 numbers, such as
        the components of a PCA, as 8-bit integers with a scale a row; `load` gives float32 again.
    """
    path = _named(path)
    members = {**models.MEMBERS, **densities.MEMBERS}
    kinds = {place.rpartition(":")[2]: name for name, place in members.items()}
    if (kind := kinds.get(type(model).__name__)) is None:
        todo = "add it to its family's MEMBERS, public name to file, so that it can be loaded again"
        raise ValueError(f"{type(model).__name__} is no member of galnb.models or galnb.densities; {todo}")
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        tensors = _small(tensors)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(serialize(tensors))
    described = {
        "name": path.stem,
        "model": kind,
        "config": model.config,
        "sha256": sha256(unfinished),
        "bytes": unfinished.stat().st_size,
        "versions": versions(("galnb", "torch")),
        **(card or {}),
    }
    os.replace(unfinished, path)
    unfinished.write_text(json.dumps(described, indent=2) + "\n")
    os.replace(unfinished, path.with_suffix(".json"))
    return path


def card(name: str | Path) -> dict:
    """The card of shipped weights, by name, or of a .safetensors file, by path."""
    path = _locate(name).with_suffix(".json")
    try:
        described = json.loads(path.read_text())
        described["model"], described["config"], described["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadWeights(path, f"no readable card ({error!r}), wanted model, config and sha256") from error
    return described


def load(name: str | Path, *, device: str = "cpu") -> Model | Density:
    """A trained model or density, in evaluation mode, from shipped weights by name or from a file by path.

    Raises
    ------
    BadWeights
        If the file is truncated, has any other byte than its card's sha256 says, or holds tensors
        of other names or shapes than its model.

    Examples
    --------
    >>> load("ae50-sdss").config["latent_dim"]
    50
    """
    path, described = _locate(name), card(name)
    if not path.exists():
        raise BadWeights(path, "the card is there, the weights are not; copy both files")
    if (found := sha256(path)) != described["sha256"]:
        raise BadWeights(
            path, f"sha256 {found[:12]}, its card says {described['sha256'][:12]}; copy it again"
        )
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadWeights(path, f"not readable as safetensors ({error})") from error
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in described["config"].items()}
    one_of("model", described["model"], {**models.MEMBERS, **densities.MEMBERS})
    family = models if described["model"] in models.MEMBERS else densities
    model = family.load(described["model"], **config)
    try:
        model.load_state_dict(_whole(tensors))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise BadWeights(path, f"tensors do not fit the model of the card: {reason}") from error
    object.__setattr__(model, "weights", {"name": path.stem, "sha256": described["sha256"]})
    return model.eval().to(device)


def made_of(model: Model) -> dict:
    """Name (None where it has none) and sha256 of a model's weights, as they lie in it now."""
    state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    digest = array_hash(*[part for name in sorted(state) for part in (np.array(name), state[name])])
    known = getattr(model, "weights", {})
    return {"name": known.get("name"), "file_sha256": known.get("sha256"), "sha256": digest}


def same(made: dict) -> Model | None:
    """The shipped model whose weights are those that `made_of` told, or None."""
    for name in names():
        if card(name)["sha256"] == made.get("file_sha256"):
            return load(name)
    return None


def _small(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same in fewer bytes: rounding by 0.4 % of a row's largest number averages out over thousands."""
    stored = {}
    for name, value in tensors.items():
        if value.ndim == 2 and value.shape[1] > LONG and value.is_floating_point():
            scale = value.abs().amax(1, keepdim=True).clamp_min(TINY) / 127
            stored[name], stored[name + SCALE] = (value / scale).round().to(torch.int8), scale
        else:
            stored[name] = value.half() if value.is_floating_point() else value
    return stored


def _whole(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    tensors = {k: v.float() if v.dtype == torch.float16 else v for k, v in stored.items()}
    for name in stored:
        if name + SCALE in stored:
            tensors[name] = tensors[name] * tensors.pop(name + SCALE)
    return tensors


def _locate(name: str | Path) -> Path:
    if isinstance(name, str) and name in names():
        return ASSETS / f"{name}.safetensors"
    path = Path(name)
    if path.suffix != ".safetensors" and not _named(path).exists():
        one_of("weights", name, names())
    return _named(path)


def _named(path: str | Path) -> Path:
    """The path with .safetensors at its end; a point in a name such as gal-v1.5 is no ending."""
    path = Path(path)
    return path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")
