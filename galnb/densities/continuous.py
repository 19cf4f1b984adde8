"""Continuous flows: points drift along a velocity field, and the density thins as the field diverges."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from zuko import flows

from .flow import Flow


class FFJORD(Flow):
    """A continuous flow with a free-form Jacobian (Grathwohl+2019), learned by likelihood.

    dz/dt = f(z, t) from the data (t = 0) to a standard normal (t = 1); d log p / dt = -tr(df/dz).

    Parameters
    ----------
    dim, given : int
    hidden : tuple of int
        Widths of the velocity's network.
    frequencies : int
        Of the time that it is told.
    trace : str
        "exact", or "hutchinson": estimated by one random direction a point (Hutchinson 1990), as is always
        done in training beyond 3 dimensions.
    tolerance : float
        Of the integration, absolute and relative.
    """

    def __init__(
        self,
        dim: int,
        given: int = 0,
        *,
        hidden: tuple[int, ...] = (128, 128, 128),
        frequencies: int = 3,
        trace: str = "exact",
        tolerance: float = 1e-6,
    ):
        from ..errors import one_of

        one_of("trace", trace, ("exact", "hutchinson"))
        self.field = dict(hidden_features=hidden, freqs=frequencies)
        self.trace, self.tolerance = trace, tolerance
        super().__init__(dim, given)

    def build(self) -> nn.Module:
        limits = dict(atol=self.tolerance, rtol=self.tolerance, exact=self.trace == "exact")
        return flows.CNF(self.dim, self.given, activation=nn.SiLU, **limits, **self.field)

    def weigh(self, z: Tensor, c: Tensor) -> Tensor:
        transform = self.flow.transform
        exact, limits = transform.exact, (transform.atol, transform.rtol)
        if self.training:  # many coarse steps are worth more than few fine ones
            transform.exact = exact and self.dim <= 3
            transform.atol = transform.rtol = max(self.tolerance, 1e-3)
        try:
            return super().weigh(z, c)
        finally:
            transform.exact, (transform.atol, transform.rtol) = exact, limits


class Matching(FFJORD):
    """The same flow, learned by matching its velocity to straight lines from data to noise (Lipman+2023)."""

    def loss(self, z: Tensor, c: Tensor) -> Tensor:
        noise, t = torch.randn_like(z), torch.rand(len(z), 1, dtype=z.dtype, device=z.device)
        velocity = self.flow.transform.f(t[:, 0], (1 - t) * z + t * noise, c if self.given else None)
        return (velocity - (noise - z)).square().mean()
