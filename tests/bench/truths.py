"""Distributions whose density is known: what densities are measured against."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist


class Ring:
    """Radius 2 with a scatter of 0.1, any angle."""

    dim = 2

    def sample(self, n, seed):
        rng = np.random.default_rng(seed)
        angle, radius = rng.uniform(0, 2 * np.pi, n), 2 + 0.1 * rng.normal(size=n)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    def log_prob(self, z):
        radius = np.linalg.norm(z, axis=1)
        return stats.norm(2, 0.1).logpdf(radius) - np.log(2 * np.pi * radius)


class Board:
    """The black squares of a board of 4 x 4."""

    dim = 2

    def sample(self, n, seed):
        rng = np.random.default_rng(seed)
        square, inside = rng.integers(0, 8, n), rng.random((n, 2))
        column = square // 2
        return np.stack([column - 2, 2 * (square % 2) + column % 2 - 2], axis=1) + inside

    def log_prob(self, z):
        column, row = np.floor(z).astype(int).T
        black = ((column + row) % 2 == 0) & (np.abs(z + 1e-9) < 2).all(axis=1)
        return np.where(black, -np.log(8), -np.inf)


class Blobs:
    """Eight round Gaussians on a circle."""

    dim = 2
    means = 2 * np.stack([f(2 * np.pi * np.arange(8) / 8) for f in (np.cos, np.sin)], axis=1)

    def sample(self, n, seed):
        rng = np.random.default_rng(seed)
        return self.means[rng.integers(0, 8, n)] + 0.2 * rng.normal(size=(n, 2))

    def log_prob(self, z):
        parts = stats.norm(0, 0.2).logpdf(z[:, None] - self.means).sum(2)
        return np.logaddexp.reduce(parts, axis=1) - np.log(8)


class Bent:
    """A Gaussian that is bent into an arc, the more the larger its condition, 0.5 to 1.5."""

    dim = 2

    def conditions(self, n, seed):
        return np.random.default_rng([seed, 1]).uniform(0.5, 1.5, (n, 1))

    def sample(self, n, seed, given=1.0):
        x, y = np.random.default_rng(seed).normal(size=(2, n))
        return np.stack([x, 0.5 * y + np.ravel(given) * (x**2 - 1)], axis=1)


class Correlated:
    """A Gaussian of 10 dimensions, any two of which are correlated, and whose widths differ by 100."""

    dim = 10

    def __init__(self):
        rng = np.random.default_rng(0)
        root = np.tril(rng.normal(size=(10, 10))) + 2 * np.eye(10)
        scale = np.geomspace(0.1, 10, 10)
        self.truth = stats.multivariate_normal(5 * scale, (root @ root.T) * scale[:, None] * scale)

    def sample(self, n, seed):
        return self.truth.rvs(n, random_state=seed)

    def log_prob(self, z):
        return self.truth.logpdf(z)


TRUTHS = {"ring": Ring(), "checkerboard": Board(), "8 Gaussians": Blobs(), "10-d Gaussian": Correlated()}


def energy(a: np.ndarray, b: np.ndarray) -> float:
    """Squared energy distance (Szekely & Rizzo 2013), unbiased."""
    inside = [cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b)]
    return 2 * cdist(a, b).mean() - sum(inside)
