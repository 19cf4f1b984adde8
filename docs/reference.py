"""Pages of the reference, by docname: one for each public module, and one for each file of a family."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import galnb

PAGE = """{name}
{line}

.. automodule:: {name}
{rest}"""
INDEX = """Reference
=========

What ``import galnb`` offers
----------------------------

Everything is loaded on first use.

.. autosummary::
   :nosignatures:

{names}

Modules
-------

.. autosummary::

{modules}

.. toctree::
   :hidden:

{pages}"""
FAMILY = """
Members
-------

.. currentmodule:: None

.. autosummary::
   :nosignatures:

{names}

.. toctree::
   :hidden:

{pages}"""


def pages() -> dict[str, str]:
    """The text of each page, reStructuredText, by its docname."""
    found = {}
    for module in galnb.MODULES:
        members = getattr(import_module(f"galnb.{module}"), "MEMBERS", {})
        files = list(dict.fromkeys(place.partition(":")[0] for place in members.values()))
        if find_spec(f"galnb.{module}.base") if files else None:
            files.insert(0, f"galnb.{module}.base")
        names = [place.replace(":", ".") for place in members.values()]
        rest = FAMILY.format(names=_lines(names), pages=_lines(_short(files))) if files else ""
        for name, below in {f"galnb.{module}": rest, **dict.fromkeys(files, "")}.items():
            found[f"api/{_short([name])[0]}"] = PAGE.format(name=name, line="=" * len(name), rest=below)
    found["api/index"] = INDEX.format(
        names=_lines(f"galnb.{name}" for name in sorted(galnb.NAMES, key=str.lower)),
        modules=_lines(f"galnb.{module}" for module in galnb.MODULES),
        pages=_lines(galnb.MODULES),
    )
    return found


def _short(names) -> list[str]:
    return [name.removeprefix("galnb.") for name in names]


def _lines(names) -> str:
    return "\n".join(f"   {name}" for name in names)
