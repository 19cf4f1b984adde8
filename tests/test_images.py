import numpy as np
import pytest
from astropy.table import Table

from galnb.errors import BadInput, BandMismatch
from galnb.images import Images, rows_of


@pytest.fixture
def images():
    pixels = np.arange(4 * 3 * 8 * 8, dtype=float).reshape(4, 3, 8, 8)
    table = Table({"redshift": [0.1, 0.2, 0.3, 0.4], "radius": [1.0, 2, 3, 4]}, units={"radius": "arcsec"})
    return Images(
        pixels, ["d", "a", "c", "b"], ("g", "r", "i"), ra=[1, 2, 3, 4], dec=[5, 6, 7, 8], pixel_scale=0.2,
        table=table,
    )  # fmt: skip


def test_bands_come_by_name_and_in_the_order_asked(images):
    two = images["i", "g"]
    assert two.bands == ("i", "g") and np.array_equal(two.pixels, images.pixels[:, [2, 0]])
    assert np.array_equal(images["r"].pixels, images.pixels[:, [1]])
    assert np.array_equal(images[["r", "g"]].pixels, images.pixels[:, [1, 0]])


def test_a_misspelt_band_is_told_with_the_right_one(images):
    with pytest.raises(BandMismatch, match="no band 'R'; did you mean 'r'") as caught:
        images["R"]
    assert caught.value.have == ("g", "r", "i") and caught.value.want == ("R",)
    with pytest.raises(BandMismatch, match="did you mean 'F606W'"):
        images.rename("F435W", "F606W", "F814W")["f606"]


@pytest.mark.parametrize(
    "key, rows",
    [
        (2, [2]),
        (-1, [3]),
        (slice(1, None, 2), [1, 3]),
        ([3, 0], [3, 0]),
        (np.array([True, False, False, True]), [0, 3]),
        ([], []),
        (slice(0, 0), []),
    ],
)
def test_rows_take_everything_of_theirs_along(images, key, rows):
    part = images[np.array(key, dtype=int) if isinstance(key, list) else key]
    for name in ("pixels", "id", "ra", "dec"):
        assert np.array_equal(getattr(part, name), getattr(images, name)[rows])
    assert np.array_equal(part.table["redshift"], images.table["redshift"][rows])
    assert part.bands == images.bands and part.pixel_scale == 0.2 and part.table["radius"].unit == "arcsec"


def test_a_row_off_the_end_is_an_error(images):
    with pytest.raises(IndexError):
        images[4]


