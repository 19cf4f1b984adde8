"""Time from a wheel event to the new picture in a browser: galnb's map, and the same view by `rasterize`.

    python -m tests.bench.bench_browser [points ... | survey.hats ...]

One notebook in JupyterLab on loopback shows both maps at once: same points (a mixture of Gaussians, latents
with d = 2), same first view, same pixels, log scale, same kernel and page. Of a catalogue on disk it shows
galnb's map alone, and tells the peak of its kernel's memory above that with a map of 5,000 points.
`rasterize(hv.Points)` is a DynamicMap on bokeh with `wheel_zoom` active; its debounce is timed, as a person
feels it, and so is galnb's.

What is timed: a real wheel event over the middle of a plot, from its `timeStamp` to the animation frame after
which the 128 x 128 pixels about the pointer change no more. Both stretch their old picture at once, so the
last change is the new frame. One watcher for both reads every canvas below the pointer after each animation
frame (16 ms: its resolution), until the kernel's picture has come and 0.8 s pass in peace. Turns alternate
between the maps; each zooms by 0.8, 15 times in and 15 times out, so both see views of the same width (and,
within 2 pixels of the first, the same middle), from all points to a 28th. Three turns each way come first,
uncounted.

Sizes are those of whole websocket messages that carry a picture. A burst is 20 wheel events, each sent once
the page took the one before; its renders are the pictures that came. "In a cell": the same time while
`time.sleep(6)` runs in the kernel, median of 3; 15 s means that none came in that time.
"""

import json
import shutil
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
from jupyter_client import BlockingKernelClient
from playwright.sync_api import sync_playwright

from tests.test_browser import BOTTOM, FLAGS, LEFT, RIGHT, TOP, server

MAP = """
from galnb.widgets.latent_map import LatentMap
sizes = []
here = LatentMap(latents, height=660)
here.layout.width = "834px"
here.on_msg(lambda _, message, buffers: sizes.append((message.get("w"), message.get("h"))))
here
"""

CELLS = """
import numpy as np
from galnb.latents import Latents
N = {n}
random = np.random.default_rng(0)
center, width = random.normal(size=(40, 2)), random.uniform(0.05, 0.6, size=(40, 1))
which = random.integers(40, size=N)
z = (center[which] + width[which] * random.normal(size=(N, 2))).astype("f4")
latents = Latents(np.arange(N), z)
---{map}---
import holoviews as hv
import pandas as pd
from holoviews.operation.datashader import rasterize
hv.extension("bokeh", inline=True)  # without a network
---
w, h = sizes[-1]  # the last that the browser sent is what it wants to see
x0, x1, y0, y1 = here.session.view
points = hv.Points(pd.DataFrame(here.session.projection().xy, columns=["x", "y"]), ["x", "y"])
drawn = rasterize(points)
drawn.opts(frame_width=w, frame_height=h, xlim=(x0, x1), ylim=(y0, y1), active_tools=["pan", "wheel_zoom"],
           cnorm="log", cmap="viridis", colorbar=True)
"""

ON_DISK = """
import numpy as np
from galnb.latents import Latents
latents = Latents(np.arange(5000), np.random.default_rng(0).normal(size=(5000, 50)))
---{map}---
from pathlib import Path
from galnb.catalogue import Catalogue
def memory(what):
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[what].split()[0]) / 1024
before = memory("VmRSS")
latents = Catalogue({path!r})
---{map}---
Path("/proc/self/clear_refs").write_text("5")
"""

PEAK = "from pathlib import Path; Path({path!r}).write_text(str(memory('VmHWM') - before))"

