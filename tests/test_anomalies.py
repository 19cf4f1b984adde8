"""The anomaly panel without a browser: orders equal numpy's, votes stay, errors are shown in place."""

import json
import threading
import time

import numpy as np
import pytest
import torch
from astropy.table import Table

from galnb import anomaly, hunt
from galnb.anomaly import critic_map
from galnb.errors import BadInput, CannotDo, GalnbError
from galnb.images import Images
from galnb.latents import Latents
from galnb.models.pca import PCA
from galnb.models.wgan import WGAN
from galnb.session import Session
from galnb.stamps import Stamps
from galnb.votes import Votes
from galnb.widgets.anomalies import Anomalies
from galnb.widgets.base import BadMessage
from galnb.widgets.board import Board, Standing, scored
from galnb.widgets.evidence import Evidence

N, SIZE = 120, 28
rng = np.random.default_rng(4)
PIXELS = rng.random((N, 1, SIZE, SIZE)).astype("f4") * 0.2
PIXELS[:, :, 10:18, 10:18] += 0.5
IDS = np.array([f"g{k:03d}" for k in range(N)])
IMAGES = Images(PIXELS, id=IDS, bands=("r",), pixel_scale=0.4)
MODEL = PCA(("r",), SIZE, 4)
MODEL.fit([torch.from_numpy(PIXELS)])
LATENTS = Latents(IDS, MODEL.encode(torch.from_numpy(PIXELS)).numpy(), Table({"redshift": rng.random(N)}))
SCORES = Table({"id": IDS, "G": rng.gamma(2, size=N), "C": rng.gamma(3, size=N), "gmm": rng.normal(size=N)})
SCORES["gmm"][7] = np.nan


@pytest.fixture
def file(tmp_path):
    return tmp_path / "votes.jsonl"


@pytest.fixture
def panel(file):
    return Anomalies(LATENTS, IMAGES, MODEL, scores=SCORES, votes=file, per_page=10)


class Tab:
    """A browser's end of the bench: what it says and what it hears."""

    def __init__(self, panel):
        self.bench, self.heard = panel.bench, []
        self.bench.send = lambda message, buffers=None: self.heard.append((message, buffers or []))

    def say(self, t, data=None, **message):
        first = len(self.heard)
        self.bench._handle_custom_msg({"t": t, **message}, [data] if data else [])
        self.settle()
        news = self.heard[first:]
        json.dumps([message for message, _ in news], allow_nan=False)
        return {message["t"]: (message, buffers) for message, buffers in news}

    def settle(self):
        bench = self.bench
        for worker in (bench.slow, bench.worker, bench.learner, bench.maps, bench.worker, bench.maps):
            worker.wait()


@pytest.fixture
def tab(panel):
    here = Tab(panel)
    here.say("hello")
    return here


def rows(page):
    return [item["row"] for item in page["items"]]


# orders


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_lambda_ranks_as_the_blend_of_both_scores(panel, share):
    panel.order_by("AS")
    panel.share = share
    expected = anomaly.blend(SCORES["G"], SCORES["C"], share)
    assert np.allclose(panel.ranked["score"], np.sort(expected)[::-1])
    assert panel.ranked["id"].tolist() == IDS[np.argsort(-expected, kind="stable")].tolist()
    assert panel.ranked.meta == {"order": "AS", "lambda": share}


def test_the_ensemble_and_each_score_order_as_numpy_does_and_a_missing_score_comes_last(panel):
    assert panel.bench.board.names == ["ensemble", "AS", "G", "C", "gmm", "my votes"]
    assert panel.order == "ensemble"
    expected = np.argsort(-anomaly.ensemble(SCORES), kind="stable")
    assert panel.ranked["id"].tolist() == IDS[expected].tolist()
    panel.order_by("gmm")
    ranked = panel.ranked
    assert ranked["id"][-1] == "g007" and np.isnan(ranked["sigma"][-1])
    assert np.allclose(ranked["sigma"][:-1], np.sort(np.delete(anomaly.in_sigma(SCORES["gmm"]), 7))[::-1])
    assert ranked["rank"].tolist() == list(range(1, N + 1))


