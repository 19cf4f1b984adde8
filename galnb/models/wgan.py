"""A generator that a critic teaches what galaxies look like, and an encoder that finds a galaxy in it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import one_of
from .base import Model
from .blocks import Decoder, Encoder, Trunk, zeroed
from .pca import PCA
from .texture import Texture
from .vae import frozen

LEAK = 0.2
FOLLOW = 0.02  # share by which the features' scatter moves in a step
FAINTEST = -5.0  # logarithm of the least spread of a pixel


class WGAN(Model):
    """A Wasserstein GAN with gradient penalty, and an encoder that inverts it.

    The generator G turns latents, standard normal, into mean pictures and the spread of their pixels, and
    noise with the texture of real residuals is added. The critic D, whose slope is held near 1, is as large
    for real galaxies and as small for drawn ones as can be, so that their difference is the Wasserstein
    distance of the two (Arjovsky+2017; Gulrajani+2017, algorithm 1). The encoder E learns that G(E(x)) is
    like x, in pixels and in features of the critic (izi_f of f-AnoGAN, Schlegl+2019, equation 5).

    What G cannot draw is an anomaly; see `misfit`, and `refined` for a closer look than E takes.

    Parameters
    ----------
    bands : tuple of str
    size : int
        Pixels a side, 28 to 256.
    latent_dim : int
    widths : three ints
        Channels of generator and encoder.
    critic_widths : tuple of int
        Channels of the critic, one for each halving of the picture.
    linear : int
        Latents that have a principal component as well, from which generator and encoder begin.
    penalty : float
        Weight of the gradient penalty.
    turns : int
        Steps of the critic to one of generator and encoder.
    kappa : float
        Weight of features beside pixels in the encoder's loss.

    Attributes
    ----------
    usual : Tensor (2, 2)
        Mean and standard deviation of G and of C, as `misfit` gives them, among the training galaxies.

    Notes
    -----
    `loss` is the critic's; generator and encoder take a step of their own after some of the critic's. No such
    number says which epoch draws best, so that the last one is kept.

    Examples
    --------
    >>> model = WGAN(("r",), 28, 8, (16, 16, 16), (16, 16), linear=4)
    >>> model.sample(2, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 28, 28])
    """

    betas = (0.5, 0.9)  # with more momentum the two players circle each other
    judged = False

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 64,
        latent_dim: int = 64,
        widths: tuple[int, ...] = (32, 56, 72),
        critic_widths: tuple[int, ...] = (32, 64, 96, 128),
        linear: int = 16,
        penalty: float = 10.0,
        turns: int = 3,
        kappa: float = 1.0,
    ):
        super().__init__(bands, size)
        linear = min(linear, latent_dim)
        self.penalty, self.turns, self.kappa, self.latent_dim = penalty, turns, kappa, latent_dim
        n, trunk = len(self.bands), Trunk(size, len(bands), widths)
        self.mean = nn.Parameter(torch.zeros(n * size**2))
        self.basis = nn.Parameter(torch.zeros(linear, n * size**2))
        self.gain = nn.Parameter(torch.ones(linear))
        self.log_scale = nn.Parameter(torch.full((n, size, size), -3.0))
        self.spread, self.decoder = nn.Linear(latent_dim, trunk.features), Decoder(trunk, n + 1)
        self.encoder, self.head = Encoder(trunk), zeroed(nn.Linear(trunk.features, latent_dim))
        self.critic, self.texture = _Critic(n, size, critic_widths), Texture(n, size)
        self.register_buffer("scatter", torch.ones(self.critic.width))
        self.register_buffer("usual", torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    # pictures and latents

    def picture(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of the pixels, (n, band, size, size) each."""
        n, known = len(self.bands), len(self.basis)
        planes = self.decoder(self.spread(z))
        linear = (z[:, :known] @ self.basis + self.mean).view(-1, n, self.size, self.size)
        return linear + planes[:, :n], (self.log_scale + planes[:, n:]).clamp(FAINTEST, 0)

    def encode(self, x: Tensor) -> Tensor:
        start = (x.flatten(1) - self.mean) @ self.basis.T * self.gain
        return F.pad(start, (0, self.latent_dim - start.shape[1])) + self.head(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.picture(z)[0]

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Latents (n, latent_dim)."""
        return torch.randn(n, self.latent_dim, generator=generator).to(self.mean)

    def sample(self, n: int, generator: torch.Generator | None = None, *, noise: bool = True) -> Tensor:
        """Galaxies that do not exist (n, band, size, size); without `noise`, their mean pictures."""
        return self.imagine(self.draw(n, generator), generator, noise=noise)

    def imagine(self, z: Tensor, generator: torch.Generator | None = None, *, noise: bool = True) -> Tensor:
        """Pictures (n, band, size, size) of latents, with pixel noise or, as `decode`, without."""
        return self._noisy(*self.picture(z), generator).clamp(0, 1) if noise else self.decode(z)

    def _noisy(self, mean: Tensor, log_scale: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return mean + log_scale.exp() * self.texture.draw(mean.detach(), generator)

    # learning

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        rng = None if self.training else torch.Generator().manual_seed(0)
        with torch.no_grad():
            drawn = self._noisy(*self.picture(self.draw(len(x), rng)), rng)
        (real, features), (passed, _) = self.critic(x), self.critic(drawn)
        distance, penalty = real.mean() - passed.mean(), self._penalty(x, drawn, rng)
        if self.training:
            self.scatter.lerp_(features.detach().std(0).clamp_min(1e-3), FOLLOW)
        return {"loss": penalty - distance, "distance": distance, "penalty": penalty}

    def _penalty(self, x: Tensor, drawn: Tensor, rng: torch.Generator | None) -> Tensor:
        """How far the critic's slope is from 1, between real and drawn pictures."""
        share = torch.rand(len(x), 1, 1, 1, generator=rng).to(x)
        with torch.enable_grad():
            between = torch.lerp(x, drawn, share).requires_grad_()
            (slope,) = torch.autograd.grad(self.critic(between)[0].sum(), between, create_graph=True)
        return self.penalty * (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def _inversion(self, x: Tensor, z: Tensor) -> Tensor:
        """What latents of images are to make small: both misfits, each in its usual size."""
        pixels, features = self._misfit(x, z)
        of_pixels = (pixels * (-self.log_scale).exp()).square().mean()
        return of_pixels + self.kappa * features.square().mean()

    def update(self, x: Tensor, y: Tensor | None, optimizer, *, clip: float) -> dict[str, Tensor]:
        terms = super().update(x, y, optimizer, clip=clip)
        self.step += 1
        if self.step % self.turns == 0:
            with frozen(*self.critic.parameters()):
                passed = self.critic(self._noisy(*self.picture(self.draw(len(x)))))[0].mean()
                with frozen(*self._generator()):
                    terms["encoder"] = self._inversion(x, self.encode(x))
            optimizer.zero_grad(set_to_none=True)
            (terms["encoder"] - passed).backward()
            for part in self._generator(), self._encoder():
                nn.utils.clip_grad_norm_(part, clip)
            optimizer.step()
        return terms

    def _generator(self) -> list[nn.Parameter]:
        return [self.mean, self.basis, self.log_scale, *self.spread.parameters(), *self.decoder.parameters()]

    def _encoder(self) -> list[nn.Parameter]:
        return [self.gain, *self.encoder.parameters(), *self.head.parameters()]

    @torch.no_grad()
    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Begin as a probabilistic PCA in the first latents; the others draw nothing yet."""
        pca = PCA(self.bands, self.size, len(self.basis))
        pca.fit(batches)
        scale = pca.variance.clamp_min(1e-9).sqrt()[:, None]
        self.mean.copy_(pca.mean)
        self.basis.copy_(scale * pca.components)
        self.gain.copy_(1 / scale[:, 0].square())
        left = torch.cat([(x - pca.decode(pca.encode(x))).square().mean(0, keepdim=True) for x in batches])
        self.log_scale.copy_(0.5 * left.mean(0).clamp_min(1e-5).log())
        self.critic.center.copy_(pca.mean.view_as(self.critic.center))
        self.critic.scale.fill_(float((pca.variance.sum() / len(pca.mean)).sqrt()))
        self.texture.fit(map(self._left, batches))

    @torch.no_grad()
    def _left(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_scale = self.picture(self.encode(x))
        return mean, (x - mean) / log_scale.exp()

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Measure how large both misfits of galaxies like those of training are."""
        found = torch.cat([torch.stack(self.misfit(x), 1) for x in batches])
        self.usual.copy_(torch.stack([found.mean(0), found.std(0).clamp_min(1e-9)]))

    # asking

    def misfit(self, x: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """How far images are from what G draws at z, by default at E(x): root mean squares (n,) twice.

        Returns
        -------
        G : of pixels, in their unit
        C : of the critic's features, in their scatter among the training galaxies
        """
        pixels, features = self._misfit(x, self.encode(x) if z is None else z)
        return pixels.square().mean((1, 2, 3)).sqrt(), features.square().mean(1).sqrt()

    def _misfit(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Differences of pixels (n, band, size, size) and of features (n, k) in their scatter."""
        mean, log_scale = self.picture(z)
        noise = self.texture.draw(mean.detach(), torch.Generator().manual_seed(0), alike=True)
        seen, drawn = (self.critic(part)[1] for part in (x, mean + log_scale.exp() * noise))
        return x - mean, (seen - drawn) / self.scatter.clone()  # which moves while training

    @torch.enable_grad()
    def refined(self, x: Tensor, *, steps: int = 10, rate: float = 0.05, start: str = "encoder") -> Tensor:
        """Latents (n, latent_dim) whose picture is nearer to x, in both misfits, by gradients (Adam).

        Parameters
        ----------
        steps : int
        rate : float
            Of a step, in standard deviations of the latents.
        start : "encoder" or "mean"
            At E(x), or at the mean galaxy, as AnoGAN (Schlegl+2017), which takes hundreds of steps.
        """
        one_of("start", start, ("encoder", "mean"))
        with frozen(*self.parameters()):
            z = self.encode(x) if start == "encoder" else x.new_zeros(len(x), self.latent_dim)
            z = z.detach().requires_grad_()
            optimizer = torch.optim.Adam([z], lr=rate)
            for _ in range(steps):
                optimizer.zero_grad()
                self._inversion(x, z).backward()
                optimizer.step()
        return z.detach()


class _Critic(nn.Module):
    """A score (n,) of pictures, and the features (n, width) of its last convolution.

    Without normalisation, for the penalty is of each picture on its own (Gulrajani+2017, section 4).
    """

    def __init__(self, n_bands: int, size: int, widths: tuple[int, ...]):
        super().__init__()
        halvings = 2 ** len(widths)
        if not widths or size < halvings:
            raise ValueError(f"critic_widths={widths}, wanted at least 1, and {size} pixels halve less often")
        self.pad = -size % halvings
        self.register_buffer("center", torch.zeros(n_bands, size, size))
        self.register_buffer("scale", torch.ones(()))
        layers = []
        for before, after in zip((n_bands, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.width = widths[-1] * ((size + self.pad) // halvings) ** 2
        self.score = nn.Linear(self.width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = (x - self.center) / self.scale
        features = self.body(F.pad(x, 2 * (self.pad // 2, self.pad - self.pad // 2)))
        return self.score(features)[:, 0], features
