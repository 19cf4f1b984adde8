"""The explorer in a real browser: notebook 00 in JupyterLab and in Notebook 7, driven by mouse and keyboard.

With GALNB_PICTURES=1 the README's pictures in docs/ are made anew.
"""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
LEFT, RIGHT, TOP, BOTTOM = 56, 78, 10, 42  # of the canvas around the map, CSS pixels, as in axes.js
STATUS = "document.querySelector('.galnb-map .galnb-status')?.textContent"
pytestmark = pytest.mark.browser


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def await_answer(address: str, log: Path) -> None:
    """Wait until something answers at an address; the test fails, with the log, where nothing does."""
    for _ in range(120):
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"nothing answers at {address}: {log.read_text()[-2000:]}")


@contextmanager
def lab(folder: Path):
    """A Jupyter server on loopback over the notebooks of a folder; yields its address and runtime folder."""
    port = free_port()
    places = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("RUNTIME", "CONFIG", "DATA")}
    (folder / "config" / "labconfig").mkdir(parents=True)
    news = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (folder / "config" / "labconfig" / "page_config.json").write_text(json.dumps(news))
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder / 'notebooks'}"]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, env={**os.environ, **places}, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        await_answer(f"{address}/api/status", folder / "log")
        yield address, folder / "runtime"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Jupyter server over a copy of the notebooks; yields its address and runtime folder."""
    folder = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    with lab(folder) as known:
        yield known


def written(server, name, *cells):
    """A notebook of these cells, in the server's folder; returns its name."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(notebook, server[1].parent / "notebooks" / name)
    return name


@contextmanager
def panel(explorer, browser, server, cell):
    """What an `Explorer` shows of one cell; it asks nothing of the outside and leaves no error behind."""
    opened = explorer(browser, server, "lab/tree", written(server, "panel.ipynb", cell))
    yield opened
    assert opened.hosts <= {"127.0.0.1", None}
    assert not set(opened.errors) - opened.servers_own


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


