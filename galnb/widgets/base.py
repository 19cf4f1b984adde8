"""The contract of a panel, and what its live parts share: checked messages, one worker, errors in place."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import traitlets

from ..errors import one_of
from ..selection import Ids, ids_of
from ..session import Session
from ..stamps import Stamps
from .still import Still

HERE = Path(__file__).parent


def module(*names: str) -> str:
    """One ES module from files of this folder; only the last of them exports."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


class BadMessage(ValueError):
    """The browser sent what it never should."""


def number(message: dict, name: str, low: float = -1e30, high: float = 1e30) -> float:
    """A finite number of a message, within a range."""
    value = message.get(name)
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not low <= value <= high:
        raise BadMessage(
            f"{name} is {str(value)[:40]!r}, wanted a number from {low:g} to {high:g}; reload the page"
        )
    return float(value)


def numbers(message: dict, name: str, width: int, most: int) -> np.ndarray:
    """An array (k, width) of finite numbers of a message, 1 to `most` rows."""
    try:
        array = np.array(message.get(name))
    except ValueError:
        array = np.zeros(0)
    if (
        array.dtype.kind not in "iuf"
        or array.ndim != 2
        or array.shape[1] != width
        or not 0 < len(array) <= most
    ):
        raise BadMessage(
            f"{name} has shape {array.shape}, wanted 1 to {most} rows of {width} numbers; draw it again"
        )
    if not np.isfinite(array).all() or np.abs(array).max() > 1e30:
        raise BadMessage(f"{name} is not finite, wanted numbers; draw it again")
    return array.astype(np.float64)


def option(message: dict, name: str, options) -> str:
    """A string of a message that is one of some options."""
    value = message.get(name)
    if not isinstance(value, str) or value not in options:
        raise BadMessage(
            f"{name} is {str(value)[:40]!r}, wanted one of {', '.join(options)}; reload the page"
        )
    return value


def finite(value) -> float | None:
    """A number for JSON: None for what is not one."""
    return float(value) if np.isfinite(value) else None


class Worker:
    """One thread for slow work; of each kind of work only the newest is done, and only its result is told.

    A `patient` one leaves the processor to others, such as the browser, where these want it (on Linux).
    """

    def __init__(self, *, patient: bool = False):
        begin = _step_back if patient and sys.platform == "linux" else None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="galnb", initializer=begin)
        self._newest: dict[object, int] = {}

    def submit(self, kind: object, work: Callable, done: Callable) -> Future:
        """Run `done(work())` later, unless `submit` is called for the same kind before."""
        turn = self._newest[kind] = self._newest.get(kind, 0) + 1

        def run():
            if self._newest[kind] == turn:
                result = work()
                if self._newest[kind] == turn:
                    done(result)

        return self._pool.submit(run)

    def wait(self, seconds: float | None = None) -> None:
        """Return when all that was submitted is done, or after so many seconds."""
        wait([self._pool.submit(int)], seconds)


def one_thread_each(*workers: Worker) -> None:
    """Let torch work with one thread in each worker: two wait for each other where cores are busy."""
    import torch

    torch.get_num_threads()  # settles that of this thread before others choose theirs
    for worker in workers:
        worker.submit("threads", lambda: torch.set_num_threads(1), lambda _: None)


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)  # of this thread, and those that it begins


def as_session(latents, plane, seed: int = 0) -> Session:
    """A Session of Latents or a Catalogue; a Session as it is."""
    if isinstance(latents, Session):
        return latents
    if not all(hasattr(latents, name) for name in ("id", "z", "table", "rows_of")):
        raise TypeError(
            f"latents is a {type(latents).__name__}, wanted Latents, Catalogue or Session; see galnb.encode"
        )
    return Session(latents, plane=plane, seed=seed)


def as_stamps(images, session: Session) -> Stamps | None:
    """The pictures of a session's galaxies; Stamps, and None, as they are."""
    if images is None or isinstance(images, Stamps):
        return images
    ids = session.latents.id
    return Stamps(ids, images) if isinstance(ids, np.ndarray) else FoundStamps(ids, images)


