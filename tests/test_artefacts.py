"""Artefacts put into simulated galaxies at known places are found, and clean galaxies are left alone."""

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import gammaincinv

from galnb.artefacts import (
    CLASSES,
    FEATURES,
    ArtefactModel,
    features,
    flags,
    scores,
    share_in_top,
)
from galnb.images import Images

SIZE, NOISE, N = 64, 0.01, 60


def sersic(rng, *, radius=None, x0=0.0, y0=0.0):
    """A noiseless galaxy of peak 1, seen through a PSF of 3 pixels: (3, y, x)."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius = np.exp(rng.uniform(np.log(3.2), np.log(7))) if radius is None else radius
    q, angle, n = rng.uniform(0.3, 1), rng.uniform(0, np.pi), rng.uniform(0.8, 4)
    u = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    v = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    r = np.sqrt(q * u**2 + v**2 / q + 0.1) / radius
    plane = gaussian_filter(np.exp(-gammaincinv(2 * n, 0.5) * r ** (1 / n)), 1.3)
    return plane / plane.max() * rng.uniform(0.5, 1, 3)[:, None, None]


@pytest.fixture(scope="module")
def clean():
    """Galaxies with noise, (n, 3, y, x)."""
    rng = np.random.default_rng(0)
    drawn = np.array([sersic(rng) for _ in range(4 * N)])
    return drawn + rng.normal(0, NOISE, drawn.shape)


def with_band(pixels, rng):
    """The same with one band NaN, zero, or only noise."""
    for k, galaxy in enumerate(pixels):
        galaxy[rng.integers(3)] = (np.nan, 0.0, rng.normal(0, NOISE, (SIZE, SIZE)))[k % 3]


def with_saturated(pixels, rng):
    """The same with a band too bright: cut off in the core, or washed out by its sky."""
    for k, galaxy in enumerate(pixels):
        band = galaxy[rng.integers(3)]
        if k % 2:
            np.minimum(band * 20, 1, out=band)
        else:
            band += rng.uniform(0.6, 2)


def with_trail(pixels, rng):
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    for k, galaxy in enumerate(pixels):
        angle, offset, width = rng.uniform(0, np.pi), rng.uniform(-20, 20), rng.uniform(0.9, 1.5)
        light = rng.uniform(5, 40) * NOISE
        trail = light * np.exp(-(((x * np.cos(angle) + y * np.sin(angle) - offset) / width) ** 2) / 2)
        galaxy[k % 3 if k % 2 else slice(None)] += trail  # in one band or in all


def with_edge(pixels, rng):
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    for k, galaxy in enumerate(pixels):
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(4, 24)
        beyond = x * np.cos(angle) + y * np.sin(angle) > offset
        if k % 3 == 0:
            beyond = (x > offset) | (y < -rng.uniform(4, 24))
        galaxy[:, beyond] = 0.0 if k % 2 else np.nan


def with_blend(pixels, rng):
    for galaxy in pixels:
        far, angle = rng.uniform(13, 24), rng.uniform(0, 2 * np.pi)
        other = sersic(rng, radius=4, x0=far * np.cos(angle), y0=far * np.sin(angle))
        mine = np.clip(galaxy.mean(axis=0), 3 * NOISE, None).sum() - 3 * NOISE * SIZE**2
        galaxy += other * rng.uniform(1.5, 5) * mine / other.mean(axis=0).sum()


def with_star(pixels, rng):
    """A point instead of a galaxy, or a bright star with four spikes."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    for k, galaxy in enumerate(pixels):
        turned = rng.uniform(0, np.pi / 2)
        u, v = x * np.cos(turned) + y * np.sin(turned), y * np.cos(turned) - x * np.sin(turned)
        r = np.hypot(x, y)
        star = np.exp(-((r / 1.3) ** 2) / 2)
        if k % 2:
            arms = [np.exp(-((a / 1.2) ** 2) / 2) * np.exp(-np.abs(b) / 12) for a, b in ((u, v), (v, u))]
            star = 3 * star + 0.5 * sum(arms) + 0.3 * np.exp(-r / 8)
        galaxy[:] = star + rng.normal(0, NOISE, galaxy.shape)


