"""Convolutions that see only pixels that came before, and networks of them: for pictures, or row by row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import zeroed

GAIN = 1.5  # of weights at the start: a signal keeps its size through SiLU, and all layers learn at once


class Window(nn.Conv2d):
    """A convolution over pixels around its own, from `top` rows above to `bottom` below, `left` to `right`.

    `bottom=-1` leaves the own row out. `last`, where given, is how many columns of the last row count; the
    weights of the others stay zero (the mask of van den Oord+2016).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        top: int,
        left: int,
        right: int,
        bottom: int = 0,
        last: int | None = None,
    ):
        super().__init__(inputs, outputs, (top + bottom + 1, left + right + 1))
        self.top, self.sides, self.around = top, (left, right), (left, right, top, bottom)
        mask = torch.ones(self.kernel_size)
        mask[-1, last:] = 0
        self.register_buffer("mask", mask if last is not None else None, persistent=False)
        alive(self)

    @property
    def kernel(self) -> Tensor:
        return self.weight if self.mask is None else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, self.around), self.kernel, self.bias)

    def row(self, rows: Tensor) -> Tensor:
        """One row (n, channel, 1, x) of what `forward` gives, of the rows that it sees."""
        return F.conv2d(F.pad(rows, (*self.sides, 0, 0)), self.kernel, self.bias)

    def patches(self, x: Tensor) -> Tensor:
        """What each pixel's output is linear in: (n, channel * rows * columns, y, x)."""
        return F.unfold(F.pad(x, self.around), self.kernel_size).unflatten(2, x.shape[2:])


class Gated(nn.Module):
    """x + a sigmoid(b), with a and b from what a window sees of x, and from `more` (n, width, ...).

    Without normalisation, which would look at pixels to come; a starts at zero.
    """

    def __init__(self, width: int, *, told: int = 0, dropout: float = 0.0, **window):
        super().__init__()
        self.window = Window(width, width, **window)
        self.gate = alive(nn.Conv2d(width, 2 * width, 1))
        nn.init.zeros_(self.gate.weight[:width])
        self.told = zeroed(nn.Linear(told, width)) if told else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, told: Tensor | None = None, more: Tensor | None = None) -> Tensor:
        return x + self.gated(self.window(F.silu(x)), told, more)

    def gated(self, seen: Tensor, told: Tensor | None, more: Tensor | None = None) -> Tensor:
        seen = seen if more is None else seen + more
        seen = seen if told is None else seen + self.told(told)[:, :, None, None]
        value, gate = self.gate(self.dropout(F.silu(seen))).chunk(2, dim=1)
        return value * torch.sigmoid(gate)

    def row(self, x: Tensor, past: dict, told: Tensor | None) -> Tensor:
        """The next row (n, width, 1, x); `past` keeps what the row after it will see."""
        seen = slab(self, F.silu(x), past, self.window.top)
        return x + self.gated(self.window.row(seen), told)


