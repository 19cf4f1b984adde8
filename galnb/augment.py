"""Augmentation: other views of the same galaxies, and corruptions to be undone, repeatable from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

RIM = 3.0  # pixels in which what is turned goes over into what is not


def dihedral(x: Tensor, rng: np.random.Generator, angle: Tensor | None = None) -> Tensor:
    """Each image (n, band, y, x) under one of the square's eight rotations and flips.

    `angle` (n,), degrees of an axis counter-clockwise from +x, is turned with its image, in place.
    """
    which = rng.integers(0, 8, len(x))
    if angle is not None:
        k = torch.from_numpy(which).to(angle)
        turned = angle + 90 * (k % 2)
        angle.copy_(torch.where(k >= 4, -turned, turned) % 180)
    out = torch.empty_like(x)
    for k in range(8):
        rows = torch.from_numpy(np.flatnonzero(which == k))
        turned = torch.rot90(x[rows], k % 4, (2, 3))
        out[rows] = turned.flip(3) if k >= 4 else turned
    return out


def rotation(x: Tensor, rng: np.random.Generator, angle: Tensor | None = None) -> Tensor:
    """Each image (n, band, size, size) turned by up to an eighth of a turn: with `dihedral`, by any angle.

    Turned is what lies in the largest circle around the middle; corners, of which nothing is known to fill
    them with, stay. Three shears, each a shift of rows or columns by Fourier's theorem (Larkin+1997), smooth
    neither the galaxy nor its noise, as interpolation does. `angle` as of `dihedral`.
    """
    if not len(x):
        return x.clone()
    turn = torch.from_numpy(rng.uniform(-45, 45, len(x))).to(x)
    if angle is not None:
        angle.copy_((angle + turn) % 180)
    size, pad = x.shape[-1], x.shape[-1] // 4  # as far as a shear moves what is in the circle
    wide = F.pad(x, (pad,) * 4, mode="reflect")
    half = torch.deg2rad(turn) / 2
    wide = _sheared(wide, half.tan())
    wide = _sheared(wide.mT, -(2 * half).sin()).mT
    wide = _sheared(wide, half.tan())
    place = torch.arange(size).to(x) - (size - 1) / 2
    inside = (size / 2 - torch.hypot(place, place[:, None])).div(RIM).clamp(0, 1)
    return torch.lerp(x, wide[..., pad : pad + size, pad : pad + size], inside)


def _sheared(x: Tensor, by: Tensor) -> Tensor:
    """Images whose rows are shifted along themselves, by `by` (n,) pixels a row, more below the middle."""
    size = x.shape[-1]
    shift = by[:, None] * (torch.arange(size).to(x) - (size - 1) / 2)
    frequency = torch.fft.rfftfreq(size).to(x)
    phase = torch.polar(torch.ones(()).to(x), -2 * math.pi * shift[..., None] * frequency)
    return torch.fft.irfft(torch.fft.rfft(x) * phase[:, None], n=size)


TRAINING = {"dihedral": dihedral, "rotation": rotation}


@dataclass(frozen=True)
class Corruption:
    """What a worse telescope does to pictures: it blurs them, adds noise, and leaves a band out.

    Parameters
    ----------
    noise : float, or (low, high)
        Standard deviation of Gaussian pixel noise, in the pixels' unit. Of a range each galaxy has its own,
        uniformly drawn; all its bands share it.
    psf_fwhm : float, or (low, high)
        Full width at half maximum, in pixels, of the Gaussian that `blur` convolves with, likewise.
    missing : float
        Probability that a galaxy lacks one of its bands: a plane of NaN.

    Raises
    ------
    ValueError
        If a range is negative, not finite or upside down, or `missing` is no probability.

    Examples
    --------
    >>> corrupt = Corruption(noise=0.1, psf_fwhm=(0.0, 3.0), missing=1.0)
    >>> worse = corrupt(torch.zeros(2, 3, 16, 16), torch.Generator().manual_seed(0))
    >>> worse.isnan().all(dim=(2, 3)).sum(dim=1).tolist()
    [1, 1]
    """

    noise: float | tuple[float, float] = 0.0
    psf_fwhm: float | tuple[float, float] = 0.0
    missing: float = 0.0

    def __post_init__(self):
        for name in ("noise", "psf_fwhm"):
            ends = self.range(name)
            if len(ends) != 2 or not 0 <= ends[0] <= ends[1] < math.inf:
                given = getattr(self, name)
                raise ValueError(f"{name}={given!r}, wanted a number of at least 0, or (low, high) of them")
        if not 0 <= self.missing <= 1:
            raise ValueError(f"missing={self.missing!r}, wanted a probability from 0 to 1")

    def __bool__(self) -> bool:
        """Whether it does anything."""
        return bool(max(*self.range("noise"), *self.range("psf_fwhm"), self.missing))

    def range(self, name: str) -> tuple[float, ...]:
        """The least and the largest `noise` or `psf_fwhm`."""
        given = getattr(self, name)
        return tuple(given) if isinstance(given, tuple | list) else (given, given)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images (n, band, y, x), corrupted; by torch's global generator where none is given."""

        def drawn(name: str, *shape: int) -> Tensor:
            where = x.device if generator is None else generator.device
            return getattr(torch, name)(*shape, generator=generator, device=where).to(x)

        n, bands = x.shape[:2]
        low, high = self.range("psf_fwhm")
        if high:
            x = blur(x, low + (high - low) * drawn("rand", n))
        low, high = self.range("noise")
        if high:
            x = x + (low + (high - low) * drawn("rand", n, 1, 1, 1)) * drawn("randn", *x.shape)
        if self.missing:
            lacking, which = drawn("rand", n) < self.missing, (drawn("rand", n) * bands).long()
            gone = lacking[:, None] & (which[:, None] == torch.arange(bands, device=x.device))
            x = x.masked_fill(gone[:, :, None, None], math.nan)
        return x