def test_a_rank_is_the_place_in_the_order_also_among_equals():
    found = Standing.of([1.0, 3.0, np.nan, 3.0, 0.0])
    assert found.order.tolist() == [1, 3, 0, 4, 2]
    assert [found.rank(row) for row in range(5)] == [3, 1, None, 2, 4]
    assert Standing.of([2.0, 2.0]).counts.sum() == 2 and Standing.of([np.nan]).known == 0


def test_a_step_of_lambda_is_quick_for_100_000_galaxies(file):
    n = 100_000
    scores = Table({"G": rng.gamma(2, size=n), "C": rng.gamma(3, size=n)})
    panel = Anomalies(Latents(np.arange(n), rng.normal(size=(n, 2))), scores=scores, votes=file)
    panel.order_by("AS")
    took = []
    for share in np.linspace(0, 1, 7):
        start = time.perf_counter()
        panel.share = share
        panel.bench._page(unseen=False)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.15


def test_scores_are_made_where_none_are_given_and_agree_with_those_of_a_script(file):
    panel = hunt(LATENTS, IMAGES, MODEL, votes=file, kinds=("mahalanobis", "forest"))
    assert panel.scores.colnames == ["mahalanobis", "forest", "reconstruction", "ensemble"]
    made = anomaly.table(LATENTS, IMAGES, MODEL, kinds=("mahalanobis", "forest"))
    for name in panel.scores.colnames:
        assert np.allclose(panel.scores[name], made[name]), name
    assert panel.order == "ensemble" and panel.bench.busy == ""


def test_a_score_that_cannot_be_made_leaves_the_others_and_is_told():
    few = Latents(np.arange(3), np.eye(3))
    *_, (words, scores) = scored(few, kinds=("mahalanobis", "gmm"))
    assert words == "" and "mahalanobis" in scores.colnames
    assert set(scores.meta["failed"]) <= {"gmm"}


# votes


def test_votes_are_kept_and_a_new_panel_has_them(panel, file):
    panel.vote("g003", "interesting")
    panel.vote("g005", "artefact", note="satellite")
    again = Anomalies(LATENTS, scores=SCORES, votes=file)
    assert again.votes.counts() == {"interesting": 1, "ordinary": 0, "artefact": 1}
    table = again.ranked
    assert table["vote"][table["id"] == "g003"][0] == "interesting"
    assert table["id"][table["artefact"]].tolist() == ["g005"]


def test_undo_and_redo_name_the_galaxy_and_pick_it(panel):
    panel.vote("g003", "interesting")
    panel.vote("g004", "ordinary")
    assert panel.undo() == "g004" == panel.session.picked and panel.votes.get("g004") is None
    assert panel.redo() == "g004" and panel.votes.get("g004") == "ordinary"
    assert panel.undo() == "g004" and panel.undo() == "g003" and panel.undo() is None
    assert panel.bench.board.voted == {}


def test_my_votes_bring_galaxies_like_the_interesting_ones_to_the_top(file):
    z = rng.normal(size=(300, 2)).astype("f4")
    z[:30] += (8, 0)
    panel = Anomalies(Latents(np.arange(300), z), scores=Table({"gmm": rng.normal(size=300)}), votes=file)
    with pytest.raises(GalnbError, match="no votes yet"):
        panel.order_by("my votes")
    for row in range(4):
        panel.vote(row, "interesting")
    for row in range(100, 108):
        panel.vote(row, "ordinary")
    panel.order_by("my votes")
    assert (panel.ranked["id"][:20] < 30).mean() > 0.8
    assert "my votes" in panel.bench.board.names


def test_learning_and_ordering_at_once_do_not_wait_for_each_other(panel):
    for row in range(12):
        panel.vote(IDS[row], ("interesting", "ordinary")[row % 2])
    panel.order_by("my votes")
    done = []

    def learn():
        for row in range(40):
            panel.vote(IDS[row], "ordinary" if row % 2 else "artefact")
            panel.bench.board.learn()
        done.append("learned")

    thread = threading.Thread(target=learn, daemon=True)
    thread.start()
    for _ in range(10):
        panel.bench._stale = True
        panel.bench.rows()
    thread.join(60)
    assert done == ["learned"]


