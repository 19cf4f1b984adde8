"""Principal component analysis: the best linear compression, and the one to beat."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from .base import Model

EXACT_BELOW = 2048  # pixels a galaxy up to which the whole covariance matrix is kept


class PCA(Model):
    """Principal components, fitted out of core; with them the Gaussian of probabilistic PCA.

    Parameters
    ----------
    bands, size, latent_dim
        Images are (n, len(bands), size, size), latents (n, latent_dim).

    Notes
    -----
    `fit` wants batches that can be iterated again: one pass where the covariance matrix fits in
    memory, otherwise a block Krylov iteration (Musco & Musco 2015, algorithm 2) of `passes` + 2
    passes whose memory does not grow with n. `log_prob` and `sample` are those of Tipping & Bishop
    (1999), equations 3.7 and 3.8. The sign of a component makes its largest pixel positive.

    Examples
    --------
    >>> model = PCA(bands=("r",), size=28, latent_dim=2)
    >>> model.fit([torch.rand(20, 1, 28, 28)])
    >>> model.encode(torch.rand(5, 1, 28, 28)).shape
    torch.Size([5, 2])
    """

    def __init__(self, bands: tuple[str, ...] = ("i", "r", "g"), size: int = 64, latent_dim: int = 50):
        super().__init__(bands, size)
        pixels = len(self.bands) * size**2
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("components", torch.zeros(latent_dim, pixels))  # orthonormal rows
        self.register_buffer("variance", torch.ones(latent_dim))  # of each latent
        self.register_buffer("noise", torch.ones(()))  # variance of a pixel outside the components

    def fit(self, batches: Iterable[Tensor], *, passes: int = 8) -> None:
        """Find mean, components and variances of re-iterable `batches` of (n, band, size, size)."""
        moments = _moments(batches, self.components.shape[0], passes)
        for name, value in moments.items():
            getattr(self, name).copy_(torch.from_numpy(np.array(value)))

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        self.fit(batches)

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.components.T

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.components + self.mean).view(-1, len(self.bands), self.size, self.size)

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        return {"loss": (self.decode(self.encode(x)) - x).square().mean()}

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """(n, band, size, size) from the Gaussian of the latents, without pixel noise."""
        z = torch.randn(n, len(self.variance), generator=generator).to(self.mean)
        return self.decode(z * self.variance.sqrt())

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density (n,) in nats under probabilistic PCA."""
        x = x.flatten(1).double() - self.mean
        z = x @ self.components.T.double()
        variance, noise = self.variance.double(), self.noise.double()
        outside = x.square().sum(1) - z.square().sum(1)
        n_outside = x.shape[1] - len(variance)
        distance = (z.square() / variance).sum(1) + outside / noise
        volume = variance.log().sum() + n_outside * noise.log() + x.shape[1] * np.log(2 * np.pi)
        return -0.5 * (distance + volume)


def _moments(batches: Iterable[Tensor], k: int, passes: int) -> dict[str, np.ndarray]:
    n, total, square = 0, 0.0, 0.0
    covariance = 0.0
    for x in _rows(batches):
        n, total, square = n + len(x), total + x.sum(0), square + (x**2).sum()
        if x.shape[1] <= EXACT_BELOW:
            covariance = covariance + x.T @ x
    if n <= k:
        raise ValueError(f"{n} images cannot give {k} components; use more images or fewer components")
    mean = total / n
    if len(mean) <= EXACT_BELOW:
        values, vectors = np.linalg.eigh((covariance - n * np.outer(mean, mean)) / (n - 1))
        values, components = values[::-1][:k], vectors.T[::-1][:k]
    else:
        values, components = _krylov(batches, mean, n, k, passes)
    largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1)
    rest = (square - n * (mean**2).sum()) / (n - 1) - values.sum()
    noise = max(rest, 0.0) / max(min(len(mean), n) - k, 1)
    return {"mean": mean, "components": components * np.sign(largest), "variance": values, "noise": noise}


def _krylov(batches, mean: np.ndarray, n: int, k: int, passes: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues and eigenvectors of the covariance, by streaming products with it."""

    def times(block):
        return sum((x - mean).T @ ((x - mean) @ block) for x in _rows(batches)) / (n - 1)

    block = np.random.default_rng(0).normal(size=(len(mean), min(k + 10, n - 1)))
    blocks = []
    for _ in range(passes):
        block = np.linalg.qr(times(block))[0]
        blocks.append(block)
    basis = np.linalg.qr(np.concatenate(blocks, axis=1))[0]
    values, vectors = np.linalg.eigh(basis.T @ times(basis))
    return values[::-1][:k], (basis @ vectors[:, ::-1][:, :k]).T


def _rows(batches: Iterable[Tensor]):
    for x in batches:
        yield x.flatten(1).double().cpu().numpy()
