import numpy as np
import pytest

from galnb.images import Images
from galnb.sky import sky_only


def field(n=40, size=32, seed=0):
    """Noise of one, on a sky of five; in half of the pictures a galaxy in the middle and a star off it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    noise = 5 + rng.normal(size=(n, 2, size, size))
    galaxy = 80 * np.exp(-np.hypot(y - 15.5, x - 15.5) / 3)
    star = 60 * np.exp(-((y - 5) ** 2 + (x - 25) ** 2) / (2 * 1.2**2))
    noise[: n // 2] += galaxy + star
    return Images(noise, bands=("g", "r")), galaxy + star


def test_what_is_left_is_the_skys_noise_and_none_of_the_objects():
    images, objects = field()
    left = sky_only(images).pixels
    assert np.isnan(left[:20, :, 5, 25]).all() and np.isnan(left[:, :, 16, 16]).all()
    assert np.isfinite(left).mean() > 0.4
    assert np.array_equal(np.isnan(left[:, 0]), np.isnan(left[:, 1]))
    light = np.broadcast_to(objects, left[:20].shape)[np.isfinite(left[:20])]
    assert light.mean() < 0.4 and light.max() < 4  # of the noise's deviation: of an exponential's wings
    assert np.nanmean(left[20:]) == pytest.approx(5, abs=0.05)
    assert np.nanstd(left[20:]) == pytest.approx(1, abs=0.03)


def test_the_circle_in_the_middle_is_as_large_as_asked():
    images, _ = field()
    free = [np.isfinite(sky_only(images[20:], middle=middle).pixels).mean() for middle in (0, 0.2, 0.4)]
    assert free[0] > 0.85 and free[0] > free[1] > free[2]
    assert free[2] == pytest.approx(1 - np.pi * 0.4**2, abs=0.1)
