import numpy as np
import pytest
from astropy.table import Column, MaskedColumn
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from galnb.spans import Spans
from galnb.store import Store, categorize
from tests.often import often

rng = np.random.default_rng(2)
XY = np.concatenate([rng.normal(size=(40_000, 2)), rng.normal((3, -1), 0.05, size=(10_000, 2))]).astype("f4")
STORE = Store.build(*XY.T)
numbers = st.floats(-4, 4)


def star(k, radius, x, y):
    angle = np.linspace(0, 2 * np.pi, k, endpoint=False)
    return np.c_[np.cos(angle), np.sin(angle)] * radius * (1 + 0.4 * np.sin(5 * angle))[:, None] + (x, y)


def test_order_and_rank_are_inverse_permutations():
    assert np.array_equal(np.sort(STORE.order), np.arange(len(XY)))
    assert np.array_equal(STORE.order[STORE.rank], np.arange(len(XY)))
    assert np.array_equal(STORE.x, XY[STORE.order, 0]) and STORE.x.dtype == np.float32


def test_positions_that_are_not_finite_are_left_out_and_counted():
    store = Store.build([0, np.nan, 1, np.inf], [0, 0, 1, 1], {"a": [1, 2, 3, 4]})
    assert (store.n, store.n_dropped) == (2, 2)
    assert store.columns["a"].values.tolist() == [1, 3]
    assert store.lasso(star(9, 9, 0, 0)).tolist() == [0, 2]


@often(60)
@given(numbers, numbers, numbers, numbers)
def test_no_point_of_a_view_is_missed(a, b, c, d):
    view = (min(a, b), max(a, b), min(c, d), max(c, d))
    x, y = XY.T
    inside = (x >= view[0]) & (x <= view[1]) & (y >= view[2]) & (y <= view[3])
    assert set(np.flatnonzero(inside)) <= set(STORE.order[STORE.positions(view)].tolist())
    assert STORE.count(view) >= inside.sum()


def test_a_deep_view_touches_few_points():
    assert STORE.count((-0.05, 0.05, -0.05, 0.05)) < 2_000


@often(60)
@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=12))
def test_lasso_is_brute_force_even_where_it_crosses_itself(corners):
    corners = np.array(corners) + rng.normal(0, 1e-4, (len(corners), 2))
    assert np.array_equal(STORE.lasso(corners), np.flatnonzero(Path(corners).contains_points(XY)))


@pytest.mark.parametrize(
    "k, radius, x, y", [(200, 1.5, 0, 0), (40, 0.03, 3, -1), (7, 50, 0, 0), (5, 1, 40, 0)]
)
def test_lasso_of_any_size_is_brute_force(k, radius, x, y):
    polygon = star(k, radius, x, y)
    assert np.array_equal(STORE.lasso(polygon), np.flatnonzero(Path(polygon).contains_points(XY)))


@often(60)
@given(numbers, numbers, st.floats(1e-3, 1), st.floats(1e-3, 1))
def test_nearest_is_brute_force(x, y, rx, ry):
    square = ((XY[:, 0] - x) / rx) ** 2 + ((XY[:, 1] - y) / ry) ** 2
    want = int(square.argmin()) if square.min() <= 1 else None
    assert STORE.nearest(x, y, rx, ry) == want


def test_cells_of_every_depth_hold_every_point():
    store = Store.build(*XY.T, {"v": XY[:, 0], "c": np.where(XY[:, 0] > 2, "far", "near")})
    counted = store.tree.counted
    for last in (0, 3, 8, 28):
        where, levels = store.tree.cells(store.runs(store.bounds), last)
        cells, level = store.take(counted, where), np.repeat(levels, where[:, 1] - where[:, 0])
        shown = (level == last) | (cells["count"] <= 32)
        parts = np.stack([cells["start"], cells["start"] + cells["count"]], axis=1)[shown].astype(int)
        assert Spans.union(parts).runs.tolist() == [[0, store.n]] and cells["count"][shown].sum() == store.n
    sums, finite = store.totals(store.columns["v"]).T
    starts, ends = counted["start"].astype(int), (counted["start"] + counted["count"]).astype(int)
    running = np.r_[0, np.cumsum(store.columns["v"].values, dtype=float)]
    np.testing.assert_allclose(sums, running[ends] - running[starts], rtol=1e-4, atol=1e-3)
    assert np.array_equal(finite, counted["count"])
    kinds, codes = store.totals(store.columns["c"]), store.columns["c"].values
    for k in rng.integers(0, len(counted), 200):
        number = np.bincount(codes[starts[k] : ends[k]], minlength=2)
        assert number[kinds[k]] == number.max()


def test_leaves_are_small_whatever_the_outliers():
    far = np.concatenate([XY, [(1e6, -1e6)]]).astype("f4")
    store = Store.build(*far.T)
    assert np.diff(store.tree.starts).max() <= 64 and store.count((-0.05, 0.05, -0.05, 0.05)) < 2_000
    corners = star(40, 1.5, 0, 0)
    assert np.array_equal(store.lasso(corners), np.flatnonzero(Path(corners).contains_points(far)))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_stores_answer(n):
    store = Store.build(np.zeros(n), np.zeros(n))
    assert len(store.lasso([(-1, -1), (1, -1), (0, 2)])) == n
    assert store.nearest(0, 0, 1, 1) == (0 if n else None)
    assert store.tree.counted["count"][:1].sum() == n
    assert store.place(np.arange(n)).shape == (n, 2) and len(store.sample((-1, 1, -1, 1), 5)) == n


def test_columns_know_their_kind_and_unit():
    store = Store.build(np.arange(4), np.arange(4))
    store.add("flux", Column([1.0, 2, 3, 4], unit="nJy"))
    store.add("z", MaskedColumn([1, 2, 3, 4], mask=[0, 1, 0, 0]))
    store.add("star", np.array([True, False, True, True]))
    store.add("kind", MaskedColumn(["a", "b", "a", "a"], mask=[0, 0, 0, 1]))
    assert store.columns["flux"].label == "flux [nJy]"
    assert np.isnan(store.columns["z"].values).sum() == 1
    assert store.columns["star"].categories == ("False", "True")
    assert store.columns["kind"].categories == ("a", "b", "missing")


def test_the_commonest_categories_stay_and_the_rest_is_other():
    codes, names = categorize(np.repeat([f"k{i:02d}" for i in range(40)], np.arange(40) + 1))
    assert names == (*(f"k{i}" for i in range(21, 40)), "other")
    assert (codes == 19).sum() == sum(range(1, 22))


@pytest.mark.parametrize("polygon", [[(0, 0), (1, 1)], [(0, 0), (1, np.nan), (1, 0)], [1, 2, 3]])
def test_a_bad_polygon_is_refused(polygon):
    with pytest.raises(ValueError, match="draw it again"):
        STORE.lasso(polygon)
    with pytest.raises(ValueError, match="did you mean 'count'"):
        STORE.column("cuont")
