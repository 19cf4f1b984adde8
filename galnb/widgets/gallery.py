"""`Gallery`: a wall of galaxies, those that are selected or a sample of those in view."""

from __future__ import annotations

import numpy as np
import traitlets

from ..figures import blank, draw_tiles
from ..images import Images
from ..stamps import png, scale_bar, to_rgb
from .base import Part, as_stamps, module, number


class Gallery(Part):
    """Thumbnails as buttons, a page at a time; a click picks.

    Parameters
    ----------
    latents : Latents or Session
    images : Images or Source, optional
        Without them the model's decoded galaxies are shown, and without a model their names.
    model : Model, optional
        One that can decode.
    per_page : int

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> wall = Gallery(Latents(np.arange(40), np.eye(40)), per_page=12)
    >>> wall.selection = (5, 6)
    >>> wall.rows.tolist()
    [5, 6]
    """

    _esm = module("dom.js", "gallery.js")
    hears = ("hello", "page", "pick")
    per_page = traitlets.Int(25, min=1, max=400, help="Thumbnails a page.").tag(sync=True)

    def __init__(self, latents, images=None, model=None, *, plane=None, seed=0, per_page=25, worker=None):
        super().__init__(latents, plane=plane, seed=seed, worker=worker, per_page=per_page)
        self.stamps = as_stamps(images, self.session)
        self.model, self._start, self._asked = model, 0, False

    @property
    def rows(self) -> np.ndarray:
        """Catalogue rows of the wall: the selection, or one page of a sample of the view (seeded)."""
        chosen = self.session.chosen
        return chosen.rows if len(chosen) else sample_view(self.session, self.per_page)

    def _shown(self, start: int) -> tuple[int, np.ndarray]:
        """How many galaxies there are to page through, and the rows of one page."""
        chosen, stop = self.session.chosen, start + self.per_page
        if len(chosen):
            return len(chosen), chosen.page(start, stop)
        rows = sample_view(self.session, self.per_page)
        return len(rows), rows[start:stop]

    def draw(self, changed: set[str]) -> None:
        if not self._asked:
            return
        if "selection" in changed:
            self._start = 0
        if changed & {"selection", "plane"} or ("view" in changed and not self.session.n_selected):
            self.show()
        elif changed & {"picked", "spot"}:
            self.tell("picked", picked=self._picked())

    def show(self) -> None:
        """Send the page, when the worker comes to it."""
        start = self._start
        self.later(
            "page", lambda: self._page(start), lambda page: self.tell("page", page.pop("pictures"), **page)
        )

    def on_hello(self, message: dict) -> None:
        self._asked = True
        self.show()

    def on_page(self, message: dict) -> None:
        start = int(number(message, "start", -1e9, 1e12))
        last = max(self._shown(0)[0] - 1, 0) // self.per_page * self.per_page
        self._start = min(max(start, 0), last)
        self.show()

    def on_pick(self, message: dict) -> None:
        self.session.pick_row(int(number(message, "row", 0, len(self.session.latents) - 1)))

    def _picked(self) -> int:
        row = self.session.picked_row
        return -1 if row is None else row

    def _page(self, start: int) -> dict:
        with self.session.lock:
            (total, shown), n_selected = self._shown(start), self.session.n_selected
        pictures, size, scale = self._pictures(shown)
        color = self.session.color
        items = [
            {"row": int(r), "name": name_of(self.session, r), "about": about(self.session, r)} for r in shown
        ]
        bar = scale_bar(scale, size)
        return {
            "start": start, "total": total, "per_page": self.per_page, "items": items,
            "pictures": pictures,
            "selected": n_selected > 0, "color": color, "picked": self._picked(),
            "decoded": self.stamps is None and self.model is not None,
            "bar": bar and {"share": bar[0], "label": bar[1]},
        }  # fmt: skip

    def words(self) -> str:
        total, rows = self._shown(self._start)
        kind = f"the {total:,} that are selected" if self.session.n_selected else "those in view on the map"
        made = ", decoded" if self.stamps is None and self.model is not None else ""
        return (
            f"Wall of {len(rows)} galaxies{made}, of {kind}, of {len(self.session.latents):,} galaxies in all"
        )

    def pictured(self):
        figure, (pictures, title, bar) = blank(5, 5.3), self.wall()
        ax = figure.add_subplot()
        if pictures:
            draw_tiles(ax, pictures, title=title, bar=bar)
        else:
            ax.set(xticks=[], yticks=[], title=title)
        return figure

    def wall(self) -> tuple[list, str, tuple[float, str] | None]:
        """What is shown: a picture (y, x, 3) a galaxy or None, a title, and the first one's scale bar."""
        with self.session.lock:
            (total, rows), n_selected = self._shown(self._start), self.session.n_selected
        drawn, size, scale = self._drawn(rows)
        made = " (decoded)" if self.stamps is None and self.model is not None else ""
        kind = f"{len(rows)} of {total:,} selected" if n_selected else f"{len(rows)} of those in view"
        return drawn, kind + made, scale_bar(scale, size) if drawn and drawn[0] is not None else None

    def _pictures(self, rows) -> tuple[list[bytes], int, float | None]:
        """One PNG a row (empty where there is no image), their width and pixel scale."""
        drawn, size, scale = self._drawn(rows)
        return [b"" if rgb is None else png(rgb) for rgb in drawn], size, scale

    def _drawn(self, rows) -> tuple[list, int, float | None]:
        """One picture (y, x, 3) a row (None where there is no image), their width and pixel scale."""
        if self.stamps is not None:
            has = self.stamps.has(rows)
            images = self.stamps.read(rows[has]) if has.any() else None
            scale = self.stamps.pixel_scale
        elif self.model is not None:
            has, images, scale = (
                np.ones(len(rows), dtype=bool),
                decoded(self.model, self.session.latents.z[rows]),
                None,
            )
        else:
            return [], 0, None
        drawn = iter([] if images is None else to_rgb(images))
        return [next(drawn) if here else None for here in has], images.shape[1] if images else 0, scale


