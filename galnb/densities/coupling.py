"""Coupling flows: half of the coordinates bend the other half, and the next layer the other way round."""

from __future__ import annotations

from functools import partial

from torch import nn
from zuko import flows
from zuko.transforms import AdditiveTransform, MonotonicRQSTransform

from .flow import Flow


class NICE(Flow):
    """Coupling by shifts, which change no volume (Dinh+2014), after a whitening that does.

    Parameters
    ----------
    dim, given : int
    transforms : int
        Layers.
    hidden : tuple of int
        Widths of the network of each layer.
    """

    univariate, shapes = AdditiveTransform, [()]

    def __init__(
        self, dim: int, given: int = 0, *, transforms: int = 6, hidden: tuple[int, ...] = (128, 128)
    ):
        self.layers = dict(transforms=transforms, hidden_features=hidden)
        super().__init__(dim, given)

    def build(self) -> nn.Module:
        # Tanh is bounded: what lies far from all others is moved as the farthest that was seen.
        # Which half is which is drawn anew for each layer, where there are more than two ways.
        options = dict(
            univariate=self.univariate, shapes=self.shapes, randmask=self.dim > 3, activation=nn.Tanh
        )
        return flows.NICE(self.dim, self.given, **options, **self.layers)


class RealNVP(NICE):
    """Coupling by shifts and scales (Dinh+2017)."""

    univariate, shapes = staticmethod(flows.coupling.MonotonicAffineTransform), [(), ()]


class NSF(NICE):
    """Coupling by monotonic rational-quadratic splines (Durkan+2019), the identity beyond 5 sigma.

    Parameters
    ----------
    bins : int
        Pieces a spline.
    """

    def __init__(
        self,
        dim: int,
        given: int = 0,
        *,
        transforms: int = 6,
        hidden: tuple[int, ...] = (128, 128),
        bins: int = 8,
    ):
        self.univariate = partial(MonotonicRQSTransform, slope=1e-3)
        self.shapes = [(bins,), (bins,), (bins - 1,)]
        super().__init__(dim, given, transforms=transforms, hidden=hidden)
