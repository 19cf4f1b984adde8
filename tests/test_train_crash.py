"""Trained weights are the same, byte for byte, however often training was killed."""

import os
import signal
import time

import numpy as np
import pytest

from galnb import disk, weights
from galnb.train import Settings, fit
from tests.test_train import galaxies, small
from tests.toys import ended, forked

SETTINGS = Settings(epochs=2, batch=16, warm_up=2, seed=3)
GALAXIES = galaxies()


def finish(folder) -> bytes:
    """Train to the end, from where an earlier run stopped, if any did; the weights' file."""
    model = small()
    fit(model, GALAXIES, held_out=GALAXIES[:8], settings=SETTINGS, checkpoint=folder / "run", progress=False)
    return weights.save(model, folder / "done", card={"credit": "nobody"}).read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """What an undisturbed run leaves."""
    return finish(tmp_path_factory.mktemp("whole"))


def test_a_kill_at_any_point_of_any_commit_changes_nothing(whole, tmp_path, monkeypatch):
    names = []
    with monkeypatch.context() as patch:
        patch.setattr(disk, "point", names.append)
        (tmp_path / "counted").mkdir()
        assert finish(tmp_path / "counted") == whole
    assert {"written", "synced", "renamed"} <= set(names)
    for number in range(len(names)):
        folder, passed = tmp_path / str(number), iter(range(len(names)))
        folder.mkdir()

        def run(number=number, folder=folder, passed=passed):
            disk.point = lambda name: next(passed) == number and os.kill(os.getpid(), signal.SIGKILL)
            finish(folder)

        assert ended(forked(run)) == -signal.SIGKILL, names[number]
        assert finish(folder) == whole, f"killed at point {number}, {names[number]}"


def killed_at_random(whole, folder, kills: int, seed: int) -> int:
    """Kill a run and begin it again at once, `kills` times in all; how many came to their end, compared."""
    rng, ends = np.random.default_rng(seed), 0
    folder.mkdir()
    begun = time.monotonic()
    assert finish(folder) == whole
    duration = time.monotonic() - begun
    while kills:
        child = forked(lambda: finish(folder))
        time.sleep(rng.uniform(0, 1.1 * duration))
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
        code = ended(child)
        assert code in (0, -signal.SIGKILL)
        kills -= code != 0
        if code == 0:
            ends += 1
            assert (folder / "done.safetensors").read_bytes() == whole
            for path in folder.iterdir():
                path.unlink()
    assert finish(folder) == whole
    return ends + 1


def test_kills_at_random_moments_change_nothing(whole, tmp_path):
    killed_at_random(whole, tmp_path / "run", 6, 0)


@pytest.mark.slow
def test_two_hundred_kills_at_random_moments_change_nothing(whole, tmp_path):
    ends = killed_at_random(whole, tmp_path / "run", 200, 1)
    print(f"200 kills of training, {ends} runs that came to an end, each byte-identical")
