"""A trap for pickles: while tests run, galnb unpickles nothing that came from outside.

Every pickle that could do anything looks a name up, and Python tells audit hooks of each such look-up, be it
of `pickle`, `numpy.load`, `torch.load`, `joblib` or a library's C code. The hook looks at who asked.
Processes of one's own may pickle among each other, and libraries may keep caches of their own: where one
of `OWN` stands on the stack between the look-up and the first frame of galnb, it was they. Where a frame of
galnb comes first, galnb reads what somebody else wrote. Pickles that look up nothing are met at the usual
entrances.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

GALNB = str(Path(__file__).parents[1] / "galnb")
# multiprocessing's and dask's messages, numba's cache of compiled code, hypothesis' examples
OWN = (
    "multiprocessing",
    "distributed",
    "dask",
    "cloudpickle",
    "numba",
    "hypothesis",
    "concurrent",
    "copyreg",
)
caught: list[str] = []


class Unpickled(RuntimeError):
    """galnb began to unpickle something."""


def install() -> None:
    """Set the trap; it stays for as long as the process lives."""
    import numpy as np

    sys.addaudithook(_hook)
    for module, name in ((pickle, "load"), (pickle, "loads")):
        setattr(module, name, _guarded(getattr(module, name), f"pickle.{name}"))
    np.load = _guarded(np.load, "numpy.load(allow_pickle=True)", only="allow_pickle")


def install_late() -> None:
    """The same for packages that are heavy to import, where something has imported them by now."""
    for package, name in (
        ("torch", "load"),
        ("joblib", "load"),
        ("pandas", "read_pickle"),
        ("dill", "loads"),
    ):
        module = sys.modules.get(package)
        function = getattr(module, name, None)
        if function is not None and not hasattr(function, "trapped"):
            setattr(module, name, _guarded(function, f"{package}.{name}"))


def _guarded(function, name: str, only: str | None = None):
    import functools

    @functools.wraps(function)
    def guarded(*args, **options):
        if only is None or options.get(only):
            _look(name)
        return function(*args, **options)

    guarded.trapped = True
    return guarded


def _hook(event: str, arguments: tuple) -> None:
    if event == "pickle.find_class":
        _look("{}.{}".format(*arguments))


def _look(what: str) -> None:
    """Raise, and remember, if the nearest of galnb's and the others' frames is galnb's."""
    frame = sys._getframe(2)
    while frame is not None:
        name, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        if name.partition(".")[0] in OWN:
            return
        if file.startswith(GALNB):
            caught.append(f"{what}, asked for by {file}:{frame.f_lineno}")
            raise Unpickled(f"galnb unpickles {caught[-1]}")
        frame = frame.f_back
