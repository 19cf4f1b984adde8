"""How good a compression is: pixels, measured shapes, and an honest ratio."""

from __future__ import annotations

import io

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
        `mse`, and the medians over galaxies of `|difference|`: `flux` and `half_light_radius` relative
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


def coded_bits(levels: np.ndarray) -> np.ndarray:
    """Bits (n,) of each picture (n, band, y, x) of whole numbers, in a lossless code: how complex it is.

    WebP for 256 levels or fewer, of one or three bands at once, else of each band; PNG of 16 bits for more.
    The file's header, some 30 bytes, counts.

    >>> flat, noise = np.zeros((1, 3, 32, 32), int), np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32))
    >>> bool(coded_bits(flat)[0] < 1000 < 20_000 < coded_bits(noise)[0])
    True
    """
    from PIL import Image

    levels = np.asarray(levels)
    if levels.ndim != 4 or levels.dtype.kind not in "iu" or (levels.size and not 0 <= levels.min()):
        raise ValueError(f"levels are {levels.dtype} {levels.shape}, wanted whole numbers (n, band, y, x)")
    deep = levels.size and levels.max() > 255
    code = {"format": "PNG"} if deep else {"format": "WEBP", "lossless": True, "quality": 100, "method": 4}
    levels = levels.astype(np.uint16 if deep else np.uint8)
    bits = np.zeros(len(levels))
    for row, picture in enumerate(levels):
        whole = len(picture) == 3 and not deep
        for plane in [picture.transpose(1, 2, 0)] if whole else picture:
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(plane)).save(file, **code)
            bits[row] += 8 * file.tell()
    return bits


def information_gap(latents: np.ndarray, factors: np.ndarray, *, bins: int = 20) -> np.ndarray:
    """How much better the best single latent knows each factor than the second best does: 0 to 1.

    The mutual information gap (Chen+2018, equation 6): the difference of both latents' mutual information
    with a factor, as a share of the factor's entropy; both are cut into bins of equal counts. The mean over
    factors is the MIG score of disentanglement.

    Parameters
    ----------
    latents : ndarray (n, d)
        d at least 2.
    factors : ndarray (n, k)
        True generating factors, independent of each other.

    Returns
    -------
    ndarray (k,)

    >>> known = np.random.default_rng(0).normal(size=(5000, 2))
    >>> information_gap(known, known).round(1).tolist()  # each factor is one latent
    [1.0, 1.0]
    >>> turned = known @ np.array([[1, 1], [1, -1]])
    >>> information_gap(turned, known).round(1).tolist()  # each is spread over both
    [0.0, 0.0]
    """
    from sklearn.metrics import mutual_info_score

    latents, factors = np.asarray(latents), np.asarray(factors)
    if latents.ndim != 2 or latents.shape[1] < 2 or len(latents) != len(factors):
        raise ValueError(
            f"latents {latents.shape} and factors {factors.shape}, wanted (n, d >= 2) and (n, k)"
        )
    cut = lambda column: (np.argsort(np.argsort(column, kind="stable")) * bins) // len(column)  # noqa: E731
    z, known = ([cut(column) for column in values.T] for values in (latents, factors))
    shared = np.sort([[mutual_info_score(f, column) for column in z] for f in known], axis=1)
    return (shared[:, -1] - shared[:, -2]) / [mutual_info_score(f, f) for f in known]
