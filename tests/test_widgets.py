import json
import zlib

import numpy as np
import pytest
import torch
import traitlets
from astropy.table import Column, Table
from hypothesis import given
from hypothesis import strategies as st

from galnb.errors import BadInput, CannotDo
from galnb.images import Images
from galnb.latents import Latents
from galnb.models.pca import PCA
from galnb.reduce import Plane
from galnb.selection import Ids, Selection
from galnb.session import Session
from galnb.store import Store
from galnb.widgets.decoder import Decoder
from galnb.widgets.explorer import Explorer, explore
from galnb.widgets.gallery import Gallery, sample_view
from galnb.widgets.latent_map import MESSAGE, LatentMap, apart
from tests.locked import Catalogue
from tests.often import often

N = 400
rng = np.random.default_rng(5)
PIXELS = rng.random((N, 3, 16, 16)).astype("f4")
IDS = np.arange(N) + 2**60  # JavaScript would round these
TABLE = Table(
    {"redshift": rng.random(N), "flux": Column(rng.random(N), unit="nJy"), "ok": np.arange(N) % 2 > 0}
)
TABLE["shapes"] = rng.random((N, 3))
IMAGES = Images(PIXELS, id=IDS, bands=("i", "r", "g"), pixel_scale=0.4)
MODEL = PCA(bands=IMAGES.bands, size=16, latent_dim=4)
MODEL.fit([torch.from_numpy(PIXELS)])
LATENTS = Latents(IDS, MODEL.encode(torch.from_numpy(PIXELS)).numpy(), TABLE)
VIEW = {"t": "view", "seq": 1, "client": "a", "view": None, "w": 300, "h": 200, "dpr": 1}


class Tab:
    """A browser's end of a widget: what it says and what it hears."""

    def __init__(self, widget):
        self.widget, self.heard = widget, []
        widget.send = lambda message, buffers=None: self.heard.append((message, buffers or []))

    def say(self, **message):
        first = len(self.heard)
        self.widget._handle_custom_msg(message, [])
        self.settle()
        news = self.heard[first:]
        json.dumps([message for message, _ in news], allow_nan=False)
        return news

    def settle(self):
        for worker in (self.widget.worker, getattr(self.widget, "planner", None)):
            if worker is not None:
                worker.wait()

    def hear(self, kind, **message):
        return [news for news in self.say(**message) if news[0]["t"] == kind]


@pytest.fixture
def tab():
    return Tab(LatentMap(LATENTS, IMAGES))


def test_a_frame_is_the_sessions_with_its_first_row_on_top(tab):
    [(frame, [index])] = tab.hear("frame", **VIEW)
    picture = np.frombuffer(zlib.decompress(index), dtype=np.uint8).reshape(200, 300)
    expected = tab.widget.session.frame(300, 200)
    assert (picture == expected.index[::-1]).all()
    assert (
        frame["seq"] == 1 and frame["n"] == N == frame["n_visible"] and tuple(frame["view"]) == expected.view
    )


def test_a_selection_is_a_second_layer(tab):
    tab.widget.selection = IDS[:50].tolist()
    [(frame, layers)] = tab.hear("frame", **VIEW)
    marked = np.frombuffer(zlib.decompress(layers[1]), dtype=np.uint8).reshape(200, 300)
    assert frame["n_selected"] == 50 and (marked[::-1] > 0).any()


def test_a_million_points_make_a_small_message():
    z = np.random.default_rng(0).normal(size=(1_000_000, 2)).astype("f4")
    here = Tab(LatentMap(Latents(np.arange(len(z)), z)))
    [(_, buffers)] = here.hear("frame", **VIEW | {"w": 900, "h": 700})
    assert sum(map(len, buffers)) < 400_000


def test_stale_requests_are_dropped_a_browser_at_a_time(tab):
    assert tab.hear("frame", **VIEW | {"seq": 5})
    assert not tab.say(**VIEW | {"seq": 4})
    assert tab.hear("frame", **VIEW | {"seq": 4, "client": "b"})


