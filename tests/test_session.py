import json
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Column, Table
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from galnb.errors import BadInput
from galnb.latents import Latents
from galnb.session import Session
from tests.often import often

rng = np.random.default_rng(6)
Z = (rng.normal(size=(3000, 6)) * (3, 2, 1, 1, 1, 1)).astype("f4")
TABLE = Table({"redshift": rng.random(3000), "r": Column(rng.normal(20, 1, 3000), unit="mag")})
TABLE["kind"] = np.where(TABLE["redshift"] > 0.5, "far", "near")
LATENTS = Latents(np.char.add("g", np.arange(3000).astype(str)), Z, TABLE)
PLANES = ("pca", ("redshift", "r"))
TRIANGLE = [(0, 0), (4, 0), (0, 4)]


def seen(session):
    polygon = None if session.polygon is None else session.polygon.tolist()
    chosen = (session.selection, polygon, session.color, session.picked, session.spot)
    return (session.plane, session.view, *chosen)


@pytest.fixture
def session():
    return Session(LATENTS)


def test_add_and_subtract_are_set_operations(session):
    session.select_box(0, 2, 0, 2)
    first = set(session.selection)
    session.select_box(1, 3, 1, 3, "add")
    both = set(session.selection)
    session.select_box(1, 3, 1, 3, "subtract")
    rest = set(session.selection)
    assert first < both and rest == first - {g for g in both if g not in rest} and rest < first
    assert len(session.selected()) == len(rest)


def test_ids_keep_their_order_and_never_repeat(session):
    session.select_ids(["g5", "g2", "g5"])
    session.select_ids(["g9", "g2"], "add")
    assert session.selection == ("g5", "g2", "g9") and session.selected_rows.tolist() == [5, 2, 9]
    with pytest.raises(KeyError, match="g99999"):
        session.select_ids(["g99999"])
    assert session.selection == ("g5", "g2", "g9")
    session.select_ids([])
    assert session.selection == () and len(session.selected()) == 0


def test_a_click_picks_a_galaxy_or_marks_an_empty_spot(session):
    x, y = session.projection().xy[17]
    assert session.pick(x, y, 0.01, 0.01) == "g17" == session.picked and session.spot is None
    assert session.pick(90, 90, 0.01, 0.01) is None and session.spot == (90, 90)
    session.undo()
    assert session.picked == "g17"


def test_undo_and_redo_go_through_everything(session):
    steps = [
        lambda: session.select_polygon(TRIANGLE),
        lambda: session.color_by("kind"),
        lambda: session.pick(50, 50, 1, 1),
        lambda: session.use_plane(["redshift", "r"]),
        lambda: session.select_box(0, 0.5, 19, 20, "add"),
        lambda: session.clear(),
    ]
    states = [seen(session)]
    for step in steps:
        step()
        states.append(seen(session))
    for wanted in states[-2::-1]:
        session.undo()
        assert seen(session) == wanted
    assert not session.can_undo
    session.undo()
    for wanted in states[1:]:
        session.redo()
        assert seen(session) == wanted
    assert not session.can_redo


def test_a_new_command_forgets_what_was_undone_and_nothing_is_no_command(session):
    session.color_by("r")
    session.undo()
    session.color_by("count")
    assert session.can_redo and not session.can_undo
    session.color_by("kind")
    assert not session.can_redo


def test_the_selection_survives_another_plane(session):
    session.select_polygon(TRIANGLE)
    chosen = session.selection
    session.use_plane(("redshift", "r"))
    assert session.selection == chosen and session.polygon is None
    assert session.axes == ("redshift", "r [mag]")
    assert session.frame(50, 40).selected.any()


def test_views_are_kept_by_plane_and_not_undone(session):
    session.set_view((0, 1, 2, 3))
    session.use_plane(("redshift", "r"))
    assert session.view != (0, 1, 2, 3)
    session.undo()
    assert session.view == (0, 1, 2, 3)


def test_home_shows_all_points_at_equal_scale(session):
    x0, x1, y0, y1 = session.home(700, 350)
    assert (x1 - x0) == pytest.approx(2 * (y1 - y0))
    assert session.frame(700, 350, view=session.home(700, 350)).n_visible == 3000


@pytest.mark.parametrize("color", ["redshift", "kind", "count"])
def test_frames_follow_the_color(session, color):
    session.color_by(color)
    frame = session.frame(60, 50)
    assert frame.label == ("galaxies" if color == "count" else color) and frame.index.any()


def test_callbacks_hear_what_changed_without_the_lock(session):
    heard = []

    def listen(names):
        def other():
            free = session.lock.acquire(timeout=5)
            heard.append((names, free))
            if free:
                session.lock.release()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    stop = session.on_change(listen)
    session.select_polygon(TRIANGLE)
    session.set_view((0, 1, 0, 1))
    session.set_view((0, 1, 0, 1))
    session.use_plane(("redshift", "r"))
    stop()
    session.clear()
    assert heard == [
        ({"selection", "polygon"}, True), ({"view"}, True), ({"plane", "view", "polygon"}, True),
    ]  # fmt: skip


