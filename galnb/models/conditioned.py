"""What variational autoencoders that know physical conditions share: how they are fitted last, and asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..conditions import measure
from ..images import Images
from .vae import VAE, frozen

DEFAULT = ("flux", "area", "concentration", "ellipticity", "position_angle", "color")
GAIN = 0.7  # share of what a picture misses by which its latents are moved; 1 overshoots where noise decides


class Conditioned(VAE):
    """Base of those with `codes`, and a `prior` of style and codes together.

    A member defines `_placed(x, y, generator) -> (n, style + code)`, a draw of both for images and labels;
    `_said(z)`, the codes (n, k) that latents say; `_moved(z, by)`, latents whose pictures have codes that
    differ by `by` (n, k), more or less; and a `gauge`, which reads codes off pictures.
    """

    def _first_codes(self, batches: Iterable[Tensor], y: Tensor) -> Tensor:
        """Codes of the training galaxies, zero (the mean) where unknown; the gauge begins by them."""
        self.codes.fit(y)
        codes = self.codes(y.to(self.mean))
        self.gauge.warm_start(batches, codes)
        return codes.nan_to_num()

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Measure the noise's texture, and fit one mixture to style and codes of the training galaxies."""
        self.texture.fit(map(self._left, batches))
        rng = torch.Generator().manual_seed(0)
        pairs = ((x, None) for x in batches) if y is None else paired(batches, y)
        self.prior.fit(torch.cat([self._placed(x, part, rng) for x, part in pairs]))

    def features(self, z: Tensor) -> Tensor:
        """Conditions (n, k), in their units, that latents (n, latent_dim) say."""
        return self.codes.back(self._said(z))

    def _miss(self, drawn: Tensor, asked: Tensor) -> Tensor:
        """Squared error of what the gauge reads in pictures with these codes."""
        with frozen(*self.gauge.parameters()):
            return (self.gauge(drawn) - asked).square().mean()

    def _or_chance(self, z: Tensor) -> Tensor:
        """These latents, half of them replaced by standard normal ones."""
        return torch.where(torch.rand(len(z), 1, device=z.device) < 0.5, z, torch.randn_like(z))

    def sample(
        self,
        n: int,
        generator: torch.Generator | None = None,
        *,
        y=None,
        noise: bool = True,
        corrections: int = 3,
    ) -> Tensor:
        """Galaxies that do not exist (n, band, size, size), with the conditions `y` that are asked for.

        Parameters
        ----------
        n : int
        generator : torch.Generator, optional
        y : dict of name to number or (n,), or (k,) or (n, k) in the order of `conditions`, optional
            What is left out, or NaN, is drawn as it goes with what is given.
        noise : bool
            Whether pixel noise is drawn too.
        corrections : int
            As of `corrected`; 0 for what the network draws by itself.

        Raises
        ------
        BadInput
            For a condition that the model does not know, or one that is not a number.
        """
        z, codes = self._drawn(n, generator, y)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        y = self.codes.back(codes)
        z = self.corrected(z, y=y, seed=seed, noise=noise, corrections=corrections)
        return self.imagine(z, torch.Generator().manual_seed(seed), noise=noise)

    def draw(self, n: int, generator: torch.Generator | None = None, *, y=None) -> Tensor:
        """Latents (n, latent_dim) with the conditions `y`, as of `sample`."""
        return self._drawn(n, generator, y)[0]

    def _drawn(self, n: int, generator: torch.Generator | None, y) -> tuple[Tensor, Tensor]:
        """Latents (n, latent_dim), and the codes (n, k) that were drawn with them or asked for."""
        d, known = self.config["latent_dim"], self.mean.new_full((n, self.style + len(self.codes)), torch.nan)
        if y is not None:
            y = self.codes.angled(self.codes.checked(y, n), generator)
            known[:, self.style :] = self.codes(y)
        drawn = self.prior.given(known, generator)
        z, codes = drawn[:, :d], drawn[:, self.style :]
        if y is None or not (half := self.codes.halved(y)).any():
            return z, codes
        z = self.change(z, y)
        return z, torch.where(half, self.codes(self.features(z)), codes)

    def _asked(self, z: Tensor, y) -> Tensor:
        """Codes (n, k) of conditions `y`, NaN where left open; half of a pair has its other half of z."""
        y = self.codes.checked(y, len(z))
        half = self.codes.halved(y)
        return self.codes(torch.where(half & torch.isnan(y), self.features(z), y) if half.any() else y)

    @torch.no_grad()
    def corrected(
        self, z: Tensor, *, y=None, seed: int = 0, noise: bool = True, corrections: int = 3
    ) -> Tensor:
        """Latents (n, latent_dim) moved until their pictures are measured to have the conditions wanted.

        Each picture is drawn and measured, as any galaxy is; its latents are moved by what it misses, and it
        is drawn again with the same noise. What cannot be measured stays.

        Parameters
        ----------
        z : Tensor (n, latent_dim)
        y
            As of `sample`; what is left open is as the latents say.
        seed, noise
            Of the pixel noise that the pictures will have: `imagine(z, generator of this seed, noise=noise)`.
        corrections : int
            How many times.
        """
        wanted = self._said(z)
        if y is not None:
            asked = self._asked(z, y)
            wanted = torch.where(torch.isfinite(asked), asked, wanted)
        for _ in range(corrections):
            pictures = self.imagine(z, torch.Generator().manual_seed(seed), noise=noise).clamp(0, 1)
            found = measure(Images(pictures.cpu().numpy(), bands=self.bands))
            columns = [
                torch.from_numpy(np.asarray(found[name], dtype=np.float32)) for name in self.codes.names
            ]
            missed = wanted - self.codes(torch.stack(columns, 1).to(z))
            z = self._moved(z, GAIN * missed.clamp(-1, 1).nan_to_num())
        return z


def paired(batches: Iterable[Tensor], rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each batch of images with its part of the rows (n, k), of the same device and kind of number."""
    start = 0
    for x in batches:
        yield x, rows[start : start + len(x)].to(x)
        start += len(x)


def response(batches: Iterable[Tensor], codes: Tensor) -> Tensor:
    """How pixels (k, pixels) go with codes (n, k): the linear regression of images on them."""
    left = right = 0.0
    for x, part in paired(batches, torch.cat([codes, torch.ones_like(codes[:, :1])], 1)):
        part = part.double()
        left, right = left + part.T @ part, right + part.T @ x.flatten(1).double()
    ridge = 1e-6 * len(codes) * torch.eye(len(left)).to(left)
    return torch.linalg.solve(left + ridge, right)[:-1].to(codes)


class Apart:
    """Images without what their codes explain, iterated anew each time."""

    def __init__(self, batches: Iterable[Tensor], codes: Tensor, response: Tensor):
        self.batches, self.codes, self.response = batches, codes, response

    def __iter__(self):
        for x, part in paired(self.batches, self.codes):
            yield x - (part @ self.response).view_as(x) if len(part) else x
