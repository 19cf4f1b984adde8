"""`Session`: what a person looks at and has chosen, behind one lock, with undo, redo, save and replay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import record
from .errors import BadInput, one_of
from .latents import Latents
from .planes import plane_and_store
from .record import State
from .reduce import KINDS, Plane
from .selection import NOTHING, Ids, Selection, ids_of
from .store import Store, with_unit

MODES = ("replace", "add", "subtract")
SELECT = ("select_polygon", "select_ids", "select_rows")
COMMANDS = (*SELECT, "clear", "pick", "pick_id", "color_by", "use_plane")
UNDO_DEPTH, UNDO_BYTES = 200, 1 << 28
PADDING = 0.05


class Session:
    """View, selection, color and pick over a latent catalogue.

    Parameters
    ----------
    latents : Latents or Catalogue
    plane : "pca", "umap" or a pair of column names, optional
        What the map's axes are; PCA where not given.
    seed : int
        For UMAP.

    Attributes
    ----------
    latents : Latents or Catalogue
    lock : threading.RLock
        Guards everything here; hold it to read several attributes of one moment.

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> session = Session(Latents(np.arange(4), np.eye(4)[:, :3]))
    >>> session.select_ids([2, 3])
    >>> session.undo()
    >>> session.selection, session.can_redo
    ((), True)
    """

    def __init__(self, latents: Latents, *, plane=None, seed: int = 0):
        self.latents, self.seed, self.lock = latents, seed, threading.RLock()
        self._making, self._coloring = threading.RLock(), threading.RLock()
        self._planes: dict[object, tuple[Plane, Store]] = {}
        self._views: dict[object, tuple[float, float, float, float]] = {}
        self._past: list[State] = []
        self._future: list[tuple[State, dict]] = []
        self._log: list[dict] = []
        self._callbacks: list[Callable[[set[str]], None]] = []
        self._state, self._ids = State(self._plane_key(plane or "pca")), (NOTHING, ())
        self._start = self._state.plane
        self._open(self._state.plane)

    # what there is to see

    @property
    def plane(self) -> str | tuple[str, str]:
        """Which plane: "pca", "umap" or two column names."""
        return self._state.plane

    @property
    def store(self) -> Store:
        """The plane's points."""
        return self._open(self._state.plane)[1]

    @property
    def axes(self) -> tuple[str, str]:
        """Labels of x and y, with units."""
        return self._open(self._state.plane)[0].axes

    @property
    def color(self) -> str:
        """What the map is colored by: "count" or a column."""
        return self._state.color

    @property
    def chosen(self) -> Selection:
        """The selected galaxies, however many: their number, their rows or a page of these."""
        return self._state.selection

    @property
    def n_selected(self) -> int:
        """How many galaxies are selected."""
        return len(self._state.selection)

    @property
    def selected_rows(self) -> np.ndarray:
        """Rows (k,) of all selected galaxies; do not write to it."""
        return self._state.selection.rows

    @property
    def selection(self) -> tuple | Ids:
        """Ids of the selected galaxies; beyond 100,000 a sequence that reads them when they are asked for."""
        with self.lock:
            if self._ids[0] is not self._state.selection:
                self._ids = self._state.selection, ids_of(self.latents, self._state.selection)
            return self._ids[1]

    @property
    def polygon(self) -> np.ndarray | None:
        """Corners (k, 2) of the last lasso or box in this plane, or None."""
        return self._state.polygon

    @property
    def picked_row(self) -> int | None:
        """Row of the galaxy that was clicked, or None."""
        return self._state.picked

    @property
    def picked(self):
        """Id of the galaxy that was clicked, or None."""
        return None if self.picked_row is None else self.latents.id[self.picked_row].item()

    @property
    def spot(self) -> tuple[float, float] | None:
        """The empty place (x, y) that was clicked, or None."""
        return self._state.spot

    @property
    def view(self) -> tuple[float, float, float, float]:
        """What is looked at: (x0, x1, y0, y1)."""
        with self.lock:
            return self._views.get(self._state.plane) or self.home()

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def projection(self, name=None) -> Plane:
        """A plane by name ("pca", "umap", a pair of columns), the current one where not given; made once."""
        return self._open(self._plane_key(self.plane if name is None else name))[0]

    def selected(self) -> Latents:
        """The selected galaxies."""
        return self.latents[self.selected_rows]

    def home(self, width: int = 1, height: int = 1) -> tuple[float, float, float, float]:
        """The view of all points with a margin of 5 %; equal scales on width x height for PCA and UMAP."""
        with self.lock:
            x0, x1, y0, y1 = self.store.bounds
            wide, high = (x1 - x0) * (1 + 2 * PADDING), (y1 - y0) * (1 + 2 * PADDING)
            if isinstance(self.plane, str):
                unit = max(wide / width, high / height)
                wide, high = unit * width, unit * height
            return (x0 + x1 - wide) / 2, (x0 + x1 + wide) / 2, (y0 + y1 - high) / 2, (y0 + y1 + high) / 2

    def colored(self, color: str) -> Store:
        """The plane's points with one of the catalogue's columns in store order."""
        store = self.store
        if color in self.latents.columns and color not in store.columns:
            with self._coloring:  # not `lock`: a column of millions takes a while
                if color not in store.columns:
                    column = self.latents.table[color]
                    pieces = lambda row: self.latents.chunks(color, start=row)
                    if store.folder is None:
                        pieces = column if isinstance(column, np.ndarray) else np.ma.concatenate([*pieces(0)])
                    store.add(color, pieces, label=with_unit(color, column))
        return store

    def frame(self, width: int, height: int, *, view=None, **options):
        """The map as a `render.Frame` of width x height px; options as `render.render`."""
        from .render import render

        with self.lock:
            color = options.pop("color", self.color)
            store, chosen = self.colored(color), self.chosen if self.n_selected else None
            options = {"color": color, "selected": chosen, **options}
            return render(store, view or self.view, width, height, **options)

    # commands

    def set_view(self, view) -> None:
        """Look elsewhere: (x0, x1, y0, y1). Not undone by `undo`."""
        from .render import check_view

        with self.lock:
            changed = self._views.get(self.plane) != check_view(view)
            self._views[self.plane] = check_view(view)
        self._tell({"view"} if changed else set())

    def select_polygon(self, polygon, mode: str = "replace") -> None:
        """Select what is inside a polygon (k, 2) in data coordinates: mode "replace", "add" or "subtract"."""
        one_of("mode", mode, MODES)
        polygon = np.array(polygon, dtype=np.float64)
        with self.lock:
            found = self._with(Selection.inside(self.store, polygon), mode)
            command = {"do": "select_polygon", "polygon": polygon.tolist(), "mode": mode}
            changed = self._commit(command, selection=found, polygon=polygon)
        self._tell(changed)

    def select_box(self, x0: float, x1: float, y0: float, y1: float, mode: str = "replace") -> None:
        """Select what is inside a box."""
        self.select_polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], mode)

    def select_ids(self, ids, mode: str = "replace") -> None:
        """Select by object id, in the order given; an unknown id raises KeyError."""
        if isinstance(ids, Ids):
            self.select_rows(ids.rows_in(self.latents), mode)
            return
        one_of("mode", mode, MODES)
        with self.lock:
            ids = np.asarray(ids, dtype=self.latents.id.dtype if len(ids) == 0 else None)
            found = self._with(Selection.of(self.latents.rows_of(ids)), mode)
            command = {"do": "select_ids", "ids": ids.tolist(), "mode": mode}
            changed = self._commit(command, selection=found, polygon=None)
        self._tell(changed)

    def select_rows(self, rows, mode: str = "replace") -> None:
        """Select by row: an array (k,) in the order given, or a Selection of this catalogue."""
        one_of("mode", mode, MODES)
        rows = rows if isinstance(rows, Selection) else Selection.of(rows)
        with self.lock:
            command = {"do": "select_rows", "rows": rows, "mode": mode}
            changed = self._commit(command, selection=self._with(rows, mode), polygon=None)
        self._tell(changed)

    def clear(self) -> None:
        """Select nothing, pick nothing."""
        with self.lock:
            fields = {"polygon": None, "picked": None, "spot": None}
            changed = self._commit({"do": "clear"}, selection=NOTHING, **fields)
        self._tell(changed)

    def pick(self, x: float, y: float, rx: float, ry: float):
        """Pick the galaxy nearest to (x, y) within radii rx, ry: its id; else mark the empty spot: None."""
        x, y, rx, ry = (float(v) for v in (x, y, rx, ry))
        if not np.isfinite((x, y, rx, ry)).all():
            raise ValueError(f"the click is at {(x, y, rx, ry)}, wanted finite numbers; click in the map")
        with self.lock:
            row = self.store.nearest(x, y, rx, ry)
            command = {"do": "pick", "x": x, "y": y, "rx": rx, "ry": ry}
            changed = self._commit(command, picked=row, spot=(x, y) if row is None else None)
            picked = self.picked
        self._tell(changed)
        return picked

    def pick_id(self, id) -> None:
        """Pick a galaxy by its id; KeyError if there is none."""
        self.pick_row(int(self.latents.rows_of([id])[0]))

    def pick_row(self, row: int) -> None:
        """Pick a galaxy by its row; IndexError if there is none."""
        command = {"do": "pick_id", "id": self.latents.id[row].item()}
        with self.lock:
            changed = self._commit(command, picked=row, spot=None)
        self._tell(changed)

    def color_by(self, name: str) -> None:
        """Color the map by "count" or a column."""
        one_of("color", name, ("count", *self.latents.columns))
        self.colored(name)
        with self.lock:
            changed = self._commit({"do": "color_by", "name": name}, color=name)
        self._tell(changed)

    def use_plane(self, name) -> None:
        """Draw the map in another plane; the selection stays, its outline and an empty spot do not."""
        key = self._plane_key(name)
        self._open(key)
        with self.lock:
            command = {"do": "use_plane", "name": key}
            moved = {} if key == self.plane else {"polygon": None, "spot": None}
            changed = self._commit(command, plane=key, **moved)
        self._tell(changed)

    def undo(self) -> None:
        """Take the last command back; nothing happens when there is none."""
        with self.lock:
            if not self._past:
                return
            self._future.append((self._state, self._log.pop()))
            changed = self._become(self._past.pop())
        self._tell(changed)

    def redo(self) -> None:
        """Do again what `undo` took back."""
        with self.lock:
            if not self._future:
                return
            state, command = self._future.pop()
            self._past.append(self._state)
            self._log.append(command)
            changed = self._become(state)
        self._tell(changed)

    def on_change(self, callback: Callable[[set[str]], None]) -> Callable[[], None]:
        """Call back after every change with the names of what changed; returns a function that ends it.

        Names: view, selection, polygon, color, plane, picked, spot. Called without the lock.
        """
        self._callbacks.append(callback)
        return lambda: callback in self._callbacks and self._callbacks.remove(callback)

    # on disk

    def save(self, path: str | Path) -> Path:
        """Save the commands and views as JSON, atomically."""
        with self.lock:
            document = {
                "galnb": "session", "latents": self.latents.hash(), "seed": self.seed, "plane": self._start,
                "log": self._log, "undone": [command for _, command in self._future],
                "views": [[key, view] for key, view in self._views.items()],
            }  # fmt: skip
            return record.save(path, document, len(self.latents))

    @classmethod
    def load(cls, path: str | Path, latents: Latents) -> Session:
        """The session that `save` wrote, its commands done again; BadInput if it has other latents."""
        document = record.load(path, len(latents))
        log, undone, known = document["log"], document["undone"], document["latents"]
        if known != latents.hash():
            raise BadInput(path, "made with other latents; load those, or start a new session")
        try:
            session = cls(latents, plane=document["plane"], seed=document["seed"])
            for command in [*log, *reversed(undone)]:
                one_of("command", command["do"], COMMANDS)
                getattr(session, command["do"])(**{k: v for k, v in command.items() if k != "do"})
            for _ in undone:
                session.undo()
            from .render import check_view

            for key, view in document["views"]:
                session._views[session._plane_key(key)] = check_view(view)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            reason = f"a command cannot be done again ({error}), wanted a file from Session.save"
            raise BadInput(path, reason) from error
        return session

    # inside

    def _plane_key(self, name) -> str | tuple[str, str]:
        if isinstance(name, str):
            one_of("plane", name, KINDS)
            return name
        pair = tuple(name)
        if len(pair) != 2:
            raise ValueError(f"plane={name!r}, wanted 'pca', 'umap' or two column names")
        for column in pair:
            one_of("plane", column, self.latents.columns)
        return pair

    def _open(self, key) -> tuple[Plane, Store]:
        if key in self._planes:
            return self._planes[key]
        with self._making:  # not `lock`: UMAP takes a while, and frames are wanted meanwhile
            if key not in self._planes:
                self._planes[key] = plane_and_store(self.latents, key, self.seed)
            return self._planes[key]

    def _with(self, found: Selection, mode: str) -> Selection:
        return self._state.selection.combined(found, mode, len(self.latents))

    def _commit(self, command: dict, **fields) -> set[str]:
        state = replace(self._state, **fields)
        if not state.changed(self._state):
            return set()
        self._past.append(self._state)
        self._log.append(command)
        self._future.clear()
        del self._past[:-UNDO_DEPTH]
        while sum({past.selection: past.selection.nbytes for past in self._past}.values()) > UNDO_BYTES:
            del self._past[0]
        return self._become(state)

    def _become(self, state: State) -> set[str]:
        changed = state.changed(self._state)
        self._state = state
        return changed | ({"view"} if "plane" in changed else set())

    def _tell(self, changed: set[str]) -> None:
        for callback in list(self._callbacks) if changed else ():
            callback(set(changed))