class Explorer:
    """A notebook with a map in a page, with the gestures and questions that the tests need."""

    def __init__(self, browser, server, face, notebook="00_start_here.ipynb"):
        (self.address, self.runtime), self.notebook = server, notebook
        self.page = browser.new_page(viewport={"width": 1280, "height": 960})
        self.page.set_default_timeout(120_000)
        self.hosts, self.errors = set(), []
        self.page.on("request", lambda r: self.hosts.add(urlsplit(r.url).hostname))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.goto(f"{self.address}/{face}/{notebook}")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        if face.startswith("lab"):
            self.page.keyboard.press("Control+B")  # folds the file browser away
        self.page.wait_for_timeout(1000)
        self.servers_own = set(self.errors)  # Notebook 7.6 has two on every page, before any cell has run
        self.page.locator(".jp-Notebook .jp-CodeCell").first.click()
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        self.ready()

    def ready(self):
        self.page.wait_for_selector(".galnb-map canvas")
        self.page.wait_for_function(f"() => /936.*; [0-9]+ ms/.test({STATUS})")  # a frame was drawn
        self.page.wait_for_timeout(1500)

    @property
    def canvas(self):
        return self.page.locator(".galnb-map canvas").first

    def box(self):
        output = "e => e.closest('.jp-OutputArea-child').scrollIntoView({block: 'start'})"
        self.page.locator(".galnb-map").first.evaluate(output)
        self.page.wait_for_timeout(300)
        return self.canvas.bounding_box()

    def status(self):
        return self.page.locator(".galnb-map .galnb-status").first.inner_text()

    def ask(self, expression):
        """The value of an expression in the notebook's kernel."""
        from jupyter_client import BlockingKernelClient

        sessions = json.load(urllib.request.urlopen(f"{self.address}/api/sessions"))
        kernel = next(s for s in sessions if s["path"].endswith(self.notebook))["kernel"]["id"]
        client = BlockingKernelClient(connection_file=str(self.runtime / f"kernel-{kernel}.json"))
        client.load_connection_file()
        client.start_channels()
        try:
            for _ in range(5):  # a busy kernel may drop a question that comes among a notebook's cells
                reply = client.execute_interactive(
                    "", user_expressions={"answer": f"repr({expression})"}, timeout=60
                )["content"]
                if reply["status"] != "aborted":
                    break
                time.sleep(1)
        finally:
            client.stop_channels()
        assert reply["status"] == "ok", reply
        answer = reply["user_expressions"]["answer"]
        assert answer["status"] == "ok", answer
        return ast.literal_eval(ast.literal_eval(answer["data"]["text/plain"]))

    def until(self, expression, good, seconds=20):
        for _ in range(seconds * 4):
            value = self.ask(expression)
            if good(value):
                return value
            self.page.wait_for_timeout(250)
        pytest.fail(f"{expression} stayed {value!r}")

    def galaxies(self):
        """Where on the page the galaxies lie, (n, 2)."""
        x0, x1, y0, y1 = self.ask("tuple(map(float, explorer.session.view))")
        x, y = np.transpose(self.ask("explorer.session.projection(explorer.session.plane).xy.tolist()"))
        box = self.box()
        width, height = box["width"] - LEFT - RIGHT, box["height"] - TOP - BOTTOM
        right, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return np.stack([box["x"] + LEFT + right * width, box["y"] + TOP + (1 - up) * height], axis=1)

    def empty_spot(self):
        """Where on the page a place near the galaxies is that has none within 40 pixels."""
        galaxies = self.galaxies()
        steps = np.mgrid[-300:301:10, -300:301:10].reshape(2, -1).T
        places = np.median(galaxies, axis=0) + steps[np.argsort(np.hypot(*steps.T), kind="stable")]
        box = self.canvas.bounding_box()
        low = (box["x"] + LEFT + 20, box["y"] + TOP + 20)
        high = (box["x"] + box["width"] - RIGHT - 20, box["y"] + box["height"] - BOTTOM - 20)
        places = places[((places > low) & (places < high)).all(axis=1)]
        apart = np.linalg.norm(places[:, None] - galaxies, axis=2).min(axis=1)
        return places[np.argmax(apart > 40)].tolist()

    def picture(self, name):
        if os.environ.get("GALNB_PICTURES"):
            (ROOT / "docs").mkdir(exist_ok=True)
            self.box()
            self.page.mouse.move(5, 5)
            self.page.evaluate("document.activeElement.blur()")
            self.page.wait_for_timeout(1200)
            self.page.locator(".galnb-panel").first.screenshot(path=ROOT / "docs" / f"{name}.png")


def lasso(here, *, key=None):
    """Draw a triangle around the middle of the map; returns the selected ids."""
    box, mouse = here.box(), here.page.mouse
    before = here.ask("explorer.selection")
    here.canvas.press("l")
    x, y = box["x"] + 0.36 * box["width"], box["y"] + 0.72 * box["height"]
    if key:
        here.page.keyboard.down(key)
    mouse.move(x - 60, y - 60)
    mouse.down()
    for dx, dy in ((90, -40), (40, 80), (-80, 60), (-60, -55)):
        mouse.move(x + dx, y + dy, steps=4)
    mouse.up()
    if key:
        here.page.keyboard.up(key)
    return here.until("explorer.selection", lambda now: now != before)


