"""A kernel density: a Gaussian around every point, as wide as held-out points like best."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .base import Density

FOLDS, WIDTHS = 5, 16
MEMORY = 2**24  # distances at a time


class KDE(Density):
    """A Gaussian kernel around each of at most `points` whitened points; p(z | given) is that of the joint.

    Parameters
    ----------
    dim, given : int
    points : int
        Points that are kept; of more as many are drawn at random.
    bandwidth : float or None
        The kernel's standard deviation, of whitened points; None: the one of 16 about Scott's (1992) rule
        under which points weigh most that are left out, in five parts.
    """

    def __init__(self, dim: int, given: int = 0, *, points: int = 10_000, bandwidth: float | None = None):
        super().__init__(dim, given)
        if not isinstance(points, int) or points < 1:
            raise ValueError(f"points={points!r}, wanted a whole number of at least 1")
        if bandwidth is not None and not 0 < bandwidth < math.inf:
            raise ValueError(f"bandwidth={bandwidth!r}, wanted a number above 0, or None")
        self.register_buffer("points", torch.zeros(points, dim + given))
        self.register_buffer("width", torch.tensor(float(bandwidth or 1)))

    def learn(self, z: Tensor, c: Tensor, *, seed: int) -> None:
        joint = torch.cat([z, c], 1)
        rng = torch.Generator().manual_seed(seed)
        kept = torch.randperm(len(joint), generator=rng)[: len(self.points)]
        self.points = joint[kept].clone()
        self.config["points"] = len(self.points)
        if self.config["bandwidth"] is None:
            self.width.fill_(self._best_width())

    def _best_width(self) -> float:
        n, d = self.points.shape
        scott, fold = n ** (-1 / (d + 4)), torch.arange(n) % FOLDS
        widths = np.geomspace(scott / 6, scott * 2, WIDTHS)
        scores = np.zeros(WIDTHS)
        for k in range(FOLDS):
            seen, left = self.points[fold != k], self.points[fold == k]
            for block in left.split(max(MEMORY // len(seen), 1)):
                squares = torch.cdist(block, seen).square()
                for i, width in enumerate(widths):
                    log = torch.logsumexp(squares / (-2 * width**2), 1) - d * math.log(width)
                    scores[i] += float(log.double().sum())
        return float(widths[scores.argmax()])

    def weigh(self, z: Tensor, c: Tensor) -> Tensor:
        joint = self._log_sums(torch.cat([z, c], 1), self.points)
        if self.given:
            joint = joint - self._log_sums(c, self.points[:, self.dim :])
        else:
            joint = joint - math.log(len(self.points))
        return joint - self.dim * float(torch.log(self.width * math.sqrt(2 * math.pi)))

    def draw(self, c: Tensor, n: int, generator: torch.Generator) -> Tensor:
        noise = (
            torch.randn(n, self.dim, generator=generator, dtype=self.root.dtype).to(self.root) * self.width
        )
        return self.points[self._near(c, n, generator), : self.dim] + noise

    def _near(self, c: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Kernels (n,), drawn as likely as each condition lies in them."""
        if not self.given:
            return torch.randint(len(self.points), (n,), generator=generator)
        rows = []
        for block in c.split(max(MEMORY // len(self.points), 1)):
            squares = torch.cdist(block, self.points[:, self.dim :]).square()
            share = torch.softmax(squares / (-2 * self.width**2), 1)
            rows.append(torch.multinomial(share.cpu(), 1, generator=generator)[:, 0])
        return torch.cat(rows)

    def _log_sums(self, x: Tensor, points: Tensor) -> Tensor:
        parts = x.split(max(MEMORY // len(points), 1))
        squares = (torch.cdist(part, points).square() for part in parts)
        return torch.cat([torch.logsumexp(s / (-2 * self.width**2), 1) for s in squares])
