"""Each notebook runs from top to bottom, offline, and answers what it asks."""

import os
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # one of them may sit on loopback
PROGRESS = re.compile(r"\d+%\||\d+(\.\d+)?(s/)?\w*it/s|\[\d\d:\d\d|^\s*$")  # tqdm's lines

# Python runs this before all else in the kernel: whoever leaves the machine fails, and so does the notebook.
OFFLINE = """
import sys


def refuse(event, arguments):
    if event not in ("socket.connect", "socket.getaddrinfo"):
        return
    place = arguments[event == "socket.connect"]
    host = place[0] if isinstance(place, tuple) else place  # a path, where it is no network at all
    if host and not str(host).startswith(("127.", "localhost", "::1", "/")):
        raise RuntimeError(f"a notebook asked for {host!r}; it must run offline")


sys.addaudithook(refuse)
"""


def cells(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_asks_one_question_first_and_answers_it_last(path):
    first, last = cells(path)[0], cells(path)[-1]
    title, question = [line for line in first.source.splitlines() if line.strip()][:2]
    assert first.cell_type == last.cell_type == "markdown"
    assert re.fullmatch(r"# \S.*", title) and re.fullmatch(r"\*\*.+\?\*\*", question)
    assert last.source.startswith("**Answer.**")


def executed(path: Path, folder: Path):
    """The notebook with its outputs, run by a kernel that has a cache of its own and no network."""
    import nbclient

    (folder / "sitecustomize.py").write_text(OFFLINE)
    env = {k: v for k, v in os.environ.items() if k.lower() not in ("mplbackend", *PROXIES)}
    env["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
    env |= {"GALNB_CACHE": str(folder / "cache"), "IPYTHONDIR": str(folder / "ipython")}
    notebook, where = nbformat.read(path, as_version=4), {"metadata": {"path": str(path.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=400, kernel_name="python3", resources=where)
    client.execute(env=env)
    return notebook


LONG = ("01_compression", "03_sampling", "07_asking_for_a_galaxy")  # two minutes each: run by hand


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem in LONG)) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_it_runs_from_top_to_bottom_offline_without_a_complaint(path, tmp_path):
    pytest.importorskip("nbclient")
    for number, cell in enumerate(executed(path, tmp_path).cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                said = re.split(r"[\r\n]+", output["text"])
                assert not [line for line in said if not PROGRESS.search(line)], f"cell {number}: {said}"
