"""What made this: versions, hashes and seeds, as plain JSON values."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

PACKAGES = ("galnb", "numpy", "torch", "astropy", "pyarrow", "datashader", "holoviews")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Installed versions by package name, and Python's."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_hash(*arrays: np.ndarray) -> str:
    """Hex digest of arrays' types, shapes and values.

    >>> array_hash(np.zeros(3)) == array_hash(np.zeros((3, 1)))
    False
    """
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def held_out(ids, *, share: float = 0.2) -> np.ndarray:
    """Mask (n,) of the held-out objects: the last `share` of ids by sorted sha1.

    The split hangs on the names alone: not on order, machine or seed.

    >>> int(held_out(np.arange(100)).sum())
    20
    """
    keys = [hashlib.sha1(str(name).encode()).hexdigest() for name in ids]
    order = np.argsort(keys, kind="stable")
    mask = np.zeros(len(keys), dtype=bool)
    mask[order[round(len(keys) * (1 - share)) :]] = True
    return mask
