"""`jupyter nbconvert --to html`: every view has an image and words, and needs nothing from the outside."""

import copy
import re
from html.parser import HTMLParser

import nbformat
import pytest
from nbconvert import HTMLExporter

from galnb.widgets import MEMBERS
from tests.running import NOTEBOOKS, ROOT, executed

VIEW = "application/vnd.jupyter.widget-view+json"
PANELS = {
    "explorer": "galnb.explore(LATENTS, IMAGES, MODEL)",
    "map": "widgets.LatentMap(LATENTS)",
    "gallery": "widgets.Gallery(LATENTS, IMAGES)",
    "similarity": "widgets.Similarity(LATENTS, IMAGES, MODEL)",
    "sampler": "galnb.imagine('vae32-sdss', n=4)",
    "anomalies": "galnb.hunt(LATENTS, IMAGES, MODEL, scores=SCORES, votes=folder + '/votes.jsonl')",
    "density": "galnb.weigh(LATENTS, IMAGES, MODEL)",
    "bending": "galnb.bend(LATENTS)",
    "likelihood": "galnb.confront(comparison())",
}
CELLS = (
    f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport tempfile\nimport galnb\nimport holoviews as hv\n"
    "from matplotlib import pyplot as plt\nfrom galnb import widgets\n"
    "from tests.test_anomalies import IMAGES, LATENTS, MODEL, SCORES\n"
    "from tests.test_likelihood_panel import comparison\nfolder = tempfile.mkdtemp()",
    *PANELS.values(),
    "plt.plot([1, 4, 9])\nplt.title('<squares>')\nplt.show()",
    "%config InlineBackend.figure_format = 'retina'\nplt.plot([1, 8])\nplt.title('cubes')\nplt.show()",
    "galnb.figures.describe(galnb.bend(LATENTS).figure(), 'A bent grid.')",
    "LATENTS.to_holoviews(dynamic=False)",
)


class Page(HTMLParser):
    """Words of the pictures of a page, and whatever a browser would fetch for it."""

    def __init__(self, html: str):
        super().__init__()
        self.words, self.fetched = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        place = attributes.get("href" if tag == "link" else "src") or ""
        if tag == "img":
            self.words.append(attributes.get("alt", ""))
        if tag in ("img", "script", "link", "iframe") and place and not place.startswith("data:"):
            self.fetched.append(place)


def views(notebook) -> list[str]:
    """The words of each view, in order; a live one must have its picture next to it."""
    found = []
    for cell in notebook.cells:
        outputs = [output for output in cell.get("outputs", []) if "data" in output]
        for k, output in enumerate(outputs):
            if VIEW in output.data and "%|" not in output.data["text/plain"]:  # which a bar of tqdm's has
                assert (
                    len(output.data["text/plain"]) > 20 and "galnb-still" in outputs[k + 1].data["text/html"]
                )
            elif "image/png" in output.data:
                found.append(output.metadata["image/png"]["alt"])
                assert output.data["text/html"].count("<img") == 1, cell.source
    return found


def check(notebook, template="lab"):
    """Convert it as it is saved; every view is there with its words."""
    exporter = HTMLExporter(template_name=template, require_js_url="", mathjax_url="")
    page = Page(exporter.from_notebook_node(notebook)[0])
    words = views(notebook)
    assert all(len(text) > 10 and text in page.words for text in words)
    assert not [text for text in page.words if not text or text.startswith("No description")]
    return words, page


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """With every panel and a figure of each kind, as nbclient leaves it: with what widgets know."""
    assert set(PANELS) == set(MEMBERS)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    return executed(notebook, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("template", ["lab", "classic"])
def test_every_panel_and_figure_has_an_image_with_words_of_its_own(notebook, template):
    saved = copy.deepcopy(notebook)
    del saved.metadata["widgets"]
    words, page = check(saved, template)
    assert len(words) == len(page.words) == len(PANELS) + 4
    *_, squares, cubes, bent, element = words
    assert "<squares>: 1 line of 3 points" in squares and "cubes: 1 line of 2 points" in cubes
    assert bent == "A bent grid." and "1 picture; PC 1" in element
    assert not [place for place in page.fetched if "jquery" not in place]  # of the classic page's own head


def test_with_the_state_of_widgets_they_are_there_too(notebook):
    words, page = check(notebook)
    assert len(words) == len(PANELS) + 4
    assert all(
        "html-manager" in place or "embed" in place for place in page.fetched
    )  # nbconvert's, for live views


def test_what_nbconvert_itself_fetches_is_two_scripts_that_options_leave_out(notebook):
    saved = copy.deepcopy(notebook)
    del saved.metadata["widgets"]
    fetched = Page(HTMLExporter().from_notebook_node(saved)[0]).fetched
    assert {re.search(r"require|mathjax", place, re.I)[0].lower() for place in fetched} <= {
        "require",
        "mathjax",
    }


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_view_of_every_notebook_has_an_image_with_words(path, tmp_path):
    saved = executed(nbformat.read(path, as_version=4), tmp_path)
    saved.metadata.pop("widgets", None)
    words, page = check(saved)
    assert not page.fetched and (words or "show()" not in "".join(cell.source for cell in saved.cells))
