"""Augmentation: other views of the same galaxies, and corruptions to be undone, repeatable from a seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def dihedral(x: Tensor, rng: np.random.Generator, angle: Tensor | None = None) -> Tensor:
    """Each image (n, band, y, x) under one of the square's eight rotations and flips.

    `angle` (n,), degrees of an axis counter-clockwise from +x, is turned with its image, in place.
    """
    which = rng.integers(0, 8, len(x))
    if angle is not None:
        k = torch.from_numpy(which).to(angle)
        turned = angle + 90 * (k % 2)
        angle.copy_(torch.where(k >= 4, -turned, turned) % 180)
    out = torch.empty_like(x)
    for k in range(8):
        rows = torch.from_numpy(np.flatnonzero(which == k))
        turned = torch.rot90(x[rows], k % 4, (2, 3))
        out[rows] = turned.flip(3) if k >= 4 else turned
    return out


TRAINING = {"dihedral": dihedral}
