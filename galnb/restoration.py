"""Restoration: galaxies without noise, blur and gaps, by a network or by the classics, and how good it is."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import torch

from . import metrics
from .augment import Corruption, blur, noise_level
from .errors import BadInput, BandMismatch, CannotDo
from .images import Images
from .models.base import Model

TOLERANCE = 1.2  # a noise level is measured within that factor on the smallest images
OWN_NOISE = 0.01  # of the pictures themselves, to which nobody added any


def restore(images: Images, model: Model, *, batch: int = 256) -> Images:
    """Galaxies as a network trained on corrupted ones thinks that they were, in all of its bands.

    Parameters
    ----------
    images : Images (n, band, size, size)
        In the model's size and stretch, not cut off at 0 or 1. A band that was not observed is a plane of
        NaN, or is not there at all.
    model : Model
        One with `restore`, such as `weights.load("restore-sdss")`, or an `AE` of your own that was trained
        with noise, psf_fwhm or missing.
    batch : int
        Galaxies a forward pass.

    Returns
    -------
    Images
        The same galaxies in the model's bands. Pixels that seem noisier than those that the model learned on
        are warned of; a wider blur cannot be told from a larger galaxy, and is not.

    Raises
    ------
    CannotDo
        If the model was not trained to restore, or not to fill a missing band.
    BandMismatch
        If the images have none of the model's bands.
    BadInput
        If a band has both NaN and numbers, more than one is missing, or the size is wrong.

    Examples
    --------
    >>> from galnb import weights
    >>> from galnb.models import AE
    >>> galaxies = Images(np.zeros((2, 1, 28, 28)), bands=("r",))
    >>> restore(galaxies, AE(("r", "g"), 28, 8, missing=0.5)).bands
    ('r', 'g')
    """
    corruption = getattr(model, "corruption", None)
    if not corruption or not callable(getattr(model, "restore", None)):
        raise CannotDo(
            f"this {type(model).__name__} has seen no corrupted pictures, wanted one that has; "
            'take weights.load("restore-sdss"), or train an AE with noise, psf_fwhm or missing'
        )
    if not set(model.bands) & set(images.bands):
        raise BandMismatch(images.bands, model.bands, "name them with images.rename(...)")
    images = _with_bands(images, model.bands)
    missing = _missing(images)
    if missing.any() and not corruption.missing:
        raise CannotDo(
            f"{missing.any(1).sum()} images lack a band, which this model has not learned to fill; "
            "take one that was trained with missing above 0"
        )
    if (many := missing.sum(1) > 1).any():
        raise BadInput(
            f"Images, id {images.id[many][0]}",
            f"{missing[many][0].sum()} of its {len(model.bands)} bands are missing, wanted at most one; "
            f"leave such galaxies out",
        )
    gone = missing[:, :, None, None]
    x = model.tensor(images.with_pixels(np.where(gone, 0, images.pixels)))
    _warn_of_noise(noise_level(x).cpu().numpy()[~missing], corruption.range("noise")[1])
    x = x.masked_fill(torch.from_numpy(gone).to(x.device), math.nan)
    model.eval()
    with torch.inference_mode():
        parts = [model.restore(part) for part in x.split(batch) if len(part)] or [x]
    return images.with_pixels(torch.cat(parts).cpu().numpy())


def corrupt(images: Images, corruption: Corruption, *, seed: int = 0) -> Images:
    """The same galaxies as a worse telescope would show them, the same for the same seed.

    Examples
    --------
    >>> worse = corrupt(Images(np.zeros((2, 3, 32, 32))), Corruption(noise=0.1))
    >>> bool(abs(worse.pixels.std() - 0.1) < 0.01)
    True
    """
    x = corruption(torch.from_numpy(images.pixels), torch.Generator().manual_seed(seed))
    return images.with_pixels(x.numpy())


def wiener(images: Images, *, psf_fwhm: float, balance: float | None = None) -> Images:
    """Galaxies through Wiener's filter for a known blur, each band of each on its own.

    Parameters
    ----------
    psf_fwhm : float
        Pixels, of a Gaussian; 0 where there is none.
    balance : float, optional
        Of smoothness against the data, as in `skimage.restoration.wiener`; where not given it is estimated
        from each plane, with the noise (`unsupervised_wiener`; Orieux, Giovannelli & Rodet 2010).

    Examples
    --------
    >>> flat = Images(np.ones((1, 1, 32, 32)))
    >>> bool(np.allclose(wiener(flat, psf_fwhm=2.0, balance=0.1).pixels, 1, atol=1e-3))
    True
    """
    from skimage import restoration

    kernel = psf(psf_fwhm)

    def one(plane: np.ndarray) -> np.ndarray:
        if balance is None:
            return restoration.unsupervised_wiener(plane, kernel, clip=False, rng=0)[0]
        return restoration.wiener(plane, kernel, balance, clip=False)

    return _each_plane(images, one, len(kernel))


def richardson_lucy(images: Images, *, psf_fwhm: float, iterations: int) -> Images:
    """Galaxies deconvolved from a known blur (Richardson 1972, Lucy 1974), each band of each on its own.

    Parameters
    ----------
    psf_fwhm : float
        Pixels, of a Gaussian.
    iterations : int
        After too few it is blurred, after too many the noise is sharpened.

    Notes
    -----
    The method knows no negative light. Noise around a dark sky has it: each plane is raised until its least
    pixel is zero, and lowered again afterwards.

    Examples
    --------
    >>> flat = Images(np.ones((1, 1, 32, 32)))
    >>> bool(np.allclose(richardson_lucy(flat, psf_fwhm=2.0, iterations=5).pixels, 1, atol=1e-3))
    True
    """
    from skimage import restoration

    kernel = psf(psf_fwhm)

    def one(plane: np.ndarray) -> np.ndarray:
        pedestal = max(-plane.min(), 0.0)
        sharp = restoration.richardson_lucy(plane + pedestal, kernel, iterations, clip=False)
        return sharp - pedestal

    return _each_plane(images, one, len(kernel))


def regress(images: Images, training: Images) -> Images:
    """Galaxies with each missing band filled by linear regression on the others, pixel by pixel.

    Parameters
    ----------
    images : Images
        A missing band is a plane of NaN.
    training : Images
        Complete ones of the same bands, from whose pixels the regression, with a constant, is fitted.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((2, 1, 8, 8))
    >>> complete = Images(np.concatenate([x, 2 * x + 1], 1), bands=("g", "r"))
    >>> half = complete.with_pixels(np.concatenate([x, np.nan * x], 1))
    >>> bool(np.allclose(regress(half, complete).pixels, complete.pixels, atol=1e-5))
    True
    """
    training, missing, pixels = training[list(images.bands)], _missing(images), images.pixels.copy()
    for pattern in np.unique(missing[missing.any(1)], axis=0):
        if pattern.all():
            raise BadInput("Images", "a galaxy lacks all of its bands, wanted at least one")
        known = np.moveaxis(training.pixels[:, ~pattern], 1, -1).reshape(-1, (~pattern).sum())
        wanted = np.moveaxis(training.pixels[:, pattern], 1, -1).reshape(-1, pattern.sum())
        known = np.column_stack([known, np.ones(len(known))]).astype(np.float64)
        weights = np.linalg.solve(known.T @ known, known.T @ wanted)
        rows = np.flatnonzero((missing == pattern).all(1))
        filled = np.einsum("nkyx,kw->nwyx", pixels[rows][:, ~pattern], weights[:-1])
        pixels[np.ix_(rows, np.flatnonzero(pattern))] = filled + weights[-1][:, None, None]
    return images.with_pixels(pixels)


def scores(found: Images, truth: Images) -> dict[str, float]:
    """How near restored galaxies are to the truth.

    Returns
    -------
    dict of float
        psnr: the median peak signal-to-noise ratio, -10 log10 of a galaxy's mean squared error, in dB of
        a picture's full range of 1. The rest as `metrics.fidelity`.

    Examples
    --------
    >>> truth = Images(np.zeros((2, 1, 16, 16)))
    >>> scores(truth.with_pixels(truth.pixels + 0.1), truth)["psnr"].__round__(2)
    20.0
    """
    return {"psnr": _psnr(found, truth), **metrics.fidelity(truth, found)}


def best(method, options, seen: Images, truth: Images):
    """The option with which `method(seen, option)` comes nearest to the truth, by the median PSNR.

    >>> truth = Images(np.zeros((2, 1, 4, 4)))
    >>> best(lambda images, level: images.with_pixels(images.pixels + level), (0.2, 0.1), truth, truth)
    0.1
    """
    return max(options, key=lambda option: _psnr(method(seen, option), truth))


def psf(fwhm: float) -> np.ndarray:
    """The kernel (k, k), k odd, of `augment.blur`: what becomes of a point.

    >>> psf(2.0).shape, round(float(psf(2.0).sum()), 6)
    ((11, 11), 1.0)
    """
    half = math.ceil(1.5 * fwhm) + 2
    point = torch.zeros(1, 1, 2 * half + 1, 2 * half + 1, dtype=torch.float64)
    point[..., half, half] = 1
    return blur(point, fwhm)[0, 0].numpy()


def _psnr(found: Images, truth: Images) -> float:
    error = np.maximum(metrics.mse(truth.pixels, found.pixels), 1e-12)
    return float(np.median(-10 * np.log10(error)))


def _each_plane(images: Images, function, margin: int) -> Images:
    """Each band of each image through a function, mirrored at its edges meanwhile."""
    height, width = images.shape
    out = np.empty_like(images.pixels)
    for place in np.ndindex(out.shape[:2]):
        plane = np.pad(images.pixels[place].astype(np.float64), margin, mode="symmetric")
        out[place] = function(plane)[margin : margin + height, margin : margin + width]
    return images.with_pixels(out)


def _with_bands(images: Images, bands: tuple[str, ...]) -> Images:
    """Images in these bands, those that are not there as planes of NaN."""
    pixels = np.full((len(images), len(bands), *images.shape), np.nan, dtype=np.float32)
    for k, band in enumerate(bands):
        if band in images.bands:
            pixels[:, k] = images.pixels[:, images.bands.index(band)]
    return replace(images, pixels=pixels, bands=bands)


def _missing(images: Images) -> np.ndarray:
    """Which bands of which images (n, band) are planes of NaN."""
    return np.isnan(images.pixels).all(axis=(2, 3))


def _warn_of_noise(levels: np.ndarray, highest: float) -> None:
    beyond = levels > TOLERANCE * max(highest, OWN_NOISE)
    if beyond.any():
        warnings.warn(
            f"{beyond.mean():.0%} of the planes seem noisier than what the model learned on: standard "
            f"deviation up to {levels.max():.2g}, it knows {highest:.2g}; what it shows may be invented",
            stacklevel=3,
        )
