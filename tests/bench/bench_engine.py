"""Kernel-side time of one frame: galnb, Datashader over all points, HoloViews' rasterize; paired.

python tests/bench/bench_engine.py [repeats]
"""

import sys
import time

import holoviews as hv
import numpy as np
import pandas as pd
from datashader import Canvas
from holoviews.operation.datashader import rasterize

from galnb.render import render
from galnb.store import Store

SIZE = 700, 600


def main(repeats: int) -> None:
    print("  points  view   visible    galnb   canvas rasterize  canvas/galnb  rasterize/galnb   (ms)")
    for n in (1_000_000, 10_000_000):
        x, y = np.random.default_rng(0).normal(size=(2, n)).astype("f4")
        store, table = Store.build(x, y), pd.DataFrame({"x": x, "y": y})
        points = hv.Points(table, ["x", "y"])
        for name, half in (("wide", 5.5), ("mid", 1.0), ("deep", 0.1)):
            view = (-half, half, -half, half)
            ways = {
                "galnb": lambda v=view, store=store: render(store, v, *SIZE),
                "canvas": lambda v=view, table=table: Canvas(*SIZE, v[:2], v[2:]).points(table, "x", "y"),
                "rasterize": lambda v=view, points=points: rasterize(
                    points, x_range=v[:2], y_range=v[2:], width=SIZE[0], height=SIZE[1], dynamic=False
                ),
            }
            times = {way: [] for way in ways}
            for turn in range(repeats + 1):
                for way, draw in ways.items():
                    start = time.perf_counter()
                    draw()
                    if turn:  # the first turn compiles
                        times[way].append(1e3 * (time.perf_counter() - start))
            own, canvas, holo = (float(np.median(times[way])) for way in ways)
            visible = render(store, view, *SIZE).n_visible
            print(
                f"{n:8.0e} {name:>5} {visible:9d} {own:8.1f} {canvas:8.1f} {holo:9.1f}  "
                f"{canvas / own:7.1f} {holo / own:16.1f}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
