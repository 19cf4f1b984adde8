"""Time from a slider event to the new pictures: `python -m tests.bench.bench_sampler [weights]`.

16 galaxies of 64 x 64 pixels in 3 bands with pixel noise, 40 events of one slider after 5 uncounted ones. As
a person has it, pictures are measured after each, and the nearest of 7,704 (of random pixels) is looked for.
"Kernel" is from the message to its answer, with 0.3 s between events, and with none. "Browser" is from the
input event to the animation frame after the wall was painted, in JupyterLab on loopback. "A burst" is 30
events 16 ms apart: the time is that of each picture from the first event it answers, and the number that of
pictures. Weights are of a model with sliders, by name or path; without them a CVAE of the shipped one's size
is used as it was born.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np

from tests.test_browser import FLAGS, server
from tests.test_browser_sampler import Page

EVENTS, FIRST, REAL = 40, 5, 7704
MODEL = """
import numpy as np, torch
import galnb
from galnb.images import Images
name = {name!r}
torch.manual_seed(0)
model = galnb.weights.load(name) if name else galnb.models.CVAE(widths=(40, 72, 88))
pixels = np.random.default_rng(0).random(({real}, 3, 64, 64), dtype=np.float32)
panel = galnb.imagine(model, Images(pixels, bands=model.bands))
"""
WATCH = """
([share, plain]) => new Promise((done) => {
  const slider = document.querySelector(`.galnb-${plain ? "plain" : "ask"} input[type=range]`);
  const sampler = document.querySelector(".galnb-sampler");
  const before = sampler.dataset.turn, start = performance.now();
  slider.value = Math.round(1000 * share);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  const end = () => done(performance.now() - start);
  const look = () => requestAnimationFrame(sampler.dataset.turn === before ? look : end);
  requestAnimationFrame(look);
})"""
BURST = """
(plain) => new Promise((done) => {
  const slider = document.querySelector(`.galnb-${plain ? "plain" : "ask"} input[type=range]`);
  const sampler = document.querySelector(".galnb-sampler");
  const times = [];
  const seen = new MutationObserver(() => times.push(Number(sampler.dataset.ms)));
  seen.observe(sampler, { attributes: true, attributeFilter: ["data-ms"] });
  let k = 0;
  const timer = setInterval(() => {
    slider.value = 350 + 10 * k++;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    if (k === 30) { clearInterval(timer); setTimeout(() => { seen.disconnect(); done(times); }, 2000); }
  }, 16);
})"""


def row(name: str, seconds) -> None:
    ms = 1e3 * np.asarray(seconds)
    print(f"| {name} | {np.median(ms):.0f} | {np.quantile(ms, 0.95):.0f} | {len(ms)} |", flush=True)


def kernel(name: str | None, pause: float) -> list[float]:
    names: dict = {}
    exec(MODEL.format(name=name, real=REAL), names)
    sheet, answers = names["panel"].sheet, {}
    sheet.send = lambda message, buffers=None: answers.setdefault(message.get("seq"), time.perf_counter())
    sheet._handle_custom_msg({"t": "hello"}, [])
    for worker in (sheet.worker, sheet.slow, sheet.slowest):
        worker.wait()
    low, high = sheet.imagined.scales[0] if sheet.imagined.names else (-2, 2)
    took = []
    for seq in range(1, EVENTS + FIRST + 1):
        value = low + (high - low) * (0.2 + 0.6 * seq / (EVENTS + FIRST))
        asked = {sheet.imagined.names[0]: value} if sheet.imagined.names else {}
        start = time.perf_counter()
        message = {"t": "ask", "seq": seq, "asked": asked, "sigmas": [] if asked else [value]}
        sheet._handle_custom_msg(message, [])
        while seq not in answers:
            time.sleep(2e-4)
        took.append(answers[seq] - start)
        time.sleep(pause)
    return took[FIRST:]


def in_browser(name: str | None, folder) -> tuple[list[float], list[float]]:
    from playwright.sync_api import sync_playwright

    made = server.__wrapped__(folder)
    address, runtime = next(made)
    cell = nbformat.v4.new_code_cell(MODEL.format(name=name, real=REAL) + "panel")
    spec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": spec})
    nbformat.write(notebook, runtime.parent / "notebooks" / "bench.ipynb")
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = Page(chromium, (address, runtime), "lab/tree", "bench.ipynb").page
            plain = page.locator(".galnb-tick").count() == 0
            took = []
            for k in range(EVENTS + FIRST):
                took.append(page.evaluate(WATCH, [0.2 + 0.6 * k / (EVENTS + FIRST), plain]) / 1e3)
                page.wait_for_timeout(300)
            burst = [ms / 1e3 for ms in page.evaluate(BURST, plain)]
            chromium.close()
    finally:
        next(made, None)  # ends the server
    return took[FIRST:], burst


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else None
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, {name or 'untrained cvae'}")
    print("| slider to pictures | median ms | 95 % ms | pictures |\n|---|---|---|---|")
    row("kernel, 0.3 s apart", kernel(name, 0.3))
    row("kernel, without a pause", kernel(name, 0.0))
    with tempfile.TemporaryDirectory() as place:
        took, burst = in_browser(name, SimpleNamespace(mktemp=lambda _: Path(place)))
    row("browser, 0.3 s apart", took)
    row("browser, a burst of 30", burst)


if __name__ == "__main__":
    main()