def blur(x: Tensor, fwhm: float | Tensor) -> Tensor:
    """Images (n, band, y, x) convolved with a round Gaussian, whose flux stays in the image.

    Parameters
    ----------
    fwhm : float, or Tensor (n,)
        Full width at half maximum in pixels, one for all or one an image; 0 leaves it as it is.

    Notes
    -----
    Exact, by a cosine transform: pixels are samples of a band-limited picture that is mirrored at its edges.
    Second moments grow by that of the Gaussian, (fwhm / 2.3548)^2.

    Examples
    --------
    >>> point = torch.zeros(1, 1, 33, 33)
    >>> point[..., 16, 16] = 1
    >>> wide = blur(point, 3.0)
    >>> bool(wide.sum().isclose(torch.tensor(1.0))), round(float(wide.max()), 3)
    (True, 0.098)
    """
    sigma = torch.as_tensor(fwhm).to(x).expand(len(x)) / math.sqrt(8 * math.log(2))
    for axis in (2, 3):
        size = x.shape[axis]
        frequency = torch.pi * torch.arange(size).to(x) / size
        gain = torch.exp(-0.5 * (sigma[:, None] * frequency) ** 2)
        wave = waves(size).to(x)
        matrix = torch.einsum("pw,nw,qw->npq", wave, gain, wave)
        x = torch.einsum("npq,nbqx->nbpx" if axis == 2 else "npq,nbyq->nbyp", matrix, x)
    return x


def waves(size: int) -> Tensor:
    """Columns (pixel, wave) of the orthonormal cosine transform DCT-II: waves of a row with mirrored ends.

    >>> bool(torch.allclose(waves(8).T @ waves(8), torch.eye(8, dtype=torch.float64)))
    True
    """
    steps = torch.arange(size, dtype=torch.float64)
    found = (2 / size) ** 0.5 * torch.cos(torch.pi / size * (steps[:, None] + 0.5) * steps)
    found[:, 0] /= 2**0.5
    return found


def noise_level(x: Tensor) -> Tensor:
    """Standard deviation (n, band) of the pixel noise in images (n, band, y, x), as seen in them.

    The median of Haar's diagonal differences, which smooth galaxies hardly touch (Donoho & Johnstone 1994).
    At least 1/1000. Noise that hangs together from pixel to pixel seems smaller than it is.

    Examples
    --------
    >>> noise = 0.1 * torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> bool((noise_level(noise) - 0.1).abs().max() < 0.01)
    True
    """
    even, odd = x[:, :, :-1, :-1] + x[:, :, 1:, 1:], x[:, :, 1:, :-1] + x[:, :, :-1, 1:]
    differences = (even - odd)[:, :, ::2, ::2].abs().flatten(2) / 2
    return (differences.median(2).values / 0.6745).clamp_min(1e-3)