def decoded(model, z: np.ndarray) -> Images:
    """The galaxies (k) that a model makes of latents z (k, d).

    Where nearly all of their pixels lie from 0 to 1, so do the others: else a few that overshoot would have
    all galaxies stretched anew, and brighter than real ones beside them.
    """
    import torch

    with torch.inference_mode():
        pixels = model.decode(torch.from_numpy(np.array(z, dtype=np.float32)).to(model.device))
    pixels = pixels.float().cpu().numpy()
    if (np.abs(pixels - 0.5) > 0.75).mean() < 0.02:
        pixels = pixels.clip(0, 1)
    return Images(pixels, bands=model.bands)


def sample_view(session, k: int, *, seed: int = 0) -> np.ndarray:
    """At most `k` catalogue rows (ascending) of galaxies in view, drawn evenly; the same when asked again."""
    with session.lock:
        store, view = session.store, session.view
    return store.sample(view, k, seed=seed)


def name_of(session, row: int) -> str:
    """A galaxy's id as text."""
    return str(session.latents.id[row])


def about(session, row: int, *, most: int = 4) -> str:
    """The first columns of a galaxy in words, the one that colors the map foremost."""
    table = session.latents.table
    names = [name for name in table.colnames if table[name].ndim == 1 and name != "id"]
    if session.color in names:
        names = [session.color, *(name for name in names if name != session.color)]
    parts = []
    for name in names[:most]:
        value, unit = table[name][row], str(table[name].unit or "")
        number = isinstance(value, float | np.floating) and not np.ma.is_masked(value)
        parts.append(f"{name} {f'{value:.4g}' if number else str(value)[:60]}{' ' + unit if unit else ''}")
    return ", ".join(parts)
