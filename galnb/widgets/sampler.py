"""`Sampler`: galaxies that do not exist, under sliders for what one asks of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import film, weights
from ..encoding import encode
from ..images import Images
from ..imagined import Imagined
from ..latents import Latents
from .base import Panel, as_stamps, check_options
from .gallery import Gallery
from .sheet import Sheet


class Sampler(Panel):
    """Galaxies that do not exist, under sliders for physical conditions and latent axes.

    Beside what is asked stands what is measured in each picture, and the nearest real galaxy, so that
    memorising shows. Pick a real galaxy to change one thing about it, or to have its picture guessed from its
    numbers.

    Parameters
    ----------
    latents : Latents or Session
        Real galaxies; where the model cannot sample, theirs are what it draws.
    images : Images or Source, optional
        Of these galaxies: to begin from one, and to find the nearest one.
    model : Model, optional
        One that decodes; without it, one of the shipped ones is chosen in the panel.
    n : int
        Galaxies in the wall.
    seed : int
    noise : bool
        Whether pictures have pixel noise.

    Attributes
    ----------
    imagined : Imagined
        What is shown, without a notebook: latents, pictures, what is asked.

    Examples
    --------
    >>> from galnb.models import CVAE
    >>> model = CVAE(("r",), 28, 8, (16, 16, 16), conditions=("flux", "area"))
    >>> panel = Sampler(Latents(np.arange(9), np.zeros((9, 8))), model=model, n=4)
    >>> panel.ask(flux=0.5)
    >>> panel.images.table.colnames
    ['flux_asked', 'flux_measured', 'area_asked', 'area_measured']
    """

    def build(self, images=None, model=None, *, n=16, noise=True) -> tuple:
        stamps, options = as_stamps(images, self.session), {"n": n, "noise": noise, "seed": self.session.seed}
        self.sheet = Sheet(self.session, stamps, model, worker=self.worker, **options)
        if stamps is None:
            return (self.sheet,)
        self.gallery = Gallery(self.session, stamps, per_page=14, worker=self.worker)
        self.gallery.add_class("galnb-strip")
        return self.sheet, self.gallery

    @property
    def imagined(self) -> Imagined | None:
        return self.sheet.imagined

    @property
    def images(self) -> Images:
        """The galaxies, each condition as asked and as measured in their table."""
        return self.sheet.need().images

    def use(self, model: str) -> None:
        """Choose one of the shipped models by its name."""
        self.sheet.use(model)

    def ask(self, **conditions: float | None) -> None:
        """Change the galaxies to have conditions, such as ``flux=20``; None leaves one free again."""
        self.sheet.need().ask(**conditions)
        self.sheet.show()

    def move(self, sigmas) -> None:
        """Move them along the first latent axes, so many standard deviations each."""
        self.sheet.need().move(sigmas)
        self.sheet.show()

    def new_draw(self, seed: int | None = None) -> None:
        """Other galaxies, under what is asked."""
        self.sheet.new_draw(seed)

    def pick(self, k: int) -> None:
        """Look at galaxy k of the wall."""
        self.sheet.pick(k)

    def take(self, id, *, given: str = "picture") -> None:
        """Begin from a real galaxy, known by its "picture", its measured "numbers", or "both"."""
        self.sheet.take(int(self.session.latents.rows_of([id])[0]), given)

    def change(self, id, **conditions: float | None) -> None:
        """A real galaxy with some conditions changed; its style and its other conditions stay."""
        self.take(id)
        self.ask(**conditions)

    def film(self, path: str | Path, start: int, end: int, **options) -> Path:
        """Save the way from galaxy `start` of the wall to galaxy `end` as .gif or .mp4; see `film.save`."""
        z, imagined = self.sheet.need().z, self.imagined
        return film.save(imagined.walk(z[start], z[end]), path, made=imagined.made(), **options)

    def figure(self):
        """The wall as a Figure."""
        return self.sheet.figure()

    def words(self) -> str:
        if self.imagined is None:
            return super().words()
        asked = ", ".join(f"{name} {value:.3g}" for name, value in self.imagined.asked.items())
        words = f"{len(self.imagined.z)} galaxies that do not exist, imagined by {self.sheet.name}"
        return words + (f" under {asked}" if asked else "")

    def pictured(self):
        return super().pictured() if self.imagined is None else self.figure()


def imagine(model=None, images=None, latents=None, **options) -> Sampler:
    """Galaxies that do not exist, in a panel of sliders; see `Sampler` for the options.

    Parameters
    ----------
    model : Model or str, optional
        Or the name of shipped weights (see `weights.names`); chosen in the panel where not given.
    images : Images or Source, optional
        Real galaxies in the model's bands and size: to begin from, and to compare with.
    latents : Latents or Session, optional
        Of these galaxies. Only a model that cannot sample needs them; by default it makes them.

    Examples
    --------
    >>> imagine("vae32-sdss", n=4).images.pixels.shape
    (4, 3, 64, 64)
    """
    known = ("n", "noise", "seed", "plane")
    check_options(options, known)
    model = weights.load(model) if isinstance(model, str | Path) else model
    if latents is None and model is not None and images is not None and not model.can("sample"):
        latents = encode(images, model, progress=True)
    if latents is None:
        ids = np.arange(2) if images is None else np.asarray(images.id)
        latents = Latents(ids, np.zeros((len(ids), 2), dtype=np.float32))
    return Sampler(latents, images, model, **options)
