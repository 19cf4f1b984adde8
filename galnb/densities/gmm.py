"""A mixture of Gaussians, with as many components as the Bayesian information criterion wants."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import one_of
from ..models.mixture import Mixture
from .base import Density

CHOICES = (1, 2, 4, 8, 16, 32, 64)
SEEN = 20_000  # points from which the number of components is chosen, and where they begin
FLOOR = 1e-6  # added to variances of whitened points
MEMORY = 2**22  # numbers at a time


class GMM(Density):
    """A mixture of Gaussians; p(z | given) is that of the joint mixture.

    Parameters
    ----------
    dim, given : int
    components : int or None
        None: the number of 1, 2, 4, ... 64 with the least Bayesian information criterion (Schwarz 1978).
    covariance : str
        "full", "tied" (one for all components) or "diag", of whitened points.
    """

    def __init__(self, dim: int, given: int = 0, *, components: int | None = None, covariance: str = "full"):
        super().__init__(dim, given)
        one_of("covariance", covariance, ("full", "tied", "diag"))
        if components is not None and (not isinstance(components, int) or components < 1):
            raise ValueError(f"components={components!r}, wanted a whole number of at least 1, or None")
        self.covariance = covariance
        self.mixture = Mixture(dim + given, components or 1)

    def learn(self, z: Tensor, c: Tensor, *, seed: int, passes: int = 10) -> None:
        """By scikit-learn on 20,000 points; where there are more, `passes` over all of them follow."""
        from sklearn.mixture import GaussianMixture

        joint = torch.cat([z, c], 1).double().numpy()
        seen = joint
        if len(joint) > SEEN:
            seen = joint[np.sort(np.random.default_rng(seed).choice(len(joint), SEEN, replace=False))]
        best, least = None, np.inf
        chosen = self.config["components"]
        for k in (chosen,) if chosen else CHOICES:
            if k > max(len(seen) // (joint.shape[1] + 1), 1) and best is not None:
                break
            k = min(k, len(seen))
            options = dict(covariance_type=self.covariance, reg_covar=FLOOR, max_iter=200, random_state=seed)
            fitted = GaussianMixture(k, **options).fit(seen)
            if (score := fitted.bic(seen)) < least:
                best, least = fitted, score
            elif k >= 4 * best.n_components:
                break
        weights, means, covariances = best.weights_, best.means_, _full(best)
        if len(joint) > len(seen):
            for _ in range(passes):
                weights, means, covariances = self._again(joint, weights, means, covariances)
        self._keep(weights, means, covariances)

    def _again(self, points, weights, means, covariances):
        """One pass of expectation and maximisation over all points, a block at a time."""
        mixture = Mixture(points.shape[1], len(weights)).double()
        _set(mixture, weights, means, covariances)
        sums, firsts = np.zeros(len(weights)), np.zeros_like(means)
        seconds = np.zeros_like(covariances)
        for block in np.array_split(points, -(-points.size * len(weights) // MEMORY)):
            share = torch.softmax(
                mixture._log_parts(torch.from_numpy(block), mixture.means, mixture.roots), 1
            )
            share = share.numpy()
            sums += share.sum(0)
            firsts += share.T @ block
            seconds += np.einsum("nk,ni,nj->kij", share, block, block, optimize=True)
        sums = np.maximum(sums, 1e-9)
        means = firsts / sums[:, None]
        covariances = seconds / sums[:, None, None] - means[:, :, None] * means[:, None]
        if self.covariance == "tied":
            covariances[:] = np.average(covariances, axis=0, weights=sums)
        if self.covariance == "diag":
            covariances *= np.eye(points.shape[1])
        return sums / sums.sum(), means, covariances + FLOOR * np.eye(points.shape[1])

    def _keep(self, weights, means, covariances) -> None:
        self.config["components"] = len(weights)
        self.mixture = Mixture(means.shape[1], len(weights)).to(self.root)
        order = np.argsort(-weights, kind="stable")
        _set(self.mixture, weights[order], means[order], covariances[order])

    def weigh(self, z: Tensor, c: Tensor) -> Tensor:
        if not self.given:
            return self.mixture.log_prob(z)
        conditions = self.mixture.log_prob(c, of=slice(self.dim, None))
        return self.mixture.log_prob(torch.cat([z, c], 1)) - conditions

    def draw(self, c: Tensor, n: int, generator: torch.Generator) -> Tensor:
        unknown = torch.full((n, self.dim), torch.nan, dtype=self.root.dtype)
        return self.mixture.given(torch.cat([unknown, c], 1), generator)[:, : self.dim]


def _full(fitted) -> np.ndarray:
    """Covariances (component, dim, dim) of a scikit-learn mixture of any kind."""
    found, (k, d) = fitted.covariances_, fitted.means_.shape
    if fitted.covariance_type == "tied":
        return np.repeat(found[None], k, axis=0)
    return found[:, None] * np.eye(d) if fitted.covariance_type == "diag" else found


def _set(mixture: Mixture, weights, means, covariances) -> None:
    mixture.weights.copy_(torch.from_numpy(weights))
    mixture.means.copy_(torch.from_numpy(means))
    mixture.roots.copy_(torch.from_numpy(np.linalg.cholesky(covariances)))
