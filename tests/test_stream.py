import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Column
from hypothesis import given
from hypothesis import strategies as st

from galnb import buckets, columns, disk, stream
from galnb.errors import BadInput
from galnb.render import render
from galnb.store import Store
from galnb.stored import Stored
from tests.often import often

rng = np.random.default_rng(7)
N = 120_000


def crowded() -> np.ndarray:
    """A wide cloud, a narrow one, 30,000 points of one place, some far out, some nowhere."""
    parts = [rng.normal(size=(N // 2, 2)), rng.normal((3, -1), 1e-3, size=(N // 4, 2))]
    parts.append(np.tile([[1.0, 1.0]], (N - len(parts[0]) - len(parts[1]), 1)))
    xy = np.concatenate(parts).astype("f4")[rng.permutation(N)]
    xy[::2000] *= 1e4
    xy[5::1000], xy[7, 1] = np.nan, np.inf
    return xy


XY = crowded()
MEMORY = Store.build(*XY.T)
VALUES = np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N)).astype("f4")
KINDS = np.array([f"k{k:02d}" for k in range(30)])[rng.integers(0, 30, N) ** 2 // 30]
VIEWS = [(-5, 5, -5, 5), (2.99, 3.01, -1.01, -0.99), (0.999, 1.001, 0.999, 1.001), MEMORY.bounds]


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch):
    """A few points then make many buckets, one place is more than a bucket, and journals have many lines."""
    monkeypatch.setattr(buckets, "BUCKET", 12_000)
    monkeypatch.setattr(stream, "EVERY", 25_000)
    monkeypatch.setattr(buckets, "GRID", 4)


def pieces(xy, size):
    return lambda row: (xy[at : at + size] for at in range(row, len(xy), size))


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "BUCKET", 12_000)
        patch.setattr(buckets, "GRID", 4)
        made = Store.stream(pieces(XY, 9_999), tmp_path_factory.mktemp("map") / "new", n=N)
        made.add("value", Column(VALUES, unit="nJy"))
        made.add("kind", lambda row: (KINDS[at : at + 5000] for at in range(row, N, 5000)))
    MEMORY.add("value", Column(VALUES, unit="nJy"))
    MEMORY.add("kind", KINDS)
    return Store.open(made.folder)


def test_on_disk_is_the_same_as_in_memory(store):
    assert (store.n, store.n_rows, store.n_dropped, store.bounds) == (
        MEMORY.n, N, MEMORY.n_dropped, MEMORY.bounds,
    )  # fmt: skip
    everything = np.array([[0, store.n]])
    for name in ("x", "y", "order"):
        assert np.array_equal(store.take(getattr(store, name), everything), getattr(MEMORY, name))
    for name in ("codes", "levels", "starts"):
        assert np.array_equal(getattr(store.tree, name), getattr(MEMORY.tree, name))
    own, other = store.tree.counted.read(0, len(store.tree.counted)), MEMORY.tree.counted
    order = ["start", "count", "i"]
    assert len(own) == len(other) and (np.sort(own, order=order) == np.sort(other, order=order)).all()
    assert len(store.plan["buckets"]) > 8


@pytest.mark.parametrize("exact", [True, False, None])
@pytest.mark.parametrize("color", ["count", "value", "kind"])
@pytest.mark.parametrize("view", VIEWS, ids=range(len(VIEWS)))
def test_frames_are_those_of_the_memory(store, view, color, exact):
    options = {"color": color, "exact": exact, "selected": np.arange(0, N, 50)}
    one, two = (render(here, view, 90, 60, **options) for here in (store, MEMORY))
    np.testing.assert_allclose(one.counts, two.counts, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(one.values, two.values, rtol=1e-3, atol=1e-4)
    assert np.array_equal(one.selected, two.selected) and one.categories == two.categories
    assert one.label == two.label and (one.how == "category" or np.array_equal(one.index, two.index))


numbers = st.floats(-4, 4)


@often(30)
@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9), numbers, numbers, st.floats(1e-6, 2))
def test_lasso_click_and_sample_are_those_of_the_memory(store, corners, x, y, radius):
    assert np.array_equal(store.within(corners).runs, MEMORY.within(corners).runs)
    assert np.array_equal(store.lasso(corners), MEMORY.lasso(corners))
    assert store.nearest(x, y, radius, radius) == MEMORY.nearest(x, y, radius, radius)
    view = (x, x + radius, y, y + radius)
    assert np.array_equal(store.sample(view, 20), MEMORY.sample(view, 20))


