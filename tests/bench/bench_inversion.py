"""Inverting a generator by its encoder and by gradients: `python -m tests.bench.bench_inversion`.

Held-out galaxies of gz2_7704 and radio galaxies (frdeep_FIRST), by wgan64-sdss: the time of the encoder, of
ten steps from where it begins, and of 500 steps from the mean galaxy, one after the other in one process; and
how the scores G of the three agree (Spearman), over all galaxies together and over the SDSS ones alone.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from galnb import weights

from .bench_anomalies import pictures
from .sdss import survey

GALAXIES, FAR = 160, 40


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GALNB_DATA", "../shared/data"))
    gan = weights.load("wgan64-sdss")
    images, held = survey("wgan64-sdss", path=folder / "gz2_7704.npz")
    radio = np.load(folder / "frdeep_FIRST.npz")["images"][:FAR]
    x = [gan.tensor(images[held][:GALAXIES]), gan.tensor(pictures(radio, np.arange(FAR)))]
    x = torch.cat(x)
    ways = {
        "encoder": lambda: gan.encode(x),
        "encoder and 10 steps": lambda: gan.refined(x, steps=10),
        "500 steps from the mean": lambda: gan.refined(x, steps=500, start="mean"),
    }
    scores, took = {}, {}
    with torch.no_grad():
        gan.encode(x)
        for name, way in ways.items():
            start = time.perf_counter()
            z = way()
            took[name] = time.perf_counter() - start
            scores[name] = gan.misfit(x, z)[0].numpy()
    slow = scores["500 steps from the mean"]
    print(f"{GALAXIES} SDSS galaxies and {FAR} radio galaxies")
    print("| | seconds | times faster than 500 steps | mean G | Spearman, all | SDSS alone |")
    print("|---|---|---|---|---|---|")
    for name, score in scores.items():
        ranks = [spearmanr(score[:n], slow[:n]).statistic for n in (len(score), GALAXIES)]
        cells = [took[name], took["500 steps from the mean"] / took[name], score.mean(), *ranks]
        print(f"| {name} | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
