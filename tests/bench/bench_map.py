"""The map at 1e8 points and beyond: build, frames, lasso, memory; and Datashader over all points beside it.

python tests/bench/bench_map.py [rows ...]     1e8 where not given; its files stay in GALNB_BENCH if set
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZE, VIEWS, CHUNK = (1000, 700), 60, 1_000_000
PAIRED = 100_000_000  # points that Datashader draws, all in memory


def clusters(row: int, n: int):
    """Chunks of a mixture of 40 Gaussians, wide and narrow, with a few far outliers; a seed each chunk."""
    drawn = np.random.default_rng(0)
    centers = drawn.normal(size=(40, 2)) * (4, 3)
    widths = np.exp(drawn.uniform(np.log(0.01), np.log(1.5), size=(40, 2)))
    share = np.cumsum(drawn.dirichlet(np.ones(40)))
    for start in range(row - row % CHUNK, n, CHUNK):
        own = np.random.default_rng([1, start])
        kind = np.searchsorted(share, own.random(CHUNK, dtype=np.float32)).clip(0, 39)
        xy = own.standard_normal((CHUNK, 2), dtype=np.float32)
        xy = xy * widths.astype("f4")[kind] + centers.astype("f4")[kind]
        xy[: CHUNK // 10_000] *= 30
        yield xy[max(row - start, 0) : n - start]


def memory(reset: bool = False) -> dict:
    """Resident memory in MB now, and its peak since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {"now": int(lines["VmRSS"].split()[0]) / 1024, "peak": int(lines["VmHWM"].split()[0]) / 1024}


def build(n: int, folder: str) -> dict:
    from galnb.store import Store

    Store.stream(lambda row: clusters(row, 100_000), tempfile.mkdtemp(), n=100_000)
    before, start = memory(reset=True)["now"], time.perf_counter()
    store = Store.stream(lambda row: clusters(row, n), folder, n=n)
    spent = time.perf_counter() - start
    size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e9
    cells = len(store.tree.counted)
    return {"seconds": spent, "peak_mb": memory()["peak"] - before, "disk_gb": size, "cells": cells}


def random_views(store, k: int = VIEWS) -> list:
    """Views of all zooms around points and around places, the first of all."""
    own = np.random.default_rng(5)
    x0, x1, y0, y1 = store.bounds
    some = store.place(own.integers(0, store.n_rows, k))
    views = [store.bounds]
    for at in range(k - 1):
        half = (x1 - x0) / 2 * 2.0 ** -own.uniform(0, 18)
        x, y = some[at] if at % 4 else (own.uniform(x0, x1), own.uniform(y0, y1))
        views.append((x - half, x + half, y - half * 0.7, y + half * 0.7))
    return views


def look(n: int, folder: str) -> dict:
    import galnb.widgets.explorer  # noqa: F401
    from galnb.render import render
    from galnb.selection import Selection
    from galnb.store import Store

    small = Store.stream(lambda row: clusters(row, 100_000), tempfile.mkdtemp())
    small.add("value", np.arange(100_000.0))
    for options in [
        {"exact": exact, "color": color} for exact in (True, False) for color in ("count", "value")
    ]:
        chosen = Selection.inside(small, [(-1, -1), (1, -1), (0, 1)])
        render(small, small.bounds, *SIZE, selected=chosen, **options)
    baseline = memory(reset=True)["now"]
    start = time.perf_counter()
    store = Store.open(folder)
    found = {"open_s": time.perf_counter() - start, "opened_mb": memory()["now"] - baseline}
    views = random_views(store)
    found["frames"] = frames(store, views)
    found["peak_mb"] = memory()["peak"] - baseline
    # a fifth: a ring of corners around the middle, as wide as it must be
    own = store.place(np.random.default_rng(6).integers(0, n, 20_000))
    middle = np.median(own, axis=0)
    radius = np.quantile(np.hypot(*(own - middle).T), 0.2)
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring = np.c_[np.cos(angle), np.sin(angle)] * radius * (1 + 0.1 * np.sin(5 * angle))[:, None] + middle
    for turn in ("lasso_first_s", "lasso_s"):
        start = time.perf_counter()
        chosen = Selection.inside(store, ring)
        found[turn] = time.perf_counter() - start
    found["selected"], found["stretches"] = len(chosen), len(chosen.spans.runs)
    start = time.perf_counter()
    rows = chosen.page(len(chosen) // 2, len(chosen) // 2 + 25)
    found["page_ms"], found["page"] = 1e3 * (time.perf_counter() - start), len(rows)
    found["frames_selected"] = frames(store, views, selected=chosen)
    found["peak_selected_mb"], found["now_mb"] = memory()["peak"] - baseline, memory()["now"] - baseline
    if n <= PAIRED:
        start = time.perf_counter()
        store.add("value", lambda row: (chunk[:, 0] for chunk in clusters(row, n)))
        found["column_s"], found["column_mb"] = time.perf_counter() - start, memory()["peak"] - baseline
        found["frames_colored"] = frames(store, views, color="value")
    return found


def frames(store, views, **options) -> dict:
    from galnb.render import render

    times, seen = [], []
    for view in views:
        start = time.perf_counter()
        frame = render(store, view, *SIZE, **options)
        times.append(1e3 * (time.perf_counter() - start))
        seen.append((frame.n_visible, frame.exact))
    slow = np.argsort(times)[::-1][:3]
    return {
        "median_ms": float(np.median(times)), "p95_ms": float(np.percentile(times, 95)), "max_ms": max(times),
        "cells": sum(not exact for _, exact in seen), "first_ms": times[0],
        "slowest": [(round(times[k]), int(seen[k][0]), bool(seen[k][1])) for k in slow],
    }  # fmt: skip


def paired(n: int, folder: str) -> dict:
    """Datashader over all points in memory, a few of the same views."""
    import pandas as pd
    from datashader import Canvas

    from galnb.store import Store

    views = random_views(Store.open(folder))[:: VIEWS // 6]
    table = pd.DataFrame(np.concatenate(list(clusters(0, n))), columns=["x", "y"])
    times = []
    for view in [views[0], *views]:
        start = time.perf_counter()
        Canvas(*SIZE, view[:2], view[2:]).points(table, "x", "y")
        times.append(1e3 * (time.perf_counter() - start))
    return {"points": n, "median_ms": float(np.median(times[1:])), "all_ms": [round(t) for t in times[1:]]}


def child(task: str, n: int, folder: str) -> dict:
    """One task in its own process, whose memory is its own."""
    command = [sys.executable, __file__, task, str(n), folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1], parse_float=lambda text: round(float(text), 2))


def main(sizes: list[int]) -> None:
    for n in sizes:
        place = os.environ.get("GALNB_BENCH")
        folder = Path(place, f"map{n:.0e}") if place else Path(tempfile.mkdtemp())
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{n:.0e} points", flush=True)
        for task in ("build", "look", "paired"):
            found = child(task, min(n, PAIRED) if task == "paired" else n, str(folder))
            print(f"  {task}:", json.dumps(found), flush=True)
        if not place:
            shutil.rmtree(folder)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("build", "look", "paired"):
        task = {"build": build, "look": look, "paired": paired}[sys.argv[1]]
        print(json.dumps(task(int(sys.argv[2]), sys.argv[3])))
    else:
        main([int(float(n)) for n in sys.argv[1:]] or [PAIRED])
