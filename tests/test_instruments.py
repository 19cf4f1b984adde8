"""The presets against what the surveys published."""

from dataclasses import replace

import numpy as np
import pytest

from galnb.instruments import ACS, DES, EUCLID, INSTRUMENTS, LSST, SDSS, named

galsim = pytest.importorskip("galsim")
EVERY = [(survey, band) for survey in INSTRUMENTS.values() for band in survey.bands]


def once(instrument):
    """The same with one exposure of each band."""
    return replace(instrument, filters=tuple(replace(band, exposures=1) for band in instrument.filters))


# Each with the noise, aperture and place in print. SDSS: a single epoch is 1.9 to 2.2 mag shallower than the
# Stripe 82 coadds of Jiang+2014, whose limits are those here less 2.05.
PUBLISHED = [
    (ACS, "F814W", {"aperture_arcsec": 0.24}, 27.2),  # Koekemoer+2007, abstract
    (EUCLID, "VIS", {"aperture_arcsec": 1.3, "snr": 10.0}, 25.6),  # McCracken+2025 (Q1), abstract
    *[
        (DES, band, {"aperture_arcsec": 1.95, "snr": 10.0}, depth)  # Abbott+2021 (DR2), abstract
        for band, depth in zip("griz", (24.7, 24.4, 23.8, 23.1), strict=True)
    ],
    *[
        (once(LSST), band, {}, depth)  # SMTN-002, single visit
        for band, depth in zip("ugrizy", (23.70, 24.97, 24.52, 24.13, 23.56, 22.55), strict=True)
    ],
    *[
        (LSST, band, {}, depth)  # Ivezic+2019, table 1; its throughput in y was lower than SMTN-002's
        for band, depth in zip("ugriz", (26.1, 27.4, 27.5, 26.8, 26.1), strict=True)
    ],
    *[
        (SDSS, band, {}, depth - 2.05)
        for band, depth in zip("ugriz", (23.9, 25.1, 24.6, 24.1, 22.8), strict=True)
    ],
]


@pytest.mark.parametrize(
    ("instrument", "band", "how", "depth"),
    PUBLISHED,
    ids=[f"{survey.name}-{band}-{survey[band].exposures}" for survey, band, _, _ in PUBLISHED],
)
def test_the_depth_that_follows_is_the_published_one(instrument, band, how, depth):
    assert instrument.depth(band, **how) == pytest.approx(depth, abs=0.3)


def test_sdss_is_deeper_than_where_it_begins_to_miss_stars():
    for band, limit in zip("ugriz", (22.0, 22.2, 22.2, 21.3, 20.5), strict=True):  # DR9: 95 % completeness
        assert limit < SDSS.depth(band) < limit + 1.2


def test_acs_is_as_noisy_as_the_blank_sky_of_cosmos():
    correlation = galsim.getCOSMOSNoise().drawImage(galsim.Image(41, 41, scale=0.03)).array
    y, x = np.mgrid[-4:5, -4:5]
    inside = np.argwhere(np.hypot(x, y) * 0.03 <= 0.12)
    apart = (inside[:, None] - inside + 20).reshape(-1, 2)
    measured = correlation[apart[:, 0], apart[:, 1]].sum() ** 0.5  # electrons a second in the aperture
    band = ACS["F814W"]
    electrons = ACS.noise_njy("F814W") * band.electrons_per_njy / (band.exposures * band.exposure_s)
    assert electrons * len(inside) ** 0.5 == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize(("instrument", "band"), EVERY, ids=[f"{s.name}-{b}" for s, b in EVERY])
def test_a_star_is_as_wide_as_in_the_surveys_images(instrument, band):
    wanted = instrument[band].fwhm_arcsec
    star = instrument.psf(band).drawImage(nx=401, ny=401, scale=wanted / 25, method="no_pixel")
    assert star.calculateFWHM() == pytest.approx(wanted, rel=0.01)
    assert instrument.psf(band).flux == pytest.approx(1)


def test_more_exposures_go_deeper_by_the_root_of_their_number():
    # to 0.1: the star's own photons, and read noise
    assert LSST.depth("r") - once(LSST).depth("r") == pytest.approx(1.25 * np.log10(184), abs=0.1)


def test_a_survey_is_found_by_its_name_and_a_misspelt_one_is_not():
    assert named("euclid") is EUCLID and named(DES) is DES
    with pytest.raises(ValueError, match="'euclidd' is not one of .*did you mean 'euclid'"):
        named("euclidd")
    with pytest.raises(ValueError, match="band='w' is not one of 'g', 'r', 'i', 'z'"):
        DES["w"]
