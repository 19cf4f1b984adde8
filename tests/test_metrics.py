import warnings

import numpy as np
import pytest

from galnb.images import Images
from galnb.metrics import fidelity, mse, ratios


def galaxies(n=6, size=48):
    """Elliptical Gaussians of flux 2 pi width^2 q, as Images (n, 1, size, size)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    width = np.linspace(3, 5, n)[:, None, None]
    return Images(np.exp(-(x**2 + (y / 0.6) ** 2) / (2 * width**2))[:, None], bands=("r",))


def test_the_error_of_each_galaxy_is_its_own():
    images = np.zeros((3, 2, 4, 4))
    reconstruction = images + np.array([0.0, 1.0, 3.0]).reshape(3, 1, 1, 1)
    assert list(mse(images, reconstruction)) == [0, 1, 9]


def test_the_error_is_scikit_learns_and_is_summed_in_double_precision():
    from sklearn.metrics import mean_squared_error

    a, b = np.random.default_rng(0).random((2, 5, 3, 16, 16)).astype(np.float32)
    wanted = mean_squared_error(
        a.reshape(5, -1).T.astype(float), b.reshape(5, -1).T, multioutput="raw_values"
    )
    found = mse(a, b)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_eight_bit_pixels_do_not_wrap_around():
    assert mse(np.zeros((1, 1, 2, 2), np.uint8), np.full((1, 1, 2, 2), 2, np.uint8))[0] == 4


def test_other_shapes_are_refused_and_not_broadcast():
    with pytest.raises(ValueError, match="reconstruction"):
        mse(np.zeros((2, 1, 4, 4)), np.zeros((1, 1, 4, 4)))


def test_a_perfect_reconstruction_has_no_error():
    images = galaxies()
    scores = fidelity(images, images)
    assert scores == {"mse": 0, "flux": 0, "half_light_radius": 0, "ellipticity": 0, "measured": 1}


def test_half_the_light_is_half_the_flux_at_the_same_shape():
    images = galaxies()
    scores = fidelity(images, images.with_pixels(images.pixels / 2))
    assert scores["flux"] == pytest.approx(0.5, rel=1e-3)
    assert scores["half_light_radius"] < 1e-3 and scores["ellipticity"] < 1e-3
    assert scores["mse"] == pytest.approx(np.square(images.pixels / 2).mean(), rel=1e-5)


def test_a_quarter_turn_spoils_the_pixels_and_no_measured_shape():
    images = galaxies()
    scores = fidelity(images, images.with_pixels(images.pixels.swapaxes(2, 3)))
    assert scores["mse"] > 1e-3
    assert scores["flux"] < 1e-3 and scores["half_light_radius"] < 1e-3 and scores["ellipticity"] < 1e-3


def test_the_share_that_could_be_measured_is_told():
    images = galaxies(4)
    pixels = images.pixels.copy()
    pixels[0] = 0
    scores = fidelity(images, images.with_pixels(pixels))
    assert scores["measured"] == 0.75 and scores["flux"] == 0


def test_where_nothing_can_be_measured_scores_are_nan_without_a_warning():
    blank = Images(np.zeros((2, 1, 32, 32)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = fidelity(blank, blank)
    assert scores["mse"] == 0 and scores["measured"] == 0 and np.isnan(scores["flux"])


@pytest.mark.parametrize(
    "shape, count, float32, int8",
    [((3, 64, 64), 245.76, 61.44, 245.76), ((3, 220, 220), 2904, 726, 2904)],
)
def test_ratios_by_count_and_by_bytes_to_fifty_numbers(shape, count, float32, int8):
    found = ratios(shape, 50)
    assert found["count"] == pytest.approx(count)
    assert found["bytes_float32"] == pytest.approx(float32) and found["bytes_int8"] == pytest.approx(int8)
    assert found["bytes_float16"] == pytest.approx(2 * float32)