# Counts messages with pictures, and tells when the pixels under the pointer changed last.
WATCHER = """(() => {
  const watch = window.watch = { pictures: [], changes: [], wheels: [], at: null };
  const Real = WebSocket, letters = new TextDecoder("latin1"), after = new MessageChannel();
  window.WebSocket = class extends Real {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        const bytes = data.byteLength ?? data.length, at = performance.now();
        const head = data.byteLength ? letters.decode(new Uint8Array(data, 0, Math.min(bytes, 3000))) : "";
        if (/"t": ?"frame"/.test(head) || bytes > 50000) watch.pictures.push({ at, bytes });
      });
    }
  };
  addEventListener("wheel", (event) => watch.wheels.push(event.timeStamp), { capture: true, passive: true });
  const canvases = (root) => [...root.querySelectorAll("*")].flatMap((e) =>
    e.shadowRoot ? canvases(e.shadowRoot) : e.tagName === "CANVAS" ? [e] : []);
  watch.all = () => canvases(document).map((canvas) => ({ canvas, edge: canvas.getBoundingClientRect() }));
  const look = () => {
    let hash = 0;
    for (const { canvas, edge } of watch.below) {
      const ratio = canvas.width / edge.width;
      const corner = [(watch.at[0] - edge.x) * ratio - 64, (watch.at[1] - edge.y) * ratio - 64];
      const pixels = canvas.getContext("2d").getImageData(...corner, 128, 128).data;
      for (const pixel of new Uint32Array(pixels.buffer)) hash = (Math.imul(hash, 31) + pixel) | 0;
    }
    return hash;
  };
  after.port1.onmessage = () => {
    const now = performance.now(), hash = watch.at && look();
    if (watch.at && hash !== watch.hash) watch.changes.push(now);
    watch.hash = hash;
    requestAnimationFrame(() => after.port2.postMessage(0)); // once all drawing of that frame is done
  };
  after.port2.postMessage(0);
  watch.begin = (x, y) => {
    watch.below = watch.all().filter(({ edge: e }) => e.x < x && x < e.right && e.y < y && y < e.bottom);
    Object.assign(watch, { at: [x, y], pictures: [], changes: [], wheels: [] });
    watch.hash = look();
  };
  watch.end = (times) => new Promise((done) => {
    const start = performance.now();
    const check = setInterval(() => {
      const { pictures, changes, wheels } = watch, now = performance.now(), came = pictures.at(-1)?.at;
      const complete = came && wheels.length >= times && now - Math.max(came, ...changes, ...wheels) > 800;
      if (!complete && now - start < 15000) return;
      clearInterval(check);
      watch.at = null;
      const [message, ms] = complete ? [came, changes.at(-1)].map((t) => t - wheels.at(-1)) : [15000, 15000];
      done({ ms, message, bytes: pictures.map((p) => p.bytes) });
    }, 50);
  });
})();"""

# The middles of both plots in CSS pixels of the window; bokeh says where its frame is.
MIDDLES = """([left, right, top, bottom]) => {
  const own = [...document.querySelectorAll(".galnb-map canvas")].at(-1).getBoundingClientRect();
  const middle = [(own.x + left + own.right - right) / 2, (own.y + top + own.bottom - bottom) / 2];
  if (!window.Bokeh) return [middle];
  const plot = (view) => view.frame ? view : (view.child_views ?? []).map(plot).find(Boolean);
  const view = [...Bokeh.index.roots].map(plot).find(Boolean), other = view.el.getBoundingClientRect();
  const { x, y, width, height } = view.frame.bbox;
  return [middle, [other.x + x + width / 2, other.y + y + height / 2]];
}"""


serve = contextmanager(server.__wrapped__)  # the browser test's fixture, outside of pytest


class Page:
    """The notebook in a page, all cells run, with its last maps in sight."""

    def __init__(self, browser, address: str, runtime: Path, cells: str):
        cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in cells.split("---\n")]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
        nbformat.write(notebook, runtime.with_name("notebooks") / "maps.ipynb")
        self.page = browser.new_page(viewport={"width": 1280, "height": 2100})
        self.page.set_default_timeout(300_000)
        self.page.add_init_script(WATCHER)
        self.page.goto(f"{address}/lab/tree/maps.ipynb")
        self.page.get_by_text("| Idle").wait_for()
        self.page.wait_for_timeout(2000)
        self.page.keyboard.press("Control+B")
        self.page.locator(".jp-Notebook .jp-CodeCell").first.click()
        self.page.keyboard.press("Escape")
        for k in range(1, len(cells) + 1):
            self.page.keyboard.press("Shift+Enter")
            self.page.locator(".jp-InputPrompt", has_text=f"[{k}]:").wait_for()
            self.page.wait_for_timeout(3000)
        session = json.load(urllib.request.urlopen(f"{address}/api/sessions"))[0]
        self.file = runtime / f"kernel-{session['kernel']['id']}.json"
        self.page.wait_for_function("() => watch.all().filter(c => c.edge.width > 600).length > 1")
        self.page.wait_for_timeout(4000)
        middles = self.page.evaluate(MIDDLES, [LEFT, RIGHT, TOP, BOTTOM])
        self.places = dict(zip(("galnb", "rasterize"), middles, strict=False))

    def wheel(self, name: str, zoom: int, times: int = 1) -> dict:
        """Zoom in (1) or out (-1) about the middle of a map; what the watcher saw."""
        x, y = self.places[name]
        self.page.mouse.move(x, y)
        self.page.wait_for_timeout(250)
        self.page.evaluate("at => watch.begin(...at)", [x, y])
        turn = -zoom * 0.22314 / 0.0017 if name == "galnb" else {1: -120, -1: 150}[zoom]
        for _ in range(times):
            self.page.mouse.wheel(0, turn)
        return self.page.evaluate("n => watch.end(n)", times)

    def during(self, code: str, name: str, times: int) -> list[dict]:
        """Zoom in and out while code runs in the kernel, as a cell would."""
        client = BlockingKernelClient(connection_file=str(self.file))
        client.load_connection_file()
        client.start_channels()
        client.execute(code)
        self.page.wait_for_timeout(300)
        seen = [self.wheel(name, 1 - 2 * (k % 2)) for k in range(times)]
        client.execute_interactive("", timeout=60)  # done only when the code is
        client.stop_channels()
        return seen


