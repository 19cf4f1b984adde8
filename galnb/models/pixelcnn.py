"""PixelCNN: the exact probability of a picture, pixel after pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BadInput
from .base import Model
from .blocks import zeroed
from .logistics import Logistics
from .raster import Raster
from .stacks import Gated, Level, Opposite, Window, alive

SEEN = 256  # pictures to which the linear autoregression is fitted
FORGET = 0.1  # share of conditions that training hides, so that "unknown" is known too


class PixelCNN(Model):
    """A network that knows how probable each pixel is, given those above it and left of it.

    PixelCNN++ (Salimans+2017) in the shape of the gated PixelCNN (van den Oord+2016): a vertical stack, which
    sees all rows above at several resolutions, and a horizontal stack along the row, which is told what the
    vertical one found; together they see every pixel before, without a blind spot. What they say of a pixel
    is a mixture of discretised logistics, on top of a linear autoregression, as which the model starts.

    Parameters
    ----------
    bands : tuple of str
    size : int
        Pixels a side.
    levels : int
        Pixels, of whatever display stretch (also asinh) in 0 to 1, are rounded to the nearest of so many even
        levels, and what lies beyond 0 and 1 to the ends. The likelihood is that of the levels: exact, in nats
        a picture, without noise added, and comparable between models of the same number of levels only.
    width : int
        Channels of both stacks.
    vertical : tuple of int
        Gated blocks of the vertical stack at 1, 1/2, 1/4 ... of the resolution; all but the last are there
        twice, going down and up again. One number: without down-sampling.
    horizontal : int
        Gated blocks of the horizontal stack.
    mixtures : int
        Logistics a pixel.
    place : bool
        Whether a pixel knows where in the picture it is. Without, the network is the same everywhere.
    opposite : int
        Gated blocks that look at the upper half turned by 180 degrees, and tell the lower half what stands
        opposite: galaxies are nearly symmetric so. None: 0. Not with `blind_spot`.
    conditions : tuple of str
        Names of the numbers y (n, condition) that the model is told; NaN is unknown.
    blind_spot : bool
        The plain masked PixelCNN instead: one stack of masked 3 x 3 windows, blind to much of what is above
        on the right; `vertical` is then not used.
    holes : bool
        Whether pixels may be NaN: neither counted nor seen by others. Else they are an error.
    dropout : float

    Notes
    -----
    `log_prob`, `log_prob_map`, `pmf` and `loss` take pictures of other sizes too where `place` is False.

    Examples
    --------
    >>> model = PixelCNN(size=8, levels=4, width=8, vertical=(1,), horizontal=1)
    >>> x = model.sample(5, torch.Generator().manual_seed(0))
    >>> model.log_prob(x).shape, model.log_prob_map(x).shape, model.pmf(x, 2, 3).shape
    (torch.Size([5]), torch.Size([5, 3, 8, 8]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 32,
        levels: int = 256,
        width: int = 32,
        vertical: tuple[int, ...] = (1, 2, 2),
        horizontal: int = 3,
        mixtures: int = 5,
        place: bool = True,
        opposite: int = 0,
        conditions: tuple[str, ...] = (),
        blind_spot: bool = False,
        holes: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__(bands, size)
        self._check(levels, vertical, horizontal, mixtures, opposite)
        self.place, self.holes, self.conditions = place, holes, tuple(conditions)
        b, seen = len(self.bands), 2 * len(self.bands) + 1
        self.pixel = Logistics(b, mixtures, levels)
        options = {"told": 2 * len(self.conditions), "dropout": dropout}
        self.straight = Window(seen, b, top=3, left=3, right=3, last=3)  # the linear autoregression
        zeroed(self.straight).requires_grad_(False)
        if blind_spot:
            self.above = None
            if opposite:
                raise ValueError(f"opposite={opposite} with blind_spot=True, wanted one of them")
            self.first = Window(seen, width, top=3, left=3, right=3, last=3)
            options |= {"top": 1, "left": 1, "right": 1, "last": 2}
        else:
            self.above = Window(seen, width, top=3, bottom=-1, left=3, right=3)
            self.opposite = Opposite(seen, width, opposite, **options) if opposite else None
            self.vertical = Level(width, tuple(vertical), **options)
            self.tell = alive(nn.Conv2d(width, (horizontal + 1) * width, 1))
            self.first = Window(seen, width, top=0, left=4, right=-1)
            options |= {"top": 0, "left": 2, "right": 0}
        self.blocks = nn.ModuleList(Gated(width, **options) for _ in range(horizontal))
        self.mix = alive(nn.Conv2d(width, width, 1))
        self.say = zeroed(nn.Conv2d(width, self.pixel.said, 1))
        where = places(size) if place else torch.zeros(1, 0, size, size)
        self.register_buffer("where", where, persistent=False)
        self.located = zeroed(nn.Conv2d(where.shape[1], width, 1, bias=False)) if place else None
        self.register_buffer("sky", torch.zeros(b))  # of u: where most pixels are, and how far they scatter
        self.register_buffer("scatter", torch.ones(b))
        self.register_buffer("unit", torch.ones(b))  # in which means are said
        self.register_buffer("usual", torch.tensor([[0.0], [1.0]]).repeat(1, len(self.conditions)))
        with torch.no_grad():
            self._parts(self.say.bias)[2].copy_(torch.linspace(-3, 0, mixtures))

    def _check(self, levels, vertical, horizontal, mixtures, opposite) -> None:
        for name, value, least in (
            ("size", self.size, 1),
            ("levels", levels, 2),
            ("horizontal", horizontal, 0),
            ("mixtures", mixtures, 1),
            ("opposite", opposite, 0),
        ):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r}, wanted a whole number of at least {least}")
        if not vertical or any(not isinstance(blocks, int) or blocks < 0 for blocks in vertical):
            raise ValueError(f"vertical={vertical}, wanted numbers of blocks, one a resolution")

    # pictures, levels and what the network sees

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
            raise BadInput("PixelCNN", f"images have shape {tuple(x.shape)}, wanted {wanted}; crop or resize")
        known = torch.isfinite(x)
        if not self.holes and not known.all():
            raise BadInput(
                "PixelCNN", "images have NaN or infinite pixels, wanted finite ones, or holes=True"
            )
        known = known.all(1, keepdim=True)
        u = self.pixel.nearest(2 * x.nan_to_num() - 1)
        return torch.where(known, u, 0.0).to(self.sky.dtype), known.to(self.sky.dtype)

    def inputs(self, u: Tensor, known: Tensor) -> Tensor:
        """What the network is given (n, 2 * band + 1, ...) of levels: linear, and stretched at the sky."""
        shape = (1, -1, *(u.ndim - 2) * (1,))
        stretched = torch.asinh((u - self.sky.view(shape)) / self.scatter.view(shape))
        return torch.cat([known * u, known * stretched, known], dim=1)

    def told(self, y: Tensor | None, n: int) -> Tensor | None:
        """Conditions (n, 2 * condition) as blocks are told them: in units of their spread, and which not."""
        if not self.conditions:
            return None
        if y is None:
            y = self.usual.new_full((n, len(self.conditions)), torch.nan)
        y = torch.as_tensor(y, dtype=self.usual.dtype, device=self.usual.device)
        y = y.expand(n, -1) if y.ndim == 1 else y
        if y.shape != (n, len(self.conditions)):
            raise BadInput("y", f"shape {tuple(y.shape)}, wanted ({n}, {len(self.conditions)})")
        y = (y - self.usual[0]) / self.usual[1]
        if self.training:
            y = y.masked_fill(torch.rand(n, 1, device=y.device) < FORGET, torch.nan)
        return torch.cat([y.nan_to_num(), torch.isnan(y).to(y)], dim=1)

    # the network

    def numbers(self, u: Tensor, known: Tensor, y: Tensor | None = None) -> Tensor:
        """What `pixel` wants to know of each pixel (n, number, y, x), given those before it."""
        told, seen = self.told(y, len(u)), self.inputs(u, known)
        seen = seen.contiguous(memory_format=torch.channels_last)
        h = self.first(seen)
        h = h if self.located is None else h + self.located(self.where)
        more = [None] * len(self.blocks)
        if self.above is not None:
            v = self.above(seen)
            if self.opposite is not None:
                said = self.opposite(seen, told)
                v = v + F.pad(said, (0, 0, v.shape[2] - said.shape[2], 0))
            v = self.vertical(v, told)
            first, *more = self.tell(F.silu(v)).split(self.config["width"], dim=1)
            h = h + first
        for block, part in zip(self.blocks, more, strict=True):
            h = block(h, told, part)
        said = self.say(F.silu(self.mix(F.silu(h))))
        return self.around(said, self.straight(seen))

    def around(self, said: Tensor, straight: Tensor) -> Tensor:
        """Numbers (n, number, ...) of what the stacks say and what the linear autoregression expects."""
        # Pixels beside another in memory, and not channels: what comes next takes half the time.
        said, straight = said.contiguous(), straight.contiguous()
        first, last = self.pixel.mixtures, self.pixel.mixtures * (1 + len(self.bands))
        unit = self.unit.repeat_interleave(self.pixel.mixtures).view(1, -1, *(said.ndim - 2) * (1,))
        return torch.cat([said[:, :first], unit * said[:, first:last], said[:, last:], straight], dim=1)

    def _parts(self, numbers: Tensor) -> tuple[Tensor, ...]:
        """Views (row, mixture) of numbers (number,): weights, means, log scales, slopes."""
        b = len(self.bands)
        return numbers.view(-1, self.pixel.mixtures).split([1, b, b, len(self.pixel.pairs)])

    # how probable

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        u, known = self.quantised(x)
        log_p = self.pixel.log_prob(self.numbers(u, known, y), u)
        counted = known.sum().clamp_min(1) * len(self.bands)
        return {"loss": -(log_p * known[:, 0]).sum() / (counted * math.log(2))}

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Log probability (n,) in nats of the levels of images (n, band, size, size).

        Parameters
        ----------
        y : Tensor (n, condition), optional
            NaN where unknown, as all are without it.

        Holes are not counted. `bits` has it per dimension.
        """
        u, known = self.quantised(x)
        log_p = self.pixel.log_prob(self.numbers(u, known, y), u)
        return (log_p * known[:, 0]).sum((1, 2))

    def bits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Bits per dimension (n,), a known pixel and band: what their levels take with a perfect coder."""
        _, known = self.quantised(x)
        return -self.log_prob(x, y) / (known.sum((1, 2, 3)) * len(self.bands) * math.log(2))

    def log_prob_map(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Log probability (n, band, y, x) in nats of each pixel given those before it, and of each band given
        those before it; 0 in holes. Its sum is `log_prob`."""
        u, known = self.quantised(x)
        return self.pixel.log_prob(self.numbers(u, known, y), u, each=True) * known

    def pmf(self, x: Tensor, row: int, column: int, band: int = 0, y: Tensor | None = None) -> Tensor:
        """Probabilities (n, levels) of one pixel's band in images, given all that comes before it."""
        u, known = self.quantised(x)
        numbers = self.numbers(u, known, y)[:, :, row, column]
        return self.pixel.pmf(numbers, u[:, :band, row, column])

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

        In raster order: a pixel is drawn given all before it, known or drawn, and not those after it.

        Parameters
        ----------
        x : Tensor (n, band, y, x)
            Anything, NaN too, where not known.
        mask : Tensor (y, x) or (n, y, x) of bool
            True where known.
        """
        *_, last = self.drawing(x, mask, generator, y=y)
        return last

    @torch.no_grad()
    def drawing(
        self, x: Tensor, mask: Tensor, generator: torch.Generator | None = None, *, y: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The pictures of `complete` as they are drawn, once a row; NaN where they are not yet."""
        mask = torch.as_tensor(mask, dtype=torch.bool, device=self.device)
        if mask.shape not in (x.shape[2:], (len(x), *x.shape[2:])):
            wanted = f"{tuple(x.shape[2:])} or {(len(x), *x.shape[2:])}"
            raise BadInput("mask", f"shape {tuple(mask.shape)}, wanted {wanted}")
        mask = mask.expand(len(x), -1, -1)
        given = torch.where(mask[:, None], x.to(self.device), 0.5)
        u, _ = self.quantised(given)
        yield from Raster(self, u, mask, self.told(y, len(x))).drawn(generator)

    # starting

    @torch.no_grad()
    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Begin as a linear autoregression, by least squares, with scales of what it leaves."""
        if self.conditions and y is not None:
            known = ~torch.isnan(y)
            count = known.sum(0).clamp_min(1)
            mean = y.nan_to_num().sum(0) / count
            spread = ((y - mean).nan_to_num().square().sum(0) / count).sqrt()
            self.usual.copy_(torch.stack([mean, torch.where(spread > 0, spread, 1.0)]))
        pictures, seen = [], 0
        for x in batches:
            pictures.append(x[: SEEN - seen])
            seen += len(pictures[-1])
            if seen >= SEEN:
                break
        u, known = self.quantised(torch.cat(pictures))
        self._look(u, known)
        products = self._products(u, known)
        b = len(self.bands)
        kernel = torch.linalg.solve(products[:-b, :-b], products[:-b, -b:]).T.to(u)
        self.straight.weight.copy_(kernel.view_as(self.straight.weight))
        left = torch.cat(
            [
                (part - self.straight(self.inputs(part, seen))).permute(0, 2, 3, 1)[seen[:, 0] > 0]
                for part, seen in zip(u.split(64), known.split(64), strict=True)
            ]
        )
        square = left.T @ left + 1e-9 * len(left) * torch.eye(b).to(left)
        _, _, log_scales, slopes = self._parts(self.say.bias)
        for band in range(b):
            found = torch.linalg.solve(square[:band, :band], square[:band, band])
            for place, (to, before) in enumerate(self.pixel.pairs):
                if to == band:
                    slopes[place] = found[before]
            rest = (left[:, band] - left[:, :band] @ found).abs()[:, None]
            share = (torch.arange(self.pixel.mixtures) + 0.5) / self.pixel.mixtures
            scales = _quantiles(rest, share)[:, 0].clamp_min(self.pixel.half / 2)
            log_scales[band] = (scales / math.log(3)).log()
            self.unit[band] = scales.median()

    def _look(self, u: Tensor, known: Tensor) -> None:
        """Where the sky is, and how it scatters: the faint half of all pixels."""
        low, middle = _quantiles(u.permute(0, 2, 3, 1)[known[:, 0] > 0], torch.tensor([0.1, 0.4]))
        self.sky.copy_(middle)
        self.scatter.copy_((middle - low).clamp_min(2 * self.pixel.half))

    def _products(self, u: Tensor, known: Tensor) -> Tensor:
        """Sums of products of all that a pixel's linear autoregression knows and, last, its bands."""
        square = 0
        mask = self.straight.mask.expand(2 * len(self.bands) + 1, -1, -1).reshape(1, -1, 1, 1)
        for levels, seen in zip(u.split(64), known.split(64), strict=True):
            rows = self.straight.patches(self.inputs(levels, seen)) * mask
            rows = torch.cat([rows, levels], dim=1).permute(0, 2, 3, 1)[seen[:, 0] > 0].double()
            square = square + rows.T @ rows
        return square + 1e-6 * square.diagonal().mean() * torch.eye(len(square)).to(square)


def places(size: int) -> Tensor:
    """(1, feature, y, x): a constant, y, x and their squares, and Gaussians around the middle."""
    y, x = torch.meshgrid(*2 * [(torch.arange(size) - (size - 1) / 2) / (size / 2)], indexing="ij")
    square = y**2 + x**2
    rings = [torch.exp(-square / (2 * width**2)) for width in (0.1, 0.2, 0.4)]
    return torch.stack([torch.ones_like(y), y, x, y**2, x**2, *rings])[None]


def _quantiles(values: Tensor, share: Tensor) -> Tensor:
    """Quantiles (share, column) of values (n, column)."""
    values = values[:: -(-len(values) // 1_000_000)]  # torch.quantile is limited
    return torch.quantile(values, share.to(values), dim=0)
