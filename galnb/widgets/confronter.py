"""`Confronter`: histograms of the likelihoods of sets of galaxies, and the galaxies of a range of them."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from ..comparison import STATISTICS, Comparison
from ..errors import BadInput, GalnbError, one_of
from ..images import Images
from ..stamps import png, to_rgb
from .base import HERE, Part, Worker, finite, module, number, one_thread_each, option
from .lineup import Lineup, ids_of, unit

NOTHING, REGRESSED = "nothing", "regressed"
MARKS = 400  # selected galaxies that the histogram marks at most
NO_COMPARISON = "there is no comparison; make one with galnb.confront(observed, simulated)"


class Confronter(Part):
    """The upper half of `LikelihoodPanel`: one statistic of all sets, what is held fixed, a range of it."""

    _esm = module("palettes.js", "dom.js", "axes.js", "histogram.js", "confronter.js")
    _css = Part._css + (HERE / "likelihood.css").read_text(encoding="utf-8")
    hears = ("hello", "statistic", "hold", "brush", "others", "pick")

    def __init__(self, latents, comparison=None, *, statistic=None, hold=NOTHING, n=8, worker=None):
        super().__init__(latents, worker=worker)
        self.whole, self.n = comparison, n
        self.holder, self.tester = Worker(), Worker(patient=True)
        one_thread_each(self.worker, self.holder, self.tester)
        self.brush: tuple[float, float] | None = None
        self.hold = self.holding = NOTHING
        self.busy, self.failed, self._others, self._asked = "", "", None, False
        self._held = {NOTHING: comparison}
        self._lineups: dict[tuple, Lineup] = {}
        self._answers: dict[tuple, object] = {}
        self._brushed: np.ndarray | None = None
        self.drawn: Table | None = None
        self.statistic, self.then = "", lambda: None
        self.holds = {NOTHING: "nothing"}
        if comparison is None:
            return
        if not np.array_equal(self.session.latents.id, ids_of(comparison.table)):
            raise BadInput("latents", "they are others than comparison.latents(); give those")
        names = {f"matched {name}": f"confounders, by pairs of {name}" for name in comparison.simulated}
        if len(names) == 1:
            names = {"matched": "confounders, by matched pairs"}
        self.holds |= names | {REGRESSED: "confounders, by regression"}
        statistic = statistic or ("ratio" if "ratio" in comparison.statistics else "log_p")
        one_of("statistic", statistic, comparison.statistics)
        one_of("hold", hold, self.holds)
        self.statistic = statistic
        if hold != NOTHING:
            self.use_hold(hold)

    # what is compared

    @property
    def now(self) -> Comparison:
        """The comparison that is shown, under what is held fixed."""
        if self.whole is None:
            raise GalnbError(NO_COMPARISON)
        return self._held[self.holding]

    @property
    def lineup(self) -> Lineup:
        """Its galaxies by the statistic that is shown."""
        return self.line(self.holding, self.statistic)

    def line(self, hold: str, statistic: str) -> Lineup:
        """Galaxies by a statistic, under what is held fixed."""
        key = hold, statistic
        if key not in self._lineups:
            self._lineups[key] = Lineup(self._held[hold], statistic, self.session.latents)
        return self._lineups[key]

    def use_statistic(self, name: str) -> None:
        one_of("statistic", name, self.now.statistics)
        self.statistic, self.brush, self._brushed = name, None, None
        self.refresh()
        self.then()

    def use_hold(self, name: str) -> None:
        """Hold something else fixed, in the background."""
        if self.whole is None:
            raise GalnbError(NO_COMPARISON)
        one_of("hold", name, self.holds)
        self.hold, self.failed = name, ""
        self.say("" if name in self._held else "Matching galaxies" if name != REGRESSED else "Regressing")
        self.later("hold", lambda: self._hold(name), self._take, worker=self.holder)

    def _hold(self, name: str) -> str:
        try:
            if name not in self._held:
                simulated = name.removeprefix("matched ") if name.startswith("matched ") else None
                one = self.whole.regressed() if name == REGRESSED else self.whole.matched(simulated)
                self._held[name] = one
        except Exception as error:
            if self.hold == name:
                self.hold, self.failed = self.holding, str(error)
                self.say("")
                self.tell_state()
            raise
        return name

    def _take(self, name: str) -> None:
        if name == self.hold:
            self.holding, self.brush, self._brushed, self.problem = name, None, None, ""
            self.say("")
            self.refresh()
            self.then()

    def held(self) -> Comparison:
        """The comparison under what is to be held fixed, once that is done."""
        self.holder.wait()
        if self.failed:
            failed, self.failed = self.failed, ""
            raise GalnbError(f"{failed}; {self.holds[self.holding]} is held fixed still")
        return self.now

    def answer(self, what: str, hold: str, statistic: str):
        """The comparison's "curves" or "tests" of a statistic, under what is held fixed; asked for once."""
        key = what, hold, statistic
        if key not in self._answers:
            self._answers[key] = getattr(self._held[hold], what)(statistic, seed=self.session.seed)
        return self._answers[key]

    # a range of the histogram

    def brush_range(self, low: float, high: float, *, select: bool = True) -> None:
        """Look at the galaxies from low to high and, unless a hand is still moving, select them."""
        if not low < high:
            raise ValueError(f"brush from {low} to {high}, wanted the lower number first")
        self.brush, self._others = (float(low), float(high)), None
        if select:
            self._brushed = self.lineup.rows[self.lineup.within(low, high)]
            self.session.select_rows(self._brushed)
        self.tell_wall()

    def use_others(self) -> None:
        self._others = 0 if self._others is None else self._others + 1
        self.tell_wall()

    def unbrush(self) -> None:
        """No range, and nobody selected."""
        self.brush = self._brushed = self._others = None
        self.session.select_rows([])
        self.tell_wall()

    def draw(self, changed: set[str]) -> None:
        if self.whole is None:
            return
        if "selection" in changed and not np.array_equal(self._brushed, self.session.selected_rows):
            if len(self.session.selected_rows) or self.brush is not None:
                self.brush = self._brushed = self._others = None
            self.tell_wall()
        if changed & {"picked", "spot"}:
            self.tell_marks()

    def groups(self) -> list[dict]:
        """Of each set, which galaxies are shown, how many there were, and how many are the least likely."""
        line, brush, selected = self.lineup, self.brush, self.session.selected_rows
        if brush is None and not len(selected):
            least, found, counts = self.n // 2, line.ends(self.n), [None] * len(line.names)
        else:
            places = line.places(selected) if brush is None else line.within(*brush)
            ends = line.values[places] if brush is None else np.clip(brush, *line.span)
            middle = np.nanmean(ends) if len(ends) else 0.0
            least, found = 0, line.nearest(places, middle, self.n, seed=self._others)
            counts = [int((line.of[places] == k).sum()) for k in range(len(line.names))]
        totals = np.bincount(line.of, minlength=len(line.names)).tolist()
        return [
            {"name": name, "rows": line.rows[own], "values": line.values[own], "count": count, "of": total,
             "least": min(least, len(own))}
            for name, own, count, total in zip(line.names, found, counts, totals, strict=True)
        ]  # fmt: skip

    def tell_wall(self) -> None:
        if self._asked:
            self.later("wall", self._wall, lambda found: self.tell("wall", found.pop("pictures"), **found))

    def _wall(self) -> dict:
        groups, pictures = self.groups(), []
        for group in groups:
            images = self.images_of(group["name"], group["rows"])
            pictures += [] if images is None else [png(one) for one in to_rgb(clipped(images))]
            group["pictured"] = images is not None
            group["ids"] = [str(one) for one in np.asarray(self.whole.table["id"])[group["rows"]]]
            group["values"] = [finite(value) for value in group["values"]]
            group["rows"] = group["rows"].tolist()
        line, brush, selected = self.lineup, self.brush, self.session.selected_rows
        places = line.places(selected[:: -(-len(selected) // MARKS) or 1])
        pairs = zip(line.values[places], line.of[places], strict=True)
        marks = [] if brush is not None else [[finite(value), int(k)] for value, k in pairs]
        return {
            "groups": groups, "pictures": pictures, "brush": brush and [finite(end) for end in brush],
            "marks": marks, "selected": len(selected), "statistic": line.statistic, "hold": self.holding,
        }  # fmt: skip

    def images_of(self, name: str, rows) -> Images | None:
        """Pictures of galaxies of one set, by their rows of the session; None where they were not kept."""
        images = self.whole.sets[name]
        first = np.flatnonzero(np.asarray(self.whole.table["set"]) == name)[0]
        return None if images is None else images[np.asarray(rows, dtype=int) - first]

    # what the browser is told, and what it says

    def say(self, words: str) -> None:
        self.busy = words
        self.tell("busy", text=words)

    def refresh(self) -> None:
        """Send all that depends on the statistic and on what is held fixed."""
        if not self._asked or self.whole is None:
            return
        key = {"hold": self.holding, "statistic": self.statistic}
        ask = lambda what: lambda: self.answer(what, **key)  # noqa: E731
        self.tell_state()
        self.later("curves", ask("curves"), lambda found: self._tell_curves(found, key))
        self.tell_wall()
        self.tell_marks()
        self.later("tests", ask("tests"), lambda found: self._tell_tests(found, key), worker=self.tester)

    def tell_state(self) -> None:
        whole = self.whole
        if whole is None:
            self.tell("state", sets=[], missing=NO_COMPARISON)
            return
        counts = [len(self.now.rows(name)) for name in self.now.sets]
        self.tell(
            "state", sets=[list(pair) for pair in zip(self.now.sets, counts, strict=True)],
            all=list(whole.sets), statistics=[[name, STATISTICS[name]] for name in whole.statistics],
            statistic=self.statistic, unit=unit(self.statistic), holds=list(self.holds.items()),
            hold=self.hold, shown=self.holding, held=self.now.held, busy=self.busy, missing="",
        )  # fmt: skip

    def show_drawn(self, table: Table) -> None:
        """Mark galaxies that do not exist, by their statistics, in the histogram."""
        self.drawn = table
        self.tell_marks()

    def tell_marks(self) -> None:
        """Say where the picked galaxy and those that were drawn are."""
        if not self._asked:
            return
        row, drawn = self.session.picked_row, []
        if self.drawn is not None and self.holding != REGRESSED:
            drawn = [finite(value) for value in self.drawn[self.statistic]]
        value = None if row is None else finite(self.lineup.value(row))
        where = "" if row is None else str(self.whole.table["set"][row])
        self.tell("marks", picked=-1 if row is None else int(row), value=value, set=where, drawn=drawn)

    def _tell_curves(self, curves, key) -> None:
        each = list(curves.values())
        parts = [each[0].edges, *(part for one in each for part in (one.density, one.low, one.high))]
        buffer = np.concatenate(parts).astype("<f4").tobytes()
        self.tell("curves", [buffer], names=list(curves), label=STATISTICS[key["statistic"]], **key)

    def _tell_tests(self, table, key) -> None:
        rows = [{name: finite(row[name]) for name in table.colnames if name != "set"} for row in table]
        for row, name in zip(rows, table["set"], strict=True):
            row["set"] = str(name)
        self.tell("tests", rows=rows, words=self._unlike(), **key)

    def _unlike(self) -> str:
        """In which confounder sets differ most, in words: what the likelihood may only reflect."""
        try:
            balance = self.now.balance()
        except BadInput:
            return ""
        names = [name for name in balance.colnames if name != "set"]
        worst = [(abs(row[name]), name, row["set"]) for row in balance for name in names]
        worst = [one for one in worst if np.isfinite(one[0])]
        if not worst:
            return ""
        far, name, which = max(worst)
        return f"confounders: {name.replace('_', ' ')} differs most, in {which} by {far:.2g} scatters"

    def on_hello(self, message: dict) -> None:
        self._asked = True
        self.tell_state()
        self.refresh()

    def on_statistic(self, message: dict) -> None:
        self.use_statistic(option(message, "name", self.now.statistics))

    def on_hold(self, message: dict) -> None:
        self.use_hold(option(message, "name", self.holds))

    def on_brush(self, message: dict) -> None:
        if message.get("low") is None and message.get("high") is None:
            self.unbrush()
            return
        low = -np.inf if message.get("low") is None else number(message, "low")
        high = np.inf if message.get("high") is None else number(message, "high")
        self.brush_range(low, high, select=not message.get("moving"))

    def on_others(self, message: dict) -> None:
        self.use_others()

    def on_pick(self, message: dict) -> None:
        self.session.pick_row(int(number(message, "row", 0, len(self.session.latents) - 1)))


def clipped(images: Images) -> Images:
    """As the networks see them: 0 to 1, what lies beyond at the ends."""
    return images.with_pixels(np.clip(images.pixels, 0, 1))
