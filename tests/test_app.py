"""`galnb app`: a notebook as an app in a real browser, where a lasso selects and all comes from here."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from galnb.cli import main
from tests.test_browser import ROOT, STATUS, await_answer, browser, free_port

assert browser  # the fixture of the other file
CELLS = (
    f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport galnb\n"
    "from tests.test_anomalies import IMAGES, LATENTS, MODEL\nsecret = 1",
    "galnb.explore(LATENTS, IMAGES, MODEL, height=480)",
)


@pytest.fixture
def app(tmp_path):
    """The address of a small notebook that `galnb app` serves."""
    pytest.importorskip("voila", reason="pip install 'galnb[app]'")
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [nbformat.v4.new_markdown_cell("# Look around")]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(notebook, tmp_path / "app.ipynb")
    port = free_port()
    command = [sys.executable, "-m", "galnb", "app", str(tmp_path / "app.ipynb")]
    command += ["--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}"]
    with open(tmp_path / "log", "w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        await_answer(f"{address}/voila/static/voila.js", tmp_path / "log")
        yield address
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)


@pytest.mark.browser
def test_a_hand_selects_in_an_app_that_shows_no_code_and_asks_nothing_of_the_outside(app, browser):
    page, hosts = browser.new_page(viewport={"width": 1280, "height": 900}), set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(app, wait_until="commit", timeout=60_000)
    page.wait_for_function(f"() => /^120 galaxies.*; [0-9]+ ms/.test({STATUS})", timeout=60_000)
    assert page.get_by_role("heading", name="Look around").count() == 1
    assert "secret = 1" not in page.content()
    box = page.locator(".galnb-map canvas").first.bounding_box()
    page.locator(".galnb-map canvas").first.press("l")
    corners = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7), (0.32, 0.32)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.wait_for_function(f"() => /^[0-9]+ of 120 selected; /.test({STATUS})")
    page.wait_for_selector(".galnb-wall img")
    assert page.locator(".galnb-still").is_hidden() and hosts <= {"127.0.0.1", None}
    if folder := os.environ.get("GALNB_APP_PICTURE"):
        page.screenshot(path=folder)
    page.close()


def test_a_notebook_that_is_not_there_is_named(capsys):
    assert main(["app", "nowhere.ipynb"]) == 2
    assert "nowhere.ipynb: there is no such notebook" in capsys.readouterr().err


def test_all_other_options_go_to_voila_with_our_page(monkeypatch, tmp_path):
    pytest.importorskip("voila", reason="pip install 'galnb[app]'")
    done = []
    monkeypatch.setattr(subprocess, "call", lambda *command, env: done.append((*command, env)) or 5)
    monkeypatch.setenv("JUPYTER_PATH", "mine")
    (tmp_path / "one.ipynb").touch()
    assert main(["app", str(tmp_path / "one.ipynb"), "--port", "9999"]) == 5
    [(command, env)] = done
    assert command[1:] == ["-m", "voila", str(tmp_path / "one.ipynb"), "--template=galnb", "--port", "9999"]
    ours, mine = env["JUPYTER_PATH"].split(os.pathsep)
    assert mine == "mine" and Path(ours, "voila", "templates", "galnb", "index.html.j2").is_file()