def test_rows_are_placed_and_located(store):
    rows = np.r_[rng.integers(0, N, 300), 5, 7]
    assert np.array_equal(store.place(rows), XY[rows], equal_nan=True)
    assert np.array_equal(store.locate(rows), MEMORY.locate(rows)) and (store.locate([5, 7]) == -1).all()
    assert len(store.locate([])) == 0 and store.place([]).shape == (0, 2)


@pytest.mark.parametrize("size", [1, 777, 50_000, N])
def test_the_bytes_are_the_same_whatever_the_pieces(tmp_path, size):
    xy = XY[:3000] if size == 1 else XY
    one, two = (Store.stream(pieces(xy, k), tmp_path / str(k)).folder for k in (size, 4321))
    assert files(one) == files(two)
    assert {path.name for path in one.iterdir()} == {"store.json", "xy", *stream.SORTED}


class Stop(Exception):
    """The process ended here."""


def test_stopped_at_every_line_of_its_journal_it_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    whole, asked, stops = files(Store.stream(pieces(XY, 9_000), tmp_path / "whole").folder), [], 0

    def chunks(row):
        asked.append(row)
        return pieces(XY, 9_000)(row)

    while True:
        # before the line is written, next time after it
        at, stops = ("journal", "journaled")[stops % 2], stops + 1

        def point(name, at=at):
            if name == at:
                raise Stop

        monkeypatch.setattr(disk, "point", point)
        try:
            store = Store.stream(chunks, tmp_path / "stopped", n=N)
            break
        except Stop:
            with pytest.raises(BadInput, match="build it again"):
                Store.open(tmp_path / "stopped")
    assert stops > 30 and files(store.folder) == whole
    assert all(row % 9_000 == 0 for row in asked) and len(set(asked)) > 4


def test_what_a_crash_left_half_written_does_no_harm(tmp_path, monkeypatch):
    whole = files(Store.stream(pieces(XY, 9_000), tmp_path / "whole").folder)
    calls = iter(range(1000))

    def point(name):
        if next(calls) == 17:
            raise Stop

    monkeypatch.setattr(disk, "point", point)
    with pytest.raises(Stop):
        Store.stream(pieces(XY, 9_000), tmp_path / "new")
    for name in ("x", "cells"):
        with open(tmp_path / "new" / name, "ab") as file:
            file.write(b"half")
    assert files(Store.stream(pieces(XY, 9_000), tmp_path / "new").folder) == whole


def test_a_damaged_folder_is_refused_and_made_again(tmp_path):
    folder = Store.stream(pieces(XY, 9_000), tmp_path / "map").folder
    whole = files(folder)
    for name in (*stream.SORTED, "xy"):
        (folder / name).write_bytes(whole[name][:-4])
        with pytest.raises(BadInput, match=f"{name} has not the .* build it again"):
            Store.open(folder)
        Store.stream(pieces(XY, 9_000), folder)
        assert files(folder) == whole
    (folder / "store.json").write_text("{}")
    with pytest.raises(BadInput, match="build it again"):
        Store.open(folder)
    (folder / "x").unlink()
    assert files(Store.stream(pieces(XY, 9_000), folder).folder) == whole
    with pytest.raises(BadInput, match="not readable as a map"):
        Store.open(tmp_path / "nowhere")


def test_a_map_that_is_there_is_not_made_again(tmp_path):
    store = Store.stream(pieces(XY[:500], 100), tmp_path / "map")

    def never(row):
        raise AssertionError("asked again")

    assert Store.stream(never, store.folder, n=500).n == store.n


@pytest.mark.parametrize("points", [[], [(np.nan, 1)], [(2, 3)], [(2, 3), (2, 3)], [(0, 0), (0, 5)]])
def test_hardly_any_points(tmp_path, points):
    xy = np.array(points, dtype="f4").reshape(-1, 2)
    store, memory = Store.stream(lambda row: [xy[row:]], tmp_path / "few"), Store.build(*xy.T)
    assert (store.n, store.bounds) == (memory.n, memory.bounds)
    around = [(-9, -9), (9, -9), (9, 9), (-9, 9)]
    assert store.lasso(around).tolist() == memory.lasso(around).tolist() == list(range(store.n))
    assert store.nearest(2, 3, 1, 1) == memory.nearest(2, 3, 1, 1)
    store.add("v", np.arange(len(xy), dtype=float))
    for exact in (True, False):
        frame = render(store, (-9, 9, -9, 9), 20, 20, color="v", exact=exact)
        assert frame.counts.sum() == pytest.approx(store.n)


