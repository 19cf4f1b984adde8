"""Models that say how probable each pixel is, given those before it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from .base import Model
from .logistics import Logistics


class Pixelwise(Model):
    """Base of models that go through a picture's pixels in an order of theirs.

    A member defines

    - `numbers(u, known, y=None) -> (n, number, y, x)`: what `pixel` wants to know of each pixel, given those
      before it, of levels `u` and what is known of them, as `quantised` gives both;
    - `within(u) -> tuple or None`: the lowest and highest levels (n, band, y, x) that those before leave to
      each, where they do;
    - `drawing(x, mask, generator, y=None)`: the pictures of `complete` as they are drawn.

    Parameters
    ----------
    bands : tuple of str
    size, levels, mixtures : int
    place : bool
        Whether pictures have to be `size` pixels a side.
    holes : bool
        Whether pixels may be NaN.
    """

    def __init__(
        self, bands, size: int, levels: int, mixtures: int, *, place: bool = True, holes: bool = False
    ):
        super().__init__(bands, size)
        for name, value, least in (("size", size, 1), ("levels", levels, 2), ("mixtures", mixtures, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r}, wanted a whole number of at least {least}")
        self.place, self.holes = place, holes
        self.pixel = Logistics(len(self.bands), mixtures, levels)

    def within(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        return None

    def tensor(self, images):
        """Images as this model's input, checked; with `holes`, NaN may be among them."""
        if not self.holes:
            return super().tensor(images)
        unknown = np.isnan(images.pixels)
        filled = images.with_pixels(np.where(unknown, np.float32(0), images.pixels))
        x, unknown = super().tensor(filled), images.with_pixels(unknown)
        return x.masked_fill(super().tensor(unknown) > 0, torch.nan)

    def quantised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Levels u (n, band, y, x) from -1 to 1 of images, 0 where unknown; and what is known (n, 1, y, x).

        Raises BadInput for another shape, and for NaN where there may be no holes.
        """
        if x.ndim != 4 or x.shape[1] != len(self.bands) or (self.place and x.shape[2:] != 2 * (self.size,)):
            wanted = f"(n, {len(self.bands)}, {self.size}, {self.size})"
            raise BadInput(
                type(self).__name__, f"images have shape {tuple(x.shape)}, wanted {wanted}; crop or resize"
            )
        known = torch.isfinite(x)
        if not self.holes and not known.all():
            found = "images have NaN or infinite pixels, wanted finite ones, or holes=True"
            raise BadInput(type(self).__name__, found)
        known = known.all(1, keepdim=True)
        u = self.pixel.nearest(2 * x.nan_to_num() - 1)
        dtype = next(self.parameters()).dtype
        return torch.where(known, u, 0.0).to(dtype), known.to(dtype)

    # how probable

    def log_probs(self, u: Tensor, known: Tensor, y: Tensor | None = None, *, each: bool = False) -> Tensor:
        """Log probability of each pixel (n, y, x), or of each of its bands (n, band, y, x), 0 in holes."""
        log_p = self.pixel.log_prob(self.numbers(u, known, y), u, self.within(u), each=each)
        return log_p * (known if each else known[:, 0])

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        u, known = self.quantised(x)
        counted = known.sum().clamp_min(1) * len(self.bands)
        return {"loss": -self.log_probs(u, known, y).sum() / (counted * math.log(2))}

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Log probability (n,) in nats of the levels of images (n, band, size, size).

        Parameters
        ----------
        y : Tensor (n, condition), optional
            NaN where unknown, as all are without it.

        Holes are not counted. `bits` has it per dimension.
        """
        return self.log_probs(*self.quantised(x), y).sum((1, 2))

    def bits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Bits per dimension (n,), a known pixel and band: what their levels take with a perfect coder."""
        _, known = self.quantised(x)
        counted = known.sum((1, 2, 3)) * len(self.bands)
        return -self.log_prob(x, y) / (counted * math.log(2))

    def log_prob_map(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Log probability (n, band, y, x) in nats of each pixel given those before it, and of each band given
        those before it; 0 in holes. Its sum is `log_prob`."""
        return self.log_probs(*self.quantised(x), y, each=True)

    def pmf(self, x: Tensor, row: int, column: int, band: int = 0, y: Tensor | None = None) -> Tensor:
        """Probabilities (n, levels) of one pixel's band in images, given all that comes before it."""
        u, known = self.quantised(x)
        numbers, within = self.numbers(u, known, y)[:, :, row, column], self.within(u)
        within = within and tuple(edge[:, :, row, column] for edge in within)
        return self.pixel.pmf(numbers, u[:, :band, row, column], within)

    # pictures that do not exist

    def sample(self, n: int, generator: torch.Generator | None = None, *, y: Tensor | None = None) -> Tensor:
        """Pictures (n, band, size, size) at the model's levels, pixel by pixel, with the conditions y."""
        x = torch.full((n, len(self.bands), self.size, self.size), torch.nan)
        return self.complete(x, torch.zeros(self.size, self.size, dtype=torch.bool), generator, y=y)

    def complete(
        self,
        x: Tensor,
        mask: Tensor,
        generator: torch.Generator | None = None,
        *,
        y: Tensor | None = None,
    ) -> Tensor:
        """Pictures (n, band, y, x) with the pixels of `mask` as they are in x, and the others drawn.

        In the model's order: a pixel is drawn given all before it, known or drawn, and not those after it.

        Parameters
        ----------
        x : Tensor (n, band, y, x)
            Anything, NaN too, where not known.
        mask : Tensor (y, x) or (n, y, x) of bool
            True where known.
        """
        *_, last = self.drawing(x, mask, generator, y=y)
        return last

    def known_at(self, mask: Tensor, x: Tensor) -> Tensor:
        """Which pixels (n, y, x) of pictures x are known, of a `mask` as `complete` takes it."""
        mask = torch.as_tensor(mask, dtype=torch.bool, device=self.device)
        if mask.shape not in (x.shape[2:], (len(x), *x.shape[2:])):
            wanted = f"{tuple(x.shape[2:])} or {(len(x), *x.shape[2:])}"
            raise BadInput("mask", f"shape {tuple(mask.shape)}, wanted {wanted}")
        return mask.expand(len(x), -1, -1)
