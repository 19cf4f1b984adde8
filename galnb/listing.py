"""The code that runs now, as one script that can run again: a kernel's cells so far, or the script."""

from __future__ import annotations

import ast
import sys
import sysconfig
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

KEPT = ("time", "capture")  # magics around code that counts


@dataclass(frozen=True)
class Recorded:
    """What a replay says in place of what runs: see `galnb.replay`."""

    code: str
    arguments: list[str]
    folder: Path
    sessions: list[dict] = field(default_factory=list)


recorded: Recorded | None = None  # set by `replay`, in the process that it begins


def running() -> tuple[str | None, list[str]]:
    """The code, and the arguments of a script; None where nothing but a prompt or a program runs.

    In a kernel or IPython the code is every cell since its start, in the order in which they ran, up to the
    one that runs now. A smaller share of them would be a guess: a cell may change what another made
    without naming it. Left out are cells that failed, magics (of ``%%time`` and ``%%capture`` the code is
    kept), and earlier runs of the cell that runs now, so that running it again changes nothing. Whether
    a figure hangs on a failed cell, on what ran twice, or on a ``!command``, its replay tells; the cure is
    to restart and run all before it is saved.
    """
    if recorded is not None:
        return recorded.code, recorded.arguments
    shell = _shell()
    if shell is not None:
        return _cells(shell), []
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    module = getattr(main, "__spec__", None) is not None  # `python -m`: part of a package
    if path is None or module or not Path(path).is_file() or _installed(Path(path)):
        return None, []
    with tokenize.open(path) as file:
        return file.read(), sys.argv[1:]


def _shell():
    """The IPython that runs this, if one does; it is not imported for that."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def _cells(shell) -> str:
    history = shell.history_manager
    failed = getattr(history, "exceptions", {})  # of IPython 9 on
    cells = [cell for n, cell in enumerate(history.input_hist_parsed) if cell.strip() and n not in failed]
    kept = [cell for cell in cells[:-1] if cell != cells[-1]] + cells[-1:]
    return "\n".join(f"# %%\n{text.rstrip()}\n" for cell in kept if (text := without_magics(cell)).strip())


def without_magics(cell: str) -> str:
    """A cell, as IPython turned it into Python, without its magics and shell commands.

    >>> without_magics("get_ipython().run_line_magic('matplotlib', 'inline')\\nx = 1  # one")
    'x = 1  # one'
    >>> without_magics("get_ipython().run_cell_magic('time', '', 'x = 2')")
    'x = 2'
    """
    try:
        statements = ast.parse(cell).body
    except SyntaxError:
        return cell
    lines = cell.splitlines()
    for node in reversed(statements):
        if isinstance(node, ast.Expr) and _is_magic(node.value):
            lines[node.lineno - 1 : node.end_lineno] = _inside(node.value).splitlines()
    return "\n".join(lines)


def _is_magic(node: ast.expr) -> bool:
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return isinstance(node, ast.Name) and node.id == "get_ipython"


def _inside(call: ast.expr) -> str:
    """The code that a magic is around, where it is one that only looks on."""
    words = [word.value for word in getattr(call, "args", []) if isinstance(word, ast.Constant)]
    return str(words[-1]) if len(words) > 1 and words[0] in KEPT else ""


def _installed(path: Path) -> bool:
    """Whether a program that came with a package runs, such as pytest, and not a script of one's own."""
    names = ("scripts", "stdlib", "purelib", "platlib")
    return any(path.resolve().is_relative_to(Path(sysconfig.get_path(name)).resolve()) for name in names)
