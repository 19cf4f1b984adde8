"""Trained weights are the same, byte for byte, however often training was killed."""

import subprocess
import sys

import pytest

from tests.running import ROOT


def killed(*words) -> str:
    """What `tests.killed_training` says; its error, where it ends with one."""
    command = [sys.executable, "-m", "tests.killed_training", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_kill_at_any_point_of_any_commit_changes_nothing(tmp_path):
    assert "byte-identical" in killed(tmp_path, "points")


def test_kills_at_random_moments_change_nothing(tmp_path):
    assert "6 kills of training" in killed(tmp_path, 6, 0)


@pytest.mark.slow
def test_two_hundred_kills_at_random_moments_change_nothing(tmp_path):
    print(killed(tmp_path, 200, 1))
