"""The teacher's page says what is so: its gestures' twins in Python are run."""

import re

import pytest

import galnb
from tests.running import ROOT
from tests.tables import between, series_table, taken
from tests.test_likelihood_panel import comparison

PAGE = (ROOT / "docs" / "workshop.md").read_text()
TWINS = re.search(r"\| by hand \| in Python \|\n.*?\n(.*?)\n\n", PAGE, re.S)[1].splitlines()


@pytest.fixture(scope="module")
def names():
    """What the table's code starts from; a panel is that of the rows above."""
    images, latents, model = galnb.default_survey(progress=False)
    explorer = galnb.explore(latents, images=images, model=model)
    return {
        "galnb": galnb, "images": images, "latents": latents, "explorer": explorer, "comparison": comparison()
    }  # fmt: skip


def test_the_table_of_the_series_is_what_the_notebooks_say():
    table = between(PAGE, "series")
    assert table == series_table(ROOT / "notebooks", taken(table)) and all(taken(table).values())


def test_every_gesture_has_a_twin_that_runs(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for row in TWINS:
        _, _, twin, _ = row.split("|")
        code = [part for part in re.findall(r"`([^`]+)`", twin) if not part.startswith('"')]
        assert code, row
        for line in code:
            exec(line, names)
    assert len(TWINS) > 15 and (tmp_path / "walk.gif").exists()
