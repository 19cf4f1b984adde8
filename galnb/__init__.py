"""galnb: look into survey-scale latent spaces of galaxy images, in a notebook.

Everything public is loaded on first use: `import galnb` is quick and imports neither torch nor bokeh.
In a notebook it has figures come with words, for those who do not see them.
"""

from importlib import import_module

from .notebook import tell

__version__ = "0.1.0"

NAMES = {
    "BadInput": "errors",
    "Catalogue": "catalogue",
    "Comparison": "comparison",
    "Folder": "sources.folder",
    "GalnbError": "errors",
    "Hubble": "sources.hubble",
    "Images": "images",
    "Imagined": "imagined",
    "Latents": "latents",
    "Plane": "reduce",
    "Session": "session",
    "Store": "store",
    "bend": "widgets.bending",
    "check": "exercises",
    "compare": "comparison",
    "confront": "widgets.likelihood",
    "decode": "encoding",
    "default_survey": "demo",
    "encode": "encoding",
    "explore": "widgets.explorer",
    "hunt": "widgets.anomalies",
    "imagine": "widgets.sampler",
    "measure": "morphology",
    "observe": "observing",
    "read": "catalogue",
    "reconstruct": "encoding",
    "similar": "neighbors",
    "weigh": "widgets.density",
}
MODULES = (
    "abilities alt annotate anomaly artefacts augment backgrounds bending calibration catalogue comparison "
    "conditions confounders contours demo densities density doctor emulator encoding errors exercises "
    "export features fields figures film forest images imagined instruments known ladder latents "
    "likelihoods looks metrics mock models morphology neighbors notebook observing provenance ranking "
    "realism recipe reduce render replay restoration session sky sources stamps store stretch train "
    "twosample votes weighing weights widgets"
).split()

tell()


def __getattr__(name: str):
    if name in NAMES:
        return getattr(import_module(f"galnb.{NAMES[name]}"), name)
    if name in MODULES:
        return import_module(f"galnb.{name}")
    raise AttributeError(f"module 'galnb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*NAMES, *MODULES, "__version__"])
