"""The convolutional autoencoder: plain, denoising, sparse or contractive by argument."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..augment import Corruption, noise_level, waves
from ..errors import one_of
from .base import Model
from .blocks import Decoder, Encoder, Residual, Trunk, moment_probes, zeroed
from .drawn import PRIORS, Drawn, IfPrior
from .pca import PCA
from .texture import Texture

FAINT = 0.01  # of a picture from 0 to 1, an error that hardly shows


class AE(Drawn, Model):
    """A convolutional autoencoder on top of a linear one, which starts as a PCA.

    The latents are z = V (x - mean) + e(x), the reconstruction V^T z + mean + d(z), with
    convolutional e and d that start at zero: the first step of training improves on the PCA.

    Parameters
    ----------
    bands, size, latent_dim
        Images are (n, len(bands), size, size), size 28 to 256; latents (n, latent_dim).
    widths : three multiples of 8
        Channels at 1/4, 1/8 and 1/16 of the resolution.
    noise, psf_fwhm, missing
        What is wrong with the pictures that it sees, though not with those that it is to give: an
        `augment.Corruption`, whose noise, blur and missing band it then undoes (Vincent+2010). It is told
        neither the noise nor the blur, and learns to see them. The loss is judged on corrupted pictures.
    detail : multiple of 8
        Channels of a path beside the latents at half the resolution, for `restore`: what the latents leave
        out comes from the picture itself, as far as it is trusted. 0 for none.
    sparsity : "none", "l1" or "kl"
        Penalty on the whitened latents h: mean `|h|`, or the divergence of each sigmoid(h)'s mean from
        `activity` (Ng 2011, CS294A, section 3).
    sparsity_weight, activity : float
    moments : float
        Weight of the squared error in each band's Gaussian-weighted moments (flux, size and the two of
        ellipticity at three scales), as shares of the galaxy's light: the reconstruction keeps what
        morphology measures, which is a small part of the pixels' error.
    contraction : float
        Weight of the squared Frobenius norm of dh/dx a pixel (Rifai+2011), by one random
        projection a step, whose expectation is exact (Hutchinson 1989).
    prior : "mixture" or "flow", optional
        Of the whitened latents, fitted to those of the training galaxies after training: with one the model
        can `sample`, through its decoder and with the noise that its reconstructions leave (Ghosh+2020).

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
        noise: float | tuple[float, float] = 0.0,
        sparsity: str = "none",
        sparsity_weight: float = 0.0,
        activity: float = 0.05,
        moments: float = 0.0,
        contraction: float = 0.0,
        psf_fwhm: float | tuple[float, float] = 0.0,
        missing: float = 0.0,
        detail: int = 0,
        prior: str | None = None,
    ):
        super().__init__(bands, size)
        one_of("sparsity", sparsity, ("none", "l1", "kl"))
        one_of("prior", prior, (None, *PRIORS))
        trunk = Trunk(size, len(self.bands), tuple(widths))
        if missing and len(self.bands) < 2:
            raise ValueError(f"missing={missing} of the one band {self.bands[0]!r}, wanted two bands or more")
        if detail % 8 or detail < 0:
            raise ValueError(f"detail={detail} channels, wanted a multiple of 8, or 0")
        self.corruption = Corruption(noise, psf_fwhm, missing)
        self.sparsity, self.sparsity_weight = sparsity, sparsity_weight
        self.activity, self.moments, self.contraction = activity, moments, contraction
        self.encoder, self.decoder = Encoder(trunk), Decoder(trunk)
        self.head = zeroed(nn.Linear(trunk.features, latent_dim))
        self.spread = nn.Linear(latent_dim, trunk.features)
        self.gaps = Gaps(len(self.bands)) if missing else None
        self.detail = Detail(len(self.bands), size, detail) if detail else None
        pixels = len(self.bands) * size**2
        # A small random basis, so that a model without a warm start can learn too.
        self.basis = nn.Parameter(torch.randn(latent_dim, pixels) / pixels**0.5)
        self.mean = nn.Parameter(torch.zeros(pixels))
        self.register_buffer("scale", torch.ones(latent_dim))
        self.register_buffer("probes", moment_probes(size), persistent=False)
        self.prior = None if prior is None else PRIORS[prior](latent_dim)
        if prior is not None:
            self.texture = Texture(len(self.bands), size)
            self.register_buffer("log_scale", torch.full((len(self.bands), size, size), -2.0))

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Take basis, mean and the latents' scale from a PCA of the training images."""
        pca = PCA(self.bands, self.size, len(self.scale))
        pca.fit(batches)
        with torch.no_grad():
            self.basis.copy_(pca.components)
            self.mean.copy_(pca.mean)
            self.scale.copy_(pca.variance.sqrt())
        if self.gaps is not None:
            self.gaps.measure(batches)
        if self.detail is not None:
            self.detail.measure(x - pca.decode(pca.encode(x)) for x in batches)

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Fit the prior, where there is one, to the training galaxies, and measure the noise that is left."""
        if self.prior is None:
            return
        z = [self.encode(x) for x in batches]
        self._fit_prior(torch.cat(z) / self.scale)
        left = sum((x - self.decode(part)).square().sum(0) for x, part in zip(batches, z, strict=True))
        self.log_scale.copy_(0.5 * (left / sum(map(len, z))).clamp_min(1e-5).log())
        self.texture.fit(map(self._left, batches))

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.basis.T + self.head(self.encoder(x)) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        linear = (z @ self.basis + self.mean).view(-1, len(self.bands), self.size, self.size)
        return linear + self.decoder(self.spread(z / self.scale))

    def picture(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of the pixels, (n, band, size, size) each, of one with a prior."""
        mean = self.decode(z)
        return mean, self.log_scale.expand_as(mean)

    @IfPrior
    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Latents (n, latent_dim) from the prior."""
        return self.prior.sample(n, generator) * self.scale

    sample, imagine = IfPrior(Drawn.sample), IfPrior(Drawn.imagine)

    def restore(self, x: Tensor) -> Tensor:
        """Pictures (n, band, size, size) without what was wrong with `x`, whose missing bands are NaN."""
        seen, known = self._filled(x)
        return self._restored(seen, known, self.decode(self.encode(seen)))

    def _filled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images without NaN, and which bands of each are known (n, band, 1, 1)."""
        known = x.isfinite().all(3, keepdim=True).all(2, keepdim=True)
        seen = x if self.gaps is None else torch.where(known, x, self.gaps(x, known))
        return seen.contiguous(memory_format=torch.channels_last), known

    def _restored(self, seen: Tensor, known: Tensor, decoded: Tensor) -> Tensor:
        return decoded if self.detail is None else self.detail(seen, known, decoded)

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        same_each_time = None if self.training else torch.Generator(x.device).manual_seed(0)
        seen, known = self._filled(self.corruption(x, same_each_time))
        if self.contraction:
            seen = seen.detach().requires_grad_()
        with torch.enable_grad() if self.contraction else torch.set_grad_enabled(torch.is_grad_enabled()):
            z = self.encode(seen)
            decoded = self.decode(z)
            residual = self._restored(seen, known, decoded) - x
            terms = {"mse": residual.square().mean()}
            if self.detail is not None:
                terms["decoded"] = (decoded - x).square().mean()
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