def test_pixels_become_contiguous_float32_and_names_are_made_up():
    images = Images(np.zeros((2, 3, 8, 8), dtype=">i2").swapaxes(2, 3))
    assert images.pixels.dtype == np.float32 and images.pixels.flags.c_contiguous
    assert images.bands == ("band0", "band1", "band2") and list(images.id) == [0, 1]


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"pixels": np.zeros((4, 8, 8))}, r"\(4, 8, 8\), wanted \(n, band, y, x\)"),
        ({"id": [1, 2, 3]}, "id has 3 rows, pixels have 4"),
        ({"id": [1, 2, 3, 2]}, "id 2 is there more than once"),
        ({"id": ["a", "b", "c", "a"]}, "id 'a' is there more than once"),
        ({"bands": ("g", "r")}, "2 band names for 3 bands"),
        ({"bands": ("g", "r", "g")}, "repeat"),
        ({"ra": [1.0]}, "ra has 1 rows"),
        ({"dec": [1.0]}, "dec has 1 rows"),
        ({"table": Table({"redshift": [1.0, 2.0]})}, "table has 2 rows, pixels have 4"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_error(change, reason):
    with pytest.raises(BadInput, match=reason):
        Images(**{"pixels": np.zeros((4, 3, 8, 8))} | change)


def test_a_crop_is_the_middle(images):
    assert np.array_equal(images.crop(4).pixels, images.pixels[:, :, 2:6, 2:6])
    assert np.array_equal(images.crop(5).pixels, images.pixels[:, :, 1:6, 1:6])  # up-left by half a pixel
    assert images.crop(4).pixel_scale == 0.2 and images.crop(8).shape == (8, 8)


def test_a_crop_about_a_center_is_to_the_nearest_pixel(images):
    assert np.array_equal(images.crop(4, (3.6, 4.4)).pixels, images.pixels[:, :, 2:6, 3:7])
    assert np.array_equal(images.crop(3, (1, 6)).pixels, images.pixels[:, :, :3, 5:])
    with pytest.raises(ValueError, match=r"4 pixels about \(0, 4\) reach beyond images of 8 x 8 px"):
        images.crop(4, (0, 4))


@pytest.mark.parametrize("size", [9, 0, -1])
def test_a_crop_that_cannot_be_is_refused(images, size):
    with pytest.raises(ValueError, match="cannot crop to 9|wanted at least 1"):
        images.crop(size)


@pytest.mark.parametrize("size", [16, 32, 128])
def test_a_resize_keeps_surface_brightness_and_the_field_on_the_sky(size):
    y, x = np.mgrid[:64, :64] - 31.5
    images = Images(np.exp(-(x**2 + y**2) / 200)[None, None].repeat(2, 1), pixel_scale=0.5)
    resized = images.resize(size)
    assert resized.shape == (size, size) and resized.pixel_scale * size == 32
    assert resized.pixels.sum() * (64 / size) ** 2 == pytest.approx(images.pixels.sum(), rel=0.01)
    assert np.abs(resized.pixels[0, 0] - resized.pixels[0, 0, ::-1, ::-1]).max() < 1e-5


def test_a_resize_of_nothing_to_nothing_or_of_an_oblong(images):
    assert images[[]].resize(4).pixels.shape == (0, 3, 4, 4)
    with pytest.raises(ValueError, match="wanted at least 1"):
        images.resize(0)
    with pytest.raises(ValueError, match="not square; crop"):
        Images(np.zeros((1, 1, 8, 10))).resize(4)


def test_other_names_and_other_pixels_leave_the_original_alone(images):
    renamed = images.rename("u", "v", "w")
    assert renamed.bands == ("u", "v", "w") and images.bands == ("g", "r", "i")
    assert not images.with_pixels(np.zeros((4, 3, 8, 8))).pixels.any() and images.pixels.any()
    with pytest.raises(BadInput, match="1 band names for 3"):
        images.rename("u")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_with_a_pixel_that_is_no_number_are_found(images, bad):
    pixels = images.pixels.copy()
    pixels[2, 1, 3, 3] = bad
    assert list(images.with_pixels(pixels).finite()) == [True, True, False, True]


def test_objects_come_by_id_in_the_order_asked(images):
    assert list(images.rows_of(["b", "d"])) == [3, 0] and list(images.rows_of("a")) == [1]
    picked = images.select(["c", "a"])
    assert list(picked.id) == ["c", "a"] and np.array_equal(picked.pixels, images.pixels[[2, 1]])


@pytest.mark.parametrize(
    "known, unknown",
    [
        (np.array(["a", "b"]), "z"),
        (np.array(["a", "b"]), "ab"),
        (np.array([3, 1]), 2),
        (np.array([3, 1]), 99),
        (np.array([3, 1]), "a"),
        (np.array([], dtype=int), 1),
    ],
)
def test_an_unknown_id_is_a_key_error_that_names_it(known, unknown):
    with pytest.raises(KeyError, match=repr(unknown)):
        rows_of(known, [unknown])
    assert list(rows_of(known, list(known[::-1]))) == list(range(len(known)))[::-1]


@pytest.mark.parametrize("given", [[5.87722981742084099e17], [1.5], [None], [True], [np.nan]])
def test_an_id_that_is_no_whole_number_is_not_taken_for_one(given):
    with pytest.raises(KeyError, match="not whole numbers"):
        rows_of(np.arange(3) + 587722981742084096, given)
    assert rows_of(np.arange(3), [2.0]).tolist() == [2]
