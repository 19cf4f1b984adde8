import io

import numpy as np
import pytest
from PIL import Image

from galnb.errors import BadInput
from galnb.images import Images
from galnb.stamps import Stamps, encode, mosaic, png, residual, scale_bar, to_rgb

rng = np.random.default_rng(3)


def test_display_pixels_are_shown_as_they_are():
    pixels = rng.random((4, 3, 9, 7))
    rgb = to_rgb(Images(pixels))
    assert rgb.dtype == np.uint8 and rgb.shape == (4, 9, 7, 3)
    assert np.abs(rgb / 255 - pixels.transpose(0, 2, 3, 1)).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [1, 1000, 1e-3])
def test_any_number_of_bands_in_any_unit_is_a_picture(bands, scale):
    rgb = to_rgb(Images(rng.normal(size=(3, bands, 8, 8)) * scale))
    assert rgb.shape == (3, 8, 8, 3) and (bands == 1) == bool((rgb[..., 0] == rgb[..., 2]).all())


def test_missing_pixels_are_black_and_harm_no_others():
    pixels = np.full((2, 3, 6, 6), 0.5)
    pixels[0, :, 2, 3], pixels[0, 0, 0, 0] = np.nan, np.inf
    rgb = to_rgb(Images(pixels))
    assert (rgb[0, 2, 3] == 0).all() and (rgb[1] == 128).all() and rgb[0, 5, 5, 0] == 128


def test_lupton_keeps_the_color_of_bright_pixels():
    y, x = np.mgrid[-10:11, -10:11]
    blob = 5000 * np.exp(-(x**2 + y**2) / 20)
    rgb = to_rgb(Images(np.stack([blob, blob / 2, blob / 4])[None]))[0].astype(float)
    inner = rgb[10, 10]
    assert inner[0] == 255 and inner[1] / inner[0] == pytest.approx(0.5, abs=0.02)


def test_no_galaxy_is_no_error():
    assert to_rgb(Images(np.zeros((0, 3, 8, 8)))).shape == (0, 8, 8, 3)
    assert mosaic(Images(np.zeros((0, 3, 8, 8)))).shape == (1, 1, 3)


def test_a_mosaic_puts_each_galaxy_in_its_place():
    images = Images(np.arange(5)[:, None, None, None] / 5 * np.ones((5, 3, 4, 6)))
    sheet = mosaic(images, columns=2, gap=1)
    assert sheet.shape == (3 * 4 + 2, 2 * 6 + 1, 3)
    assert (sheet[5:9, 7:] == to_rgb(images)[3]).all() and (sheet[4] == 0).all()


def test_png_is_exact_and_jpeg_is_small():
    rgb = to_rgb(Images(rng.random((1, 3, 40, 40))))[0]
    assert (np.asarray(Image.open(io.BytesIO(png(rgb)))) == rgb).all()
    assert len(encode(rgb, "jpeg")) < len(png(rgb))


def test_a_residual_is_symmetric_and_says_its_scale():
    image = rng.normal(size=(3, 20, 20))
    there, scale = residual(image, np.zeros_like(image))
    back, again = residual(np.zeros_like(image), image)
    assert scale == again and scale == pytest.approx(np.percentile(np.abs(image.mean(0)), 99.5))
    assert ((there.sum(-1) > 0) == (back.sum(-1) > 0)).all()
    assert residual(image, image)[0].max() == 0
    with pytest.raises(ValueError, match="crop or resize"):
        residual(image, image[:, :5])


def test_pictures_are_found_by_id_whatever_the_order_and_the_rest_are_named():
    images = Images(np.arange(4)[:, None, None, None] * np.ones((4, 1, 2, 2)), id=["d", "a", "c", "x"])
    stamps = Stamps(np.array(["a", "b", "c"]), images)
    assert stamps.has([0, 1, 2]).tolist() == [True, False, True]
    assert stamps.read([2, 0]).pixels[:, 0, 0, 0].tolist() == [2, 1]
    with pytest.raises(BadInput, match="row 1"):
        stamps.read([0, 1])
    with pytest.raises(BadInput, match="same ids"):
        Stamps(np.array(["q"]), images)
    with pytest.raises(BadInput, match="same ids"):
        Stamps(np.arange(3), images)


@pytest.mark.parametrize("pixel_scale", [0.03, 0.4, 3.0, 500.0])
def test_a_scale_bar_is_round_and_fits(pixel_scale):
    share, label = scale_bar(pixel_scale, 64)
    length = float(label[:-1]) * (60 if label.endswith("'") else 1)
    assert 0.1 < share <= 0.4 and share * 64 * pixel_scale == pytest.approx(length, rel=0.01)
    assert scale_bar(None, 64) is None