def test_as_many_as_are_wanted_or_none(tmp_path):
    with pytest.raises(BadInput, match=f"{N} points came, wanted 5"):
        Store.stream(pieces(XY, 9_000), tmp_path / "a", n=5)
    assert Store.stream(pieces(XY[:5], 2), tmp_path / "a", n=5).n_rows == 5
    with pytest.raises(BadInput, match="4 points came, wanted 5"):
        Store.stream(pieces(XY[:4], 2), tmp_path / "c", n=5)
    assert Store.stream(pieces(XY[:5], 2), tmp_path / "c", n=5).n_rows == 5
    with pytest.raises(BadInput, match="wanted \\(k, 2\\)"):
        Store.stream(lambda row: [np.zeros(4)], tmp_path / "b")


def test_columns_are_those_of_the_memory(store):
    for name in ("value", "kind"):
        own, other = store.columns[name], MEMORY.columns[name]
        everything = np.array([[0, store.n]])
        assert np.array_equal(store.take(own.values, everything), other.values, equal_nan=name == "value")
        assert (own.label, own.categories) == (other.label, other.categories)
    assert len(store.columns["kind"].categories) == 20 and store.columns["kind"].categories[-1] == "other"


def test_a_column_that_fails_leaves_nothing_and_can_come_again(store, tmp_path):
    folder = Path(shutil.copytree(store.folder, tmp_path / "copy"))
    copy = Store.open(folder)

    def broken(row):
        yield VALUES[:1000]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        copy.add("a/<b>", broken)
    for wrong in (VALUES[:-1], np.r_[VALUES, 1.0], np.zeros((N, 2))):
        with pytest.raises(ValueError, match="wanted"):
            copy.add("a/<b>", wrong)
    assert set(Store.open(folder).columns) == {"value", "kind"}
    copy.add("a/<b>", np.ma.array(VALUES, mask=np.arange(N) % 2 > 0))
    copy.add("flag", XY[:, 0] > 0)
    again = Store.open(folder)
    values = again.take(again.columns["a/<b>"].values, np.array([[0, again.n]]))
    assert np.isnan(values[MEMORY.order % 2 > 0]).all() and again.columns["flag"].categories == (
        "False",
        "True",
    )
    assert len(list(folder.glob("*"))) == len(list(store.folder.glob("*"))) + 6
    next(folder.glob("column-*.totals")).write_bytes(b"short")
    assert len(Store.open(folder).columns) == 3


def test_a_column_that_another_kernel_writes_anew_is_no_damage(store, tmp_path, monkeypatch):
    folder, alone = Path(shutil.copytree(store.folder, tmp_path / "copy")), columns.alone
    copy = Store.open(folder)

    @contextmanager
    def until_the_next(place):
        with alone(place):
            yield
        for path in folder.glob("column-*"):  # who waited begins at once
            path.unlink()

    monkeypatch.setattr(columns, "alone", until_the_next)
    copy.add("mine", VALUES)
    found = copy.take(copy.columns["mine"].values, np.array([[0, copy.n]]))
    assert np.array_equal(found, np.asarray(VALUES, dtype="f4")[MEMORY.order], equal_nan=True)
    (folder / "column-mine.json").symlink_to("nowhere")  # there when it is looked for, gone when it is read
    assert Store.open(folder).columns == {}


def test_a_deep_view_reads_little(store, monkeypatch):
    read, fill = [], Stored._fill
    monkeypatch.setattr(Stored, "_fill", lambda self, out, at: (read.append(out.nbytes), fill(self, out, at)))
    assert render(store, (0, 0.02, 0, 0.02), 100, 100).n_visible > 0
    assert 0 < sum(read) < store.n


@pytest.mark.slow
def test_ten_million_points_are_built_and_looked_at_within_300_megabytes(tmp_path):
    from tests.bench.bench_map import child

    built, seen = (child(task, 10_000_000, str(tmp_path / "map")) for task in ("build", "look"))
    assert built["peak_mb"] < 300 and seen["peak_selected_mb"] < 300
    assert seen["selected"] > 1_000_000 and seen["lasso_s"] < 1
