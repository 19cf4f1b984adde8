import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galnb import selection as module
from galnb.render import render
from galnb.selection import Ids, Selection, ids_of
from galnb.session import Session
from galnb.store import Store
from tests.locked import Catalogue
from tests.often import often

rng = np.random.default_rng(8)
N = 20_000
XY = rng.normal(size=(N, 2)).astype("f4")
XY[::500] = np.nan
MEMORY = Store.build(*XY.T)
OTHER = Store.build(*rng.normal(size=(2, N)).astype("f4"))
BIG = [(-1.5, -1.5), (1.5, -1.5), (1.5, 1.5), (-1.5, 1.5)]


@pytest.fixture(scope="module", params=["memory", "disk"])
def store(request, tmp_path_factory):
    if request.param == "memory":
        return MEMORY
    return Store.stream(lambda row: [XY[row:]], tmp_path_factory.mktemp("map") / "new")


@pytest.fixture(params=["few", "many"])
def size(request, monkeypatch):
    """With a limit that the selections of these tests are under, or over."""
    if request.param == "many":
        monkeypatch.setattr(module, "SMALL", 500)
        monkeypatch.setattr(module, "TUPLE", 200)
        monkeypatch.setattr(module, "LOCATED", 400)


def box(x, y, half):
    return [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]


def inside(corners, xy=XY):
    (x0, y0), (x1, y1) = corners[0], corners[2]
    return set(
        np.flatnonzero((xy[:, 0] >= x0) & (xy[:, 0] < x1) & (xy[:, 1] >= y0) & (xy[:, 1] < y1)).tolist()
    )


places = st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.sampled_from([0.05, 0.3, 1.5]))
steps = st.tuples(
    st.sampled_from(["here", "there", "rows"]), places, st.sampled_from(["add", "subtract", "replace"])
)


