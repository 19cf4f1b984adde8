import numpy as np
import pytest
from astropy.table import Table

from galnb.errors import BadInput
from galnb.features import RINGS, beside, measure
from galnb.images import Images
from galnb.ranking import rank

Y, X = np.mgrid[:64, :64] - 31.5
R = np.hypot(X, Y)
DISC = np.exp(-R / 8)
BANDS = ("i", "r", "g")


def images(*planes):
    """Galaxies of three bands each, over a faint sky of another brightness in each."""
    pixels = np.array([plane if np.ndim(plane) == 3 else np.stack(3 * [plane]) for plane in planes])
    return Images(pixels + np.array([0.02, 0.0, 0.05])[:, None, None], bands=BANDS)


def test_a_blue_core_is_blue_in_the_core_alone():
    blue = np.stack([DISC, DISC, DISC + 0.5 * np.exp(-((R / 2) ** 2))])
    plain, odd = measure(images(DISC, blue))
    assert odd["color_r_g_0"] < plain["color_r_g_0"] - 0.2
    assert abs(odd["color_i_r_0"] - plain["color_i_r_0"]) < 0.1
    for k in (2, 3, 4):
        assert abs(odd[f"color_r_g_{k}"] - plain[f"color_r_g_{k}"]) < 0.02


def test_a_tail_on_one_side_is_asymmetric_in_its_ring_and_one_on_both_is_not():
    spot = lambda x, y: 0.3 * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / 8)  # noqa: E731
    plain, one, both = measure(images(DISC, DISC + spot(12, 0), DISC + spot(12, 0) + spot(-12, 0)))
    assert one["asymmetry_3"] > plain["asymmetry_3"] + 0.01
    assert both["asymmetry_3"] == pytest.approx(plain["asymmetry_3"], abs=1e-6)
    assert both["clumpiness_3"] > plain["clumpiness_3"] + 0.01
    assert one["asymmetry_0"] == pytest.approx(plain["asymmetry_0"], abs=1e-3)


def test_quarter_turns_and_mirrors_change_nothing_that_is_measured_in_rings():
    galaxy = images(DISC + 0.2 * np.exp(-((X - 7) ** 2 + (Y + 3) ** 2) / 5) * (1 + X / 40))
    ways = [galaxy.pixels, np.rot90(galaxy.pixels, 1, (2, 3)), galaxy.pixels[..., ::-1]]
    found = measure(Images(np.concatenate(ways), bands=BANDS))
    for name in found.colnames[: (len(RINGS) - 1) * 5]:
        np.testing.assert_allclose(found[name], found[name][0], atol=1e-6, err_msg=name)


def test_brightness_is_the_mean_over_the_sky():
    found = measure(images(np.where(R < 2, 0.5, 0.0)))
    assert found["brightness_0"][0] == pytest.approx(0.5, abs=1e-6)
    assert found["brightness_3"][0] == pytest.approx(0.0, abs=1e-6)


def test_one_band_has_no_colors_and_an_image_that_is_not_finite_no_numbers():
    bad = DISC.copy()
    bad[3, 3] = np.nan
    found = measure(Images(np.stack([DISC, bad])[:, None], bands=("r",)))
    assert not any(name.startswith("color_") for name in found.colnames)
    assert np.isfinite(found["brightness_0"][0]) and all(np.isnan(found[n][1]) for n in found.colnames[:-1])
    assert len(measure(Images(np.zeros((0, 3, 64, 64)), bands=BANDS))) == 0


def test_what_is_not_known_is_filled_and_outliers_are_drawn_in():
    rng = np.random.default_rng(0)
    found = Table(
        {"id": np.arange(400), "name": ["a"] * 400, "x": rng.normal(size=400), "none": [np.nan] * 400}
    )
    found["x"][3], found["x"][4] = np.nan, 1e3
    both = beside(np.ones((400, 2)), found)
    assert both.shape == (400, 3) and np.isfinite(both).all()
    assert both[3, 2] == pytest.approx(np.nanmedian(found["x"]), abs=1e-6) and both[4, 2] < 300
    assert len(rank(both, {3: "interesting"}).order) == 400


@pytest.mark.parametrize("found", [np.zeros((3, 2)), np.zeros(4), Table({"id": [1, 2, 3, 4]})])
def test_features_of_other_galaxies_are_refused(found):
    with pytest.raises(BadInput, match=r"wanted \(4, k\), one row a galaxy"):
        beside(np.zeros((4, 2)), found)


def test_a_softness_that_is_none_is_refused():
    with pytest.raises(ValueError, match="softness=0"):
        measure(images(DISC), softness=0)


def test_a_few_votes_find_blue_cores_by_what_is_measured():
    rng = np.random.default_rng(0)
    n, wanted = 300, np.arange(300) < 20
    size, tone = rng.uniform(4, 10, n), rng.uniform(0.6, 1.4, (n, 3))
    discs = np.exp(-R / size[:, None, None])[:, None] * tone[:, :, None, None] / 2
    discs[wanted, 2] += 0.4 * np.exp(-((R / 2) ** 2))
    survey = Images(discs + rng.normal(0, 0.02, discs.shape), bands=BANDS)
    x = beside(np.zeros((n, 1)), measure(survey))
    votes = {
        row: "interesting" if wanted[row] else "ordinary" for row in (0, 1, 2, 3, 40, 90, 150, 200, 250, 299)
    }
    assert wanted[rank(x, votes).order[:20]].sum() >= 12
