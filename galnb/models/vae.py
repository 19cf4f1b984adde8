"""The variational autoencoder: beta, likelihood, free bits and prior by argument."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..errors import one_of
from .base import Model
from .blocks import Decoder, Encoder, Trunk, zeroed
from .drawn import PRIORS, Drawn
from .likelihoods import LIKELIHOODS, log_likelihood
from .pca import PCA
from .texture import Texture

FAINTEST = math.log(1 / 512)  # no pixel is known better than half a level of 8 bits


class VAE(Drawn, Model):
    """A variational autoencoder on top of probabilistic PCA, which starts as that.

    The posterior of z has mean g B'(x - m) + e(x) and a spread of its own for each galaxy; the picture has
    mean B z + m + d(z), with convolutional e and d that start at zero. Without convolutions (`widths=()`) the
    optimum is known: probabilistic PCA (Tipping & Bishop 1999), its evidence included.

    Parameters
    ----------
    bands, size, latent_dim
        Images are (n, len(bands), size, size), size 28 to 256; latents (n, latent_dim).
    widths : three multiples of 8, or none
        Channels at 1/4, 1/8 and 1/16 of the resolution.
    beta : float
        Weight of the divergence from the prior (Higgins+2017). At 1 the loss is the evidence bound.
    likelihood : "gaussian", "laplace" or "logistic"
        Of a pixel; "logistic" is that of its 8-bit level (Salimans+2017).
    noise : "each" or "one"
        Whether the decoder says how uncertain each pixel is, or one learned number serves all.
    free_bits : float
        Nats of each latent, mean over galaxies, that cost nothing (Kingma+2016).
    anneal : int
        Steps over which the divergence's weight rises from 0 (Bowman+2016).
    prior : "normal", "mixture" or "flow"
        The last two are fitted to the latents after training and drawn from: where no galaxy lives between
        them, a standard normal draws what no galaxy looks like (the prior hole; Rezende & Viola 2018).

    Notes
    -----
    `sample` draws pixel noise too, with the spread that the decoder says and the correlation between pixels
    and bands that was measured on the training galaxies' residuals. The likelihood takes pixels as
    independent, so that correlation changes no bound.

    References
    ----------
    Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014.

    Examples
    --------
    >>> model = VAE(bands=("r",), size=28, latent_dim=4, widths=(16, 16, 16))
    >>> model.sample(2, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 64,
        latent_dim: int = 32,
        widths: tuple[int, ...] = (48, 80, 96),
        beta: float = 1.0,
        likelihood: str = "gaussian",
        noise: str = "each",
        free_bits: float = 0.0,
        anneal: int = 0,
        prior: str = "mixture",
    ):
        super().__init__(bands, size)
        one_of("likelihood", likelihood, LIKELIHOODS)
        one_of("noise", noise, ("each", "one"))
        one_of("prior", prior, ("normal", *PRIORS))
        self.beta, self.likelihood, self.free_bits, self.anneal = beta, likelihood, free_bits, anneal
        self._build(latent_dim, tuple(widths), noise)
        self.prior = None if prior == "normal" else PRIORS[prior](latent_dim)

    def _build(self, style: int, widths: tuple[int, ...], noise: str, read: int = 0, told: int = 0) -> None:
        """All parameters; `read` and `told` numbers are given to encoder and decoder beside picture and z."""
        n, pixels = len(self.bands), len(self.bands) * self.size**2
        self.style, self.net = style, bool(widths)
        self.mean = nn.Parameter(torch.zeros(pixels))
        self.basis = nn.Parameter(torch.randn(style, pixels) / pixels**0.5)
        self.gain = nn.Parameter(torch.ones(style))
        self.log_std = nn.Parameter(torch.zeros(style))
        self.log_scale = nn.Parameter(torch.full((n, self.size, self.size) if noise == "each" else (), -2.0))
        self.texture = Texture(n, self.size)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        if self.net:
            trunk = Trunk(self.size, n, widths)
            self.encoder = Encoder(trunk)
            self.head = zeroed(nn.Linear(trunk.features + read, 2 * style))
            self.spread = nn.Linear(style + told, trunk.features)
            self.decoder = Decoder(trunk, n + (noise == "each"))

    # the two networks

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation (n, latent_dim) of z given images."""
        return self._posterior(x, x.flatten(1) - self.mean, x.new_zeros(len(x), 0))

    def _posterior(self, x: Tensor, apart: Tensor, more: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = apart @ self.basis.T * self.gain, self.log_std.expand(len(x), -1)
        if self.net:
            moved, wider = self.head(torch.cat([self.encoder(x), more], 1)).chunk(2, dim=1)
            mean, log_std = mean + moved, log_std + wider
        return mean, log_std.clamp(-8, 2)

    def picture(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of the pixels, (n, band, size, size) each."""
        return self._picture(z, z @ self.basis + self.mean)

    def _picture(self, given: Tensor, linear: Tensor) -> tuple[Tensor, Tensor]:
        n = len(self.bands)
        mean = linear.view(-1, n, self.size, self.size)
        log_scale = self.log_scale.expand(len(mean), n, self.size, self.size)
        if self.net:
            planes = self.decoder(self.spread(given))
            mean = mean + planes[:, :n]
            log_scale = log_scale + planes[:, n:] if planes.shape[1] > n else log_scale
        return mean, log_scale.clamp(FAINTEST, 1)

    def encode(self, x: Tensor) -> Tensor:
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        return self.picture(z)[0]

    # learning

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        mean, log_std = self.posterior(x)
        terms = self._bound_terms(x, mean, log_std, self.picture(self._draw(mean, log_std)))
        return self._summed(terms)

    def _summed(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Terms and their sum, in which the divergence has its weight."""
        parts = [value for name, value in terms.items() if name != "kl"]
        return {"loss": sum(parts) + self._weight() * terms["kl"], **terms}

    def _draw(self, mean: Tensor, log_std: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z by reparameterisation."""
        return mean + log_std.exp() * self._noise_like(mean, generator)

    def _noise_like(self, mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal noise; in evaluation the same each time, where no generator is given."""
        if generator is None and not self.training:
            generator = torch.Generator().manual_seed(0)
        return torch.randn(mean.shape, generator=generator).to(mean)

    def _bound_terms(self, x, mean, log_std, picture) -> dict[str, Tensor]:
        """Both parts of the evidence bound, in nats a pixel."""
        nll = -log_likelihood(self.likelihood, x, *picture).mean()
        kl = 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).mean(0)
        return {"nll": nll / x[0].numel(), "kl": kl.clamp_min(self.free_bits).sum() / x[0].numel()}

    def _weight(self) -> float:
        if not (self.training and self.anneal):
            return self.beta
        return self.beta * min(1.0, (int(self.seen) + 1) / self.anneal)

    def update(self, x: Tensor, y: Tensor | None, optimizer, *, clip: float) -> dict[str, Tensor]:
        terms = super().update(x, y, optimizer, clip=clip)
        self.seen += 1
        return terms

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Begin as probabilistic PCA (Tipping & Bishop 1999, equations 3.7, 3.8 and 12.41 of Bishop 2006)."""
        pca = PCA(self.bands, self.size, self.style)
        pca.fit(batches)
        self._take(pca)
        self.texture.fit(map(self._left, batches))

    @torch.no_grad()
    def _take(self, pca: PCA, start: int = 0) -> None:
        """Begin as this PCA, with latents from `start` on."""
        noise = pca.noise.clamp_min(1e-5)
        signal = (pca.variance - noise).clamp_min(1e-6).sqrt()
        self.mean.copy_(pca.mean)
        self.basis[start:] = signal[:, None] * pca.components
        self.gain[start:] = 1 / pca.variance
        self.log_std[start:] = 0.5 * (noise / pca.variance).clamp_max(1).log()
        self.log_scale.fill_(0.5 * float(noise.log()))

    @torch.no_grad()
    def _follow(self, x: Tensor, mean: Tensor, log_scale: Tensor) -> None:
        """Let the noise that is drawn while training have the texture of what the pictures leave now."""
        self.texture.follow(mean, (x - mean) * (-log_scale).exp())

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Measure the noise's texture, and fit the prior to posterior draws of the training galaxies."""
        self.texture.fit(map(self._left, batches))
        if self.prior is not None:
            rng = torch.Generator().manual_seed(0)
            self._fit_prior(torch.cat([self._draw(*self.posterior(x), rng) for x in batches]))

    # asking

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Latents (n, latent_dim) from the prior."""
        if self.prior is None:
            return torch.randn(n, self.style, generator=generator).to(self.mean)
        return self.prior.sample(n, generator)

    @torch.no_grad()
    def bound(self, x: Tensor, *, k: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """Lower bound (n,) in nats of log p(x), by k draws from the posterior; at k = 1 the evidence bound.

        Importance weighted (Burda, Grosse & Salakhutdinov 2016, equation 8): with more draws it only rises,
        towards log p(x). Under the prior that `sample` draws from. A density of pixels in 0 to 1, or for
        "logistic" the probability of their 8-bit levels; see `metrics.bits_per_pixel`.
        """
        (mean, log_std), codes = self.posterior(x), self._codes_of(x)
        weights = []
        for _ in range(k):
            noise = torch.randn(mean.shape, generator=generator).to(mean)
            z = mean + log_std.exp() * noise
            log_q = (-0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(1)
            whole = torch.cat([z, codes], 1)
            log_p = log_likelihood(self.likelihood, x, *self.picture(whole)) + self._log_prior(whole)
            weights.append(log_p - log_q)
        return torch.logsumexp(torch.stack(weights), dim=0) - math.log(k)

    def _codes_of(self, x: Tensor) -> Tensor:
        """What the decoder is told beside z, (n, 0) here."""
        return x.new_zeros(len(x), 0)

    def _log_prior(self, z: Tensor) -> Tensor:
        if self.prior is not None:
            return self.prior.log_prob(z)
        return (-0.5 * z.square() - 0.5 * math.log(2 * math.pi)).sum(1)


@contextmanager
def frozen(*parameters: nn.Parameter) -> Iterator[None]:
    """What is computed within learns nothing about these parameters."""
    asked = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, before in zip(parameters, asked, strict=True):
            parameter.requires_grad_(before)
