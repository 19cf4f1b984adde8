"""`DensityPanel`: a map colored by log p and contoured, how unlikely a galaxy is, draws from a place."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import numpy as np

from .. import density as questions
from .. import weights
from ..catalogue import read
from ..figures import map_figure
from ..latents import Latents
from .base import Panel, as_stamps, beside, check_options
from .still import PATIENCE
from .weighed_map import WeighedMap
from .weigher import Weigher


class DensityPanel(Panel):
    """How likely galaxies are: a map of log p with contours, the rarity of each, draws from a place.

    The density is learned in the background when the panel is shown, or when Python asks.

    Parameters
    ----------
    latents : Latents or Session
    images : Images or Source, optional
        Found by id.
    model : Model, optional
        The one that made the latents: it decodes what the density draws.
    density : Density, optional
        Of these latents, as `density.fit` gives it; learned where not given.
    kind : str
        Of the density that is learned; see `density.fit`.
    learning : dict, optional
        Further options of `density.fit`, such as {"steps": 3000}.
    plane : "pca", "umap" or two column names
        Draws can be placed on the PCA map alone.
    n : int
        Galaxies that are drawn from a place.
    height : int
        CSS pixels.
    seed : int

    Attributes
    ----------
    log_p : ndarray (n,)
        Of each galaxy, in nats.
    weighed : Weighed
        The density, log_p, rarity and distance from the typical of each galaxy.
    drawn : Latents or None
        What was last drawn from a place, log_p in its table. These galaxies do not exist.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(300, 4))
    >>> panel = DensityPanel(Latents(np.arange(300), z))
    >>> panel.log_p.shape, panel.standing(7)["rare"][-14:]
    ((300,), 'is as unlikely')
    >>> panel.selection = (7,)
    >>> len(panel.draw_here(3))
    3
    """

    def build(
        self, images=None, model=None, density=None, *, kind="gmm", learning=None, n=6, height=640
    ) -> tuple:
        if not 1 <= int(n) <= 24:
            raise ValueError(f"n={n} galaxies to draw, wanted 1 to 24")
        stamps = as_stamps(images, self.session)
        self.map = WeighedMap(self.session, stamps, height=height, worker=self.worker)
        options = {"kind": kind, "learning": learning, "n": int(n)}
        self.weigher = Weigher(self.map, stamps, model, density, **options)
        return (beside(self.map, [self.weigher], height, wide=True),)

    @property
    def weighed(self):
        return self.weigher.need()

    @property
    def density(self):
        return self.weighed.density

    @property
    def log_p(self) -> np.ndarray:
        return self.weighed.log_p

    @property
    def drawn(self) -> Latents | None:
        return self.weigher.drawn

    def use(self, kind: str, **learning) -> None:
        """Learn another kind of density, in the background; `log_p` waits for it."""
        self.weigher.use(kind, **learning)

    def standing(self, id) -> dict:
        """How unlikely a galaxy is: log_p, rarity, sigmas, and both in words (rare, typical)."""
        return self.weigher.standing(int(self.session.latents.rows_of([id])[0]))

    def draw_here(self, n: int | None = None, *, seed: int | None = None) -> Latents:
        """Galaxies of the density from the lasso, the picked place or around the selected ones."""
        return self.weigher.draws(n, seed).latents()

    def figure(self):
        """The map as it is colored, with its contours, as a Figure."""
        session = self.session
        figure = map_figure(self.frame(), axes=session.axes)
        if self.map.regions is not None and self.map.regions[1] == session.plane:
            regions, axis = self.map.regions[0], figure.axes[0]
            for share, level, lines in zip(regions.shares, regions.levels, regions.lines, strict=True):
                for k, line in enumerate(lines):
                    label = None if k else f"{100 * share:g} % above {level:.1f} nats"
                    axis.plot(*line.T, color="black", lw=2 if share < 0.7 else 1, label=label)
            axis.legend(loc="upper left", fontsize=8)
        return figure

    def frame(self, *size, **options):
        self.map.ready()
        return super().frame(*size, color=self.map.color, **options)

    def words(self) -> str:
        regions, words = self.map.regions, super().words()
        shares = "" if regions is None else " and ".join(f"{100 * share:g} %" for share in regions[0].shares)
        return words + (f". Contours hold {shares} of them" if shares else "")

    def pictured(self):
        self.weigher.begin()
        self.weigher.slow.wait(5 * PATIENCE)  # learning takes as long, and is what there is to see
        return self.figure()


def weigh(latents, images=None, model=None, density=None, **options) -> DensityPanel:
    """How likely galaxies are, on a map with contours and draws; see `DensityPanel` for the options.

    `latents` may be the path of a catalogue (survey.hats) or Parquet file, too; where no model is given, the
    shipped one that made it decodes what is drawn. Model and density may be names of shipped weights.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(300, 4))
    >>> here = weigh(Latents(np.arange(300), z), kind="gmm", learning={"components": 2})
    >>> bool(here.log_p[0] < 0)
    True
    """
    known = [*signature(DensityPanel.build).parameters, *signature(Panel.__init__).parameters]
    kept_out = ("self", "latents", "images", "model", "density", "args", "options")
    check_options(options, [name for name in known if name not in kept_out])
    model = weights.load(model) if isinstance(model, str | Path) else model
    density = questions.load(density) if isinstance(density, str | Path) else density
    if isinstance(latents, str | Path):
        latents = read(latents)
        model = latents.model() if model is None else model
    return DensityPanel(latents, images, model, density, **options)