@often(80)
@given(st.lists(steps, min_size=1, max_size=5), st.sampled_from([400, 10**6]))
def test_whatever_is_combined_it_is_a_set_of_rows(store, todo, small):
    other = np.stack([OTHER.x[OTHER.rank], OTHER.y[OTHER.rank]], axis=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", small)
        patch.setattr(module, "LOCATED", 300)
        chosen, wanted = Selection.of([]), set()
        for kind, place, mode in todo:
            corners = box(*place)
            if kind == "rows":
                rows = rng.integers(0, N, 20)
                new, numbers = Selection.of(rows), set(rows.tolist())
            else:
                new = Selection.inside(store if kind == "here" else OTHER, corners)
                numbers = inside(corners, XY if kind == "here" else other)
            chosen = chosen.combined(new, mode, N)
            wanted = numbers if mode == "replace" else wanted | numbers if mode == "add" else wanted - numbers
        rows = chosen.rows
        assert len(chosen) == len(rows) == len(wanted) and set(rows.tolist()) == wanted
        assert np.array_equal(np.concatenate([*chosen.pages(997), []]), rows)
        asked = rng.integers(0, N, 50)
        assert np.array_equal(chosen.has(asked), np.isin(asked, rows))
        bits = chosen.bits(N)
        assert np.array_equal(bits.page(0, N), np.sort(rows))
        assert chosen.same(chosen) and chosen.same(Selection.of(rows)) == (len(rows) <= 2 * small)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("view", [(-3, 3, -3, 3), (0.2, 0.4, -0.1, 0.1), (1.3, 9, -9, 9)])
def test_what_is_marked_is_what_rows_mark(store, size, view, exact):
    chosen = Selection.inside(store, BIG)
    apart = Selection.inside(OTHER, BIG)
    for one in (chosen, apart, chosen.combined(apart, "add", N), Selection.of(np.arange(0, N, 2))):
        drawn = render(store, view, 60, 50, selected=one, exact=exact, spread=0).selected
        points = render(store, view, 60, 50, selected=one.rows, exact=True, spread=0).selected
        if exact:
            assert np.array_equal(drawn, points)
        else:  # cells that the outline crosses are spread over their pixels
            assert abs((drawn > 0).sum() - (points > 0).sum()) <= 0.05 * drawn.size


def test_a_lasso_lists_nothing_by_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SMALL", 500)
    store = Store.stream(lambda row: [XY[row:]], tmp_path / "map")
    read, order = [], store.order
    take, at = order.take, order.at
    monkeypatch.setattr(order, "take", lambda runs: (read.append(np.diff(runs).sum()), take(runs))[1])
    monkeypatch.setattr(order, "at", lambda where: (read.append(len(where)), at(where))[1])
    chosen = Selection.inside(store, BIG)
    assert len(chosen) > 10_000 and chosen.spans.nbytes < 8 * len(chosen)
    for exact in (True, False):
        render(store, (-2, 2, -2, 2), 50, 50, selected=chosen, exact=exact)
    assert not read
    page = chosen.page(5000, 5025)
    assert sum(read) == 25 and np.array_equal(page, chosen.rows[5000:5025])


def test_ids_are_a_tuple_and_beyond_that_as_good_as_one(monkeypatch):
    catalogue = Catalogue()
    chosen = Selection.of(rng.permutation(N)[:5000])
    assert type(ids_of(catalogue, chosen)) is tuple
    monkeypatch.setattr(module, "TUPLE", 1000)
    ids, plain = ids_of(catalogue, chosen), tuple((chosen.rows + 1000).tolist())
    assert type(ids) is Ids and len(ids) == 5000 and ids == plain and plain == ids
    assert (ids[0], ids[-1], ids[7:3], ids[3:9], ids[::-7], ids[4990:9999:3]) == (
        plain[0], plain[-1], plain[7:3], plain[3:9], plain[::-7], plain[4990:9999:3],
    )  # fmt: skip
    assert tuple(ids) == plain and plain[17] in ids and -1 not in ids and ids.index(plain[9]) == 9
    assert ids != plain[:-1] and ids != (*plain[:-1], 3) and ids != list(plain) and not ids == 5
    with pytest.raises(IndexError):
        ids[5000]
    assert repr(ids) == "<Ids of 5,000 galaxies>"


def test_ids_are_read_only_when_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(module, "TUPLE", 1000)
    session = Session(Catalogue())
    session.select_box(-1, 1, -1, 1)
    ids = session.selection
    assert session.n_selected == len(ids) > 1000 and session.selection is ids and ids == session.selection
    session.frame(50, 40)
    session.undo()
    session.redo()
    assert session.selection == ids
    assert session.latents.id.read == 0
    assert ids[100:125] == tuple((session.chosen.page(100, 125) + 1000).tolist())
    assert session.latents.id.read == 25


def test_other_sessions_take_ids_over(monkeypatch):
    monkeypatch.setattr(module, "TUPLE", 100)
    first = Session(Catalogue(3000))
    first.select_box(-1, 1, -1, 1)
    same, less = Session(Catalogue(3000)), Session(Catalogue(2900))
    same.select_ids(first.selection)
    assert same.chosen is first.chosen and same.latents.id.read == first.latents.id.read == 0
    less_ids = [k for k in first.selection if k < 3900]
    first.select_ids(less_ids)
    for small in (10, 10**6):
        monkeypatch.setattr(module, "SMALL", small)
        less.clear()
        less.select_ids(first.selection)
        assert set(less.selection) == set(less_ids)
    with pytest.raises(KeyError, match="3999"):
        first.select_ids([3999, *range(1000, 1200)])
        less.select_ids(first.selection)
    assert set(less.selection) == set(less_ids)


def test_large_selections_are_saved_and_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "TUPLE", 100)
    catalogue = Catalogue(3000)
    session, other = Session(catalogue), Session(catalogue)
    other.select_box(-1, 1, -1, 1)
    session.select_ids(other.selection)
    two = np.setdiff1d(np.arange(3000), other.selected_rows)[[1, 0]]
    session.select_rows([*two, two[0]], "add")
    wanted = set(other.selected_rows.tolist()) | set(two.tolist())
    for small in (10, 10**6):
        monkeypatch.setattr(module, "SMALL", small)
        monkeypatch.setattr("galnb.record.SMALL", small)
        again = Session.load(session.save(tmp_path / "s.json"), catalogue)
        assert set(again.selected_rows.tolist()) == wanted == set(session.selected_rows.tolist())
        again.undo()
        assert set(again.selected_rows.tolist()) == set(other.selected_rows.tolist())


def test_undo_forgets_the_oldest_when_what_it_keeps_is_too_much(monkeypatch):
    from galnb import session as room

    monkeypatch.setattr(room, "UNDO_BYTES", 50_000)
    session = Session(Catalogue(3000))
    for k in range(12):
        session.select_rows(np.arange(k, 3000))
    steps = 0
    while session.can_undo:
        session.undo()
        steps += 1
    assert 1 <= steps < 4 and session.n_selected > 2900
