"""`Explorer`: the map, a wall of galaxies and a decoder, side by side on one session."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

from astropy.table import Table

from ..catalogue import read
from ..figures import map_and_tiles
from ..latents import Latents
from .base import Panel, as_stamps, beside, check_options
from .decoder import Decoder
from .gallery import Gallery
from .latent_map import LatentMap


class Explorer(Panel):
    """A latent catalogue to look around in; what is selected comes back as ids, Latents or a table.

    Parameters
    ----------
    latents : Latents or Session
    images : Images or Source, optional
        Found by id; a source is read on demand.
    model : Model, optional
        The one that made the latents; it draws reconstructions and what would live in empty space.
    plane : "pca", "umap" or two column names
    color : "count" or a column
        The session's own where not given.
    height : int
        CSS pixels.
    per_page : int
        Thumbnails a page.
    seed : int
        For UMAP.

    Attributes
    ----------
    selection : tuple of object ids
    session : Session
        View, selection, color and undo; save it with ``session.save(path)``.
    """

    def build(self, images=None, model=None, *, color=None, height=600, per_page=25) -> tuple:
        shared = {"worker": self.worker}
        stamps = as_stamps(images, self.session)
        self.map = LatentMap(self.session, stamps, color=color, height=height, **shared)
        self.decoder = Decoder(self.session, stamps, model, **shared)
        self.gallery = Gallery(self.session, stamps, model, per_page=per_page, **shared)
        return (beside(self.map, [self.decoder, self.gallery], height),)

    def words(self) -> str:
        wall = self.gallery.words()
        return f"{super().words()}. Beside it a {wall[0].lower()}{wall[1:]}"

    def pictured(self):
        pictures, title, bar = self.gallery.wall()
        return map_and_tiles(self.frame(), pictures, axes=self.session.axes, title=title, bar=bar)

    def selected(self) -> Latents:
        """The selected galaxies as Latents."""
        return self.session.selected()

    def selection_table(self) -> Table:
        """The selected galaxies as one astropy Table: id, columns, z."""
        return self.selected().to_table()


def explore(latents, images=None, model=None, **options) -> Explorer:
    """A latent catalogue to look around in: map, galaxies, reconstructions; see `Explorer` for the options.

    `latents` may be the path of a catalogue (survey.hats) or Parquet file, too; where no model is given,
    the shipped one that made it draws its galaxies.

    Examples
    --------
    >>> import numpy as np
    >>> here = explore(Latents(np.arange(20), np.eye(20)), color="count", height=500)
    >>> here.selection = (3, 5)
    >>> here.selected().z.shape
    (2, 20)
    """
    known = [*signature(Explorer.build).parameters, *signature(Panel.__init__).parameters]
    check_options(
        options, [n for n in known if n not in ("self", "latents", "images", "model", "args", "options")]
    )
    if isinstance(latents, str | Path):
        latents = read(latents)
        model = latents.model() if model is None else model
    return Explorer(latents, images, model, **options)
