"""What is left of pictures where there is nothing in them, and whole skies made of it."""

from __future__ import annotations

import hashlib

import numpy as np

from .errors import BadInput
from .images import Images
from .stretch import Stretch

MIDDLE = 0.3  # of a picture's side: the radius around its middle in which no pixel counts as sky
DEEP, GROWN = 2.5, 2  # objects begin so many deviations above the sky, and end so many pixels beyond
FAR = 0.45  # of the side: beyond it, in the corners, there is none of a galaxy's outskirts either
FREE = 0.1  # share of a picture that must be sky, so that its scatter and smoothness can be measured
ALIKE = 12  # pictures: the holes of a sky are filled from one of so many whose sky is most like its own
TRIES = 6  # places for a piece, of which the one that fills most is taken: fewer seams


def sky_only(images: Images, *, middle: float = MIDDLE, deep: float = DEEP, grown: int = GROWN) -> Images:
    """The pictures with NaN where an object is, or may be: what is left is sky, with its noise.

    Objects are found in the mean of all bands, smoothed by a Gaussian of one pixel, as what rises above the
    smoothed sky of the corners. A circle around the middle is left out whatever is found there, since the
    outskirts of a galaxy reach deeper than one picture shows.

    Parameters
    ----------
    middle : float
        Radius of the circle, as a share of the side.
    deep : float
        Standard deviations of the smoothed sky above which an object begins. A low limit takes the brightest
        noise for objects, and what is left is not the sky's noise any more.
    grown : int
        Pixels by which objects are grown.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(2, 1, 32, 32))
    >>> noise[:, :, 2:5, 2:5] += 20
    >>> free = np.isfinite(sky_only(Images(noise)).pixels[:, 0])
    >>> free[:, 3, 3].tolist(), free[:, 16, 16].tolist(), free[:, 28, 3].tolist()
    ([False, False], [False, False], [True, True])
    """
    from scipy.ndimage import binary_dilation, gaussian_filter, generate_binary_structure

    height, width = images.shape
    y, x = np.mgrid[:height, :width]
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    taken = np.hypot(y, x) <= middle * min(height, width)
    smooth = gaussian_filter(images.pixels.mean(axis=1), (0, 1, 1))
    side = max(min(height, width) // 5, 3)
    near = np.ones((height, width), dtype=bool)
    near[side:-side], near[:, side:-side] = False, False
    corners = smooth[:, near]
    sky = np.median(corners, axis=1)
    # Of what is below the median, which faint objects do not reach.
    below = np.minimum(corners - sky[:, None], 0)
    noise = np.sqrt(2 * np.square(below).mean(axis=1))
    found = smooth > (sky + deep * noise)[:, None, None]
    if grown:
        around = generate_binary_structure(2, 1)
        found = binary_dilation(found, around[None], iterations=grown)
    return images.with_pixels(np.where((found | taken)[:, None], np.float32(np.nan), images.pixels))


class SkyStock:
    """Empty sky of many survey pictures, out of which whole skies are composed.

    A sky begins with one picture, turned and flipped at random; its holes are filled with sky of others that
    are as noisy, as smooth and as bright, laid so that at least one empty pixel is filled each time. Noise is
    real, and correlated as it was between pixels and bands, but for some of it across seams.

    Parameters
    ----------
    pictures : Images
        Of a survey, with galaxies in their middle; objects are found by `sky_only`.
    stretch : Stretch, optional
        Of display pictures, which are brought to linear light by its inverse: the level of their sky is kept,
        which `observing.linear` would take off. Linear pictures where not given.

    Attributes
    ----------
    images : Images
        Sky in linear light, NaN elsewhere. Left out are pictures that are less than a tenth sky, have sky
        without noise, or a median, scatter or smoothness unlike the others' (by five deviations).
    smoothness : ndarray (n,)
        Correlation of neighboring pixels, mean of the bands.

    Raises
    ------
    BadInput
        For pixels that are not finite, or if no picture has sky enough.

    Examples
    --------
    >>> pictures = Images(np.random.default_rng(0).normal(size=(20, 2, 32, 32)), bands=("g", "r"))
    >>> sky = SkyStock(pictures).compose(["a", "b"], size=40)
    >>> sky.pixels.shape, bool(0.9 < sky.pixels.std() < 1.1)
    ((2, 2, 40, 40), True)
    """

    def __init__(self, pictures: Images, *, stretch: Stretch | None = None):
        pictures.demand_finite()
        self.display = stretch is not None
        sky = sky_only(pictures, middle=FAR)
        kept = np.flatnonzero(np.isfinite(sky.pixels[:, 0]).mean(axis=(1, 2)) >= FREE)
        kept = [
            k for k in kept if (np.nanmax(sky.pixels[k], (1, 2)) > np.nanmin(sky.pixels[k], (1, 2))).all()
        ]
        if not len(kept):
            wanted = f"some with noise, in at least {FREE:.0%} of their pixels; give other pictures"
            raise BadInput("sky", f"none of its {len(pictures)} pictures has empty sky, wanted {wanted}")
        sky, looks = sky[kept], _looks(sky.pixels[kept])
        usual = (np.abs(looks - np.median(looks, axis=0)) <= 5 * _spread(looks)).all(axis=1)
        self.images = sky[usual] if stretch is None else stretch.inverse(sky[usual])
        self.smoothness = looks[usual, 2]
        self._looks = looks[usual] / np.maximum(_spread(looks[usual]), 1e-9)

    def __len__(self) -> int:
        return len(self.images)

    def compose(
        self, ids, *, size: int, seed: int = 0, smoothness: float | np.ndarray | None = None
    ) -> Images:
        """Whole skies (n, band, size, size) in linear light, one for each of `ids` (n,).

        Parameters
        ----------
        seed : int
            A sky depends on (seed, its id), the stock and `smoothness` alone.
        smoothness : float or array (n,), optional
            Correlation of neighboring pixels: a sky begins with one of the pictures that come nearest to it,
            else with any. Pictures of fields of different widths differ in it.
        """
        if size < 1:
            raise ValueError(f"size={size} pixels, wanted at least 1")
        ids = np.asarray(ids)
        wanted = [None] * len(ids) if smoothness is None else np.broadcast_to(smoothness, len(ids))
        skies = [self._sky(name, size, seed, smooth) for name, smooth in zip(ids, wanted, strict=True)]
        pixels = np.array(skies).reshape(len(ids), len(self.images.bands), size, size)
        return Images(pixels, ids, self.images.bands, pixel_scale=self.images.pixel_scale)

    def _sky(self, name, size: int, seed: int, smooth: float | None) -> np.ndarray:
        digest = hashlib.sha256(f"{seed}/{name}/sky".encode()).digest()
        rng = np.random.default_rng(list(digest[:16]))
        far = np.zeros(len(self)) if smooth is None else np.abs(self.smoothness - smooth)
        many = len(self) if smooth is None else max(ALIKE, len(self) // 20)
        first = rng.choice(np.argsort(far, kind="stable")[:many])
        apart = np.square(self._looks - self._looks[first]).sum(axis=1)
        like = np.argsort(apart, kind="stable")[:ALIKE]
        bare = np.full((len(self.images.bands), size, size), np.nan, dtype=np.float32)
        canvas = _put(bare, _turned(self.images.pixels[first], rng), (0, 0))
        while len(holes := np.argwhere(np.isnan(canvas[0]))):
            piece = _turned(self.images.pixels[rng.choice(like)], rng)
            free = np.isfinite(piece[0])
            corners = rng.choice(holes, TRIES) - rng.choice(np.argwhere(free), TRIES)
            most = max(corners, key=lambda corner: _filled(holes - corner, free))
            canvas = _sewn(canvas, _put(bare, piece, most), self.smoothness[first])
        return canvas


def _looks(pixels: np.ndarray) -> np.ndarray:
    """Of each sky (n, band, y, x): median over scatter, logarithm of the scatter, and smoothness (n, 3)."""
    median, scatter = np.nanmedian(pixels, axis=(2, 3)), np.nanstd(pixels, axis=(2, 3))
    return np.stack([(median / scatter).mean(1), np.log(scatter).mean(1), smoothness(pixels)], axis=1)


def smoothness(pixels: np.ndarray) -> np.ndarray:
    """Correlation (n,) of neighboring pixels of pictures (n, band, y, x), mean of the bands; NaN is left out.

    >>> steps = np.random.default_rng(0).normal(size=(1, 1, 200, 200)).repeat(2, axis=2).repeat(2, axis=3)
    >>> round(float(smoothness(steps)[0]), 1)
    0.5
    """
    centered = pixels - np.nanmean(pixels, axis=(2, 3), keepdims=True)
    beside = np.nanmean(centered[..., 1:] * centered[..., :-1], axis=(2, 3))
    above = np.nanmean(centered[..., 1:, :] * centered[..., :-1, :], axis=(2, 3))
    return ((beside + above) / 2 / np.nanmean(np.square(centered), axis=(2, 3))).mean(axis=1)


def _spread(looks: np.ndarray) -> np.ndarray:
    """Deviation of each column, from the median of the distances to the median."""
    return 1.4826 * np.median(np.abs(looks - np.median(looks, axis=0)), axis=0)


def _turned(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of the eight ways to turn and flip a picture (band, y, x)."""
    turned = np.rot90(picture, rng.integers(4), axes=(1, 2))
    return turned[:, :, ::-1] if rng.integers(2) else turned


def _filled(places: np.ndarray, free: np.ndarray) -> int:
    """How many of some places (k, 2) of a piece are inside it and free."""
    places = places[((places >= 0) & (places < free.shape)).all(axis=1)]
    return free[places[:, 0], places[:, 1]].sum()


def _put(canvas: np.ndarray, piece: np.ndarray, corner) -> np.ndarray:
    """A canvas with a piece (band, y, x) on it, whose first pixel comes to lie at `corner` (y, x)."""
    low = np.maximum(corner, 0)
    high = np.minimum(np.add(corner, piece.shape[1:]), canvas.shape[1:])
    begin, end = low - corner, high - corner
    canvas = canvas.copy()
    canvas[:, low[0] : high[0], low[1] : high[1]] = piece[:, begin[0] : end[0], begin[1] : end[1]]
    return canvas


def _sewn(canvas: np.ndarray, piece: np.ndarray, smoothness: float) -> np.ndarray:
    """A canvas, filled from a piece of its size so that noise stays as smooth across the seam.

    A new pixel is moved by its correlation with the nearest old one, times what that is above the piece: the
    scatter stays what it was, and so does the correlation of these two (kriging with one neighbor).
    """
    from scipy.ndimage import distance_transform_edt

    empty = np.isnan(canvas[0])
    distance, (y, x) = distance_transform_edt(empty, return_indices=True)
    step = np.nan_to_num(canvas[:, y, x] - piece[:, y, x])  # none where the piece has a hole there
    return np.where(empty, piece + np.clip(smoothness, 0, 1) ** distance**2 * step, canvas)
