"""What a pixel is, given its mean and spread; and the texture of noise that is correlated."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LIKELIHOODS = ("gaussian", "laplace", "logistic")
LEVELS = 255  # of 8 bits, between 0 and 1


def log_likelihood(kind: str, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log likelihood (n,) in nats of images (n, band, y, x), pixels independent.

    Parameters
    ----------
    kind : "gaussian", "laplace" or "logistic"
        Densities of x; "logistic" the probability of its 8-bit level, both ends open (Salimans+2017).
    mean, log_scale : Tensor like x
        Of each pixel, the logarithm of its standard deviation.
    """
    if kind == "gaussian":
        parts = -0.5 * ((x - mean) * (-log_scale).exp()).square() - log_scale - 0.5 * math.log(2 * math.pi)
    elif kind == "laplace":
        log_scale = log_scale - 0.5 * math.log(2)
        parts = -(x - mean).abs() * (-log_scale).exp() - log_scale - math.log(2)
    else:
        slope, half = (-log_scale).exp() * (math.pi / 3**0.5), 0.5 / LEVELS
        above, below = slope * (x - mean + half), slope * (x - mean - half)
        log_at_most, log_more = F.logsigmoid(above), F.logsigmoid(-below)
        # log(sigmoid(a) - sigmoid(b)) = logsigmoid(a) + logsigmoid(-b) + log(1 - exp(b - a))
        inside = log_at_most + log_more + torch.log(-torch.expm1(-(2 * half * slope).clamp_min(1e-7)))
        parts = torch.where(x < half, log_at_most, torch.where(x > 1 - half, log_more, inside))
    return parts.flatten(1).sum(1)


class Texture(nn.Module):
    """Gaussian noise whose correlation between pixels and bands is that of residuals; white before `fit`.

    Parameters
    ----------
    n_bands, size : int
    """

    def __init__(self, n_bands: int, size: int):
        super().__init__()
        self.size = size
        # the square root of the cross spectra of bands, at each frequency
        self.register_buffer("root", torch.eye(n_bands).repeat(size, size // 2 + 1, 1, 1))

    @torch.no_grad()
    def fit(self, residuals: Iterable[Tensor]) -> None:
        """Measure cross spectra of residuals (n, band, size, size), in units of each pixel's spread."""
        n, total = 0, 0.0
        for r in residuals:
            n, total = n + len(r), total + len(r) * _spectra(r).double()
        self._take(total / n)

    @torch.no_grad()
    def follow(self, r: Tensor, *, share: float = 0.02) -> None:
        """Move by a small share towards the cross spectra of a batch of residuals, while training."""
        self._take(torch.lerp(self.root @ self.root, _spectra(r), share))

    def _take(self, spectra: Tensor) -> None:
        values, vectors = torch.linalg.eigh((spectra + spectra.mT) / 2)
        self.root.copy_((vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT)

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise (n, band, size, size)."""
        n_bands = self.root.shape[-1]
        white = torch.randn(n, n_bands, self.size, self.size, generator=generator).to(self.root)
        waves = torch.fft.rfft2(white, norm="ortho")
        waves = torch.einsum("yxbc,ncyx->nbyx", self.root.to(waves.dtype), waves)
        return torch.fft.irfft2(waves, s=(self.size, self.size), norm="ortho")


def _spectra(r: Tensor) -> Tensor:
    """Mean cross spectra (y, x, band, band) of residuals (n, band, size, size)."""
    waves = torch.fft.rfft2(r, norm="ortho")
    return torch.einsum("nbyx,ncyx->yxbc", waves, waves.conj()).real / len(r)
