"""The family of panels: public name to class, loaded on first use.

A new panel is one file in this folder and one line here; the command line, the laws in `tests/laws`
and the README table read this list.
"""

from __future__ import annotations

from ..family import Family

MEMBERS = {
    "explorer": "galnb.widgets.explorer:Explorer",
    "map": "galnb.widgets.latent_map:LatentMap",
    "gallery": "galnb.widgets.gallery:Gallery",
    "similarity": "galnb.widgets.similarity:Similarity",
    "sampler": "galnb.widgets.sampler:Sampler",
    "anomalies": "galnb.widgets.anomalies:Anomalies",
    "density": "galnb.widgets.density:DensityPanel",
    "bending": "galnb.widgets.bending:Bending",
    "likelihood": "galnb.widgets.likelihood:LikelihoodPanel",
}

_family = Family("panel", MEMBERS)
load, member, __getattr__ = _family.load, _family.member, _family.attribute
