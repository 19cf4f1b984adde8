"""Galaxies as pictures: colors, mosaics, residuals, and the pictures of a catalogue's rows."""

from __future__ import annotations

import io

import numpy as np

from .errors import BadInput
from .images import Images, find

POSITIVE, NEGATIVE = np.array([255, 159, 64]), np.array([74, 163, 255])  # orange and blue, told apart by all


def to_rgb(images: Images) -> np.ndarray:
    """Galaxies in color, uint8 (n, y, x, 3).

    Parameters
    ----------
    images : Images
        Bands in order are red, green and blue. One band is grey, two have their mean as green, and of
        more the first three are taken (pick others with ``images["i", "r", "g"]``). Pixels from 0 to 1 are
        shown as they are; anything else goes through the asinh stretch of Lupton et al. 2004, scaled to
        each galaxy. NaN and infinite pixels are black.

    Examples
    --------
    >>> to_rgb(Images(np.ones((2, 1, 8, 8)))).shape
    (2, 8, 8, 3)
    """
    pixels = np.nan_to_num(images.pixels[:, :3], nan=0.0, posinf=0.0, neginf=0.0)
    if pixels.shape[1] == 1:
        pixels = np.repeat(pixels, 3, axis=1)
    elif pixels.shape[1] == 2:
        pixels = np.stack([pixels[:, 0], pixels.mean(axis=1), pixels[:, 1]], axis=1)
    if pixels.size and (pixels.min() < -0.25 or pixels.max() > 1.25):
        pixels = _lupton(pixels)
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)


def _lupton(pixels: np.ndarray, *, q: float = 8.0) -> np.ndarray:
    """Lupton's asinh of the mean intensity, which keeps each pixel's color; up to the 99.7th percentile."""
    pixels = pixels - np.median(pixels, axis=(2, 3), keepdims=True)
    intensity = pixels.mean(axis=1, keepdims=True)
    top = np.percentile(intensity, 99.7, axis=(2, 3), keepdims=True)
    scaled = np.clip(intensity / np.where(top > 0, top, 1), 1e-6, None)
    gain = np.arcsinh(q * scaled) / np.arcsinh(q) / scaled
    color = pixels / np.where(top > 0, top, 1) * gain
    return color / np.maximum(color.max(axis=1, keepdims=True), 1)


def encode(rgb: np.ndarray, kind: str = "png") -> bytes:
    """A picture (y, x, 3) uint8 as the bytes of a "png" (exact) or "jpeg" (small) file."""
    from PIL import Image

    file = io.BytesIO()
    options = {"compress_level": 3} if kind == "png" else {"quality": 88, "subsampling": 0}
    Image.fromarray(np.ascontiguousarray(rgb)).save(file, kind, **options)
    return file.getvalue()


def png(rgb: np.ndarray) -> bytes:
    """A picture (y, x, 3) uint8 as PNG bytes.

    >>> png(np.zeros((4, 4, 3), dtype=np.uint8))[1:4]
    b'PNG'
    """
    return encode(rgb, "png")


def mosaic(images: Images, *, columns: int = 8, gap: int = 0) -> np.ndarray:
    """Galaxies side by side, row by row, on black: uint8 (y, x, 3).

    No galaxy at all gives one black tile of one pixel.

    >>> mosaic(Images(np.ones((5, 3, 10, 10))), columns=3).shape
    (20, 30, 3)
    """
    return tile(to_rgb(images), columns=columns, gap=gap)


def tile(rgb: np.ndarray, *, columns: int, gap: int = 0) -> np.ndarray:
    """Pictures (n, y, x, 3) side by side in one (y, x, 3)."""
    n, height, width = rgb.shape[:3]
    if not n:
        return np.zeros((1, 1, 3), dtype=np.uint8)
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, height + gap, width + gap, 3), dtype=np.uint8)
    sheet[:n, :height, :width] = rgb
    sheet = sheet.reshape(rows, columns, height + gap, width + gap, 3).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), 3)
    return sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap]