def test_of_two_catalogues_each_has_its_own_votes(monkeypatch, tmp_path):
    monkeypatch.setenv("GALNB_VOTES", str(tmp_path))
    one, two = Anomalies(LATENTS, scores=SCORES), Anomalies(LATENTS[:50], scores=SCORES[:50])
    one.vote("g001", "ordinary")
    assert one.votes.path != two.votes.path and not len(two.votes)
    assert Anomalies(LATENTS, scores=SCORES).votes.get("g001") == "ordinary"


def test_a_flagged_galaxy_that_a_person_found_ordinary_is_no_artefact(file):
    board = Board(LATENTS, Votes(file))
    board.take(SCORES)
    board.flags = Table({"artefact": np.arange(N) < 3})
    assert board.artefacts().sum() == 3
    board.votes.vote("g001", "ordinary")
    board.votes.vote("g010", "artefact")
    assert np.flatnonzero(board.artefacts()).tolist() == [0, 2, 10]
    assert np.flatnonzero(board.among("flagged")).tolist() == [0, 1, 2]
    assert np.flatnonzero(board.among("artefact")).tolist() == [10]
    assert board.among("not voted").sum() == N - 2


# what the browser hears and says


def test_hello_brings_a_page_in_order_the_first_galaxy_and_why(tab, panel):
    news = tab.say("hello")
    page, pictures = news["page"]
    assert rows(page) == panel.bench.wall[:10].tolist() and all(pictures)
    assert [item["rank"] for item in page["items"]] == list(range(1, 11)) and page["total"] == N
    galaxy = news["galaxy"][0]
    assert galaxy["row"] == rows(page)[0] == panel.session.picked_row
    assert {score["name"] for score in galaxy["scores"]} == {"ensemble", "AS", "G", "C", "gmm"}
    assert galaxy["scores"][0]["rank"] == 1 and sum(galaxy["histogram"]["counts"]) == N - 1
    names, square = news["agreement"][0]["names"], np.array(news["agreement"][0]["square"])
    assert names == ["G", "C", "gmm"] and np.allclose(np.diag(square), 1)
    assert news["state"][0]["missing"] == []
    assert "faces" in news and news["faces"][0]["row"] == galaxy["row"]


def test_a_vote_is_kept_the_next_galaxy_is_picked_and_the_wall_stays(tab, panel):
    page = tab.say("hello")["page"][0]
    first, second = rows(page)[:2]
    news = tab.say("vote", row=first, choice="interesting", seq=1, next=second, end=False)
    assert panel.votes.get(IDS[first]) == "interesting" and panel.session.picked_row == second
    assert "page" not in news and news["galaxy"][0]["row"] == second and news["galaxy"][0]["seq"] == 1
    assert news["votes"][0]["marks"][first] == "interesting" and news["votes"][0]["fresh"] == 1
    news = tab.say("undo")
    assert panel.votes.get(IDS[first]) is None and panel.session.picked_row == first
    assert tab.say("redo") and panel.votes.get(IDS[first]) == "interesting"
    tab.say("vote", row=first, choice="none", seq=2)
    assert panel.votes.get(IDS[first]) is None


def test_after_the_last_galaxy_comes_the_next_page_and_by_votes_a_new_order(tab, panel):
    page = tab.say("hello")["page"][0]
    news = tab.say("vote", row=rows(page)[-1], choice="ordinary", seq=1, next=None, end=True)
    assert news["page"][0]["start"] == 10 and panel.session.picked_row == rows(news["page"][0])[0]
    for row in range(5):
        panel.vote(IDS[row], "interesting")
    page = tab.say("order", order="my votes")["page"][0]
    order = panel.bench.wall.tolist()
    news = tab.say("vote", row=rows(page)[-1], choice="artefact", seq=2, next=None, end=True)
    assert panel.bench.wall.tolist() != order and news["votes"][0]["fresh"] == 0
    start = news["page"][0]["start"]
    assert all(row in panel.bench.board.voted for row in panel.bench.wall[:start])
    assert len(news["galaxy"][0]["because"]) == 3


