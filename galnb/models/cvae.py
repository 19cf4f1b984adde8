"""The conditional variational autoencoder: galaxies of a given flux, size, shape and color."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import starmap

import torch
from torch import Tensor, nn

from .codes import Codes
from .conditioned import DEFAULT, Apart, Conditioned, response
from .mixture import Mixture
from .pca import PCA
from .shapes import Gauge, misread


class CVAE(Conditioned):
    """A variational autoencoder whose pictures have the physical conditions that are asked for.

    Beside a style z, encoder and decoder are told the galaxy's conditions (Sohn, Lee & Yan 2015). A third
    network, the gauge, learns to read conditions off a picture; it fills in those that are not known, and
    what is drawn with other galaxies' conditions is held to what the gauge reads there, so that a condition
    is not passed over (as the classifier of Odena, Olah & Shlens 2017).

    Latents are the style, then the conditions' codes: they decode without being told anything else.

    Parameters
    ----------
    bands, size, widths, beta, likelihood, noise, free_bits, anneal
        As of `VAE`.
    latent_dim : int
        Numbers of style and conditions together.
    conditions : tuple of str
        Names of `conditions.CONDITIONS`; the labels y (n, k) are these, in their units, NaN where unknown.
    control : float
        Weight of the squared error of what the gauge reads.

    Notes
    -----
    Style and codes of the training galaxies are fitted by one mixture of Gaussians; `sample` draws from it
    what is not given, under the condition of what is.

    Examples
    --------
    >>> model = CVAE(("r",), 28, 8, (16, 16, 16), conditions=("flux", "area"))
    >>> model.sample(2, torch.Generator().manual_seed(0), y={"flux": 2.0}).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 64,
        latent_dim: int = 32,
        widths: tuple[int, ...] = (48, 80, 96),
        conditions: tuple[str, ...] = DEFAULT,
        beta: float = 1.0,
        likelihood: str = "gaussian",
        noise: str = "each",
        free_bits: float = 0.0,
        anneal: int = 0,
        control: float = 0.3,
    ):
        codes = Codes(conditions)
        if latent_dim <= len(codes):
            raise ValueError(f"latent_dim={latent_dim}, wanted more than the {len(codes)} conditions")
        style = latent_dim - len(codes)
        super().__init__(bands, size, style, widths, beta, likelihood, noise, free_bits, anneal)
        self.control, self.codes = control, codes
        self.prior = Mixture(latent_dim)
        self.response = nn.Parameter(torch.zeros(len(codes), len(self.bands) * size**2))
        self.gauge = Gauge(len(self.bands), size, len(codes))

    def _build(self, style: int, widths: tuple[int, ...], noise: str, read: int = 0, told: int = 0) -> None:
        k = len(self.config["conditions"])
        super()._build(style, widths, noise, read=k, told=k)

    # the networks, told the conditions

    def _told(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        apart = x.flatten(1) - self.mean - codes @ self.response
        return self._posterior(x, apart, codes)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._told(x, self.gauge(x))

    def picture(self, z: Tensor) -> tuple[Tensor, Tensor]:
        style, codes = z[:, : self.style], z[:, self.style :]
        return self._picture(z, style @ self.basis + codes @ self.response + self.mean)

    def encode(self, x: Tensor) -> Tensor:
        codes = self.gauge(x)
        return torch.cat([self._told(x, codes)[0], codes], 1)

    # learning

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        read = self.gauge(x)
        codes, terms = self._known(read, y)
        mean, log_std = self._told(x, codes)
        z = self._draw(mean, log_std)
        picture = self.picture(torch.cat([z, codes], 1))
        terms |= self._bound_terms(x, mean, log_std, picture)
        if self.training and len(x) > 1:
            self._follow(x, *picture)
            terms |= self._lessons(x, z, codes)
        return self._summed(terms)

    def _lessons(self, x: Tensor, z: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """Terms of training alone: how far pictures are from other galaxies' conditions."""
        if not self.control:
            return {}
        return {"control": self.control * self._miss(*self._swapped(z.detach(), codes))}

    def _known(self, read: Tensor, y: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Codes as far as they are labelled, else as the gauge reads them; and how wrong it reads."""
        if y is None:
            return read.detach(), {}
        codes = self.codes(y)
        known = torch.where(torch.isfinite(codes), codes, read.detach())
        return known, {"gauge": self.control * misread(read, codes)}

    def _swapped(self, z: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures of these styles, or of chance ones, with other galaxies' codes; and those codes."""
        asked = codes[torch.randperm(len(z), device=z.device)]
        return self._noisy(*self.picture(torch.cat([self._or_chance(z), asked], 1))), asked

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Begin as a linear regression on the conditions and a probabilistic PCA of what it leaves."""
        codes = self.mean.new_zeros(0, len(self.codes))
        if y is None:
            self.gauge.shapes.fit(batches)
        else:
            codes = self._first_codes(batches, y)
            with torch.no_grad():
                self.response.copy_(response(batches, codes))
        rest = Apart(batches, codes, self.response.detach())
        pca = PCA(self.bands, self.size, self.style)
        pca.fit(rest)
        self._take(pca)
        noise, mean = self.log_scale.detach().exp(), self.mean.detach()

        def left(x: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
            apart = part.flatten(1) - mean
            apart = (apart - (apart @ self.basis.T * self.gain) @ self.basis).view_as(x)
            return x - apart, apart / noise

        with torch.no_grad():
            self.texture.fit(starmap(left, zip(batches, rest, strict=True)))

    def _placed(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        codes, _ = self._known(self.gauge(x), y)
        return torch.cat([self._draw(*self._told(x, codes), generator), codes], 1)

    # asking

    def change(self, z: Tensor, y) -> Tensor:
        """Latents (n, latent_dim) with the conditions `y`; the style, and what is left open, stay."""
        codes = self._asked(z, y)
        return torch.cat([z[:, : self.style], torch.where(torch.isfinite(codes), codes, self._said(z))], 1)

    def _moved(self, z: Tensor, by: Tensor) -> Tensor:
        return torch.cat([z[:, : self.style], z[:, self.style :] + by], 1)

    def _said(self, z: Tensor) -> Tensor:
        return z[:, self.style :]

    def _codes_of(self, x: Tensor) -> Tensor:
        return self.gauge(x)

    def _log_prior(self, z: Tensor) -> Tensor:
        """Of the style given the conditions: `bound` is then one of p(x | conditions)."""
        return self.prior.log_prob(z) - self.prior.log_prob(z[:, self.style :], of=slice(self.style, None))
