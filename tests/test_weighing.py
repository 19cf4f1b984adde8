"""Contours against the analytic circles of a Gaussian; rarity in words; draws in a place of a map."""

import numpy as np
import pytest

from galnb import contours, density, weighing
from galnb.errors import BadInput
from galnb.reduce import Plane


@pytest.fixture(scope="module")
def gaussian():
    z = np.random.default_rng(0).normal(size=(4000, 5)) * (3, 2, 1, 1, 1)
    return z.astype("f4"), density.fit(z, "gmm", components=1)


def test_contours_of_a_gaussian_are_the_circles_of_the_chi_square_law():
    xy = np.random.default_rng(1).normal(size=(100_000, 2))
    found = contours.regions(xy, components=1)
    for share, level, lines in zip(found.shares, found.levels, found.lines, strict=True):
        [circle] = lines
        radius = np.sqrt(-2 * np.log(1 - share))
        assert np.array_equal(circle[0], circle[-1])  # it is closed
        assert np.abs(np.hypot(*circle.T) / radius - 1).max() < 0.06  # of 5,000 points that were fitted
        assert abs(level - (-np.log(2 * np.pi) - radius**2 / 2)) < 0.15


def test_each_region_holds_its_share_of_the_points_whatever_their_shape():
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, 3000)
    xy = 3 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.2 * rng.normal(size=(3000, 2))
    found = contours.regions(xy, [0.5, 0.9])
    for share, lines in zip(found.shares, found.lines, strict=True):
        inside = np.zeros(len(xy), dtype=int)
        for line in lines:  # within an odd number of boundaries: a ring has two
            inside += weighing.within(line)(xy)
        assert abs((inside % 2).mean() - share) < 0.01
    assert len(found.lines[1]) >= 2


def test_a_plane_that_is_a_line_is_one_clear_error():
    with pytest.raises(BadInput, match="constant"):
        contours.regions(np.stack([np.arange(50.0), np.zeros(50)], 1))
    with pytest.raises(BadInput, match=r"wanted \(n, 2\)"):
        contours.regions(np.zeros((5, 3)))


def test_what_is_weighed_once_is_what_density_says_one_at_a_time(gaussian):
    z, fitted = gaussian
    found = weighing.weighed(fitted, z[:200])
    assert np.array_equal(found.log_p, fitted.log_prob(z[:200]))
    assert np.allclose(found.rarity, density.rarity(fitted, z[:200]))
    assert np.allclose(np.abs(found.sigmas), density.typicality(fitted, z[:200]), atol=1e-5)
    assert found.rarity.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "share, words",
    [
        (1 / 340, "1 in 340 of"),
        (1 / 3456, "1 in 3,400 of"),
        (0.62, "62 % of"),
        (0.0, "fewer than 1 in 3,300 of"),
        (1.0, "100 % of"),
        (np.nan, "not known"),
    ],
)
def test_a_rarity_in_words_is_never_one_in_infinity(share, words):
    assert weighing.rarity_words(share, 10_000).startswith(words)


def test_draws_lie_where_they_were_asked_for_and_say_how_likely_that_is(gaussian):
    z, fitted = gaussian
    plane = Plane(z)
    square = [(1, 1), (4, 1), (4, 3), (1, 3)]
    found = weighing.draw_here(fitted, plane, weighing.within(square), 200)
    xy = plane.place(found.z)
    assert len(xy) == 200 and ((xy > 1) & (xy < (4, 3))).all()
    share = weighing.within(square)(plane.place(fitted.sample(50_000))).mean()
    assert found.fell / found.tried == pytest.approx(share, rel=0.1)
    assert found.words.startswith("1 in 1") and found.words.endswith(" of what the density draws falls here")
    latents = found.latents()
    assert latents.id[0] == "drawn 1" and np.allclose(latents["log_p"], fitted.log_prob(found.z))


def test_a_place_that_is_too_unlikely_says_so(gaussian):
    z, fitted = gaussian
    found = weighing.draw_here(fitted, Plane(z), weighing.around([90, 90], 1.0), 5, batch=100)
    assert len(found.z) == 0 == len(found.latents())
    assert found.words.startswith("None of 10,000 draws fell here") and "1 in 3,300" in found.words


def test_a_plane_that_cannot_place_draws_says_so(gaussian):
    z, fitted = gaussian
    with pytest.raises(BadInput, match="cannot place"):
        weighing.draw_here(fitted, Plane(z, xy=z[:, :2]), weighing.around([0, 0], 1.0))


def test_places_are_those_near_one_of_several():
    inside = weighing.around([(0, 0), (10, 0)], (1.0, 2.0))
    places = [(0, 1.9), (0.9, 0), (1.1, 0), (10, -1.9), (5, 0)]
    assert inside(places).tolist() == [True, True, False, True, False]


def test_learning_is_watched_and_ended_by_what_the_watcher_raises():
    z, steps = np.random.default_rng(0).normal(size=(300, 2)), []

    def watch(flow, step):
        steps.append(step)
        if step == 3:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        density.fit(z, "realnvp", transforms=2, hidden=(8,), steps=50, watch=watch)
    assert steps == [1, 2, 3]