def test_what_is_not_voted_leaves_the_wall_only_when_it_is_ranked_anew(tab):
    tab.say("show", show="not voted")
    page = tab.say("hello")["page"][0]
    first, second = rows(page)[:2]
    tab.say("vote", row=first, choice="ordinary", seq=1, next=second, end=False)
    assert rows(tab.say("hello")["page"][0]) == rows(page)
    news = tab.say("rerank")
    assert rows(news["page"][0])[0] == second and news["page"][0]["total"] == N - 1


def test_the_slider_answers_with_its_number(tab, panel):
    tab.say("order", order="AS")
    page = tab.say("share", share=0.25, seq=9)["page"][0]
    assert page["share_seq"] == 9 and page["share"] == 0.25 == panel.share
    expected = np.argsort(-anomaly.blend(SCORES["G"], SCORES["C"], 0.25), kind="stable")
    assert rows(page) == expected[:10].tolist()


def test_artefacts_among_the_first_are_counted(tab, panel):
    wall = panel.bench.wall[:30]
    panel.bench.board.flags = Table({"edge": np.zeros(N, bool), "artefact": np.zeros(N, bool)})
    for row in wall[:9]:
        panel.vote(IDS[row], "artefact")
    told = tab.say("top", k=20)["votes"][0]
    assert (told["artefacts"], told["top"]) == (9, 20)
    assert tab.say("top", k=5)["votes"][0]["artefacts"] == 5


def test_picks_and_selections_go_both_ways_on_a_shared_session(file):
    session = Session(LATENTS)
    panel = Anomalies(session, IMAGES, scores=SCORES, votes=file, per_page=10)
    tab = Tab(panel)
    tab.say("hello")
    session.pick_id("g042")
    tab.settle()
    assert [m for m, _ in tab.heard if m["t"] == "galaxy"][-1]["row"] == 42
    tab.say("select")
    assert session.selection == tuple(IDS[panel.bench.wall[:10]].tolist()) == panel.selection
    page = tab.say("show", show="selected")["page"][0]
    assert page["total"] == 10
    session.select_ids(["g001", "g002"])
    tab.settle()
    assert panel.bench.rows().tolist() in ([1, 2], [2, 1])
    panel.bench.show, panel.bench._stale = "everything", True
    panel.pick("g099")
    assert session.picked == "g099" and 99 in panel.bench.wall[panel.bench.start :][:10]


@pytest.mark.parametrize("kind", [".csv", ".vot", ".parquet"])
def test_votes_and_ranks_are_saved_and_votes_come_back(tab, panel, tmp_path, kind):
    panel.vote("g003", "interesting", note="a <b>ring</b>")
    news = tab.say("save", what="votes", kind=kind)["file"]
    assert news[0]["name"] == f"votes{kind}"
    other = Tab(Anomalies(LATENTS, scores=SCORES, votes=tmp_path / "other.jsonl"))
    other.say("hello")
    said = other.say("import", data=news[1][0], kind=kind)
    assert said["imported"][0]["text"].startswith("1 votes taken over")
    assert other.bench.votes.get("g003") == "interesting"
    assert len(tab.say("save", what="ranked", kind=kind)["file"][1][0]) > 100
    name, [data] = tab.say("save", what="wall", kind=".png")["file"]
    assert data.startswith(b"\x89PNG") and name["name"] == "anomalies.png"


@pytest.mark.parametrize(
    "message, words",
    [
        ({"t": "order", "order": "gmn"}, "order is 'gmn'"),
        ({"t": "order", "order": "my votes"}, "there are no votes yet"),
        ({"t": "share", "share": 1.5, "seq": 1}, "wanted a number from 0 to 1"),
        ({"t": "show", "show": "all"}, "show is 'all'"),
        ({"t": "top", "k": 0}, "k is '0'"),
        ({"t": "pick", "row": N, "seq": 1}, f"row is '{N}'"),
        ({"t": "vote", "row": 1, "choice": "<b>", "seq": 1}, "wanted one of interesting, ordinary"),
        ({"t": "vote", "row": -1, "choice": "ordinary", "seq": 1}, "row is '-1'"),
        ({"t": "undo"}, "there is no vote to take back"),
        ({"t": "redo"}, "there is no vote to do again"),
        ({"t": "save", "what": "votes", "kind": ".exe"}, "kind is '.exe'"),
        ({"t": "save", "what": "/etc", "kind": ".csv"}, "what is '/etc'"),
        ({"t": "import", "kind": ".csv"}, "the file has 0 bytes"),
        ({"t": "made_up"}, "the browser asked for 'made_up'"),
    ],
)
def test_what_cannot_be_is_an_error_in_place_and_changes_nothing(tab, message, words):
    before = tab.bench.order, tab.bench.board.share, len(tab.bench.votes)
    news = tab.say(**message)
    assert words in news["problem"][0]["text"] and words in tab.bench.problem
    assert (tab.bench.order, tab.bench.board.share, len(tab.bench.votes)) == before


