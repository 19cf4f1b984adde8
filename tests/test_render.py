import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from holoviews.operation.datashader import rasterize

import galnb.render as module
from galnb.latents import Latents
from galnb.reduce import Plane
from galnb.render import bind, render
from galnb.selection import Selection
from galnb.session import Session
from galnb.store import Store

rng = np.random.default_rng(3)
N = 30_000
XY = rng.normal(size=(N, 2)).astype("f4")
XY[:100] = np.round(XY[:100])  # some points right on pixel edges
VALUES = np.where(rng.random(N) < 0.1, np.nan, rng.normal(size=N)).astype("f4")
KIND = np.where(XY[:, 0] >= 0, "right", "left")
STORE = Store.build(*XY.T, {"value": VALUES, "kind": KIND})
EDGES = (XY[:, 0].min(), XY[:, 0].max(), XY[:, 1].min(), XY[:, 1].max())
VIEWS = [
    (-5, 5, -5, 5), (-1, 1, -1, 1), (-0.01, 0.012, 0.2, 0.21), (0, 3, -2, 0), (1.5, 90, -80, 0.3), EDGES,
    (-1e-7, 1e-7, -1e-7, 1e-7), (float(XY[7, 0]), 2, float(XY[7, 1]), 2),
]  # fmt: skip


@pytest.mark.parametrize("size", [(70, 60), (101, 37), (700, 600)])
@pytest.mark.parametrize("view", VIEWS)
def test_counts_are_those_of_holoviews(view, size):
    points = hv.Points(pd.DataFrame({"x": XY[:, 0], "y": XY[:, 1]}), ["x", "y"])
    sides = {"x_range": tuple(view[:2]), "y_range": tuple(view[2:])}
    drawn = rasterize(points, **sides, width=size[0], height=size[1], dynamic=False, vdim_prefix="")
    frame = render(STORE, view, *size)
    assert frame.exact and np.array_equal(frame.counts, drawn.data["Count"].values)
    assert frame.n_visible == frame.counts.sum() and np.array_equal(frame.values, frame.counts)


def test_means_leave_nan_out_and_are_those_of_numpy():
    frame = render(STORE, (-2, 2, -2, 2), 8, 8, color="value")
    sides = {"bins": 8, "range": [(-2, 2), (-2, 2)]}
    good = np.isfinite(VALUES)
    total, number = (
        np.histogram2d(XY[good, 1], XY[good, 0], weights=w, **sides)[0] for w in (VALUES[good], None)
    )
    np.testing.assert_allclose(frame.values, total / number, rtol=1e-4, atol=1e-6)
    assert np.array_equal(frame.counts, np.histogram2d(XY[:, 1], XY[:, 0], **sides)[0])
    seen = frame.values[np.isfinite(frame.values)]
    assert (frame.low, frame.high) == pytest.approx(np.percentile(seen, (1, 99)))


def test_categories_show_the_majority():
    frame = render(STORE, (-3, 3, -3, 3), 60, 60, color="kind")
    assert frame.how == "category" and frame.categories == ("left", "right")
    filled = frame.counts > 0
    assert (frame.index[:, :30][filled[:, :30]] == 1).all() and (
        frame.index[:, 30:][filled[:, 30:]] == 2
    ).all()


@pytest.mark.parametrize("view", [(-5, 5, -5, 5), (-90, 5, -5, 700), EDGES])
@pytest.mark.parametrize("size", [(70, 60), (13, 900)])
def test_cells_keep_the_sum(view, size):
    frame = render(STORE, view, *size, exact=False)
    assert not frame.exact and frame.counts.sum(dtype=float) == pytest.approx(N, rel=1e-4)


@pytest.mark.parametrize("view", [(-1, 0.7, -0.4, 2), (-9, 0, 1, 9), (-0.5, 0.5, -0.01, 0.01)])
def test_cells_are_cut_by_area(view):
    drawn, sampled = (render(STORE, view, 70, 60, exact=exact).n_visible for exact in (True, False))
    assert sampled == pytest.approx(drawn, rel=0.02, abs=15)


