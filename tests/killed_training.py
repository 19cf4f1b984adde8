"""Training that is killed and goes on: `python -m tests.killed_training FOLDER points | KILLS SEED`.

A process of its own, with one thread: those of a long test run have many, and what they hold is locked for
ever in a child that is forked from them. It prints what it did, or ends with an error.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from galnb import disk, weights
from galnb.train import Settings, fit
from tests.test_train import galaxies, small
from tests.toys import ended, forked, killed_after

SETTINGS = Settings(epochs=2, batch=16, warm_up=2, seed=3)
GALAXIES = galaxies()


def finish(folder: Path) -> bytes:
    """Train to the end, from where an earlier run stopped, if any did; the weights' file."""
    folder.mkdir(exist_ok=True)
    model = small()
    fit(model, GALAXIES, held_out=GALAXIES[:8], settings=SETTINGS, checkpoint=folder / "run", progress=False)
    return weights.save(model, folder / "done", card={"credit": "nobody"}).read_bytes()


def at_points(folder: Path) -> str:
    """Kill a run at each named point of each commit, and go on from there."""
    names, unharmed = [], disk.point
    disk.point = names.append
    whole = finish(folder / "whole")
    disk.point = unharmed
    assert {"written", "synced", "renamed"} <= set(names), names
    for number, name in enumerate(names):
        passed = iter(range(len(names)))

        def run(number=number, passed=passed):
            disk.point = lambda name: next(passed) == number and os.kill(os.getpid(), signal.SIGKILL)
            finish(folder / str(number))

        assert ended(forked(run)) == -signal.SIGKILL, name
        assert finish(folder / str(number)) == whole, f"killed at point {number}, {name}"
    return f"killed at each of {len(names)} points, each time byte-identical in the end"


def at_random(folder: Path, kills: int, seed: int) -> str:
    """Kill a run and begin it again at once, so often in all; every one that ends is compared."""
    rng, ends, left, begun = np.random.default_rng(seed), 1, kills, time.monotonic()
    whole, run = finish(folder / "whole"), folder / "run"
    duration = time.monotonic() - begun
    while left:
        code = killed_after(rng.uniform(0, 1.1 * duration), lambda: finish(run))
        left -= code != 0
        if code == 0:
            ends += 1
            assert (run / "done.safetensors").read_bytes() == whole
            for path in run.iterdir():
                path.unlink()
    assert finish(run) == whole
    return f"{kills} kills of training, {ends} runs that came to an end, each byte-identical"


if __name__ == "__main__":
    place, how, *numbers = sys.argv[1:]
    print(at_points(Path(place)) if how == "points" else at_random(Path(place), int(how), int(numbers[0])))
