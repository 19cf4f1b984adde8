"""The multimodal variational autoencoder: picture and measured features, any of which may be missing."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..errors import BadInput
from .codes import Codes
from .conditioned import DEFAULT, Apart, Conditioned, response
from .likelihoods import log_likelihood
from .mixture import Mixture
from .pca import PCA
from .shapes import Gauge, misread

DOUBT = 0.3  # of features, in units of their scatter, where pictures are corrected by them


class MVAE(Conditioned):
    """A variational autoencoder of pictures and of measured features, by a product of experts.

    One latent z has a picture p(x | z) and features p(f | z). What is known of a galaxy, be it the picture,
    some features or both, gives a posterior: the product of the prior and of one expert each (Wu & Goodman
    2018). Features are linear in z with Gaussian noise, so their experts are exact and never trained, and
    all that features share is kept in one covariance; the picture's expert is a network.

    The loss is the sub-sampled bound: of picture and features, of the picture alone, of the features alone,
    and of a random part of the features; the last two have no gap, for they are exact. While training, the
    picture's expert is also held to tell the features (the term "told").

    A gauge, as of `CVAE`, reads features off the picture for its expert, and what is drawn is held to what
    the gauge reads there. It begins with latents that say the features as the gauge reads them at first, by
    regression; began they as principal components, what hardly shows in pixels, such as an area that is
    large for the flux, would find no place among them.

    Parameters
    ----------
    bands, size, latent_dim, widths, beta, likelihood, noise, free_bits, anneal
        As of `VAE`.
    conditions : tuple of str
        The features, names of `conditions.CONDITIONS`; the labels y (n, k) are these, in their units, NaN
        where unknown.
    control : float
        Weight of the squared error of what the gauge reads.
    emphasis : float
        Weight of the features' likelihood beside that of the picture, which has thousands of pixels.

    Examples
    --------
    >>> model = MVAE(("r",), 28, 8, (16, 16, 16), conditions=("flux", "area"))
    >>> model.features(torch.zeros(3, 8)).shape
    torch.Size([3, 2])
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
        emphasis: float = 5.0,
    ):
        codes = Codes(conditions)
        if latent_dim <= len(codes):
            raise ValueError(f"latent_dim={latent_dim}, wanted more than the {len(codes)} features")
        super().__init__(bands, size, latent_dim, widths, beta, likelihood, noise, free_bits, anneal)
        self.codes, self.control, self.emphasis = codes, control, emphasis
        self.gauge = Gauge(len(self.bands), size, len(codes)) if self.net else None
        self.prior = Mixture(latent_dim + len(codes))
        self.loading = nn.Parameter(0.1 * torch.randn(len(codes), latent_dim))
        self.offset = nn.Parameter(torch.zeros(len(codes)))
        self.log_noise = nn.Parameter(torch.full((len(codes),), -1.0))

    # what is known of z

    def _build(self, style: int, widths: tuple[int, ...], noise: str, read: int = 0, told: int = 0) -> None:
        super()._build(style, widths, noise, read=len(self.config["conditions"]))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._expert(x, None if self.gauge is None else self.gauge(x))

    def _expert(self, x: Tensor, read: Tensor | None) -> tuple[Tensor, Tensor]:
        """The posterior given what the gauge has read, about which it teaches the gauge nothing."""
        read = x.new_zeros(len(x), 0) if read is None else read.detach()
        mean, log_std = self._posterior(x, x.flatten(1) - self.mean, read)
        return mean, log_std.clamp_max(-1e-3)  # a picture never makes z less certain than the prior

    def infer(self, x: Tensor | None = None, y=None, *, n: int = 1) -> tuple[Tensor, Tensor]:
        """Mean (n, d) and covariance (n, d, d) of z given pictures (n, band, y, x), conditions y, or both.

        `y` is as of `sample`. Raises BadInput if neither is given.
        """
        if x is None and y is None:
            raise BadInput("infer", "neither a picture nor a feature came, wanted at least one of the two")
        n = n if x is None else len(x)
        codes = None if y is None else self.codes(self.codes.checked(y, n))
        mean, root = self._product(None if x is None else self.posterior(x), codes, n)
        return mean, torch.cholesky_inverse(root)

    def _product(self, expert, codes: Tensor | None, n: int) -> tuple[Tensor, Tensor]:
        """Mean, and Cholesky factor of the precision, of prior times experts; codes of NaN say nothing."""
        d = self.style
        precision = torch.eye(d, device=self.mean.device).expand(n, d, d)
        shift = self.mean.new_zeros(n, d)
        if expert is not None:
            mean, log_std = expert
            own = (-2 * log_std).exp()  # of picture and prior together
            precision = precision + torch.diag_embed(own - 1)
            shift = shift + own * mean
        if codes is not None:
            weight = torch.isfinite(codes) * (-2 * self._log_noise()).exp()
            precision = precision + torch.einsum("kd,nk,ke->nde", self.loading, weight, self.loading)
            shift = shift + (weight * (codes.nan_to_num() - self.offset)) @ self.loading
        root = torch.linalg.cholesky(precision)
        return torch.cholesky_solve(shift[..., None], root)[..., 0], root

    def _log_noise(self) -> Tensor:
        return self.log_noise.clamp_min(-3.0)  # features are measured, not known

    def _said(self, z: Tensor) -> Tensor:
        return z @ self.loading.T + self.offset

    # learning

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        n, pixels = len(x), x[0].numel()
        read = None if self.gauge is None else self.gauge(x)
        expert, codes = self._expert(x, read), None if y is None else self.codes(y)
        known = [None] if codes is None else [codes, None]  # picture and features, picture alone
        found = [self._product(expert, some, n) for some in known]
        z = torch.cat([self._draw_root(*each) for each in found])
        picture = self.picture(z)
        nll = -log_likelihood(self.likelihood, x.repeat(len(known), 1, 1, 1), *picture).mean()
        kl = sum(_divergence(*each).mean() for each in found) / len(found)
        terms = {"nll": nll / pixels, "kl": kl / pixels}
        if codes is not None:
            parts = self._miss_features(z[:n], codes) - self._log_evidence(codes)
            some = torch.where(self._noise_like(codes) < 0, torch.nan, codes)
            parts = parts - self._log_evidence(some)
            terms["features"] = self.emphasis * parts.mean() / pixels
            if self.training:
                terms["told"] = self.emphasis * self._miss_features(z[n:], codes).mean() / pixels
            if read is not None:
                terms["gauge"] = self.control * misread(read, codes)
        if self.training and self.control and self.gauge is not None:
            self._follow(x, picture[0][:n], picture[1][:n])
            terms["control"] = self.control * self._miss(*self._by_chance(z[:n].detach()))
        return self._summed(terms)

    def _draw_root(self, mean: Tensor, root: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = self._noise_like(mean, generator)
        return mean + torch.linalg.solve_triangular(root.mT, noise[..., None], upper=True)[..., 0]

    def _miss_features(self, z: Tensor, codes: Tensor) -> Tensor:
        """Minus the log likelihood (n,) of known codes given z."""
        log_noise, known = self._log_noise(), torch.isfinite(codes)
        apart = (codes.nan_to_num() - z @ self.loading.T - self.offset) * (-log_noise).exp()
        return ((0.5 * apart.square() + log_noise + 0.5 * math.log(2 * math.pi)) * known).sum(1)

    def _log_evidence(self, codes: Tensor) -> Tensor:
        """Log density (n,) of known codes, exact: z is integrated out."""
        known = torch.isfinite(codes)
        noise = torch.diag((2 * self._log_noise()).exp())
        both = known[:, :, None] & known[:, None, :]
        covariance = torch.where(both, self.loading @ self.loading.T + noise, 0.0)
        covariance = covariance + torch.diag_embed((~known).to(covariance))  # of what is unknown, one
        apart = torch.where(known, codes.nan_to_num() - self.offset, 0.0)
        root = torch.linalg.cholesky(covariance)
        distance = torch.linalg.solve_triangular(root, apart[..., None], upper=False).square().sum((1, 2))
        volume = root.diagonal(dim1=1, dim2=2).log().sum(1)
        return -0.5 * distance - volume - 0.5 * math.log(2 * math.pi) * known.sum(1)

    def _by_chance(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures of these latents, or of chance ones, and the codes that they say."""
        z = self._or_chance(z)
        return self._noisy(*self.picture(z)), self._said(z).detach()

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Begin with latents that say the features, and a probabilistic PCA of what these leave.

        Without convolutions, as probabilistic PCA and a regression of the features on its latents.
        """
        if y is not None and self.gauge is not None:
            self._begin(batches, self._first_codes(batches, y))
            return self.texture.fit(map(self._left, batches))
        if self.gauge is not None:
            self.gauge.shapes.fit(batches)
        super().warm_start(batches)
        if y is None:
            return
        self.codes.fit(y)
        codes = self.codes(y.to(self.mean)).double()
        known = torch.isfinite(codes).all(1)
        with torch.no_grad():
            z = torch.cat([self.posterior(x)[0] for x in batches]).double()[known]
            design, codes = torch.cat([z, torch.ones_like(z[:, :1])], 1), codes[known]
            found = torch.linalg.lstsq(design, codes).solution
            self.loading.copy_(found[:-1].T)
            self.offset.copy_(found[-1])
            self.log_noise.copy_((codes - design @ found).std(0).clamp_min(1e-3).log())

    @torch.no_grad()
    def _begin(self, batches: Iterable[Tensor], codes: Tensor) -> None:
        """The first k latents are the features', made independent: the picture's expert has the gauge's."""
        k, pixels = codes.shape[1], response(batches, codes)
        pca = PCA(self.bands, self.size, self.style - k)
        pca.fit(Apart(batches, codes, pixels))
        apart = torch.cat([self.gauge(x) for x in batches]) - codes
        root = torch.linalg.cholesky(codes.double().T.cov()).to(codes)  # codes are root times latents
        self._take(pca, k)
        self.basis[:k], self.gain[:k] = root.T @ pixels, 0.0
        self.log_std[:k] = apart.std(0).clamp(0.05, 0.95).log()
        self.loading.zero_()
        self.loading[:, :k] = root
        self.offset.copy_(codes.mean(0))
        self.log_noise.copy_(apart.std(0).clamp_min(0.05).log())
        read = self.head.weight[: self.style, -k:]  # what the gauge has read moves the means
        read[:k] = torch.linalg.inv(root)
        read[k:] = -self.gain[k:, None] * (self.basis[k:] @ pixels.T)

    def _placed(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        codes = None if y is None else self.codes(y)
        z = self._draw_root(*self._product(self.posterior(x), codes, len(x)), generator)
        own = self._said(z)
        return torch.cat([z, own if codes is None else torch.where(torch.isfinite(codes), codes, own)], 1)

    # asking

    def change(self, z: Tensor, y) -> Tensor:
        """Latents (n, d) moved by as little as gives them the features `y`; what is left open stays."""
        codes = self._asked(z, y)
        own = self._said(z)
        asked = torch.where(torch.isfinite(codes), codes, own)
        moves = torch.linalg.pinv(self.loading.double())  # whose last bits, in single precision, are chance
        return z + ((asked - own).double() @ moves.T).to(z)

    def _moved(self, z: Tensor, by: Tensor) -> Tensor:
        """The most likely z whose features differ so, as far as they are known: no far leap for little."""
        loading = self.loading.double()
        noise = DOUBT**2 * torch.eye(len(loading)).to(loading)
        moves = torch.linalg.solve(loading @ loading.T + noise, loading)
        return z + (by.double() @ moves).to(z)

    def _log_prior(self, z: Tensor) -> Tensor:
        return self.prior.log_prob(z, of=slice(0, self.style))


def _divergence(mean: Tensor, root: Tensor) -> Tensor:
    """Of a Gaussian, given the Cholesky factor of its precision, from a standard normal: (n,) nats."""
    spread = torch.linalg.solve_triangular(root, torch.eye(root.shape[-1]).to(root), upper=False)
    volume = root.diagonal(dim1=1, dim2=2).log().sum(1)
    return 0.5 * (spread.square().sum((1, 2)) + mean.square().sum(1) - mean.shape[1]) + volume