@pytest.mark.parametrize("color", ["count", "value", "kind"])
def test_cells_look_like_the_points(color):
    store = Store.build(*(XY.T), {"value": XY[:, 0], "kind": KIND})
    drawn, sampled = (render(store, (-2, 2, -2, 2), 10, 10, color=color, exact=e) for e in (True, False))
    assert np.median(abs(sampled.counts / drawn.counts - 1)) < 0.05
    assert np.nanmedian(abs(sampled.values - drawn.values) / (1 + abs(drawn.values))) < 0.05


def test_many_points_are_drawn_as_cells(monkeypatch):
    monkeypatch.setattr(module, "EXACT_POINTS", 1000)
    assert not render(STORE, (-5, 5, -5, 5), 70, 60).exact
    assert render(STORE, (-0.01, 0.01, -0.01, 0.01), 70, 60).exact


def test_points_are_drawn_a_part_at_a_time(monkeypatch):
    marked = Selection.inside(STORE, [(-1, -1), (1, -1), (0, 1)])
    for color in ("count", "value", "kind"):
        whole = render(STORE, (-2, 2, -2, 2), 30, 20, color=color, selected=marked)
        with monkeypatch.context() as patch:
            patch.setattr("galnb.draw.POINTS", 1000)
            parts = render(STORE, (-2, 2, -2, 2), 30, 20, color=color, selected=marked)
        assert np.array_equal(whole.counts, parts.counts) and np.array_equal(whole.selected, parts.selected)
        np.testing.assert_allclose(whole.values, parts.values, rtol=1e-6)


def test_lone_points_grow_into_discs_but_counts_do_not():
    store = Store.build([0.5, 0.1], [0.5, 0.1])
    frame = render(store, (0, 1, 0, 1), 100, 100, selected=[0])
    assert frame.counts.sum() == 2
    assert (frame.index > 0).sum() == 2 * (frame.selected > 0).sum() > 50
    plain = render(store, (0, 1, 0, 1), 100, 100, spread=0)
    assert (plain.index > 0).sum() == 2 and frame.index[50, 50] == plain.index[50, 50] == 255
    assert (render(store, (0, 1, 0, 1), 100, 100, ratio=2).index > 0).sum() > 3 * 29


def test_growing_keeps_filled_pixels():
    plain, grown = (render(STORE, (-3, 3, -3, 3), 200, 200, spread=s).index for s in (0, 3))
    assert np.array_equal(plain[plain > 0], grown[plain > 0]) and (grown > 0).sum() > (plain > 0).sum()


