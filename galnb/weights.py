"""Weights with a card: safetensors that are checked before they are believed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode

from . import densities, disk, models
from .densities.base import Density
from .errors import BadWeights, one_of
from .limits import regular
from .models.base import Model
from .provenance import array_hash, sha256, versions

ASSETS = Path(__file__).parent / "assets"
LONG = 4096  # numbers a row, from which on rows are stored as 8-bit integers
SCALE = ":scale"  # follows the name of such a tensor
TINY = 1e-30  # of rows that are zero


def names() -> list[str]:
    """The weights that are shipped with galnb."""
    return sorted(path.stem for path in ASSETS.glob("*.safetensors"))


def save(
    model: Model | Density,
    path: str | Path,
    *,
    card: dict | None = None,
    half: bool = False,
    long: int = LONG,
) -> Path:
    """Write `path` (.safetensors) and its card beside it (.json), each atomically.

    Parameters
    ----------
    card : dict, optional
        Further plain JSON values: data, credit, seed, steps, held-out scores.
    half : bool
        Store floating-point tensors as float16, and those with rows of more than `long` numbers, such as
        the components of a PCA, as 8-bit integers with a scale a row; `load` gives float32 again.
    long : int
        Of convolutions, only trained ones count: what is found by least squares wants its digits.

    Raises CannotWrite where the disk is full or the folder read-only.
    """
    path = _named(path)
    members = {**models.MEMBERS, **densities.MEMBERS}
    kinds = {place.rpartition(":")[2]: name for name, place in members.items()}
    if (kind := kinds.get(type(model).__name__)) is None:
        todo = "add it to its family's MEMBERS, public name to file, so that it can be loaded again"
        raise ValueError(f"{type(model).__name__} is no member of galnb.models or galnb.densities; {todo}")
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        trained = {name for name, value in model.named_parameters() if value.requires_grad}
        tensors = _small(tensors, long, trained)
    stored = serialize(tensors)
    described = {
        "name": path.stem,
        "model": kind,
        "config": model.config,
        "sha256": hashlib.sha256(stored).hexdigest(),
        "bytes": len(stored),
        "versions": versions(("galnb", "torch")),
        **(card or {}),
    }
    disk.write(path, stored)
    disk.write(path.with_suffix(".json"), sealed(described))
    return path


def sealed(card: dict) -> bytes:
    """A card as it lies on disk: readable JSON, the last of its keys a hash of the others.

    To change a card by hand, write ``sealed({**card(path), ...})`` in its place.
    """
    told = {name: value for name, value in card.items() if name != "seal"}
    seal = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return json.dumps({**told, "seal": seal}, indent=2).encode() + b"\n"


def card(name: str | Path) -> dict:
    """The card of shipped weights, by name, or of a .safetensors file, by path.

    Raises BadWeights where it is any other than `save` wrote.
    """
    path = _locate(name).with_suffix(".json")
    regular(path)
    try:
        text = path.read_bytes()
        described = json.loads(text)
        kinds = {"model": str, "config": dict, "sha256": str, "seal": str}
        wrong = [name for name, kind in kinds.items() if not isinstance(described.get(name), kind)]
        if wrong:
            raise ValueError(f"no {', '.join(wrong)}")
        if sealed(described) != text:
            raise ValueError("it is damaged or was edited")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        todo = "copy it again; `weights.sealed` writes a changed one"
        raise BadWeights(path, f"no readable card ({error}), wanted what save wrote: {todo}") from error
    return {name: value for name, value in described.items() if name != "seal"}


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
    regular(path)
    if (found := sha256(path)) != described["sha256"]:
        raise BadWeights(
            path, f"sha256 {found[:12]}, its card says {described['sha256'][:12]}; copy it again"
        )
    try:
        tensors = _whole(load_file(path))
    except Exception as error:  # safetensors raises its own type, torch another for shapes that do not fit
        raise BadWeights(path, f"not readable as safetensors ({error})") from error
    model = _built(path, described, tensors)
    object.__setattr__(model, "weights", {"name": path.stem, "sha256": described["sha256"]})
    return model.eval().to(device)


def _built(path: Path, described: dict, tensors: dict[str, Tensor]) -> Model | Density:
    """The model that a card tells of, with its tensors, and not far larger: a card may ask for anything."""
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in described["config"].items()}
    members = {**models.MEMBERS, **densities.MEMBERS}
    family = models if described["model"] in models.MEMBERS else densities
    try:
        one_of("model", described["model"], members)
        with _no_more_than(tensors):
            model = family.load(described["model"], **config)
    except Exception as error:  # whatever a constructor makes of such values
        reason = f"no model can be built from it ({type(error).__name__}: {error})"
        raise BadWeights(path.with_suffix(".json"), f"{reason}; copy it again") from error
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise BadWeights(path, f"tensors do not fit the model of the card: {reason}") from error
    return model


class _Bounded(TorchDispatchMode):
    """Within it no tensor is made of more than so many numbers."""

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        asked = [arg for arg in args[:2] if isinstance(arg, int | list | tuple)]
        sizes = [[arg] if isinstance(arg, int) else [n for n in arg if isinstance(n, int)] for arg in asked]
        if any(math.prod(size) > self.most for size in sizes):
            raise ValueError("it tells of a larger model than its tensors make")
        return function(*args, **(kwargs or {}))


@contextmanager
def _no_more_than(tensors: dict[str, Tensor]) -> Iterator[None]:
    """End the building of a model that has more, or far larger, tensors than these."""
    left = 2 * len(tensors) + 64

    def count(module, name, value) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("it tells of a larger model than its tensors make")

    hook = register_module_parameter_registration_hook(count)
    try:
        with _Bounded(4 * sum(map(Tensor.numel, tensors.values())) + 2**22):
            yield
    finally:
        hook.remove()


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


def _small(tensors: dict[str, Tensor], long: int = LONG, trained: Container[str] = ()) -> dict[str, Tensor]:
    """The same in fewer bytes: rounding by 0.4 % of a row's largest number averages out over many."""
    stored = {}
    for name, value in tensors.items():
        counts = value.is_floating_point() and (value.ndim == 2 or value.ndim > 2 and name in trained)
        if counts and value[0].numel() > long:
            scale = value.abs().flatten(1).amax(1).clamp_min(TINY) / 127
            scale = scale.view(-1, *(value.ndim - 1) * (1,))
            stored[name], stored[name + SCALE] = (value / scale).round().to(torch.int8), scale
        else:
            stored[name] = value.half() if value.is_floating_point() else value
    return stored


def _whole(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    tensors = {k: v.float() if v.dtype == torch.float16 else v for k, v in stored.items()}
    for name in stored:
        if name + SCALE in stored:
            shape = (len(tensors[name]), *(tensors[name].ndim - 1) * (1,))
            tensors[name] = tensors[name] * tensors.pop(name + SCALE).reshape(shape)
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
