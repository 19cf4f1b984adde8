"""The sampler panel without a browser: what it says and hears, its errors in place, its twins in Python."""

import json

import numpy as np
import pytest
import torch

from galnb import film, imagine
from galnb.errors import BadInput, BadWeights, CannotDo, GalnbError
from galnb.latents import Latents
from galnb.stamps import to_rgb
from galnb.widgets.base import BadMessage
from galnb.widgets.sampler import Sampler
from tests.imaginary import DIM, NAMES, SIZE, model, survey

N = 9


def panel(kind="cvae", images=True, **options):
    return imagine(model(kind), survey() if images else None, **{"n": N, **options})


class Tab:
    """A browser's end of the sheet: what it says and what it hears."""

    def __init__(self, panel):
        self.sheet, self.heard = panel.sheet, []
        self.sheet.send = lambda message, buffers=None: self.heard.append((message, buffers or []))

    def say(self, t, **message):
        first = len(self.heard)
        self.sheet._handle_custom_msg({"t": t, **message}, [])
        self.settle()
        news = self.heard[first:]
        json.dumps([message for message, _ in news], allow_nan=False)
        return {message["t"]: (message, buffers) for message, buffers in news}

    def ask(self, seq=1, sigmas=(), **asked):
        return self.say("ask", seq=seq, asked=asked, sigmas=[*sigmas])

    def settle(self):
        for worker in (self.sheet.worker, self.sheet.worker, self.sheet.slow, self.sheet.slowest):
            worker.wait()


@pytest.fixture
def tab():
    here = Tab(panel())
    here.say("hello")
    return here


def test_hello_brings_what_the_model_knows_pictures_measures_and_neighbors(tab):
    news = tab.say("hello")
    state, (wall, [pixels]) = news["state"][0], news["wall"]
    assert [about["name"] for about in state["conditions"]] == list(NAMES) and state["noisy"]
    assert state["conditions"][0]["log"] and state["model"] in state["models"]
    here = tab.sheet.imagined
    quick = here.pictures(corrected=False)
    assert pixels == to_rgb(quick).tobytes() and (wall["n"], wall["size"]) == (N, SIZE)
    about, [settled] = news["measured"]
    assert settled == to_rgb(here.pictures()).tobytes() != pixels
    assert np.allclose(about["values"]["flux"], here.images.table["flux_measured"])
    near, [beside] = news["nearest"]
    assert len(near["names"]) == N and min(near["distances"]) > 0 and len(beside) == N * SIZE * SIZE * 3
    assert near["of"] == len(survey()) and near["usual"] > 0


def test_a_slider_changes_what_is_asked_and_the_answer_has_its_number(tab):
    before = tab.say("hello")["wall"][1][0]
    wall, [pixels] = tab.ask(7, flux=45.0)["wall"]
    assert wall["seq"] == 7 and wall["asked"] == {"flux": 45.0} and pixels != before
    assert tab.sheet.imagined.asked == {"flux": 45.0}
    wall, [pixels] = tab.ask(8)["wall"]
    assert wall["asked"] == {} and pixels == before
    wall, _ = tab.ask(9, sigmas=[1.5, 0, -2])["wall"]
    assert wall["sigmas"][:3] == [1.5, 0, -2]


def test_beyond_the_training_range_there_is_a_warning(tab):
    low, high = tab.sheet.imagined.ranges[0].tolist()
    wall, _ = tab.ask(1, flux=high + 0.2 * (high - low))["wall"]
    assert wall["warnings"]["flux"].endswith("by 0.2 of that range")
    assert tab.ask(2, flux=high)["wall"][0]["warnings"] == {}


def test_of_a_burst_of_changes_only_the_newest_is_measured(tab):
    tab.say("hello")
    first = len(tab.heard)
    for seq in range(1, 6):
        message = {"t": "ask", "seq": seq, "asked": {"flux": 20.0 + seq}, "sigmas": []}
        tab.sheet._handle_custom_msg(message, [])
    tab.settle()
    news = [message for message, _ in tab.heard[first:]]
    assert [m["seq"] for m in news if m["t"] == "wall"][-1] == 5
    assert len([m for m in news if m["t"] == "measured"]) == 1