class FoundStamps(Stamps):
    """Stamps of a catalogue whose ids are on disk: an image is looked for when its row is asked for."""

    def __init__(self, ids, images):
        super().__init__(np.asarray(images.id), images)
        self._at = Lookup(ids, np.asarray(images.id))


class Lookup:
    """Where the ids of some rows are among others, -1 where they are not: ``lookup[rows]``."""

    def __init__(self, ids, known: np.ndarray):
        self.ids, self.order = ids, np.argsort(known, kind="stable")
        self.known = known[self.order]

    def __getitem__(self, rows) -> np.ndarray:
        ids = np.asarray(self.ids[np.asarray(rows)])
        if not len(self.known) or (ids.dtype.kind == "U") != (self.known.dtype.kind == "U"):
            return np.full(len(ids), -1)
        at = np.searchsorted(self.known, ids).clip(0, len(self.known) - 1)
        return np.where(self.known[at] == ids, self.order[at], -1)


class SelectedIds(traitlets.TraitType):
    """A trait: a tuple of object ids, of any series of them, or of very many `Ids`, read like one."""

    default_value = ()
    info_text = (
        "object ids, a tuple, list or array (n,) of them, or the selection of another panel or Session"
    )

    def validate(self, obj, value):
        if isinstance(value, np.ndarray) and value.ndim == 1:
            value = value.tolist()
        if isinstance(value, tuple | list | Ids):
            return value if isinstance(value, Ids) else tuple(value)
        self.error(obj, value)


class Chooser(traitlets.HasTraits):
    """What panels and their parts have in common: a session, and its selection as a trait.

    Attributes
    ----------
    selection : tuple of object ids
        Set it, observe it, or link two with ``traitlets.link((a, "selection"), (b, "selection"))``. More than
        100,000 are a sequence (`Ids`) instead, whose ids are read when they are asked for.
    problem : str
        The last error of a callback, as it is shown; empty when all is well.
    """

    selection = SelectedIds(help="Ids of the selected galaxies, in the catalogue's type.")
    problem = traitlets.Unicode(help="The last error of a callback, as it is shown.")

    def attend(self, session: Session) -> None:
        """Follow a session from now on: its selection is this one's."""
        self.session = session
        self.selection = session.selection
        self._leave = session.on_change(self._follow)
        self.observe(self._choose, "selection")

    def close(self):
        """Take the widget off the page and let go of the session."""
        if hasattr(self, "_leave"):
            self._leave()
        super().close()

    @traitlets.validate("selection")
    def _known(self, proposal) -> tuple | Ids:
        latents = self.session.latents
        if proposal.value is self.session.selection:
            return proposal.value
        if isinstance(proposal.value, Ids):
            return ids_of(latents, proposal.value.rows_in(latents))
        ids = tuple(dict.fromkeys(v.item() if isinstance(v, np.generic) else v for v in proposal.value))
        if ids != self.session.selection:
            latents.rows_of(np.asarray(ids, dtype=None if ids else latents.id.dtype))
        return ids

    def _choose(self, change) -> None:
        if change.new != self.session.selection:
            self.session.select_ids(change.new)

    def _follow(self, changed: set[str]) -> None:
        with self.shown():
            if "selection" in changed:
                self.selection = self.session.selection
            self.draw(changed)

    def draw(self, changed: set[str]) -> None:
        """Show what changed in the session (names as `Session.on_change` tells them)."""

    @contextmanager
    def shown(self):
        """Show an exception of the enclosed callback in place, with the advice that it carries."""
        try:
            yield
        except Exception as error:  # any: the kernel would print it where nobody looks
            text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
            self.problem = text or type(error).__name__
            self.show_problem(self.problem)

    def show_problem(self, text: str) -> None:
        """Put an error in front of the person."""


