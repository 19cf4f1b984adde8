"""Images as training sees them: batch after batch, as float tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from . import augment


def as_tensor(images: np.ndarray, device: str = "cpu") -> Tensor:
    """(n, band, y, x) in 0 to 1 as a float32 tensor, channels last; uint8 is divided by 255."""
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    x = x.float() / 255 if images.dtype == np.uint8 else x.float()
    return x.contiguous(memory_format=torch.channels_last)


class Batches:
    """Images as batches of float tensors, iterated anew each time."""

    def __init__(self, images: np.ndarray, size: int, device: str):
        self.images, self.size, self.device = images, size, device

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self.images), self.size):
            yield as_tensor(self.images[start : start + self.size], self.device)


class Seen:
    """Batches as training saw them: several times over, each time augmented anew, and their labels `y`."""

    def __init__(self, batches: Batches, y: Tensor | None, names: list[str], augments: tuple, views: int):
        self.batches, self.augments = batches, augments
        self.views = views if augments else 1
        self.y, self.angle = None if y is None else y.repeat(self.views, 1), None
        if y is not None and "position_angle" in names:
            at = names.index("position_angle")
            self.angle = y[:, at]
            self.y[:, at] = torch.cat([angle for _, angle in self._each()])

    def __iter__(self) -> Iterator[Tensor]:
        return (x for x, _ in self._each())

    def _each(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        for view in range(self.views):
            rng, start = np.random.default_rng(view), 0
            for x in self.batches:
                angle = None if self.angle is None else self.angle[start : start + len(x)].clone()
                for name in self.augments:
                    x = augment.TRAINING[name](x, rng, angle)
                yield x, angle
                start += len(x)