def test_a_view_is_kept_for_a_page_that_is_loaded_again(tab):
    tab.say(**VIEW)
    tab.say(**VIEW | {"seq": 2, "view": [0, 0.3, 0, 0.2]})
    [(frame, _)] = tab.hear("frame", **VIEW | {"client": "reloaded"})
    assert np.allclose(frame["view"], [0, 0.3, 0, 0.2])
    [(frame, _)] = tab.hear("frame", **VIEW | {"client": "reloaded", "seq": 2, "fit": True})
    assert frame["n_visible"] == N


def test_a_panel_on_a_session_keeps_its_color_where_none_is_given():
    session = Session(LATENTS)
    session.color_by("redshift")
    assert explore(session, IMAGES).map.color == session.color == "redshift"
    assert explore(session, color="count").map.color == session.color == "count"


def test_a_canvas_that_follows_another_does_not_move_it(tab):
    tab.say(**VIEW | {"view": [0, 3, 0, 2]})
    [(frame, _)] = tab.hear("frame", **VIEW | {"client": "b", "view": [-1, 4, 0, 2], "keep": True})
    assert frame["view"] == [-1, 4, 0, 2] and tab.widget.session.view == (0, 3, 0, 2)


def test_lasso_box_click_undo_redo_clear_reach_the_session(tab):
    session = tab.widget.session
    x0, x1, y0, y1 = session.home()
    tab.say(t="box", box=[x0, x1, y0, y1], mode="replace")
    assert len(session.selection) == N
    tab.say(t="lasso", polygon=[[x0, y0], [0, y0], [0, y1], [x0, y1]], mode="subtract")
    assert 0 < len(tab.widget.selection) < N
    tab.say(t="undo")
    assert len(tab.widget.selection) == N
    tab.say(t="redo")
    tab.say(t="pick", row=7)
    assert session.picked == IDS[7]
    tab.say(t="click", x=x1 + 100, y=y1, rx=0.1, ry=0.1)
    assert session.picked is None and session.spot is not None
    tab.say(t="clear")
    assert session.selection == () and session.spot is None
    assert tab.widget.problem == ""


def test_the_state_tells_names_and_never_numbers_that_a_browser_would_round(tab):
    tab.say(t="pick", row=3)
    [(state, _)] = tab.hear("state", t="hello")
    assert state["picked"] == str(IDS[3]) and state["n"] == N
    assert [name for name, _ in state["colors"]] == ["count", "redshift", "flux", "ok"]
    assert ["flux [nJy]"] == [label for name, label in state["colors"] if name == "flux"]


BAD = [
    {"t": "nonsense"}, {"t": "__init__"}, {"t": None}, {}, {"t": ["view"]}, {"t": "send"},
    VIEW | {"w": 0}, VIEW | {"w": 1e9}, VIEW | {"h": "200"}, VIEW | {"dpr": float("nan")},
    VIEW | {"seq": True},
    VIEW | {"view": [0, 1]}, VIEW | {"view": "all"}, VIEW | {"view": [1, 0, 0, 1]},
    VIEW | {"view": [0, float("inf"), 0, 1]},
    VIEW | {"view": {"x": 1}}, VIEW | {"view": [0, 1, [2], 3]},
    {"t": "lasso", "polygon": [[0, 0], [1, 1]], "mode": "replace"},
    {"t": "lasso", "polygon": [], "mode": "replace"},
    {"t": "lasso", "polygon": [["a", "b"]] * 3, "mode": "replace"},
    {"t": "lasso", "polygon": [[0, 0]] * 30000, "mode": "add"},
    {"t": "lasso", "polygon": [[0, 0], [1, 1], [0, 1]], "mode": "explode"},
    {"t": "lasso", "polygon": [[0, 0], [1], [0, 1]]},
    {"t": "box", "box": [0, 1, 0], "mode": "add"}, {"t": "click", "x": None, "y": 0, "rx": 1, "ry": 1},
    {"t": "click", "x": 0, "y": 0, "rx": -1, "ry": 1}, {"t": "pick", "row": N}, {"t": "pick", "row": -1},
    {"t": "color", "name": "shapes"}, {"t": "color", "name": 3}, {"t": "plane", "name": "tsne"},
    {"t": "pictures", "view": [0, 1], "w": 10, "h": 10, "seq": 1},
]  # fmt: skip


