"""`Bench`: the anomaly workbench in the browser: a ranked wall, votes by key, and what a score saw."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ..errors import GalnbError
from ..export import KINDS
from ..stamps import png, scale_bar
from ..votes import CHOICES
from .base import HERE, BadMessage, Part, finite, module, number, option
from .board import SHOWS, VOTES
from .gallery import about, name_of
from .hunt import Hunt

LARGEST = 50_000_000  # bytes of a file of votes
LONGEST = 500  # characters of a note
WORDS = {
    "ensemble": "mean rank in all scores",
    "AS": "λ G + (1 − λ) C: pixels and features that a generator misses",
    "mahalanobis": "distance from the mean galaxy, in principal axes",
    "kmeans": "distance from the nearest of 20 centers",
    "neighbors": "mean distance of the 10 nearest galaxies",
    "gmm": "improbable in a mixture of 20 Gaussians",
    "flow": "improbable in a normalizing flow",
    "forest": "soon parted from all others by random cuts",
    "extended": "soon parted by random oblique cuts",
    "reconstruction": "what the model misses of its pixels",
    "G": "what a generator misses in pixels",
    "C": "what a generator misses in its critic's features",
    "my votes": "like those you found interesting, unlike the others",
}


class Bench(Hunt):
    """A wall of galaxies in order, the one that is picked, and votes on them; see `Anomalies`.

    The wall stays as it is while one votes. It is put in order anew by Re-rank, by another order, and, in the
    order of one's votes, after the last galaxy of a page.
    """

    _esm = module("dom.js", "standing.js", "anomalies.js")
    _css = Part._css + (HERE / "anomalies.css").read_text(encoding="utf-8")
    hears = (
        "hello", "order", "share", "show", "top", "page", "pick", "bring", "vote", "undo", "redo", "rerank",
        "select", "save", "import", "note",
    )  # fmt: skip

    # what the session and the votes tell

    def draw(self, changed: set[str]) -> None:
        if not self._asked:
            return
        if "picked" in changed:
            self.show_galaxy()
        if "selection" in changed and self.show == "selected":
            self._stale, self.start = True, 0
            self.refresh()

    def _voted(self, ids) -> None:
        with self.shown():
            self.fresh += len(ids)
            if not self._asked:
                return
            self.tell_votes()
            if self.order == VOTES:
                self.later("learn", self.board.learn, lambda _: None, worker=self.learner)

    # what the browser is told

    def refresh(self, *, first: bool = False, unseen: bool = False) -> None:
        """Send the page, and the galaxy that is picked; `first` picks the page's first."""
        if not self._asked:
            return
        self.tell_state()
        if len(self.board.scores):
            self.later("page", lambda: self._page(unseen), lambda page: self._tell_page(page, first))

    def _page(self, unseen: bool) -> dict:
        board, session = self.board, self.session
        with board.lock:
            if self._stale or unseen:
                self._arrange(unseen)
            self.start = min(self.start, max(len(self.wall) - 1, 0) // self.per_page * self.per_page)
            rows = self.wall[self.start : self.start + self.per_page]
            shown = board.by(self.order).shown[rows]
            places = self.places[rows]
        items = [
            {"row": int(row), "name": name_of(session, row), "rank": int(place) + 1, "value": finite(value)}
            for row, place, value in zip(rows, places, shown, strict=True)
        ]
        bar = self.stamps and scale_bar(self.stamps.pixel_scale, self._size(rows))
        return {
            "start": self.start, "total": len(self.wall), "per_page": self.per_page, "items": items,
            "order": self.order, "share": board.share, "share_seq": self._share_seq, "picked": self._picked(),
            "pictures": self.thumbs(rows), "bar": bar and {"share": bar[0], "label": bar[1]},
        }  # fmt: skip

    def _tell_page(self, page: dict, first: bool) -> None:
        self.tell("page", page.pop("pictures"), **page)
        self.tell_votes()
        row = page["items"][0]["row"] if page["items"] and (first or page["picked"] < 0) else self._picked()
        if row != self._picked():
            self.session.pick_row(row)
        else:
            self.show_galaxy()

    def _size(self, rows) -> int:
        has = rows[self.stamps.has(rows)]
        return self.stamps.read(has[:1]).shape[1] if len(has) else 0

    def _picked(self) -> int:
        return -1 if self.session.picked_row is None else int(self.session.picked_row)

    def tell_state(self) -> None:
        """Say what there is to choose from, what is under way and what was not given."""
        if not self._asked:
            return
        board, missing = self.board, []
        if self.stamps is None:
            missing.append("images (pictures, artefact flags)")
        if self.model is None:
            missing.append("model (reconstruction)")
        if self.gan is None and not {"G", "C"} <= set(board.scores.colnames):
            missing.append("gan (G, C and AS)")
        shows = [name for name in SHOWS if self.board.flags is not None or "flagged" not in name]
        self.tell(
            "state", orders=[{"name": name, "words": WORDS.get(name, "")} for name in board.names],
            order=self.order, blends=board.blends, share=board.share, shows=shows, show=self.show,
            top=self.top, busy=self.busy, missing=missing, n=len(self.session.latents),
            ready=len(board.scores) > 0, file=self.votes.path.name, path=str(self.votes.path),
        )  # fmt: skip

    def tell_agreement(self) -> None:
        if self._asked and self._agreement is not None:
            names, square, of = self._agreement
            square = [[finite(value) for value in line] for line in square]
            self.tell("agreement", names=names, square=square, of=of)

    def tell_votes(self) -> None:
        """Say how many votes there are, which galaxies of the page have one, and how clean the top is."""
        board = self.board
        rows = [int(row) for row in self.wall[self.start : self.start + self.per_page]]
        flags = {row: words for row in rows if (words := self.flagged(row))}
        self.tell(
            "votes", counts=self.votes.counts(), marks={row: board.voted.get(row, "") for row in rows},
            flags=flags, fresh=self.fresh, undo=self.votes.can_undo, redo=self.votes.can_redo,
            artefacts=self.in_top(self.top), top=min(self.top, len(self.places)),
            flagging=board.flags is not None, picked=self._picked(), vote=board.voted.get(self._picked(), ""),
            note=self.noted(self._picked()) if self._picked() >= 0 else "",
        )  # fmt: skip

    def show_galaxy(self) -> None:
        """Send what is known of the galaxy that is picked: numbers at once, then pictures."""
        row = self._picked()
        if row >= 0 and self._asked and len(self.board.scores):
            seq, order = self._seq, self.order
            self.later("galaxy", lambda: self._galaxy(row, seq), self._tell_galaxy)
            self.later("faces", lambda: self._faces(row, order), self._tell_faces, worker=self.maps)

    def _tell_galaxy(self, found: dict) -> None:
        self.tell("galaxy", self.thumbs([one["row"] for one in found["because"]]), **found)

    def _galaxy(self, row: int, seq: int) -> dict:
        board, session = self.board, self.session
        scores = []
        for name in board.names:
            if name != VOTES or board.ranking is not None:
                found = board.by(name)
                value = {"value": finite(found.shown[row]), "rank": found.rank(row), "of": found.known}
                scores.append({"name": name, **value})
        now = board.by(self.order)
        histogram = {"counts": now.counts.tolist(), "low": now.low, "high": now.high}
        return {
            "row": row, "seq": seq, "name": name_of(session, row), "about": about(session, row),
            "vote": board.voted.get(row, ""), "note": self.noted(row),
            "flags": self.flagged(row), "flagging": board.flags is not None,
            "scores": scores, "order": self.order, "histogram": histogram, "at": finite(now.shown[row]),
            **self._why(row),
        }  # fmt: skip

    def _why(self, row: int) -> dict:
        """The votes nearest to a galaxy, and what they count for in its rank, in words."""
        if self.order != VOTES or self.board.ranking is None:
            return {"because": [], "why": ""}
        why = self.board.ranking.explain(row)
        near = zip(why.rows.tolist(), why.distances.tolist(), why.choices, strict=True)
        because = [
            {"row": other, "name": name_of(self.session, other), "vote": choice, "far": f"{far:.2g}"}
            for other, far, choice in near
        ]
        words = (
            f"Votes foretell {why.user:.2f}, scores alone {why.prior:.2f}. The votes below are the nearest"
        )
        return {"because": because, "why": f"{words}, and count for {why.trust:.0%}."}

    def _faces(self, row: int, order: str):
        pictures, words, top = self.evidence.pictures(row, order)
        size = self._size(np.array([row])) if self.stamps is not None else 0
        bar = scale_bar(self.stamps.pixel_scale, size) if size else None
        about = {"row": row, "order": order, "labels": [label for label, _ in pictures], "words": words}
        about |= {"top": top, "bar": bar and {"share": bar[0], "label": bar[1]}}
        return about, [png(rgb) for _, rgb in pictures]

    def _tell_faces(self, found) -> None:
        about, faces = found
        self.tell("faces", faces, **about)

    # what the browser says

    def _received(self, widget, message, buffers) -> None:
        self._file = bytes(buffers[0]) if buffers else b""
        super()._received(widget, message, buffers)

    def on_hello(self, message: dict) -> None:
        self._asked = True
        self.refresh()
        self.tell_agreement()
        self.begin()

    def on_order(self, message: dict) -> None:
        self.order_by(option(message, "order", self.board.names), first=bool(message.get("first")))

    def on_share(self, message: dict) -> None:
        self._share_seq = int(number(message, "seq", 0, 1e15))
        self.use_share(number(message, "share", 0, 1))

    def on_show(self, message: dict) -> None:
        self.show, self._touched = option(message, "show", SHOWS), True
        self._stale, self.start = True, 0
        self.refresh(first=True)

    def on_top(self, message: dict) -> None:
        self.top = int(number(message, "k", 1, 1e9))
        self.tell_votes()

    def on_page(self, message: dict) -> None:
        self.start = max(int(number(message, "start", -1e9, 1e12)), 0)
        self._touched = True
        self.refresh(first=bool(message.get("first")))

    def on_rerank(self, message: dict) -> None:
        self._stale = True
        self.refresh(first=True, unseen=True)

    def _row(self, message: dict, name: str = "row") -> int:
        return int(number(message, name, 0, len(self.session.latents) - 1))

    def on_pick(self, message: dict) -> None:
        self._seq, self._touched = int(number(message, "seq", 0, 1e15)), True
        self.session.pick_row(self._row(message))

    def on_bring(self, message: dict) -> None:
        self.bring(self._row(message))

    def on_vote(self, message: dict) -> None:
        choice, row = option(message, "choice", (*CHOICES, "none")), self._row(message)
        self._seq = int(number(message, "seq", 0, 1e15))
        try:
            self.vote(row, None if choice == "none" else choice)
        finally:  # a full disk keeps nobody from going on: the vote waits in memory, and the error says so
            if message.get("end") and self.order == VOTES:
                self.on_rerank({})
            elif message.get("end"):
                self.start += self.per_page
                self.refresh(first=True)
            elif message.get("next") is not None:
                self.session.pick_row(self._row(message, "next"))

    def on_note(self, message: dict) -> None:
        text = message.get("text")
        if not isinstance(text, str) or len(text) > LONGEST:
            raise BadMessage(f"text={str(text)[:40]!r}, wanted a note of up to {LONGEST} characters")
        self.note(self._row(message), text)

    def on_undo(self, message: dict) -> None:
        if self.step(True) is None:
            raise GalnbError("there is no vote to take back")

    def on_redo(self, message: dict) -> None:
        if self.step(False) is None:
            raise GalnbError("there is no vote to do again")

    def on_select(self, message: dict) -> None:
        self.session.select_ids(self.session.latents.id[self.rows()[self.start : self.start + self.per_page]])

    def on_save(self, message: dict) -> None:
        what = option(message, "what", ("ranked", "votes", "wall"))
        kind = option(message, "kind", (".png",) if what == "wall" else KINDS)
        name = {"ranked": f"ranked-{self.order}", "votes": "votes", "wall": "anomalies"}[what]
        done = lambda data: self.tell("file", [data], name=name.replace(" ", "-") + kind)  # noqa: E731
        self.later("save", lambda: self.as_file(what, kind), done)

    def on_import(self, message: dict) -> None:
        kind = option(message, "kind", KINDS)
        if not 0 < len(self._file) <= LARGEST:
            raise BadMessage(f"the file has {len(self._file):,} bytes, wanted 1 to {LARGEST:,}; give another")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"votes{kind}"
            path.write_bytes(self._file)
            count = self.votes.merge(path)
        self.tell("imported", text=f"{count:,} votes taken over; U takes them back")
        self.refresh()
