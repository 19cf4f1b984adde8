"""Change of variables by hand and learned: determinants against finite differences, inverses, areas."""

import numpy as np
import pytest

from galnb import bending, density
from galnb.bending import Bend, Coupling
from galnb.errors import BadInput

U = np.random.default_rng(0).normal(size=(40, 2))


def by_hand():
    return Bend([Coupling(0.6, 1.1, 1.3, 1), Coupling(-0.4, 0.8, 0.7, 0), Coupling(0.5, -0.6, 2.0, 1)])


@pytest.fixture(scope="module", params=["hand", *bending.KINDS])
def bend(request):
    if request.param == "hand":
        return by_hand()
    return bending.learn(bending.target("moons", 500), request.param, layers=3, steps=40)


@pytest.mark.parametrize("depth", [0, 0.4, 1, 2.7, 3])
def test_the_determinant_is_that_of_finite_differences(bend, depth):
    step = 1e-5
    ends = [(bend.forward(U + e, depth) - bend.forward(U - e, depth)) / (2 * step) for e in step * np.eye(2)]
    numeric = np.stack(ends, axis=-1)
    assert np.allclose(bend.jacobian(U, depth), numeric, atol=1e-6)
    assert np.allclose(np.log(np.linalg.det(numeric)), bend.log_det(U, depth), atol=1e-6)


@pytest.mark.parametrize("depth", [0, 0.4, 1, 2.7, 3])
def test_the_inverse_of_forward_is_where_one_began(bend, depth):
    assert np.abs(bend.inverse(bend.forward(U, depth), depth) - U).max() < 1e-10


def test_a_small_square_grows_by_the_determinant(bend):
    for center in U[:10]:
        small = bending.square(center, 1e-3)
        grown = bending.area(bend.forward(small)) / bending.area(small)
        assert grown == pytest.approx(float(np.exp(bend.log_det(center))), rel=1e-3)


def test_the_density_integrates_to_one():
    grid = bending.mesh(cells=400, extent=9.0)
    total = np.exp(by_hand().log_prob(grid)).sum() * (18 / 400) ** 2
    assert total == pytest.approx(1, abs=1e-3)


def test_layers_of_a_flow_weigh_as_the_flow_does():
    points = bending.target("ring", 400)
    flow = density.fit(points.astype("f4"), "realnvp", transforms=4, hidden=(16,), steps=50)
    bend = bending.layers_of(flow)
    assert len(bend) == 4 and [layer.moves for layer in bend.layers] == [0, 1, 0, 1]
    assert np.allclose(bend.log_prob(points), flow.log_prob(points), atol=1e-3)


@pytest.mark.parametrize("name", bending.TARGETS)
def test_a_target_has_the_mean_and_the_covariance_of_the_gaussian(name):
    points = bending.target(name, 500)
    assert np.allclose(points.mean(0), 0, atol=1e-12) and np.allclose(np.cov(points.T), np.eye(2))
    assert Bend([]).log_prob(points).mean() == pytest.approx(-np.log(2 * np.pi) - 1, abs=0.01)


def test_what_learns_gets_better_than_the_gaussian_by_more_than_half_a_nat():
    points = bending.target("moons", 1000)
    bend = bending.learn(points, layers=4, steps=300)
    assert bend.log_prob(points).mean() > Bend([]).log_prob(points).mean() + 0.5


def test_what_cannot_be_a_target_is_one_clear_error():
    with pytest.raises(BadInput, match="lie on a line"):
        bending.white(np.stack([np.arange(99.0), 2 * np.arange(99.0)], 1))
    with pytest.raises(BadInput, match="wanted"):
        bending.white(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="did you mean 'ring'"):
        bending.target("rings")
    with pytest.raises(ValueError, match="wanted 0 to 3 layers"):
        by_hand().forward(U, 4)


def test_a_figure_shows_both_sides_and_the_scale():
    assert len(bending.figure(by_hand(), 2.5, bending.target("ring")).axes) == 3
