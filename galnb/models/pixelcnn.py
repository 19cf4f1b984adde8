"""PixelCNN: the exact probability of a picture, pixel after pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BadInput
from .blocks import zeroed
from .means import halved, left
from .pixelwise import Pixelwise
from .raster import Raster
from .stacks import Coarser, Gated, Level, Opposite, Window, alive

SEEN = 256  # pictures to which the linear autoregression is fitted
FORGET = 0.1  # share of conditions that training hides, so that "unknown" is known too


class PixelCNN(Pixelwise):
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
        opposite: galaxies are nearly symmetric so. None: 0. Not with `blind_spot`, nor of one pixel.
    lean : bool
        Whether, with `opposite`, the mean of each logistic also moves with the level that stands opposite, by
        a share that the network says: so a galaxy can be as symmetric as its upper half lets expect.
    coarser : int
        Gated blocks that look at the means of 2 x 2 pixels, in whole levels, which are given beforehand: the
        likelihood is then that of the pixels given their means. None: 0. Not with `blind_spot`.
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
        lean: bool = False,
        coarser: int = 0,
        conditions: tuple[str, ...] = (),
        blind_spot: bool = False,
        holes: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__(bands, size, levels, mixtures, place=place, holes=holes)
        self._check(vertical, horizontal, opposite, lean, coarser, blind_spot)
        self.conditions = tuple(conditions)
        b, seen = len(self.bands), 2 * len(self.bands) + 1
        options = {"told": 2 * len(self.conditions), "dropout": dropout}
        # The linear autoregression, another for each of a mean's four pixels.
        self.straight = Window(seen, 4 * b if coarser else b, top=3, left=3, right=3, last=3)
        zeroed(self.straight).requires_grad_(False)
        self.above = self.opposite = self.coarser = None
        if blind_spot:
            self.first = Window(seen, width, top=3, left=3, right=3, last=3)
            options |= {"top": 1, "left": 1, "right": 1, "last": 2}
        else:
            self.above = Window(seen, width, top=3, bottom=-1, left=3, right=3)
            if opposite and self.size > 1:
                self.opposite = Opposite(seen, width, opposite, **options)
            if coarser:
                self.coarser = Coarser(seen, b, width, coarser, **options)
            self.vertical = Level(width, tuple(vertical), **options)
            self.tell = alive(nn.Conv2d(width, (horizontal + 1) * width, 1))
            self.first = Window(seen, width, top=0, left=4, right=-1)
            options |= {"top": 0, "left": 2, "right": 0}
        self.blocks = nn.ModuleList(Gated(width, **options) for _ in range(horizontal))
        self.mix = alive(nn.Conv2d(width, width, 1))
        self.say = zeroed(nn.Conv2d(width, self.pixel.said, 1))
        self.lean = None
        if lean and self.opposite is not None:
            self.lean = zeroed(nn.Conv2d(width, b * mixtures, 1))
        where = places(size) if place else torch.zeros(1, 0, size, size)
        self.register_buffer("where", where, persistent=False)
        self.located = zeroed(nn.Conv2d(where.shape[1], width, 1, bias=False)) if place else None
        self.register_buffer("sky", torch.zeros(b))  # of u: where most pixels are, and how far they scatter
        self.register_buffer("scatter", torch.ones(b))
        self.register_buffer("unit", torch.ones(b))  # in which means are said
        self.register_buffer("usual", torch.tensor([[0.0], [1.0]]).repeat(1, len(self.conditions)))
        with torch.no_grad():
            self._parts(self.say.bias)[2].copy_(torch.linspace(-3, 0, mixtures))

    def _check(self, vertical, horizontal, opposite, lean, coarser, blind_spot) -> None:
        for name, value in (("horizontal", horizontal), ("opposite", opposite), ("coarser", coarser)):
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}={value!r}, wanted a whole number of at least 0")
        for name, value in (("opposite", opposite), ("coarser", coarser)):
            if value and blind_spot:
                raise ValueError(f"{name}={value} with blind_spot=True, wanted one of them")
        if lean and not opposite:
            raise ValueError("lean=True with opposite=0, wanted opposite of at least 1")
        if coarser and self.holes:
            raise ValueError(f"coarser={coarser} with holes=True, wanted one of them")
        if not vertical or any(not isinstance(blocks, int) or blocks < 0 for blocks in vertical):
            raise ValueError(f"vertical={vertical}, wanted numbers of blocks, one a resolution")

    # what the network sees

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

    def means(self, u: Tensor) -> Tensor:
        """Levels u (n, band, y / 2, x / 2) of the means of 2 x 2 pixels, rounded down."""
        return self.pixel.level(halved(self.pixel.index(u)))

    def within(self, u: Tensor) -> tuple[Tensor, Tensor] | None:
        """What the means leave open to each pixel: lowest and highest levels u (n, band, y, x)."""
        if self.coarser is None:
            return None
        index = self.pixel.index(u)
        low, high = left(halved(index), index, self.pixel.levels - 1)
        return self.pixel.level(low), self.pixel.level(high)

    def numbers(
        self, u: Tensor, known: Tensor, y: Tensor | None = None, means: Tensor | None = None
    ) -> Tensor:
        """What `pixel` wants to know of each pixel (n, number, y, x), given those before it.

        With `coarser` the levels of the `means` are those of u, if none are given.
        """
        told, seen = self.told(y, len(u)), self.inputs(u, known)
        if self.coarser is not None:
            means = self.all_seen(self.means(u) if means is None else means)
        seen = seen.contiguous(memory_format=torch.channels_last)
        h = self.first(seen)
        h = h if self.located is None else h + self.located(self.where)
        more = [None] * len(self.blocks)
        if self.above is not None:
            v = self.above(seen)
            if self.opposite is not None:
                said = self.opposite(seen, told)
                v = v + F.pad(said, (0, 0, v.shape[2] - said.shape[2], 0))
            if self.coarser is not None:
                above, along = self.coarser(means, u.shape[2:], told)
                v, h = v + above, h + along
            v = self.vertical(v, told)
            first, *more = self.tell(F.silu(v)).split(self.config["width"], dim=1)
            h = h + first
        for block, part in zip(self.blocks, more, strict=True):
            h = block(h, told, part)
        mixed, expected = F.silu(self.mix(F.silu(h))), self.expected(seen, means)
        share = None if self.lean is None else self.lean(mixed)
        return self.around(self.say(mixed), expected, share, self.turned(u, known, expected))

    def all_seen(self, u: Tensor) -> Tensor:
        """`inputs` of a picture without holes."""
        return self.inputs(u, torch.ones_like(u[:, :1]))

    def expected(self, seen: Tensor, means: Tensor | None = None) -> Tensor:
        """What the linear autoregression expects (n, band, y, x), around which the network's means are."""
        if self.coarser is None:
            return self.straight(seen)
        return _own(self.straight(seen)) + self.coarser.expected(means, seen.shape[2:])

    def turned(self, u: Tensor, known: Tensor, expected: Tensor) -> Tensor | None:
        """The level that stands opposite each pixel of the lower half, and else what is expected of it."""
        if self.lean is None:
            return None
        upper = (u.shape[2] + 1) // 2
        turned = torch.where(known > 0, u, torch.nan).flip(2, 3)
        turned = torch.where(torch.isnan(turned), expected, turned)
        return torch.cat([expected[:, :, :upper], turned[:, :, upper:]], dim=2)

    def around(self, said: Tensor, expected: Tensor, share: Tensor | None, turned: Tensor | None) -> Tensor:
        """Numbers (n, number, ...) of what the stacks say and what the linear autoregression expects, and of
        the share in which what stands opposite counts."""
        # Pixels beside another in memory, and not channels: what comes next takes half the time.
        said, expected = said.contiguous(), expected.contiguous()
        m, b = self.pixel.mixtures, len(self.bands)
        mean = self.unit.repeat_interleave(m).view(1, -1, *(said.ndim - 2) * (1,)) * said[:, m : m * (1 + b)]
        if share is not None:
            moved = share.contiguous().unflatten(1, (b, m)) * (turned - expected)[:, :, None]
            mean = mean + moved.flatten(1, 2)
        return torch.cat([said[:, :m], mean, said[:, m * (1 + b) :], expected], dim=1)

    def _parts(self, numbers: Tensor) -> tuple[Tensor, ...]:
        """Views (row, mixture) of numbers (number,): weights, means, log scales, slopes."""
        b = len(self.bands)
        return numbers.view(-1, self.pixel.mixtures).split([1, b, b, len(self.pixel.pairs)])

    # pictures that do not exist

    @torch.no_grad()
    def drawing(
        self, x: Tensor, mask: Tensor, generator: torch.Generator | None = None, *, y: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The pictures of `complete` as they are drawn, once a row; NaN where they are not yet."""
        if self.coarser is not None:
            raise BadInput(
                "PixelCNN", "it draws pixels given their means, wanted Multiscale, which draws both"
            )
        mask = self.known_at(mask, x)
        u, _ = self.quantised(torch.where(mask[:, None], x.to(self.device), 0.5))
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
        self._straighten(u, known)
        left = torch.cat(
            [
                (part - self.expected(*self._seen(part, seen))).permute(0, 2, 3, 1)[seen[:, 0] > 0]
                for part, seen in zip(u.split(64), known.split(64), strict=True)
            ]
        )
        b = len(self.bands)
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

    def _seen(self, u: Tensor, known: Tensor) -> tuple[Tensor, Tensor | None]:
        means = None if self.coarser is None else self.all_seen(self.means(u))
        return self.inputs(u, known), means

    def _straighten(self, u: Tensor, known: Tensor) -> None:
        """Fit the linear autoregression, of each of a mean's four pixels: least squares, band by band."""
        b, layers, places = len(self.bands), [self.straight], [(slice(None), slice(None))]
        if self.coarser is not None:
            layers, places = [self.straight, self.coarser.straight], _PLACES
        mask = self.straight.mask.expand(2 * b + 1, -1, -1).reshape(1, -1, 1, 1)
        squares = [0 for _ in places]
        for part, known_part in zip(u.split(64), known.split(64), strict=True):
            seen, means = self._seen(part, known_part)
            parts = [self.straight.patches(seen) * mask, part]
            if means is not None:
                parts.insert(1, self.coarser.patches(means, part.shape[2:]))
            rows = torch.cat(parts, dim=1).permute(0, 2, 3, 1)
            for i, place in enumerate(places):
                here = rows[:, *place][known_part[:, 0, *place] > 0].double()
                squares[i] = squares[i] + here.T @ here
        for i, square in enumerate(squares):
            square = square + 1e-6 * square.diagonal().mean() * torch.eye(len(square)).to(square)
            kernel = torch.linalg.solve(square[:-b, :-b], square[:-b, -b:]).T.to(u)
            for layer in layers:
                own = layer.weight.unflatten(0, (b, -1))[:, i]
                own.copy_(kernel[:, : own[0].numel()].view_as(own))
                kernel = kernel[:, own[0].numel() :]


_PLACES = [(slice(row, None, 2), slice(column, None, 2)) for row in (0, 1) for column in (0, 1)]


def _own(x: Tensor) -> Tensor:
    """(n, band, y, x) of (n, 4 * band, y, x): that of which of a mean's four each pixel is."""
    x = x.unflatten(1, (-1, 4))
    out = x[:, :, 0].clone()
    for i, place in enumerate(_PLACES):
        out[:, :, *place] = x[:, :, i, *place]
    return out


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
