"""Latents for search: the same galaxy turned, mirrored, nearer or farther away keeps its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from . import MEMBERS, load
from .base import Model

WIDTHS = (0.023, 0.31, 48)  # least, largest (of the image's size) and number of windows to find a width with
WINDOW = 0.9  # width of the weight, of the width that it measures: below 1, the outskirts count less
SOFTNESS = 0.1  # of the crossing, in log width


class Invariant(Model):
    """The latents of another model, unchanged when a galaxy is turned, mirrored or rescaled.

    Every galaxy is brought into one pose: its principal axis level, its width a fixed share of the image,
    cut out by a soft disc, so that neither corners nor borders count. What is left open, a half turn and
    the mirror, is averaged over: the latents are the mean of the base model's latents of four pictures.
    Thus quarter turns and mirrors change nothing but the last digits, other angles and scales as much as
    interpolation does.

    Parameters
    ----------
    bands, size, latent_dim
        Images are (n, len(bands), size, size), latents (n, latent_dim).
    base : str
        Public name of the model that encodes the posed galaxy, one that can encode.
    options : dict, optional
        Further constructor arguments of the base, by name.
    width : float
        Width of a posed galaxy (the standard deviation of a Gaussian one), as a share of the size.
    aperture : two floats
        Radii where the disc begins and ends to fade, as shares of the size. The wider it is, the more of
        the outskirts counts and the less may be missing: borders of rescaled copies lie within it.

    Notes
    -----
    `warm_start` fits the base on posed galaxies, then centers the latents and divides each principal
    direction by the square root of its standard deviation. That lies half way between plain distance, which
    hears little but brightness, and Mahalanobis', which hears noise. The loss is the base's, of posed
    galaxies. `Invariant.of` wraps a trained model.

    The sky should be near 0, as in a display stretch: light on a bright sky looks wider than it is. A
    galaxy that fills the image has no width to be found, and a round one no angle. There is no `decode`:
    what was taken out, where and how large the galaxy was, is not in the latents.

    References
    ----------
    Bernstein & Jarvis 2002 (moments whose weight follows the galaxy); de la Calleja & Fuentes 2004
    (galaxies turned onto their principal axis before a PCA); Puny et al. 2022 (averaging over the few
    poses that remain open makes any network invariant).

    Examples
    --------
    >>> model = Invariant(bands=("r",), size=32, latent_dim=4)
    >>> y, x = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij")
    >>> galaxies = torch.exp(-(x**2 / 30 + y**2 / torch.arange(5, 25)[:, None, None]))[:, None]
    >>> model.warm_start([galaxies])
    >>> torch.allclose(model.encode(galaxies), model.encode(galaxies.rot90(1, (2, 3))), atol=1e-3)
    True
    """

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 64,
        latent_dim: int = 50,
        base: str = "pca",
        options: dict | None = None,
        width: float = 0.14,
        aperture: tuple[float, float] = (0.31, 0.44),
    ):
        super().__init__(bands, size)
        inner, outer = aperture
        if not 0 < width < 0.5 or not 0 < inner < outer:
            raise ValueError(
                f"width={width} and aperture={aperture}, wanted shares of the image's size: "
                "a width below 0.5 and an aperture that ends after it begins"
            )
        self.base = load(base, bands=self.bands, size=size, latent_dim=latent_dim, **(options or {}))
        self.base.demand("encode")
        self.width = width * size
        self.register_buffer("center", torch.zeros(latent_dim))
        self.register_buffer("balance", torch.eye(latent_dim))
        y, x = torch.meshgrid(*2 * [torch.arange(size) - (size - 1) / 2], indexing="ij")
        square = (x**2 + y**2).flatten()
        fade = ((square.sqrt() / size - inner) / (outer - inner)).clamp(0, 1)
        least, most, n = WIDTHS
        widths = torch.logspace(*torch.tensor([least * size, most * size]).log10().tolist(), n)
        tables = {
            "square": square,
            "elongation": torch.stack([x**2 - y**2, 2 * x * y]).flatten(1),
            "disc": (0.5 + 0.5 * torch.cos(torch.pi * fade)).view(size, size),
            "widths": widths,
            "windows": torch.exp(-square / (2 * widths[:, None] ** 2)),  # (width, pixel)
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    @classmethod
    def of(cls, model: Model, batches: Iterable[Tensor] | None = None, **pose) -> Invariant:
        """A trained model's invariant latents.

        Parameters
        ----------
        model : Model
            Its weights are copied.
        batches : iterable of (n, band, size, size), optional
            Galaxies to `standardize` the latents with. Without, they stay in the model's units.
        **pose
            `width` and `aperture`.

        Examples
        --------
        >>> from galnb import weights
        >>> Invariant.of(weights.load("ae50-sdss")).encode(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 50])
        """
        base = next(name for name, place in MEMBERS.items() if place.endswith(f":{type(model).__name__}"))
        # Lists, for a tuple within a dict would be a list when it comes back from the card.
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in model.config.items()}
        shape = {name: options.pop(name) for name in ("bands", "size", "latent_dim")}
        self = cls(tuple(shape.pop("bands")), **shape, base=base, options=options, **pose)
        self.base.load_state_dict(model.state_dict())
        self.eval().to(model.device)
        if batches is not None:
            self.standardize(batches)
        return self

    def pose(self, x: Tensor) -> Tensor:
        """Galaxies (n, band, size, size) with their principal axis level, of one width, in a soft disc."""
        light = x.mean(1).clamp_min(0).flatten(1)
        width = self._find_width(light)
        seen = light * torch.exp(-self.square / (2 * width[:, None] ** 2))
        along, across = (seen @ self.elongation.T).T
        angle = 0.5 * torch.atan2(across, along)
        cos, sin = torch.cos(angle) * width / self.width, torch.sin(angle) * width / self.width
        where = torch.stack([cos, -sin, 0 * cos, sin, cos, 0 * cos], 1).view(-1, 2, 3)
        grid = F.affine_grid(where, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False) * self.disc

    def _find_width(self, light: Tensor) -> Tensor:
        """Widths (n,) in pixels, where WINDOW times the width that a window shows is the window's own.

        A galaxy with a companion or thin as a needle may have two such widths close together; the soft
        crossing lies between them, where a search by iteration would take one in the original and the
        other in its copy.
        """
        shown = (light * self.square) @ self.windows.T / (light @ self.windows.T).clamp_min(1e-9)
        larger = (WINDOW**2 * shown / self.widths**2).clamp_min(1e-6).log()
        step = torch.log(self.widths[1] / self.widths[0])
        return self.widths[0] * torch.exp(torch.sigmoid(larger / SOFTNESS).sum(1) * step)

    def _mean_latents(self, x: Tensor) -> Tensor:
        y = self.pose(x)
        # One after another: all four in one batch leave the processor's cache and take 1.6 times as long.
        return sum(self.base.encode(view) for view in (y, y.flip(2), y.flip(3), y.flip(2, 3))) / 4

    def encode(self, x: Tensor) -> Tensor:
        return (self._mean_latents(x) - self.center) @ self.balance.T

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        return self.base.loss(self.pose(x), y)

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Let the base look at the posed galaxies, then `standardize` the latents."""
        with torch.no_grad():
            self.base.warm_start(_Each(self.pose, batches))
        self.standardize(batches)

    @torch.no_grad()
    def standardize(self, batches: Iterable[Tensor]) -> None:
        """Center the latents and damp their large directions, in one pass over (n, band, size, size)."""
        n, total, outer = 0, 0.0, 0.0
        for z in _Each(self._mean_latents, batches):
            z = z.double()
            n, total, outer = n + len(z), total + z.sum(0), outer + z.T @ z
        if n < 2:
            raise ValueError(f"{n} images cannot say how latents spread; use more images")
        mean = total / n
        variance, directions = torch.linalg.eigh(outer / n - torch.outer(mean, mean))
        directions = directions.T.flip(0)  # (direction, latent), the largest variance first
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        spread = variance.flip(0).clamp_min(0).sqrt()
        # Where nothing varies there is nothing to be enlarged.
        spread = spread.clamp_min(1e-3 * spread[0]) if spread[0] > 0 else torch.ones_like(spread)
        self.center.copy_(mean)
        self.balance.copy_(directions * largest.sign() / spread.sqrt()[:, None])


class _Each:
    """A function of each batch, iterated anew each time."""

    def __init__(self, function: Callable[[Tensor], Tensor], batches: Iterable[Tensor]):
        self.function, self.batches = function, batches

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.function, self.batches)
