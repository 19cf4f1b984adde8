"""A Gaussian mixture as a module: fitted, sampled, and conditioned on what is known of a point."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn


class Mixture(nn.Module):
    """A mixture of Gaussians with full covariances, which begins as one standard normal.

    Parameters
    ----------
    dim, components : int

    Examples
    --------
    >>> mixture = Mixture(dim=2, components=3)
    >>> round(float(mixture.log_prob(torch.zeros(1, 2))), 3)  # of a standard normal: -log 2 pi
    -1.838
    """

    def __init__(self, dim: int, components: int = 40):
        super().__init__()
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, dim))
        self.register_buffer("roots", torch.eye(dim).repeat(components, 1, 1))  # Cholesky factors

    def fit(self, z: Tensor, *, seed: int = 0) -> None:
        """Fit to points (n, dim) by expectation maximisation (scikit-learn's)."""
        from sklearn.mixture import GaussianMixture

        points = z.detach().cpu().double().numpy()
        k = min(len(self.weights), max(len(points) // 10, 1))
        fitted = GaussianMixture(k, reg_covar=1e-4, max_iter=200, random_state=seed).fit(points)
        order = np.argsort(-fitted.weights_)
        self.weights.zero_()
        self.weights[:k] = torch.from_numpy(fitted.weights_[order]).to(self.weights)
        self.means[:k] = torch.from_numpy(fitted.means_[order]).to(self.means)
        self.roots[:k] = torch.from_numpy(np.linalg.cholesky(fitted.covariances_[order])).to(self.roots)

    def log_prob(self, z: Tensor, *, of: slice = slice(None)) -> Tensor:
        """Log density (n,) in nats of points (n, dim), or of a part of their coordinates."""
        roots = self.roots
        if of != slice(None):
            roots = torch.linalg.cholesky((roots @ roots.mT)[:, of, of])
        return torch.logsumexp(self.log_parts(z, self.means[:, of], roots), dim=1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Points (n, dim)."""
        return self.given(torch.full((n, self.means.shape[1]), torch.nan), generator)

    def given(self, known: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Points (n, dim) drawn under the condition of their known coordinates; NaN where unknown."""
        out = known.to(self.means).clone()
        open_ = torch.isnan(known)
        for pattern in torch.unique(open_, dim=0):
            rows = (open_ == pattern).all(1)
            if pattern.any():
                out[rows] = self._complete(out[rows], pattern, generator)
        return out

    def _complete(self, z: Tensor, unknown: Tensor, generator) -> Tensor:
        at, there = unknown.nonzero()[:, 0], (~unknown).nonzero()[:, 0]
        covariances, means = (self.roots @ self.roots.mT).double(), self.means.double()
        block = lambda rows, columns: covariances[:, rows][:, :, columns]  # noqa: E731
        root = block(at, at)
        log_parts = self.weights.log()[None].expand(len(z), -1)
        shift = torch.zeros(len(z), len(self.weights), len(at), dtype=torch.float64, device=z.device)
        if len(there):
            own = torch.linalg.cholesky(block(there, there))
            log_parts = self.log_parts(z[:, there].double(), means[:, there], own)
            gain = torch.cholesky_solve(block(there, at), own).mT  # (component, at, there)
            shift = torch.einsum("kat,nkt->nka", gain, z[:, None, there].double() - means[:, there])
            root = root - gain @ block(there, at)
        root = torch.linalg.cholesky(root + 1e-9 * torch.eye(len(at), dtype=root.dtype, device=root.device))
        share = torch.softmax(log_parts.double(), dim=1).cpu()
        which = torch.multinomial(share, 1, generator=generator)[:, 0].to(z.device)
        noise = torch.randn(len(z), len(at), generator=generator, dtype=torch.float64).to(z.device)
        for k in which.unique():
            rows = (which == k).nonzero()[:, 0]
            z[rows[:, None], at] = (means[k, at] + shift[rows, k] + noise[rows] @ root[k].T).to(z)
        return z

    def log_parts(self, z: Tensor, means: Tensor, roots: Tensor) -> Tensor:
        """Log of weight times density (n, component)."""
        apart = (z[:, None] - means).transpose(0, 1).mT  # (component, dim, n)
        distance = torch.linalg.solve_triangular(roots, apart, upper=False).square().sum(1).T
        volume = roots.diagonal(dim1=1, dim2=2).log().sum(1)
        return self.weights.log() - volume - 0.5 * distance - 0.5 * z.shape[1] * math.log(2 * math.pi)
