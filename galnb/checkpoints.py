"""Checkpoints of a training run: safetensors with a digest, so that no damaged one is gone on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from . import disk
from .errors import BadWeights
from .limits import regular
from .provenance import array_hash


def write(path: Path, tensors: dict[str, Tensor], *, run: str, of: str) -> None:
    """Write tensors, where the run is (`run`), and what it is a run `of`, atomically."""
    told = {"run": run, "of": of, "digest": digest(tensors, run, of)}
    # not `save_file`: what it says of a full disk is no OSError, and has no number to know it by
    disk.write(path, save(tensors, told))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, and `run` and `of`; BadWeights where they are not what `write` was given."""
    regular(path)
    try:
        path.open("rb").close()  # what is wrong with the disk is no damage
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        whole = digest(tensors, told.get("run", ""), told.get("of", ""))
    except OSError as error:
        reason = f"not readable ({error.strerror or error}); bring its disk back, or make it readable"
        raise BadWeights(path, reason) from error
    except Exception as error:  # safetensors raises its own type, OSError or a Rust panic's
        raise BadWeights(path, f"not readable as a checkpoint ({error}); delete it to start anew") from error
    if told.get("digest") != whole or set(told) != {"run", "of", "digest"}:
        raise BadWeights(path, "damaged, or no checkpoint of galnb; delete it to start anew")
    return tensors, told


def there(path: Path) -> bool:
    """Whether there is a checkpoint; CannotWrite where the disk does not say."""
    with disk.told(path):
        return path.exists()


def digest(tensors: dict[str, Tensor], run: str, of: str) -> str:
    """Hex digest of a checkpoint, whatever the order of its tensors."""
    names = sorted(tensors)
    return array_hash(np.array([run, of, *names]), *(tensors[name].numpy() for name in names))
