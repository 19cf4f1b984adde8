"""The pictures that stand in for panels: shown where nobody runs a notebook, away where a kernel answers."""

import copy

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from tests.running import executed
from tests.test_browser import ROOT, STATUS, Explorer, browser, server, written

assert browser and server  # the fixtures of the other file
pytestmark = pytest.mark.browser
CELLS = (
    f"""import sys
sys.path.insert(0, {str(ROOT)!r})
import galnb
from matplotlib import pyplot as plt
from tests.test_anomalies import IMAGES, LATENTS, MODEL
explorer = galnb.explore(LATENTS, IMAGES, MODEL, height=420)
explorer.selection = tuple(LATENTS.id[:4].tolist())
explorer""",
    "plt.plot([1, 4, 9])\nplt.title('squares')\nplt.show()",
)
WORDS = "Density map of 120 of 120 galaxies, 4 of them selected"
# of each output that one sees: its text, its pictures' words, how many panels live in it
SEEN = """() => [...document.querySelectorAll(".jp-OutputArea-child")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.offsetHeight > 2)
    .map((one) => [one.innerText.trim(), [...one.querySelectorAll("img")].map((image) => image.alt),
        one.querySelectorAll(".galnb-panel").length])
    .filter(([text, pictures, panels]) => text || pictures.length || panels)"""


class Live(Explorer):
    def ready(self):
        self.page.wait_for_function(f"() => /^4 of 120 selected; [0-9]+ ms/.test({STATUS})")
        self.page.wait_for_selector(".galnb-still", state="attached")
        self.page.wait_for_selector("img[alt^=Figure]")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The notebook as nbclient leaves it, with what widgets know of themselves."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    return executed(notebook, tmp_path_factory.mktemp("run"))


@pytest.fixture
def opened(browser, server, saved):
    """Opens the saved notebook, which nobody runs, in a face of Jupyter; returns its page."""

    def open_(name, face, *, state=False, trusted=True):
        notebook = copy.deepcopy(saved)
        notebook.metadata["name"] = name  # another notebook, whose signature is another
        if not state:
            del notebook.metadata["widgets"]
        path = server[1].parent / "notebooks" / f"{name}.ipynb"
        nbformat.write(notebook, path)
        if trusted:
            NotebookNotary(data_dir=str(server[1].parent / "data")).sign(nbformat.read(path, as_version=4))
        page = browser.new_page(viewport={"width": 1280, "height": 960})
        page.goto(f"{server[0]}/{face}/{path.name}")
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        page.wait_for_selector(".galnb-still img")
        page.wait_for_timeout(1500)
        pages.append(page)
        return page

    pages = []
    yield open_
    for page in pages:
        page.close()


@pytest.mark.parametrize("face", ["lab/workspaces/dead/tree", "notebooks"])
def test_a_saved_notebook_shows_pictures_with_words_and_no_dead_view(opened, face):
    (note, still, _), (_, figure, _) = opened(f"dead-{face[:3]}", face).evaluate(SEEN)
    assert note.startswith("As it was") and len(still) == len(figure) == 1
    assert still[0].startswith(WORDS) and figure[0].startswith("Figure: squares: 1 line of 3 points")


def test_a_notebook_that_is_not_trusted_shows_them_too(opened):
    (text, *_), (_, still, _), (_, figure, _) = opened(
        "strange", "lab/workspaces/strange/tree", trusted=False
    ).evaluate(SEEN)
    assert text.startswith(WORDS) and still[0].startswith(WORDS) and figure[0].startswith("Figure: squares")


def test_where_views_were_saved_that_no_kernel_answers_the_picture_comes_to_them(opened):
    page = opened("state", "lab/workspaces/state/tree", state=True)
    page.wait_for_selector(".galnb-panel")
    page.wait_for_selector(".galnb-still")  # visible, that is
    (_, _, panels), (_, still, _), _ = page.evaluate(SEEN)
    assert panels == 1 and still[0].startswith(WORDS)


def test_where_a_kernel_answers_the_picture_is_away_for_good(browser, server):
    here = Live(browser, server, "lab/workspaces/live/tree", written(server, "live.ipynb", *CELLS))
    for seconds in (0, 8.5):  # at once, and when a view that nobody answers would have its picture
        here.page.wait_for_timeout(1000 * seconds)
        (_, _, panels), (_, figure, _) = here.page.evaluate(SEEN)
        assert panels == 1 and figure[0].startswith("Figure: squares")
        assert here.page.locator(".galnb-still").count() == 1
    assert here.hosts <= {"127.0.0.1", None} and set(here.errors) <= here.servers_own
    here.page.close()
