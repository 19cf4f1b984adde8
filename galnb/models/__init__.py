"""The family of models: public name to class, loaded on first use.

A new model is one file in this folder and one line here; the command line, the laws in `tests/laws`
and the README table read this list.
"""

from __future__ import annotations

from ..family import Family

MEMBERS = {
    "pca": "galnb.models.pca:PCA",
    "ae": "galnb.models.ae:AE",
    "vae": "galnb.models.vae:VAE",
    "cvae": "galnb.models.cvae:CVAE",
    "mvae": "galnb.models.mvae:MVAE",
    "vaegan": "galnb.models.vaegan:VAEGAN",
    "vqvae": "galnb.models.vqvae:VQVAE",
    "wgan": "galnb.models.wgan:WGAN",
    "pixelcnn": "galnb.models.pixelcnn:PixelCNN",
    "multiscale": "galnb.models.multiscale:Multiscale",
    "invariant": "galnb.models.invariant:Invariant",
}

_family = Family("model", MEMBERS)
load, __getattr__ = _family.load, _family.attribute


def capabilities() -> list[dict]:
    """What each model can do, by asking it: a dict of name, class, summary and one bool an ability."""
    from .base import ABILITIES

    rows = []
    for name in MEMBERS:
        model = _family.member(name)
        about = {"name": name, "class": model.__name__, "summary": model.__doc__.splitlines()[0]}
        rows.append(about | {ability: callable(getattr(model, ability, None)) for ability in ABILITIES})
    return rows
