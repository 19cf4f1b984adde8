"""Mixtures of discretised logistics: how probable each level of a pixel is, band after band."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PART = 4096  # pixels at a time: few enough for a processor's cache
WIDEST = 10.0  # logarithm of a scale at which all levels inside are alike
FAR = 1e9  # as good as infinite at all scales, and of finite gradient


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

    def log_prob(
        self, numbers: Tensor, u: Tensor, within: tuple[Tensor, Tensor] | None = None, *, each: bool = False
    ) -> Tensor:
        """Log probability (n, ...) in nats of pixels' levels u (n, band, ...); with `each`, (n, band, ...).

        That of each band is given those before it. `numbers` are (n, number, ...); `within` are the lowest
        and the highest levels u (n, band, ...) that are left to each, where that is known.
        """
        n = max(1, PART // max(1, math.prod(u.shape[2:])))
        if len(u) > n and not each:
            parts = zip(numbers.split(n), u.split(n), _split(within, n), strict=False)
            return torch.cat([self.log_prob(*part) for part in parts])
        log_weight, offset, log_scale, slope, expected = self.split(numbers)
        u = u.contiguous()
        mean = self.means(offset, slope, expected, u)
        log_p = self._between(u[:, :, None], u[:, :, None], mean, log_scale)
        if within is None and not each:
            return torch.logsumexp(log_weight + log_p.sum(1), dim=1)
        joint = log_weight[:, None] + log_p.cumsum(1)
        left = 0 if within is None else self._between(*(edge[:, :, None] for edge in within), mean, log_scale)
        log_p = torch.logsumexp(joint, dim=2) - torch.logsumexp(joint - log_p + left, dim=2)
        return log_p if each else log_p.sum(1)

    def pmf(self, numbers: Tensor, before: Tensor, within: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Probabilities (n, level) of the band after those whose levels u are `before` (n, bands).

        `numbers` are (n, number), of one pixel each; `within` are as in `log_prob`, (n, band).
        """
        log_weight, offset, log_scale, slope, expected = self.split(numbers)
        band = before.shape[1]
        mean = self.means(offset, slope, expected, F.pad(before, (0, self.n_bands - band)))
        if band:
            known = self._between(before[..., None], before[..., None], mean[:, :band], log_scale[:, :band])
            log_weight = torch.log_softmax(log_weight + known.sum(1), dim=1)
        grid = torch.linspace(-1, 1, self.levels, dtype=numbers.dtype, device=numbers.device)
        log_p = self._between(grid, grid, mean[:, band, :, None], log_scale[:, band, :, None])
        log_p = torch.logsumexp(log_weight[:, :, None] + log_p, dim=1)  # (n, level)
        if within is None:
            return log_p.exp()
        low, high = (edge[:, band, None] for edge in within)
        outside = (grid < low - self.half) | (grid > high + self.half)
        return torch.softmax(log_p.masked_fill(outside, -torch.inf), dim=1)

    def draw(self, numbers: Tensor, chance: Tensor, within: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Levels u (n, band), drawn by `chance` (n, 1 + band) of 0 to 1: one to choose, and one a band.

        With levels `within` which they are, as in `log_prob`, each band chooses anew.
        """
        if within is None:
            return self._drawn_freely(numbers, chance)
        log_weight, offset, log_scale, slope, expected = self.split(numbers)
        u = torch.zeros_like(expected)
        for band in range(self.n_bands):
            mean = self.means(offset, slope, expected, u)[:, band]
            low, high = (edge[:, band, None] for edge in within)
            log_p = log_weight + self._between(low, high, mean, log_scale[:, band])
            drawn = self._drawn(log_p, mean, log_scale[:, band], low, high, chance[:, 1 + band])
            u[:, band] = torch.minimum(torch.maximum(self.nearest(drawn), low[:, 0]), high[:, 0])
            log_weight = log_weight + self._between(
                u[:, band, None], u[:, band, None], mean, log_scale[:, band]
            )
        return u

    def _drawn_freely(self, numbers: Tensor, chance: Tensor) -> Tensor:
        """`draw` of all levels, by NumPy: for a pixel's few numbers it takes half the time of torch."""
        b, m = self.n_bands, self.mixtures
        said, chance = numbers.detach().cpu().numpy(), chance.detach().cpu().numpy()
        expected, parts = said[:, -b:], said[:, : self.said].reshape(len(said), -1, m)
        weight = np.exp(parts[:, 0] - parts[:, 0].max(1, keepdims=True)).cumsum(1)
        chosen = (weight < chance[:, :1] * weight[:, -1:]).sum(1).clip(max=m - 1)
        own = parts[np.arange(len(parts)), :, chosen]
        scale = np.exp(own[:, 1 + b : 1 + 2 * b].clip(self.sharpest, WIDEST))
        share = chance[:, 1:].clip(1e-7, 1 - 1e-7)
        u = expected + own[:, 1 : 1 + b] + scale * np.log(share / (1 - share))
        for band in range(b):
            for place, (to, before) in enumerate(self.pairs):
                if to == band:
                    u[:, band] += own[:, 1 + 2 * b + place] * (u[:, before] - expected[:, before])
            index = ((u[:, band].clip(-1, 1) + 1) / (2 * self.half)).round()
            u[:, band] = index * (2 * self.half) - 1
        return torch.from_numpy(u).to(numbers)

    def nearest(self, u: Tensor) -> Tensor:
        """The level u nearest to each number, the ends for what lies beyond."""
        return self.level(self.index(u.clamp(-1, 1)))

    def index(self, u: Tensor) -> Tensor:
        """Which of the levels is nearest to each u, as whole numbers from 0."""
        return ((u + 1) / (2 * self.half)).round()

    def level(self, index: Tensor) -> Tensor:
        """The level u of each whole number from 0."""
        return index * (2 * self.half) - 1

    def _between(self, low: Tensor, high: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """Log probability under one logistic each of all levels from the lowest to the highest."""
        first, last = low < self.half - 1, high > 1 - self.half  # which take all that lies beyond
        width = torch.where(first | last, FAR, high - low + 2 * self.half)
        high, low = torch.where(last, FAR, high + self.half), torch.where(first, -FAR, low - self.half)
        slope = (-log_scale).exp()
        above, below = slope * (high - mean), slope * (low - mean)
        # log(sigmoid(a) - sigmoid(b)) = log(1 - exp(b - a)) + log(sigmoid(a)) + log(sigmoid(-b)), in one
        # logarithm, as log(sigmoid(a)) = min(a, 0) + log(sigmoid(|a|)).
        inside = torch.expm1(-slope * width) * torch.sigmoid(above.abs()) * torch.sigmoid(below.abs())
        return torch.log(-inside) + above.clamp(max=0) - below.clamp(min=0)

    def _drawn(self, log_p, mean, log_scale, low, high, chance) -> Tensor:
        """One number (n,) of each mixture (n, mixture) of logistics that are cut off, by one chance (n,):
        what is left of it by the choice is as even as it was."""
        shares = torch.softmax(log_p, dim=1).cumsum(1)
        chosen = (shares < chance[:, None]).sum(1).clamp_max(self.mixtures - 1)[:, None]
        upto, own = shares.gather(1, chosen), torch.softmax(log_p, dim=1).gather(1, chosen)
        chance = ((chance[:, None] - upto + own) / own).clamp(1e-7, 1 - 1e-7)
        mean, scale = mean.gather(1, chosen), log_scale.gather(1, chosen).exp()
        below = torch.where(low < self.half - 1, -torch.inf, (low - self.half - mean) / scale)
        above = torch.where(high > 1 - self.half, torch.inf, (high + self.half - mean) / scale)
        turned = below + above > 0  # so that what is drawn lies in the lower tail, where numbers are exact
        below, above = torch.where(turned, -above, below), torch.where(turned, -below, above)
        chance = torch.where(turned, 1 - chance, chance)
        log_share = torch.logaddexp(
            (1 - chance).log() + F.logsigmoid(below), chance.log() + F.logsigmoid(above)
        )
        found = log_share - torch.log(-torch.expm1(log_share))
        return (mean + scale * torch.where(turned, -found, found))[:, 0]


def _split(within, n: int):
    if within is None:
        return itertools.repeat(None)
    return zip(*(edge.split(n) for edge in within), strict=True)
