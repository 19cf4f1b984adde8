"""Checkpoints of a training run: safetensors with a seal, so that no damaged one is gone on from."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from . import disk
from .errors import BadWeights
from .limits import regular


def write(path: Path, tensors: dict[str, Tensor], *, run: str, of: str) -> None:
    """Write tensors, where the run is (`run`), and what it is a run `of`, atomically."""
    # not `save_file`: what it says of a full disk is no OSError, and has no number to know it by
    data = save(tensors, {"run": run, "of": of, "seal": disk.UNSEALED})
    disk.write(path, lambda unfinished: (unfinished.write_bytes(data), disk.seal(unfinished, disk.HEAD)))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, and `run` and `of`; BadWeights where the file has any other byte than `write` gave it."""
    regular(path)
    try:
        path.open("rb").close()  # what is wrong with the disk is no damage
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        whole = disk.sealing(path, disk.HEAD)
    except OSError as error:
        reason = f"not readable ({error.strerror or error}); bring its disk back, or make it readable"
        raise BadWeights(path, reason) from error
    except Exception as error:  # safetensors raises its own type, OSError or a Rust panic's
        raise BadWeights(path, f"not readable as a checkpoint ({error}); delete it to start anew") from error
    if not whole or set(told) != {"run", "of", "seal"}:
        raise BadWeights(path, "damaged, or no checkpoint of galnb; delete it to start anew")
    return tensors, told


def there(path: Path) -> bool:
    """Whether there is a checkpoint; CannotWrite where the disk does not say."""
    with disk.told(path):
        return path.exists()
