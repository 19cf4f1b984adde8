"""The likelihood panel without a browser: every gesture's twin, what it says and hears, errors in place."""

import json
from functools import cache

import numpy as np
import pytest
import torch

import galnb
from galnb.comparison import Comparison, compare
from galnb.errors import BadInput, GalnbError
from galnb.images import Images
from galnb.latents import Latents
from galnb.models import Multiscale, PixelCNN
from galnb.widgets import LikelihoodPanel
from galnb.widgets.lineup import Lineup
from galnb.widgets.reading import Reading
from tests.imaginary import model as linear

SIZE, LEVELS, BANDS, N = 8, 16, ("r", "g"), 40


@cache
def comparison(sets: int = 1):
    """Discs in noise against discs in more of it, by networks that have learned nothing."""
    torch.manual_seed(0)
    options = {"levels": LEVELS, "width": 8, "vertical": (1,), "horizontal": 1}
    networks = [PixelCNN(BANDS, SIZE, place=place, **options).eval() for place in (True, False)]
    for network in networks:
        torch.nn.init.normal_(network.say.weight, 0, 0.3)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    rng = np.random.default_rng(0)
    disc = np.exp(-np.hypot(x, y) / rng.uniform(1, 3, (N, 1, 1, 1)))
    noisy = lambda level: np.clip(disc + rng.normal(0, level, (N, 2, SIZE, SIZE)), 0, 1)  # noqa: E731
    made = [Images(noisy(0.05 * (1 + k)), [f"g{j:02d}" for j in range(N)], BANDS) for k in range(1 + sets)]
    return compare({"SDSS": made[0]}, {f"sim {k + 1}": one for k, one in enumerate(made[1:])}, *networks)


class Tab:
    """A browser's end of the panel."""

    def __init__(self, panel):
        self.panel, self.heard = panel, []
        for part in (panel.confronter, panel.looker):
            part.send = lambda message, buffers=None: self.heard.append((message, buffers or []))

    def say(self, t, part="confronter", **message):
        first = len(self.heard)
        getattr(self.panel, part)._handle_custom_msg({"t": t, **message}, [])
        return self.news(first)

    def news(self, first):
        upper, lower = self.panel.confronter, self.panel.looker
        for worker in (upper.holder, upper.worker, upper.tester, lower.drawer, upper.worker):
            worker.wait()
        news = self.heard[first:]
        json.dumps([message for message, _ in news], allow_nan=False)
        return {message["t"]: (message, buffers) for message, buffers in news}


@pytest.fixture
def panel():
    return galnb.confront(comparison(), seed=1)


TESTS = Comparison.tests


@cache
def verdicts():
    return TESTS(comparison(), "ratio", seed=1)


@pytest.fixture
def tab(panel, monkeypatch):
    """A tab that has said hello; its tests, which take seconds, are done once."""
    monkeypatch.setattr(type(comparison()), "tests", lambda *_, **__: verdicts())
    here = Tab(panel)
    here.first = here.say("hello") | here.say("hello", "looker")
    return here


# histograms


def test_hello_tells_the_curves_the_tests_and_the_extreme_galaxies_of_each_set(tab):
    found = comparison()
    told, [buffer] = tab.first["curves"]
    numbers, curves = np.frombuffer(buffer, "<f4"), found.curves("ratio", seed=1)
    assert told["label"] == "log p - log p as sky (nats)" and told["names"] == ["SDSS", "sim 1"]
    own = curves["sim 1"]
    bins = len(own.density)
    assert np.allclose(numbers[: bins + 1], own.edges, atol=1e-3)
    drawn = numbers[bins + 1 :].reshape(2, 3, bins)[1]
    assert np.allclose(drawn, [own.density, own.low, own.high], atol=1e-5)
    [row] = tab.first["tests"][0]["rows"]
    assert row["auroc"] == pytest.approx(verdicts()["auroc"][0])
    assert "scatters" in tab.first["tests"][0]["words"]
    wall, pictures = tab.first["wall"]
    assert len(pictures) == 16 and all(one[1:4] == b"PNG" for one in pictures)
    values = np.sort(found.values("SDSS", "ratio"))
    assert np.allclose(wall["groups"][0]["values"], [*values[:4], *values[-4:]])


