"""The texture of pixel noise: how it is correlated and how heavy its tails are, at each brightness."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH, KNOTS = 4.0, 33  # of the quantiles, in standard deviations of a Gaussian
BINS, FAR = 1601, 8.0  # of the histograms that they are read from
RARE = 1e-3  # share of pixels at which a level is as all are


class Texture(nn.Module):
    """Noise with the correlations and the tails that residuals have, white and Gaussian before `fit`.

    What a network leaves of a galaxy is not alike in sky and galaxy: in a color picture with an asinh stretch
    (Lupton+2004) sky noise is nearly grey, and that of bright pixels, whose light is compressed, is in their
    colors. So noise depends on the brightness of the mean picture. At each of a few levels it has cross
    spectra and a marginal distribution of its own; between levels the two are blended. One white field, given
    the spectra, is a Gaussian field, whose values are mapped to the distribution (a Gaussian copula).

    Parameters
    ----------
    n_bands, size : int
    levels : int
        Of brightness, the mean over bands: from that of the sky to that of the brightest pixels.
    """

    def __init__(self, n_bands: int, size: int, levels: int = 3):
        super().__init__()
        self.size = size
        knots = torch.linspace(-REACH, REACH, KNOTS)
        self.register_buffer("levels", torch.linspace(0, 1, levels))
        # (level, frequency, band, band): the square root of the cross spectra of bands
        self.register_buffer("root", torch.eye(n_bands).repeat(levels, size * (size // 2 + 1), 1, 1))
        self.register_buffer("quantiles", knots.repeat(n_bands, levels, 1))
        below = torch.distributions.Normal(0.0, 1.0).cdf(knots)
        self.register_buffer("below", below, persistent=False)

    @torch.no_grad()
    def fit(self, pictures: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Measure residuals (n, band, size, size), in units of each pixel's spread, of such mean pictures.

        `pictures` are batches of mean pictures and residuals; the first gives the levels.
        """
        spectra = weights = counts = 0.0  # of each level
        for k, (mean, r) in enumerate(pictures):
            if k == 0:
                self._set_levels(mean)
            shares = self._shares(self._place(mean))
            spectra = spectra + len(r) * self._spectra(r, shares)
            weights = weights + len(r) * shares.double().mean((1, 2, 3))
            counts = counts + self._counts(r, shares)
        spectra, weights = spectra + RARE * spectra.sum(0), weights + RARE * weights.sum()
        self._take(spectra / weights[:, None, None, None])
        self.quantiles.copy_(self._quantiles(counts + RARE * counts.sum(1, keepdim=True)))

    @torch.no_grad()
    def follow(self, mean: Tensor, r: Tensor, *, share: float = 0.02) -> None:
        """Move by a small share towards the residuals of a batch, while training."""
        shares = self._shares(self._place(mean))
        weights = shares.double().mean((1, 2, 3))
        part = share * (weights / weights.max()).to(r)  # little is learned of a level that is hardly seen
        spectra = self._spectra(r, shares) / weights.clamp_min(1e-6)[:, None, None, None]
        self._take(torch.lerp((self.root @ self.root).double(), spectra, part.double()[:, None, None, None]))
        self.quantiles.lerp_(self._quantiles(self._counts(r, shares)), part[:, None])

    def _set_levels(self, mean: Tensor) -> None:
        ends = torch.quantile(mean.mean(1)[:256].flatten(), torch.tensor([0.5, 0.99]).to(mean))
        rise = torch.linspace(0, 1, len(self.levels)).to(mean) ** 1.5
        self.levels.copy_(ends[0] + rise * (ends[1] - ends[0]).clamp_min(1e-3))

    def _place(self, mean: Tensor) -> Tensor:
        """Where (n, y, x) pixels lie between the levels: 0 at the first, 1 at the second."""
        low, high = (side.view(-1, 1, 1, 1) for side in (self.levels[:-1], self.levels[1:]))
        return ((mean.mean(1) - low) / (high - low)).clamp(0, 1).sum(0)

    def _shares(self, place: Tensor) -> Tensor:
        """How much (level, n, y, x) pixels that lie so belong to each level; their sum is 1."""
        level = torch.arange(len(self.levels)).to(place).view(-1, 1, 1, 1)
        return (1 - (place - level).abs()).clamp_min(0)

    def _spectra(self, r: Tensor, shares: Tensor) -> Tensor:
        """Mean cross spectra (level, frequency, band, band) of residuals as far as they are of a level."""
        spectra = []
        for share in shares:
            waves = torch.fft.rfft2(r * share.sqrt()[:, None], norm="ortho").flatten(2)
            spectra.append(torch.einsum("nbf,ncf->fbc", waves, waves.conj()).real)
        return torch.stack(spectra).double() / len(r)

    def _take(self, spectra: Tensor) -> None:
        values, vectors = torch.linalg.eigh((spectra + spectra.mT) / 2)
        self.root.copy_((vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT)

    def _counts(self, r: Tensor, shares: Tensor) -> Tensor:
        """Histograms (band, level, bin) of residuals, each pixel counted by its part in the level."""
        cells = ((r.clamp(-FAR, FAR) / FAR + 1) * (BINS - 1) / 2).round().long().transpose(0, 1).flatten(1)
        parts = shares.flatten(1)
        count = lambda cell, part: torch.bincount(cell, weights=part, minlength=BINS)  # noqa: E731
        return torch.stack([torch.stack([count(cell, part) for part in parts]) for cell in cells]).double()

    def _quantiles(self, counts: Tensor) -> Tensor:
        """Residuals (band, level, knot) below which there are as many as below the knots of a Gaussian."""
        share = counts.cumsum(-1)
        share = (share - counts / 2) / share[..., -1:].clamp_min(1e-12)
        at = torch.searchsorted(share, self.below.to(share).expand(*share.shape[:-1], -1).contiguous())
        after = at.clamp(1, BINS - 1)
        low, high = share.gather(-1, after - 1), share.gather(-1, after)
        part = ((self.below - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        return (((after - 1 + part) * 2 / (BINS - 1) - 1) * FAR).to(self.quantiles)

    @torch.no_grad()
    def draw(self, mean: Tensor, generator: torch.Generator | None = None, *, alike: bool = False) -> Tensor:
        """Noise for mean pictures, (n, band, size, size) both; `alike` is from one white field for all."""
        place, n_bands = self._place(mean), mean.shape[1]
        shares = self._shares(place)
        white = torch.randn(1 if alike else len(mean), *mean.shape[1:], generator=generator).to(mean)
        waves, field = torch.fft.rfft2(white, norm="ortho"), 0.0
        for share, root in zip(shares, self.root, strict=True):
            parts = root.permute(1, 2, 0).reshape(n_bands, *waves.shape[1:])
            mixed = torch.stack([(waves * part).sum(1) for part in parts], 1)
            field = field + share[:, None] * torch.fft.irfft2(mixed, s=mean.shape[2:], norm="ortho")
        variance = torch.einsum("lnyx,knyx,lkb->nbyx", shares, shares, self._covariance())
        return self._marginal(field / variance.sqrt(), place)

    def _covariance(self) -> Tensor:
        """Of the fields of two levels at one pixel, (level, level, band)."""
        twice = torch.full((self.size // 2 + 1,), 2.0, device=self.root.device)  # half the plane is kept
        twice[0] = 1.0
        if self.size % 2 == 0:
            twice[-1] = 1.0
        counted = self.root * twice.repeat(self.size)[:, None, None]
        return torch.einsum("lfbc,kfbc->lkb", counted, self.root) / self.size**2

    def _marginal(self, field: Tensor, place: Tensor) -> Tensor:
        """Standard normal numbers as residuals of the same rank, in pixels that lie so between the levels."""
        at = torch.stack([field / REACH, place[:, None].expand_as(field)], 4)
        at[..., 1] = at[..., 1] * (2 / max(len(self.levels) - 1, 1)) - 1
        at = at.transpose(0, 1).flatten(1, 2)  # (band, row of any picture, x, 2), from -1 to 1
        found = F.grid_sample(self.quantiles[:, None], at, padding_mode="border", align_corners=True)
        return found.view(field.shape[1], len(field), *field.shape[2:]).transpose(0, 1)