def test_threads_do_not_lose_commands(session):
    def work(k):
        for i in range(20):
            session.select_ids([f"g{100 * k + i}"], "add")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(session.selection) == 80


def test_a_session_of_other_latents_or_a_damaged_one_is_refused(session, tmp_path):
    path = session.save(tmp_path / "session.json")
    with pytest.raises(BadInput, match="other latents"):
        Session.load(path, LATENTS[:50])
    good = json.loads(path.read_text())
    bad = (
        [{"do": "save", "path": "x"}],
        [{"do": "select_ids", "ids": ["nobody"], "mode": "add"}],
        [3],
        [{}],
        None,
    )
    for log in bad:
        path.write_text(json.dumps({**good, "log": log}))
        with pytest.raises(BadInput, match="wanted a file from Session.save"):
            Session.load(path, LATENTS)
    for text in ("", "[]", "{}", '{"galnb": "session"}'):
        path.write_text(text)
        with pytest.raises(BadInput, match="wanted a file from Session.save"):
            Session.load(path, LATENTS)


def test_misspelt_options_are_refused(session):
    for act in (
        lambda: session.select_polygon(TRIANGLE, "ad"), lambda: session.select_ids(["g1"], "ad"),
        lambda: session.color_by("redshfit"), lambda: session.use_plane("pac"),
        lambda: session.projection("uma"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="did you mean"):
            act()
    with pytest.raises(ValueError, match="two column names"):
        session.use_plane(("r", "r", "r"))
    with pytest.raises(ValueError, match="view="):
        session.set_view((1, 0, 0, 1))
    with pytest.raises(ValueError, match="finite"):
        session.pick(np.nan, 0, 1, 1)


corner = st.tuples(st.floats(-5, 5), st.floats(-5, 5))
mode = st.sampled_from(["replace", "add", "subtract"])


class Hand(RuleBasedStateMachine):
    """Whatever a hand does, saving and loading gives the same state, undo and redo included."""

    def __init__(self):
        super().__init__()
        self.session = Session(LATENTS[:300])

    @rule(polygon=st.lists(corner, min_size=3, max_size=6), mode=mode)
    def lasso(self, polygon, mode):
        self.session.select_polygon(polygon, mode)

    @rule(ids=st.lists(st.integers(0, 299), max_size=5), mode=mode)
    def choose(self, ids, mode):
        self.session.select_ids([f"g{i}" for i in ids], mode)

    @rule(spot=corner, radius=st.floats(0.01, 2))
    def click(self, spot, radius):
        self.session.pick(*spot, radius, radius)

    @rule(name=st.sampled_from(["count", "r", "kind"]))
    def color(self, name):
        self.session.color_by(name)

    @rule(plane=st.sampled_from(PLANES))
    def move(self, plane):
        self.session.use_plane(plane)

    @rule(x=st.floats(-5, 5), wide=st.floats(0.1, 9))
    def look(self, x, wide):
        self.session.set_view((x, x + wide, -1, 1))

    @rule(what=st.sampled_from(["undo", "redo", "clear"]))
    def back(self, what):
        getattr(self.session, what)()

    @rule()
    def replays(self):
        with tempfile.TemporaryDirectory() as folder:
            again = Session.load(self.session.save(Path(folder) / "s.json"), self.session.latents)
        mine = self.session
        assert seen(again) == seen(mine)
        assert (again.can_undo, again.can_redo) == (mine.can_undo, mine.can_redo)
        if again.can_redo:
            again.redo(), mine.redo()
            assert seen(again) == seen(mine)
            again.undo(), mine.undo()
        if again.can_undo:
            again.undo(), mine.undo()
            assert seen(again) == seen(mine)
            mine.redo()

    def teardown(self):
        self.replays()


Hand.TestCase.settings = often(15, stateful_step_count=15)
TestHand = Hand.TestCase


def test_a_galaxy_is_picked_by_name_even_where_others_lie_upon_it_or_where_it_has_no_place(tmp_path):
    table = Table({"a": [1.0, 1, 1, 2, 3], "b": [5, 5, 5, 6, np.nan]})
    latents = Latents(np.arange(5), np.eye(5), table)
    session = Session(latents, plane=("a", "b"))
    for name in (2, 4):
        session.pick_id(name)
        assert session.picked == name
    assert Session.load(session.save(tmp_path / "s.json"), latents).picked == 4
    session.undo()
    assert session.picked == 2
    with pytest.raises(KeyError):
        session.pick_id(9)


def test_a_session_goes_on_with_the_latents_that_were_written_and_read(tmp_path):
    latents = LATENTS[:20]
    session = Session(latents)
    session.select_ids(latents.id[:3])
    path, written = session.save(tmp_path / "s.json"), latents.write(tmp_path / "l.parquet")
    assert Session.load(path, Latents.read(written)).selection == session.selection
