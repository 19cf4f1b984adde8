"""`LatentMap`: the map of a latent catalogue in a notebook, drawn on the kernel's side a frame at a time."""

from __future__ import annotations

import math
import time
import zlib
from importlib.util import find_spec

import numpy as np
import traitlets

from ..session import MODES
from ..stamps import encode, tile, to_rgb
from ..store import with_unit
from .base import Part, Worker, as_stamps, module, number, numbers, option

PICTURES, PICTURE_SIZE = 500, 64  # galaxies drawn on the map at most, and their pixels
GAPS = (96.0, 64.0, 42.0, 27.0)  # CSS pixels between galaxies: the widest that shows most of those in view
MESSAGE = 390_000  # bytes of a frame at most; noise of millions of points does not compress
CROWD = 60_000  # more points than this in view, and pictures would say nothing about where galaxies are


class LatentMap(Part):
    """The map: zoom, pan, lasso, box, pick, by hand or by keyboard; `?` in it lists the keys.

    Parameters
    ----------
    latents : Latents or Session
        A Session is shared with other widgets: what one selects, all show.
    images : Images or Source, optional
        Draws galaxies themselves where there is room.
    plane : "pca", "umap" or two column names
    color : "count" or a column
        The session's own where not given.
    height : int
        CSS pixels.

    Raises
    ------
    ValueError
        For a misspelt option, naming the nearest right one.

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> here = LatentMap(Latents(np.arange(9), np.eye(9)), height=400)
    >>> here.selection = (3, 4)
    >>> here.session.selected().id
    array([3, 4])
    """

    _esm = module(
        *("palettes.js", "dom.js", "axes.js", "link.js", "contours.js", "scene.js", "gestures.js"),
        "latent_map.js",
    )
    hears = (
        "hello",
        "view",
        "pictures",
        "lasso",
        "box",
        "click",
        "pick",
        "undo",
        "redo",
        "clear",
        "color",
        "plane",
    )
    height = traitlets.Int(560, min=240, max=4000, help="Height in CSS pixels.").tag(sync=True)

    def __init__(self, latents, images=None, *, plane=None, color=None, seed=0, height=560, worker=None):
        super().__init__(latents, plane=plane, seed=seed, worker=worker, height=height)
        self.planner = Worker()  # UMAP must not keep galaxies waiting
        self._shown: dict[str, int] = {}
        self.stamps = as_stamps(images, self.session)
        if color not in (None, self.session.color):
            self.session.color_by(color)

    pictures_first = True  # whether a small catalogue's galaxies are drawn on the map at once

    @property
    def color(self) -> str:
        """What this map is colored by: "count", or one of its `colors`."""
        return self.session.color

    @property
    def colors(self) -> list[tuple[str, str]]:
        """What the map can be colored by: pairs of name and label."""
        table = self.session.latents.table
        plain = [
            name for name in table.colnames if table[name].ndim == 1 and table[name].dtype.kind in "iufbUSO"
        ]
        return [("count", "how many"), *((name, with_unit(name, table[name])) for name in plain)]

    @property
    def planes(self) -> list[tuple[str, str]]:
        """What the map's plane can be: pairs of name and label."""
        planes = [("pca", "PCA"), *([("umap", "UMAP")] if find_spec("umap") else [])]
        if not isinstance(self.session.plane, str):
            planes.append((_name(self.session.plane), " × ".join(self.session.plane)))
        return planes

    def state(self) -> dict:
        """All that the browser shows beside the frame."""
        session = self.session
        with session.lock:
            spot = session.spot
            if session.picked_row is not None:
                spot = session.store.place([session.picked_row])[0]
            where = None if spot is None or not np.isfinite(spot).all() else [float(v) for v in spot]
            return {
                "n": len(session.latents), "n_selected": session.n_selected,
                "color": self.color, "colors": self.colors,
                "plane": _name(session.plane), "planes": self.planes,
                "axes": list(session.axes), "equal": isinstance(session.plane, str),
                "home": list(session.home()),
                "can_undo": session.can_undo, "can_redo": session.can_redo,
                "picked": None if session.picked is None else str(session.picked), "where": where,
                "polygon": None if session.polygon is None else _thin(session.polygon).tolist(),
                "pictures": self.stamps is not None, "pictures_first": self.pictures_first,
            }  # fmt: skip

    def draw(self, changed: set[str]) -> None:
        if changed == {"view"} and self._drawing:
            return
        view = list(self.session.view) if "view" in changed else None
        self.tell("state", changed=sorted(changed), view=view, **self.state())

    _drawing = False

    # what the browser asks for

    def on_hello(self, message: dict) -> None:
        self.tell("state", changed=[], view=None, **self.state())

    def on_view(self, message: dict) -> None:
        started = time.perf_counter()
        width, height = (int(number(message, name, 1, 8192)) for name in "wh")
        ratio, seq = number(message, "dpr", 0.25, 8), int(number(message, "seq", 0))
        client = str(message.get("client"))[:40]
        if seq < self._shown.get(client, 0):
            return
        self._shown[client] = seq
        session = self.session
        with session.lock:
            view = self._look(message.get("view"), message, width, height)
            pictures = message.get("pictures") is True
            frame, buffers = self._frame(view, width, height, ratio, pictures)
            counts = {"n": len(session.latents), "n_selected": session.n_selected}
            known = {"color": self.color, "plane": _name(session.plane), **counts}
        about = {name: getattr(frame, name) for name in ("how", "low", "high", "label", "n_visible", "exact")}
        categories = None if frame.categories is None else list(frame.categories)
        about |= {"view": list(frame.view), "w": frame.width, "h": frame.height, "categories": categories}
        spent = 1000 * (time.perf_counter() - started)
        self.tell("frame", buffers, seq=seq, client=client, ms=round(spent, 1), **about, **known)

    def _frame(self, view, width: int, height: int, ratio: float, pictures: bool):
        """A frame and its compressed layers, of fewer pixels where the message would be too large."""
        step = 1
        while True:
            small = {"spread": max(1, round(ratio / step))} if pictures else {}
            size = -(-width // step), -(-height // step)
            frame = self.session.frame(*size, view=view, color=self.color, ratio=ratio / step, **small)
            buffers = [_packed(layer) for layer in (frame.index, frame.selected) if layer is not None]
            excess = sum(map(len, buffers)) / MESSAGE
            if excess <= 1:
                return frame, buffers
            step *= math.ceil(math.sqrt(excess))

    def _look(self, view, message: dict, width: int, height: int):
        """The view that was asked for; where none was, the session's, or all of it."""
        session = self.session
        if view is None or message.get("plane") not in (None, _name(session.plane)):
            fresh = session.view == session.home()
            if message.get("fit") is True or fresh:
                view = session.home(width, height)
            else:
                return _fill(session.view, width, height) if isinstance(session.plane, str) else session.view
        else:
            view = numbers({"view": [view]}, "view", 4, 1)[0].tolist()
            if message.get("keep") is True:  # another canvas set it; this one only follows, in its own shape
                return view
        self._drawing = True
        try:
            session.set_view(view)
        finally:
            self._drawing = False
        return session.view

    def on_lasso(self, message: dict) -> None:
        polygon = numbers(message, "polygon", 2, 20_000)
        self.session.select_polygon(polygon, option(message, "mode", MODES))

    def on_box(self, message: dict) -> None:
        box = numbers({"box": [message.get("box")]}, "box", 4, 1)[0].tolist()
        self.session.select_box(*box, option(message, "mode", MODES))

    def on_click(self, message: dict) -> None:
        x, y = number(message, "x"), number(message, "y")
        self.session.pick(x, y, number(message, "rx", 0), number(message, "ry", 0))

    def on_pick(self, message: dict) -> None:
        self.session.pick_row(int(number(message, "row", 0, len(self.session.latents) - 1)))

    def on_undo(self, message: dict) -> None:
        self.session.undo()

    def on_redo(self, message: dict) -> None:
        self.session.redo()

    def on_clear(self, message: dict) -> None:
        self.session.clear()

    def on_color(self, message: dict) -> None:
        name = option(message, "name", [name for name, _ in self.colors])
        store = self.session.store
        if store.folder is None or name in ("count", *store.columns):
            self.session.color_by(name)
            return
        self._slowly("color", f"Sorting {name}", lambda: self.session.color_by(name))

    def on_plane(self, message: dict) -> None:
        name = option(message, "name", [name for name, _ in self.planes])
        pair = self.session.plane if isinstance(self.session.plane, tuple) else None
        to = pair if pair and name == _name(pair) else name
        text = "Placing the galaxies with UMAP" if name == "umap" else "Placing the galaxies"
        self._slowly("plane", text, lambda: self.session.use_plane(to))

    def _slowly(self, what: str, text: str, work) -> None:
        """Change the plane or the color beside all else, with words while it takes."""
        self.tell("busy", text=text, until=what)

        def told(_):
            self.tell("state", changed=[what], view=None, **self.state())

        self.later(what, work, told, worker=self.planner)

    def on_pictures(self, message: dict) -> None:
        view = numbers({"view": [message.get("view")]}, "view", 4, 1)[0]
        width, height = number(message, "w", 1, 8192), number(message, "h", 1, 8192)
        seq = int(number(message, "seq", 0))

        def told(found):
            about, sheet = found
            self.tell("pictures", [sheet] if sheet else [], seq=seq, **about)

        self.later("pictures", lambda: self._pictures(view, width, height), told)

    def _pictures(self, view, width: float, height: float):
        """Galaxies to draw on the map: [x, y, row, selected] each, and one sheet of their pictures."""
        session = self.session
        if self.stamps is None or session.store.count(view) > CROWD:
            return {"items": []}, b""
        with session.lock:
            store, chosen = session.store, session.chosen
        runs = store.runs(view)
        rows, x, y = (store.take(array, runs) for array in (store.order, store.x, store.y))
        inside = (x >= view[0]) & (x <= view[1]) & (y >= view[2]) & (y <= view[3]) & self.stamps.has(rows)
        x, y, rows = x[inside], y[inside], rows[inside]
        px, py = (x - view[0]) / (view[1] - view[0]) * width, (y - view[2]) / (view[3] - view[2]) * height
        for gap in GAPS:
            kept = apart(rows, px, py, gap=gap)
            if len(kept) >= 0.7 * len(rows):
                break
        if not len(kept):
            return {"items": []}, b""
        images = self.stamps.read(rows[kept])
        size = min(PICTURE_SIZE, int(2 * gap), *images.shape)
        rgb = to_rgb(images if images.shape == (size, size) else images.crop(min(images.shape)).resize(size))
        selected = chosen.has(rows[kept])
        items = [[float(a), float(b), int(r), bool(s)] for a, b, r, s in
                 zip(x[kept], y[kept], rows[kept], selected, strict=True)]  # fmt: skip
        columns = min(16, len(items))
        about = {"items": items, "size": size, "columns": columns, "gap": gap}
        return about, encode(tile(rgb, columns=columns), "jpeg")


def apart(rows, x, y, *, gap: float = 27.0, most: int = PICTURES) -> np.ndarray:
    """Indices of galaxies at least `gap` pixels from each other, the same ones whatever the view.

    >>> apart(np.arange(3), np.array([0.0, 1.0, 99.0]), np.zeros(3)).size
    2
    """
    # an order that hangs on the row alone keeps a picture where it is while one pans
    order = np.argsort(
        (np.asarray(rows).astype(np.uint64) * np.uint64(2654435761)) % np.uint64(2**32), kind="stable"
    )
    cells = np.floor(np.stack([x, y], axis=1)[order] / (gap / 2)).astype(int)
    order = order[np.sort(np.unique(cells, axis=0, return_index=True)[1])]
    kept: list[int] = []
    for k in order:
        near = np.hypot(x[kept] - x[k], y[kept] - y[k]) if kept else np.array([np.inf])
        if near.min() >= gap:
            kept.append(int(k))
        if len(kept) == most:
            break
    return np.array(kept, dtype=int)


def _packed(layer: np.ndarray) -> bytes:
    # runs only: half the time of zlib's level 1 on noisy counts, and rarely more bytes
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    # row 0 is at the bottom; pictures start at the top
    return packer.compress(np.ascontiguousarray(layer[::-1])) + packer.flush()


def _name(plane) -> str:
    return plane if isinstance(plane, str) else " × ".join(plane)


def _thin(polygon: np.ndarray, most: int = 400) -> np.ndarray:
    return polygon[:: -(-len(polygon) // most)]


def _fill(view, width: int, height: int):
    """A view widened to the shape of the canvas, x and y equally scaled."""
    x0, x1, y0, y1 = view
    unit = max((x1 - x0) / width, (y1 - y0) / height)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - unit * width / 2, x + unit * width / 2, y - unit * height / 2, y + unit * height / 2
