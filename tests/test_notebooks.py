"""Each notebook runs from top to bottom, offline, answers what it asks, and has exercises to solve."""

import re

import nbformat
import pytest

from galnb import exercises
from tests.running import ASKED, NOTEBOOKS, asked, cells, executed, solutions, solved, verdicts
from tests.tables import SERIES

PROGRESS = re.compile(r"\d+%\||\d+(\.\d+)?(s/)?\w*it/s|\[\d\d:\d\d|^\s*$")  # tqdm's lines
LONG = ("01", "03", "05", "07", "09")  # two minutes each, or more: run by hand
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each
def test_it_asks_one_question_first_and_answers_it_last(path):
    first, last = cells(path)[0], cells(path)[-1]
    title, question = [line for line in first.source.splitlines() if line.strip()][:2]
    assert first.cell_type == last.cell_type == "markdown"
    assert re.fullmatch(r"# \S.*", title) and re.fullmatch(r"\*\*.+\?\*\*", question)
    assert last.source.startswith("**Answer.**")


@each
def test_it_says_what_comes_before_how_long_it_takes_and_what_one_learns(path):
    before, minutes, _ = SERIES.search(cells(path)[0].source.replace("\n", " ")).groups()
    assert before == "nothing" or set(before.split(", ")) <= {p.stem[:2] for p in NOTEBOOKS if p < path}
    assert 10 <= int(minutes) <= 60


@each
def test_it_has_exercises_that_are_announced_known_and_solved(path):
    numbers, number = asked(path), path.stem[:2]
    assert numbers == [f"{number}.{k + 1}" for k in range(len(numbers))] and len(numbers) >= 3
    assert numbers == [exercise.number for exercise in exercises.of(number)]
    assert numbers == list(solutions(path))
    for before, cell in zip(cells(path), cells(path)[1:], strict=False):
        if found := ASKED.fullmatch(cell.source):
            assert before.source.startswith(f"**Exercise {found[1]}.** ")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem[:2] in LONG)) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_it_runs_offline_without_a_complaint_and_each_exercise_fails_as_it_comes_and_passes_solved(
    path, tmp_path
):
    notebook = executed(solved(path, woven=True), tmp_path)
    said = verdicts(notebook)
    assert len(said) == 2 * len(asked(path))
    assert all(
        "not yet" in came and "right" in then for came, then in zip(said[::2], said[1::2], strict=True)
    ), said
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                lines = re.split(r"[\r\n]+", output["text"])
                assert not [line for line in lines if not PROGRESS.search(line)], f"cell {number}: {lines}"


@pytest.mark.slow
@each
def test_as_it_comes_it_fails_every_check_and_solved_it_passes_every_one(path, tmp_path):
    came = verdicts(executed(nbformat.read(path, as_version=4), tmp_path / "came"))
    then = verdicts(executed(solved(path, woven=False), tmp_path / "solved"))
    assert len(came) == len(then) == len(asked(path))
    assert all("not yet" in said for said in came) and all("right" in said for said in then)
