"""Measured against galaxies whose shape is known, and against photutils and statmorph."""

import warnings

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import gamma, gammainc, gammaincinv

from galnb.images import Images
from galnb.morphology import COLUMNS, measure

galsim = pytest.importorskip("galsim")

NOISE = 0.003
SHAPES = [(1.0, 0), *((q, angle) for q in (0.7, 0.5) for angle in (0, 30, 90, 135))]


def sersic(n, q=1.0, angle=0.0, radius=6.0, size=96, offset=(0, 0)):
    """A Sersic galaxy of flux 100 and circularised half-light radius `radius` px, (size, size)."""
    fast = galsim.GSParams(maxk_threshold=1e-2, maximum_fft_size=16384)
    galaxy = galsim.Sersic(n, half_light_radius=radius, flux=100, gsparams=fast)
    galaxy = galaxy.shear(q=q, beta=angle * galsim.degrees)
    return galaxy.drawImage(nx=size, ny=size, scale=1, offset=offset).array


def concentration(n):
    """5 log10(r80 / r20) of a Sersic profile within twice its Petrosian radius."""
    b = gammaincinv(2 * n, 0.5)
    inside = lambda r: gammainc(2 * n, b * r ** (1 / n))
    mean = lambda r: inside(r) * 2 * n * b ** (-2 * n) * gamma(2 * n) / r**2
    petrosian = brentq(lambda r: np.exp(-b * r ** (1 / n)) / mean(r) - 0.2, 0.3, 10)
    r20, r80 = ((gammaincinv(2 * n, s * inside(2 * petrosian)) / b) ** n for s in (0.2, 0.8))
    return 5 * np.log10(r80 / r20)


@pytest.fixture(scope="module")
def noisy():
    """Three galaxies under noise, the last with a lump beside its core: (4, 96, 96)."""
    drawn = [sersic(1, 0.6, 30), sersic(2.5, 0.5, 110, 7), sersic(4, 0.9, 10, 7), sersic(1)]
    y, x = np.mgrid[:96, :96]
    drawn[-1] = drawn[-1] + 0.3 * np.exp(-((x - 55) ** 2 + (y - 50) ** 2) / 8)
    return np.array(drawn) + np.random.default_rng(0).normal(0, NOISE, (4, 96, 96))


@pytest.mark.parametrize("background", ["corners", 0.0])
@pytest.mark.parametrize("n", [1, 2.5, 4])
def test_sersic_galaxies_measure_as_their_truth(n, background):
    table = measure(np.array([sersic(n, q, angle) for q, angle in SHAPES]), background=background)
    q, angle = np.array(SHAPES).T
    np.testing.assert_allclose(table["flux"], 100, rtol=0.05)
    np.testing.assert_allclose(table["half_light_radius"], 6, rtol=0.05)
    np.testing.assert_allclose(table["ellipticity"], 1 - q, atol=0.01)
    turned = (table["position_angle"][q < 1] - angle[q < 1] + 90) % 180 - 90
    assert np.abs(turned).max() < 0.5
    np.testing.assert_allclose(table["concentration"], concentration(n), rtol=0.06)
    assert np.abs(table["asymmetry"]).max() < 0.01


def test_concentration_of_a_well_resolved_galaxy_is_the_analytic_one():
    for n, rtol in ((1, 0.02), (2.5, 0.02), (4, 0.03)):
        found = measure(sersic(n, radius=10, size=128)[None], background=0.0)["concentration"][0]
        assert found == pytest.approx(concentration(n), rel=rtol)
    assert concentration(1) < concentration(2.5) < concentration(4)


def test_a_lopsided_galaxy_is_more_asymmetric_than_its_symmetric_twin_at_any_noise(noisy):
    clean = np.array([sersic(1), sersic(1)])
    clean[1, 50:53, 54:58] += 0.3
    for noise in (0, 0.001, 0.003):
        seen = clean + np.random.default_rng(1).normal(0, 1, clean.shape) * noise
        symmetric, lopsided = measure(seen, background=0.0)["asymmetry"]
        assert abs(symmetric) < 0.02 and lopsided > 0.08


def test_area_is_that_above_the_threshold():
    y, x = np.mgrid[:96, :96] - 47.5
    width, peak = 6.0, 1.0
    image = peak * np.exp(-(x**2 + y**2) / (2 * width**2))
    image = image + np.random.default_rng(0).normal(0, 0.02, (5, 96, 96))
    seen = width**2 + 1  # the limit is put to the image smoothed by one pixel
    for threshold in (1.5, 5.0):
        wanted = 2 * np.pi * seen * np.log(peak * width**2 / seen / (threshold * 0.02))
        found = measure(image, background=0.0, threshold=threshold)["area"]
        assert np.median(found) == pytest.approx(wanted, rel=0.04)


