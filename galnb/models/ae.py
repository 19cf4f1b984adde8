"""The convolutional autoencoder: plain, denoising, sparse or contractive by argument."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..errors import one_of
from .base import Model
from .blocks import Decoder, Encoder, Trunk, moment_probes, zeroed
from .pca import PCA


class AE(Model):
    """A convolutional autoencoder on top of a linear one, which starts as a PCA.

    The latents are z = V (x - mean) + e(x), the reconstruction V^T z + mean + d(z), with
    convolutional e and d that start at zero: the first step of training improves on the PCA.

    Parameters
    ----------
    bands, size, latent_dim
        Images are (n, len(bands), size, size), size 28 to 256; latents (n, latent_dim).
    widths : three multiples of 8
        Channels at 1/4, 1/8 and 1/16 of the resolution.
    noise : float
        Standard deviation of Gaussian pixel noise on the input while training (denoising; Vincent+2010).
    sparsity : "none", "l1" or "kl"
        Penalty on the whitened latents h: mean |h|, or the divergence of each sigmoid(h)'s mean from
        `activity` (Ng 2011, CS294A, section 3).
    sparsity_weight, activity : float
    moments : float
        Weight of the squared error in each band's Gaussian-weighted moments (flux, size and the two of
        ellipticity at three scales), as shares of the galaxy's light: the reconstruction keeps what
        morphology measures, which is a small part of the pixels' error.
    contraction : float
        Weight of the squared Frobenius norm of dh/dx a pixel (Rifai+2011), by one random
        projection a step, whose expectation is exact (Hutchinson 1989).

    Examples
    --------
    >>> model = AE(bands=("r",), size=28, latent_dim=8, widths=(16, 16, 16))
    >>> model.decode(model.encode(torch.rand(2, 1, 28, 28))).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 64,
        latent_dim: int = 50,
        widths: tuple[int, int, int] = (64, 96, 112),
        noise: float = 0.0,
        sparsity: str = "none",
        sparsity_weight: float = 0.0,
        activity: float = 0.05,
        moments: float = 0.0,
        contraction: float = 0.0,
    ):
        super().__init__(bands, size)
        one_of("sparsity", sparsity, ("none", "l1", "kl"))
        trunk = Trunk(size, len(self.bands), tuple(widths))
        self.noise, self.sparsity, self.sparsity_weight = noise, sparsity, sparsity_weight
        self.activity, self.moments, self.contraction = activity, moments, contraction
        self.encoder, self.decoder = Encoder(trunk), Decoder(trunk)
        self.head = zeroed(nn.Linear(trunk.features, latent_dim))
        self.spread = nn.Linear(latent_dim, trunk.features)
        pixels = len(self.bands) * size**2
        # A small random basis, so that a model without a warm start can learn too.
        self.basis = nn.Parameter(torch.randn(latent_dim, pixels) / pixels**0.5)
        self.mean = nn.Parameter(torch.zeros(pixels))
        self.register_buffer("scale", torch.ones(latent_dim))
        self.register_buffer("probes", moment_probes(size), persistent=False)

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Take basis, mean and the latents' scale from a PCA of the training images."""
        pca = PCA(self.bands, self.size, len(self.scale))
        pca.fit(batches)
        with torch.no_grad():
            self.basis.copy_(pca.components)
            self.mean.copy_(pca.mean)
            self.scale.copy_(pca.variance.sqrt())

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.basis.T + self.head(self.encoder(x)) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        linear = (z @ self.basis + self.mean).view(-1, len(self.bands), self.size, self.size)
        return linear + self.decoder(self.spread(z / self.scale))

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        seen = x + self.noise * torch.randn_like(x) if self.noise and self.training else x
        if self.contraction:
            seen = seen.detach().requires_grad_()
        with torch.enable_grad() if self.contraction else torch.set_grad_enabled(torch.is_grad_enabled()):
            z = self.encode(seen)
            residual = self.decode(z) - x
            terms = {"mse": residual.square().mean()}
            if self.moments:
                terms["moments"] = self.moments * self._moment_error(residual, x)
            whitened = z / self.scale
            if self.contraction:
                terms["contraction"] = self.contraction * _jacobian_norm(whitened, seen)
        if self.sparsity == "l1":
            terms["sparsity"] = self.sparsity_weight * whitened.abs().mean()
        elif self.sparsity == "kl":
            terms["sparsity"] = self.sparsity_weight * self._divergence(whitened)
        return {"loss": sum(terms.values()), **terms}

    def _moment_error(self, residual: Tensor, x: Tensor) -> Tensor:
        found = torch.einsum("nbyx,smyx->nbsm", residual, self.probes)
        light = torch.einsum("nbyx,syx->nbs", x, self.probes[:, 0]).clamp_min(1e-2)
        return (found / light[..., None]).square().mean()

    def _divergence(self, whitened: Tensor) -> Tensor:
        mean, wanted = torch.sigmoid(whitened).mean(0).clamp(1e-6, 1 - 1e-6), self.activity
        return (wanted * (wanted / mean).log() + (1 - wanted) * ((1 - wanted) / (1 - mean)).log()).mean()


def _jacobian_norm(z: Tensor, x: Tensor) -> Tensor:
    """Unbiased estimate of |dz/dx|^2, summed over latents, a pixel of x, mean over galaxies."""
    direction = torch.randn_like(z)
    (gradient,) = torch.autograd.grad((z * direction).sum(), x, create_graph=True)
    return gradient.square().mean()
