"""`Anomalies`: galaxies from the most anomalous on, what scores saw in them, and votes by one key each."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

from astropy.table import Table

from .. import weights
from ..catalogue import read
from ..encoding import encode
from ..votes import Votes
from .base import Panel, as_stamps, check_options
from .bench import Bench
from .board import QUICK


class Anomalies(Panel):
    """Galaxies from the most anomalous on, what each score saw in them, and votes by one key each.

    Vote with I (interesting), O (ordinary) or A (artefact), and the next galaxy is picked; each vote is on
    disk at once. In the order "my votes" galaxies like the interesting ones come first.

    Parameters
    ----------
    latents : Latents or Session
    images : Images or Source, optional
        Found by id: thumbnails, flags of artefacts, scores of pictures.
    model : Model, optional
        One that encodes and decodes: for reconstructions, and for the score "reconstruction".
    gan : WGAN, optional
        For the scores "G" and "C" and their blend "AS"; see `anomaly.blend`.
    scores : Table, optional
        One row a galaxy, a column of numbers a score, larger for what is more anomalous, as `anomaly.table`
        gives; made where not given, when the panel is shown or asked.
    kinds : tuple of str
        Scores of latents that are made, see `anomaly.Scorer`; by default all but "flow", which takes minutes.
    votes : Votes or path, optional
        By default a file of this person and these galaxies; see `Votes`.
    features : Table or array (n, k), optional
        What votes teach beside the latents, one row a galaxy. Where not given, `features.measure` of the
        images, in the background.
    per_page : int
        Galaxies of the wall.
    seed : int

    Attributes
    ----------
    votes : Votes
    share : float
        Lambda, 0 to 1, of AS = lambda G + (1 - lambda) C. The lambda of Storey-Fisher+2021 is 1 - lambda.
    order : str
        What galaxies are ordered by; see `order_by`.

    Examples
    --------
    >>> import tempfile
    >>> from galnb.latents import Latents
    >>> scores = Table({"G": [1.0, 2.0, 9.0], "C": [5.0, 1.0, 1.0]})
    >>> latents, file = Latents([7, 8, 9], [[0.0], [1.0], [2.0]]), tempfile.mkdtemp() + "/votes.jsonl"
    >>> panel = Anomalies(latents, scores=scores, votes=file)
    >>> panel.order_by("G")
    >>> panel.vote(9, "interesting")
    >>> panel.ranked["id"].tolist(), panel.ranked["vote"].tolist()
    ([9, 8, 7], ['interesting', '', ''])
    """

    def build(
        self,
        images=None,
        model=None,
        gan=None,
        *,
        scores=None,
        kinds=QUICK,
        votes=None,
        features=None,
        per_page=24,
    ) -> tuple:
        if not 1 <= int(per_page) <= 400:
            raise ValueError(f"per_page={per_page} galaxies, wanted 1 to 400")
        stamps = as_stamps(images, self.session)
        options = {"scores": scores, "kinds": kinds, "votes": votes, "features": features}
        bench = Bench(self.session, stamps, model, gan, per_page=int(per_page), worker=self.worker, **options)
        self.bench = bench
        return (bench,)

    def order_by(self, name: str) -> None:
        """Order galaxies by a score, "AS", "ensemble" or "my votes"."""
        self.bench.order_by(name)

    @property
    def order(self) -> str:
        return self.bench.order

    @property
    def share(self) -> float:
        return self.bench.board.share

    @share.setter
    def share(self, share: float) -> None:
        self.bench.use_share(share)

    @property
    def scores(self) -> Table:
        """All scores, one row a galaxy in the order of the latents."""
        return self.bench.need().scores

    @property
    def ranked(self) -> Table:
        """All galaxies in the order that is chosen: id, rank, score, sigma, vote, artefact."""
        return self.bench.ranked()

    @property
    def votes(self) -> Votes:
        return self.bench.votes

    def pick(self, id) -> None:
        """Look at a galaxy, and turn the wall to it."""
        row = int(self.session.latents.rows_of([id])[0])
        self.session.pick_row(row)
        self.bench.bring(row)

    def vote(self, id, choice: str, *, note: str | None = None) -> None:
        """Vote "interesting", "ordinary" or "artefact" on a galaxy; its note stays where none is given."""
        self.bench.vote(int(self.session.latents.rows_of([id])[0]), choice, note)

    def undo(self):
        """Take the last vote back: the id of its galaxy, or None."""
        return self.bench.step(back=True)

    def redo(self):
        """Do again what `undo` took back: the id of its galaxy, or None."""
        return self.bench.step(back=False)

    def figure(self):
        """The page of the wall as a Figure."""
        return self.bench.figure()

    def _has_pictures(self) -> bool:
        return self.bench.stamps is not None and len(self.bench.board.scores) > 0

    def words(self) -> str:
        bench = self.bench
        if not self._has_pictures():
            return super().words()
        shown = len(bench.rows()[bench.start : bench.start + bench.per_page])
        n, voted = len(self.session.latents), sum(self.votes.counts().values())
        words = f"{shown} of {n:,} galaxies, ordered by {bench.order} from rank {bench.start + 1} on"
        return f"{words}; {voted:,} votes"

    def pictured(self):
        return self.figure() if self._has_pictures() else super().pictured()


def hunt(latents=None, images=None, model=None, gan=None, **options) -> Anomalies:
    """Galaxies from the most anomalous on, in a panel to vote in; see `Anomalies` for the options.

    `latents` may be the path of a catalogue (survey.hats) or Parquet file, too; where none are given, the
    model makes them of the images. Model and gan may be names of shipped weights.

    Examples
    --------
    >>> import galnb, tempfile
    >>> images, latents, model = galnb.default_survey(progress=False)
    >>> here = hunt(latents, images, scores=latents.table, votes=tempfile.mkdtemp() + "/votes.jsonl")
    >>> here.order_by("asymmetry")
    >>> len(here.ranked) == len(images)
    True
    """
    known = [*signature(Anomalies.build).parameters, *signature(Panel.__init__).parameters]
    kept_out = ("self", "latents", "images", "model", "gan", "args", "options")
    check_options(options, [name for name in known if name not in kept_out])
    load = lambda given: weights.load(given) if isinstance(given, str | Path) else given  # noqa: E731
    model, gan = load(model), load(gan)
    if isinstance(latents, str | Path):
        latents = read(latents)
        model = latents.model() if model is None else model
    if latents is None:
        if images is None or model is None:
            raise TypeError("give latents, or images and the model that makes latents of them")
        latents = encode(images, model, progress=True)
    return Anomalies(latents, images, model, gan, **options)