@pytest.mark.parametrize("kind", CLASSES)
def test_at_least_nine_in_ten_of_each_artefact_are_found(clean, kind):
    pixels = clean[: 3 * N].copy()
    globals()[f"with_{kind}"](pixels[:N], np.random.default_rng(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = flags(Images(pixels))
    assert np.mean(found[kind][:N]) >= 0.9
    assert np.mean(found["artefact"][N:]) <= 0.05
    assert np.array_equal(found["artefact"], np.any([found[name] for name in CLASSES], axis=0))


def test_at_most_one_clean_galaxy_in_twenty_is_flagged(clean):
    for pixels in (clean, 1e3 * clean, np.round(255 * np.clip(clean, 0, 1)) / 255, clean[:, :1]):
        assert np.mean(flags(Images(pixels))["artefact"]) <= 0.05


def test_features_do_not_depend_on_the_unit_nor_on_the_company(clean):
    whole = features(Images(clean[:8]), typical_radius=6.0)
    scaled = features(Images(1e3 * clean[:8]), typical_radius=6.0)
    alone = features(Images(clean[3:4]), typical_radius=6.0)
    for name in FEATURES:
        np.testing.assert_allclose(scaled[name], whole[name], rtol=0.02, atol=1e-3, err_msg=name)
        np.testing.assert_allclose(alone[name][0], whole[name][3], rtol=1e-5, atol=1e-6, err_msg=name)
    assert str(whole["radius"].unit) == "pix" and tuple(whole.colnames) == tuple(FEATURES)


def test_shares_are_those_that_were_put_in(clean):
    pixels = clean[:3].copy()
    pixels[0, 1, :16] = np.nan
    pixels[1, :, :, :8] = 0.0
    pixels[2, 2, :8, :8] = 9.0
    table = features(Images(pixels))
    np.testing.assert_allclose(table["missing"], [1 / 4, 0, 0], atol=1e-9)
    np.testing.assert_allclose(table["empty"], [0, 1 / 8, 0], atol=0.01)
    assert table["saturated"][2] == pytest.approx(64 / SIZE**2, abs=1e-6)


def test_a_neighbor_has_the_flux_that_it_was_given():
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    spot = lambda x0: np.exp(-((x - x0) ** 2 + y**2) / 18)
    pixels = spot(0) + 0.7 * spot(20) + np.random.default_rng(0).normal(0, 0.003, (SIZE, SIZE))
    assert features(Images(pixels[None, None]))["neighbor"][0] == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize("angle", [0, 33, 90, 141])
def test_a_line_is_as_bright_as_it_was_drawn(angle):
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    across = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    pixels = np.random.default_rng(0).normal(0, NOISE, (4, 1, SIZE, SIZE))
    for k, strength in enumerate((0, 2, 3, 4)):
        pixels[k, 0, np.abs(across - 10) <= 1] += strength * NOISE
    found = np.asarray(features(Images(pixels))["line"])
    truth = np.array([2, 3, 4])
    assert np.all(found[1:] <= truth + 0.1) and np.all(found[1:] >= 0.4 * truth) and found[0] < 1.2


@pytest.mark.parametrize(
    "shape", [(2, 3, 1, 1), (2, 1, 5, 5), (2, 2, 12, 31), (2, 3, 150, 130), (2, 1, 300, 300)]
)
def test_small_oblong_and_large_images_are_measured(shape):
    pixels = np.random.default_rng(0).normal(0, 1, shape)
    table = flags(Images(pixels))
    assert len(table) == 2 and table.colnames == [*CLASSES, "artefact"]


def test_one_band_has_no_odd_band(clean):
    table = features(Images(clean[:5, :1]))
    for name in ("dark", "disagreement", "sky_excess"):
        assert np.all(table[name] == 0), name


def test_nothing_gives_empty_tables_with_all_columns():
    none = Images(np.zeros((0, 3, SIZE, SIZE)))
    assert features(none).colnames == list(FEATURES) and len(features(none)) == 0
    assert len(flags(none)) == 0 and ArtefactModel().probability(features(none)).shape == (0,)


def test_images_of_nothing_at_all_are_bad_bands():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = flags(Images(np.full((2, 3, SIZE, SIZE), [[[[0.0]]], [[[np.nan]]]])))
    assert found["band"].all() and not found["star"].any()


def test_limits_change_by_name_and_a_wrong_one_is_refused(clean):
    table = features(Images(clean[:40]))
    assert not flags(table)["trail"].any()
    assert flags(table, limits={"line": 0.1})["trail"].all()
    with pytest.raises(ValueError, match="did you mean 'neighbor'"):
        flags(table, limits={"neighbour": 1.0})
    with pytest.raises(ValueError, match="positive"):
        flags(table, limits={"line": 0.0})


@pytest.fixture(scope="module")
def votes(clean):
    """Features, latents and votes of a person who calls elongated galaxies artefacts."""
    table = features(Images(clean))
    latents = np.random.default_rng(0).normal(size=(len(table), 4))
    return table, latents, np.asarray(table["ellipticity"]) > 0.4


def test_a_person_who_means_something_else_is_learned_from_votes(votes):
    table, latents, meant = votes
    model = ArtefactModel().fit(table[::2], meant[::2])
    seen = model.probability(table[1::2])
    assert np.mean((seen > 0.5) == meant[1::2]) > 0.9 and seen.min() >= 0 and seen.max() <= 1
    by_latents = ArtefactModel().fit(table[::2], latents[::2, 0] > 0, latents=latents[::2])
    seen = by_latents.probability(table[1::2], latents=latents[1::2])
    assert np.mean((seen > 0.5) == (latents[1::2, 0] > 0)) > 0.9
    alone = ArtefactModel().fit(latents[::2], latents[::2, 0] > 0).probability(latents[1::2])
    assert np.mean((alone > 0.5) == (latents[1::2, 0] > 0)) > 0.9


def test_with_few_votes_the_flags_answer(votes, clean):
    pixels = clean[:40].copy()
    with_edge(pixels[:10], np.random.default_rng(2))
    table = features(Images(pixels))
    model = ArtefactModel().fit(table[:8], np.arange(8) < 4)
    assert np.array_equal(model.probability(table) > 0.5, flags(table)["artefact"])
    assert np.all(scores(table)["edge"] >= 0)
    with pytest.raises(ValueError, match="give the Table"):
        model.probability(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"votes have shape \(3,\), wanted \(8,\)"):
        model.fit(table[:8], [True, False, True])


def test_the_share_in_the_top_is_counted():
    order, flagged = np.array([3, 1, 0, 2]), np.array([False, True, False, True])
    assert [share_in_top(order, flagged, k) for k in (1, 2, 4, 99)] == [1.0, 1.0, 0.5, 0.5]
    assert np.isnan(share_in_top(order, flagged, 0))