def test_another_statistic_is_shown_and_the_range_is_gone_but_the_selection_stays(panel, tab):
    panel.brush = (-1e9, float(np.median(comparison().values("SDSS"))))
    chosen = panel.selection
    told = tab.say("statistic", name="log_p")
    assert panel.statistic == "log_p" and panel.brush is None and panel.selection == chosen
    assert told["curves"][0]["label"] == "log p of all pixels (nats)" and len(
        told["wall"][0]["marks"]
    ) == len(chosen)
    panel.statistic = "typical"
    with pytest.raises(ValueError, match="did you mean 'typical'"):
        panel.statistic = "typicl"


def test_held_fixed_by_regression_or_by_pairs_in_the_background(panel, tab):
    told = tab.say("hold", name="regressed")
    assert told["state"][0]["held"].startswith("regressed on flux") and told["state"][0]["busy"] == ""
    assert panel.comparison.held.startswith("regressed")
    assert np.allclose(panel.comparison.values("sim 1"), comparison().regressed().values("sim 1"))
    panel.hold = "nothing"
    assert panel.comparison is comparison()


def test_what_cannot_be_held_fixed_is_told_and_what_was_shown_stays(panel, tab, monkeypatch):
    def none_alike(self, name=None):
        raise BadInput("matched", "3 of 40 galaxies have an observed partner; widen the caliper")

    monkeypatch.setattr(type(comparison()), "matched", none_alike)
    panel.hold = "regressed"
    assert panel.comparison.held
    told = tab.say("hold", name="matched")
    assert "widen the caliper" in told["problem"][0]["text"] and told["state"][0]["hold"] == "regressed"
    with pytest.raises(GalnbError, match="caliper.*by regression is held fixed still"):
        _ = panel.comparison
    assert panel.hold == "regressed" and panel.comparison.held.startswith("regressed")


def test_galaxies_without_a_partner_are_left_out_of_the_wall_and_can_still_be_looked_at(
    panel, tab, monkeypatch
):
    kept = np.arange(12)
    pairs = comparison().against("SDSS", "sim 1")
    table = pairs.table[np.concatenate([kept, N + kept])]
    sets = {name: images[kept] for name, images in pairs.sets.items()}
    few = type(pairs)(sets, table, pairs.model, pairs.background, "matched in nothing")
    monkeypatch.setattr(type(pairs), "matched", lambda self, name=None: few)
    told = tab.say("hold", name="matched")
    assert told["state"][0]["sets"] == [["SDSS", 12], ["sim 1", 12]]
    panel.brush = (-np.inf, np.inf)
    assert len(panel.selection) == 24
    panel.pick("sim 1/g39")
    assert panel.pdf(3, 3).shape == (LEVELS,)


# a range


def test_a_brush_selects_all_in_the_range_and_shows_those_nearest_its_middle(panel, tab):
    found = comparison()
    low, high = np.quantile(found.values("SDSS"), [0.2, 0.7])
    panel.brush = (low, high)
    inside = [f"{name}/{id}" for name in found.sets for id in found.rows(name)["id"][
        (found.values(name) >= low) & (found.values(name) <= high)]]  # fmt: skip
    assert panel.selection == tuple(inside) and panel.brush == (low, high)
    shown = panel.galleries()["SDSS"]
    far = {id: abs(value - (low + high) / 2) for id, value in zip(
        [f"SDSS/{id}" for id in found.rows("SDSS")["id"]], found.values("SDSS"), strict=True)}  # fmt: skip
    assert shown == sorted(far, key=far.get)[:8]
    panel.brush = None
    assert panel.selection == () and panel.brush is None


def test_a_hand_that_moves_a_range_selects_only_when_it_lets_go(panel, tab):
    wall = tab.say("brush", low=None, high=0.0, moving=True)["wall"][0]
    assert wall["brush"] == [None, 0.0] and panel.selection == ()
    tab.say("brush", low=None, high=0.0, moving=False)
    assert len(panel.selection) == sum(group["count"] for group in wall["groups"])
    tab.say("brush", low=None, high=None)
    assert panel.selection == ()


def test_other_galaxies_of_a_range_are_drawn_by_seed(panel, tab):
    panel.brush = (-np.inf, np.inf)
    near = panel.galleries()
    tab.say("others")
    first = panel.galleries()
    assert first != near and first == panel.galleries()
    panel.others()
    assert panel.galleries() != first


def test_a_selection_from_elsewhere_is_shown_and_marked(panel, tab):
    panel.brush = (-np.inf, np.inf)
    first = len(tab.heard)
    panel.selection = ("sim 1/g05", "SDSS/g07")
    wall = tab.news(first)["wall"][0]
    assert panel.brush is None and panel.galleries() == {"SDSS": ["SDSS/g07"], "sim 1": ["sim 1/g05"]}
    assert sorted(k for _, k in wall["marks"]) == [0, 1] and wall["selected"] == 2


