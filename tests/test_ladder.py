"""Simulations made to look like a survey's pictures: each step against what must come of it."""

from dataclasses import replace

import numpy as np
import pytest

from galnb.errors import BadInput, BandMismatch
from galnb.images import Images
from galnb.instruments import AB_NJY, SDSS
from galnb.looks import GALAXY_ZOO, Look, clipped
from galnb.observing import SDSS_PICTURES
from galnb.sky import SkyStock, smoothness
from galnb.sources.folder import Folder

galsim = pytest.importorskip("galsim")

from galnb.ladder import ladder, like_survey, njy, sdss_like  # noqa: E402

BANDS = GALAXY_ZOO.bands
LINEAR = {"stretch": False, "noise": False}
SCALE_LENGTH = 3.0  # arcsec, of the disks
FLUX_NJY = np.array([1.5e6, 1.0e6, 0.5e6])  # of i, r and g


def disks(n=1, *, scale=0.396, size=128):
    """Round exponential disks, drawn by GalSim, named "disk 0" and so on."""
    disk = galsim.Exponential(scale_radius=SCALE_LENGTH)
    plane = disk.drawImage(nx=size, ny=size, scale=scale).array
    pixels = np.broadcast_to(plane * FLUX_NJY[:, None, None], (n, 3, size, size))
    return Images(pixels, np.array([f"disk {i}" for i in range(n)]), BANDS, pixel_scale=scale)


def blank(n=12):
    """Sky with 0.1 nJy in all."""
    names = np.array([f"blank {i}" for i in range(n)])
    return Images(np.full((n, 3, 16, 16), 4e-4), names, BANDS, pixel_scale=0.396)


@pytest.fixture(scope="module")
def stock():
    """The sky of pictures that were simulated."""
    return SkyStock(like_survey(blank(24), r90_arcsec=7.0, size=48), stretch=SDSS_PICTURES)


def test_flux_is_conserved_in_linear_light():
    seen = like_survey(disks(), **LINEAR, field_arcsec=48.0, size=60)
    pixels = (48.0 / 60 / 0.396) ** 2  # survey pixels in one of the picture's
    # beyond 24 arcsec, which are 8 scale lengths, lie 0.3 % of a disk and 0.4 % of the PSF
    assert seen.pixels.sum(axis=(2, 3))[0] * pixels == pytest.approx(FLUX_NJY, rel=0.01)
    assert seen.bands == BANDS and seen.pixel_scale == pytest.approx(0.8)


def test_without_psf_it_is_the_profile_in_the_surveys_pixels():
    options = LINEAR | {"field_arcsec": 40 * 0.396, "size": 40}
    finer = disks(scale=0.2, size=256)
    sharp = like_survey(finer, **options, psf=False).pixels[0, 1]
    disk = galsim.Convolve(galsim.Exponential(scale_radius=SCALE_LENGTH), galsim.Pixel(0.2))
    truth = (
        galsim.Convolve(disk, galsim.Pixel(0.396))
        .drawImage(nx=40, ny=40, scale=0.396, method="no_pixel")
        .array
        * FLUX_NJY[1]
    )
    assert sharp == pytest.approx(truth, rel=0.01, abs=1e-3 * float(truth.max()))
    blurred = like_survey(finer, **options).pixels[0, 1]
    truth = galsim.Convolve(disk, galsim.Kolmogorov(fwhm=1.30)).drawImage(
        nx=40, ny=40, scale=0.396, method="no_pixel"
    )
    assert blurred == pytest.approx(truth.array * FLUX_NJY[1], rel=0.01, abs=1e-3 * float(sharp.max()))
    assert blurred.max() < 0.95 * sharp.max()


def test_the_noise_of_the_survey_is_in_linear_light():
    seen = like_survey(blank(1), stretch=False, field_arcsec=200 * 0.396, size=200).pixels[0]
    for plane, band in zip(seen, BANDS, strict=True):
        assert plane.std() == pytest.approx(SDSS.noise_njy(band), rel=0.02)  # of 40,000: 0.35 %