def measure(here: Page) -> dict:
    """All figures, by map: columns of the table."""
    table, through = {name: {} for name in here.places}, [1] * 15 + [-1] * 15
    seen = {name: [] for name in table}
    for zoom in [1, 1, 1, -1, -1, -1, *through]:
        for name in table:
            seen[name].append(here.wheel(name, zoom))
    for name, row in table.items():
        ms, message = (np.array([turn[what] for turn in seen[name][6:]]) for what in ("ms", "message"))
        row["wheel to picture, ms"] = np.median(ms)
        row["its 10 % to 90 %, ms"] = "{:.0f} to {:.0f}".format(*np.percentile(ms, (10, 90)))
        row["wheel to message, ms"] = np.median(message)
        row["turns that painted no picture"] = np.sum(ms < message)
        kB = np.concatenate([turn["bytes"] for turn in seen[name][6:]]) / 1000
        row["message, median kB"], row["message, largest kB"] = np.median(kB), kB.max()
        bursts = [here.wheel(name, zoom, times=20)["bytes"] for zoom in (1, -1)]
        row["renders of 20 wheel events, in; out"] = "{}; {}".format(*map(len, bursts))
        inside = here.during("import time; time.sleep(6)", name, 3)
        row["wheel to picture in a cell, ms"] = np.median([turn["ms"] for turn in inside])
    fine = {"width": 1280, "height": 2100, "deviceScaleFactor": 2, "mobile": False}
    here.page.context.new_cdp_session(here.page).send("Emulation.setDeviceMetricsOverride", fine)
    here.page.wait_for_timeout(1500)
    turns = [here.wheel("galnb", zoom) for zoom in through]
    kB = np.concatenate([turn["bytes"] for turn in turns]) / 1000
    ms = np.median([turn["ms"] for turn in turns])
    row = {"median kB": np.median(kB), "largest kB": kB.max(), "wheel to picture, ms": ms}
    table["galnb"] |= {f"at pixel ratio 2: {name}": value for name, value in row.items()}
    if "rasterize" in table:
        own, other = (row["wheel to picture, ms"] for row in table.values())
        table["galnb"]["times faster"] = f"{other / own:.1f}"
    else:
        told = here.file.with_name("memory")
        here.during(PEAK.format(path=str(told)), "galnb", 1)
        table["galnb"]["memory above the first map's, MB"] = float(told.read_text())
    here.page.close()
    return table


def main(sizes: list[int | str]) -> None:
    tables = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for n in sizes:
            place = SimpleNamespace(mktemp=lambda name: Path(tempfile.mkdtemp(prefix=name, dir=folder)))
            cells = ON_DISK.format(map=MAP, path=n) if isinstance(n, str) else CELLS.format(map=MAP, n=n)
            with serve(place) as (address, runtime):
                tables[n] = measure(Page(browser, address, runtime, cells))
        browser.close()
    columns = [tables[n][name] for n in sizes for name in tables[n]]
    called = {n: Path(n).name if isinstance(n, str) else f"{n:.0e}" for n in sizes}
    heads = [f"{name}, {called[n]}" for n in sizes for name in tables[n]]
    print("| |", " | ".join(heads), "|\n|---|" + "---:|" * len(heads))
    for what in columns[0]:
        cells = [column.get(what, "") for column in columns]
        print(f"| {what} |", " | ".join(c if isinstance(c, str) else f"{c:.0f}" for c in cells), "|")


if __name__ == "__main__":
    given = [n if n.endswith(".hats") else int(float(n)) for n in sys.argv[1:]]
    main([str(Path(n).resolve()) if isinstance(n, str) else n for n in given] or [1_000_000, 10_000_000])
