"""`Similarity`: the map beside the galaxies most like some, and unlike others; by hand or by script."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import ipywidgets
import numpy as np
from astropy.table import Table

from ..errors import BadInput, CannotDo, GalnbError
from ..export import KINDS, export
from ..figures import map_and_tiles, to_png, wall_figure
from ..images import Images
from ..neighbors import Neighbors, query
from ..stamps import png, scale_bar, to_rgb
from .base import Panel, as_stamps, beside, module, number, option
from .decoder import checked, matched
from .gallery import Gallery, about, name_of
from .latent_map import LatentMap
from .still import PATIENCE

MOST = 40  # galaxies that a question is made of, of each kind


class Wall(Gallery):
    """The galaxies nearest to a question, with their distances; the question is galaxies, or one latent.

    Attributes
    ----------
    more, less : tuple of object ids
        Galaxies to be like, and to be unlike.
    """

    _esm = module("dom.js", "similarity.js")
    hears = ("hello", "ask", "vote", "pick", "select", "save", "again")

    def __init__(self, latents, images=None, model=None, *, k=24, metric="euclidean", worker=None):
        super().__init__(latents, images, model, per_page=k, worker=worker)
        self.metric, self.more, self.less = metric, (), ()
        self._index: Neighbors | None = None
        self._z, self._picture, self._title = None, None, ""
        self._answer = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)  # changes as a whole
        self._jumping = False

    @property
    def index(self) -> Neighbors:
        """What is searched; made on first use."""
        if self._index is None:
            self._index = Neighbors(self.session.latents, metric=self.metric, seed=self.session.seed)
        return self._index

    def ask(self, more=(), less=(), *, z=None, picture=None, title: str = "") -> None:
        """Search for galaxies like `more` and unlike `less` (ids), or like a latent z (d,)."""
        latents = self.session.latents
        for ids in (more, less):
            if len(ids):
                latents.rows_of(ids)
        if z is not None and np.shape(z) != (latents.latent_dim,):
            raise BadInput(
                "z", f"it has shape {np.shape(z)}, wanted ({latents.latent_dim},): one galaxy's latents"
            )
        self.more, self.less = tuple(more)[:MOST], tuple(less)[:MOST]
        self._z, self._picture, self._title = z, picture, title
        self.show()

    def search(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and distances of the answer to what is asked now."""
        latents = self.session.latents
        if self._z is None and not self.more:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        z = self._z if self._z is not None else query(latents, self.more, self.less)
        asked = [*self.more, *self.less]
        own = latents.rows_of(asked) if asked else np.zeros(0, dtype=np.int64)
        found = self.index.search(np.asarray(z)[None], k=self.per_page + len(own))
        rows, distances = found.rows[0], found.distances[0]
        keep = (rows >= 0) & ~np.isin(rows, own)
        return rows[keep][: self.per_page], distances[keep][: self.per_page]

    @property
    def found(self) -> Table:
        """The answer: id, distance and the catalogue's columns."""
        latents = self.session.latents
        rows, distances = self._answer
        part = latents[rows]
        table = Table({"id": part.id, "distance": distances})
        for name in part.columns:
            table[name] = part.table[name]
        return table

    def figure(self):
        """The question and its answer as a Figure of thumbnails with distances."""
        own = self.session.latents.rows_of([*self.more, *self.less]) if self.more else np.zeros(0, dtype=int)
        rgb = [*self._asked_for(own)[: len(self.more) or 1], *self._rgb(self._answer[0])]
        names = [str(name) for name in self.more] or [self._title or "asked"]
        captions = [*names, *(f"{d:.3g}" for d in self._answer[1])]
        return wall_figure(rgb, captions[: len(rgb)], first=len(names))

    def words(self) -> str:
        if not len(self._answer[0]):
            asked = self.more or self._z is not None
            return "What is like it is being looked for" if asked else "No galaxy is asked for yet"
        asked, less = self._asked_words(), f", unlike {_listed(self.less)}" if self.less else ""
        nearest = f"the nearest {self._answer[1][0]:.3g} away, the farthest {self._answer[1][-1]:.3g}"
        return f"The {len(self._answer[0])} galaxies most like {asked}{less}: {nearest}"

    def wall(self) -> tuple[list, str, tuple[float, str] | None]:
        if not len(self._answer[0]):
            return [], "", None
        own = self.session.latents.rows_of(list(self.more)) if self.more else np.zeros(0, dtype=int)
        asked = self._asked_for(own)
        scale = self.stamps.pixel_scale if self.stamps is not None else None
        title = f"{self._asked_words()} first, then the most like"
        return [*asked, *self._rgb(self._answer[0])], title, scale_bar(scale, self._size)

    def _asked_words(self) -> str:
        return _listed(self.more) if self.more else self._title or "a latent"

    # what the session tells

    def draw(self, changed: set[str]) -> None:
        if not self._asked or self._jumping:
            return
        session = self.session
        if changed & {"picked", "spot"}:
            with session.lock:
                row, spot = session.picked_row, session.spot
            if row is not None:
                self.ask([session.latents.id[row].item()])
            elif spot is not None and self.model is not None:
                self._ask_spot(spot)

    def _ask_spot(self, spot) -> None:
        z = self.session.projection().inverse([spot])[0]
        self.ask(z=z, title=f"what would live at {spot[0]:.3g}, {spot[1]:.3g}")

    def show(self) -> None:
        self.tell("busy", text="" if self._index else f"Indexing {len(self.session.latents):,} galaxies")
        self.later("page", self._answer_page, lambda page: self.tell("page", page.pop("pictures"), **page))

    def _answer_page(self) -> dict:
        self._answer = self.search()
        latents, session = self.session.latents, self.session
        more, less = (
            latents.rows_of(ids) if len(ids) else np.zeros(0, int) for ids in (self.more, self.less)
        )
        own = np.concatenate([more, less]).astype(int)
        items = [
            {
                "row": int(row),
                "name": name_of(session, row),
                "about": about(session, row),
                "distance": f"{d:.3g}",
            }
            for row, d in zip(*self._answer, strict=True)
        ]
        asked = [{"row": int(row), "name": name_of(session, row), "kind": "more"} for row in more]
        asked += [{"row": int(row), "name": name_of(session, row), "kind": "less"} for row in less]
        if self._z is not None:
            asked = [{"row": -1, "name": self._title or "a latent", "kind": "more"}]
        pictures = [
            png(rgb) if rgb is not None else b""
            for rgb in [*self._asked_for(own), *self._rgb(self._answer[0])]
        ]
        size = 0 if self.stamps is None or not len(self._answer[0]) else self._size
        bar = scale_bar(self.stamps.pixel_scale, size) if self.stamps is not None and size else None
        return {
            "asked": asked, "items": items, "pictures": pictures, "picked": self._picked(),
            "total": len(latents), "metric": self.metric, "how": self.index.kind if len(items) else "",
            "decoded": self.stamps is None and self.model is not None,
            "bar": bar and {"share": bar[0], "label": bar[1]},
        }  # fmt: skip

    def _asked_for(self, rows) -> list:
        if self._z is None:
            return self._rgb(rows)
        if self._picture is not None:
            return [to_rgb(self._picture)[0]]
        return [to_rgb(_decoded(self.model, self._z))[0]] if self.model is not None else [None]

    _size = 0

    def _rgb(self, rows) -> list:
        """One picture a row, None where there is no image."""
        rows = np.asarray(rows, dtype=np.int64)
        if self.stamps is not None:
            has = self.stamps.has(rows)
            images = self.stamps.read(rows[has]) if has.any() else None
        elif self.model is not None and len(rows):
            has, images = np.ones(len(rows), dtype=bool), _decoded(self.model, self.session.latents.z[rows])
        else:
            return [None] * len(rows)
        self._size = images.shape[1] if images is not None else 0
        drawn = iter([] if images is None else to_rgb(images))
        return [next(drawn) if here else None for here in has]

    # what the browser asks for

    def on_ask(self, message: dict) -> None:
        text = str(message.get("text", ""))[:200].strip()
        latents, words = self.session.latents, text.replace(",", " ").split()
        try:
            row = int(latents.rows_of([text])[0])
            self._jump(row)
            self.ask([latents.id[row].item()])
            return
        except KeyError as error:
            unknown = error
        try:
            ra, dec = (float(word) for word in words)
        except ValueError:
            raise unknown from None
        self.ask_place(ra, dec)

    def ask_place(self, ra: float, dec: float, *, radius_arcsec: float = 5.0) -> None:
        """Search for galaxies like the one nearest to a place in degrees."""
        latents = self.session.latents
        rows, _ = latents.near(ra, dec, radius_arcsec=radius_arcsec)
        if not len(rows):
            raise BadInput(
                "the place", f"no galaxy within {radius_arcsec:g} arcsec of {ra:g}, {dec:g}; give another"
            )
        self._jump(int(rows[0]))
        self.ask([latents.id[rows[0]].item()])

    def ask_image(self, images: Images) -> None:
        """Search for galaxies like the first of some images, which the model encodes."""
        if self.model is None or not self.model.can("encode"):
            raise CannotDo(
                "an image is searched for by its latents; give the model that made the catalogue's"
            )
        from ..encoding import encode

        image = matched(images[:1], self.model)
        if image.bands != self.model.bands and len(image.bands) == len(self.model.bands):
            image = image.rename(*self.model.bands)
        self.ask(z=encode(image, self.model).z[0], picture=image, title=f"image {image.id[0]}")

    def on_vote(self, message: dict) -> None:
        row = int(number(message, "row", 0, len(self.session.latents) - 1))
        kind, id = option(message, "kind", ("more", "less", "neither")), self.session.latents.id[row].item()
        more, less = ([i for i in ids if i != id] for ids in (self.more, self.less))
        if kind != "neither":
            (more if kind == "more" else less).append(id)
        if self._z is not None:  # from here on it is about galaxies
            more = more or [id]
        self.ask(more, less)

    def on_pick(self, message: dict) -> None:
        self._jump(int(number(message, "row", 0, len(self.session.latents) - 1)))

    def _jump(self, row: int) -> None:
        """Mark a galaxy on the map without asking anew."""
        self._jumping = True
        try:
            self.session.pick_row(row)
        finally:
            self._jumping = False
        self.tell("picked", picked=self._picked())

    def on_again(self, message: dict) -> None:
        row = int(number(message, "row", 0, len(self.session.latents) - 1))
        self.ask([self.session.latents.id[row].item()])

    def on_select(self, message: dict) -> None:
        self.session.select_ids(self.session.latents.id[self._answer[0]])

    def on_save(self, message: dict) -> None:
        kind = option(message, "kind", (*KINDS, ".png"))
        self.tell("file", [self.as_file(kind)], name=f"similar{kind}")

    def as_file(self, kind: str) -> bytes:
        """The answer as the bytes of a ".csv", ".vot", ".parquet" or ".png" file."""
        if not len(self._answer[0]):
            raise GalnbError("there is nothing to save yet; click a galaxy in the map first")
        if kind == ".png":
            return to_png(self.figure(), dpi=150)
        with tempfile.TemporaryDirectory() as folder:
            return export(self.found, Path(folder) / f"similar{kind}").read_bytes()