class Part(Still, Chooser, anywidget.AnyWidget):
    """A live part of a panel: a message `{"t": "pick", ...}` from the browser calls its method `on_pick`."""

    _css = (HERE / "style.css").read_text(encoding="utf-8")

    def __init__(self, latents, *, plane=None, seed: int = 0, worker: Worker | None = None, **traits):
        self.session, self.worker = as_session(latents, plane, seed), worker or Worker()
        super().__init__(**traits)
        self.add_class("galnb-part")
        self.attend(self.session)
        self.on_msg(self._received)

    def open(self):
        """Connect to the browser."""
        super().open()
        if self.comm is not None:
            # ipykernel 7.4 answers in the shell that spoke last: a map that a cell made or changed would
            # wait for that cell's end. The browser's own choice of shell does not wait.
            self.comm._reply_subshell_for = lambda data, default: default

    def _received(self, _, message, buffers) -> None:
        with self.shown():
            kind = message.get("t") if isinstance(message, dict) else None
            answer = (
                getattr(self, f"on_{kind}", None) if isinstance(kind, str) and kind in self.hears else None
            )
            if answer is None:
                raise BadMessage(
                    f"the browser asked for {str(kind)[:40]!r}; reload the page to make both match"
                )
            answer(message)

    hears: tuple[str, ...] = ()

    def tell(self, kind: str, buffers: list[bytes] | None = None, **content) -> None:
        """Send a message to the browser."""
        self.send({"t": kind, **content}, buffers)

    def show_problem(self, text: str) -> None:
        self.tell("problem", text=text)

    def later(self, kind: str, work: Callable, done: Callable, *, worker: Worker | None = None) -> None:
        """Run `done(work())` in the worker; errors are shown."""

        def careful():
            with self.shown():
                return (work(),)

        def finish(result):
            if result is not None:
                with self.shown():
                    done(*result)

        (worker or self.worker).submit((id(self), kind), careful, finish)


def beside(main, parts, height: int, *, wide: bool = False) -> ipywidgets.HBox:
    """A panel's main part, and the others in a column of its height, which scrolls."""
    side = ipywidgets.VBox(parts)
    side.layout.height = f"{height}px"
    side.add_class("galnb-side")
    if wide:
        side.add_class("galnb-wide")
    both = ipywidgets.HBox([main, side])
    both.add_class("galnb-both")
    return both


class Notice(anywidget.AnyWidget):
    """One line of an error, as text."""

    _esm = """
    export default { render({ model, el }) {
        el.classList.add("galnb-notice"); el.setAttribute("role", "alert");
        const show = () => { el.textContent = model.get("text"); el.hidden = !model.get("text"); };
        model.on("change:text", show); show();
    } };"""
    text = traitlets.Unicode().tag(sync=True)


class Panel(Still, Chooser, ipywidgets.VBox):
    """Base of the family: a VBox over latents whose `selection` is a tuple of object ids.

    A member defines `build(...) -> children` and, where it shows more than its parts do, `draw(changed)`.
    Laws, checked for every member: it builds without a browser; an exception in a callback is shown in the
    panel; a misspelt option is refused; two link by `traitlets.link`; its strings are text, never markup.

    Parameters
    ----------
    latents : Latents or Session
    plane : "pca", "umap" or two column names
    """

    def __init__(self, latents, *args, plane=None, seed: int = 0, **options):
        self.session = as_session(latents, plane, seed)
        self.worker, self.notice = Worker(), Notice()
        super().__init__()
        self.children = (*self.build(*args, **options), self.notice)
        self.attend(self.session)
        self.add_class("galnb-panel")

    def build(self, *args, **options) -> tuple:
        """The panel's children, from the constructor's other arguments."""
        return ()

    def show_problem(self, text: str) -> None:
        self.notice.text = text


def check_options(options: dict, known) -> None:
    """Refuse an option that does not exist, and name the nearest one that does."""
    for name in options:
        one_of("option", name, known)
