import numpy as np
import pytest
from astropy.visualization import LuptonAsinhStretch, make_lupton_rgb
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galnb.images import Images
from galnb.stretch import Asinh, Linear, Lupton
from tests.often import often

STRETCHES = [Asinh(-1.0, 300.0, 0.5), Lupton(-1.0, 5.0, 8.0), Linear(-1.0, 300.0)]
FLUXES = arrays(np.float64, (3, 4, 4), elements=st.floats(0, 1000, width=32))


def sky(shape=(2, 3, 8, 8), seed=0):
    """Positive pixels over four decades, so that every part of a stretch is used."""
    return 10 ** np.random.default_rng(seed).uniform(-1, 3, shape)


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda s: type(s).__name__)
@often(100)
@given(pixels=FLUXES)
def test_the_inverse_gives_the_pixels_back(stretch, pixels):
    np.testing.assert_allclose(stretch.inverse(stretch(pixels)), pixels, rtol=1e-5, atol=1e-5)


@often(100)
@given(
    arrays(np.float64, (2, 3, 3), elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(-1e4, 1e4),
    st.floats(1e-2, 1e5),
    st.floats(1e-3, 10),
)
def test_whatever_an_asinh_is_set_to_it_keeps_order_and_is_undone(pixels, low, wide, softness):
    stretch = Asinh(low, low + wide, softness * wide)
    stretched = stretch(pixels)
    order = np.argsort(pixels, axis=None)
    assert (np.diff(stretched.ravel()[order]) >= 0).all()
    np.testing.assert_allclose(stretch.inverse(stretched), pixels, rtol=1e-5, atol=1e-5 * wide)


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda s: type(s).__name__)
def test_the_inverse_holds_through_the_float32_of_images(stretch):
    images = Images(sky())
    back = stretch.inverse(stretch(images))
    assert isinstance(back, Images) and back.pixels.dtype == np.float32
    np.testing.assert_allclose(back.pixels, images.pixels, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda s: type(s).__name__)
def test_images_and_arrays_are_stretched_alike(stretch):
    pixels = sky().astype(np.float32)
    images = Images(pixels, bands=("g", "r", "i"), id=["a", "b"])
    stretched = stretch(images)
    np.testing.assert_allclose(stretched.pixels, stretch(pixels), rtol=1e-6)
    assert stretched.bands == images.bands and list(stretched.id) == ["a", "b"]
    assert np.array_equal(images.pixels, pixels)


def test_lupton_is_astropys_picture_where_that_does_not_clip():
    r, g, b = sky((3, 40, 40)) / 100
    ours = Lupton(low=0.0, stretch=2.0, q=6.0)(np.stack([r, g, b]))
    theirs = make_lupton_rgb(r, g, b, minimum=0, stretch=2.0, Q=6.0, output_dtype=np.float64)
    inside = ours.max(axis=0) <= 1
    assert 0.5 < inside.mean()
    np.testing.assert_allclose(np.moveaxis(ours, 0, -1)[inside], theirs[inside], rtol=1e-12)


def test_luptons_mean_band_is_astropys_asinh_of_the_mean():
    pixels = sky()
    wanted = LuptonAsinhStretch(stretch=3.0, Q=5.0)(pixels.mean(axis=1) - 0.5, clip=False)
    np.testing.assert_allclose(Lupton(0.5, 3.0, 5.0)(pixels).mean(axis=1), wanted, rtol=1e-12)


def test_lupton_keeps_the_ratio_of_bands():
    stretched = Lupton()(np.array([2.0, 40.0, 600.0]).reshape(3, 1, 1))
    np.testing.assert_allclose(stretched[:, 0, 0] / stretched[0, 0, 0], [1, 20, 300])


