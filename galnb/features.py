"""What a person may look for in a galaxy, measured: light, colors, clumps, asymmetry in rings; its shape."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from .conditions import measure as conditions
from .errors import BadInput
from .images import Images
from .morphology import measure as morphology

RINGS = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # radii, in halves of the image's smaller side
SMOOTH = 1.0  # pixels, before a galaxy is compared with itself, turned: else it is the noise that differs
PART = 256  # images that are measured at a time
FAR = 5.0  # standard deviations at which a measured number ends: an outlier must not be all that is seen


def measure(images: Images, *, softness: float = 0.05) -> Table:
    """What can be measured of each image that a person may find interesting, for `ranking.rank`.

    Latents hold what galaxies differ in most, which is seldom what one looks for: a blue core or a tidal tail
    is little light. These numbers are few, mean something, and are unchanged by quarter turns.

    Parameters
    ----------
    images : Images
        Display-stretched, about 0 to 1, the galaxy in the middle.
    softness : float
        Brightness, in the pixels' unit, below which colors fade to 0.

    Returns
    -------
    Table, one row a galaxy
        In each ring k about the middle, 0 to 4, that ends at 1/16, 1/8, 1/4, 1/2 and all of the way to the
        border, over the sky (the median of the corners) of each band:

        - brightness_k: mean of the bands and pixels
        - color_a_b_k: that of band a less that of the next one, b, over the mean of all bands: colors of
          the core and of the outskirts (as Peletier+1990 measure gradients)
        - clumpiness_k: standard deviation of the pixels, of the mean of the bands
        - asymmetry_k: mean difference of the smoothed image from itself after half a turn, which tails and
          companions make (as Abraham+1996 and Conselice 2003, but by ring and not over the whole)

        and flux, half_light_radius, area, concentration, ellipticity, color and asymmetry as
        `conditions.measure` and `morphology.measure` have them. NaN where an image is not finite, and, of
        the last seven, where nothing rises above the noise; `beside` fills them.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> r = np.hypot(x, y)
    >>> red, blue = np.exp(-r / 8), np.exp(-r / 8) + np.exp(-r)
    >>> table = measure(Images([[red, blue]], bands=("r", "g")))
    >>> float(table["color_r_g_0"][0]) < -0.1, abs(float(table["color_r_g_3"][0])) < 0.01
    (True, True)
    """
    if not softness > 0:
        raise ValueError(f"softness={softness}, wanted a positive number")
    parts = [_in_rings(images.pixels[k : k + PART], softness) for k in range(0, max(len(images), 1), PART)]
    names = [f"{kind}_{k}" for k in range(len(RINGS) - 1) for kind in _kinds(images.bands)]
    table = Table(dict(zip(names, np.concatenate(parts).T, strict=True)))
    shapes = morphology(images)
    found = conditions(images, shapes)
    for name in (*(name for name in found.colnames if name != "position_angle"), "asymmetry"):
        table[name] = shapes[name] if name == "asymmetry" else found[name]
    return table


def beside(z, found) -> np.ndarray:
    """Latents (n, d) and measured features as one array (n, d + k), as `ranking.rank` takes them.

    Parameters
    ----------
    z : array (n, d)
    found : Table, or array (n, k)
        Columns that are not numbers, and id, are left out. What is not finite becomes the column's median,
        which says nothing, and what lies beyond 5 standard deviations is drawn in to them.

    Raises
    ------
    BadInput
        If there are not as many rows of both, or no number is among the features.

    Examples
    --------
    >>> beside(np.zeros((3, 1)), Table({"id": [7, 8, 9], "flux": [1.0, np.nan, 3.0]})).tolist()
    [[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]
    """
    z = np.asarray(z, dtype=np.float32)
    if isinstance(found, Table):
        names = [
            n for n in found.colnames if found[n].dtype.kind in "fiub" and found[n].ndim == 1 and n != "id"
        ]
        columns = [np.ma.filled(np.ma.asarray(found[name], dtype=np.float64), np.nan) for name in names]
        numbers = np.stack(columns, axis=1) if columns else np.zeros((len(found), 0))
    else:
        numbers = np.asarray(found, dtype=np.float64)
    if numbers.ndim != 2 or len(numbers) != len(z) or not numbers.shape[1]:
        raise BadInput("features", f"they have shape {numbers.shape}, wanted ({len(z)}, k), one row a galaxy")
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    known = np.isfinite(numbers).any(axis=0)
    numbers = numbers[:, known]
    numbers = np.where(np.isnan(numbers), np.nanmedian(numbers, axis=0), numbers)
    mean, spread = numbers.mean(axis=0), numbers.std(axis=0)
    return np.concatenate(
        [z, np.clip(numbers, mean - FAR * spread, mean + FAR * spread)], axis=1, dtype=np.float32
    )


def _kinds(bands) -> list[str]:
    colors = [f"color_{a}_{b}" for a, b in zip(bands[:-1], bands[1:], strict=True)]
    return ["brightness", *colors, "clumpiness", "asymmetry"]


def _in_rings(pixels: np.ndarray, softness: float) -> np.ndarray:
    """What is measured in rings, (n, ring x kind)."""
    from scipy.ndimage import gaussian_filter

    height, width = pixels.shape[2:]
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) / (min(height, width) / 2)
    finite = np.isfinite(pixels).all(axis=(1, 2, 3))
    pixels = np.where(finite[:, None, None, None], pixels, 0.0).astype(np.float64)
    pixels -= _sky(pixels)
    light = pixels.mean(axis=1)
    smooth = gaussian_filter(light, (0, SMOOTH, SMOOTH))
    turned = np.abs(smooth - smooth[:, ::-1, ::-1])
    found = []
    for inner, outer in zip(RINGS[:-1], RINGS[1:], strict=True):
        ring = (radius >= inner) & (radius < outer)
        mean = pixels[:, :, ring].mean(axis=2)  # (n, band)
        whole = np.abs(mean).mean(axis=1) + softness
        colors = (mean[:, :-1] - mean[:, 1:]) / whole[:, None]
        found += [mean.mean(axis=1), *colors.T, light[:, ring].std(axis=1), turned[:, ring].mean(axis=1)]
    return np.where(finite[:, None], np.stack(found, axis=1), np.nan)


def _sky(pixels: np.ndarray) -> np.ndarray:
    """Median (n, band, 1, 1) of the four corners."""
    side = max(min(pixels.shape[2:]) // 8, 1)
    ends = (slice(side), slice(-side, None))
    corners = np.concatenate([pixels[:, :, ys, xs] for ys in ends for xs in ends], axis=3)
    flat = corners.reshape(*corners.shape[:2], corners.shape[2] * corners.shape[3])
    return np.median(flat, axis=2)[:, :, None, None]
