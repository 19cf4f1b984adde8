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

MOST = 64  # components that are tried
KINDS = ("full", "tied", "diag")
SEEN = 20_000  # points from which the number of components is chosen, and where they begin
FLOOR = 1e-6  # added to variances of whitened points
MEMORY = 2**22  # numbers at a time


class GMM(Density):
    """A mixture of Gaussians; p(z | given) is that of the joint mixture.

    Parameters
    ----------
    dim, given : int
    components : int or None
        None: the number up to 64 with the least Bayesian information criterion (Schwarz 1978). Of 1, 2, 4 ...
        until it grows twice, and then those between the best and its neighbors, to an eighth of it.
    covariance : str
        "full", "tied" (one for all components) or "diag", of whitened points; "best", by the same criterion.
    """

    def __init__(self, dim: int, given: int = 0, *, components: int | None = None, covariance: str = "full"):
        super().__init__(dim, given)
        one_of("covariance", covariance, (*KINDS, "best"))
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
        joint = torch.cat([z, c], 1).double().numpy()
        if len(joint) > SEEN:
            joint = joint[np.sort(np.random.default_rng(seed).choice(len(joint), SEEN, replace=False))]
        kinds = KINDS if self.covariance == "best" else (self.covariance,)
        tried = [_chosen(joint, kind, self.config["components"], seed) for kind in kinds]
        best = min(tried, key=lambda fitted: fitted.bic(joint))
        self.covariance = self.config["covariance"] = best.covariance_type
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


def _chosen(joint: np.ndarray, covariance: str, components: int | None, seed: int):
    """The scikit-learn mixture of the number of components that is given, or by the criterion."""
    from sklearn.mixture import GaussianMixture

    tried = {}  # criterion and mixture, by the number of components

    def attempt(k: int) -> None:
        options = dict(covariance_type=covariance, reg_covar=FLOOR, max_iter=200, random_state=seed)
        fitted = GaussianMixture(min(k, len(joint)), **options).fit(joint)
        tried[k] = fitted.bic(joint), fitted

    def best() -> int:
        return min(tried, key=lambda k: tried[k][0])

    if components:
        attempt(components)
        return tried[components][1]
    most, k = max(min(MOST, len(joint) // (joint.shape[1] + 1)), 1), 1
    while k == 1 or k <= min(most, 4 * best()):
        attempt(k)
        k *= 2
    while True:  # the wider gap beside the best is halved
        k = best()
        below = max((j for j in tried if j < k), default=k)
        above = min((j for j in tried if j > k), default=k)
        if max(k - below, above - k) <= max(k // 8, 1):
            return tried[k][1]
        attempt((below + k) // 2 if k - below >= above - k else (above + k) // 2)


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