def test_selected_points_are_marked_where_they_are():
    rows = STORE.lasso([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    for exact in (True, False):
        marked = render(STORE, (-2, 2, -2, 2), 40, 40, selected=rows, exact=exact, spread=0).selected
        assert (marked[11:29, 11:29] > 0).mean() > 0.95 and not marked[:9].any() and not marked[:, 31:].any()


def test_the_index_spans_low_to_high():
    frame = render(STORE, (-5, 5, -5, 5), 50, 50, spread=0)
    assert (frame.low, frame.high) == (1, frame.counts.max()) and frame.how == "log"
    assert frame.index[frame.counts == frame.high].min() == 255 and frame.index[frame.counts == 1].max() == 1
    assert not frame.index[frame.counts == 0].any()


@pytest.mark.parametrize("color", ["count", "value", "kind"])
@pytest.mark.parametrize("exact", [True, False])
def test_an_empty_view_is_an_empty_frame(color, exact):
    frame = render(STORE, (50, 51, 50, 51), 20, 10, color=color, exact=exact)
    assert frame.n_visible == 0 and not frame.index.any() and np.isfinite([frame.low, frame.high]).all()
    empty = Store.build([], [], {"value": [], "kind": np.array([], dtype=str)})
    assert render(empty, (0, 1, 0, 1), 20, 10, color=color, exact=exact).index.shape == (10, 20)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="did you mean 'value'"):
        render(STORE, (0, 1, 0, 1), 10, 10, color="vaule")
    for view in ((0, 0, 0, 1), (0, np.nan, 0, 1), (0, 1, 2), "abcd"):
        with pytest.raises(ValueError, match="view="):
            render(STORE, view, 10, 10)
    with pytest.raises(ValueError, match="wanted 1 to 8192"):
        render(STORE, (0, 1, 0, 1), 0, 10)


@pytest.fixture(scope="module")
def latents():
    z = np.random.default_rng(4).normal(size=(5000, 6)) * (3, 2, 1, 1, 1, 1)
    return Latents(np.arange(5000), z, Table({"flux": z[:, 0] + 5, "kind": np.where(z[:, 0] > 0, "a", "b")}))


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("color, name", [("count", "Count"), ("flux", "flux")])
def test_the_holoviews_face_equals_the_frame(latents, dynamic, color, name):
    session = Session(latents)
    frame = session.frame(200, 150, view=session.home(200, 150), color=color)
    drawn = latents.to_holoviews(color=color, width=200, height=150, dynamic=dynamic)
    drawn = drawn[()] if dynamic else drawn
    wanted = frame.counts if color == "count" else frame.values
    np.testing.assert_allclose(drawn.data[name].values, wanted, rtol=0 if color == "count" else 1e-5)


def test_the_holoviews_face_composes_and_saves_without_a_browser(latents, tmp_path):
    hv.extension("matplotlib")
    count, kind = (
        latents.to_holoviews(color=c, dynamic=False, width=80, height=60) for c in ("count", "kind")
    )
    both = count.opts(cmap="viridis", colorbar=True) * hv.Points([(0, 0)]) + kind
    hv.save(both, tmp_path / "map.png", backend="matplotlib")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def test_taps_lassos_boxes_and_zooms_reach_the_session(latents):
    session = Session(latents)
    tap, lasso, box, zoom = bind(latents.to_holoviews(session=session), session)
    tap.event(x=0.0, y=0.0)
    assert session.picked is not None
    tap.event(x=500.0, y=0.0)
    assert session.spot == (500, 0) and session.picked is None
    box.event(bounds=(0, 0, 2, 2))
    inside = (session.projection().xy > 0).all(1) & (session.projection().xy < 2).all(1)
    assert np.array_equal(session.selected_rows, np.flatnonzero(inside))
    lasso.event(geometry=np.array([(0, 0), (2, 0), (2, 2)]))
    assert 0 < len(session.selection) < inside.sum()
    zoom.event(x_range=(0, 1), y_range=(2, 3))
    assert session.view == (0, 1, 2, 3)


@pytest.fixture
def stored(latents, monkeypatch, tmp_path):
    def on_disk(latents, key, seed):
        plane = Plane(latents.z, key, seed=seed)
        return plane, Store.stream(lambda row: [plane.xy[row:]], tmp_path / "map")

    monkeypatch.setattr("galnb.session.plane_and_store", on_disk)
    return Session(latents)


@pytest.mark.parametrize("color, name", [("count", "Count"), ("flux", "flux"), ("kind", None)])
def test_the_holoviews_face_of_points_on_disk_is_that_of_the_memory(latents, stored, color, name):
    options = {"color": color, "width": 80, "height": 60}
    still, moving = (latents.to_holoviews(session=stored, dynamic=d, **options) for d in (False, True))
    memory = latents.to_holoviews(dynamic=False, **options)
    assert type(still) is type(memory) and still.kdims == memory.kdims
    if name:
        for drawn in (still, moving[()]):
            own, other = drawn.data[name].values, memory.data[name].values
            np.testing.assert_allclose(own, other, rtol=0 if color == "count" else 1e-5)
    else:
        filled = still.dimension_values("A", flat=False) > 0
        assert np.array_equal(filled, memory.dimension_values("A", flat=False) > 0)
    zoom = next(s for s in moving.streams if isinstance(s, hv.streams.RangeXY))
    zoom.event(x_range=(0, 1), y_range=(0, 2))
    frame = stored.frame(80, 60, view=(0, 1, 0, 2), color=color)
    if name:
        wanted = frame.counts if color == "count" else frame.values
        np.testing.assert_allclose(moving[()].data[name].values, wanted)
    hv.save(still, stored.store.folder / "map.png", backend="matplotlib")
