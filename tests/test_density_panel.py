"""The density panel without a browser: what it says and hears, its errors in place, its twins in Python."""

import json

import numpy as np
import pytest

import galnb
from galnb import contours, density, weighing
from galnb.errors import BadInput, GalnbError
from galnb.latents import Latents
from galnb.widgets.weighed_map import LOG_P
from tests.imaginary import DIM, model, survey

N = 200


def latents(seed=0):
    import torch

    z = model("pca").encode(torch.from_numpy(survey().pixels))
    return Latents(survey().id, z.numpy(), {"flux": np.arange(N) * 1.0})


class Tab:
    """A browser's end of the panel: what it says and what it hears."""

    def __init__(self, panel):
        self.panel, self.heard = panel, []
        for part in (panel.weigher, panel.map):
            part.send = lambda message, buffers=None: self.heard.append((message, buffers or []))

    def say(self, t, part=None, **message):
        first = len(self.heard)
        (part or self.panel.weigher)._handle_custom_msg({"t": t, **message}, [])
        return self.news(first)

    def news(self, first):
        for worker in (self.panel.weigher.slow, self.panel.worker, self.panel.weigher.slow):
            worker.wait()
        news = self.heard[first:]
        json.dumps([message for message, _ in news], allow_nan=False)
        return {message["t"]: (message, buffers) for message, buffers in news}


@pytest.fixture
def tab():
    here = Tab(galnb.weigh(latents(), survey(), model("pca"), learning={"components": 2}))
    here.first = here.say("hello")
    return here


def test_hello_learns_a_density_colors_the_map_and_draws_contours(tab):
    panel, state = tab.panel, tab.first["state"][0]
    assert panel.map.color == LOG_P and panel.map.colors[0] == (LOG_P, "log p(z)")
    assert "busy" in tab.first and np.allclose(panel.log_p, panel.density.log_prob(latents()))
    told, [points] = tab.first["contours"]
    assert told["plane"] == "pca" and told["shares"] == [0.5, 0.9, 0.99]
    assert len(points) == 8 * sum(map(sum, told["counts"]))
    found = contours.regions(panel.session.projection().xy)
    assert np.allclose(told["levels"], found.levels) and (np.diff(told["levels"]) < 0).all()
    assert tab.say("hello")["state"][0]["histogram"]["drawn"] and state["t"] == "state"


def test_the_frame_shows_log_p_in_nats_also_on_another_plane_and_after_another_color(tab):
    view = {"w": 200, "h": 150, "dpr": 1, "seq": 5, "client": "me"}
    ask = lambda **more: tab.say("view", tab.panel.map, **(view | more))["frame"][0]  # noqa: E731
    assert ask()["label"] == "log p(z) [nats]" and ask()["how"] == "linear"
    tab.say("color", tab.panel.map, name="flux")
    assert ask(seq=6)["label"] == "flux"
    assert tab.say("color", tab.panel.map, name=LOG_P)["state"][0]["color"] == LOG_P
    tab.panel.session.use_plane("pca")
    assert ask(seq=7)["label"] == "log p(z) [nats]"


def test_the_picked_galaxy_is_told_how_unlikely_it_is_with_its_picture(tab):
    first = len(tab.heard)
    tab.panel.session.pick_id("g007")
    said, [picture] = tab.news(first)["standing"]
    known = weighing.weighed(tab.panel.density, latents())
    assert said["title"] == "Galaxy g007" and said["log_p"] == pytest.approx(known.log_p[7], abs=1e-4)
    assert said["rare"] == known.rarity_words(7) == tab.panel.standing("g007")["rare"]
    assert said["typical"].endswith("than a typical draw") and picture[1:4] == b"PNG"


def test_an_empty_spot_is_weighed_and_decoded_too(tab):
    first = len(tab.heard)
    tab.panel.session.pick(30.0, 30.0, 0.1, 0.1)
    said, pictures = tab.news(first)["standing"]
    assert said["title"] == "Empty space" and len(pictures) == 1
    assert said["rare"].startswith("fewer than 1 in 3,300") and "inf" not in said["rare"]