def test_a_file_that_holds_no_votes_is_an_error_in_place(tab):
    news = tab.say("import", data=b"colour,shape\nred,round\n", kind=".csv")
    assert "problem" in news and len(tab.bench.votes) == 0


def test_misspelt_options_and_wrong_parts_are_refused(file):
    with pytest.raises(ValueError, match="did you mean 'per_page'"):
        hunt(LATENTS, scores=SCORES, votes=file, perpage=3)
    with pytest.raises(ValueError, match="did you mean 'forest'"):
        Anomalies(LATENTS, votes=file, kinds=("forrest",))
    with pytest.raises(ValueError, match="per_page=0"):
        Anomalies(LATENTS, scores=SCORES, votes=file, per_page=0)
    with pytest.raises(BadInput, match="wanted one for each of the 120"):
        Anomalies(LATENTS, scores=SCORES[:5], votes=file)
    with pytest.raises(BadInput, match="another order"):
        Anomalies(LATENTS, scores=SCORES[::-1], votes=file)
    with pytest.raises(BadInput, match="no column of numbers"):
        Anomalies(LATENTS, scores=Table({"id": IDS}), votes=file)
    with pytest.raises(CannotDo, match="wanted a galnb.models.WGAN"):
        Anomalies(LATENTS, IMAGES, gan=MODEL, scores=SCORES, votes=file)
    with pytest.raises(TypeError, match="give latents, or images and the model"):
        hunt(images=IMAGES)
    panel = Anomalies(LATENTS, scores=SCORES, votes=file)
    with pytest.raises(ValueError, match="did you mean 'ensemble'"):
        panel.order_by("ensembel")
    with pytest.raises(ValueError, match="wanted 0"):
        panel.share = 7
    with pytest.raises(KeyError, match="nobody"):
        panel.vote("nobody", "ordinary")
    with pytest.raises(ValueError, match="did you mean 'ordinary'"):
        panel.vote("g001", "ordinry")
    assert issubclass(BadMessage, ValueError)


def test_without_images_there_are_names_and_words_for_what_is_missing(file):
    tab = Tab(Anomalies(LATENTS, scores=Table({"gmm": np.arange(N)}), votes=file))
    tab.say("hello")
    news = tab.say("hello")
    assert news["page"][1] == [] and len(news["state"][0]["missing"]) == 3
    assert "Give images=…" in news["faces"][0]["words"][0] or "No map" in news["faces"][0]["words"][0]
    assert "flagged" not in news["state"][0]["shows"]


# where a score comes from