def residual(image: np.ndarray, reconstruction: np.ndarray) -> tuple[np.ndarray, float]:
    """What a reconstruction misses, mean over bands: a picture uint8 (y, x, 3), and the scale s of its color.

    Orange is light that the reconstruction lacks, blue light that it adds, black none; full color is at
    +s and -s, the largest `|difference|` but for the top 0.5 % of pixels, in the images' unit.

    Parameters
    ----------
    image, reconstruction : ndarray (band, y, x)

    Examples
    --------
    >>> picture, scale = residual(np.ones((3, 4, 4)), np.zeros((3, 4, 4)))
    >>> picture[0, 0].tolist(), scale
    ([255, 159, 64], 1.0)
    """
    if image.shape != reconstruction.shape:
        raise ValueError(
            f"the image has shape {image.shape}, its reconstruction {reconstruction.shape}; "
            "wanted the same (band, y, x): crop or resize the image to the model's size"
        )
    difference = np.nan_to_num(np.asarray(image - reconstruction, dtype=np.float64).mean(axis=0))
    scale = float(np.percentile(np.abs(difference), 99.5)) if difference.size else 0.0
    share = np.clip(difference / (scale or 1.0), -1, 1)[..., None]
    picture = np.where(share > 0, share * POSITIVE, -share * NEGATIVE)
    return np.rint(picture).astype(np.uint8), scale


class Stamps:
    """Pictures of a catalogue's rows, read from images or a source only when asked for.

    Parameters
    ----------
    ids : array (n,)
        The catalogue's object ids.
    images : Images or Source
        Found by id, so order and number may differ from the catalogue's.

    Raises
    ------
    BadInput
        If not one of the ids has an image.

    Examples
    --------
    >>> stamps = Stamps(np.array([7, 8, 9]), Images(np.zeros((2, 1, 4, 4)), id=np.array([9, 7])))
    >>> stamps.has(np.arange(3)).tolist(), stamps.read([2]).id.tolist()
    ([True, False, True], [9])
    """

    def __init__(self, ids: np.ndarray, images):
        if not hasattr(images, "id"):
            raise TypeError(f"images is a {type(images).__name__}, wanted Images or a Source (galnb.sources)")
        ids, known = np.asarray(ids), np.asarray(images.id)
        if np.array_equal(ids, known):
            at = np.arange(len(ids))
        elif (ids.dtype.kind == "U") != (known.dtype.kind == "U"):
            at = np.full(len(ids), -1)
        else:
            at = find(known, ids)
        if len(ids) and not (at >= 0).any():
            raise BadInput(
                "images", f"none of their {len(known)} ids is among the latents' {len(ids)}, such as "
                f"{ids[0]!r}; give both the same ids",
            )  # fmt: skip
        self.images, self._at = images, at
        self.pixel_scale = images.pixel_scale

    def has(self, rows) -> np.ndarray:
        """Which rows (k,) have an image."""
        return self._at[np.asarray(rows, dtype=int)] >= 0

    def read(self, rows) -> Images:
        """Images of catalogue rows (k,); BadInput names the first that has none or cannot be read."""
        rows = np.atleast_1d(np.asarray(rows, dtype=int))
        if not self.has(rows).all():
            raise BadInput(
                f"row {rows[~self.has(rows)][0]}", "it has no image; wanted rows where has() is True"
            )
        at = self._at[rows]
        return self.images[at] if isinstance(self.images, Images) else self.images.read(at)


def scale_bar(pixel_scale: float | None, size: int) -> tuple[float, str] | None:
    """A round length of at most 40 % of an image `size` px wide: its share of the width, and its name.

    >>> scale_bar(0.4, 64)
    (0.390625, '10"')
    """
    if not pixel_scale or not size:
        return None
    whole = pixel_scale * size
    lengths = [m * 10.0**e for e in range(-4, 6) for m in (1, 2, 5)]
    fitting = [length for length in lengths if length <= 0.4 * whole]
    if not fitting:
        return None
    length = fitting[-1]
    return length / whole, f'{length:g}"' if length < 60 else f"{length / 60:.3g}'"