def test_shape_and_place_are_those_of_photutils():
    photutils = pytest.importorskip("photutils.segmentation")
    for n, q, angle in ((1, 0.6, 30), (1, 0.5, 110), (2.5, 0.7, 75)):
        image = sersic(n, q, angle, 4.0, 97, offset=(1.3, -2.4))
        mine = measure(image[None], background=0.0)[0]
        segments = photutils.SegmentationImage((image > 1e-3 * image.max()).astype(int))
        theirs = photutils.SourceCatalog(image.astype(float), segments)[0]
        assert mine["ellipticity"] == pytest.approx(np.squeeze(theirs.ellipticity.value), abs=0.02)
        turned = mine["position_angle"] - np.squeeze(theirs.orientation.value)
        assert abs((turned + 90) % 180 - 90) < 0.5
        np.testing.assert_allclose((mine["x"], mine["y"]), np.squeeze(theirs.centroid), atol=0.02)


def test_concentration_and_asymmetry_are_those_of_statmorph(noisy):
    statmorph = pytest.importorskip("statmorph")
    y, x = np.mgrid[:96, :96] - 47.5
    segments, weights = (np.hypot(x, y) < 28).astype(int), np.full((96, 96), NOISE)
    table = measure(noisy)
    for image, mine in zip(noisy, table, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = statmorph.source_morphology(image, segments, weightmap=weights)[0]
        assert mine["concentration"] == pytest.approx(theirs.concentration, rel=0.07)
        # Statmorph moves the centre to where the asymmetry is least; here it stays on the centroid.
        assert theirs.asymmetry - 0.01 < mine["asymmetry"] < 1.5 * max(theirs.asymmetry, 0.02)
    assert table["asymmetry"].argmax() == 3


def test_many_galaxies_measure_as_each_alone(noisy):
    together = measure(noisy)
    alone = [measure(image[None])[0] for image in noisy]
    for name in COLUMNS:
        assert np.array_equal(together[name], [row[name] for row in alone]), name


def test_images_and_arrays_measure_alike_on_the_mean_of_bands(noisy):
    cube = np.stack([noisy * 0.5, noisy * 1.5], axis=1).astype(np.float32)
    tables = [measure(Images(cube)), measure(cube), measure(cube.mean(axis=1))]
    for name in COLUMNS:
        assert np.array_equal(tables[0][name], tables[1][name]), name
        assert np.array_equal(tables[0][name], tables[2][name]), name
    assert {name: str(tables[0][name].unit or "") for name in COLUMNS} == COLUMNS


def test_flux_follows_the_unit_and_the_sky_is_taken_away(noisy):
    one, other = measure(noisy), measure(1e3 * noisy + 7e4)
    np.testing.assert_allclose(other["flux"], 1e3 * one["flux"], rtol=1e-6)
    for name in ("half_light_radius", "concentration", "ellipticity", "position_angle", "asymmetry"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_neighbor_is_masked():
    alone = sersic(1, 0.7, 30, radius=4)
    y, x = np.mgrid[:96, :96]
    crowded = alone + 0.5 * np.exp(-((x - 76) ** 2 + (y - 60) ** 2) / 8)
    one, other = measure(np.array([alone, crowded]), background=0.0)
    for name in ("flux", "half_light_radius"):
        assert other[name] == pytest.approx(one[name], rel=0.03)
    assert other["ellipticity"] == pytest.approx(one["ellipticity"], abs=0.01)


@pytest.mark.parametrize("spoil", [np.nan, np.inf, -np.inf, "blank", "negative", "constant"])
def test_what_cannot_be_measured_is_nan_and_the_rest_is_not_touched(noisy, spoil):
    images = noisy.copy()
    if isinstance(spoil, float):
        images[1, 3, 90] = spoil
    else:
        images[1] = {"blank": 0.0, "negative": -noisy[1], "constant": 5.0}[spoil]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table, whole = measure(images), measure(noisy)
    for name in COLUMNS:
        assert np.isnan(table[name][1]), name
        assert np.array_equal(table[name][[0, 2, 3]], whole[name][[0, 2, 3]]), name


@pytest.mark.parametrize("shape", [(0, 96, 96), (0, 3, 96, 96)])
def test_no_images_give_an_empty_table_with_all_columns(shape):
    table = measure(np.zeros(shape))
    assert len(table) == 0 and tuple(table.colnames) == tuple(COLUMNS)


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 3, 3), (2, 40, 64), (2, 64, 29)])
def test_tiny_and_oblong_images_do_not_crash(shape):
    image = np.zeros(shape)
    image[:, shape[1] // 2, shape[2] // 2] = 1
    assert len(measure(image)) == 2


def test_measuring_leaves_torchs_number_of_threads_alone(noisy):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        measure(noisy)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("background", ["corner", "0", None])
def test_a_mistyped_background_is_refused(background):
    with pytest.raises(ValueError, match="wanted 'corners' or a number"):
        measure(np.zeros((1, 32, 32)), background=background)


def test_one_bare_image_is_refused_with_the_shape_wanted():
    with pytest.raises(ValueError, match=r"\(32, 32\), wanted \(n, band, y, x\) or \(n, y, x\)"):
        measure(np.zeros((32, 32)))
