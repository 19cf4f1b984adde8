"""PixelCNNs from coarse to fine: the shape of a galaxy first, its details after."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from .means import halved, summed
from .pixelcnn import PixelCNN
from .pixelwise import Pixelwise
from .raster import Raster


class Multiscale(Pixelwise):
    """Several PixelCNNs: one of a small picture of means, and others of pixels given the means of 2 x 2.

    As the Multi-Scale PixelRNN (van den Oord+2016, section 3.6) and PixelPyramids (Mahajan & Roth 2021) it
    settles a galaxy's flux, color and shape in few pixels, and not row by row. These are means, in which
    noise is small and a shape is most of what there is to know. They are whole levels, rounded down, and a
    pixel can only have those that its mean and the pixels before leave to it: the likelihood is that of the
    picture's levels, exact.

    Parameters
    ----------
    bands : tuple of str
    size : int
        Pixels a side: of half as many is each next coarser picture.
    levels, vertical, horizontal, mixtures, conditions, dropout
        As `PixelCNN` has them, alike at all scales.
    width : tuple of int
        Channels at each scale, the coarsest first.
    opposite, coarser : int
        Gated blocks that look at the opposite side, and, but for the coarsest, at the means.

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
        options |= {
            "opposite": opposite,
            "lean": bool(opposite),
            "conditions": self.conditions,
            "dropout": dropout,
        }
        scales = []
        for k, channels in enumerate(width[::-1]):
            small = -(-self.size // 2**k)
            more = {"width": channels, "coarser": coarser if k < len(width) - 1 else 0}
            scales.insert(0, PixelCNN(bands, small, **more, **options))
        self.scales = nn.ModuleList(scales)

    def numbers(self, u: Tensor, known: Tensor, y: Tensor | None = None) -> Tensor:
        """What `pixel` wants to know of each pixel (n, number, y, x), given its mean and those before it."""
        return self.scales[-1].numbers(u, known, y)

    def within(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        return self.scales[-1].within(u)

    def pyramid(self, u: Tensor) -> list[Tensor]:
        """Levels (n, band, ...) of each scale of a picture's levels u, the coarsest first."""
        pictures = [u]
        for scale in self.scales[:0:-1]:
            pictures.insert(0, scale.means(pictures[0]))
        return pictures

    def log_probs(self, u: Tensor, known: Tensor, y: Tensor | None = None, *, each: bool = False) -> Tensor:
        """Log probability of each pixel (n, y, x), or of each of its bands (n, band, y, x): of its own level
        given its mean, and an even share of what that of its mean is."""
        total, pixels = 0, torch.ones_like(u[:1, :1])  # of which the mean is
        for scale, part in reversed(list(zip(self.scales, self.pyramid(u), strict=True))):
            log_p = scale.log_probs(part, torch.ones_like(part[:, :1]), y, each=each)
            total = total + self._spread(log_p / (pixels if each else pixels[0]))
            pixels = summed(pixels)
        return total

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Bits per dimension, of the scales that learn if not all do: the others tell them nothing."""
        (u, known), nats = self.quantised(x), 0
        scales = list(zip(self.scales, self.pyramid(u), strict=True))
        learning = [one for one in scales if any(value.requires_grad for value in one[0].parameters())]
        for scale, part in learning or scales:
            nats = nats - scale.log_probs(part, torch.ones_like(part[:, :1]), y).sum()
        return {"loss": nats / (known.sum() * len(self.bands) * math.log(2))}

    @torch.no_grad()
    def drawing(
        self, x: Tensor, mask: Tensor, generator: torch.Generator | None = None, *, y: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The pictures of `complete` as they are drawn, once a row of each scale: a pixel is its mean's level
        until it has one of its own, and NaN before.

        A mean is drawn so that it goes with those of its pixels that are known, of which it is told no more.
        """
        mask = self.known_at(mask, x)[:, None].expand(-1, len(self.bands), -1, -1)
        index = self.pixel.index(self.quantised(torch.where(mask, x.to(self.device), 0.5))[0])
        known = torch.where(mask, (self.pixel.level(index) + 1) / 2, torch.nan)
        open_to = [(index.where(mask, 0), index.where(mask, self.pixel.levels - 1))]
        for _ in self.scales[1:]:
            open_to.append(tuple(halved(edge) for edge in open_to[-1]))
        means = picture = None
        for scale, edges in zip(self.scales, reversed(open_to), strict=True):
            settled, u = (edges[0] == edges[1]).all(1), self.pixel.level(edges[0])
            raster = Raster(scale, u, settled, scale.told(y, len(x)), means, edges)
            for part in raster.drawn(generator):
                found = self._spread(part)
                found = found if picture is None else torch.where(torch.isnan(found), picture, found)
                yield torch.where(mask, known, found)
            means, picture = 2 * part - 1, found

    def _spread(self, x: Tensor) -> Tensor:
        """(..., size, size) of fewer pixels (..., y, x), each many times."""
        every = 2 ** (self.size - 1).bit_length() // 2 ** (x.shape[-1] - 1).bit_length()
        x = x.repeat_interleave(every, -1).repeat_interleave(every, -2)
        return x[..., : self.size, : self.size]

    @torch.no_grad()
    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        for k, scale in enumerate(self.scales):
            scale.warm_start(((self.pyramid(self.quantised(x)[0])[k] + 1) / 2 for x in batches), y)
