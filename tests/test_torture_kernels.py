"""A taste of `python -m tests.torture kernels restarts`: three kernels that are killed, and two restarts."""

import argparse
import sys

import pytest

from tests.torture import kernels, restarts


def tasted(part, count: int) -> dict:
    """Rows of a part by kind, tried with so many operations or restarts in all."""
    rows = list(part.tortured(argparse.Namespace(count=count, seed=3, kind=None, one=None)))
    assert not [fault for row in rows for fault in row.faults]
    return {row.kind: row for row in rows}


@pytest.mark.skipif(sys.platform != "linux", reason="memory and orphans are read from /proc")
def test_kernels_that_share_a_catalogue_answer_as_one_alone_and_lose_no_vote(monkeypatch):
    monkeypatch.setattr(kernels, "EVERY", 0.2)
    rows = tasted(kernels, 36)
    assert sum(row.clean for kind, row in rows.items() if kind in kernels.SHARES) == 36
    assert rows["votes whose call returned"].clean > 3
    assert rows["kernels"].by["kills"] >= 2 and rows["kernels"].by["orphans"] == 0


@pytest.mark.browser
def test_an_explorer_says_that_its_kernel_was_restarted_and_comes_back(chromium):
    rows = tasted(restarts, 2)
    assert [rows[f"restart by {way}"].clean for way in ("menu", "kill -9")] == [1, 1]
