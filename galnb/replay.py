"""`replay`: make a figure again from nothing but its file, and say whether it is the same, byte for byte.

A figure that `galnb.figures.save` wrote holds the code that made it. Replaying **runs that code, with all
your rights**: it may read, change or send whatever you can. So the code is shown first, and nothing runs
before somebody has said yes. It runs in a process of its own and in an empty folder, which keeps its files
together but holds nobody back. From whom you would not take a script, take no figure to replay.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import disk, imprint, listing
from .errors import BadInput, GalnbError
from .figures import provenance_of


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Attributes
    ----------
    same : bool
        Whether the file is the same, byte for byte.
    drawing : bool
        Whether what it shows is, leaving out what it tells.
    differs : tuple of str
        What was otherwise then and now: versions, weights, data, sessions, or the file itself.
    sha256 : str
        Of the new file.
    """

    same: bool
    drawing: bool
    differs: tuple[str, ...]
    sha256: str

    def __str__(self) -> str:
        if self.same:
            return f"the same, byte for byte (sha256 {self.sha256[:12]})"
        shown = "the drawing is the same, byte for byte" if self.drawing else "the drawing differs"
        return "\n  ".join([f"not the same; {shown}, and of what made it:", *self.differs])


def replay(
    path: str | Path,
    *,
    yes: bool | Callable[[str], bool] = False,
    out: str | Path | None = None,
    where: str | Path | None = None,
) -> Replay:
    """Run the code of a figure again, in a new process, and compare the files.

    Parameters
    ----------
    path : path
        A figure, or the JSON beside it.
    yes : bool, or function of the code
        That you have read its code (``provenance_of(path)["code"]``), and want it to run with your rights.
    out : path, optional
        Where to keep the new figure. The code itself writes figures into a temporary folder only.
    where : path, optional
        The folder to run it in, where it has data of its own; an empty one by default.

    Returns
    -------
    Replay

    Raises
    ------
    GalnbError
        Without `yes`.
    BadInput
        If the file is no figure of ours, has no code, or its code makes no such figure.
    """
    path = Path(path)
    told = provenance_of(path)
    if told["code"] is None:
        raise BadInput(path, "it was saved without its code, which is wanted here; save it with code=...")
    if listing.recorded is not None:
        raise GalnbError(f"{path} is to be replayed by what is being replayed; wanted is one at a time")
    if not (yes(told["code"]) if callable(yes) else yes):
        todo = "nothing was run: read it first, then say yes (yes=True, or --yes)"
        raise GalnbError(f"{path} holds code that would run with all your rights; {todo}")
    with tempfile.TemporaryDirectory() as folder:
        made = _run(path, told, Path(folder), where)
        data, now = made.read_bytes(), provenance_of(made)
    if out is not None:
        disk.write(out, data)
    return _compared(path, data, told, now)


def shown(code: str) -> str:
    """Code as it is, for a terminal: what would hide or reorder a part of it is written out.

    >>> shown("a = 1\\x1b[2K")
    'a = 1\\\\x1b[2K'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in code)


def _run(path: Path, told: dict, folder: Path, where) -> Path:
    """Run the code; the path of the figure that it made."""
    for name in ("made", "here"):
        (folder / name).mkdir()
    (folder / "told.json").write_text(json.dumps(told))
    (folder / "figure.py").write_text(told["code"], encoding="utf-8")
    (folder / "matplotlibrc").write_text(told["settings"], encoding="utf-8")
    found = os.pathsep.join([*_home(), *filter(None, [os.environ.get("PYTHONPATH")])])
    settings = {"MPLBACKEND": "agg", "MATPLOTLIBRC": str(folder / "matplotlibrc"), "PYTHONPATH": found}
    environment = {**os.environ, **settings}
    for name, pool in (("OPENBLAS", "blas"), ("MKL", "blas"), ("OMP", "torch")):
        if isinstance(count := told["threads"].get(pool), int):
            environment[f"{name}_NUM_THREADS"] = str(count)
    done = subprocess.run(
        [sys.executable, "-m", "galnb.replay", str(folder)], cwd=where or folder / "here", env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    made = folder / "made" / told["name"]
    if not made.exists():
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise BadInput(path, f"its code made no figure {told['name']!r} again: {shown(last)}")
    return made


def _home() -> list[str]:
    """Where this galnb is, unless it is installed, so that the new process has the same one."""
    home = Path(__file__).resolve().parents[1]
    return [] if home == Path(sysconfig.get_path("purelib")).resolve() else [str(home)]


def _compared(path: Path, data: bytes, told: dict, now: dict) -> Replay:
    digest, kept = hashlib.sha256(data).hexdigest(), told.get("file", {}).get("sha256")
    if path.suffix == ".json" or not path.exists():
        same = drawing = digest == kept
    else:
        before = imprint.bytes_of(path)
        same = before == data
        try:
            drawing = imprint.take(before)[0] == imprint.take(data)[0]
        except ValueError:  # stripped of what it told, or worse
            drawing = before == imprint.take(data)[0]
    differs = [] if same else [*_differences(told, now)]
    if not same and not differs:
        differs = ["nothing that is recorded: a random number without a seed, a font, or another processor"]
    return Replay(same, drawing, tuple(differs), digest)


def _differences(told: dict, now: dict):
    for name in sorted(told["versions"].keys() | now["versions"].keys()):
        then, today = (each["versions"].get(name) for each in (told, now))
        if then != today:
            yield f"{name}: {then} then, {today} now"
    for kind in ("weights", "data", "sessions"):
        for k in range(max(len(told[kind]), len(now[kind]))):
            then, today = (each[kind][k] if k < len(each[kind]) else {} for each in (told, now))
            for key in sorted(then.keys() | today.keys()):
                if then.get(key) != today.get(key):
                    name = then.get("name") or then.get("kind") or then.get("model") or k + 1
                    yield f"{kind}, {name}, {key}: {_short(then.get(key))} then, {_short(today.get(key))} now"
    for key in ("name", "code", "arguments", "seed", "settings", "threads"):
        if told[key] != now[key]:
            yield f"{key}: {_short(told[key])} then, {_short(now[key])} now"


def _short(value) -> str:
    words = shown(str(value)).replace("\n", " ")
    return words if len(words) <= 40 else f"{words[:16]}..."


def _begin(folder: Path) -> None:
    """In the new process: run the code as a script, whose figures go to `folder`."""
    told = json.loads((folder / "told.json").read_text())
    listing.recorded = listing.Recorded(told["code"], told["arguments"], folder / "made", told["sessions"])
    sys.argv = [told["name"], *told["arguments"]]
    # what a notebook's cells find without importing it
    runpy.run_path(str(folder / "figure.py"), {"display": lambda *things, **options: None}, "__main__")


if __name__ == "__main__":
    _begin(Path(sys.argv[1]))
