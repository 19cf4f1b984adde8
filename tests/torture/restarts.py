"""Fifty restarts of the kernel under an explorer in use: it says so, and a cell run again brings it back.

One JupyterLab and one page in a real browser. A kernel ends in three ways: by Lab's menu, by kill -9, and by
a request from elsewhere; each at a random moment of a random gesture. Of the last Lab's page is not told: it
goes on to send what widgets say to a subshell that the new kernel has not, so that no widget there answers
until the page is loaded anew. This is what the map then asks for.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .workers import Row

COUNTS = {"restarts": 50}
WAYS = ("menu", "kill -9", "request")
GESTURES = ("idle", "pan", "zoom", "lasso", "pick")
SAYS, BACK = 20.0, 90.0  # seconds for the words, and for the map to be there again
N = 900
CELL = f"""import numpy as np
import galnb
rng = np.random.default_rng(0)
ids = np.arange({N})
images = galnb.Images(rng.random(({N}, 3, 24, 24), dtype=np.float32), ids, ("g", "r", "i"))
explorer = galnb.explore(galnb.Latents(ids, rng.normal(size=({N}, 6))), images, height=420)
explorer"""
STATUS = "document.querySelector('.galnb-map .galnb-status')?.textContent ?? ''"
WORDS = f"""() => [document.querySelector('.galnb-gone')?.textContent, {STATUS}]
    .find((text) => /kernel/.test(text))"""
RESTART = """async (id) => (await fetch(`/api/kernels/${id}/restart`, { method: "POST",
    headers: { "X-XSRFToken": document.cookie.match(/_xsrf=([^;]*)/)[1] } })).status"""


def opened(browser, server):
    """The explorer in a notebook in a page."""
    from tests.test_browser import Explorer, written

    class Here(Explorer):
        def ready(self):
            self.page.wait_for_function(f"() => /; [0-9]+ ms/.test({STATUS})", timeout=1000 * BACK)

    return Here(browser, server, "lab/tree", written(server, "restarts.ipynb", CELL))


def tortured(chosen) -> Iterator[Row]:
    """A row a way to end a kernel."""
    from playwright.sync_api import sync_playwright

    from tests.test_browser import FLAGS, lab

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no chromium on this machine: apt-get install chromium")
    count, rng = chosen.count or COUNTS["restarts"], np.random.default_rng([chosen.seed, 7])
    with tempfile.TemporaryDirectory(prefix="torture-") as folder, sync_playwright() as playwright:
        Path(folder, "notebooks").mkdir()
        with lab(Path(folder)) as server:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            here = opened(browser, server)
            here.page.on("dialog", lambda dialog: dialog.accept())  # it may ask whether to leave
            rows = {way: Row(f"restart by {way}") for way in WAYS}
            for k in range(count):
                way, gesture = WAYS[k % len(WAYS)], str(rng.choice(GESTURES))
                restart(here, rows[way], way, gesture, rng)
            browser.close()
    yield from (row for row in rows.values() if row.tried)


def restart(here, row: Row, way: str, gesture: str, rng: np.random.Generator) -> None:
    """End the kernel once, amid a gesture; what it takes to say so and to come back."""
    begun, name = time.monotonic(), f"{row.kind}, {gesture}, {row.tried}"
    row.tried += 1
    row.by[gesture] += 1
    ended = end(here, way, rng.uniform(0, 0.8))
    try:
        move(here, gesture, rng)
        ended()
        said = until_said(here)
        row.by["seconds till it said so, at most"] = max(
            row.by["seconds till it said so, at most"], math.ceil(said)
        )
        dismiss(here)
        if way == "request":
            reload(here)
        again(here)
        row.clean += 1
    except Exception as error:  # any: a browser raises its own kinds
        row.faults.append(f"{name}: {type(error).__name__}: {error}"[:600])
        reload(here)
        again(here)
    row.seconds += time.monotonic() - begun


def end(here, way: str, delay: float):
    """Begin to end the kernel, some moment from now; returns what waits for it."""
    sessions = json.load(urllib.request.urlopen(f"{here.address}/api/sessions"))
    kernel = next(one for one in sessions if one["path"].endswith(here.notebook))["kernel"]["id"]
    if way == "kill -9":
        import psutil

        named = [one.pid for one in psutil.process_iter(["cmdline"]) if kernel in str(one.info["cmdline"])]
        timer = threading.Timer(delay, os.kill, (named[0], signal.SIGKILL))
        timer.start()
        return timer.join
    if way == "request":  # it is under way while the hand moves on
        here.page.evaluate(
            f"id => setTimeout(() => {{ window.asked = ({RESTART})(id); }}, {1000 * delay})", kernel
        )
        return lambda: here.page.wait_for_function("() => window.asked?.then((status) => status === 200)")

    def chosen():
        here.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        here.page.get_by_text("Restart Kernel…", exact=True).click()
        here.page.get_by_role("button", name="Confirm Kernel Restart").click()

    return chosen


def move(here, gesture: str, rng: np.random.Generator) -> None:
    """One gesture on the map, for about a second."""
    box, mouse = here.canvas.bounding_box(), here.page.mouse
    corner, size = np.array([box["x"], box["y"]]), np.array([box["width"], box["height"]])
    place = lambda: (corner + size * rng.uniform(0.2, 0.7, 2)).tolist()
    if gesture == "idle":
        here.page.wait_for_timeout(900)
        return
    here.canvas.press("l" if gesture == "lasso" else "h")
    mouse.move(*place())
    if gesture in ("pan", "lasso"):
        mouse.down()
        for _ in range(5):
            mouse.move(*place(), steps=6)
            here.page.wait_for_timeout(100)
        mouse.up()
    for _ in range(6):
        if gesture == "zoom":
            mouse.wheel(0, float(rng.choice([-80, 80])))
        elif gesture == "pick":
            mouse.click(*place())
        here.page.wait_for_timeout(100)


def until_said(here) -> float:
    """Seconds until the explorer says that its kernel does not answer; the hand goes on moving meanwhile."""
    begun = time.monotonic()
    while not here.page.evaluate(WORDS):
        if time.monotonic() - begun > SAYS:
            raise TimeoutError(f"it says nothing; its status is {here.status()!r}")
        if not here.page.locator(".jp-Dialog").count():
            box = here.canvas.bounding_box()
            here.page.mouse.move(box["x"] + 200, box["y"] + 150)
            here.page.mouse.wheel(0, 40)
        here.page.wait_for_timeout(250)
    return time.monotonic() - begun


def dismiss(here) -> None:
    """Close what Lab itself says about a kernel that died."""
    here.page.wait_for_timeout(300)
    for button in here.page.locator(".jp-Dialog button.jp-mod-accept").all():
        button.click()


def reload(here) -> None:
    """Load the page anew."""
    here.page.keyboard.press("Control+s")
    here.page.wait_for_timeout(500)
    here.page.reload()
    here.page.wait_for_selector(".jp-Notebook .jp-CodeCell")


def again(here) -> None:
    """Run the cell again, and use what it shows."""
    here.page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    dismiss(here)
    here.page.evaluate("() => document.querySelector('.galnb-map')?.setAttribute('data-old', '')")
    here.page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-editor").first.click()
    here.page.keyboard.press("Control+Enter")
    here.page.wait_for_selector(".galnb-map:not([data-old]) canvas", timeout=1000 * BACK)
    here.ready()
    dismiss(here)
    assert here.page.locator(".galnb-gone").count() == 0, "it still says that its kernel is gone"
    here.canvas.press("l")
    box, mouse = here.box(), here.page.mouse
    mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    mouse.down()
    for x, y in ((0.7, 0.2), (0.7, 0.8), (0.2, 0.8), (0.2, 0.3)):
        mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
    mouse.up()
    here.page.wait_for_function(f"() => /^[0-9]+ of {N} selected/.test({STATUS})", timeout=20_000)
