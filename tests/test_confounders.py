from itertools import permutations

import numpy as np
import pytest
from astropy.table import Table

from galnb import confounders
from galnb.errors import BadInput
from galnb.images import Images

NAMES = ("flux", "half_light_radius")


def galaxies(n, radius=4.0, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48] - 23.5
    disk = np.exp(-np.hypot(x, y) * 1.678 / radius)
    return Images(disk + rng.normal(0, noise, (n, 2, 48, 48)) * 2**0.5, bands=("r", "g"))


def columns(n, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    flux, radius, noise, snr = np.exp(rng.normal(shift, 0.5, (4, n)))
    concentration = rng.normal(3, 0.3, n)
    return Table(
        {
            "flux": flux,
            "half_light_radius": radius,
            "concentration": concentration,
            "sky_noise": noise,
            "signal_to_noise": snr,
        }
    )


@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_size_and_noise_are_those_of_a_known_disk(noise):
    table = confounders.measure(galaxies(6, noise=noise))
    assert list(table.colnames) == list(confounders.CONFOUNDERS)
    np.testing.assert_allclose(table["half_light_radius"], 4, rtol=0.12)
    np.testing.assert_allclose(table["sky_noise"], noise, rtol=0.12)
    flux = 2 * np.pi * (4 / 1.678) ** 2
    np.testing.assert_allclose(table["signal_to_noise"], 0.5 * flux / (noise * np.sqrt(np.pi) * 4), rtol=0.2)


def test_an_empty_picture_and_one_without_noise_spoil_nothing():
    images = galaxies(3)
    images.pixels[0], images.pixels[1] = 0, images.pixels[1] > 0.3
    table = confounders.measure(images)
    assert np.isnan(table["flux"][0]) and np.isfinite(table["sky_noise"]).all()
    assert table["sky_noise"][1] == pytest.approx(1 / 255 / 12**0.5)


def test_pairs_are_the_best_of_all_ways_to_pair():
    a, b = columns(5, 1), columns(5, 2)
    rows, partners = confounders.pairs(a, b, NAMES, caliper=50)
    x, y = (confounders.scaled(t, NAMES, a) for t in (a, b))
    cost = lambda order: np.square(x - y[list(order)]).sum()  # noqa: E731
    assert cost(partners[np.argsort(rows)]) == pytest.approx(min(map(cost, permutations(range(5)))))


def test_within_the_caliper_as_many_as_possible_are_paired_and_each_once():
    a, b = columns(200, 1), columns(60, 2, 0.4)
    rows, partners = confounders.pairs(a, b, NAMES, caliper=0.3)
    assert len(set(rows)) == len(rows) == len(set(partners)) > 20
    x, y = (confounders.scaled(t, NAMES, a) for t in (a, b))
    assert np.abs(x[rows] - y[partners]).max() <= 0.3
    free = sorted(set(range(60)) - set(partners))  # whoever is left has no free observed galaxy near
    left = np.setdiff1d(np.arange(200), rows)
    assert not len(free) or (np.abs(x[left, None] - y[None, free]).max(axis=2) > 0.3).all()
    assert abs(confounders.balance(a, b, NAMES)["flux"]) > 0.5
    assert abs(confounders.balance(a[rows], b[partners], NAMES)["flux"]) < 0.15


def test_what_was_not_measured_has_no_partner():
    a, b = columns(30, 1), columns(30, 1)
    b["flux"][:10] = np.nan
    rows, partners = confounders.pairs(a, b, NAMES)
    assert set(rows) == set(partners) == set(range(10, 30))


def test_what_a_confounder_explains_is_expected():
    a, b = columns(600, 1), columns(300, 2, 0.7)
    law = lambda t, seed: (  # noqa: E731
        3 * np.log(t["flux"]) + np.random.default_rng(seed).normal(0, 0.1, len(t))
    )
    own, (theirs,) = confounders.expected(np.asarray(law(a, 0)), a, [b], NAMES)
    assert np.std(law(a, 0) - own) < 0.3 < 1.2 < np.std(law(a, 0))
    inside = b["flux"] < np.percentile(a["flux"], 97)
    assert abs(np.mean((law(b, 1) - theirs)[inside])) < 0.12


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda a: confounders.pairs(a, a, "mass"), "mass.*flux"),
        (lambda a: confounders.pairs(a, a, []), "wanted some of"),
        (lambda a: confounders.pairs(a, a, caliper=0), "caliper=0"),
        (lambda a: confounders.expected(np.full(40, np.nan), a, [a]), "0 galaxies were measured"),
        (lambda a: confounders.pairs(columns(6000), columns(6000)), "random part"),
    ],
)
def test_what_cannot_be_held_fixed_is_refused(ask, reason):
    with pytest.raises((BadInput, ValueError), match=reason):
        ask(columns(40))
