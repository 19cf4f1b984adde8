"""The family of sources: public name to class, loaded on first use.

A new source is one file in this folder and one line here.
"""

from __future__ import annotations

from ..family import Family

MEMBERS = {
    "hubble": "galnb.sources.hubble:Hubble",
    "folder": "galnb.sources.folder:Folder",
    "mergers": "galnb.sources.mergers:Mergers",
    "simulator": "galnb.sources.simulator:Simulator",
}

_family = Family("source", MEMBERS)
load, __getattr__ = _family.load, _family.attribute
