"""How Sphinx makes the site; `docs/gallery.py` lays out the pages and calls it."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pydoc import locate

from sphinx.addnodes import pending_xref
from sphinx.domains.python import PyObject
from sphinx.util import inspect, logging

ROOT, logger = Path(__file__).parents[1], logging.getLogger(__name__)
sys.path.insert(0, str(ROOT))

import galnb  # noqa: E402

for module in galnb.MODULES:
    import_module(f"galnb.{module}")  # once, not in each process that reads pages

project, author, version = "galnb", "galnb developers", galnb.__version__
project_copyright = author
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_design",
]
exclude_patterns = ["README.md"]  # its parts are included in pages

# Notebooks were run before (`docs/gallery.py`); what they wrote to stderr are progress bars.
nb_execution_mode = "off"
nb_output_stderr = "remove"
nb_ipywidgets_js = {}  # no live views, and nothing to fetch for them
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False  # torch's and ipywidgets' are not ours
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 90
add_module_names = False
napoleon_google_docstring = False
napoleon_use_ivar = True
default_role = "py:obj"  # `name` in a docstring leads there, where there is one

html_theme = "furo"
html_title = "galnb"
html_show_sourcelink = html_copy_source = False
html_show_search_summary = False  # it fetches pages, which a browser refuses where the site is a folder
html_css_files = ["gallery.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#3f4fb5", "color-brand-content": "#3f4fb5"},
    "dark_css_variables": {"color-brand-primary": "#9fb0ff", "color-brand-content": "#9fb0ff"},
}
pygments_style, pygments_dark_style = "friendly", "github-dark"

# One file with all of MathJax and its glyphs: formulas need no network and no fonts.
mathjax_file = Path(
    find_spec("sphinx-mathjax-offline").submodule_search_locations[0], "static/mathjax/tex-svg.js"
)
mathjax_path, mathjax3_config = mathjax_file.name, {"options": {"enableMenu": False}}
html_static_path = ["gallery.css", str(mathjax_file)]


def plain(app, doctree):
    """Of types in docstrings ("ndarray", "ids", "columns") only names of classes lead anywhere."""
    for node in list(doctree.findall(pending_xref)):
        words = node["reftarget"]
        if node.get("reftype") == "class" and words == words.lower() and "." not in words:
            node.replace_self(node.children)


def found(app, env, node, contnode):
    """Where a name leads that Sphinx has not found: `galnb.read(path)`, or `Latents` in another module."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.get_domain("py"), node["reftarget"].partition("(")[0]
    name = target.removeprefix("galnb.")
    places = [f"galnb.{galnb.NAMES[name]}.{name}"] if name in galnb.NAMES and name != target else []
    if "." in name or name[:1].isupper():
        places += [place for place in domain.objects if place.endswith(f".{name}")]
    places = list(dict.fromkeys(place for place in places if place in domain.objects))
    if name == target and len(places) > 1:
        return None
    if places:
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", places[0], node, contnode)
    if name != target and locate(target) is None:
        logger.warning("there is no %s; mend the name", target, location=node)
    return None


def constructor(app, what, name, cls, options, written, returns):
    """What a class is built from; Sphinx looks at `__new__`, also where `__init__` comes first."""
    if what == "class" and written and written.startswith("(*args, **"):
        return inspect.stringify_signature(inspect.signature(cls), unqualified_typehints=True), returns
    return None


def setup(app):
    app.connect("autodoc-process-signature", constructor)
    next(f for f in PyObject.doc_field_types if f.name == "variable").label = "Attributes"
    app.connect("doctree-read", plain)
    app.connect("missing-reference", found)
