"""Exercises of notebook 13, A survey at once."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from . import exercise
from .answers import alike, array, close, number

SHARE, WITHIN = 0.1, 0.002  # of the survey, and how exactly


@exercise(
    "13.1",
    "a ratio: one number",
    "how large is the sky between two declinations? A circle of one declination is the shorter the nearer "
    "the pole.",
    "areas go as the difference of the sines of the two declinations; pyarrow.parquet.read_table(file, "
    "columns=['dec']) has them of one file, and the files are survey.path.rglob('Npix=*.parquet').",
    why="Files that any program reads, and an expectation that one had before: that is how a survey is "
    "checked.",
)
def north_to_south(answer):
    area = lambda south, north: np.diff(np.sin(np.radians([south, north])))[0]  # noqa: E731
    found, truth = number(answer), float(area(-20, 0) / area(-60, -40))
    if close(found, truth, 0.01):
        return True
    if close(found, 1 / truth, 0.01):
        return "the other way round: how many times more are in the north?"
    if close(found, 1, 0.01):
        return "even over the sky is not even in declination: circles shrink towards the pole."
    if close(found, 100 * truth, 0.01):
        return "this is in percent, wanted a ratio."
    return False


@exercise(
    "13.2",
    "the session, in which a tenth of the survey is lassoed",
    "session.select_polygon(corners) takes an array (k, 2), and session.n_selected counts in milliseconds.",
    "of two circles, one too small and one too large, one in the middle says where to go on: halve some "
    "twenty times.",
    why="What is counted in milliseconds can be asked again and again: a threshold costs twenty lassos.",
)
def a_tenth(answer):
    from ..session import Session

    session = getattr(answer, "session", answer)
    if not isinstance(session, Session):
        return f"this is a {type(answer).__name__}, wanted the session, or a panel on it."
    if session.polygon is None or not session.n_selected:
        return "nothing is lassoed in this session, wanted session.select_polygon(...) or a lasso."
    share = session.n_selected / len(session.latents)
    if abs(share - (1 - SHARE)) < WITHIN:
        return "all but a tenth are selected, wanted a tenth."
    if abs(share - SHARE) < 5 * WITHIN and abs(share - SHARE) > WITHIN:
        return f"near: {share:.2%} are selected, wanted {SHARE:.0%}, to within {WITHIN:.1%}."
    return bool(abs(share - SHARE) <= WITHIN)


@exercise(
    "13.3",
    "a function: recall(found, exact) -> one number, of two arrays of rows (m, k)",
    "one query at a time: how many of the k rows in exact[i] are anywhere in found[i]?",
    "np.isin(exact[i], found[i]) is a mask (k,); the recall is the mean of all of these.",
    why="Recall is what a search is worth; the order does not count, and no query is paid for by another.",
)
def recall(answer):
    rng = np.random.default_rng(0)
    exact = np.array([rng.choice(150, 10, replace=False) for _ in range(50)])
    found = np.array([rng.permutation(row) for row in exact])
    lost = rng.random(found.shape) < rng.uniform(0, 0.6, (50, 1))
    found = np.where(
        lost, np.array([rng.choice(np.setdiff1d(np.arange(150), row), 10) for row in exact]), found
    )
    found[0, 5:] = -1  # an index that finds fewer
    truth = np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)])
    said = number(answer(found.copy(), exact.copy()))
    if close(said, truth, 1e-6):
        return True
    if close(said, (found == exact).mean(), 1e-6):
        return "it wants each neighbor in its own place; a neighbor that is found second is found."
    if close(said, np.isin(exact, found).mean(), 1e-6) or close(said, np.isin(found, exact).mean(), 1e-6):
        return "it takes a neighbor of any query for one of this query: ask row by row."
    if close(said, 100 * truth, 1e-6):
        return "this is in percent, wanted a share from 0 to 1."
    if close(said, 10 * truth, 1e-6):
        return "this is how many of ten are found, wanted a share from 0 to 1."
    return False


class PulledOut(Exception):
    """As if the plug had been pulled."""


class Work:
    """Squares that take long, and a plug that is pulled at the sixth of them."""

    def __init__(self, scale: float, pulled: int = 6):
        self.scale, self.pulled, self.asked = scale, pulled, []

    def result(self, i: int) -> np.ndarray:
        return self.scale * np.array([i, i**2], dtype=float)

    def __call__(self, i):
        self.asked.append(int(i))
        if len(self.asked) == self.pulled:
            raise PulledOut(i)
        return self.result(int(i))


@exercise(
    "13.4",
    "a function: finish(work, n, folder) -> list of n arrays",
    "before each piece ask whether its file is there; np.save and np.load keep one array.",
    "write each result as soon as there is one, under a name that says which: folder / f'{i}.npy'.",
    why="Work that leaves each piece on disk as it goes loses one piece at most; so does a survey's.",
)
def resumed(answer):
    if not callable(answer):
        return f"this is a {type(answer).__name__}, wanted a function."
    with tempfile.TemporaryDirectory() as here:
        for scale in (1.0, 2.0):
            folder, work = Path(here) / f"work-{scale:.0f}", Work(scale)
            folder.mkdir()
            with suppress(PulledOut):
                answer(work, 10, folder)
            first = len(work.asked)
            if first < work.pulled:
                return f"it asks for {first} pieces of work, wanted all of ten, until the plug is pulled."
            if not any(folder.iterdir()):
                return "when the plug is pulled, nothing is in the folder: keep each piece as it comes."
            done = answer(work, 10, folder)
            truth = [work.result(i) for i in range(10)]
            if (
                done is None
                or len(done) != 10
                or not all(alike(array(a), b) for a, b in zip(done, truth, strict=True))
            ):
                return "after it has gone on, it does not give back the results of all ten pieces, in order."
            if len(work.asked) >= first + 10:
                return "called again it begins at the beginning: five pieces were done already."
            again = answer(work, 10, folder)
            if len(work.asked) > first + 5 or len(again) != 10:
                return "some pieces are done twice."
    return True
