"""Notebooks as they come, with their exercises solved, and with both; run by a kernel without a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ASKED = re.compile(r'answer = \.\.\.\ngalnb\.check\("(\d\d\.\d)", answer\)')
PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # one of them may sit on loopback

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


def asked(path: Path) -> list[str]:
    """Numbers of the exercises of a notebook, as its cells have them."""
    code = [ASKED.fullmatch(cell.source) for cell in cells(path) if cell.cell_type == "code"]
    return [found[1] for found in code if found]


def solutions(path: Path) -> dict[str, str]:
    """Code of each exercise's solution."""
    text = (path.parent / "solutions" / f"{path.stem}.py").read_text()
    _, *parts = re.split(r"^# %% (\d\d\.\d)$", text, flags=re.M)
    return dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))


def solved(path: Path, woven: bool):
    """The notebook with each exercise solved; `woven`, after the cell that asks, as it comes."""
    notebook, answers, kept = nbformat.read(path, as_version=4), solutions(path), []
    for cell in notebook.cells:
        found = ASKED.fullmatch(cell.source)
        if not found or woven:
            kept.append(cell)
        if found:
            source = f'{answers[found[1]]}\ngalnb.check("{found[1]}", answer)'
            kept.append(nbformat.v4.new_code_cell(source))
    notebook.cells = kept
    return notebook


def executed(notebook, folder: Path):
    """The notebook with its outputs, run by a kernel that has a cache of its own in the folder."""
    import nbclient

    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(OFFLINE)
    env = {k: v for k, v in os.environ.items() if k.lower() not in ("mplbackend", *PROXIES)}
    env["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
    env |= {"GALNB_CACHE": str(folder / "cache"), "IPYTHONDIR": str(folder / "ipython")}
    where = {"metadata": {"path": str(ROOT / "notebooks")}}
    client = nbclient.NotebookClient(notebook, timeout=400, kernel_name="python3", resources=where)
    client.execute(env=env)
    return notebook


def verdicts(notebook) -> list[str]:
    """What `galnb.check` said, in order."""
    outputs = [
        out for cell in notebook.cells if "galnb.check(" in cell.source for out in cell.get("outputs", [])
    ]
    return [out.data["text/plain"] for out in outputs if out.output_type == "execute_result"]