def test_where_a_galaxy_stands_is_said_in_words():
    line = Lineup(comparison(), "log_p", comparison().latents())
    values = np.sort(comparison().values("SDSS", "log_p"))
    assert line.words(-np.inf) == "less likely than all of SDSS"
    assert line.words(0.5 * (values[9] + values[10])) == "less likely than 75 % of SDSS"
    assert line.words(0.5 * (values[35] + values[36])) == "more likely than 90 % of SDSS"
    lowest = int(np.argmin(comparison().values("SDSS", "log_p")))
    assert line.words(values[0], lowest) == "less likely than all of SDSS" and line.words(np.nan) == ""


# one galaxy


def test_the_picked_galaxy_is_told_with_its_maps_and_levels(panel, tab):
    first = len(tab.heard)
    panel.pick("sim 1/g03")
    told, buffers = tab.news(first)["look"]
    found = comparison()
    assert (told["title"], told["set"], told["size"]) == ("g03", "sim 1", SIZE) and len(told["words"]) == 2
    assert told["maps"] == ["log_p", "log_p_background", "ratio"]
    for of, buffer in zip(told["maps"], buffers[1:4], strict=True):
        wanted = found.maps("sim 1", 3, of=of)[0]
        assert np.allclose(np.frombuffer(buffer, "<f4").reshape(SIZE, SIZE), wanted, atol=1e-4)
        assert np.allclose(panel.surprise(of), wanted)
    assert told["log_p"] == pytest.approx(np.frombuffer(buffers[4], "<f4").sum(), abs=1e-3)
    levels = np.frombuffer(buffers[5], "<u2").reshape(2, SIZE, SIZE)
    assert np.array_equal(levels, np.rint(found.sets["sim 1"].pixels[3] * (LEVELS - 1)))


def test_the_pdf_of_every_pixel_is_the_models_and_one_pass_gives_all(panel, tab):
    panel.pick("SDSS/g11")
    images = comparison().sets["SDSS"][[11]]
    model = comparison().model
    x = model.tensor(images)
    with torch.inference_mode():
        for row, column, band in ((0, 0, 0), (3, 5, 1), (7, 7, 0)):
            wanted = model.pmf(x, row, column, band)[0].numpy()
            assert np.allclose(panel.pdf(row, column, band), wanted, atol=1e-6)
    assert np.array_equal(panel.pdf(2, 2, "g"), panel.pdf(2, 2, 1))
    read = Reading(model, images)
    true = read.pmf(4)[np.arange(SIZE), 1, read.levels[1, 4]]
    assert np.allclose(np.log(true), read.log_p[1, 4], atol=1e-4)


def test_the_browser_gets_rows_of_pdfs_as_shares_of_their_peaks(panel, tab):
    first = len(tab.heard)
    panel.pick("SDSS/g00")
    look = tab.news(first)["look"][0]["look"]
    told, [levels, peaks] = tab.say("pdf", "looker", row=5, look=look)["pdf"]
    levels = np.frombuffer(levels, "u1").reshape(4, SIZE, 2, LEVELS) / 255
    found = levels * np.frombuffer(peaks, "<f4").reshape(4, SIZE, 2, 1)
    assert told["row"] == 4 and np.allclose(found[1, 4, 1], panel.pdf(5, 4, 1), atol=2e-3)
    assert "pdf" not in tab.say("pdf", "looker", row=5, look=look + 9)  # of a galaxy that is shown no more


# completions and draws


def test_completions_are_the_models_keep_what_is_known_and_repeat_by_seed(panel, tab):
    found, model = comparison(), comparison().model
    done = panel.complete("SDSS/g02", from_row=5, n=3, seed=7)
    x = model.tensor(found.sets["SDSS"][[2]]).expand(3, -1, -1, -1)
    mask = (torch.arange(SIZE) < 5)[:, None].expand(-1, SIZE)
    wanted = model.complete(x, mask, torch.Generator().manual_seed(7)).numpy()
    assert np.array_equal(done.pixels, wanted) and panel.completions is done
    assert np.array_equal(panel.complete(from_row=5, n=3, seed=7).pixels, wanted)
    with torch.inference_mode():
        below = model.log_prob_map(torch.from_numpy(wanted))[:, :, 5:].sum((1, 2, 3)).numpy()
    assert np.allclose(done.table["log_p_hidden"], below, atol=1e-3)


