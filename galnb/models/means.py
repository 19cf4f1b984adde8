"""Means of four levels, rounded down to one: what they leave open to each of the four."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def halved(index: Tensor) -> Tensor:
    """Means (n, band, y / 2, x / 2), rounded down, of each 2 x 2 of whole numbers (n, band, y, x).

    Zeros make up for a row and a column that an odd number of pixels lacks.
    """
    return (summed(index) / 4).floor()


def summed(x: Tensor) -> Tensor:
    """Sums (n, band, y / 2, x / 2) of each 2 x 2, as `halved` has their means."""
    return 4 * F.avg_pool2d(_even(x), 2)


def left(mean: Tensor, index: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """The lowest and highest whole number (n, band, y, x) that each of 0 to `most` may be, given its mean and
    those of the four that come before it, row by row.

    >>> import torch
    >>> low, high = left(torch.tensor([[[[2.0]]]]), torch.tensor([[[[0.0, 4.0], [3.0, 4.0]]]]), 4)
    >>> low.tolist(), high.tolist()
    ([[[[0.0, 0.0], [0.0, 1.0]]]], [[[[4.0, 4.0], [4.0, 4.0]]]])
    """
    own, free = _fours(index), _fours(index.new_full(index.shape, most))
    before, after = own.cumsum(4) - own, free.sum(4, keepdim=True) - free.cumsum(4)
    edges = allowed(mean[..., None], before, before + after)
    edges = (edge.clamp(0, most).unflatten(4, (2, 2)).transpose(3, 4) for edge in edges)
    height, width = index.shape[2:]
    return tuple(edge.flatten(4).flatten(2, 3)[:, :, :height, :width] for edge in edges)


def allowed(mean: Tensor, least: Tensor, greatest: Tensor) -> tuple[Tensor, Tensor]:
    """Between which numbers one of four is by their mean, others' sum being from least to greatest."""
    return 4 * mean - greatest, 4 * mean + 3 - least


def _fours(x: Tensor) -> Tensor:
    """(n, band, y / 2, x / 2, 4): the pixels of each mean."""
    return _even(x).unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).transpose(3, 4).flatten(4)


def _even(x: Tensor) -> Tensor:
    return F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