@pytest.mark.parametrize(
    "message, words",
    [
        ({"t": "ask", "seq": 1, "asked": {"redshift": 1.0}, "sigmas": []}, "the model does not know it"),
        (
            {"t": "ask", "seq": 1, "asked": {"flux": "many"}, "sigmas": []},
            "many came, wanted a finite number",
        ),
        ({"t": "ask", "seq": 1, "asked": {"flux": float("nan")}, "sigmas": []}, "nan came"),
        ({"t": "ask", "seq": 1, "asked": {}, "sigmas": ["x"]}, "sigma is 'x'"),
        ({"t": "ask", "seq": 1, "asked": {}, "sigmas": [0] * 99}, "wanted at most"),
        ({"t": "ask", "seq": 1, "asked": [1], "sigmas": []}, "reload the page"),
        ({"t": "draw", "seed": 1e99}, "seed is"),
        ({"t": "model", "name": "../secret"}, "name is '../secret'"),
        ({"t": "given", "given": "nothing"}, "wanted one of picture, numbers, both"),
        ({"t": "pick", "k": 400}, "k is '400'"),
        ({"t": "save", "kind": ".exe"}, "kind is '.exe'"),
        ({"t": "walk"}, "a walk has two ends"),
        ({"t": "save", "kind": ".gif"}, "there is no walk to save yet"),
        ({"t": "made_up"}, "the browser asked for 'made_up'"),
    ],
)
def test_a_bad_message_is_told_in_place_and_changes_nothing(tab, message, words):
    before = tab.say("hello")["wall"][1]
    tab.sheet._handle_custom_msg(message, [])
    tab.settle()
    assert words in tab.sheet.problem and tab.heard[-1][0]["t"] == "problem"
    assert tab.say("hello")["wall"][1] == before


def test_without_a_model_one_is_chosen_and_everything_else_says_so():
    here = imagine(n=4)
    tab = Tab(here)
    news = tab.say("hello")
    assert news["state"][0]["model"] is None and "vae32-sdss" in news["state"][0]["models"]
    assert "ae50-sdss" not in news["state"][0]["models"] and "wall" not in news
    assert "no model is chosen yet" in tab.ask()["problem"][0]["text"]
    with pytest.raises(GalnbError, match="no model is chosen yet"):
        here.ask(flux=1.0)
    news = tab.say("model", name="vae32-sdss")
    assert news["state"][0]["model"] == "vae32-sdss" and news["wall"][0]["size"] == 64
    assert len(news["state"][0]["shares"]) == 12 and "nearest" not in news


def test_a_real_galaxy_is_taken_by_a_pick_and_known_by_what_is_said():
    here = panel("mvae")
    tab = Tab(here)
    tab.say("hello")
    here.session.pick_row(3)
    tab.settle()
    wall = next(m for m, _ in reversed(tab.heard) if m["t"] == "wall")
    real = next(buffers for m, buffers in reversed(tab.heard) if m["t"] == "wall")[1]
    assert wall["origin"] == "g003" and real == to_rgb(survey()[[3]]).tobytes()
    by_picture = here.imagined.z.clone()
    news = tab.say("given", given="numbers")
    assert news["wall"][0]["given"] == "numbers" and news["measured"][0]["truth"]["flux"] > 0
    assert here.imagined.z.std(0).mean() > by_picture.std(0).mean()
    news = tab.say("draw")
    assert news["wall"][0]["origin"] == "" and len(news["wall"][1]) == 1


def test_a_walk_is_a_film_that_can_be_saved(tab, tmp_path):
    tab.say("hello")
    assert tab.say("pick", k=2)["picked"][0]["k"] == 2 and tab.say("start")["start"][0]["k"] == 2
    tab.say("pick", k=5)
    told, [frames] = tab.say("walk")["film"]
    pictures = np.frombuffer(frames, dtype=np.uint8).reshape(told["frames"], SIZE, SIZE, 3)
    z = tab.sheet.imagined.z
    assert np.array_equal(pictures, tab.sheet.imagined.walk(z[2], z[5]))
    saved, [gif] = tab.say("save", kind=".gif")["file"]
    (tmp_path / "walk.gif").write_bytes(gif)
    assert saved["name"] == "walk.gif" and film.made_by(tmp_path / "walk.gif")["model"] == "CVAE"
    for kind, start in ((".csv", b"flux_asked"), (".vot", b"<?xml"), (".png", b"\x89PNG")):
        assert tab.say("save", kind=kind)["file"][1][0].startswith(start)


