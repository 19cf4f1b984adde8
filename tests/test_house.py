"""The rules of the house: what may import what, how long a file may be, what the README promises."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from galnb import models
from tests.tables import between, model_table, notebook_table

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "galnb"
FILES = sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".js", ".css"))

# From the ground up. A room imports only from lower floors; within a family's folder anything goes.
FLOORS = [
    {"errors"},
    {
        "provenance",
        "limits",
        "notebook",
        "family",
        "twosample",
        "disk",
        "hats",
        "arrow",
        "engines",
        "cells",
        "cuts",
        "instruments",
        "imprint",
        "journals",
        "listing",
        "press",
    },
    {"alt", "images", "builder", "checkpoints", "stored", "spans", "lasso", "steps"},
    {"tree"},
    {
        "stretch",
        "augment",
        "backgrounds",
        "morphology",
        "straight",
        "export",
        "stamps",
        "latents",
        "partitions",
        "store",
        "reduce",
        "vectors",
    },
    {"batches", "conditions", "known", "votes", "artefacts", "sky", "fields"},
    {
        "sources",
        "models",
        "metrics",
        "observing",
        "realism",
        "confounders",
        "features",
        "catalogue",
        "buckets",
        "selection",
        "draw",
        "planes",
        "indexes",
        "recall",
        "forest",
        "ranking",
    },
    {"densities", "looks"},
    {
        "train",
        "weights",
        "tasks",
        "mock",
        "neighbors",
        "stream",
        "columns",
        "record",
        "restoration",
        "likelihoods",
        "ladder",
    },
    {"session"},
    {"survey"},
    {"encoding"},
    {"density"},
    {
        "render",
        "recipe",
        "anomaly",
        "annotate",
        "calibration",
        "abilities",
        "contours",
        "weighing",
        "bending",
        "comparison",
        "pedigree",
    },
    {"figures", "film"},
    {"demo", "imagined", "emulator", "replay"},
    {"doctor", "exercises"},
    {"widgets", "cli"},
]


def floor_of(room: str) -> int:
    floors = [i for i, rooms in enumerate(FLOORS) if room in rooms]
    assert floors, f"{room} has no floor yet: put it in FLOORS"
    return floors[0]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports at module level (imports inside functions are allowed everywhere)."""
    here = ("galnb", *path.relative_to(PACKAGE).parts[:-1])
    rooms = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            full = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{full}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {n.split(".")[1] for n in names if n.startswith("galnb.")}
    return {room for room in rooms if any(room in floor for floor in FLOORS)}


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".py"], ids=str)
def test_imports_go_down_only(path):
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for other in imported_rooms(path) - {room}:
        assert floor_of(other) < floor_of(room), f"{room} imports {other}, which is not below it"


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".py"], ids=str)
def test_only_widgets_and_the_doctor_know_jupyter(path):
    jupyter = re.compile(r"^\s*(?:import|from) (?:IPython|ipywidgets|anywidget|traitlets|jupyter\w*)", re.M)
    assert room_of(path) in ("widgets", "doctor") or not jupyter.search(path.read_text())


def test_no_file_passes_400_lines():
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


@pytest.mark.parametrize(
    "forbidden",
    [
        r"innerHTML",
        r"insertAdjacentHTML",
        r"(?<!\.)\beval\(",
        r"pickle(?!d|=)",
        r"torch\.load\(",
        r"widgets\.HTML",
        r"allow_pickle=True",
    ],
)
def test_nothing_runs_what_it_reads(forbidden):
    assert not [p for p in FILES if re.search(forbidden, p.read_text())]


@pytest.mark.parametrize(
    "forbidden", ["TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", "matplotlib.pyplot", "import pyplot"]
)
def test_nothing_is_left_unfinished_or_drawn_behind_a_notebooks_back(forbidden):
    assert not [p for p in FILES if forbidden in p.read_text()]


def test_importing_galnb_imports_neither_torch_nor_bokeh():
    heavy = ("torch", "bokeh", "numpy", "ipywidgets")
    code = f"import sys, galnb; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import galnb

    assert all(getattr(galnb, name) is not None for name in dir(galnb))
    with pytest.raises(AttributeError, match="explor"):
        galnb.explor  # noqa: B018


def test_the_readmes_tables_are_those_of_the_families():
    text = (ROOT / "README.md").read_text()
    assert between(text, "models") == model_table()
    assert between(text, "notebooks") == notebook_table(ROOT / "notebooks")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_carry_no_outputs(path):
    cells = json.loads(path.read_text())["cells"]
    assert not [c for c in cells if c["cell_type"] == "code" and (c["outputs"] or c["execution_count"])]


def test_no_tracked_file_names_a_registry_or_a_machine():
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if listed.returncode:
        pytest.skip("not a git checkout")
    hosts = re.compile(
        "|".join([r"files\.python" + "hosted", r"py" + r"pi\.org", r"registry\.npm" + "js", "/wo" + "rk/"])
    )
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix not in (".safetensors", ".png") and path.is_file():
            assert not hosts.search(path.read_text(errors="replace")), name


def newcomers() -> dict[str, tuple[str, str, str]]:
    """By kind, of the files that the README adds to galnb: family, the class's name, and the code."""
    blocks = re.findall(
        r"```python\n# galnb/(\w+)/(\w+)\.py\n(.+?)```", (ROOT / "README.md").read_text(), re.S
    )
    kinds = {"models": "model", "sources": "source", "widgets": "panel"}
    found = {}
    for family, name, code in blocks:
        code = code.replace("from ..", "from galnb.").replace("from .", f"from galnb.{family}.")
        found[kinds[family]] = (family, name.capitalize(), code)
    return found


@pytest.fixture(scope="module")
def laws(tmp_path_factory):
    """What pytest says of the laws of all families, with the README's newcomer in each of them."""
    folder = tmp_path_factory.mktemp("newcomers")
    plugin = "from galnb import models, sources, widgets\n"
    for kind, (family, name, code) in newcomers().items():
        (folder / f"new_{kind}.py").write_text(code)
        plugin += f"{family}.MEMBERS['newcomer'] = 'new_{kind}:{name}'\n"
    (folder / "plugin.py").write_text(plugin)
    command = [sys.executable, "-m", "pytest", "tests/laws", "-vv", "-p", "plugin", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [*command, "-k", "newcomer"], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["model", "source", "panel"])
def test_a_newcomer_is_one_file_and_one_line_and_the_laws_find_it(laws, kind):
    verdicts = re.findall(rf"test_{kind}_laws.py::\S+\[newcomer\S*\] (\w+)", laws)
    assert len(verdicts) >= 7 and set(verdicts) == {"PASSED"}, laws


def test_the_readmes_ten_lines_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GALNB_CACHE", str(tmp_path))
    script = next(b for b in re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.S))
    names = {}
    exec(compile(script, "README.md", "exec"), names)
    assert len(names["images"]) == len(names["latents"]) >= 800


def test_each_member_of_each_family_can_be_loaded():
    from galnb import sources, widgets

    for family in (models, sources, widgets):
        assert all(isinstance(family._family.member(name), type) for name in family.MEMBERS)
