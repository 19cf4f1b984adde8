"""What is left of pictures where there is nothing in them."""

from __future__ import annotations

import numpy as np

from .images import Images

MIDDLE = 0.3  # of a picture's side: the radius around its middle in which no pixel counts as sky
DEEP, GROWN = 2.5, 2  # objects begin so many deviations above the sky, and end so many pixels beyond


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
