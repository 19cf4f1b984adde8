"""`Hunt`: scores, an order and votes behind the anomaly workbench."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
from astropy.table import Table

from .. import anomaly, artefacts
from .. import features as measured
from ..errors import GalnbError, one_of
from ..export import export
from ..figures import to_png, wall_figure
from ..provenance import array_hash
from ..stamps import png, to_rgb
from ..votes import Votes
from .base import Part, Worker, as_stamps, one_thread_each
from .board import BLEND, QUICK, SHOWS, VOTES, Board, scored
from .evidence import Evidence

KEPT = 1500  # thumbnails that are kept
MANY = 4096  # galaxies that are looked at for artefacts at a time: as many say what is usual


class Hunt(Part):
    """Galaxies in order, and votes on them: what `Bench` shows.

    The wall stays as it is while one votes. It is put in order anew by Re-rank, by another order, and, in the
    order of one's votes, after the last galaxy of a page.
    """

    def __init__(
        self,
        latents,
        images=None,
        model=None,
        gan=None,
        *,
        scores=None,
        kinds=QUICK,
        votes=None,
        features=None,
        per_page=24,
        worker=None,
    ):
        super().__init__(latents, worker=worker)
        self.stamps, self.model, self.gan = as_stamps(images, self.session), model, gan
        latents = self.session.latents
        of = f"galaxies-{array_hash(np.array(latents.id[:].tolist()))[:12]}"
        self.votes = votes if isinstance(votes, Votes) else Votes(votes, of=of)
        self.board = Board(latents, self.votes, seed=self.session.seed)
        self.evidence = Evidence(self.board, self.stamps, model, gan)
        self.slow, self.maps, self.learner = Worker(), Worker(), Worker()
        one_thread_each(self.worker, self.slow, self.maps, self.learner)
        self.per_page, self.order, self.show, self.top = per_page, "", SHOWS[0], 50
        self.wall, self.places, self.start = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0
        self.busy, self.fresh, self._seq, self._share_seq = "", 0, 0, 0
        self._asked = self._scoring = self._touched = self._stale = False
        self._thumbs: OrderedDict[int, bytes] = OrderedDict()
        self._noted: dict[int, str] = {}  # notes on galaxies that have no vote yet
        self._agreement = None
        for kind in kinds:
            one_of("kind", kind, anomaly.KINDS)
        self.kinds = tuple(kinds)
        if scores is not None:
            self.take(scores)
        if features is not None:
            self.board.know(features)
        self._leave_votes = self.votes.on_change(self._voted)

    def close(self):
        self._leave_votes()
        super().close()

    # scores

    def take(self, scores: Table) -> None:
        """Have these scores; the first of them orders the wall, where none does."""
        self.board.take(scores)
        if self.order not in self.board.names:
            self.order = self.board.names[0]
        self._stale = True

    def need(self) -> Board:
        """The board with all scores: they are made now, where they are not there yet."""
        if not len(self.board.scores):
            self.begin()
            self.slow.wait()
            if not len(self.board.scores):
                raise GalnbError(f"there are no scores: {self.problem}")
        return self.board

    def begin(self) -> None:
        """Make what is not there: scores, flags of artefacts, and how scores agree; told as they come."""
        if not self._scoring:
            self._scoring = True
            self.later("score", self._score, lambda _: None, worker=self.slow)

    def _score(self) -> None:
        latents, made = self.session.latents, not len(self.board.scores)
        if made:
            options = {"kinds": self.kinds, "seed": self.session.seed}
            for words, scores in scored(latents, self.stamps, self.model, self.gan, **options):
                self.busy = words
                if words and len(scores.colnames) > 1 and not len(self.board.scores):
                    self.take(scores)  # one score is there: the wall can begin
                    self.refresh()
                else:
                    self.tell_state()
            self.board.take(scores)
            for kind, reason in scores.meta["failed"].items():
                self.problem = f"{kind}: {reason}"
                self.show_problem(self.problem)
            if not self._touched:
                self.order, self._stale, self.start = self.board.names[0], True, 0
                self.refresh(first=True)
        self._agreement = self.board.agreement()
        self.tell_agreement()
        if self.stamps is not None:
            self.busy = "Looking for artefacts"
            self.tell_state()
            self.board.flags = self._looked_at(artefacts.flags, False)
            self.refresh()
        if self.stamps is not None and self.board.features is None:
            self.busy = "Measuring galaxies"
            self.tell_state()
            self.board.know(self._looked_at(measured.measure, np.nan))
            if self.board.voted:
                self.later("learn", self.board.learn, lambda _: None, worker=self.learner)
        self.busy = ""
        self.refresh()

    def _looked_at(self, look, missing) -> Table:
        """What `look` finds of all galaxies that have an image, and `missing` of the others."""
        rows = np.flatnonzero(self.stamps.has(np.arange(len(self.session.latents))))
        found = Table()
        for part in np.array_split(rows, max(-(-len(rows) // MANY), 1)):
            seen = look(self.stamps.read(part))
            for name in seen.colnames:
                if name not in found.colnames:
                    found[name] = np.full(len(self.session.latents), missing)
                found[name][part] = seen[name]
        return found

    # what Python and the browser ask for

    def order_by(self, name: str, *, first: bool = False) -> None:
        """Order galaxies by a score; `first` picks the first one, too."""
        one_of("order", name, self.need().names)
        if name == VOTES and not self.board.voted:
            raise GalnbError("there are no votes yet to learn from; vote on some galaxies first (I, O, A)")
        self.order, self._stale, self.start, self._touched = name, True, 0, True
        self.refresh(first=first)

    def use_share(self, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share={share}, wanted 0 (features alone, C) to 1 (pixels alone, G)")
        self.board.share, self._touched = float(share), True
        if self.order == BLEND:
            self._stale, self.start = True, 0
        self.refresh()

    def vote(self, row: int, choice: str | None, note: str | None = None) -> None:
        """Vote, or take the vote away for None; where no note is given, the one that is there stays."""
        self._touched = True
        id = self.session.latents.id[row].item()
        if choice is None:
            self.votes.clear(id)
        else:
            note = self.noted(row) if note is None else note
            self._noted.pop(row, None)
            self.votes.vote(id, choice, note=note)

    def note(self, row: int, text: str) -> None:
        """Note something on a galaxy: with its vote, or, where there is none yet, with the next."""
        choice = self.votes.get(self.session.latents.id[row].item())
        if choice is None:
            self._noted[row] = text
        else:
            self.vote(row, choice, text)

    def noted(self, row: int) -> str:
        """The note on a galaxy, empty where there is none."""
        return self._noted.get(row, "") or self.votes.note(self.session.latents.id[row].item())

    def step(self, back: bool):
        """Undo or redo a vote, and pick its galaxy; its id, or None."""
        id = self.votes.undo() if back else self.votes.redo()
        rows = np.flatnonzero(np.asarray(self.session.latents.id[:]) == id) if id is not None else ()
        if len(rows):
            self.session.pick_row(int(rows[0]))
            self.bring(int(rows[0]))
        return id

    def bring(self, row: int) -> None:
        """Turn the wall to the page of a galaxy."""
        place = np.flatnonzero(self.rows() == row)
        if len(place) and place[0] // self.per_page != self.start // self.per_page:
            self.start = int(place[0]) // self.per_page * self.per_page
            self.refresh()

    def rows(self) -> np.ndarray:
        """Rows of all galaxies of the wall, in its order."""
        self.need()
        with self.board.lock:
            if self._stale:
                self._arrange()
            return self.wall

    def _arrange(self, unseen: bool = False) -> None:
        if self.order == VOTES:
            self.board.learn()
        order = self.board.by(self.order).order
        keep = self.board.among(self.show, self.session.selected_rows)
        self.places = np.empty_like(order)
        self.places[order] = np.arange(len(order))
        self.wall, self.fresh, self._stale = order[keep[order]], 0, False
        if unseen:
            left = ~np.isin(self.wall, list(self.board.voted))
            self.start = int(np.argmax(left)) // self.per_page * self.per_page

    def ranked(self) -> Table:
        """All galaxies in the order that is chosen; see `Board.ranked`."""
        self.rows()
        return self.board.ranked(self.order)

    # what it looks like

    def thumbs(self, rows) -> list[bytes]:
        """One PNG a row, empty where there is no image."""
        if self.stamps is None:
            return []
        rows = [int(row) for row in rows]
        missing = [row for row in rows if row not in self._thumbs]
        missing = [row for row, has in zip(missing, self.stamps.has(missing), strict=True) if has]
        if missing:
            self._thumbs.update(zip(missing, map(png, to_rgb(self.stamps.read(missing))), strict=True))
        found = [self._thumbs.get(row, b"") for row in rows]
        while len(self._thumbs) > KEPT:
            self._thumbs.popitem(last=False)
        return found

    def in_top(self, k: int) -> int:
        """How many of the first k galaxies in this order are flagged or voted artefacts."""
        first = np.flatnonzero(self.places < k)
        return int(self.board.artefacts()[first].sum())

    def flagged(self, row: int) -> list[str]:
        """Which kinds of artefact a galaxy is flagged as."""
        flags = self.board.flags
        names = [] if flags is None else [n for n in flags.colnames if n != "artefact" and flags[n][row]]
        return [name.replace("_", " ") for name in names]

    def as_file(self, what: str, kind: str) -> bytes:
        """The "ranked" list or the "votes" as .csv, .vot or .parquet, or the "wall" as .png: the bytes."""
        if what == "wall":
            return to_png(self.figure(), dpi=150)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{what}{kind}"
            if what == "votes":
                self.votes.save(path)
            else:
                export(self.ranked(), path)
            return path.read_bytes()

    def figure(self):
        """The page of the wall as a Figure: rank, sigma and vote below each galaxy."""
        rows = self.rows()[self.start : self.start + self.per_page]
        has = self.stamps.has(rows) if self.stamps is not None else np.zeros(len(rows), dtype=bool)
        drawn = iter(to_rgb(self.stamps.read(rows[has])) if has.any() else ())
        pictures = [next(drawn) if here else None for here in has]
        standing = self.board.by(self.order)
        unit = "" if standing.share else "σ"
        votes = [self.board.voted.get(int(row), "") for row in rows]
        captions = [
            f"{place + 1}. {value:.2g}{unit} {vote}"
            for place, value, vote in zip(self.places[rows], standing.shown[rows], votes, strict=True)
        ]
        return wall_figure(pictures, captions)

    # what the browser is told: see `Bench`

    def refresh(self, *, first: bool = False) -> None:
        """Show what changed."""

    def tell_state(self) -> None:
        """Say what there is to choose from."""

    def tell_agreement(self) -> None:
        """Say how scores agree."""