def test_the_field_is_as_wide_as_asked_in_petrosian_r90():
    found = like_survey(disks(), **LINEAR, size=207)
    # 0.2 of the mean inside at 3.64 scale lengths, in twice which are 99.4 % of the light, 90 % of it in 3.84
    assert found.table["r90_arcsec"][0] == pytest.approx(3.84 * SCALE_LENGTH, rel=0.03)
    y, x = np.mgrid[:207, :207] - 103
    plane = found.pixels[0, 1]
    inside = plane[np.hypot(y, x) <= 50].sum() * (found.table["r90_arcsec"][0] / 50 / 0.396) ** 2
    assert inside == pytest.approx(0.9 * 0.994 * FLUX_NJY[1], rel=0.01)


def test_rungs_differ_by_their_step_alone(stock):
    rungs = ladder(disks(2), sky=stock, seed=3)
    assert list(rungs) == ["profiles", "+ PSF", "+ noise", "+ real sky"]
    assert list(ladder(disks(1), size=20)) == ["profiles", "+ PSF", "+ noise"]
    alone = like_survey(disks(2), sky=stock, seed=3)
    assert np.array_equal(alone.pixels, rungs["+ real sky"].pixels)
    for images in rungs.values():
        assert images.shape == (69, 69) and images.bands == BANDS
        assert np.array_equal(images.table["r90_arcsec"], alone.table["r90_arcsec"])
    light = [images.pixels.sum() for images in ladder(disks(1), stretch=False).values()]
    assert light == pytest.approx([light[0]] * 3, rel=0.02)
    peaks = [rungs[name].pixels[:, 1].max() for name in ("profiles", "+ PSF")]
    assert peaks[0] > peaks[1] * 1.02


def test_where_there_is_no_light_real_sky_is_as_it_was(stock):
    picture = like_survey(blank(1), sky=stock, r90_arcsec=7.0, seed=5)
    sky = stock.compose(["blank 0"], size=69, seed=5).pixels
    levels = np.unique(
        SDSS_PICTURES(stock.images.pixels[np.isfinite(stock.images.pixels)].reshape(-1, 3, 1, 1))
    )
    assert picture.pixels.std() == pytest.approx(SDSS_PICTURES(sky).std(), rel=0.15)
    assert set(np.rint(picture.pixels * 255).ravel()) <= set(range(256)) and len(levels) > 3


def test_real_sky_has_the_level_scatter_and_smoothness_that_noise_has(stock):
    """The sky of simulated pictures, given back as real sky, is as it was."""
    galaxies = disks(12)
    options = {"r90_arcsec": 7.0, "size": 48}
    for images, close in ((blank(12), 0.12), (galaxies, 0.05)):
        noisy, real = (like_survey(images, sky=sky, **options).pixels for sky in (None, stock))
        assert real.mean() == pytest.approx(noisy.mean(), rel=close)
        assert real.std(axis=0).mean() == pytest.approx(noisy.std(axis=0).mean(), rel=0.15)
        if images is not galaxies:
            assert smoothness(real).mean() == pytest.approx(smoothness(noisy).mean(), abs=0.08)


def test_black_clips_noise_as_it_does_by_brute_force():
    noise = np.random.default_rng(0).normal(size=400_000)
    for mean in (-1.0, 0.0, 0.5, 4.0):
        brute = np.maximum(mean + 1.5 * noise, 0)
        assert clipped(np.array(mean), 1.5) == pytest.approx((brute.mean(), brute.std()), abs=0.01)


