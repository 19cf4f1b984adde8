"""What a person does in one kernel: operations drawn from a seed by their number, and hashes of the answers.

An answer hangs on the seed, the kernel's number and the operation's alone, whoever works beside it and
however often the kernel died: after each operation the session is saved, and a kernel that begins anew
loads it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np

import galnb
from galnb import disk
from galnb.neighbors import Neighbors, similar
from galnb.session import MODES, Session
from galnb.sources import Folder
from galnb.votes import CHOICES, Votes

VISIT = 25  # operations before one begins a session anew
SHARES = {
    "pan": 0.28, "lasso": 0.2, "search": 0.12, "vote": 0.14, "dispute": 0.08, "undo": 0.05, "pick": 0.05,
    "color": 0.04, "plane": 0.02, "read": 0.02,
}  # fmt: skip
OWN, DISPUTED = 40, 5  # galaxies that a kernel votes on alone, and those that all of them vote on


class Hands:
    """One kernel's share of the work, on the survey in a folder.

    Parameters
    ----------
    folder : Path
        With survey.hats and picture.fits; votes and sessions are kept here.
    seed, kernel, kernels : int
        The kernel's number, and how many there are.
    index : str
        The kind of `Neighbors`.
    """

    def __init__(self, folder: Path, seed: int, kernel: int, kernels: int, index: str):
        self.folder, self.seed, self.kernel, self.kernels = Path(folder), seed, kernel, kernels
        self.latents = galnb.read(self.folder / "survey.hats")
        self.index = Neighbors(self.latents, kind=index)
        self.votes = Votes(self.folder / "votes.jsonl", user="vera")
        self.disputed = Votes(self.folder / "disputed.jsonl", user="vera")
        self.explorer, self.next = None, None

    def do(self, number: int) -> dict:
        """Do an operation: its kind, a digest of the answer, what was voted, and its seconds of CPU."""
        begun, rng = time.process_time(), np.random.default_rng([self.seed, self.kernel, number])
        self._sit(number)
        what = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        self.voted, self.note = None, f"{self.kernel} {number}"
        answer = getattr(self, f"_{what}")(rng)
        problem = self.explorer.problem or self.explorer.map.problem or self.explorer.gallery.problem
        if problem:
            raise RuntimeError(f"the panel says: {problem}")
        self.session.save(self._saved(number))
        self._saved(number - 2).unlink(missing_ok=True)
        self.next = number + 1
        return {
            "what": what,
            "digest": digest(*answer),
            "voted": self.voted,
            "cpu": time.process_time() - begun,
        }

    def _saved(self, number: int) -> Path:
        return self.folder / f"session-{self.kernel}-{number}.json"

    def _sit(self, number: int) -> None:
        """An explorer with the session as the operation before has left it."""
        if self.next == number and number % VISIT:
            return
        if self.explorer is not None:
            self.explorer.close()
        before = self._saved(number - 1)
        self.session = Session.load(before, self.latents) if number % VISIT else Session(self.latents)
        self.explorer = galnb.explore(self.session)

    # operations: parts of an answer

    def _pan(self, rng) -> tuple:
        x0, x1, y0, y1 = self.session.home()
        share = 10 ** rng.uniform(-2, 0.1)
        x, y, wide, high = rng.uniform(x0, x1), rng.uniform(y0, y1), share * (x1 - x0), share * (y1 - y0)
        self.session.set_view((x - wide / 2, x + wide / 2, y - high / 2, y + high / 2))
        return self._seen()

    def _seen(self) -> tuple:
        frame = self.explorer.frame(400, 300)
        return frame.view, frame.n_visible, frame.low, frame.high, frame.index, frame.selected

    def _lasso(self, rng) -> tuple:
        x0, x1, y0, y1 = self.session.view
        k, size = rng.integers(5, 60), rng.uniform(0.05, 0.5)
        angles, far = np.sort(rng.uniform(0, 2 * np.pi, k)), size * rng.uniform(0.3, 1, k)
        x = rng.uniform(x0, x1) + far * np.cos(angles) * (x1 - x0)
        y = rng.uniform(y0, y1) + far * np.sin(angles) * (y1 - y0)
        self.session.select_polygon(np.stack([x, y], axis=1), str(rng.choice(MODES)))
        return self._chosen()

    def _chosen(self) -> tuple:
        return len(self.explorer.selection), self.explorer.selection[:20], self.session.selected_rows

    def _undo(self, rng) -> tuple:
        (self.session.undo if rng.random() < 0.6 else self.session.redo)()
        return self._chosen()

    def _pick(self, rng) -> tuple:
        x0, x1, y0, y1 = self.session.view
        return (self.session.pick(rng.uniform(x0, x1), rng.uniform(y0, y1), (x1 - x0) / 50, (y1 - y0) / 50),)

    def _color(self, rng) -> tuple:
        self.session.color_by(str(rng.choice(["count", *self.latents.columns])))
        return self._seen()

    def _plane(self, rng) -> tuple:
        self.session.use_plane("pca" if rng.random() < 0.5 else ("ra", "dec"))
        return self._seen()

    def _search(self, rng) -> tuple:
        ids = self.latents.id[np.sort(rng.integers(0, len(self.latents), rng.integers(1, 4)))]
        found = similar(self.latents, ids=ids, k=10, index=self.index)
        return tuple(np.asarray(found[name]) for name in found.colnames)

    def _vote(self, rng) -> tuple:
        mine = range(self.kernel, self.kernel + OWN * self.kernels, self.kernels)
        id = int(rng.choice(mine))
        if rng.random() < 0.85:
            choice = str(rng.choice(CHOICES))
            self.votes.vote(id, choice, note=self.note)
            self.voted = ["votes", id, choice, self.note]
        else:
            self.votes.clear(id)
        return tuple((id, self.votes.get(id), self.votes.note(id)) for id in mine)

    def _dispute(self, rng) -> tuple:
        """Votes, undo and redo where all others do the same: there is no answer of its own."""
        if rng.random() < 0.7:
            id, choice = int(rng.integers(DISPUTED)), str(rng.choice(CHOICES))
            self.disputed.vote(id, choice, note=self.note)
            self.voted = ["disputed", id, choice, self.note]
        else:
            (self.disputed.undo if rng.random() < 0.6 else self.disputed.redo)()
        return ()

    def _read(self, rng) -> tuple:
        images = Folder(self.folder / "picture.fits").read()  # in a child process of galnb's
        return images.pixels, images.bands

    # at the end

    def stands(self) -> list:
        """What both files of votes hold, as this kernel sees it."""
        return [stands(self.votes), stands(self.disputed)]


def stands(votes: Votes) -> list:
    """The votes that count: id, vote and note of each."""
    return sorted([int(id), str(vote), str(note)] for id, vote, note, *_ in votes.table.iterrows())


def written(path: Path) -> set:
    """Id, vote and note of every vote that ever came into a journal."""
    changes = [one for line in disk.entries(path.read_bytes()) for one in line.get("changes", [])]
    return {(one["id"], one["vote"], one["note"]) for one in changes}


def digest(*parts) -> str:
    """One hash of numbers, texts and arrays."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        else:
            found.update(repr(part).encode())
    return found.hexdigest()[:24]


def main(folder: str, seed: str, kernels: str, operations: str, index: str) -> None:
    """The serial run: all that the kernels do, one after the other, in this process alone."""
    for kernel in range(int(kernels)):
        hands = Hands(Path(folder), int(seed), kernel, int(kernels), index)
        for number in range(int(operations)):
            print(json.dumps([kernel, number, hands.do(number)["digest"]]))
    print(json.dumps(hands.stands()))


if __name__ == "__main__":
    main(*sys.argv[1:])