# in Python


def test_everything_on_the_panel_has_a_twin_in_python(tmp_path):
    here = panel("mvae")
    here.ask(flux=40.0)
    here.move([1.0])
    table = here.images.table
    assert (table["flux_asked"] == 40).all() and "color_measured" in table.colnames
    here.new_draw(5)
    assert here.imagined.seed == 5 and here.imagined.asked == {"flux": 40.0}
    here.pick(3)
    assert here.sheet.picked == 3
    with pytest.raises(ValueError, match=f"galaxy {N}, wanted 0 to {N - 1}"):
        here.pick(N)
    here.change("g007", color=0.6)
    assert here.imagined.origin == "g007" and here.imagined.asked == {"color": 0.6}
    here.take("g007", given="numbers")
    with pytest.raises(KeyError, match="nowhere"):
        here.take("nowhere")
    with pytest.raises(ValueError, match="did you mean 'picture'"):
        here.take("g007", given="pictures")
    path = here.film(tmp_path / "walk.gif", 0, 4, seconds=1)
    assert film.made_by(path)["origin"] == "g007"
    assert len(here.figure().axes) == N


def test_two_panels_of_one_seed_show_the_same():
    walls = []
    for _ in range(2):
        tab = Tab(panel(seed=11))
        walls.append([tab.say("hello")["wall"][1], tab.ask(flux=30.0)["nearest"][1]])
    assert walls[0] == walls[1]


def test_a_picture_of_the_wall_is_what_is_left_without_a_kernel():
    here = panel()
    here.ask(flux=40.0)
    data = here._repr_mimebundle_()[0]
    assert data["text/plain"].startswith(f"{N} galaxies that do not exist, imagined by CVAE under flux 40")
    assert data["text/html"].count("<img") == 1 and "application/vnd.jupyter.widget-view+json" in data


def test_what_does_not_fit_is_one_clear_error():
    with pytest.raises(CannotDo, match="similar|cannot"):
        imagine("similar-sdss")
    with pytest.raises((ValueError, BadWeights), match="vae32-sdss"):
        imagine("vae32-sds")
    with pytest.raises(ValueError, match="n=0 galaxies"):
        panel(n=0)
    with pytest.raises(ValueError, match="did you mean 'noise'"):
        panel(noisy=True)
    small = survey().crop(30)
    here = imagine(model("mvae"), small, n=4)
    tab = Tab(here)
    assert "30 x 30 px, the model was made for 32 x 32" in tab.say("hello")["problem"][0]["text"]
    with pytest.raises(BadInput, match="the model was made for 32 x 32"):
        here.take("g000")


def test_galaxies_without_pictures_begin_from_their_latents():
    z = np.random.default_rng(0).normal(size=(20, DIM)).astype("f4")
    here = Sampler(Latents(np.arange(20), z), model=model("pca"), n=4)
    here.session.pick_row(6)
    assert np.array_equal(here.imagined.z.numpy(), z[[6]]) and here.imagined.origin == "6"
    other = Sampler(Latents(np.arange(20), z[:, :5]), model=model("vae"), n=4)
    with pytest.raises(BadInput, match=r"wanted \(n, 12\)"):
        other.take(6)


def test_a_message_that_is_no_message_is_refused(tab):
    with pytest.raises(BadMessage):
        tab.sheet.on_ask({"asked": 3, "sigmas": []})


def test_pictures_are_drawn_by_one_thread_and_nobody_elses_number_changes(tab):
    before, seen = torch.get_num_threads(), []
    for worker in (tab.sheet.worker, tab.sheet.slow, tab.sheet.slowest):
        worker.submit("look", torch.get_num_threads, seen.append)
        worker.wait()
    assert seen == [1, 1, 1] and torch.get_num_threads() == before
