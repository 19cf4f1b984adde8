"""`Looker`: one galaxy pixel by pixel, what a PixelCNN expects of each, completions of it, and draws."""

from __future__ import annotations

import time

import numpy as np
import torch
from astropy.table import Table

from ..errors import GalnbError
from ..images import Images
from ..stamps import to_rgb
from .base import HERE, Part, Worker, finite, module, number, one_thread_each, option
from .confronter import NO_COMPARISON, NOTHING, REGRESSED, Confronter, clipped
from .lineup import unit
from .reading import Reading, can_read, maps

MOST = 16  # pictures that are drawn at a time
BLOCK = 4  # rows whose pixels' PDFs are sent at a time
PACE = 0.05  # seconds between the rows that are shown, at least
COMPLETE, SAMPLE = "complete", "sample"
NO_PIXELCNN = "{} says how likely pictures are, but not their pixels; compare with a PixelCNN to see more"
NO_IMAGES = "this comparison was read from a file, without its images and models; compare again to see more"


class Looker(Part):
    """The lower half of `LikelihoodPanel`."""

    _esm = module("palettes.js", "dom.js", "axes.js", "pixels.js", "pmf.js", "strip.js", "looker.js")
    _css = Part._css + (HERE / "likelihood.css").read_text(encoding="utf-8")
    hears = ("hello", "pdf", "peek", "complete", "sample", "stop")

    def __init__(self, confronter: Confronter, *, draws: int = 4):
        super().__init__(confronter.session, worker=confronter.worker)
        self.confronter, self.whole, self.draws = confronter, confronter.whole, draws
        self.model = getattr(self.whole, "model", None)
        self.drawer = Worker()
        one_thread_each(self.drawer)
        self.images: Images | None = None  # of the one galaxy
        self.reading: Reading | None = None
        self.completions: Images | None = None
        self.samples: Images | None = None
        self._row: int | None = None
        self._look, self._turn, self._seed, self._asked = 0, 0, self.session.seed, False
        confronter.then = self.again

    # one galaxy

    def draw(self, changed: set[str]) -> None:
        if "picked" in changed and self.session.picked_row is not None and self.whole is not None:
            self.look(self.session.picked_row)

    def again(self) -> None:
        """Say anew where the galaxy stands: by another statistic, or with something else held fixed."""
        if self._row is not None:
            self.look(self._row)

    def look(self, row: int) -> None:
        """Show a galaxy, large, with what surprises in it."""
        table, self._row, self.reading = self.whole.table, row, None
        name, id = (str(table[column][row]) for column in ("set", "id"))
        facts = {name: float(table[name][row]) for name in (*self.whole.statistics, "bits")}
        images = self.confronter.images_of(name, [row])
        self.later("look", lambda: self._seen(images, id, name, facts, row), self._take)

    def peek(self, what: str, k: int) -> None:
        """The same of picture k of those that were completed or drawn."""
        images = self.completions if what == COMPLETE else self.samples
        if images is None or not 0 <= k < len(images):
            raise GalnbError(f"there is no drawn galaxy {k}; draw some first")
        self._row, self.reading, title = None, None, str(images.id[k])

        def work():
            judged = self.whole.judge(images[[k]])
            facts = {name: float(judged[name][0]) for name in (*self.whole.statistics, "bits")}
            return self._seen(images[[k]], title, "does not exist", facts, None)

        self.later("look", work, self._take)

    def _seen(self, images, title: str, of: str, facts: dict, row: int | None):
        """What is told of one galaxy: its picture and what the networks make of it."""
        line, statistic = self.confronter.lineup, self.confronter.statistic
        value = facts[statistic] if row is None else line.value(row)
        if row is None and self.confronter.holding == REGRESSED:
            value = np.nan
        words = [self.confronter.line(NOTHING, "log_p").words(facts["log_p"], row)]
        if statistic != "log_p" and (more := line.words(value, row)):
            words.append(f"{short(statistic)}: {spoken(value)} {unit(statistic)}, {more}")
        said = {
            "title": title, "set": of, "log_p": finite(facts["log_p"]), "bits": finite(facts["bits"]),
            "words": words, "size": 0, "maps": [], "read": False,
        }  # fmt: skip
        if images is None:
            return images, None, said, []
        read = Reading(self.model, images) if can_read(self.model) else None
        found = maps(self.model, self.whole.background, images)
        buffers = [np.ascontiguousarray(to_rgb(clipped(images))[0]).tobytes()]
        buffers += [one.astype("<f4").tobytes() for one in found.values()]
        if read is not None:
            buffers += [read.log_p.astype("<f4").tobytes(), read.levels.astype("<u2").tobytes()]
        said |= {"size": images.shape[0], "maps": list(found), "read": read is not None}
        return images, read, said, buffers

    def _take(self, found) -> None:
        self.images, self.reading, said, buffers = found
        self._look += 1
        self._last = said, buffers
        self.tell_look()

    def tell_look(self) -> None:
        if self._asked and self._look:
            said, buffers = self._last
            self.tell("look", buffers, look=self._look, **said)

    def tell_pdf(self, row: int, look: int) -> None:
        """Send what was expected of the pixels of some rows: levels as shares of the peak, and the peaks."""
        if self.reading is None or look != self._look:
            return
        first = row // BLOCK * BLOCK
        rows = range(first, min(first + BLOCK, self.model.size))
        found = np.stack([self.reading.pmf(each) for each in rows])  # (row, x, band, level)
        peaks = found.max(axis=3)
        levels = np.rint(found / peaks[..., None] * 255).astype("u1")
        self.tell("pdf", [levels.tobytes(), peaks.astype("<f4").tobytes()], row=first, look=look)

    def need(self) -> Reading:
        """The reading of the galaxy that is shown."""
        self.able()
        self.worker.wait()
        if self.reading is None:
            raise GalnbError(self.problem or "no galaxy is picked; click one, or pick(id)")
        return self.reading

    def maps(self) -> dict[str, np.ndarray]:
        """Nats of each pixel of the galaxy that is shown, by whom."""
        self.need()
        return maps(self.model, self.whole.background, self.images)

    def able(self) -> None:
        """Raise GalnbError, saying what is wanted, where there is no PixelCNN."""
        if words := self.missing():
            raise GalnbError(words)

    def missing(self) -> str:
        if self.whole is None:
            return NO_COMPARISON
        if self.model is None:
            return NO_IMAGES
        return "" if can_read(self.model) else NO_PIXELCNN.format(type(self.model).__name__)

    # pictures that do not exist

    def start(self, what: str, n: int, seed: int | None = None, from_row: int = 0) -> None:
        """Complete the galaxy from a row on, or draw new ones, and show them row by row."""
        self.able()
        if not 1 <= int(n) <= MOST:
            raise ValueError(f"n={n} pictures to draw, wanted 1 to {MOST}")
        if not 0 <= int(from_row) < self.model.size:
            raise ValueError(f"from_row={from_row}, wanted 0 to {self.model.size - 1}")
        if what == COMPLETE:
            self.need()
        if seed is None:
            seed, self._seed = self._seed, self._seed + 1
        self._turn += 1
        turn, images = self._turn, self.images
        self.problem = ""
        work = lambda: self._draw(what, int(n), int(seed), int(from_row), turn, images)  # noqa: E731
        self.later("draw", work, self._drawn, worker=self.drawer)

    def stop(self) -> None:
        """Draw no further; nothing that is whole is lost."""
        self._turn += 1
        self.tell("halted", turn=self._turn - 1)

    def _draw(self, what: str, n: int, seed: int, from_row: int, turn: int, images):
        model, size = self.model, self.model.size
        x = torch.full((n, len(model.bands), size, size), torch.nan)
        if what == COMPLETE:
            x = model.tensor(images).cpu().expand(n, -1, -1, -1)
        mask = (torch.arange(size) < from_row)[:, None].expand(-1, size)
        if turn != self._turn:
            return None
        self.tell("drawing", what=what, turn=turn, n=n, from_row=from_row, size=size)
        shown, due = torch.full_like(x, -1), 0.0
        for x in model.drawing(x, mask, torch.Generator().manual_seed(seed)):  # noqa: B020
            if turn != self._turn:
                return None
            if time.monotonic() > due:
                shown, due = self._show(x, shown, mask, turn), time.monotonic() + PACE
        self._show(x, shown, mask, turn)
        ids = [f"{'completion' if what == COMPLETE else 'drawn'} {k + 1}" for k in range(n)]
        made = Images(x.cpu().numpy(), id=ids, bands=model.bands)
        return turn, what, self._weighed(made, what, from_row, images)

    def _show(self, x, shown, mask, turn: int):
        """Send the rows of drawn pictures that are not as they are shown; what is then shown."""
        x = x.nan_to_num(-1).cpu()
        new = ((x != shown) & ~mask).any(3).any(1).any(0).nonzero()[:, 0].tolist()
        if new:
            first, rows = new[0], new[-1] + 1 - new[0]
            part = Images(x[:, :, first : first + rows].clamp(0, 1).numpy(), bands=self.model.bands)
            self.tell("rows", [to_rgb(part).tobytes()], turn=turn, row=first, rows=rows)
        return x

    def _weighed(self, made: Images, what: str, from_row: int, images) -> tuple[Images, float | None]:
        """Pictures with their log p as a table, and that of the true hidden part."""
        if what == SAMPLE:
            table = self.whole.judge(made)
            table.remove_column("id")
            return Images(made.pixels, made.id, made.bands, table=table), None
        truth, *drawn = [*self._hidden(images, from_row), *self._hidden(made, from_row)]
        return Images(made.pixels, made.id, made.bands, table=Table({"log_p_hidden": drawn})), truth

    @torch.inference_mode()
    def _hidden(self, images: Images, from_row: int) -> np.ndarray:
        """Nats (n,) of all from a row on, given what is above."""
        log_p = self.model.log_prob_map(self.model.tensor(images))
        return log_p[:, :, from_row:].sum((1, 2, 3)).double().numpy()

    def _drawn(self, found) -> None:
        if found is None or found[0] != self._turn:
            return
        turn, what, (made, truth) = found
        column = "log_p_hidden" if what == COMPLETE else "log_p"
        if what == COMPLETE:
            self.completions = made
        else:
            self.samples = made
            self.confronter.show_drawn(made.table)
        values = [finite(value) for value in made.table[column]]
        truth = None if truth is None else finite(truth)
        self.tell("drawn", turn=turn, what=what, values=values, truth=truth)

    def finish(self, what: str) -> Images:
        """The pictures, once they are drawn; GalnbError if they are not."""
        turn = self._turn
        self.drawer.wait()
        if self.problem or turn != self._turn:
            raise GalnbError(self.problem or "it was stopped, or other pictures were asked for")
        return self.completions if what == COMPLETE else self.samples

    # what the browser says

    def on_hello(self, message: dict) -> None:
        self._asked = True
        model = self.model
        self.tell(
            "state", missing=self.missing(), size=getattr(model, "size", 0), draws=self.draws,
            bands=list(getattr(model, "bands", ())),
            levels=model.config.get("levels", 0) if model is not None else 0,
        )  # fmt: skip
        self.tell_look()

    def on_pdf(self, message: dict) -> None:
        if self.reading is not None:
            row = int(number(message, "row", 0, self.model.size - 1))
            look = int(number(message, "look", 0, 1e15))
            self.later("pdf", lambda: (row, look), lambda asked: self.tell_pdf(*asked))

    def on_peek(self, message: dict) -> None:
        self.peek(option(message, "what", (COMPLETE, SAMPLE)), int(number(message, "k", 0, MOST)))

    def on_complete(self, message: dict) -> None:
        self.start(COMPLETE, self.draws, None, int(number(message, "row", 0, 1e6)))

    def on_sample(self, message: dict) -> None:
        self.start(SAMPLE, self.draws)

    def on_stop(self, message: dict) -> None:
        self.stop()


def short(statistic: str) -> str:
    """A statistic in a word or two.

    >>> short("log_p_background")
    'log p as sky'
    """
    return {"log_p": "log p", "log_p_background": "log p as sky"}.get(statistic, statistic)


def spoken(value: float) -> str:
    """A number as one says it: thousands without a fraction, small ones with two digits of it.

    >>> spoken(-1863.3), spoken(-0.25)
    ('−1,863', '−0.25')
    """
    digits = 2 - (abs(value) >= 10) - (abs(value) >= 100)
    return f"{value:,.{digits}f}".replace("-", "−")