class Gaps(nn.Module):
    """The likeliest pixels of a missing band, given the others and the noise that they seem to have."""

    def __init__(self, n_bands: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_bands))
        self.register_buffer("covariance", torch.eye(n_bands) + 1)

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor]) -> None:
        """Take mean and covariance of the bands over all pixels of the training images."""
        n, total, squares = 0, 0.0, 0.0
        for x in batches:
            pixels = x.movedim(1, -1).flatten(0, 2).double()
            n, total, squares = n + len(pixels), total + pixels.sum(0), squares + pixels.T @ pixels
        self.mean.copy_(total / n)
        self.covariance.copy_(squares / n - torch.outer(total / n, total / n))

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        apart = torch.where(known, x - self.mean[:, None, None], 0.0)
        # What is not known is all noise.
        noise = torch.where(known[:, :, 0, 0], noise_level(apart).square(), 1e4).diag_embed()
        weights = torch.linalg.solve(self.covariance + noise, self.covariance.expand(len(x), -1, -1))
        return torch.einsum("nij,niyx->njyx", weights, apart) + self.mean[:, None, None]


class Detail(nn.Module):
    """A picture from what was seen and from what the latents say of it.

    What the latents leave out goes through Wiener's filter, S / (S + noise^2), on each wave of a cosine
    transform and each principal color. S is the power that linear latents leave out of the training galaxies,
    scaled to what this galaxy has of it among neighboring waves; the noise is what each band seems to have.
    To that a network adds what else it sees, at first nothing.
    """

    def __init__(self, n_bands: int, size: int, width: int):
        super().__init__()
        self.register_buffer("colors", torch.eye(n_bands))  # (band, color)
        self.register_buffer("power", torch.full((n_bands, size, size), 1e-3))
        self.register_buffer("waves", waves(size).float(), persistent=False)
        self.first = nn.Conv2d((3 * 4 + 2) * n_bands, width, 3, padding=1)
        self.body = nn.Sequential(
            *(Residual(width) for _ in range(3)),
            zeroed(nn.Conv2d(width, 4 * n_bands, 3, padding=1)),
            nn.PixelShuffle(2),
        )

    @torch.no_grad()
    def measure(self, left_out: Iterable[Tensor]) -> None:
        """Take colors and power from what linear latents leave out of the training images, in batches."""
        n, squares = 0, 0.0
        for x in left_out:
            spectrum = torch.einsum("py,nbpq,qx->nbyx", self.waves, x, self.waves)
            squares = squares + torch.einsum("nbyx,ncyx->bcyx", spectrum, spectrum)
            n += len(x)
        self.colors.copy_(torch.linalg.eigh(squares.sum((2, 3))).eigenvectors)
        power = torch.einsum("bk,bcyx,ck->kyx", self.colors, squares, self.colors) / n
        self.power.copy_(power.clamp_min(1e-6))  # which a float16 in a file still tells from zero

    def forward(self, seen: Tensor, known: Tensor, decoded: Tensor) -> Tensor:
        height, width = seen.shape[2:]
        noise = noise_level(seen)
        spectrum = torch.einsum("bk,py,nbpq,qx->nkyx", self.colors, self.waves, seen - decoded, self.waves)
        variance = (noise.square() @ self.colors.square())[..., None, None]
        gain = self._gain(spectrum.detach(), variance)
        kept = gain * spectrum
        filtered = decoded + torch.einsum("bk,py,nkyx,qx->nbpq", self.colors, self.waves, kept, self.waves)
        # The error that the filter expects of itself; in that unit little noise asks for little to be added.
        unit = (gain * variance).mean((1, 2, 3), keepdim=True).sqrt() + FAINT
        pictures = F.pad(
            torch.cat([seen, decoded, filtered], 1), (0, width % 2, 0, height % 2), mode="replicate"
        )
        halved = F.pixel_unshuffle(pictures, 2)
        about = torch.cat([known.to(seen), noise.log()[..., None, None]], 1)
        told = torch.cat([halved, about.expand(-1, -1, *halved.shape[2:])], 1)
        features = self.first(told.contiguous(memory_format=torch.channels_last))
        return filtered + unit * self.body(features)[..., :height, :width]

    def _gain(self, spectrum: Tensor, noise: Tensor) -> Tensor:
        """Wiener's filter (n, color, y, x) of a spectrum and the variance of its noise (n, color, 1, 1)."""
        weight = self.power / (self.power + noise).square()  # of a wave's say in the likeliest scale
        excess = _around(weight * (spectrum.square() - noise)) / _around(weight * self.power)
        power = self.power * excess.clamp(0.02, 50)
        return power / (power + noise)


def _around(spectrum: Tensor) -> Tensor:
    """The mean over neighboring waves, a third of the spectrum wide."""
    side = spectrum.shape[-1] // 3 | 1
    spectrum = F.pad(spectrum, (side // 2,) * 4, mode="reflect")
    return F.avg_pool2d(F.avg_pool2d(spectrum, (1, side), stride=1), (side, 1), stride=1)
