"""Autoregressive flows: each coordinate is bent by those before it; quick to weigh, slow to draw."""

from __future__ import annotations

from torch import nn
from zuko import flows

from .flow import Flow


class MAF(Flow):
    """A masked autoregressive flow of shifts and scales (Papamakarios+2017).

    Parameters
    ----------
    dim, given : int
    transforms : int
        Layers, each with its own order of the coordinates.
    hidden : tuple of int
        Widths of the network of each layer.
    """

    def __init__(
        self, dim: int, given: int = 0, *, transforms: int = 5, hidden: tuple[int, ...] = (128, 128)
    ):
        self.layers = dict(transforms=transforms, hidden_features=hidden)
        super().__init__(dim, given)

    def build(self) -> nn.Module:
        # Bounded, for what lies far from all that was seen.
        options = dict(randperm=self.dim > 3, activation=nn.Tanh)
        return flows.MAF(self.dim, self.given, **options, **self.layers)


class AutoregressiveNSF(MAF):
    """A masked autoregressive flow of monotonic rational-quadratic splines (Durkan+2019).

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
        transforms: int = 3,
        hidden: tuple[int, ...] = (128, 128),
        bins: int = 8,
    ):
        self.bins = bins
        super().__init__(dim, given, transforms=transforms, hidden=hidden)

    def build(self) -> nn.Module:
        options = dict(bins=self.bins, randperm=self.dim > 3, activation=nn.SiLU)
        return flows.NSF(self.dim, self.given, **options, **self.layers)
