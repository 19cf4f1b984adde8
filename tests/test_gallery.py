"""The site of `make gallery`: pages are there, lead somewhere and fetch nothing; no notebook is run."""

import base64
import io
import os
import subprocess
import sys
from importlib.util import find_spec
from urllib.parse import urlsplit

import nbformat
import pytest

import galnb
from tests.running import NOTEBOOKS, ROOT

missing = [
    n for n in ("sphinx", "myst_nb", "furo", "sphinx_design", "sphinx-mathjax-offline") if not find_spec(n)
]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"no {missing}: uv pip install -e '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, notebooks as they come."""
    folder = tmp_path_factory.mktemp("site") / "gallery"
    command = [sys.executable, "-m", "docs.gallery", str(folder), "--unexecuted"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return folder


def test_it_has_a_page_for_each_public_module_notebook_and_guide(site):
    guides = [path.stem for path in (ROOT / "docs").glob("*.md")]
    names = [f"api/{module}" for module in galnb.MODULES] + [f"notebooks/{path.stem}" for path in NOTEBOOKS]
    assert not [name for name in names + guides if not (site / f"{name}.html").is_file()]


def test_each_public_name_and_each_member_of_a_family_is_on_its_page(site):
    places = {f"galnb.{module}.{name}" for name, module in galnb.NAMES.items()}
    for family in (galnb.models, galnb.densities, galnb.widgets, galnb.sources):
        places |= {place.replace(":", ".") for place in family.MEMBERS.values()}
    for place in places:
        module = place.removeprefix("galnb.").rpartition(".")[0]
        assert f'id="{place}"' in (site / "api" / f"{module}.html").read_text(), place


@pytest.mark.browser
def test_its_pages_fetch_nothing_from_elsewhere_and_its_search_finds(site, chromium):
    sync_api = pytest.importorskip("playwright.sync_api")
    asked, errors = set(), []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: asked.add(urlsplit(request.url).scheme))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in ("index", "api/neighbors", "notebooks/05_flows"):
            page.goto((site / f"{name}.html").as_uri())
        page.wait_for_selector("mjx-container svg")
        page.goto((site / "search.html").as_uri() + "?q=Neighbors")
        page.wait_for_selector("#search-results a[href*='api/neighbors']")
        browser.close()
    assert asked <= {"file", "data", "blob"} and not errors


def test_links_that_lead_nowhere_and_pages_that_fetch_are_named(tmp_path):
    from docs.gallery import complaints

    body = (
        '<p id="here">.</p><a href="#here">.</a><a href="https://galnb.org/">.</a><a href="b.html#no">.</a>'
    )
    (tmp_path / "a.html").write_text(f'{body}<script src="https://cdn.org/x.js"></script>')
    (tmp_path / "b.html").write_text('<a href="a.html#here">.</a><img src="c.png">')
    assert complaints(tmp_path) == [
        "a.html leads to b.html#no, which is not there",
        "a.html fetches https://cdn.org/x.js",
        "b.html leads to c.png, which is not there",
    ]


def notebook(*cells):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    made.cells = [nbformat.v4.new_markdown_cell("# Title\n\n**Why?**\n\n*After 00, 01; 20 minutes. You ...*")]
    made.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    return made


def test_a_notebook_that_fails_is_named_with_its_cell_and_one_that_has_not_changed_is_not_run(tmp_path):
    from docs.gallery import run

    path, done = tmp_path / "05_new.ipynb", tmp_path / "done"
    done.mkdir()
    nbformat.write(notebook("a = 1", "a / 0", "a"), path)
    error = run(path, done)
    assert error.startswith("05_new.ipynb, cell 3 of 4: ") and "ZeroDivisionError" in error
    nbformat.write(notebook("import time", "print(time.time_ns())"), path)
    assert run(path, done) == ""
    first = (done / path.name).read_bytes()
    assert run(path, done) == "" and (done / path.name).read_bytes() == first


def test_a_card_has_title_question_and_the_first_good_figure_and_live_views_are_left_out():
    from PIL import Image

    from docs.gallery import VIEW, card, still

    pictures = []
    for size, color in (((900, 100), "red"), ((600, 400), "blue")):
        file = io.BytesIO()
        drawn = Image.new("RGB", size, "white")
        drawn.paste(color, (20, 20, size[0] - 20, size[1] - 20))
        drawn.save(file, "png")
        pictures.append({"image/png": base64.b64encode(file.getvalue()).decode()})
    shown = [{VIEW: {}, "text/plain": "a bar"}, *pictures, {VIEW: {}, **pictures[0]}]
    made, files = notebook("..."), {}
    made.cells[1].outputs = [nbformat.v4.new_output("display_data", data) for data in shown]
    text = card("05_new", made, files)
    assert all(words in text for words in ("Title", "Why?", ":link: 05_new\n", "After 00, 01; 20 minutes\n"))
    thumbnail = Image.open(io.BytesIO(files["notebooks/05_new.png"]))
    assert thumbnail.size == (720, 480) and thumbnail.getpixel((360, 240)) == (0, 0, 255)
    kept = [output.data for output in still(made).cells[1].outputs]
    assert kept == [*pictures, pictures[0]]
