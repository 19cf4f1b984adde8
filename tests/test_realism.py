import numpy as np
import pytest
from astropy.table import Table

from galnb import realism
from galnb.conditions import CONDITIONS, measure
from galnb.images import Images


def galaxies(n=30, seed=0):
    """Elongated galaxies in two bands, (n, 2, 48, 48), and their angle and color."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48] - 23.5
    angle, color = rng.uniform(0, 180, n), rng.uniform(-1, 1, n)
    c, s = np.cos(np.radians(angle))[:, None, None], np.sin(np.radians(angle))[:, None, None]
    width = rng.uniform(4, 6, n)[:, None, None]
    light = np.exp(-((c * x + s * y) ** 2 + ((c * y - s * x) / 0.5) ** 2) / (2 * width**2))
    pixels = np.stack([light * 10 ** (0.4 * color)[:, None, None], light], 1)
    return Images(pixels + 0.002 * rng.normal(size=pixels.shape), bands=("r", "g")), angle, color


def test_conditions_are_measured_and_redder_is_larger_whatever_the_order_of_bands():
    images, angle, color = galaxies()
    for seen in (images, images["g", "r"]):
        table = measure(seen)
        assert tuple(table.colnames) == tuple(CONDITIONS)
        np.testing.assert_allclose(table["color"], color, atol=0.03)
        apart = (np.asarray(table["position_angle"]) - angle + 90) % 180 - 90
        assert np.abs(apart).max() < 3
    named_otherwise = Images(images.pixels[:, ::-1], bands=("one", "two"))
    np.testing.assert_allclose(measure(named_otherwise)["color"], color, atol=0.03)


def test_an_empty_picture_has_no_conditions_and_spoils_no_other():
    images, _, _ = galaxies(4)
    images.pixels[1] = 0
    table = measure(images)
    assert np.isnan(table["flux"][1]) and np.isnan(table["color"][1])
    assert np.isfinite(table["color"][[0, 2, 3]]).all()


def test_real_galaxies_are_not_told_from_others_of_their_kind_and_brighter_ones_are():
    rng = np.random.default_rng(0)
    table = Table({name: rng.normal(size=1200) for name in realism.PROPERTIES})
    brighter = table[600:].copy()
    brighter["flux"] = brighter["flux"] + 1.5
    assert realism.told_apart(table[:600], table[600:]) == pytest.approx(0.5, abs=0.06)
    assert realism.told_apart(table[:600], brighter) > 0.8
    apart = realism.distances(brighter, table[:600])
    assert apart["flux"] == pytest.approx(1.5, abs=0.15) and apart["color"] < 0.2


def test_control_is_perfect_of_what_is_asked_for_and_none_of_what_is_not():
    rng = np.random.default_rng(0)
    asked = Table(
        {
            "flux": rng.normal(size=500),
            "ellipticity": rng.random(500),
            "position_angle": rng.uniform(0, 180, 500),
        }
    )
    turned = asked.copy()
    turned["position_angle"] = (asked["position_angle"] + 7) % 180
    turned["flux"] = rng.normal(size=500)
    turned["flux"][3] = np.nan
    scores = realism.control(asked, turned)
    assert scores["ellipticity"] == pytest.approx(1) and abs(scores["flux"]) < 0.15
    assert scores["position_angle"] == pytest.approx(7)


def test_a_copy_is_found_out_however_it_is_turned():
    known, _, _ = galaxies(40)
    turned = np.rot90(known.pixels[[5, 17]], 1, (2, 3))[..., ::-1]
    strange, _, _ = galaxies(20, seed=1)
    rows, apart = realism.nearest(
        Images(np.concatenate([turned, strange.pixels]), bands=known.bands), known, batch=7
    )
    assert rows[:2].tolist() == [5, 17] and apart[:2].max() < 1e-6 < 10 * apart[2:].min()