def test_maps_are_shares_and_lie_where_the_galaxy_is_odd(file):
    pixels = np.array(PIXELS)
    pixels[5, 0, 3:6, 20:23] = 1.0
    images = Images(pixels, id=IDS, bands=("r",))
    torch.manual_seed(0)
    gan = WGAN(("r",), SIZE, 6, (16, 16, 16), (16, 16), linear=4)
    gan.warm_start([torch.from_numpy(PIXELS)])
    gan.eval().finish([torch.from_numpy(PIXELS)])
    board = Board(LATENTS, Votes(file))
    scores = Table({"forest": np.arange(N)})
    scores["G"], scores["C"] = anomaly.misfits(images, gan)
    board.take(scores)
    evidence = Evidence(board, Stamps(IDS, images), MODEL, gan)
    for name in ("reconstruction", "G", "C", "AS", "forest", "extended"):
        found = evidence.map(5, name, images[5:6])
        assert found.shape == (SIZE, SIZE) and found.min() >= 0
        assert np.isclose(found.sum(), 1, atol=1e-5), name
    odd = np.s_[3:6, 20:23]
    assert evidence.map(5, "reconstruction", images[5:6])[odd].sum() > 0.25
    assert evidence.map(5, "G", images[5:6])[odd].sum() > 0.25
    assert critic_map(images[5:6], gan)[1:8, 18:25].sum() > 0.2 * critic_map(images[5:6], gan).sum()
    labels = [label for label, _ in evidence.pictures(5, "AS")[0]]
    assert labels == ["Galaxy", "Reconstruction", "Residual", "Where AS comes from"]
    pictures, words, top = evidence.pictures(5, "ensemble")
    assert (
        top is None
        and len(pictures) == 3
        and any("No map for this score: ensemble" in word for word in words)
    )


def test_without_a_kernel_there_is_the_wall_in_words_and_as_a_picture(panel):
    panel.vote("g003", "interesting")
    words, picture = panel.still()
    assert words == "10 of 120 galaxies, ordered by ensemble from rank 1 on; 1 votes"
    assert picture.startswith(b"\x89PNG")


def test_votes_learn_from_what_is_measured_beside_the_latents(tmp_path):
    rng = np.random.default_rng(0)
    latents = Latents(np.arange(300), rng.normal(size=(300, 4)))
    tail = np.where(np.arange(300) < 30, 5.0, 0.0) + rng.normal(0, 0.3, 300)
    found = {}
    for name, more in (
        ("plain", {}),
        ("measured", {"features": Table({"id": np.arange(300), "tail": tail})}),
    ):
        panel = Anomalies(latents, scores=Table({"odd": rng.random(300)}), votes=tmp_path / name, **more)
        for id in (0, 1, 2, 40, 90, 200):
            panel.vote(id, "interesting" if id < 30 else "ordinary")
        panel.order_by("my votes")
        found[name] = int((np.asarray(panel.ranked["id"][:30]) < 30).sum())
    assert found["measured"] >= 25 > 15 > found["plain"]


def test_features_of_other_galaxies_are_refused(tmp_path):
    latents = Latents(np.arange(5), np.zeros((5, 2)))
    for given, reason in (
        (Table({"id": np.arange(1, 6), "x": np.ones(5)}), "their ids are others"),
        (np.ones((4, 2)), r"wanted \(5, k\)"),
    ):
        with pytest.raises(BadInput, match=reason):
            Anomalies(latents, scores=Table({"odd": np.ones(5)}), votes=tmp_path / "v", features=given)


def test_a_note_stays_with_its_galaxy_whatever_is_voted(tmp_path):
    panel = Anomalies(
        Latents(np.arange(5), np.zeros((5, 2))), scores=Table({"odd": np.arange(5.0)}), votes=tmp_path / "v"
    )
    panel.vote(3, "interesting", note="a ring")
    panel.vote(3, "ordinary")
    assert (panel.votes[3], panel.votes.note(3)) == ("ordinary", "a ring")
    panel.bench.note(4, "before any vote")
    assert panel.votes.note(4) == "" and panel.bench.noted(4) == "before any vote"
    panel.vote(4, "artefact")
    assert (
        panel.votes.note(4) == "before any vote" and list(panel.votes.table["note"])[-1] == "before any vote"
    )
    panel.vote(3, "ordinary", note="")
    assert panel.votes.note(3) == ""


def test_galaxies_are_measured_in_the_background_for_the_votes_to_learn(tab, panel):
    panel.bench.slow.wait()
    assert panel.bench.board.features.shape[0] == len(LATENTS) and not panel.bench.busy
    panel.vote(str(LATENTS.id[0]), "interesting")
    panel.order_by("my votes")
    assert len(panel.ranked) == len(LATENTS) and panel.bench.board.ranking._space.shape[1] == 20
    tab.say("note", row=0, text="a tail")
    assert panel.votes.note(str(LATENTS.id[0])) == "a tail"
    tab.say("note", row=0, text=7)
    assert "wanted a note" in panel.bench.problem