def test_asinh_is_linear_when_faint_and_logarithmic_when_bright():
    stretch = Asinh(0.0, 1e6, 1.0)
    faint, bright = stretch(np.array([1e-3, 2e-3])), stretch(np.array([1e4, 1e5, 1e6]))
    assert faint[1] / faint[0] == pytest.approx(2, rel=1e-5)
    assert bright[1] - bright[0] == pytest.approx(bright[2] - bright[1], rel=1e-5)


@pytest.mark.parametrize("stretch", [Asinh(2.0, 9.0, 0.1), Linear(2.0, 9.0)], ids=["Asinh", "Linear"])
def test_low_becomes_zero_high_one_and_nothing_is_clipped(stretch):
    np.testing.assert_allclose(stretch(np.array([2.0, 9.0])), [0, 1], atol=1e-15)
    assert stretch(np.array([1.0]))[0] < 0 and stretch(np.array([10.0]))[0] > 1


@pytest.mark.parametrize("kind", [Asinh, Linear])
def test_percentiles_are_numpys_of_the_finite_pixels(kind):
    pixels = sky()
    spoilt = np.concatenate([pixels.ravel(), [np.nan, np.inf, -np.inf]])
    stretch = kind.of(spoilt, faint=5, bright=95)
    np.testing.assert_allclose((stretch.low, stretch.high), np.percentile(pixels, (5, 95)), rtol=1e-12)
    assert kind.of(Images(pixels)).low == pytest.approx(kind.of(pixels).low, rel=1e-6)


@pytest.mark.parametrize("kind", [Asinh, Linear])
def test_a_constant_image_becomes_zero_and_comes_back(kind):
    pixels = np.full((1, 1, 4, 4), 7.0)
    stretch = kind.of(pixels)
    assert not stretch(pixels).any() and np.array_equal(stretch.inverse(stretch(pixels)), pixels)


@pytest.mark.parametrize("kind", [Asinh, Linear])
@pytest.mark.parametrize("pixels", [np.full((1, 1, 4, 4), np.nan), np.zeros((0, 1, 4, 4))])
def test_percentiles_of_no_finite_pixel_are_refused(kind, pixels):
    with pytest.raises(ValueError, match="no finite pixel"):
        kind.of(pixels)


@pytest.mark.parametrize("stretch", STRETCHES, ids=lambda s: type(s).__name__)
def test_nan_stays_where_it_is_and_empty_stays_empty(stretch):
    pixels = sky()
    pixels[0, :, 2, 3] = np.nan
    assert np.array_equal(np.isnan(stretch(pixels)), np.isnan(pixels))
    assert (
        stretch(np.zeros((0, 3, 8, 8))).shape == stretch.inverse(np.zeros((0, 3, 8, 8))).shape == (0, 3, 8, 8)
    )


def test_one_band_of_lupton_is_stretched_as_its_own_mean():
    pixels = sky((2, 1, 8, 8))
    wanted = LuptonAsinhStretch(stretch=5, Q=8)(pixels, clip=False)
    np.testing.assert_allclose(Lupton()(pixels), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Asinh(1.0, 1.0),
        lambda: Asinh(0.0, 1.0, 0.0),
        lambda: Asinh(0.0, float("nan")),
        lambda: Linear(2.0, 1.0),
        lambda: Lupton(stretch=0.0),
        lambda: Lupton(q=-1.0),
    ],
)
def test_a_stretch_that_cannot_be_undone_is_refused(make):
    with pytest.raises(ValueError, match="wanted"):
        make()


def test_a_mistyped_option_is_refused_by_name():
    with pytest.raises(TypeError, match="sofness"):
        Asinh(sofness=0.1)
    with pytest.raises(TypeError, match="brigth"):
        Linear.of(sky(), brigth=99)


def test_one_nan_band_of_lupton_leaves_the_pixel_without_color_and_its_neighbors_whole():
    pixels = sky((3, 8, 8))
    pixels[1, 2, 3] = np.nan
    gone = np.isnan(Lupton()(pixels))
    assert gone[:, 2, 3].all() and gone.sum() == 3
