"""Physical conditions of a galaxy's picture: flux, size, shape and color, measured on the image itself."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from .images import Images
from .morphology import measure as morphology

# Unit of each; pixels and fluxes are those of the image, a display stretch, and no photometry.
CONDITIONS = {
    "flux": "",
    "half_light_radius": "pix",
    "area": "pix2",
    "concentration": "",
    "ellipticity": "",
    "position_angle": "deg",
    "color": "mag",
}
POSITIVE = ("flux", "half_light_radius", "area")  # whose logarithm a network sees
BLUE_TO_RED = ("u", "blue", "g", "green", "r", "red", "i", "z", "y", "Y", "J", "H", "K")


def measure(images: Images, found: Table | None = None) -> Table:
    """The conditions of each image.

    Parameters
    ----------
    images : Images
    found : Table, optional
        What `morphology.measure` gave of them, where that is known already.

    Returns
    -------
    Table, one row a galaxy
        As `morphology.measure`, on the mean of the bands; color is 2.5 log10 of the flux in the reddest
        band over that in the bluest, within twice the half-light radius: redder is larger (by the bands'
        names where they are known, else from the first to the last). NaN where nothing was found.

    Examples
    --------
    >>> y, x = np.mgrid[:65, :65] - 32
    >>> disc = np.exp(-(x**2 + y**2) / 72.0)
    >>> table = measure(Images([[disc, 0.5 * disc]], bands=("r", "g")))
    >>> round(float(table["color"][0]), 2), round(float(table["half_light_radius"][0]), 1)
    (0.75, 7.1)
    """
    found = morphology(images) if found is None else found
    table = Table({name: found[name] for name in CONDITIONS if name != "color"})
    table["color"] = _color(images, found)
    table["color"].unit = "mag"
    return table


def _color(images: Images, found: Table) -> np.ndarray:
    known = [BLUE_TO_RED.index(band) if band in BLUE_TO_RED else -1 for band in images.bands]
    order = np.argsort(known) if min(known) >= 0 else np.arange(len(known))
    blue, red = images.pixels[:, order[0]], images.pixels[:, order[-1]]
    height, width = images.shape
    y, x = np.mgrid[:height, :width]
    colors = np.full(len(images), np.nan)
    side = max(height // 8, 3)
    ends = (slice(side), slice(-side, None))
    for k, row in enumerate(found):
        inside = (x - row["x"]) ** 2 + (y - row["y"]) ** 2 <= (2 * row["half_light_radius"]) ** 2
        light = []
        for plane in (red[k], blue[k]):
            sky = np.median([plane[up, across] for up in ends for across in ends])
            light.append((plane[inside] - sky).sum(dtype=np.float64))
        if min(light) > 0:
            colors[k] = 2.5 * np.log10(light[0] / light[1])
    return colors
