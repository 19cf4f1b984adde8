"""Change of variables by hand and learned: determinants against finite differences, inverses, areas."""

import json

import numpy as np
import pytest

import galnb
from galnb import bending, density
from galnb.bending import Bend, Coupling
from galnb.errors import BadInput
from galnb.latents import Latents

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


# the panel


class Tab:
    """A browser's end of the panel."""

    def __init__(self, panel):
        self.bender, self.heard = panel.bender, []
        self.bender.send = lambda message, buffers=None: self.heard.append((message, buffers or []))

    def say(self, t, **message):
        first = len(self.heard)
        self.bender._handle_custom_msg({"t": t, **message}, [])
        for worker in (self.bender.slow, self.bender.worker):
            worker.wait()
        json.dumps([message for message, _ in self.heard[first:]], allow_nan=False)
        return {message["t"]: (message, buffers) for message, buffers in self.heard[first:]}


def layer(**values):
    return {"shift": 0.0, "scale": 0.0, "wiggle": 1.0, **values}


def test_a_slider_bends_the_grid_and_the_answer_has_its_number():
    here = galnb.bend(target="ring")
    tab = Tab(here)
    tab.say("hello")
    news = tab.say("set", layers=[layer(shift=1.5), layer(scale=0.5)], depth=1.5, seq=9)
    frame, [at, log_det, cloud] = news["frame"]
    assert (frame["seq"], frame["depth"], frame["of"]) == (9, 1.5, 2)
    corners = np.frombuffer(at, "<f4").reshape(-1, 2)[: 37 * 37]
    made = Bend([Coupling(shift=1.5), Coupling(scale=0.5, moves=0)])
    assert np.allclose(corners, made.forward(bending.mesh(cells=36).reshape(-1, 2), 1.5), atol=1e-5)
    assert len(log_det) == 4 * 36 * 36 and len(cloud) == 4 * 2 * 500
    assert news["score"][0]["mean"] == pytest.approx(here.mean_log_p)


def test_the_small_square_grows_by_the_determinant_that_is_read_out():
    tab = Tab(galnb.bend())
    for side in "ux":
        said, _ = tab.say("probe", x=0.4, y=-0.3, side=side)["probe"]
        assert said[side] == pytest.approx([0.4, -0.3])
        assert said["after"] / said["before"] == pytest.approx(said["det"], rel=0.05)
        assert said["log_x"] == pytest.approx(said["log_u"] - np.log(said["det"]))


def test_it_learns_in_the_background_tells_frames_and_can_be_reset():
    here = galnb.bend(target="moons")
    tab = Tab(here)
    tab.say("hello")
    here.learn("realnvp", layers=2, steps=60)
    frames = [message for message, _ in tab.heard if message["t"] == "frame" and message["step"]]
    assert frames and frames[-1]["learned"] and here.mean_log_p > -2.9 and len(here.bend) == 2
    assert tab.say("set", layers=None, depth=0.5, seq=1)["frame"][0]["depth"] == 0.5
    state = tab.say("reset")["state"][0]
    assert state["learned"] == 0 and not state["learning"] and here.depth == 2


def test_learning_stops_when_it_is_told_to():
    here = galnb.bend()
    here.learn(steps=1_000_000, wait=False)
    here.bender.on_stop({})
    here.bender.slow.wait()
    assert not here.bender.learning and here.bender.problem == ""


def test_two_columns_of_the_latents_are_a_target():
    z = np.random.default_rng(0).normal(size=(200, 4))
    here = galnb.bend(Latents(np.arange(200), z), columns=(1, 3), target="latents 1 and 3")
    assert np.allclose(here.bender.points.mean(0), 0, atol=1e-6)
    assert "latents 0 and 1" not in galnb.bend().bender.targets  # two made-up rows are no target


@pytest.mark.parametrize(
    "message, words",
    [
        ({"t": "set", "layers": [], "depth": 0}, "0 layers, wanted 1 to 6"),
        ({"t": "set", "layers": [layer(shift=1e9)], "depth": 1}, "shift is"),
        ({"t": "set", "layers": 3, "depth": 1}, "reload the page"),
        ({"t": "set", "layers": [layer()], "depth": 2}, "wanted 0 to 1 layers"),
        ({"t": "probe", "x": float("nan"), "y": 0, "side": "u"}, "x is"),
        ({"t": "learn", "kind": "gmm", "layers": 3}, "kind is 'gmm'"),
        ({"t": "target", "name": "<b>"}, "name is '<b>'"),
    ],
)
def test_a_bad_message_is_told_in_place_and_changes_nothing(message, words):
    here = galnb.bend()
    tab = Tab(here)
    tab.bender._handle_custom_msg(message, [])
    assert words in here.bender.problem and tab.heard[-1][0]["t"] == "problem"
    assert len(here.bend) == 2 and here.depth == 2
