"""Galaxies that a model imagines: drawn once, then changed under conditions, each staying itself."""

from __future__ import annotations

import numpy as np
import torch
from astropy.table import Table
from torch import Tensor

from .conditions import CONDITIONS, POSITIVE, measure
from .errors import BadInput, CannotDo
from .film import about, walk
from .images import Images
from .latents import Latents
from .models.base import Model
from .stamps import to_rgb

AXES = 6  # principal axes of the latents that one can go along, twice as many where there are no conditions
BEYOND = 0.3  # of the training range, on each side, that a scale goes further


class Imagined:
    """A few galaxies that do not exist, and what was asked of them and is found in them.

    `draw` or `take` says which galaxies; `ask` and `move` change these same galaxies, and whatever is not
    asked for stays: the style, the noise, and the other conditions of each. To have the other conditions as
    they go with what is asked, `draw` again.

    Parameters
    ----------
    model : Model
        One that decodes. With `codes` (CVAE, MVAE) it has conditions.
    latents : Latents, optional
        Of real galaxies, made by this model: what is drawn where it cannot sample.
    n : int
        Galaxies.
    seed : int
    noise : bool
        Whether pictures have pixel noise, where the model knows it.

    Attributes
    ----------
    names : tuple of str
        The conditions that the model knows.
    asked : dict of name to float
    sigmas : ndarray (k,)
        How far along each of `axes` (k, d) the galaxies are moved, in standard deviations of its `shares`.
    truth : Table or None
        Measured conditions, one row, of the real galaxy that was taken.

    Examples
    --------
    >>> from galnb.models import CVAE
    >>> here = Imagined(CVAE(("r",), 28, 8, (16, 16, 16), conditions=("flux", "area")), n=4, noise=False)
    >>> here.ask(flux=0.5)
    >>> here.images.table["flux_asked"].tolist(), here.warnings
    ([0.5, 0.5, 0.5, 0.5], {})
    """

    def __init__(
        self,
        model: Model,
        latents: Latents | None = None,
        *,
        n: int = 16,
        seed: int = 0,
        noise: bool = True,
    ):
        model.demand("decode")
        if not 1 <= n <= 100:
            raise ValueError(f"n={n} galaxies, wanted 1 to 100")
        self.model, self.latents, self.n, self.noise = model.eval(), latents, int(n), noise
        self.codes = getattr(model, "codes", None)
        self.names = () if self.codes is None else self.codes.names
        self.axes, self.shares = self._principal()
        self.asked, self.sigmas = {}, np.zeros(len(self.axes))
        self.draw(seed)

    # which galaxies

    def draw(self, seed: int | None = None) -> None:
        """Other galaxies, drawn under what is asked; by a seed, else the next one."""
        seed = self.seed + 1 if seed is None else int(seed)
        self._z = self._draw(self.n, seed, self.asked)
        self.seed, self.origin, self.truth, self.under = seed, "", None, self.asked

    @torch.no_grad()
    def take(self, picture: Images | None = None, y: dict | None = None, *, name: str = "") -> None:
        """A real galaxy, known by its picture, by some conditions, or by both: draws that agree with these.

        The first is the likeliest where a picture is given. A model without a posterior gives one galaxy.

        Parameters
        ----------
        picture : Images, optional
            One, in the model's bands and size.
        y : dict of name to float, optional
            As for `ask`; a model without conditions takes none.

        Raises
        ------
        BadInput
            If neither is given, or one of them does not fit the model.
        """
        if picture is None and not y:
            wanted = "a picture, some conditions, or both"
            raise BadInput("the galaxy", f"neither a picture nor conditions came, wanted {wanted}")
        if picture is not None and len(picture) != 1:
            raise BadInput("the galaxy", f"{len(picture)} pictures came, wanted one; such as images[:1]")
        y = self._checked(y or {})
        if picture is not None:
            self.model.demand("encode")
        x = None if picture is None else self.model.tensor(picture)
        self._begin(self._posterior(x, y), name or "a galaxy")
        self.truth = None if picture is None else measure(picture)

    def begin(self, z, *, name: str = "") -> None:
        """Galaxies of given latents (n, d), or one of (d,)."""
        z = torch.as_tensor(np.atleast_2d(z), dtype=torch.float32)
        if z.shape[1] != self.model.config["latent_dim"] or not torch.isfinite(z).all():
            wanted = f"(n, {self.model.config['latent_dim']}), finite"
            raise BadInput("latents", f"they have shape {tuple(z.shape)}, wanted {wanted}")
        self._begin(z, name or "latents")

    def _begin(self, z: Tensor, origin: str) -> None:
        self._z, self.origin, self.truth = z, origin, None
        self.asked, self.under, self.sigmas = {}, {}, np.zeros(len(self.axes))

    @torch.no_grad()
    def _draw(self, n: int, seed: int, asked: dict) -> Tensor:
        model, rng = self.model, torch.Generator().manual_seed(seed)
        if self.codes is not None:
            return model.draw(n, rng, y=asked or None)
        if hasattr(model, "draw"):
            return model.draw(n, rng)
        if model.can("sample") and model.can("encode"):
            return model.encode(model.sample(n, rng))
        if self.latents is None or self.latents.latent_dim != model.config["latent_dim"]:
            name = type(model).__name__
            reason = "give the latents of real galaxies that it made, or choose a model that can sample"
            raise CannotDo(f"{name} cannot sample, so there is nothing to draw; {reason}")
        rows = np.random.default_rng(seed).integers(0, len(self.latents), n)
        return torch.from_numpy(np.asarray(self.latents.z[np.sort(rows)], dtype=np.float32))

    def _posterior(self, x: Tensor | None, y: dict) -> Tensor:
        model, rng = self.model, torch.Generator().manual_seed(getattr(self, "seed", 0))
        if hasattr(model, "infer"):
            mean, covariance = model.infer(x, y or None)
            noise = torch.randn(self.n, mean.shape[1], generator=rng)
            noise[0] = 0
            return mean + noise @ torch.linalg.cholesky(covariance[0]).T
        if x is None:
            return model.draw(self.n, rng, y=y)
        z = model.encode(x)
        if hasattr(model, "posterior"):
            mean, log_std = model.posterior(x)
            noise = torch.randn(self.n, mean.shape[1], generator=rng)
            noise[0] = 0
            z = z.repeat(self.n, 1)
            z[:, : mean.shape[1]] += noise * log_std.exp()
        return model.change(z, y) if y else z

    @torch.no_grad()
    def _principal(self) -> tuple[np.ndarray, np.ndarray]:
        """Axes (k, d), a standard deviation long, that change no condition; and their shares of variance."""
        z = self._draw(1000, 0, {})
        if self.codes is not None:
            z = self.model.change(
                z, self.codes.back(self.codes(self.model.features(z)).mean(0, keepdim=True))
            )
        _, s, axes = torch.linalg.svd(z - z.mean(0), full_matrices=False)
        k = min(AXES if self.names else 2 * AXES, int((s > 1e-3 * s[0].clamp_min(1e-6)).sum()))
        axes = axes[:k] * torch.sign(axes[:k].gather(1, axes[:k].abs().argmax(1, keepdim=True)))
        variance = s.square() / s.square().sum().clamp_min(1e-12)
        return (axes * (s[:k, None] / (len(z) - 1) ** 0.5)).numpy(), variance[:k].numpy()

    # what is asked of them

    def ask(self, **conditions: float | None) -> None:
        """Change the galaxies to have some conditions; None leaves one to each galaxy again.

        One that they were drawn under is drawn anew, with the same seed, when it is left.

        Raises
        ------
        BadInput
            For a condition that the model does not know, or one that is not a finite number.
        """
        self._checked({name: 0.0 if value is None else value for name, value in conditions.items()})
        asked = {**self.asked, **conditions}
        self.asked = {name: float(value) for name, value in asked.items() if value is not None}
        if set(self.under) - set(self.asked):
            self.draw(self.seed)

    def move(self, sigmas) -> None:
        """Go along the first principal axes of the style, so many standard deviations each."""
        values = np.asarray(sigmas, dtype=float).ravel()
        if len(values) > len(self.axes) or not np.isfinite(values).all():
            wanted = f"at most {len(self.axes)} finite numbers"
            raise BadInput("the axes", f"{values.tolist()} came, wanted {wanted}")
        self.sigmas = np.pad(values, (0, len(self.axes) - len(values)))

    def _checked(self, y: dict) -> dict[str, float]:
        for name, value in y.items():
            if name not in self.names:
                known = ", ".join(self.names) or "none; choose one with conditions, such as a CVAE"
                raise BadInput(f"condition {name!r}", f"the model does not know it; it knows {known}")
            if isinstance(value, str | bool) or np.ndim(value) or not np.isfinite(value):
                raise BadInput(
                    f"condition {name!r}", f"{value} came, wanted a finite number; or leave it out"
                )
        return {name: float(value) for name, value in y.items()}

    @property
    def warnings(self) -> dict[str, str]:
        """By name, how far outside the training range each condition is that is asked for out there."""
        if not self.asked:
            return {}
        far = self.codes.outside(self.codes.checked(self.asked, 1))[0].tolist()
        return {
            name: f"outside {_brief(low)} to {_brief(high)} by {_brief(share, 2)} of that range"
            for name, share, (low, high) in zip(self.names, far, self.ranges.tolist(), strict=True)
            if share > 0
        }

    @property
    def ranges(self) -> np.ndarray:
        """Training range (k, 2) of each condition."""
        if self.codes is None:
            return np.zeros((0, 2))
        return torch.stack([self.codes.low, self.codes.high], 1).numpy()

    @property
    def scales(self) -> np.ndarray:
        """What a scale of each condition shows (k, 2): the training range and a part of it further."""
        scales = []
        for name, (low, high) in zip(self.names, self.ranges.astype(float), strict=True):
            step = BEYOND * (high - low)
            bottom, top = low - step, high + step
            if name in POSITIVE and low > 0:
                bottom = max(bottom, low * (low / high) ** BEYOND)
            if name == "ellipticity":
                bottom, top = max(bottom, 0.0), min(top, 0.99)
            if name == "position_angle":
                bottom, top = low, high
            scales.append((bottom, top))
        return np.array(scales).reshape(-1, 2)

    # what comes of it

    @property
    @torch.no_grad()
    def z(self) -> Tensor:
        """Latents (n, d)."""
        z = self._z + torch.from_numpy(self.sigmas @ self.axes).float()
        if not self.asked:
            return z
        return self.model.change(z, self.asked)

    @torch.no_grad()
    def pictures(self, *, corrected: bool = True) -> Images:
        """The galaxies, without a table; what is not `corrected` for what a picture misses is quick."""
        z, rng = self.z, torch.Generator().manual_seed(self.seed)
        if corrected and self.corrects:
            z = self.model.corrected(z, seed=self.seed, noise=self.noise)
        pixels = self.model.imagine(z, rng, noise=self.noise) if self.noisy else self.model.decode(z)
        return Images(pixels.clamp(0, 1).numpy(), bands=self.model.bands)

    @property
    def corrects(self) -> bool:
        """Whether pictures are corrected: not those of a real galaxy of which nothing is asked."""
        return bool(self.names) and bool(self.asked or not self.origin)

    @property
    def noisy(self) -> bool:
        """Whether the model knows pixel noise."""
        return hasattr(self.model, "imagine")

    @torch.no_grad()
    def features(self) -> Table:
        """The conditions of each galaxy that its latents say."""
        values = self.model.features(self.z).numpy() if self.names else np.zeros((len(self._z), 0))
        return Table({name: values[:, k] for k, name in enumerate(self.names)})

    @property
    def images(self) -> Images:
        """The galaxies with each condition as `flux_asked` (NaN where none was) and `flux_measured`."""
        pictures = self.pictures()
        found, table = measure(pictures), Table()
        for name in self.names or CONDITIONS:
            if name in self.names:
                table[f"{name}_asked"] = np.full(len(pictures), self.asked.get(name, np.nan))
            table[f"{name}_measured"] = np.asarray(found[name], dtype=np.float32)
        table.meta["made"] = self.made()
        return Images(pictures.pixels, bands=pictures.bands, table=table)

    def made(self) -> dict:
        """What made them, as plain values."""
        state = {"asked": self.asked, "drawn_under": self.under, "sigmas": self.sigmas.tolist()}
        return about(self.model, seed=self.seed, noise=self.noise, origin=self.origin, **state)

    @torch.no_grad()
    def walk(self, start: Tensor, end: Tensor, *, frames: int = 48) -> np.ndarray:
        """Pictures uint8 (frames, y, x, 3), without noise, of the way between latents (d,); see `film`."""
        z = walk(self.model, start, end, frames=frames)
        pixels = torch.cat([self.model.decode(part) for part in z.split(16)])
        return to_rgb(Images(pixels.clamp(0, 1).numpy(), bands=self.model.bands))


def _brief(value: float, digits: int = 3) -> str:
    return f"{float(f'{value:.{digits}g}'):g}"