@pytest.mark.parametrize("message", BAD, ids=range(len(BAD)))
def test_a_bad_message_is_told_and_changes_nothing(tab, message):
    before = tab.widget.state()
    assert [news[0]["t"] for news in tab.say(**message)] == ["problem"]
    assert tab.widget.problem and tab.widget.state() == before
    assert tab.hear("frame", **VIEW)


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
FUZZED = LatentMap(LATENTS)


FIELDS = "view w h dpr seq client polygon mode box x y rx ry row name plane".split()


@often(150)
@given(st.sampled_from(LatentMap.hears), st.dictionaries(st.sampled_from(FIELDS), JUNK))
def test_no_message_breaks_the_map(kind, content):
    if kind == "plane":  # UMAP takes its time
        content = content | {"name": "pca"}
    Tab(FUZZED).say(**{**content, "t": kind})


def test_the_plane_changes_in_the_worker_and_keeps_the_selection(tab):
    pair = LatentMap(LATENTS, plane=("redshift", "flux"))
    pair.selection = IDS[:3].tolist()
    kinds = [news[0]["t"] for news in Tab(pair).say(t="plane", name="pca")]
    assert kinds[0] == "busy" and kinds[-1] == "state"
    assert pair.session.plane == "pca" and pair.selection == tuple(IDS[:3].tolist())
    Tab(pair).say(t="plane", name="pca")


def test_a_view_of_another_plane_is_not_taken_for_one_of_this():
    pair = LatentMap(LATENTS, plane=("redshift", "flux"))
    [(frame, _)] = Tab(pair).hear("frame", **VIEW | {"view": [50, 60, 50, 60], "plane": "pca"})
    assert frame["n_visible"] == N and frame["plane"] == "redshift × flux"


def test_frames_come_while_a_plane_is_being_made(monkeypatch):
    import threading

    from galnb import planes

    going, gate, plane = threading.Event(), threading.Event(), planes.Plane

    def slow(*arguments, **options):
        going.set()
        gate.wait(20)
        return plane(*arguments, **options)

    here = LatentMap(LATENTS, plane=("redshift", "flux"))
    tab = Tab(here)
    monkeypatch.setattr(planes, "Plane", slow)
    here._handle_custom_msg({"t": "plane", "name": "pca"}, [])
    assert going.wait(20)
    here._handle_custom_msg(VIEW, [])
    assert [message["t"] for message, _ in tab.heard] == ["busy", "frame"]
    gate.set()
    tab.settle()
    assert here.session.plane == "pca"


def test_pictures_on_the_map_keep_apart_and_stay_where_they_are(tab):
    session = tab.widget.session
    view = session.home(600, 400)
    [(all_, [sheet])] = tab.hear("pictures", t="pictures", view=view, w=600, h=400, seq=1)
    assert sheet[:2] == b"\xff\xd8" and 5 < len(all_["items"]) <= 400
    place = np.array([[x, y] for x, y, *_ in all_["items"]]) / (view[1] - view[0]) * 600
    gaps = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(place))
    assert gaps.min() >= all_["gap"] - 1e-3
    rows = [row for *_, row, _ in all_["items"]]
    assert np.allclose(session.projection().xy[rows], [[x, y] for x, y, *_ in all_["items"]])


def test_apart_shows_all_where_there_is_room():
    assert sorted(apart(np.arange(5), np.arange(5) * 100.0, np.zeros(5))) == [0, 1, 2, 3, 4]
    assert len(apart(np.arange(0), np.zeros(0), np.zeros(0))) == 0


def test_the_gallery_pages_through_the_selection():
    wall = Tab(Gallery(LATENTS, IMAGES, per_page=10))
    [(page, pictures)] = wall.hear("page", t="hello")
    assert len(page["items"]) == 10 == len(pictures) and not page["selected"]
    wall.widget.selection = IDS[:25].tolist()
    [(page, _)] = wall.hear("page", t="page", start=20)
    assert [item["name"] for item in page["items"]] == [str(i) for i in IDS[20:25]] and page["total"] == 25
    assert "redshift" in page["items"][0]["about"] and page["bar"]["label"].endswith('"')
    [(page, _)] = wall.hear("page", t="page", start=1e9)
    assert page["start"] == 20
    wall.say(t="pick", row=21)
    assert wall.widget.session.picked == IDS[21]


