"""A network that tells pictures that were drawn from real ones, and so teaches the one that draws."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from .blocks import Trunk
from .shapes import Shapes


class Critic(nn.Module):
    """How real pictures with given codes of conditions look, (n,), by their texture and by their shapes.

    Layers are spectrally normalised (Miyato+2018) and codes enter by projection (Miyato & Koyama 2018).

    Parameters
    ----------
    n_bands, size, k : int
        k codes a picture.
    """

    def __init__(self, n_bands: int, size: int, k: int):
        super().__init__()
        trunk, channels = Trunk(size, n_bands, (32, 48, 64)), (n_bands, 32, 48, 64)
        self.pad = trunk.padded - size
        layers = []
        for before, after in zip(channels, channels[1:], strict=False):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        self.body, self.shapes = nn.Sequential(*layers), Shapes(n_bands, size)
        self.mix = nn.Sequential(
            spectral_norm(nn.Linear(2 * channels[-1] + self.shapes.width, 64)), nn.LeakyReLU(0.1)
        )
        self.score = spectral_norm(nn.Linear(64, 1))
        self.told = spectral_norm(nn.Linear(k, 64, bias=False)) if k else None

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        planes = self.body(F.pad(x, 2 * (self.pad // 2, self.pad - self.pad // 2)))
        # mean and scatter over the picture, as a texture has no place
        texture = torch.cat([planes.mean((2, 3)), (planes.var((2, 3)) + 1e-6).sqrt()], 1)
        seen = self.mix(torch.cat([texture, self.shapes(x).clamp(-5, 5)], 1))
        score = self.score(seen)[:, 0]
        return score if self.told is None else score + (self.told(codes) * seen).sum(1)

    def judge(self, real: Tensor, drawn: Tensor, codes: Tensor, asked: Tensor) -> Tensor:
        """Its own loss, of real pictures with their codes and of drawn ones with theirs (hinge)."""
        return F.relu(1 - self(real, codes)).mean() + F.relu(1 + self(drawn.detach(), asked)).mean()
