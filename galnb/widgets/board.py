"""`Board`: the standing of galaxies by each score, by a blend of two, and by what a person votes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from .. import anomaly, features, ranking
from ..errors import BadInput, GalnbError, one_of
from ..votes import Votes
from .decoder import matched

BLEND, ENSEMBLE, VOTES = "AS", "ensemble", "my votes"
FOREMOST = (ENSEMBLE, BLEND)
PART = 256  # galaxies that pictures are scored of at a time
MOST = 20_000  # galaxies whose ranks are compared
BINS = 48
QUICK = tuple(kind for kind in anomaly.KINDS if kind != "flow")  # which is trained for minutes
SHOWS = (
    "everything", "not voted", "interesting", "ordinary", "artefact", "flagged", "not flagged", "selected"
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Standing:
    """Galaxies by one score: its values (n,), these in sigma, and the rows (n,) from first to last.

    What is `shown` is sigma, or the value where that is a `share`, from 0 to 1. `counts` are of galaxies in
    bins of equal width of it, from `low` to `high`. Where a score is missing, it is NaN, and the galaxy comes
    last.
    """

    value: np.ndarray
    sigma: np.ndarray
    order: np.ndarray
    counts: np.ndarray
    low: float
    high: float
    share: bool = False

    @classmethod
    def of(cls, value, *, share: bool = False) -> Standing:
        value = np.asarray(np.ma.filled(np.ma.asarray(value, dtype=np.float64), np.nan))
        known = np.isfinite(value)
        value = np.where(known, value, np.nan)
        sigma = anomaly.in_sigma(value) if known.any() else value
        seen = (value if share else sigma)[known]
        low, high = (float(seen.min()), float(seen.max())) if len(seen) and not share else (0.0, 1.0)
        high = high if high > low else low + 1.0
        counts, _ = np.histogram(seen, BINS, (low, high))
        return cls(value, sigma, np.argsort(-value, kind="stable"), counts, low, high, share)

    @property
    def shown(self) -> np.ndarray:
        return self.value if self.share else self.sigma

    @property
    def known(self) -> int:
        """How many galaxies have the score."""
        return int(self.counts.sum())

    def rank(self, row: int) -> int | None:
        """The place of a galaxy, from 1; of equal ones the first row comes first. None where it is NaN."""
        own = self.value[row]
        if np.isnan(own):
            return None
        return int((self.value > own).sum() + (self.value[:row] == own).sum()) + 1


class Board:
    """Galaxies by each column of a table of scores, by AS, and by a person's votes; first the most anomalous.

    Parameters
    ----------
    latents : Latents
    votes : Votes
    seed : int

    Attributes
    ----------
    scores : Table
        As `anomaly.table` gives, one row a galaxy; see `take`.
    flags : Table or None
        Which galaxies look like artefacts; see `artefacts.flags`.
    features : ndarray (n, k) or None
        What is measured of galaxies, beside their latents, for the votes to teach; see `know`.
    share : float
        Lambda of AS = lambda G + (1 - lambda) C; see `anomaly.blend`.
    voted : dict of row to choice
    """

    def __init__(self, latents, votes: Votes, *, seed: int = 0):
        self.latents, self.votes, self.seed, self.lock = latents, votes, seed, threading.RLock()
        self.scores, self.flags, self.features, self.share = Table(), None, None, 0.7
        self.ranking, self.version, self._learned = None, 0, 0
        self._learning = threading.Lock()
        self.voted: dict[int, str] = {}
        self._rows = {id: row for row, id in enumerate(np.asarray(latents.id[:]).tolist())}
        self._standings: dict[str, tuple[object, Standing]] = {}
        self._leave = votes.on_change(self._follow)
        self._follow(list(votes))

    def take(self, scores: Table) -> None:
        """Have these scores from now on; BadInput where they are not of these galaxies."""
        scores = scores if isinstance(scores, Table) else Table(scores)
        if not len(scores.colnames) or len(scores) != len(self.latents):
            raise BadInput("scores", f"they have {len(scores)} rows, wanted one for each of the "
                           f"{len(self.latents):,} galaxies")  # fmt: skip
        if "id" in scores.colnames and not np.array_equal(np.asarray(scores["id"]), self.latents.id[:]):
            raise BadInput("scores", "their ids are others than the latents', or in another order; sort them")
        found = Table({name: scores[name] for name in scores.colnames if numeric(scores[name])})
        if not found.colnames:
            raise BadInput("scores", "no column of numbers, wanted at least one; see anomaly.table")
        if ENSEMBLE not in found.colnames and len(found.colnames) > 1:
            found[ENSEMBLE] = anomaly.ensemble(found)
        with self.lock:
            self.scores = found
            self._standings = {name: kept for name, kept in self._standings.items() if name == VOTES}
            self._learned = -1

    def know(self, found) -> None:
        """Have these features, a Table or array (n, k), taught by the votes from now on, beside the latents.

        BadInput where they are not of these galaxies.
        """
        if isinstance(found, Table) and "id" in found.colnames:
            if not np.array_equal(np.asarray(found["id"]), self.latents.id[:]):
                raise BadInput(
                    "features", "their ids are others than the latents', or in another order; sort them"
                )
        found = features.beside(np.zeros((len(self.latents), 0)), found)
        with self._learning:
            self.features, self._learned = found, -1

    @property
    def names(self) -> list[str]:
        """What galaxies can be ordered by, the foremost first."""
        scores = anomaly.names(self.scores)
        blended = [BLEND] if {"G", "C"} <= set(scores) and BLEND not in scores else []
        own = [ENSEMBLE] if ENSEMBLE in self.scores.colnames else []
        return [*own, *blended, *scores, VOTES]

    @property
    def blends(self) -> bool:
        """Whether there is a lambda to choose."""
        return BLEND in self.names and BLEND not in self.scores.colnames

    def by(self, name: str) -> Standing:
        """The standing by a score, as it is now; made once, and again where it changed."""
        one_of("order", name, self.names)
        with self.lock:
            state = {BLEND: self.share, VOTES: self.ranking}.get(name)
            kept = self._standings.get(name)
            if kept is None or kept[0] != state:
                kept = self._standings[name] = state, Standing.of(self._value(name), share=name == VOTES)
            return kept[1]

    def _value(self, name: str) -> np.ndarray:
        if name == VOTES:
            if self.ranking is None:
                raise GalnbError("there are no votes yet to learn from; vote on a galaxy first (I, O or A)")
            return self.ranking.value
        if name == BLEND and self.blends:
            return self.share * self.by("G").sigma + (1 - self.share) * self.by("C").sigma
        return self.scores[name]

    # votes

    def _follow(self, ids) -> None:
        """Know the votes on these galaxies; those that are not among the latents' are left out."""
        self.version += 1
        for id in ids:
            row, choice = self._rows.get(id), self.votes.get(id)
            if row is not None and choice is not None:
                self.voted[row] = choice
            elif row is not None:
                self.voted.pop(row, None)

    def learn(self) -> None:
        """Order "my votes" by the votes as they are now."""
        with self.lock:
            columns = [self.by(name).sigma for name in anomaly.names(self.scores)]
        prior = np.stack(columns, axis=1) if columns else None
        with self._learning:  # nothing in here waits for `lock`: who waits for this may hold it
            version, voted = self.version, dict(self.voted)
            if version != self._learned:
                z = self.latents.z[:]
                z = z if self.features is None else np.concatenate([z, self.features], axis=1)
                found = ranking.rank(z, voted, scores=prior, seed=self.seed) if voted else None
                self.ranking, self._learned = found, version

    def artefacts(self) -> np.ndarray:
        """Which galaxies (n,) are flagged or voted artefacts; one that a person found otherwise is none."""
        marks = np.zeros(len(self.latents), dtype=bool)
        if self.flags is not None:
            marks |= np.asarray(self.flags["artefact"], dtype=bool)
        for row, choice in dict(self.voted).items():
            marks[row] = choice == "artefact"
        return marks

    def among(self, show: str, selected=()) -> np.ndarray:
        """Which galaxies (n,) are shown: one of SHOWS."""
        one_of("show", show, SHOWS)
        keep, voted = np.zeros(len(self.latents), dtype=bool), dict(self.voted)
        if show == "selected":
            keep[np.asarray(selected, dtype=np.int64)] = True
        elif show in ("everything", "not voted"):
            keep[:] = True
            keep[list(voted) if show == "not voted" else []] = False
        elif show in ("flagged", "not flagged"):
            if self.flags is None:
                raise GalnbError("no galaxy is flagged, for there are no images to look at; give images=…")
            keep = np.asarray(self.flags["artefact"], dtype=bool) == (show == "flagged")
        else:
            keep[[row for row, choice in voted.items() if choice == show]] = True
        return keep

    # what it looks like in all

    def agreement(self) -> tuple[list[str], np.ndarray, int]:
        """Spearman's rank correlations (k, k) of all scores, their names, and of how many galaxies it is."""
        scores = self.scores[anomaly.names(self.scores)]
        step = -(-len(scores) // MOST)
        square = anomaly.agreement(scores[::step])
        names = square["score"].tolist()
        return names, np.array([square[name] for name in names]), len(scores[::step])

    def ranked(self, name: str) -> Table:
        """All galaxies in order: id, rank, score, sigma, vote, artefact (flagged or voted)."""
        standing, rows = self.by(name), self.by(name).order
        voted, ids = dict(self.voted), self.latents.id[:]
        table = Table({"id": ids[rows], "rank": np.arange(1, len(rows) + 1)})
        table["score"], table["sigma"] = standing.value[rows], standing.sigma[rows]
        table["vote"] = [voted.get(row, "") for row in rows.tolist()]
        table["artefact"] = self.artefacts()[rows]
        table.meta = {"order": name} | ({"lambda": self.share} if name == BLEND and self.blends else {})
        return table


def numeric(column) -> bool:
    """Whether a column is one finite or missing number a galaxy, and no name of it."""
    return column.ndim == 1 and column.dtype.kind in "fiu" and column.name != "id"


def scored(latents, stamps=None, model=None, gan=None, *, kinds=QUICK, seed: int = 0):
    """All scores, one after another: what is under way, in words, and the Table so far.

    Of a score that cannot be made the reason is in the table's ``meta["failed"]``.
    """
    scores = Table({"id": np.asarray(latents.id[:])})
    scores.meta["failed"] = failed = {}
    for kind in kinds:
        yield f"Scoring: {kind}", scores
        try:
            scores[kind] = anomaly.table(latents, kinds=(kind,), seed=seed)[kind]
        except (ValueError, RuntimeError) as error:  # too few galaxies for it: the other scores are there
            failed[kind] = str(error)
    yield "Scoring: pictures", scores
    if stamps is not None and (model is not None or gan is not None):
        rows = np.flatnonzero(stamps.has(np.arange(len(latents))))
        for part in np.array_split(rows, -(-len(rows) // PART)):
            images = stamps.read(part)
            for maker, options in ((model, {"model": model}), (gan, {"gan": gan})):
                if maker is None:
                    continue
                found = anomaly.table(latents.z[part], matched(images, maker), kinds=(), **options)
                for name in anomaly.names(found):
                    if name not in scores.colnames:
                        scores[name] = np.full(len(latents), np.nan, dtype=np.float32)
                    scores[name][part] = found[name]
    yield "", scores