def test_a_sample_of_the_view_is_in_view_and_repeats():
    wall = Gallery(LATENTS)
    wall.session.set_view((0, 1, 0, 1))
    rows = sample_view(wall.session, 10)
    xy = wall.session.projection().xy[rows]
    assert len(set(rows)) == len(rows) > 0 and ((xy >= 0) & (xy <= 1)).all()
    assert (rows == sample_view(wall.session, 10)).all()
    wall.session.set_view((1e6, 2e6, 0, 1))
    assert len(sample_view(wall.session, 10)) == 0


def test_a_pick_shows_galaxy_reconstruction_and_residual():
    pane = Tab(Decoder(LATENTS, IMAGES, MODEL))
    [(empty, _)] = pane.hear("empty", t="hello")
    assert "Click a galaxy" in empty["text"]
    pane.widget.session.pick(*pane.widget.session.projection().xy[4], 1e-6, 1e-6)
    shown, pictures = pane.hear("pictures", t="hello")[-1]
    assert [p["label"] for p in shown["pictures"]] == ["Galaxy", "Reconstruction", "Residual"]
    assert len(pictures) == 3
    again = MODEL.decode(torch.from_numpy(LATENTS.z[[4]]))[0].numpy()
    error = np.sqrt(np.square(PIXELS[4] - again).mean())
    assert f"rms error {error:.3g} " in shown["text"] and str(IDS[4]) in shown["title"]


def test_empty_space_is_decoded_through_the_plane():
    pane = Tab(Decoder(LATENTS, IMAGES, MODEL))
    pane.widget.session.pick(1e3, 1e3, 1e-3, 1e-3)
    shown, pictures = pane.hear("pictures", t="hello")[-1]
    assert shown["title"] == "Empty space" and len(pictures) == 1
    bare = Tab(Decoder(LATENTS, IMAGES))
    bare.widget.session.pick(1e3, 1e3, 1e-3, 1e-3)
    assert "Give model=" in bare.hear("pictures", t="hello")[-1][0]["text"]


def test_a_model_that_does_not_fit_is_refused_at_the_door():
    with pytest.raises(BadInput, match="latents of 7 numbers, the catalogue's have 4"):
        explore(LATENTS, IMAGES, PCA(size=16, latent_dim=7))
    with pytest.raises(CannotDo, match="cannot decode"):
        explore(LATENTS, IMAGES, torch.nn.Identity())


def test_a_failing_source_is_told_in_its_place_and_the_rest_goes_on():
    class Broken:
        id, bands, pixel_scale = IDS, ("r",), None

        def read(self, rows):
            raise BadInput("file.fits", "it is truncated")

    here = Explorer(LATENTS, Broken(), MODEL)
    wall = Tab(here.gallery)
    assert "file.fits: it is truncated" in wall.hear("problem", t="hello")[0][0]["text"]
    assert Tab(here.map).hear("frame", **VIEW)


def test_the_explorer_gives_its_selection_back():
    here = explore(LATENTS, IMAGES, MODEL, color="redshift", height=500)
    Tab(here.map).say(t="box", box=[0, 9, 0, 9], mode="replace")
    assert here.selection == here.gallery.selection == here.map.selection != ()
    assert tuple(here.selected().id.tolist()) == here.selection
    assert here.selection_table().colnames == ["id", "redshift", "flux", "ok", "shapes", "z"]
    with pytest.raises(ValueError, match="did you mean 'height'"):
        explore(LATENTS, hieght=500)
    with pytest.raises(ValueError, match="did you mean 'redshift'"):
        explore(LATENTS, color="redshfit")
    with pytest.raises(TypeError, match="wanted Latents"):
        explore(LATENTS.z)


def test_a_frame_too_large_for_one_message_is_sent_with_fewer_pixels():
    xy = np.random.default_rng(0).random((1_000_000, 2), dtype="f4")
    tab = Tab(LatentMap(Latents(np.arange(len(xy)), xy), plane="pca"))
    [(frame, buffers)] = tab.hear("frame", **VIEW | {"w": 2400, "h": 1800, "dpr": 2})
    assert sum(map(len, buffers)) <= MESSAGE
    assert 400 < frame["w"] < 2400 and len(zlib.decompress(buffers[0])) == frame["w"] * frame["h"]
    [(frame, _)] = tab.hear("frame", **VIEW | {"seq": 2, "w": 600, "h": 450})
    assert (frame["w"], frame["h"]) == (600, 450)