class Level(nn.Module):
    """Gated blocks at one resolution, and around coarser levels: down, up again, and a skip.

    A row of the coarser level stands for two rows and knows no more than is above both.

    Parameters
    ----------
    width : int
        Channels.
    blocks : tuple of int
        Gated blocks of this level and of the coarser ones; all but the coarsest have them twice, before and
        after.
    """

    def __init__(self, width: int, blocks: tuple[int, ...], **options):
        super().__init__()
        make = lambda: nn.ModuleList(  # noqa: E731
            Gated(width, top=1, left=1, right=1, **options) for _ in range(blocks[0])
        )
        self.before, self.inner = make(), None
        if len(blocks) > 1:
            self.inner, self.after = Level(width, blocks[1:], **options), make()
            self.down = alive(nn.Conv2d(width, width, 2, stride=2))
            self.up = alive(nn.Conv2d(width, 4 * width, 1))

    def forward(self, x: Tensor, told: Tensor | None = None) -> Tensor:
        for block in self.before:
            x = block(x, told)
        if self.inner is not None:
            height, width = x.shape[2:]
            low = self.inner(self.down(F.pad(x, (0, width % 2, 1, 0))), told)  # of rows 2 i - 1 and 2 i
            x = x + F.pixel_shuffle(self.up(low), 2)[:, :, :height, :width]
            for block in self.after:
                x = block(x, told)
        return x

    def row(self, x: Tensor, past: dict, told: Tensor | None, r: int) -> Tensor:
        """Row r (n, width, 1, x), after those before it."""
        for block in self.before:
            x = block.row(x, past, told)
        if self.inner is not None:
            pair, width = slab(self, x, past, 1), x.shape[3]
            if r % 2 == 0:
                low = self.down(F.pad(pair, (0, width % 2)))
                low = self.inner.row(low, past, told, r // 2)
                past[self.up] = F.pixel_shuffle(self.up(low), 2)[..., :width]
            x = x + past[self.up][:, :, r % 2 : r % 2 + 1]
            for block in self.after:
                x = block.row(x, past, told)
        return x


class Opposite(nn.Module):
    """What the upper half of a picture says of the lower one, turned by 180 degrees.

    Galaxies look much the same when turned so about their middle. All of the upper half comes before any
    pixel of the lower one, so that windows over it need no mask.

    Parameters
    ----------
    inputs, width : int
        Channels of the picture, and of what is said.
    blocks : int
        Gated blocks of 3 x 3 windows.
    """

    def __init__(self, inputs: int, width: int, blocks: int, **options):
        super().__init__()
        window = {"top": 1, "bottom": 1, "left": 1, "right": 1}
        self.first = Window(inputs, width, **window)
        self.blocks = nn.ModuleList(Gated(width, **window, **options) for _ in range(blocks))
        self.say = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, seen: Tensor, told: Tensor | None = None) -> Tensor:
        """(n, width, y // 2, x) for the rows from (y + 1) // 2 on, of the picture (n, input, y, x)."""
        x = self.first(seen[:, :, : seen.shape[2] // 2].flip(2, 3))
        for block in self.blocks:
            x = block(x, told)
        return self.say(F.silu(x))


class Coarser(nn.Module):
    """What the means of 2 x 2 pixels, all given beforehand, say of the pixels themselves.

    It looks at them, and at them turned by 180 degrees, without a mask; what it says differs between the four
    pixels of a mean.

    Parameters
    ----------
    inputs, bands, width : int
        Channels of the picture of means, of what is expected, and of what is said.
    blocks : int
        Gated blocks of 3 x 3 windows.
    """

    def __init__(self, inputs: int, bands: int, width: int, blocks: int, **options):
        super().__init__()
        window = {"top": 1, "bottom": 1, "left": 1, "right": 1}
        self.straight = Window(inputs, 4 * bands, top=2, bottom=2, left=2, right=2)  # what is expected
        zeroed(self.straight).requires_grad_(False)
        self.first = Window(2 * inputs, width, **window)
        self.blocks = nn.ModuleList(Gated(width, **window, **options) for _ in range(blocks))
        self.say = zeroed(nn.Conv2d(width, 8 * width, 1))

    def forward(self, means: Tensor, size: torch.Size, told: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """For the vertical and the horizontal stack (n, width, y, x), of means (n, input, y / 2, x / 2).

        `size` is (y, x), as it is below.
        """
        x = self.first(torch.cat([means, means.flip(2, 3)], dim=1))
        for block in self.blocks:
            x = block(x, told)
        return F.pixel_shuffle(self.say(F.silu(x)), 2)[:, :, : size[0], : size[1]].chunk(2, dim=1)

    def expected(self, means: Tensor, size: torch.Size) -> Tensor:
        """What the means let expect of each pixel (n, band, y, x), linearly."""
        return F.pixel_shuffle(self.straight(means), 2)[:, :, : size[0], : size[1]]

    def patches(self, means: Tensor, size: torch.Size) -> Tensor:
        """What is expected of each pixel is linear in these (n, channel * rows * columns, y, x)."""
        return F.interpolate(self.straight.patches(means), scale_factor=2)[:, :, : size[0], : size[1]]


def alive(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with random weights so large that what it gives varies as much as what it is given."""
    nn.init.normal_(layer.weight, std=GAIN * layer.weight[0].numel() ** -0.5)
    nn.init.zeros_(layer.bias)
    return layer


def slab(key, row: Tensor, past: dict, top: int) -> Tensor:
    """A row below the `top` rows before it, zeros above the picture; the next row's are kept in `past`."""
    if key not in past:
        past[key] = row.new_zeros(*row.shape[:2], top, row.shape[3])
    rows = torch.cat([past[key], row], dim=2)
    past[key] = rows[:, :, 1:]
    return rows
