"""Mixtures of discretised logistics: how probable each level of a pixel is, band after band."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PART = 4096  # pixels at a time: few enough for a processor's cache
WIDEST = 10.0  # logarithm of a scale at which all levels inside are alike


class Logistics:
    """What the numbers of a network say about one pixel's levels.

    A logistic density is cut at the middles between levels, the lowest and the highest level taking all that
    lies beyond, so that the probabilities of all levels sum to one. The bands of a pixel share the choice
    between `mixtures` of them, and the mean of each band moves linearly with the levels of those before it
    (Salimans+2017, equations 1 to 3, there for red, green and blue).

    Parameters
    ----------
    n_bands, mixtures : int
    levels : int
        Of a pixel, evenly between 0 and 1. The methods have them as u = 2 x - 1, from -1 to 1.

    Examples
    --------
    >>> pixel = Logistics(n_bands=2, mixtures=3, levels=4)
    >>> pixel.pmf(torch.randn(5, pixel.numbers), torch.zeros(5, 1)).sum(1).round(decimals=4)
    tensor([1., 1., 1., 1., 1.])
    """

    def __init__(self, n_bands: int, mixtures: int, levels: int):
        self.n_bands, self.mixtures, self.levels = n_bands, mixtures, levels
        self.half = 1 / (levels - 1)  # of the width of a level
        self.sharpest = math.log(self.half) - 3  # a scale at which a level is as good as certain
        self.pairs = [(b, a) for b in range(n_bands) for a in range(b)]
        self.said = mixtures * (1 + 2 * n_bands + len(self.pairs))
        self.numbers = self.said + n_bands  # that describe a pixel; the last are where means are counted from

    def split(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Log weights (n, mixture, ...), offsets and log scales (n, band, mixture, ...), slopes
        (n, pair, mixture, ...), and expected levels (n, band, ...), from which offsets and slopes count."""
        b = self.n_bands
        parts = numbers[:, : self.said].unflatten(1, (-1, self.mixtures))
        log_weight = torch.log_softmax(parts[:, 0], dim=1)
        log_scale = parts[:, 1 + b : 1 + 2 * b].clamp(self.sharpest, WIDEST)
        return log_weight, parts[:, 1 : 1 + b], log_scale, parts[:, 1 + 2 * b :], numbers[:, -b:]

    def means(self, offset: Tensor, slope: Tensor, expected: Tensor, u: Tensor) -> Tensor:
        """Means (n, band, mixture, ...), given the levels u (n, band, ...) of the bands before each."""
        mean = expected[:, :, None] + offset
        if not self.pairs:
            return mean
        rows, left = list(mean.unbind(1)), (u - expected)[:, :, None]
        for place, (band, before) in enumerate(self.pairs):
            rows[band] = rows[band] + slope[:, place] * left[:, before]
        return torch.stack(rows, dim=1)

    def log_prob(self, numbers: Tensor, u: Tensor, *, each: bool = False) -> Tensor:
        """Log probability (n, ...) in nats of pixels' levels u (n, band, ...); with `each`, (n, band, ...).

        That of each band is given those before it. `numbers` are (n, number, ...).
        """
        n = max(1, PART // max(1, math.prod(u.shape[2:])))
        if len(u) > n and not each:
            parts = zip(numbers.split(n), u.split(n), strict=True)
            return torch.cat([self.log_prob(*part) for part in parts])
        log_weight, offset, log_scale, slope, expected = self.split(numbers)
        u = u.contiguous()
        log_p = self._levels(u[:, :, None], self.means(offset, slope, expected, u), log_scale)
        if not each:
            return torch.logsumexp(log_weight + log_p.sum(1), dim=1)
        joint = torch.logsumexp(log_weight[:, None] + log_p.cumsum(1), dim=2)
        return torch.diff(joint, dim=1, prepend=torch.zeros_like(joint[:, :1]))

    def pmf(self, numbers: Tensor, before: Tensor) -> Tensor:
        """Probabilities (n, level) of the band after those whose levels u are `before` (n, bands).

        `numbers` are (n, number), of one pixel each.
        """
        log_weight, offset, log_scale, slope, expected = self.split(numbers)
        band = before.shape[1]
        mean = self.means(offset, slope, expected, F.pad(before, (0, self.n_bands - band)))
        if band:
            known = self._levels(before[..., None], mean[:, :band], log_scale[:, :band])
            log_weight = torch.log_softmax(log_weight + known.sum(1), dim=1)
        grid = torch.linspace(-1, 1, self.levels, dtype=numbers.dtype, device=numbers.device)
        log_p = self._levels(grid, mean[:, band, :, None], log_scale[:, band, :, None])  # (n, mixture, level)
        return torch.logsumexp(log_weight[:, :, None] + log_p, dim=1).exp()

    def draw(self, numbers: Tensor, chance: Tensor) -> Tensor:
        """Levels u (n, band), drawn by `chance` (n, 1 + band) of 0 to 1: one to choose, and one a band."""
        log_weight, offset, log_scale, slope, expected = self.split(numbers)
        chosen = (log_weight.exp().cumsum(1) < chance[:, :1]).sum(1).clamp_max(self.mixtures - 1)
        of = lambda values: torch.take_along_dim(values, chosen[:, None, None], dim=2)[..., 0]  # noqa: E731
        mean, slope = expected + of(offset), of(slope)
        wide = of(log_scale).exp() * torch.logit(chance[:, 1:], eps=1e-7)
        levels: list[Tensor] = []
        for band in range(self.n_bands):
            center = mean[:, band] + wide[:, band]
            for place, (to, before) in enumerate(self.pairs):
                if to == band:
                    center = center + slope[:, place] * (levels[before] - expected[:, before])
            levels.append(self.nearest(center))
        return torch.stack(levels, dim=1)

    def nearest(self, u: Tensor) -> Tensor:
        """The level u nearest to each number, the ends for what lies beyond."""
        return (((u.clamp(-1, 1) + 1) / (2 * self.half)).round() * (2 * self.half)) - 1

    def _levels(self, u: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """Log probability of levels u under one logistic each."""
        slope = (-log_scale).exp()
        middle, reach = slope * (u - mean), slope * self.half
        more, less = F.softplus(-middle - reach), F.softplus(middle - reach)
        # log(sigmoid(a) - sigmoid(b)) = logsigmoid(a) + logsigmoid(-b) + log(1 - exp(b - a))
        inside = torch.log(-torch.expm1(-2 * reach)) - more - less
        return torch.where(u < self.half - 1, -more, torch.where(u > 1 - self.half, -less, inside))