def test_steps_can_be_switched_off():
    options = {"field_arcsec": 30.0, "size": 40, "noise": False}
    seen = {
        name: like_survey(disks(), **options, **more).pixels
        for name, more in {
            "all": {}, "no JPEG": {"jpeg": None}, "no bits": {"bits": False}, "poor": {"jpeg": 20},
        }.items()
    }  # fmt: skip
    whole = {name: np.abs(np.rint(pixels * 255) - pixels * 255).max() < 1e-3 for name, pixels in seen.items()}
    assert whole == {"all": True, "no JPEG": True, "no bits": False, "poor": True}
    assert np.abs(seen["no JPEG"] - seen["no bits"]).max() <= 1.01 / 255
    assert (
        np.abs(seen["poor"] - seen["no JPEG"]).mean() > 1.5 * np.abs(seen["all"] - seen["no JPEG"]).mean() > 0
    )


def test_a_jpeg_makes_the_noise_of_bands_go_together():
    def together(**steps):
        planes = like_survey(blank(1), r90_arcsec=7.0, **steps).pixels[0].reshape(3, -1)
        return np.corrcoef(planes)[np.triu_indices(3, 1)]

    assert (together() > 0.7).all() and (np.abs(together(jpeg=None)) < 0.1).all()


def test_the_seed_and_the_id_decide_and_not_the_other_galaxies(stock):
    galaxies = disks(3)
    for sky in (None, stock):
        options = {"sky": sky, "size": 24, "seed": 3}
        seen = like_survey(galaxies, **options).pixels
        assert np.array_equal(like_survey(galaxies[[2, 1]], **options).pixels, seen[[2, 1]])
        assert not np.array_equal(seen[0], seen[1])
        assert not np.array_equal(like_survey(galaxies[:1], sky=sky, size=24, seed=4).pixels, seen[:1])


def test_linear_sky_of_the_survey_is_added_in_its_pixels():
    noise = np.random.default_rng(0).normal(size=(6, 3, 40, 40)) * 250.0
    sky = Images(noise, bands=BANDS, pixel_scale=0.396)
    seen = like_survey(blank(2), sky=sky, stretch=False, field_arcsec=60 * 0.396, size=60).pixels
    assert seen.std() == pytest.approx(250.0, rel=0.04)
    shown = like_survey(disks(1), sky=sky, field_arcsec=60 * 0.396, size=60)
    assert 0.0 < shown.pixels[..., :5].mean() < 0.1 < shown.pixels.max()


def test_other_looks_have_their_own_bands():
    grey = Look(SDSS, ("r",), (2000.0,), (0.0,), SDSS_PICTURES, 0.02, "r")
    assert like_survey(disks(1), grey, size=20).pixels.shape == (1, 1, 20, 20)
    with pytest.raises(ValueError, match="unit above 0 and a pedestal for each of 2 bands"):
        replace(GALAXY_ZOO, bands=("g", "r"))


def test_galaxies_like_those_of_sdss_depend_on_their_row_alone():
    galaxies = sdss_like(3, seed=1)
    assert np.array_equal(sdss_like(2, seed=1).pixels, galaxies.pixels[:2])
    flux = np.stack([galaxies.table[f"flux_{band}"] for band in galaxies.bands], axis=1)
    # a bulge's wings go on beyond the image
    assert galaxies.pixels.sum(axis=(2, 3)) == pytest.approx(flux, rel=0.04)
    magnitude = AB_NJY - 2.5 * np.log10(flux[:, 1])
    assert magnitude == pytest.approx(np.asarray(galaxies.table["magnitude_r"])) and (magnitude < 17).all()


def test_a_simulation_in_fits_cubes_gets_the_surveys_colors(shared_data):
    names = {band: f"sloan/sdss_{band}" for band in BANDS}
    counts = Folder(shared_data / "illustris_broadband_4" / "data", size=132).read()
    light = njy(counts, SDSS, bands=names)
    total = light.pixels.sum(axis=(2, 3))
    i_to_g = -2.5 * np.log10(total[:, 1:] / total[:, :-1])  # r-i and g-r
    assert ((i_to_g > 0.0) & (i_to_g < 1.0)).all()
    rungs = ladder(light[:1], size=32)
    assert rungs["+ noise"].pixels.shape == (1, 3, 32, 32) and rungs["+ PSF"].pixels.max() > 0.2


