"""PixelCNNs from coarse to fine: the shape of a galaxy first, its details after."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from .pixelcnn import PixelCNN
from .pixelwise import Pixelwise


class Multiscale(Pixelwise):
    """Several PixelCNNs: one of every 4th pixel of every 4th row, and others of those between, given these.

    The Multi-Scale PixelRNN (van den Oord+2016, section 3.6) with PixelCNNs, and with an exact likelihood:
    the finer ones keep the pixels that they are given. A galaxy's flux, color and shape are settled in few
    pixels, in which they are most of what there is to know, and not row by row.

    Parameters
    ----------
    bands : tuple of str
    size : int
        Pixels a side.
    levels, vertical, horizontal, mixtures, conditions, dropout
        As `PixelCNN` has them, alike at all scales.
    width : tuple of int
        Channels at each scale, the coarsest first: pixels are twice as dense at each next one.
    opposite, coarser : int
        Gated blocks that look at the opposite side, and, but for the coarsest, at what is given.

    Examples
    --------
    >>> model = Multiscale(size=8, levels=4, width=(8, 8), vertical=(1,), horizontal=1)
    >>> x = model.sample(5, torch.Generator().manual_seed(0))
    >>> model.log_prob(x).shape, model.log_prob_map(x).shape, model.pmf(x, 2, 3).shape
    (torch.Size([5]), torch.Size([5, 3, 8, 8]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 32,
        levels: int = 256,
        width: tuple[int, ...] = (48, 40, 32),
        vertical: tuple[int, ...] = (1, 2, 2),
        horizontal: int = 3,
        mixtures: int = 5,
        opposite: int = 2,
        coarser: int = 3,
        conditions: tuple[str, ...] = (),
        dropout: float = 0.0,
    ):
        super().__init__(bands, size, levels, mixtures)
        if not width or self.size < 2 ** (len(width) - 1):
            raise ValueError(f"width={width}, wanted one or more numbers, and no more than {size} px allow")
        if not isinstance(coarser, int) or coarser < 1:
            raise ValueError(f"coarser={coarser!r}, wanted a whole number of at least 1")
        self.conditions = tuple(conditions)
        options = {"levels": levels, "vertical": vertical, "horizontal": horizontal, "mixtures": mixtures}
        options |= {"opposite": opposite, "conditions": self.conditions, "dropout": dropout}
        pixels, self.every, scales = range(self.size), [], []
        for channels in width[:0:-1]:  # from the finest
            given = min((0, 1), key=lambda first: _off_center(pixels[first::2], self.size))  # noqa: B023
            scales.append(
                PixelCNN(bands, len(pixels), width=channels, coarser=coarser, given=given, **options)
            )
            self.every.append(_at(pixels))
            pixels = pixels[given::2]
        scales.append(PixelCNN(bands, len(pixels), width=width[0], **options))
        self.every.append(_at(pixels))
        self.every.reverse()
        self.scales = nn.ModuleList(reversed(scales))

    def numbers(self, u: Tensor, known: Tensor, y: Tensor | None = None) -> Tensor:
        """What `pixel` wants to know of each pixel (n, number, y, x), given those of its scale before it and
        all of the coarser scales."""
        numbers = u.new_zeros(len(u), self.pixel.numbers, *u.shape[2:])
        for scale, every in reversed(list(zip(self.scales, self.every, strict=True))):
            numbers[every] = scale.numbers(u[every], known[every], y)
        return numbers

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Bits per dimension; in training only of the scales that learn, as others tell them nothing."""
        u, known = self.quantised(x)
        nats = 0
        for scale, every in zip(self.scales, self.every, strict=True):
            if not self.training or any(value.requires_grad for value in scale.parameters()):
                log_p = self.pixel.log_prob(scale.numbers(u[every], known[every], y), u[every])
                nats = nats - (log_p * scale.asked(known[every])[:, 0]).sum()
        return {"loss": nats / (known.sum() * len(self.bands) * math.log(2))}

    @torch.no_grad()
    def drawing(
        self, x: Tensor, mask: Tensor, generator: torch.Generator | None = None, *, y: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The pictures of `complete` as they are drawn, once a row of each scale; NaN where not yet."""
        mask = self.known_at(mask, x).clone()
        x = x.to(self.device).clone()
        for scale, every in zip(self.scales, self.every, strict=True):
            for part in scale.drawing(x[every], mask[every], generator, y=y):
                out = torch.where(mask[:, None], x, torch.nan)
                out[every] = torch.where(torch.isnan(part), out[every], part)
                yield out
            x[every], mask[every] = part, True

    @torch.no_grad()
    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        for scale, every in zip(self.scales, self.every, strict=True):
            scale.warm_start((x[every] for x in batches), y)


def _at(pixels: range) -> tuple:
    """Where these rows and columns are in pictures (..., y, x)."""
    return (..., slice(pixels.start, None, pixels.step), slice(pixels.start, None, pixels.step))


def _off_center(pixels: range, size: int) -> float:
    """How far the middle of these rows is from that of all."""
    return abs(pixels[0] + pixels[-1] - (size - 1)) if pixels else size
