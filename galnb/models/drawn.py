"""What models with a decoder and a prior of latents share: galaxies drawn through both, with pixel noise."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType

import torch
from torch import Tensor

from ..errors import BadInput
from .flow_prior import FlowPrior
from .mixture import Mixture

PRIORS = {"mixture": Mixture, "flow": FlowPrior}


class Drawn:
    """A model that draws; it defines `draw(n, generator) -> (n, latent_dim)` and `picture(z)`.

    `picture` gives mean and log standard deviation of the pixels; `texture` draws their noise, and `prior`,
    where there is one, is fitted to latents of the training galaxies.
    """

    def sample(self, n: int, generator: torch.Generator | None = None, *, noise: bool = True) -> Tensor:
        """Galaxies that do not exist (n, band, size, size); without `noise`, their mean pictures."""
        return self.imagine(self.draw(n, generator), generator, noise=noise)

    def imagine(self, z: Tensor, generator: torch.Generator | None = None, *, noise: bool = True) -> Tensor:
        """Pictures (n, band, size, size) of latents, with pixel noise or, as `decode`, without."""
        return self._noisy(*self.picture(z), generator) if noise else self.decode(z)

    def _noisy(self, mean: Tensor, log_scale: Tensor, generator=None) -> Tensor:
        return (mean + log_scale.exp() * self.texture.draw(mean, generator)).clamp(0, 1)

    @torch.no_grad()
    def _left(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean pictures of images, and what they leave, in units of each pixel's spread."""
        mean, log_scale = self.picture(self.encode(x))
        return mean, (x - mean) / log_scale.exp()

    def _fit_prior(self, z: Tensor) -> None:
        if bad := int((~z.isfinite()).any(1).sum()):
            todo = "the training diverged or a picture has NaN; look at both, and lower the learning rate"
            raise BadInput(
                "latents", f"NaN or infinity in {bad} of {len(z)} galaxies, a prior has none; {todo}"
            )
        self.prior.fit(z)


class IfPrior:
    """A method of such models alone as have a prior: `can` and `hasattr` find none in the others."""

    def __init__(self, method: Callable):
        self.method, self.__doc__ = method, method.__doc__

    def __get__(self, model, owner: type | None = None):
        if model is None:
            return self
        if model.prior is None:
            raise AttributeError(f"this {owner.__name__} has no prior to draw from")
        return MethodType(self.method, model)
