"""Building blocks that the convolutional models share, for any size from 28 to 256 pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """x + conv(act(conv(act(norm(x))))), the last convolution starting at zero.

    Starting at zero makes a new network the identity (Zhang+2019, Fixup), so a model with a
    linear skip starts exactly as its PCA.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(self.norm(x)))))


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all its weights at zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Trunk:
    """How a square image becomes a few small feature maps, and back.

    The image is padded to a multiple of 16 (`padded`), cut into 4 x 4 patches, and halved twice.

    >>> Trunk(size=69, n_bands=3, widths=(64, 96, 128)).padded
    80
    """

    def __init__(self, size: int, n_bands: int, widths: tuple[int, int, int]):
        if not 28 <= size <= 256:
            raise ValueError(f"size={size} pixels, wanted 28 to 256; crop or resize the images")
        if any(width % 8 for width in widths) or len(widths) != 3:
            raise ValueError(f"widths={widths}, wanted three multiples of 8")
        self.size, self.n_bands, self.widths = size, n_bands, widths
        self.padded = -(-size // 16) * 16
        self.grid = self.padded // 16  # feature maps end as (widths[2], grid, grid)
        self.features = widths[2] * self.grid**2


class Encoder(nn.Module):
    """(n, band, size, size) to (n, trunk.features)."""

    def __init__(self, trunk: Trunk):
        super().__init__()
        first, second, third = trunk.widths
        self.pad = trunk.padded - trunk.size
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(16 * trunk.n_bands, first, 3, padding=1),
            Residual(first),
            nn.Conv2d(first, second, 2, stride=2),
            Residual(second),
            nn.Conv2d(second, third, 2, stride=2),
            Residual(third),
        )

    def forward(self, x: Tensor) -> Tensor:
        before, after = self.pad // 2, self.pad - self.pad // 2
        x = F.pad(x, (before, after, before, after), mode="replicate") if self.pad else x
        return self.body(x).flatten(1)


class Decoder(nn.Module):
    """(n, trunk.features) to (n, planes, size, size), one a band where not said, starting as zeros."""

    def __init__(self, trunk: Trunk, planes: int | None = None):
        super().__init__()
        first, second, third = trunk.widths
        self.trunk = trunk
        self.body = nn.Sequential(
            Residual(third),
            nn.Conv2d(third, 4 * second, 1),
            nn.PixelShuffle(2),
            Residual(second),
            nn.Conv2d(second, 4 * first, 1),
            nn.PixelShuffle(2),
            Residual(first),
            zeroed(nn.Conv2d(first, 16 * (planes or trunk.n_bands), 3, padding=1)),
            nn.PixelShuffle(4),
        )

    def forward(self, features: Tensor) -> Tensor:
        trunk = self.trunk
        x = features.view(-1, trunk.widths[2], trunk.grid, trunk.grid)
        before = (trunk.padded - trunk.size) // 2
        inside = slice(before, before + trunk.size)
        return self.body(x)[:, :, inside, inside]


def moment_probes(size: int) -> Tensor:
    """(scale, moment, y, x): mean, size and both ellipticity moments under Gaussians of 1/16, 1/8 and 1/4."""
    y, x = torch.meshgrid(*2 * [torch.arange(size) - (size - 1) / 2], indexing="ij")
    probes = []
    for width in (size / 16, size / 8, size / 4):
        weight = torch.exp(-(x**2 + y**2) / (2 * width**2))
        u, v = x / width, y / width
        shapes = torch.stack([torch.ones_like(u), (u**2 + v**2) / 2 - 1, (u**2 - v**2) / 2, u * v])
        probes.append(shapes * weight / weight.sum())
    return torch.stack(probes)
