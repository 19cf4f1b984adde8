"""The embedded default survey: real galaxies of the Hubble eXtreme Deep Field, with no download."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..images import Images
from .base import Source

PICTURE_SCALE = 0.138  # arcsec a pixel: the release gives its 1,000 pixels as 2.3 arcmin wide, so about 3 %
DETECTION, MINIMAL_AREA = 2.0, 20  # sigma of the sky, pixels
FIELD_IN_RADII, SMALLEST_FIELD = 6.5, 13.0  # a cutout's width in half-light radii; at least so many pixels

# Found by eye: the objects with diffraction spikes, by their pixel (x, y) in the picture.
STARS = np.array([(754, 578), (146, 218), (253, 166), (405, 16), (132, 234)])


class Hubble(Source):
    """Galaxies cut from the Hubble eXtreme Deep Field picture inside scikit-image's wheel.

    Every cutout is as wide as 6.5 half-light radii of its galaxy (at least 13 pixels of the picture),
    resampled to `size`, as Galaxy Zoo normalises sizes: a pixel has no fixed size on the sky.
    The picture is a display stretch in three colors: it supports no photometric claim.

    Parameters
    ----------
    size : int
        Pixels of a cutout, 28 to 256.
    flagged : bool
        Whether to keep stars and objects whose cutout leaves the picture, which are left out otherwise.

    Notes
    -----
    Objects are found with `sep` (Barbary 2016; Bertin & Arnouts 1996), and ordered by brightness, so
    "hxdf-0001" is the brightest. The table has, from the picture's own pixels: x, y; flux (sum of the
    mean of three colors, each in 0 to 1); half_light_radius and field (pixels); ellipticity (1 - b/a);
    position_angle (degrees, counter-clockwise from +x); color (2.5 log10 red / blue, magnitudes of the
    picture); snr; is_star; at_edge.

    Examples
    --------
    >>> survey = Hubble()
    >>> survey.read(slice(0, 2)).pixels.shape
    (2, 3, 32, 32)
    """

    bands = ("red", "green", "blue")

    def __init__(self, *, size: int = 32, flagged: bool = False):
        from scipy.ndimage import spline_filter

        super().__init__()
        if not 28 <= size <= 256:
            raise ValueError(f"size={size} pixels, wanted 28 to 256")
        self.size = size
        picture, self._table = _survey()
        self._splines = [spline_filter(plane) for plane in picture]
        if not flagged:
            self._table = self._table[~(self._table["is_star"] | self._table["at_edge"])]
        self.id = np.asarray(self._table["id"])

    def read_rows(self, rows: np.ndarray) -> Images:
        pixels = [self._cut(self._table[int(row)]) for row in rows]
        empty = np.zeros((0, 3, self.size, self.size))
        table = self._table[rows]
        table.remove_column("id")
        return Images(np.array(pixels) if pixels else empty, self.id[rows], self.bands, table=table)

    def _cut(self, row) -> np.ndarray:
        from scipy.ndimage import map_coordinates

        finer = int(np.ceil(row["field"] / self.size))  # large galaxies are averaged down
        n = self.size * finer
        offset = ((np.arange(n) + 0.5) / n - 0.5) * row["field"]
        grid = np.meshgrid(row["y"] + offset, row["x"] + offset, indexing="ij")
        planes = [map_coordinates(p, grid, order=3, prefilter=False, mode="mirror") for p in self._splines]
        fine = np.array(planes).reshape(3, self.size, finer, self.size, finer)
        return np.clip(fine.mean(axis=(2, 4)), 0, 1)


def _survey() -> tuple[np.ndarray, Table]:
    """The picture (band, y, x) in 0 to 1, and every object in it, brightest first."""
    import sep
    from skimage.data import hubble_deep_field

    picture = np.ascontiguousarray(hubble_deep_field().transpose(2, 0, 1), dtype=np.float32) / 255
    light = np.ascontiguousarray(picture.mean(axis=0))
    sky = sep.Background(light, bw=64, bh=64)
    light = light - sky.back()
    found = sep.extract(light, DETECTION, err=sky.globalrms, minarea=MINIMAL_AREA, deblend_cont=0.005)
    found = found[np.argsort(-found["flux"], kind="stable")]
    x, y = found["x"], found["y"]
    radius, _ = sep.flux_radius(light, x, y, 6 * found["a"], 0.5, normflux=found["flux"], subpix=5)
    field = np.maximum(FIELD_IN_RADII * radius, SMALLEST_FIELD)
    height, width = light.shape
    half = field / 2
    sums = [sep.sum_circle(plane, x, y, np.maximum(radius, 2))[0] for plane in picture]
    red, _, blue = sums - np.median(picture, axis=(1, 2))[:, None] * np.pi * np.maximum(radius, 2) ** 2
    table = Table(
        {
            "id": [f"hxdf-{i + 1:04d}" for i in range(len(found))],
            "x": x,
            "y": y,
            "flux": found["flux"],
            "half_light_radius": radius,
            "field": field,
            "ellipticity": 1 - found["b"] / found["a"],
            "position_angle": np.degrees(found["theta"]),
            "color": 2.5 * np.log10(np.maximum(red, 1e-3) / np.maximum(blue, 1e-3)),
            "snr": found["flux"] / (sky.globalrms * np.sqrt(found["npix"])),
            "is_star": (np.hypot(x[:, None] - STARS[:, 0], y[:, None] - STARS[:, 1]) < 3).any(axis=1),
            "at_edge": (x < half) | (y < half) | (x > width - 1 - half) | (y > height - 1 - half),
        },
        units=dict.fromkeys(("x", "y", "half_light_radius", "field"), "pix")
        | {"position_angle": "deg", "color": "mag"},
    )
    return picture, table
