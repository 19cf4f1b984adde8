"""The texture of pixel noise: how it is correlated and how heavy its tails are, in a galaxy and beside it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

REACH, KNOTS = 4.0, 33  # of the quantiles, in standard deviations of a Gaussian
BINS, FAR = 1601, 8.0  # of the histograms that they are read from


class Texture(nn.Module):
    """Noise with the correlations and the tails that residuals have, white and Gaussian before `fit`.

    A picture has a galaxy in its middle and sky around it, and what a network leaves of the two is not alike.
    Soft rings part the picture: each has a stationary Gaussian field with cross spectra of its own, and its
    own marginal distribution, to which the sum of the fields is mapped (a Gaussian copula).

    Parameters
    ----------
    n_bands, size : int
    rings : tuple of float
        Widths of the Gaussians that part the picture from its middle outwards, as shares of the size.
    """

    def __init__(self, n_bands: int, size: int, rings: tuple[float, ...] = (0.08, 0.2)):
        super().__init__()
        self.size = size
        y, x = torch.meshgrid(*2 * [torch.arange(size) - (size - 1) / 2], indexing="ij")
        inside = [torch.exp(-(x**2 + y**2) / (2 * (share * size) ** 2)) for share in rings]
        edges = torch.stack([torch.zeros_like(x), *inside, torch.ones_like(x)])
        self.register_buffer("rings", edges.diff(dim=0), persistent=False)  # (ring, y, x), which sum to 1
        # (ring, frequency, band, band): the square root of the cross spectra of bands
        self.register_buffer("root", torch.eye(n_bands).repeat(len(self.rings), size * (size // 2 + 1), 1, 1))
        knots = torch.linspace(-REACH, REACH, KNOTS)
        self.register_buffer("quantiles", knots.repeat(len(self.rings), n_bands, 1))
        below = torch.distributions.Normal(0.0, 1.0).cdf(knots)
        self.register_buffer("below", below, persistent=False)

    @torch.no_grad()
    def fit(self, residuals: Iterable[Tensor]) -> None:
        """Measure residuals (n, band, size, size), in units of each pixel's spread."""
        n, spectra, counts = 0, 0.0, 0.0
        for r in residuals:
            n, spectra, counts = n + len(r), spectra + len(r) * self._spectra(r), counts + self._counts(r)
        self._take(spectra / n)
        self.quantiles.copy_(self._quantiles(counts))

    @torch.no_grad()
    def follow(self, r: Tensor, *, share: float = 0.02) -> None:
        """Move by a small share towards the residuals of a batch, while training."""
        self._take(torch.lerp((self.root @ self.root).double(), self._spectra(r), share))
        self.quantiles.lerp_(self._quantiles(self._counts(r)), share)

    def _spectra(self, r: Tensor) -> Tensor:
        """Mean cross spectra (ring, frequency, band, band) within each ring."""
        spectra = []
        for ring in self.rings:
            waves = torch.fft.rfft2(r * ring.sqrt(), norm="ortho").flatten(2)
            spectra.append(torch.einsum("nbf,ncf->fbc", waves, waves.conj()).real / ring.mean())
        return torch.stack(spectra).double() / len(r)

    def _take(self, spectra: Tensor) -> None:
        values, vectors = torch.linalg.eigh((spectra + spectra.mT) / 2)
        self.root.copy_((vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT)

    def _counts(self, r: Tensor) -> Tensor:
        """Histograms (ring, band, bin) of residuals, each pixel counted by its part in the ring."""
        cells = ((r.clamp(-FAR, FAR) / FAR + 1) * (BINS - 1) / 2).round().long()
        parts = self.rings.flatten(1).repeat(1, len(r))
        found = [
            [torch.bincount(cells[:, band].flatten(), weights=part, minlength=BINS) for part in parts]
            for band in range(r.shape[1])
        ]
        return torch.stack([torch.stack(of_band) for of_band in found], 1).double()

    def _quantiles(self, counts: Tensor) -> Tensor:
        """Residuals (ring, band, knot) below which there are as many as below the knots of a Gaussian."""
        share = counts.cumsum(-1)
        share = (share - counts / 2) / share[..., -1:]
        at = torch.searchsorted(share, self.below.to(share).expand(*share.shape[:-1], -1).contiguous())
        after = at.clamp(1, BINS - 1)
        low, high = share.gather(-1, after - 1), share.gather(-1, after)
        part = ((self.below - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        return (((after - 1 + part) * 2 / (BINS - 1) - 1) * FAR).to(self.quantiles)

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise (n, band, size, size)."""
        shape, field = (n, self.root.shape[-1], self.size, self.size), 0.0
        spread = torch.einsum("ryx,rb->byx", self.rings, self._variance()).sqrt()
        for ring, root in zip(self.rings, self.root, strict=True):
            waves = torch.fft.rfft2(torch.randn(shape, generator=generator).to(root), norm="ortho")
            parts = root.permute(1, 2, 0).reshape(shape[1], *waves.shape[1:])
            mixed = torch.stack([(waves * part).sum(1) for part in parts], 1)
            field = field + ring.sqrt() * torch.fft.irfft2(mixed, s=shape[2:], norm="ortho")
        return self._marginal(field / spread)

    def _variance(self) -> Tensor:
        """Of each ring's field, (ring, band)."""
        twice = torch.full((self.size // 2 + 1,), 2.0, device=self.root.device)  # half the plane is kept
        twice[0] = 1.0
        if self.size % 2 == 0:
            twice[-1] = 1.0
        power = self.root.square().sum(-1).unflatten(1, (self.size, -1))
        return (power * twice[:, None]).sum((1, 2)) / self.size**2

    def _marginal(self, field: Tensor) -> Tensor:
        """Standard normal numbers as residuals of the same rank."""
        table = torch.einsum("ryx,rbk->byxk", self.rings, self.quantiles)
        place = (field + REACH) * ((KNOTS - 1) / (2 * REACH))
        low = place.floor().clamp(0, KNOTS - 2)
        first = torch.arange(0, table.numel(), KNOTS, device=table.device).view(table.shape[:3])
        flat, at = table.flatten(), low.long() + first
        return torch.lerp(flat[at], flat[at + 1], (place - low).clamp(-1, 2))