@pytest.fixture
def stored(monkeypatch, tmp_path):
    """An explorer of a catalogue on disk, of which nothing is ever there whole."""

    def on_disk(latents, key, seed):
        plane = Plane(latents.z, xy=latents.z[:, :2], axes=("one", "two"))
        return plane, Store.stream(lambda row: [plane.xy[row:]], tmp_path / "map", n=len(latents))

    monkeypatch.setattr("galnb.session.plane_and_store", on_disk)
    for name, limit in (("SMALL", 300), ("TUPLE", 200), ("LOCATED", 100)):
        monkeypatch.setattr(f"galnb.selection.{name}", limit)
    catalogue = Catalogue()
    ids = np.arange(500, 2000)
    images = Images(rng.random((len(ids), 1, 8, 8)), id=ids)
    return explore(catalogue, images)


def test_a_catalogue_on_disk_is_explored_without_ever_being_read_whole(stored):
    tab, wall, pane = Tab(stored.map), Tab(stored.gallery), Tab(stored.decoder)
    session = stored.session
    for color in ("v", "kind", "count"):
        news = [message for message, _ in tab.say(t="color", name=color)]
        assert (news[0]["t"], news[-1]["color"]) == ("state" if color == "count" else "busy", color)
        [(frame, _)] = tab.hear("frame", **VIEW | {"seq": len(tab.heard), "view": [-4, 4, -4, 4]})
        assert frame["color"] == color and frame["n_visible"] == 20_000
    [(page, pictures)] = wall.hear("page", t="hello")
    assert len(page["items"]) == 25 and not page["selected"]
    tab.say(t="box", box=[-1, 1, -1, 1], mode="replace")
    [(frame, layers)] = tab.hear("frame", **VIEW | {"seq": len(tab.heard), "view": [-4, 4, -4, 4]})
    assert frame["n_selected"] == session.n_selected > 5000 and len(layers) == 2
    assert type(stored.selection) is Ids and stored.selection is stored.map.selection is session.selection
    [(page, _)] = wall.hear("page", t="page", start=2500)
    assert page["total"] == session.n_selected
    assert [item["name"] for item in page["items"]] == [str(k) for k in stored.selection[2500:2525]]
    assert "kind" in page["items"][0]["about"]
    [(some, sheet)] = tab.hear("pictures", t="pictures", view=[0, 0.2, 0, 0.2], w=600, h=400, seq=1)
    assert some["items"] and sheet[:1] and all(selected for *_, selected in some["items"])
    shown = session.latents.id[np.array([row for *_, row, _ in some["items"]])]
    assert shown.max() < 2000
    tab.say(t="pick", row=12)
    assert session.picked == 1012 and tab.widget.state()["where"] == session.store.place([12])[0].tolist()
    assert "1012" in pane.hear("pictures", t="hello")[0][0]["title"]
    tab.say(t="click", x=50, y=50, rx=0.1, ry=0.1)
    assert pane.hear("pictures", t="hello")[0][0]["title"] == "Empty space"
    assert "of them selected" in stored._repr_mimebundle_()[0]["text/plain"]
    assert tab.widget.problem == wall.widget.problem == pane.widget.problem == ""
    assert session.latents.id.read < 2000


def test_panels_of_many_selected_galaxies_are_linked_without_listing_them(stored):
    other = LatentMap(Catalogue())
    link = traitlets.link((stored, "selection"), (other, "selection"))
    for panel, half in ((stored, 1), (other, 0.5), (stored, 0.02)):
        panel.session.select_box(-half, half, -half, half)
        assert stored.session.n_selected == other.session.n_selected == len(other.selection) > 0
        assert stored.selection == other.selection
    stored.session.undo()
    assert stored.session.n_selected == other.session.n_selected > 2000
    assert stored.session.latents.id.read + other.session.latents.id.read < 1000
    link.unlink()
    with pytest.raises(KeyError):
        other.selection = Ids(Catalogue(first=0), Selection.of(np.arange(300)))
    assert other.session.n_selected > 2000
