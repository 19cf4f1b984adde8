"""How good a compression is: pixels, measured shapes, and an honest ratio."""

from __future__ import annotations

import numpy as np

from .images import Images
from .morphology import measure


def mse(images: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Mean squared error a galaxy, (n,), of two arrays (n, band, y, x); in the pixels' unit squared.

    >>> mse(np.zeros((2, 1, 4, 4)), np.ones((2, 1, 4, 4)))
    array([1., 1.])
    """
    if images.shape != reconstruction.shape:
        raise ValueError(f"images are {images.shape}, their reconstruction {reconstruction.shape}")
    return np.square(np.subtract(images, reconstruction, dtype=np.float64)).mean(axis=(1, 2, 3))


def fidelity(images: Images, reconstruction: Images) -> dict[str, float]:
    """What a reconstruction keeps: mean squared error, and median errors of measured morphology.

    Parameters
    ----------
    images, reconstruction : Images
        The same galaxies in the same order.

    Returns
    -------
    dict of float
        `mse`, and the medians over galaxies of |difference|: `flux` and `half_light_radius` relative
        to the original's, `ellipticity` absolute; `measured`, the share of galaxies on which both
        could be measured (the medians are over those).
    """
    truth, found = measure(images), measure(reconstruction)
    scores = {"mse": float(mse(images.pixels, reconstruction.pixels).mean())}
    measured = np.ones(len(images), dtype=bool)
    for name in ("flux", "half_light_radius", "ellipticity"):
        error = np.abs(np.asarray(found[name]) - np.asarray(truth[name]))
        relative = error if name == "ellipticity" else error / np.abs(np.asarray(truth[name]))
        measured &= np.isfinite(relative)
        scores[name] = float(np.nanmedian(relative)) if np.isfinite(relative).any() else float("nan")
    return scores | {"measured": float(measured.mean()) if len(images) else float("nan")}


def ratios(shape: tuple[int, int, int], latent_dim: int) -> dict[str, float]:
    """Compression of one image (band, y, x) to `latent_dim` numbers: by count, and by bytes.

    The byte ratios start from 8-bit pixels, as survey pictures are stored.

    >>> {name: round(value) for name, value in ratios((3, 220, 220), 50).items()}
    {'count': 2904, 'bytes_float32': 726, 'bytes_float16': 1452, 'bytes_int8': 2904}
    """
    pixels = int(np.prod(shape))
    widths = {"float32": 4, "float16": 2, "int8": 1}
    by_bytes = {f"bytes_{name}": pixels / (latent_dim * width) for name, width in widths.items()}
    return {"count": pixels / latent_dim, **by_bytes}


def bits_per_pixel(log_p: np.ndarray, pixels: int, *, density: bool = True) -> np.ndarray:
    """Bits a pixel and band that 8-bit pictures take under a log likelihood.

    Parameters
    ----------
    log_p : ndarray (n,)
        In nats, of all pixels of a picture.
    pixels : int
        Pixels times bands.
    density : bool
        Whether `log_p` is of a density of pixels in 0 to 1, and not of their 256 levels.

    Notes
    -----
    A density stands for a level by its mean over the level's width of 1/255 (Theis, van den Oord & Bethge
    2016), of which its value at the level is taken.

    >>> bits_per_pixel(np.zeros(1), 4).round(2).tolist()  # a uniform density needs all of 8 bits
    [7.99]
    """
    bits = -np.asarray(log_p) / (pixels * np.log(2))
    return bits + np.log2(255) if density else bits
