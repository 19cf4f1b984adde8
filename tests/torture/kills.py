"""Two hundred kills of training and of encoding each at random moments, and one at every point of a commit.

Runs are forked from a process of their own, `python -m tests.torture.kills SHARE SEED KIND`, which has one
thread: what other threads hold is locked for ever in a child that is forked from them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .workers import Row, in_a_child
from .works import TRAINING, Work, encoding

WORKS = {"training": (TRAINING,), "encoding": (encoding(0), encoding(2))}
WHEN = ("at random", "points")
KINDS = {f"{name}, {when}": (works, when) for name, works in WORKS.items() for when in WHEN}
COUNTS = {"training, at random": 200, "encoding, at random": 200}  # and every point that there is


def tortured(chosen) -> Iterator[Row]:
    """A row a kind; with a count, so many kills at random moments in all, and that share of the points."""
    yield from in_a_child("kills", COUNTS, chosen)


def at_random(works: tuple[Work, ...], folder: Path, kills: int, rng: np.random.Generator) -> dict:
    """Kill a run and begin it again at once, so often in all; what each one that ends wrote is compared."""
    from tests.toys import killed_after

    whole, times = _undisturbed(works, folder)
    run, left, ends, faults = folder / "run", kills, 0, []
    run.mkdir()
    while True:
        which = int(rng.integers(len(works)))  # a run may be gone on with in another way than it was begun
        pause = rng.uniform(0, 1.1 * times[which]) if left else 60.0
        code = killed_after(pause, lambda which=which: works[which].finish(run)) if left else None
        if code is None:
            works[which].finish(run)
        left -= code not in (0, None)
        if code in (0, None):
            ends += 1
            faults += _compared(works[0], run, whole, f"after {kills - left} kills")
            _emptied(run)
        if code is None:
            return {"kills": kills, "faults": faults, "by": {"runs that ended, each byte-identical": ends}}


def at_points(works: tuple[Work, ...], folder: Path, share: float, rng: np.random.Generator) -> dict:
    """Kill a run at named points of its commits, each at every place where it comes, and go on from there."""
    from galnb import disk
    from tests.toys import ended, forked

    whole, _ = _undisturbed(works, folder)
    names, unharmed = [], disk.point
    disk.point = names.append
    works[0].finish(_made(folder / "named"))
    disk.point = unharmed
    first = {names.index(name) for name in names}  # each name at least once
    chosen = sorted(first | set(np.flatnonzero(rng.random(len(names)) < share).tolist()))
    faults, by = [], {}
    for number in chosen:
        passed, run = iter(range(len(names))), _made(folder / str(number))

        def stopped(number=number, passed=passed, run=run):
            disk.point = lambda name: next(passed) == number and os.kill(os.getpid(), signal.SIGKILL)
            works[0].finish(run)

        code = ended(forked(stopped))
        if code != -signal.SIGKILL:
            faults.append(f"exit {code}, not killed at point {number}, {names[number]}")
        works[-1].finish(run)
        faults += _compared(works[0], run, whole, f"killed at point {number}, {names[number]}")
        by[names[number]] = by.get(names[number], 0) + 1
    return {"kills": len(chosen), "faults": faults, "by": by}


def _undisturbed(works: tuple[Work, ...], folder: Path) -> tuple[dict, list[float]]:
    """What each work writes, which must be the same, and how long it takes once it is warm."""
    for k, work in enumerate(works):
        work.finish(_made(folder / f"warm{k}"))
    times, results = [], []
    for k, work in enumerate(works):
        begun = time.monotonic()
        work.finish(_made(folder / f"whole{k}"))
        times.append(time.monotonic() - begun)
        results.append(work.results(folder / f"whole{k}"))
    assert results[0] and all(result == results[0] for result in results)
    return results[0], times


def _compared(work: Work, run: Path, whole: dict, when: str) -> list[str]:
    found = work.results(run)
    return [] if found == whole else [f"{when}: {sorted(found.items() ^ whole.items())[:3]} differ"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _emptied(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
    folder.mkdir()


def row_of(kind: str, share: float, seed: int) -> Row:
    (works, when), rng = KINDS[kind], np.random.default_rng([seed, list(KINDS).index(kind)])
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        if when == "points":
            told = at_points(works, Path(place), share, rng)
        else:
            told = at_random(works, Path(place), max(1, round(share * COUNTS[kind])), rng)
    kills, faults = told["kills"], [f"{kind}: {fault}" for fault in told["faults"]]
    counts = {"tried": kills, "clean": kills - len(faults), "child_deaths": kills}
    return Row(kind, **counts, seconds=time.monotonic() - begun, by=told["by"], faults=faults)


if __name__ == "__main__":
    for kind in KINDS:
        if sys.argv[3] in kind:
            print(json.dumps(vars(row_of(kind, float(sys.argv[1]), int(sys.argv[2])))), flush=True)