def test_rows_are_told_as_they_are_drawn_and_make_the_picture(panel, tab, monkeypatch):
    monkeypatch.setattr("galnb.widgets.looker.PACE", 0)
    panel.pick("SDSS/g02")
    first = len(tab.heard)
    tab.say("complete", "looker", row=3)
    rows = [(m, b[0]) for m, b in tab.heard[first:] if m["t"] == "rows"]
    assert [m["row"] for m, _ in rows] == list(range(3, SIZE)) and len({m["turn"] for m, _ in rows}) == 1
    drawn = np.concatenate([np.frombuffer(b, "u1").reshape(4, -1, SIZE, 3) for _, b in rows], axis=1)
    assert np.array_equal(drawn, galnb.stamps.to_rgb(panel.completions)[:, 3:])
    last = tab.heard[-1][0]
    assert last["t"] == "drawn" and len(last["values"]) == 4 and last["truth"] < 0


def test_a_network_that_draws_from_coarse_to_fine_tells_rows_again_as_they_fill(monkeypatch):
    monkeypatch.setattr("galnb.widgets.looker.PACE", 0)
    torch.manual_seed(0)
    options = {"levels": LEVELS, "width": (8, 8), "vertical": (1,), "horizontal": 1}
    model = Multiscale(BANDS, SIZE, **options).eval()
    sets = comparison().sets
    panel = galnb.confront(compare({"SDSS": sets["SDSS"]}, {"sim": sets["sim 1"]}, model, model), seed=1)
    tab = Tab(panel)
    panel.pick("SDSS/g02")
    for what in ("sample", "complete"):
        first = len(tab.heard)
        tab.say(what, "looker", **({"row": 3} if what == "complete" else {}))
        rows = [(m, b[0]) for m, b in tab.heard[first:] if m["t"] == "rows"]
        done = panel.completions if what == "complete" else panel.samples
        shown = np.zeros((len(done), SIZE, SIZE, 3), "u1")
        for message, buffer in rows:
            part = np.frombuffer(buffer, "u1").reshape(len(done), -1, SIZE, 3)
            shown[:, message["row"] : message["row"] + message["rows"]] = part
        begin = 3 if what == "complete" else 0
        again = [
            row for message, _ in rows for row in range(message["row"], message["row"] + message["rows"])
        ]
        assert len(again) > len(set(again)) and min(again) == begin
        assert np.array_equal(shown[:, begin:], galnb.stamps.to_rgb(done)[:, begin:])


def test_draws_carry_their_statistics_and_are_marked_in_the_histogram(panel, tab):
    done = panel.sample(3, seed=4)
    wanted = comparison().model.sample(3, torch.Generator().manual_seed(4)).numpy()
    assert np.array_equal(done.pixels, wanted)
    assert set(comparison().statistics) <= set(done.table.colnames)
    first = len(tab.heard)
    panel.statistic = "log_p"
    marks = tab.news(first)["marks"][0]
    assert marks["drawn"] == pytest.approx(list(done.table["log_p"]))
    assert len(panel.figure().axes[0].lines) == 3
    told = tab.say("peek", "looker", what="sample", k=2)["look"][0]
    assert told["title"] == "drawn 3" and told["set"] == "does not exist" and panel.pdf(1, 1).sum() > 0.999
    by_mouse = panel.surprise()
    panel.pick("SDSS/g07")
    assert not np.array_equal(panel.surprise(), by_mouse)
    panel.pick(str(done.id[2]))
    assert np.array_equal(panel.surprise(), by_mouse)


def test_what_is_superseded_or_stopped_is_dropped_and_what_was_whole_stays(panel, tab):
    first = panel.sample(2, seed=0)
    panel.looker.start("sample", 16, 1)
    panel.looker.start("sample", 2, 2)
    assert np.array_equal(panel.looker.finish("sample").pixels, panel.sample(2, seed=2).pixels)
    before = panel.samples
    panel.looker.start("sample", 16, 3)
    panel.stop()
    panel.looker.drawer.wait()
    assert panel.samples is before and first is not before
    assert "halted" in [message["t"] for message, _ in tab.heard[-2:]]


# what is missing, what is wrong