def test_draws_from_a_lasso_lie_in_it_and_stand_beside_real_galaxies(tab):
    panel, session = tab.panel, tab.panel.session
    assert "no place is chosen" in tab.say("draw")["problem"][0]["text"]
    low, high = np.quantile(session.projection().xy, [0.3, 0.8], axis=0)
    session.select_box(low[0], high[0], low[1], high[1])
    told, buffers = tab.say("draw")["drawn"]
    assert told["n"] == len(panel.drawn) == 6 and len(buffers) == 6 + len(told["rows"])
    xy = session.projection().place(panel.drawn.z)
    assert ((xy > low) & (xy < high)).all() and "of what the density draws" in told["words"]
    assert set(told["rows"]) <= set(session.selected_rows.tolist())
    assert np.allclose(panel.drawn["log_p"], panel.density.log_prob(panel.drawn.z))
    tab.say("pick", row=told["rows"][0])
    assert session.picked_row == told["rows"][0]


def test_a_place_that_nothing_falls_into_says_so_in_words(tab):
    tab.panel.session.pick(500.0, 500.0, 0.1, 0.1)
    told, _ = tab.say("draw")["drawn"]
    assert told["n"] == 0 == len(tab.panel.drawn) and told["words"].startswith("None of ")


def test_another_kind_is_learned_with_words_and_replaces_the_first(tab, monkeypatch):
    monkeypatch.setattr("galnb.widgets.weigher.STEPS", 5)
    before = tab.panel.log_p
    news = tab.say("kind", name="realnvp")
    assert news["state"][0]["chosen"] == "realnvp" and not np.allclose(tab.panel.log_p, before)
    assert type(tab.panel.density).__name__ == "RealNVP"


def test_a_density_that_is_superseded_is_dropped(tab):
    tab.panel.use("nsf", steps=100_000)
    tab.panel.use("gmm", components=1)
    tab.panel.weigher.slow.wait()
    assert type(tab.panel.density).__name__ == "GMM" and tab.panel.weigher.problem == ""


def test_without_images_and_model_there_is_the_map_and_numbers():
    here = galnb.weigh(latents(), learning={"components": 1})
    tab = Tab(here)
    tab.say("hello")
    here.session.pick_row(3)
    first = len(tab.heard)
    told, buffers = tab.say("draw")["drawn"]
    assert told["n"] == 6 and buffers == [] and not told["decoded"]
    assert first and here.figure().axes[0].lines


def test_a_density_that_was_learned_before_is_taken_as_it_is():
    known = density.fit(latents(), "gmm", components=1)
    here = galnb.weigh(latents(), density=known)
    assert here.density is known
    other = density.fit(latents().z[:, :3], "gmm", components=1)
    with pytest.raises(BadInput, match=f"the latents have {DIM}"):
        galnb.weigh(latents(), density=other)


@pytest.mark.parametrize(
    "message, words",
    [
        ({"t": "kind", "name": "../secret"}, "name is '../secret'"),
        ({"t": "pick", "row": 1e9}, "row is"),
        ({"t": "made_up"}, "the browser asked for 'made_up'"),
    ],
)
def test_a_bad_message_is_told_in_place(tab, message, words):
    tab.panel.weigher._handle_custom_msg(message, [])
    assert words in tab.panel.weigher.problem and tab.heard[-1][0]["t"] == "problem"


def test_latents_without_a_density_are_an_error_in_place_and_in_python():
    here = galnb.weigh(Latents(np.arange(30), np.ones((30, 3))))
    assert "problem" in Tab(here).say("hello")
    with pytest.raises(GalnbError, match="constant"):
        _ = here.log_p


def test_a_misspelt_option_is_refused():
    with pytest.raises(ValueError, match="did you mean 'gmm'"):
        galnb.weigh(latents(), kind="gm")
    with pytest.raises(ValueError, match="did you mean 'learning'"):
        galnb.weigh(latents(), learnin={})
