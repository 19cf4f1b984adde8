"""Drawing pictures in raster order, one column of a network at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from .means import allowed

TOP, LEFT, RIGHT = 3, 4, 3  # of a pixel, what any window sees of pixels


class Raster:
    """Pictures on the way, and what the layers of a PixelCNN found for the pixels that are there.

    The vertical stack runs once a row, each layer from the rows that it kept; the horizontal stack once a
    pixel, each layer from the columns that it kept (Ramachandran+2017). So a pixel costs one column of each
    layer, as many multiplications as in a pass over whole pictures and not once more for every pixel.

    Parameters
    ----------
    model : PixelCNN
    u : Tensor (n, band, y, x)
        Levels, of which those in `mask` (n, y, x) are kept.
    told : Tensor, optional
        As `model.told` gives it.
    means : Tensor (n, band, y / 2, x / 2), optional
        Levels of the means of 2 x 2 pixels, for a model that wants them.
    open_to : tuple of Tensor (n, band, y, x), optional
        The lowest and the highest level of each pixel, as whole numbers from 0, so far as that is known.
    """

    def __init__(self, model, u: Tensor, mask: Tensor, told: Tensor | None, means=None, open_to=None):
        self.model, self.mask, self.told = model, mask, told
        self.open_to = open_to and tuple(edge.clone() for edge in open_to)
        self.means = None if means is None else model.pixel.index(means)
        self.kept, self.u = u.permute(0, 2, 3, 1).contiguous(), torch.full_like(u, torch.nan)
        self.past: dict = {}
        n, (height, width) = len(u), u.shape[2:]
        channels = model.config["width"]
        # Of pixels: (n, row, column, input), zeros around, as in a pass over the whole picture.
        self.seen = u.new_zeros(n, height + TOP, width + LEFT + RIGHT, 2 * len(model.bands) + 1)
        self.found = []  # of blocks: the rows that they see, activated
        for block in model.blocks:
            rows, sides = block.window.top + 1, sum(block.window.sides)
            self.found.append(u.new_zeros(n, rows, width + sides, channels))
        self.first, self.straight = _matrix(model.first), _matrix(model.straight)
        self.matrices = [(*_matrix(block.window), *_matrix(block.gate)) for block in model.blocks]
        self.last = [_matrix(layer) for layer in (model.mix, model.say, model.lean) if layer is not None]
        self.coarser = None
        if means is not None:
            seen = model.all_seen(means)
            self.coarser = (
                *model.coarser(seen, (height, width), told),
                model.coarser.expected(seen, (height, width)),
            )
        self.hints = [None if told is None else block.told(told) for block in model.blocks]

    def drawn(self, generator: torch.Generator | None) -> Iterator[Tensor]:
        """Pictures (n, band, y, x) in 0 to 1, once a row."""
        n, _, height, width = self.u.shape
        chances = 1 + len(self.model.bands)
        for r in range(height):
            chance = torch.rand(width, n, chances, generator=generator, dtype=torch.float64).to(self.u)
            above = self._row(r)
            for c in range(width):
                numbers = self._column(r, c, above)
                drawn = self.model.pixel.draw(numbers, chance[c], self._within(r, c))
                self._put(r, c, torch.where(self.mask[:, r, c, None], self.kept[:, r, c], drawn))
            for found in self.found:
                found[:, :-1] = found[:, 1:].clone()
                found[:, -1] = 0
            yield (self.u + 1) / 2

    def _put(self, r: int, c: int, u: Tensor) -> None:
        self.u[:, :, r, c] = u
        for edge in self.open_to or ():
            edge[:, :, r, c] = self.model.pixel.index(u)
        self.seen[:, r + TOP, c + LEFT] = self.model.inputs(u, torch.ones_like(u[:, :1]))

    def _within(self, r: int, c: int) -> tuple[Tensor, Tensor] | None:
        """The lowest and highest levels u (n, band) that are left to the next pixel."""
        if self.open_to is None:
            return None
        low, high = own = [edge[:, :, r, c] for edge in self.open_to]
        if self.means is not None:
            four = slice(r // 2 * 2, r // 2 * 2 + 2), slice(c // 2 * 2, c // 2 * 2 + 2)
            others = (
                edge[:, :, *four].sum((2, 3)) - one for edge, one in zip(self.open_to, own, strict=True)
            )
            least, greatest = allowed(self.means[:, :, r // 2, c // 2], *others)
            low, high = torch.maximum(low, least), torch.minimum(high, greatest)
        return self.model.pixel.level(low), self.model.pixel.level(high)

    def _row(self, r: int) -> list[Tensor | None]:
        """What place and vertical stack tell the first layer, and each block, of a row (x, n, width)."""
        model, size = self.model, self.u.shape[3]
        more: list[Tensor | None] = [None] * (1 + len(model.blocks))
        if model.above is not None:
            v = model.above.row(self.seen[:, r : r + TOP, LEFT : LEFT + size].permute(0, 3, 1, 2))
            if model.opposite is not None and r >= (self.u.shape[2] + 1) // 2:
                v = v + self._opposite(r)
            if self.coarser is not None:
                v = v + self.coarser[0][:, :, r : r + 1]
            v = model.vertical.row(v, self.past, self.told, r)
            more = list(model.tell(F.silu(v)).split(model.config["width"], dim=1))
        if model.located is not None:
            here = model.located(model.where[:, :, r : r + 1])
            more[0] = here if more[0] is None else more[0] + here
        if self.coarser is not None:
            more[0] = more[0] + self.coarser[1][:, :, r : r + 1]
        return [None if part is None else part[:, :, 0].permute(2, 0, 1).contiguous() for part in more]

    def _opposite(self, r: int) -> Tensor:
        """What the upper half tells row r (n, width, 1, x) of the lower one, found once."""
        model, (height, width) = self.model, self.u.shape[2:]
        if model.opposite not in self.past:
            seen = self.seen[:, TOP : TOP + height, LEFT : LEFT + width].permute(0, 3, 1, 2)
            self.past[model.opposite] = model.opposite(seen, self.told)
        row = r - (height + 1) // 2
        return self.past[model.opposite][:, :, row : row + 1]

    def _column(self, r: int, c: int, above: list[Tensor | None]) -> Tensor:
        """Numbers (n, number) of the next pixel."""
        model = self.model
        h, straight = (
            torch.addmm(bias, self._around(window, r, c), matrix)
            for window, (matrix, bias) in ((model.first, self.first), (model.straight, self.straight))
        )
        if self.coarser is not None:
            straight = straight.unflatten(1, (-1, 4))[:, :, 2 * (r % 2) + c % 2]
            straight = straight + self.coarser[2][:, :, r, c]
        h = h if above[0] is None else h + above[0][c]
        for block, found, more, hint, of in zip(
            model.blocks, self.found, above[1:], self.hints, self.matrices, strict=True
        ):
            found[:, -1, c + block.window.sides[0]] = F.silu(h)
            seen = found[:, :, c : c + block.window.kernel_size[1]].reshape(len(h), -1)
            seen = torch.addmm(of[1], seen, of[0])
            seen = seen if more is None else seen + more[c]
            seen = seen if hint is None else seen + hint
            value, gate = torch.addmm(of[3], F.silu(seen), of[2]).chunk(2, dim=1)
            h = h + value * torch.sigmoid(gate)
        (mix, bias), *last = self.last
        mixed = F.silu(torch.addmm(bias, F.silu(h), mix))
        said, share, *_ = [torch.addmm(bias, mixed, matrix) for matrix, bias in last] + [None]
        lower = r >= (self.u.shape[2] + 1) // 2
        return model.around(said, straight, share, self.u[:, :, -1 - r, -1 - c] if lower else straight)

    def _around(self, window, r: int, c: int) -> Tensor:
        """The pixels (n, row * column * input) that a window sees from one."""
        rows, columns = window.kernel_size
        r, c = r + TOP - window.top, c + LEFT - window.sides[0]
        return self.seen[:, r : r + rows, c : c + columns].reshape(len(self.seen), -1)


def _matrix(layer) -> tuple[Tensor, Tensor]:
    """A convolution's weights as a matrix (row * column * input, output), and its bias."""
    kernel = getattr(layer, "kernel", layer.weight)
    return kernel.permute(2, 3, 1, 0).reshape(-1, len(kernel)).contiguous(), layer.bias