def test_the_sky_of_real_pictures_is_that_of_the_survey(shared_data):
    with np.load(shared_data / "gz2_7704.npz") as file:
        pixels = file["images"][:300].transpose(0, 3, 1, 2) / np.float32(255)
    stock = SkyStock(Images(pixels, bands=BANDS), stretch=SDSS_PICTURES)
    real = SDSS_PICTURES(stock.images.pixels)
    for sky, close in ((None, 0.15), (stock, 0.12)):
        seen = like_survey(blank(40), r90_arcsec=7.0, sky=sky, seed=1).pixels
        for band in range(3):
            levels = [np.median(np.nanmean(x[:, band], axis=(1, 2))) for x in (seen, real)]
            scatters = [np.median(np.nanstd(x[:, band], axis=(1, 2))) for x in (seen, real)]
            assert levels[0] == pytest.approx(levels[1], rel=close)
            assert scatters[0] == pytest.approx(scatters[1], rel=close)
        assert np.median(smoothness(seen)) == pytest.approx(np.median(smoothness(real)), abs=0.09)


def bad():
    good = disks(2)
    broken = good.with_pixels(np.where(np.arange(2)[:, None, None, None] == 1, np.nan, good.pixels))
    sky = Images(np.random.default_rng(0).random((4, 3, 32, 32)) / 20, bands=BANDS)
    flat = sky.with_pixels(np.full_like(sky.pixels, 0.1))
    return {
        "no images": (good.pixels, {}, TypeError, "ndarray, wanted Images"),
        "NaN": (broken, {}, BadInput, "id disk 1: 1 of 2 images have NaN"),
        "no scale": (replace(good, pixel_scale=None), {}, BadInput, "no pixel_scale.*half_light_radius"),
        "a missing band": (good["i", "r"], {}, BandMismatch, "there is no band 'g'"),
        "no light": (good.with_pixels(good.pixels * 0), {}, BadInput, "disk 0: no light in band 'i'"),
        "no galaxy": (blank(1), {}, BadInput, "blank 0: no Petrosian radius in band 'r'.*r90_arcsec"),
        "empty sky": (good, {"sky": flat}, BadInput, "none of its 4 pictures has empty sky"),
        "no sky at all": (good, {"sky": sky[:0]}, BadInput, "none of its 0 pictures has empty sky"),
        "a sky of other bands": (good, {"sky": sky.rename("g", "r", "z")}, BandMismatch, "no band 'i'"),
        "a stock of other bands": (
            good, {"sky": SkyStock(sky["g", "r"], stretch=SDSS_PICTURES)}, BandMismatch, "no band 'i'",
        ),
        "a stock in another order": (
            good, {"sky": SkyStock(sky["g", "r", "i"], stretch=SDSS_PICTURES)}, BandMismatch, "make the",
        ),
        "a sky of another scale": (good, {"sky": replace(sky, pixel_scale=0.2)}, BadInput, "0.2.*0.396"),
        "two radii": (good, {"r90_arcsec": [1.0, 2.0, 3.0]}, ValueError, r"r90_arcsec has shape \(3,\)"),
        "no radius": (good, {"r90_arcsec": 0.0}, ValueError, "r90_arcsec=0.0, wanted more than 0"),
        "no field": (good, {"field_r90": None}, ValueError, "wanted one of them"),
        "a field that is none": (good, {"field_r90": -1.0}, ValueError, "field_r90=-1.0"),
        "no pixels": (good, {"size": 0}, ValueError, "size=0"),
        "no such quality": (good, {"jpeg": 100}, ValueError, "jpeg=100, wanted a quality from 1 to 95"),
    }  # fmt: skip


@pytest.mark.parametrize("case", bad())
def test_bad_input_is_one_clear_error(case):
    images, options, kind, words = bad()[case]
    with pytest.raises(kind, match=words):
        like_survey(images, **options)
