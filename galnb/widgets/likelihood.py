"""`LikelihoodPanel`: what a network of observed galaxies says of simulated ones, down to the pixel."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..comparison import STATISTICS, Comparison, compare
from ..errors import GalnbError, one_of
from ..figures import OKABE_ITO
from ..images import Images
from .base import Panel, check_options
from .confronter import NO_COMPARISON, NOTHING, REGRESSED, Confronter
from .looker import COMPLETE, SAMPLE, Looker


class LikelihoodPanel(Panel):
    """Histograms of likelihoods, the galaxies of a range, and what surprises in each of them, pixel by pixel.

    Each gesture has its twin here: a range is `brush`, a click is `pick`, a pixel under the pointer is `pdf`.
    Galaxies are called "SET/id", as in `Comparison.latents`, and those of the range are the `selection`.

    Parameters
    ----------
    latents : Latents or Session
        Of the comparison: `comparison.latents()`, or a Session of them that a map shares.
    comparison : Comparison
        By a PixelCNN: for surprise pixel by pixel, completions and draws. Any model gives the histograms.
    statistic : str
        One of `comparison.STATISTICS`; "ratio" where not given and there is a background, else "log_p".
    hold : str
        What is held fixed: see `hold`.
    n : int
        Galaxies of each set that are shown.
    draws : int
        Pictures that are completed or drawn at a time.
    seed : int

    Attributes
    ----------
    completions, samples : Images or None
        What was last completed, and last drawn, with log p in their tables. They do not exist.

    Examples
    --------
    >>> from galnb.models import PixelCNN
    >>> model = PixelCNN(("r",), 8, levels=4, width=8, vertical=(1,), horizontal=1).eval()
    >>> noise = lambda seed: Images(np.random.default_rng(seed).random((20, 1, 8, 8)), bands=("r",))
    >>> panel = confront(noise(0), noise(1), model=model, background=None)
    >>> panel.pick("simulated/3")
    >>> panel.pdf(4, 4).shape, panel.complete(n=2, seed=0).pixels.shape
    ((4,), (2, 1, 8, 8))
    """

    def build(self, comparison=None, *, statistic=None, hold=NOTHING, n=8, draws=4) -> tuple:
        if not (comparison is None or isinstance(comparison, Comparison)):
            came = type(comparison).__name__
            raise TypeError(f"comparison is a {came}, wanted what galnb.compare gives; or use galnb.confront")
        for name, value, most in (("n", n, 48), ("draws", draws, 16)):
            if not 1 <= int(value) <= most:
                raise ValueError(f"{name}={value}, wanted 1 to {most}")
        options = {"statistic": statistic, "hold": hold, "n": int(n), "worker": self.worker}
        self.confronter = Confronter(self.session, comparison, **options)
        self.looker = Looker(self.confronter, draws=int(draws))
        return self.confronter, self.looker

    # what is compared

    @property
    def comparison(self) -> Comparison:
        """As it is shown, under what is held fixed; waits until that is done."""
        return self.confronter.held()

    @property
    def statistic(self) -> str:
        """What the histograms are of."""
        return self.confronter.statistic

    @statistic.setter
    def statistic(self, name: str) -> None:
        self.confronter.use_statistic(name)

    @property
    def hold(self) -> str:
        """What is held fixed: "nothing", "matched" (of several simulated sets "matched SET") or "regressed".

        That is done in the background; `comparison` waits for it.
        """
        return self.confronter.hold

    @hold.setter
    def hold(self, name: str) -> None:
        self.confronter.use_hold(name)

    def tests(self) -> Table:
        """Whether the sets differ in the statistic: see `Comparison.tests`."""
        self.confronter.held()
        return self.confronter.answer("tests", self.confronter.holding, self.statistic)

    # a range

    @property
    def brush(self) -> tuple[float, float] | None:
        """The range (low, high) of the statistic whose galaxies are shown and selected; None for no range."""
        return self.confronter.brush

    @brush.setter
    def brush(self, ends: tuple[float, float] | None) -> None:
        self.confronter.held()
        if ends is None:
            self.confronter.unbrush()
        else:
            self.confronter.brush_range(*ends)

    def galleries(self) -> dict[str, list[str]]:
        """Ids of the galaxies of each set that are shown: of the range, of a selection, or the extremes."""
        self.confronter.held()
        ids = self.session.latents.id
        return {group["name"]: ids[group["rows"]].tolist() for group in self.confronter.groups()}

    def others(self) -> None:
        """Show other galaxies of the range: the next draw of them."""
        self.confronter.held()
        self.confronter.use_others()

    # one galaxy

    def pick(self, id: str) -> None:
        """Look at a galaxy, "SET/id", or at one that does not exist, by its id in samples or completions."""
        if self.confronter.whole is None:
            raise GalnbError(NO_COMPARISON)
        for what, drawn in ((SAMPLE, self.samples), (COMPLETE, self.completions)):
            if drawn is not None and id in drawn.id:
                return self.looker.peek(what, list(drawn.id).index(id))
        self.session.pick_id(id)

    def pdf(self, row: int, column: int, band: int | str = 0) -> np.ndarray:
        """Probabilities (level,) of one pixel of the picked galaxy, given all before it; also shown."""
        read = self.looker.need()
        bands, size = list(self.looker.model.bands), self.looker.model.size
        band = bands.index(band) if band in bands else band
        for name, value, most in (("row", row, size), ("column", column, size), ("band", band, len(bands))):
            if not isinstance(value, int | np.integer) or not 0 <= value < most:
                raise ValueError(f"{name}={value!r}, wanted 0 to {most - 1}")
        self.looker.tell("point", row=int(row), column=int(column))
        return read.pmf(int(row))[int(column), int(band)]

    def surprise(self, of: str | None = None) -> np.ndarray:
        """Nats (y, x) of each pixel of the picked galaxy, as `Comparison.maps`: low is surprising."""
        found = self.looker.maps()
        of = ("ratio" if "ratio" in found else "log_p") if of is None else of
        one_of("map", of, found)
        return found[of]

    def complete(
        self,
        id: str | None = None,
        from_row: int | None = None,
        n: int | None = None,
        seed: int | None = None,
    ) -> Images:
        """The picked galaxy, or another, drawn anew from a row on (half of them where not said)."""
        if id is not None:
            self.pick(id)
        self.looker.able()
        from_row = self.looker.model.size // 2 if from_row is None else from_row
        self.looker.start(COMPLETE, self.looker.draws if n is None else n, seed, from_row)
        return self.looker.finish(COMPLETE)

    def sample(self, n: int | None = None, seed: int | None = None) -> Images:
        """Galaxies that do not exist, their `STATISTICS` in their table, marked in the histogram."""
        self.looker.start(SAMPLE, self.looker.draws if n is None else n, seed)
        return self.looker.finish(SAMPLE)

    def stop(self) -> None:
        """Draw no further."""
        self.looker.stop()

    @property
    def completions(self) -> Images | None:
        return self.looker.completions

    @property
    def samples(self) -> Images | None:
        return self.looker.samples

    # on paper

    def figure(self):
        """The histograms with what is brushed and what was drawn, as a Figure."""
        return self._figure(self.comparison)

    def _figure(self, now: Comparison):
        statistic = self.statistic
        figure = now.figure(statistic, seed=self.session.seed)
        axis = figure.axes[0]
        if self.brush is not None:
            low, high = np.clip(self.brush, *axis.get_xlim())
            axis.axvspan(low, high, color="0.5", alpha=0.2, lw=0, label=f"{len(self.selection):,} brushed")
        if self.samples is not None and self.confronter.holding != REGRESSED:
            for k, value in enumerate(self.samples.table[statistic]):
                axis.axvline(value, color=OKABE_ITO[7], ls="--", lw=1.5, label=None if k else "drawn")
        axis.legend()
        return figure

    def words(self) -> str:
        if self.confronter.whole is None:
            return super().words()
        now = self.confronter.now  # without waiting for what is to be held fixed
        rows = now.summary(self.statistic)
        medians = ", ".join(f"{r['set']} ({r['n']:,} galaxies, median {r['median']:,.0f})" for r in rows)
        held = f"; {now.held}" if now.held else ""
        return f"Histograms of {STATISTICS[self.statistic]}: {medians}{held}"

    def pictured(self):
        return super().pictured() if self.confronter.whole is None else self._figure(self.confronter.now)


def confront(
    observed, simulated=None, *, model="pixelcnn32-sdss", background="sky32-sdss", **options
) -> LikelihoodPanel:
    """What a network of observed galaxies says of simulated ones, in a panel; see `LikelihoodPanel`.

    Parameters
    ----------
    observed : Comparison, Images, or a mapping of one name to Images
        A comparison is shown as it is; of images it is made: see `compare`.
    simulated : Images, or a mapping of names to Images
    model, background : Model or str
        Of `compare`; not used where a comparison comes.

    Examples
    --------
    >>> from galnb.models import PixelCNN
    >>> model = PixelCNN(("r",), 8, levels=4, width=8, vertical=(1,), horizontal=1).eval()
    >>> noise = lambda seed: Images(np.random.default_rng(seed).random((20, 1, 8, 8)), bands=("r",))
    >>> panel = confront(noise(0), {"other": noise(1)}, model=model, background=None)
    >>> panel.brush = (-float("inf"), float("inf"))
    >>> len(panel.selection), panel.selection[-1]
    (40, 'other/19')
    """
    check_options(options, ("statistic", "hold", "n", "draws", "plane", "seed"))
    if isinstance(observed, Comparison):
        if simulated is not None:
            raise TypeError("both a comparison and simulated images came, wanted one of them")
        return LikelihoodPanel(observed.latents(), observed, **options)
    if simulated is None:
        came = type(observed).__name__
        raise TypeError(f"observed is a {came} alone, wanted simulated images too, or a Comparison")
    comparison = compare(observed, simulated, model, background)
    return LikelihoodPanel(comparison.latents(), comparison, **options)
