"""The family of densities: public name to class, loaded on first use.

A new density is one file in this folder, or a class of a few lines in one, and one line here; `density.fit`,
weights, the laws in `tests/laws` and the README table read this list.
"""

from __future__ import annotations

from ..family import Family

MEMBERS = {
    "gmm": "galnb.densities.gmm:GMM",
    "kde": "galnb.densities.kde:KDE",
    "nice": "galnb.densities.coupling:NICE",
    "realnvp": "galnb.densities.coupling:RealNVP",
    "nsf": "galnb.densities.coupling:NSF",
    "maf": "galnb.densities.autoregressive:MAF",
    "arnsf": "galnb.densities.autoregressive:AutoregressiveNSF",
    "ffjord": "galnb.densities.continuous:FFJORD",
    "matching": "galnb.densities.continuous:Matching",
}

_family = Family("density", MEMBERS)
load, member, __getattr__ = _family.load, _family.member, _family.attribute
