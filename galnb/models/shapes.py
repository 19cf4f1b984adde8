"""Differentiable stand-ins of what `morphology` measures, for networks that read shapes off pictures."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Encoder, Trunk, moment_probes, zeroed

APERTURES = (0.06, 0.1, 0.15, 0.2, 0.26, 0.33, 0.4, 0.48)  # radii, as shares of the size
LEVELS = (0.015, 0.03, 0.06, 0.12, 0.25)  # of isophotes, in the pixels' unit
THRESHOLD = 1.5  # standard deviations of the corners, as in `morphology`
BLUR = 1.0  # pixels, likewise
RIDGE = 1e-3  # of the shapes' variance, where codes are regressed on them


class Shapes(nn.Module):
    """Light in apertures, areas of isophotes, moments and colors (n, width) of images, standardised.

    Parameters
    ----------
    n_bands, size : int
    """

    def __init__(self, n_bands: int, size: int):
        super().__init__()
        y, x = torch.meshgrid(*2 * [torch.arange(size) - (size - 1) / 2], indexing="ij")
        radius = torch.hypot(x, y)
        side = max(size // 8, 3)
        corner = (x.abs() > size / 2 - side) & (y.abs() > size / 2 - side)
        steps = torch.arange(-3, 4)
        bell = torch.exp(-(steps**2) / (2 * BLUR**2))
        tables = {
            "corner": corner.flatten().nonzero()[:, 0],
            "apertures": torch.stack([torch.sigmoid(2 * (share * size - radius)) for share in APERTURES]),
            "probes": moment_probes(size).flatten(0, 1),
            "bell": (bell / bell.sum()).view(1, 1, 1, -1),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)
        self.width = 2 + 2 * len(APERTURES) + len(LEVELS) + 9 + 3 * (n_bands - 1)  # as `_raw` gives
        self.register_buffer("center", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def forward(self, x: Tensor) -> Tensor:
        return (self._raw(x) - self.center) / self.scale

    def _raw(self, x: Tensor) -> Tensor:
        corners = x.flatten(2)[:, :, self.corner]
        sky = corners.median(2).values
        light = x - sky[:, :, None, None]
        plane = light.mean(1)
        apart = (corners - sky[:, :, None]).mean(1).abs()
        limit = 4 * apart.median(1, keepdim=True).values.detach()
        noise = 1.25 * torch.minimum(apart, limit).mean(1)[:, None].clamp_min(1e-3)
        growth = torch.einsum("nyx,ayx->na", plane, self.apertures)
        smooth = F.conv2d(F.conv2d(plane[:, None], self.bell, padding=(0, 3)), self.bell.mT, padding=(3, 0))[
            :, 0
        ]
        above = torch.sigmoid((smooth - THRESHOLD * noise[..., None]) / (0.3 * noise[..., None]))
        areas = torch.einsum("nyx,ayx->na", above, self.apertures)
        level = torch.tensor(LEVELS).to(x)[:, None, None]
        isophotes = torch.sigmoid(4 * (smooth[:, None] / level - 1)) * self.apertures[-1]
        moments = torch.einsum("nyx,myx->nm", plane, self.probes).view(len(x), -1, 4)
        shapes = moments[:, :, 1:] / moments[:, :, :1].clamp_min(1e-3)
        colors = torch.einsum("nbyx,ayx->nba", light, self.apertures[2:7:2]).clamp_min(0.1).log()
        parts = [
            noise.log(), sky.mean(1, keepdim=True), growth.clamp_min(0.1).log(), areas.clamp_min(1).log(),
            isophotes.sum((2, 3)).clamp_min(1).log(), shapes.clamp(-3, 3).flatten(1),
            colors.diff(dim=1).flatten(1),
        ]  # fmt: skip
        return torch.cat(parts, 1)

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take center and scale from training images."""
        self.center.zero_()
        self.scale.fill_(1)
        found = torch.cat([self(x) for x in batches])
        self.center.copy_(found.mean(0))
        self.scale.copy_(found.std(0).clamp_min(1e-3))


class Gauge(nn.Module):
    """Reads the codes of conditions (n, k) off images, by their shapes and by a small convolutional network.

    Parameters
    ----------
    n_bands, size, k : int
    """

    def __init__(self, n_bands: int, size: int, k: int):
        super().__init__()
        trunk = Trunk(size, n_bands, (32, 48, 64))
        self.encoder, self.shapes = Encoder(trunk), Shapes(n_bands, size)
        self.mix = nn.Sequential(
            nn.Linear(trunk.features + self.shapes.width, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(),
            nn.Linear(96, k),
        )  # fmt: skip
        self.straight = nn.Linear(self.shapes.width, k)

    @torch.no_grad()
    def warm_start(self, batches: Iterable[Tensor], codes: Tensor) -> None:
        """Begin as a regression of codes (n, k), NaN where unknown, on the shapes of training images."""
        self.shapes.fit(batches)
        shapes, known = torch.cat([self.shapes(x) for x in batches]), torch.isfinite(codes).all(1)
        design = torch.cat([shapes, torch.ones_like(shapes[:, :1])], 1)[known].double()
        ridge = RIDGE * len(design) * torch.eye(design.shape[1]).to(design)
        found = torch.linalg.solve(design.T @ design + ridge, design.T @ codes[known].double())
        self.straight.weight.copy_(found[:-1].T)
        self.straight.bias.copy_(found[-1])
        zeroed(self.mix[-1])

    def forward(self, x: Tensor) -> Tensor:
        shapes = self.shapes(x)
        return self.straight(shapes) + self.mix(torch.cat([self.encoder(x), shapes], 1))


def misread(read: Tensor, codes: Tensor) -> Tensor:
    """Mean squared error of codes (n, k) that were read, over those that are known."""
    known = torch.isfinite(codes)
    return torch.where(known, read - codes.nan_to_num(), 0.0).square().sum() / known.sum().clamp_min(1)
