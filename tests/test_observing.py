"""Galaxies through a survey: what must be conserved, blurred and added, against analytic answers."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from galnb.errors import BadInput, BandMismatch, MissingPackage
from galnb.images import Images
from galnb.instruments import ACS, DES, EUCLID, INSTRUMENTS, LSST, SDSS
from galnb.observing import SDSS_PICTURES, linear, observe

galsim = pytest.importorskip("galsim")


def disks(n=2, *, scale=0.1, size=64, radius=0.4, bands=("g", "r", "i")):
    """Exponential disks of half-light radius `radius` arcsec without noise or PSF, drawn by GalSim."""
    disk = galsim.Exponential(half_light_radius=radius).shear(g1=0.1)
    plane = disk.drawImage(nx=size, ny=size, scale=scale).array
    pixels = np.broadcast_to(plane, (n, len(bands), size, size)) * np.arange(1, len(bands) + 1)[:, None, None]
    return Images(pixels, np.array([f"galaxy {i}" for i in range(n)]), bands, pixel_scale=scale)


def half_light_radius(seen):
    """Arcseconds around the center of an image without noise that hold half of its light."""
    y, x = np.indices(seen.shape) - (np.array(seen.shape)[:, None, None] - 1) / 2
    order = np.argsort(np.hypot(x, y).ravel())
    grown = seen.pixels.sum(axis=1).reshape(len(seen), -1)[:, order].cumsum(axis=1)
    rows = [np.searchsorted(row, row[-1] / 2) for row in grown]
    return np.hypot(x, y).ravel()[order][rows] * seen.pixel_scale


def points(scale):
    """One source that is narrow for a survey whose PSF is wider than three pixels of `scale`."""
    star = galsim.Gaussian(fwhm=1.5 * scale).drawImage(nx=33, ny=33, scale=scale, method="no_pixel")
    return Images(star.array[None, None], bands=("one",), pixel_scale=scale)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_flux_is_conserved(name):
    instrument = INSTRUMENTS[name]
    band = instrument.bands[-1]
    galaxies = disks(scale=0.05, radius=0.3)
    seen = observe(
        galaxies, name, magnitude=[20.0, 24.0], bands={band: ("r", "i")}, field_arcsec=40.0, noise=False,
        sharpen=True,
    )  # fmt: skip
    mean = 10 ** (0.4 * (31.4 - np.array([20.0, 24.0])))  # nJy, of g, r and i, which are as 1 to 2 to 3
    assert seen.pixels.sum(axis=(1, 2, 3)) == pytest.approx(mean * 2.5 / 2, rel=0.01)
    assert np.asarray(seen.table[f"magnitude_{band}"]) == pytest.approx(
        np.array([20.0, 24.0]) - 2.5 * np.log10(1.25), abs=1e-4
    )


def test_without_a_magnitude_pixels_are_njy_already():
    galaxies = disks(bands=("r",))
    seen = observe(galaxies, LSST, field_arcsec=30.0, noise=False)
    assert seen.pixels.sum() == pytest.approx(galaxies.pixels.sum(), rel=0.01)


@pytest.mark.parametrize(("instrument", "band"), [(i, i.bands[0]) for i in INSTRUMENTS.values()], ids=str)
def test_a_point_gets_the_width_of_the_surveys_psf(instrument, band):
    width = instrument[band].fwhm_arcsec
    fine = replace(instrument, pixel_scale=width / 20)  # so that the width can be read off the pixels
    seen = observe(points(width / 20), fine, bands={band: "one"}, field_arcsec=8 * width, noise=False)
    found = galsim.Image(seen.pixels[0, 0].astype(float), scale=fine.pixel_scale).calculateFWHM()
    assert found == pytest.approx(width, rel=0.03)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_the_noise_is_the_analytic_one(name):
    instrument = INSTRUMENTS[name]
    band = instrument.bands[0]
    galaxies = disks(1, scale=0.05, radius=0.2)
    options = {"magnitude": 30.0, "bands": {band: "r"}, "field_arcsec": 400 * instrument.pixel_scale}
    seen = observe(galaxies, name, **options, sharpen=True).pixels
    noise = seen - observe(galaxies, name, **options, sharpen=True, noise=False).pixels
    assert noise.std() == pytest.approx(instrument.noise_njy(band), rel=0.01)  # of 160,000: 0.2 %
    assert abs(noise.mean()) < 5 * instrument.noise_njy(band) / 400
    assert abs(np.corrcoef(noise[0, 0, 1:].ravel(), noise[0, 0, :-1].ravel())[0, 1]) < 0.015


def test_a_galaxys_own_photons_are_noisy_too():
    flat = Images(np.full((1, 1, 64, 64), 1e5), bands=("r",), pixel_scale=0.4)
    options = {"field_arcsec": 64 * 0.4}
    truth = observe(flat, DES, noise=False, **options).pixels[0, 0, 20:-20, 20:-20]
    noise = observe(flat, DES, **options).pixels[0, 0, 20:-20, 20:-20] - truth
    band = DES["r"]
    variance = DES.noise_njy("r") ** 2 + truth.mean() / band.electrons_per_njy
    assert noise.std() == pytest.approx(variance**0.5, rel=0.06)
    assert variance**0.5 > 3 * DES.noise_njy("r")


def test_a_star_at_the_depth_has_the_signal_to_noise_of_the_depth():
    star = points(0.1)
    seen = observe(star, LSST, bands={"r": "one"}, magnitude=LSST.depth("r", snr=20.0), field_arcsec=12.0)
    # a little wider than a point, and its pixels are not weighed between
    assert seen.table["signal_to_noise_r"][0] == pytest.approx(20.0, rel=0.05)


def test_the_seed_and_the_id_decide_and_nothing_else():
    galaxies = disks(4)
    options = {"magnitude": 22.0, "seed": 3}
    seen = observe(galaxies, DES, **options)
    assert np.array_equal(seen.pixels, observe(galaxies, DES, **options).pixels)
    some = observe(galaxies[[2, 1]], DES, **options)
    assert np.array_equal(some.pixels, seen.pixels[[2, 1]])
    other = observe(galaxies, DES, magnitude=22.0, seed=4)
    assert not np.array_equal(other.pixels, seen.pixels)
    noise = seen.pixels - observe(galaxies, DES, **options, noise=False).pixels
    apart = np.corrcoef(noise.reshape(12, -1)) - np.eye(12)
    assert np.abs(apart).max() < 0.3  # each galaxy and band has its own


def test_the_half_light_radius_grows_with_the_seeing_nearly_in_quadrature():
    galaxies = disks(1, scale=0.2, size=96, radius=1.5, bands=("r",))
    for fwhm in (0.7, 1.3, 2.5):
        seeing = galsim.Kolmogorov(fwhm=fwhm)
        survey = replace(LSST, filters=(replace(LSST["r"], fwhm_arcsec=fwhm),))
        found = half_light_radius(observe(galaxies, survey, field_arcsec=40.0, noise=False))[0]
        disk = galsim.Convolve(galsim.Exponential(half_light_radius=1.5).shear(g1=0.1), seeing)
        assert found == pytest.approx(disk.calculateHLR(size=400, scale=0.1), rel=0.02)
        assert found == pytest.approx(np.hypot(1.5, seeing.half_light_radius), rel=0.1)


def test_deconvolving_what_the_input_holds_gives_what_the_sky_would_have_given():
    sky = disks(1, scale=0.1, size=96, radius=0.8, bands=("r",))
    blurred = observe(
        sky,
        replace(LSST, pixel_scale=0.1, filters=(replace(LSST["r"], fwhm_arcsec=0.5),)),
        field_arcsec=9.6,
        noise=False,
    )
    direct = observe(sky, SDSS, field_arcsec=12.0, noise=False).pixels
    again = observe(blurred, SDSS, field_arcsec=12.0, noise=False, psf_fwhm_arcsec=0.5).pixels
    twice = observe(blurred, SDSS, field_arcsec=12.0, noise=False).pixels
    assert np.abs(again - direct).max() < 0.02 * direct.max()
    assert np.abs(twice - direct).max() > 0.04 * direct.max()


def test_a_galaxy_is_put_on_the_sky_at_the_size_that_is_asked_for():
    galaxies = replace(disks(2, scale=0.1, radius=0.8), pixel_scale=None)
    options = {"half_light_radius_arcsec": [0.5, 0.7], "bands": {"F814W": "r"}, "field_arcsec": 8.0}
    seen = observe(galaxies, ACS, magnitude=19.0, noise=False, **options)
    assert half_light_radius(seen) == pytest.approx([0.5, 0.7], rel=0.06)  # Airy wings


def test_ids_places_and_tables_are_kept():
    galaxies = replace(
        disks(3), ra=np.arange(3.0), dec=np.arange(3.0), table=Table({"kind": ["a", "b", "c"]})
    )
    seen = observe(galaxies, SDSS, magnitude=[17.0, 18.0, 19.0])
    assert seen.id.tolist() == galaxies.id.tolist() and seen.ra.tolist() == seen.dec.tolist() == [
        0.0,
        1.0,
        2.0,
    ]
    assert seen.bands == ("g", "r", "i") and seen.pixel_scale == 0.396
    assert seen.shape == (round(64 * 0.1 / 0.396),) * 2
    assert seen.table["kind"].tolist() == ["a", "b", "c"]
    snr = np.asarray(seen.table["signal_to_noise_r"])
    assert snr[0] > snr[2] > 5
    assert "magnitude_r" not in galaxies.table.colnames
    assert len(observe(galaxies[:0], SDSS, magnitude=20.0)) == 0


def test_linear_undoes_the_stretch_but_for_the_sky_and_what_is_saturated():
    light = disks(1).pixels.astype(float)
    light *= 0.9 * SDSS_PICTURES.inverse(np.ones((3, 1, 1))).max() / light.max()
    picture = SDSS_PICTURES(light + 0.02)
    assert picture.max() > 1  # as red as that, before as bright
    again = linear(Images(picture)).pixels
    clear = (picture <= 1).all(axis=1, keepdims=True) & np.ones(3, bool)[:, None, None]
    assert again[clear] == pytest.approx(light[clear], rel=1e-3, abs=2e-3 * light.max())
    assert (again[~clear] <= light[~clear] * (1 + 1e-3)).mean() > 0.6
    assert again.sum() < light.sum()


def bad():
    galaxies = disks()
    broken = galaxies.with_pixels(np.where(np.arange(2)[:, None, None, None] == 1, np.nan, galaxies.pixels))
    dark = galaxies.with_pixels(np.zeros_like(galaxies.pixels))
    homeless = replace(galaxies, pixel_scale=None)
    return {
        "a misspelt survey": (galaxies, "eucild", {}, ValueError, "'eucild' is not one of .*mean 'euclid'"),
        "no images": (galaxies.pixels, DES, {}, TypeError, "ndarray, wanted Images"),
        "NaN": (broken, DES, {}, BadInput, "id galaxy 1: 1 of 2 images have NaN"),
        "no scale": (homeless, DES, {}, BadInput, "no pixel_scale.*give half_light_radius_arcsec"),
        "no band of that name": (galaxies, EUCLID, {}, BandMismatch, "bands={'VIS': 'g'}"),
        "a missing band": (galaxies, DES, {"bands": {"z": "z"}}, BandMismatch, "there is no band 'z'"),
        "a band that the survey lacks": (galaxies, DES, {"bands": {"u": "g"}}, ValueError, "band='u'"),
        "no light": (dark, DES, {"magnitude": 20.0}, BadInput, "galaxy 0: its pixels add up to 0"),
        "nothing to measure": (dark, DES, {"half_light_radius_arcsec": 1.0}, BadInput, "no galaxy at its"),
        "a magnitude that is none": (galaxies, DES, {"magnitude": np.nan}, ValueError, "one finite number"),
        "three magnitudes": (galaxies, DES, {"magnitude": [20.0] * 3}, ValueError, r"shape \(3,\)"),
        "no size": (galaxies, DES, {"half_light_radius_arcsec": 0.0}, ValueError, "wanted more than 0"),
        "too sharp a survey": (galaxies, ACS, {"bands": {"F814W": "i"}}, BadInput, "0.1.*0.095.*sharpen"),
        "too blurred an input": (galaxies, DES, {"psf_fwhm_arcsec": 1.2}, BadInput, 'finer than 1.2".*0.88"'),
    }  # fmt: skip


@pytest.mark.parametrize("case", bad())
def test_bad_input_is_one_clear_error(case):
    images, instrument, options, kind, words = bad()[case]
    with pytest.raises(kind, match=words):
        observe(images, instrument, **options)


def test_without_galsim_it_says_what_to_install(monkeypatch):
    def without(name):
        raise ImportError(name)

    galaxies = disks()
    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingPackage, match=r"pip install 'galnb\[sim\]'"):
        observe(galaxies, DES, magnitude=20.0)