class Similarity(Panel):
    """The map, and beside it the galaxies most like the one that is picked: more like these, less like those.

    Click a galaxy in the map, or an empty spot (the galaxy that would live there is asked for), give an id,
    a place on the sky or a picture. Plus and minus below a neighbor refine the question.

    Parameters
    ----------
    latents : Latents, Catalogue or Session
    images : Images or Source, optional
    model : Model, optional
        The one that made the latents: for pictures and empty spots as questions.
    metric : "euclidean" or "cosine"
    k : int
        Neighbors that are shown.
    color, height, plane, seed
        As for `LatentMap`.

    Attributes
    ----------
    found : Table
        id, distance and columns of the answer.

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> panel = Similarity(Latents(np.arange(50), np.random.default_rng(0).normal(size=(50, 4))), k=5)
    >>> panel.ask([7], less=[3])
    >>> panel.worker.wait()
    >>> len(panel.found)
    5
    """

    def build(self, images=None, model=None, *, metric="euclidean", k=24, color=None, height=600) -> tuple:
        if not 1 <= int(k) <= 400:
            raise ValueError(f"k={k} neighbors, wanted 1 to 400")
        stamps, model = as_stamps(images, self.session), checked(model, self.session.latents.latent_dim)
        self.map = LatentMap(self.session, stamps, color=color, height=height, worker=self.worker)
        self.wall = Wall(self.session, stamps, model, k=int(k), metric=metric, worker=self.worker)
        children = [self.wall]
        if model is not None and model.can("encode"):
            accept = ".fits,.fz,.fit,.png,.jpg,.jpeg,.npy"
            upload = ipywidgets.FileUpload(accept=accept, description="Search by a picture or FITS")
            upload.layout.width = "auto"
            upload.observe(self._uploaded, "value")
            children.append(upload)
        return (beside(self.map, children, height, wide=True),)

    def ask(self, more=(), less=(), *, z=None) -> None:
        """Search for galaxies like `more` and unlike `less` (ids), or like a latent z (d,)."""
        self.wall.ask(more, less, z=z)

    def ask_place(self, ra: float, dec: float, **options) -> None:
        """Search for galaxies like the one nearest to a place in degrees."""
        self.wall.ask_place(ra, dec, **options)

    def ask_image(self, images: Images) -> None:
        """Search for galaxies like the first of some images."""
        self.wall.ask_image(images)

    @property
    def found(self) -> Table:
        return self.wall.found

    def figure(self):
        """The question and its answer as one Figure."""
        return self.wall.figure()

    def export(self, path: str | Path) -> Path:
        """Save the answer's ids, distances and columns: .csv, .vot or .parquet."""
        return export(self.found, path)

    def receipt(self):
        """What the search is worth: recall, time and memory; see `Neighbors.receipt`."""
        return self.wall.index.receipt()

    def words(self) -> str:
        return f"{super().words()}. {self.wall.words()}"

    def pictured(self):
        self.worker.wait(PATIENCE)
        pictures, title, bar = self.wall.wall()
        return map_and_tiles(self.frame(), pictures, axes=self.session.axes, title=title, bar=bar)

    def _uploaded(self, change) -> None:
        from ..sources import Folder

        with self.shown():
            for file in change.new:
                ending = Path(file["name"]).suffix.lower()
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / f"uploaded{ending}"
                    path.write_bytes(io.BytesIO(file["content"]).getvalue())
                    self.ask_image(Folder(path).read([0]))


def _listed(ids, most: int = 3) -> str:
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(str(id) for id in ids[:most]) + more


def _decoded(model, z) -> Images:
    from .gallery import decoded

    return decoded(model, np.atleast_2d(z))
