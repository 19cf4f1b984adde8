import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from galnb.errors import BadInput
from galnb.images import Images
from galnb.sky import SkyStock, sky_only, smoothness
from galnb.stretch import Asinh


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


def smooth_sky(n=30, size=48, seed=0):
    """Sky of level 2 and scatter 1 whose neighbors correlate by 0.5, with a galaxy and a star in each."""
    rng = np.random.default_rng(seed)
    white = gaussian_filter(rng.normal(size=(n, 2, size, size)), (0, 0, 0.6, 0.6), mode="wrap")
    y, x = np.mgrid[:size, :size]
    galaxy = 50 * np.exp(-np.hypot(y - 23.5, x - 23.5) / 3)
    star = 80 * np.exp(-((y - 6) ** 2 + (x - 40) ** 2) / (2 * 1.2**2))
    sky = 2 + white / white.std()
    return Images(sky + galaxy + star, bands=("g", "r")), sky


def test_composed_sky_is_the_sky_without_the_objects():
    images, sky = smooth_sky()
    stock = SkyStock(images)
    composed = stock.compose(np.arange(20), size=48).pixels
    assert np.isfinite(composed).all() and composed.max() < 8
    assert composed.mean() == pytest.approx(2, abs=0.1)
    assert composed.std() == pytest.approx(1, abs=0.05)
    kept = smoothness(composed).mean() / smoothness(sky).mean()
    assert 0.85 < kept < 1.05  # seams take some


def test_a_sky_depends_on_its_seed_and_id_and_may_be_larger_than_a_picture():
    stock = SkyStock(smooth_sky()[0])
    some = stock.compose(["a", "b"], size=70, seed=1)
    assert some.shape == (70, 70) and some.id.tolist() == ["a", "b"] and some.bands == ("g", "r")
    assert np.array_equal(stock.compose(["b"], size=70, seed=1).pixels[0], some.pixels[1])
    assert not np.array_equal(some.pixels[0], some.pixels[1])
    assert not np.array_equal(stock.compose(["b"], size=70, seed=2).pixels[0], some.pixels[1])


def test_display_pictures_become_linear_and_keep_the_level_of_their_sky():
    stretch = Asinh(low=-5, high=20, softness=3)
    images, _ = smooth_sky()
    stock = SkyStock(stretch(images), stretch=stretch)
    assert stock.display and not SkyStock(images).display
    assert np.nanmedian(stock.images.pixels) == pytest.approx(2, abs=0.1)
    assert np.nanstd(stock.images.pixels) == pytest.approx(1, abs=0.05)


def test_a_sky_as_smooth_as_asked_begins_with_pictures_that_are():
    rough = np.random.default_rng(1).normal(size=(30, 2, 48, 48))
    stock = SkyStock(Images(np.concatenate([smooth_sky()[1] - 2, rough]), bands=("g", "r")))
    found = [smoothness(stock.compose(range(6), size=48, smoothness=s).pixels).mean() for s in (0.0, 0.5)]
    assert found[0] < 0.1 and found[1] > 0.3


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((3, 1, 32, 32), 4.0), "none of its 3 pictures has empty sky"),
        (np.full((3, 1, 32, 32), np.nan), "3 of 3 images have NaN"),
    ],
)
def test_a_stock_without_sky_is_one_clear_error(pixels, words):
    with pytest.raises(BadInput, match=words):
        SkyStock(Images(pixels))


def test_a_sky_without_pixels_is_refused():
    with pytest.raises(ValueError, match="size=0 pixels, wanted at least 1"):
        SkyStock(smooth_sky()[0]).compose([0], size=0)
