"""A mixture of Gaussians, with as many components as the Bayesian information criterion wants."""

from __future__ import annotations

import copy
from collections.abc import Iterator

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

    def fit(self, z, *, given=None, seed: int = 0, passes: int = 10) -> GMM:
        """As all densities, by scikit-learn on 20,000 points; of more, `passes` over all of them follow."""
        super().fit(z, given=given, seed=seed)
        if len(z) > SEEN:
            for _ in range(passes):
                self._again(self.blocks(z, given))
        return self

    def learn(self, z: Tensor, c: Tensor, *, seed: int) -> None:
        from sklearn.mixture import GaussianMixture

        joint = torch.cat([z, c], 1).double().numpy()
        if len(joint) > SEEN:
            joint = joint[np.sort(np.random.default_rng(seed).choice(len(joint), SEEN, replace=False))]
        best, least, chosen = None, np.inf, self.config["components"]
        for k in (chosen,) if chosen else CHOICES:
            if k > max(len(joint) // (joint.shape[1] + 1), 1) and best is not None:
                break
            options = dict(covariance_type=self.covariance, reg_covar=FLOOR, max_iter=200, random_state=seed)
            fitted = GaussianMixture(min(k, len(joint)), **options).fit(joint)
            if (score := fitted.bic(joint)) < least:
                best, least = fitted, score
            elif k >= 4 * best.n_components:
                break
        order = np.argsort(-best.weights_, kind="stable")
        self.config["components"] = len(order)
        self.mixture = Mixture(joint.shape[1], len(order)).to(self.root)
        _set(self.mixture, best.weights_[order], best.means_[order], _full(best)[order])

    @torch.no_grad()
    def _again(self, blocks: Iterator[tuple[Tensor, Tensor]]) -> None:
        """One pass of expectation and maximisation over all points, a block at a time."""
        mixture = copy.deepcopy(self.mixture).double()
        sums, firsts, seconds = (torch.zeros_like(x) for x in (mixture.weights, mixture.means, mixture.roots))
        for z, c in blocks:
            both = torch.cat([z, c], 1).double()
            for block in both.split(max(MEMORY // (both.shape[1] * len(sums)), 1)):
                share = torch.softmax(mixture.log_parts(block, mixture.means, mixture.roots), 1)
                sums += share.sum(0)
                firsts += share.T @ block
                seconds += torch.einsum("nk,ni,nj->kij", share, block, block)
        weights = sums.clamp_min(1e-9).numpy()
        means = firsts.numpy() / weights[:, None]
        covariances = seconds.numpy() / weights[:, None, None] - means[:, :, None] * means[:, None]
        if self.covariance == "tied":
            covariances[:] = np.average(covariances, axis=0, weights=weights)
        if self.covariance == "diag":
            covariances *= np.eye(means.shape[1])
        _set(self.mixture, weights / weights.sum(), means, covariances + FLOOR * np.eye(means.shape[1]))

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