@pytest.mark.parametrize("face", ["lab/tree", "notebooks"])
def test_a_hand_explores_the_first_notebook(browser, server, face):
    here = Explorer(browser, server, face)
    box, mouse = here.box(), here.page.mouse
    here.until("explorer.selection", lambda now: len(now) == 10)  # the notebook's last cells ran too
    here.canvas.press("Escape")
    here.until("explorer.selection", lambda now: now == ())
    picture = face.startswith("lab")

    # the wheel zooms about the pointer
    wide = here.ask("tuple(map(float, explorer.session.view))")
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mouse.wheel(0, -120)
    view = here.until("tuple(map(float, explorer.session.view))", lambda v: v != wide)
    assert view[1] - view[0] < wide[1] - wide[0]
    here.canvas.press("0")
    here.until("tuple(map(float, explorer.session.view))", lambda v: v[1] - v[0] > view[1] - view[0])

    # a click on a galaxy picks it, with its reconstruction and residual
    here.canvas.press("h")
    mouse.click(*here.galaxies()[0].tolist())
    assert here.until("explorer.session.picked", lambda now: now is not None) == "hxdf-0001"
    here.page.wait_for_function(
        "() => document.querySelectorAll('.galnb-decoder img, .galnb-decoder canvas').length >= 3"
    )
    if picture:
        here.picture("light")

    # a lasso selects, the kernel knows whom, and zooming changes nothing
    chosen = lasso(here)
    assert 20 < len(chosen) < 936
    mouse.move(box["x"] + 300, box["y"] + 250)
    for _ in range(4):
        mouse.wheel(0, -60)
    here.page.wait_for_timeout(800)
    assert here.ask("explorer.selection") == chosen
    here.canvas.press("0")
    if picture:
        here.picture("lasso")

    # undo and redo, by keyboard
    here.canvas.press("Control+z")
    here.until("explorer.selection", lambda now: now == ())
    here.canvas.press("Control+Shift+z")
    assert here.until("explorer.selection", len) == chosen

    # empty space decodes into the galaxy that would live there
    here.canvas.press("h")
    mouse.click(*here.empty_spot())
    here.until("explorer.session.spot", lambda now: now is not None)
    assert here.ask("explorer.session.picked") is None
    here.page.wait_for_timeout(1000)
    if picture:
        here.picture("empty_spot")

    # the page may be loaded anew: the kernel keeps everything, and the map comes back
    here.page.keyboard.press("Control+s")
    here.page.wait_for_timeout(1500)
    here.page.reload()
    here.ready()
    assert here.ask("explorer.selection") == chosen
    assert f"{len(chosen)} of 936 selected" in here.status()

    assert here.hosts <= {"127.0.0.1", "localhost", None, ""}, here.hosts
    assert set(here.errors) <= here.servers_own
    assert here.page.evaluate("document.documentElement.scrollWidth") <= 1280
    if picture:
        dark_and_lively(here)
    here.page.close()


def dark_and_lively(here):
    """The README's first picture and its dark one."""
    if not os.environ.get("GALNB_PICTURES"):
        return
    here.canvas.press("Escape")
    here.page.get_by_label("Map", exact=True).select_option("umap")
    here.until("explorer.session.plane", lambda now: now == "umap", seconds=180)
    here.page.get_by_label("Color by", exact=True).select_option("color")
    here.page.wait_for_timeout(1500)
    here.page.mouse.click(*here.galaxies()[5].tolist())
    here.page.wait_for_timeout(1500)
    here.picture("explorer")
    here.page.get_by_role("menuitem", name="Settings", exact=True).click()
    here.page.get_by_text("Theme", exact=True).hover()
    here.page.get_by_text("JupyterLab Dark", exact=True).click()
    here.page.wait_for_timeout(2500)
    here.picture("dark")


BUSY = (
    "import galnb\nhere = galnb.widgets.LatentMap(galnb.default_survey().latents, height=420)\nhere",
    "import time\nhere.selection = tuple(here.session.latents.id[:3].tolist())\ntime.sleep(300)",
)


def test_the_map_is_drawn_and_answers_while_a_cell_runs(browser, server):
    here = Explorer(browser, server, "lab/workspaces/busy/tree", written(server, "busy.ipynb", *BUSY))
    here.page.wait_for_function(f"() => /^3 of 936 selected/.test({STATUS})")
    box = here.box()
    assert 380 < here.page.locator(".galnb-map").first.bounding_box()["height"] <= 420
    before = here.canvas.get_attribute("aria-label")
    here.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    here.page.mouse.wheel(0, -200)
    changed = "was => document.querySelector('.galnb-map canvas').getAttribute('aria-label') !== was"
    here.page.wait_for_function(changed, arg=before, timeout=20_000)
    assert here.page.locator(".jp-Notebook-ExecutionIndicator").get_attribute("data-status") == "busy"
    here.page.close()