def test_a_model_without_pixels_gives_histograms_and_says_what_it_wants():
    rng = np.random.default_rng(0)
    noise = lambda n: Images(rng.random((n, 2, 32, 32)), bands=BANDS)  # noqa: E731
    panel = galnb.confront(noise(20), noise(20), model=linear("pca"), background=None)
    tab = Tab(panel)
    told = tab.say("hello") | tab.say("hello", "looker")
    assert panel.statistic == "log_p" and "curves" in told and "PCA" in told["state"][0]["missing"]
    panel.brush = (-np.inf, np.inf)
    assert len(panel.selection) == 40
    first = len(tab.heard)
    panel.pick("simulated/4")
    look, buffers = tab.news(first)["look"]
    assert look["maps"] == [] and not look["read"] and len(buffers) == 1
    for act in (lambda: panel.pdf(0, 0), panel.complete, panel.sample, panel.surprise):
        with pytest.raises(GalnbError, match="compare with a PixelCNN"):
            act()


def test_a_comparison_from_a_file_has_histograms_without_pictures(tmp_path):
    path = comparison().write(tmp_path / "compared.parquet")
    panel = galnb.confront(type(comparison()).read(path))
    tab = Tab(panel)
    tab.say("hello", "looker")
    wall, pictures = tab.say("hello")["wall"]
    assert pictures == [] and not wall["groups"][0]["pictured"]
    first = len(tab.heard)
    panel.pick("SDSS/g01")
    assert tab.news(first)["look"][0]["size"] == 0
    with pytest.raises(GalnbError, match="read from a file"):
        panel.sample()


def test_latents_alone_say_what_is_wanted():
    panel = LikelihoodPanel(Latents(np.arange(9), np.eye(9)))
    assert "make one with galnb.confront" in Tab(panel).say("hello")["state"][0]["missing"]
    for act in (lambda: panel.comparison, lambda: panel.pick("a"), panel.sample, panel.tests):
        with pytest.raises(GalnbError, match="no comparison"):
            act()
    with pytest.raises(BadInput, match="they are others"):
        LikelihoodPanel(Latents(np.arange(9), np.eye(9)), comparison())


@pytest.mark.parametrize(
    "part, message, words",
    [
        ("confronter", {"t": "statistic", "name": "../secret"}, "name is '../secret'"),
        ("confronter", {"t": "hold", "name": 3}, "name is '3'"),
        ("confronter", {"t": "brush", "low": 3, "high": 1}, "wanted the lower number first"),
        ("confronter", {"t": "brush", "low": "a", "high": 1}, "low is 'a'"),
        ("confronter", {"t": "pick", "row": 1e9}, "row is"),
        ("looker", {"t": "complete", "row": 1}, "no galaxy is picked"),
        ("looker", {"t": "peek", "what": "sample", "k": 0}, "draw some first"),
        ("looker", {"t": "made_up"}, "the browser asked for 'made_up'"),
    ],
)
def test_a_bad_message_is_told_in_place_and_changes_nothing(tab, part, message, words):
    one = getattr(tab.panel, part)
    one._handle_custom_msg(message, [])
    assert words in one.problem and tab.heard[-1][0]["t"] == "problem"
    assert tab.panel.selection == () and tab.panel.brush is None


def test_bad_arguments_are_refused_with_advice(panel):
    panel.pick("SDSS/g00")
    for act, words in (
        (lambda: panel.pdf(8, 0), "row=8, wanted 0 to 7"),
        (lambda: panel.pdf(0, 0, "z"), "band='z', wanted 0 to 1"),
        (lambda: panel.complete(from_row=8), "from_row=8"),
        (lambda: panel.sample(99), "n=99"),
        (lambda: setattr(panel, "brush", (2, 1)), "lower number first"),
        (lambda: galnb.confront(comparison(), statistc="log_p"), "did you mean 'statistic'"),
        (lambda: galnb.confront(comparison(), hold="matchd"), "did you mean 'matched'"),
        (lambda: galnb.confront(comparison(), n=0), "n=0"),
    ):
        with pytest.raises(ValueError, match=words):
            act()
    for wrong in ((comparison(), 3), (comparison().sets["SDSS"],)):
        with pytest.raises(TypeError, match="wanted"):
            galnb.confront(*wrong)
    with pytest.raises(KeyError, match="nowhere"):
        panel.pick("nowhere")


def test_several_simulated_sets_are_matched_by_name():
    panel = galnb.confront(comparison(2))
    assert list(panel.confronter.holds) == ["nothing", "matched sim 1", "matched sim 2", "regressed"]
    assert len(panel.tests()) == 2


def test_the_still_has_words_and_a_figure_with_the_range(panel):
    panel.brush = (-1e9, 1e9)
    words, picture = panel.still()
    assert words.startswith("Histograms of log p - log p as sky (nats): SDSS (40 galaxies, median ")
    assert (
        picture[1:4] == b"PNG"
        and panel.figure().axes[0].get_legend().get_texts()[-1].get_text() == "80 brushed"
    )
