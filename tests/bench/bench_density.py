"""Densities against known truths and on real columns: `python -m tests.bench.bench_density [folder] [part]`.

Parts (all, where none is named): "truths", held-out nats below those of the true density, and the energy
distance of draws beside that of two samples of the truth; "real", held-out nats of SDSS latents (50-d) and of
the EGS and BOSS magnitudes and colors, 5 seeds, each as its paired difference from the mixture of Gaussians;
"speed", log_prob of a million points of 50 dimensions beside zuko called bare, and streamed over a catalogue.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import galnb
from galnb import Latents, annotate, density, mock, weights
from galnb.densities.base import BLOCK
from galnb.provenance import held_out
from galnb.weights import ASSETS

from .bench_map import memory
from .truths import TRUTHS, energy

SEEDS, N, ASKED = 5, 200_000, 20_000
SMALL = {"nsf": {"transforms": 4, "hidden": (64, 64)}}
SHARP = {"steps": 4000, "batch": 2048, "rate": 4e-3, "transforms": 1, "bins": 16, "hidden": (256, 256, 256)}
FLOWS = {
    "gmm": {},
    "kde": {},
    "realnvp": {"steps": 2000},
    "maf": {"steps": 2000},
    "nsf": {"steps": 2000, "transforms": 4, "hidden": (64, 64)},
    "arnsf": SHARP,
    "ffjord": {"steps": 150, "batch": 1024, "rate": 1e-2, "hidden": (64, 64)},
    "matching": {"steps": 4000, "batch": 1024, "hidden": (128, 128, 128, 128), "average": 0.999},
}
REAL = {
    "gmm": {},
    "realnvp": {"steps": 1500, "transforms": 8, "weight_decay": 1.0},
    "maf": {"steps": 1500, "weight_decay": 1.0},
    "nsf": {"steps": 800, "transforms": 3, "hidden": (64, 64), "weight_decay": 1.0},
    "ffjord": {"steps": 120, "hidden": (128, 128), "rate": 5e-3, "tolerance": 1e-3},
}
COLUMNS = {  # of few columns there is less to overfit
    "gmm": {},
    "realnvp": {"steps": 2000, "transforms": 8},
    "maf": {"steps": 2000},
    "nsf": {"steps": 2000, "transforms": 4, "hidden": (64, 64)},
    "ffjord": {"steps": 200, "hidden": (128, 128), "rate": 1e-2, "tolerance": 1e-3},
}


def truths() -> None:
    print(
        "nats below the truth on 20,000 points | energy distance of 3,000 draws, of the truth's own | seconds"
    )
    for name, truth in TRUTHS.items():
        z, asked = truth.sample(N, 0), truth.sample(ASKED, 1)
        scale = asked.std(0)
        twins = [
            energy(truth.sample(3000, k) / scale, truth.sample(3000, k + 1) / scale) for k in range(2, 12, 2)
        ]
        for kind, options in FLOWS.items():
            began = time.perf_counter()
            found = density.fit(z, kind, **options)
            below = truth.log_prob(asked) - found.log_prob(asked)
            apart = energy(found.sample(3000, seed=1) / scale, truth.sample(3000, 20) / scale)
            print(
                f"  {name:14s} {kind:9s} {below.mean():8.3f} ± {below.std() / ASKED**0.5:.3f}"
                f" | {apart:8.1e} ({np.mean(twins):8.1e} ± {np.std(twins):.0e}) |"
                f" {time.perf_counter() - began:5.0f} s",
                flush=True,
            )


def photometry(folder: Path) -> dict[str, np.ndarray]:
    """EGS and BOSS: the magnitude i and the colors, of galaxies that have all bands."""
    import pyarrow.parquet as pq

    egs = pq.read_table(folder / "egs_photoz.parquet", columns=list("ugriz")).to_pandas().to_numpy()
    train = sorted((folder / "photoz_boss_dr10_annz" / "photoZ" / "train").glob("boss_dr10_[013].csv"))
    boss = np.concatenate([np.loadtxt(path, delimiter=",", usecols=range(0, 10, 2)) for path in train])
    return {
        name: np.column_stack([x[:, 3], x[:, :-1] - x[:, 1:]])
        for name, x in (("EGS ugriz", egs), ("BOSS ugriz", boss))
        for x in [x[((x > 0) & (x < 40)).all(axis=1)]]
    }


def real(folder: Path) -> None:
    latents = Latents.read(ASSETS / "sdss-latents.parquet")
    mask = held_out(latents.id)
    sets = {"SDSS latents": (latents.z[~mask], latents.z[mask])}
    for name, x in photometry(folder).items():
        order = np.random.default_rng(0).permutation(len(x))
        sets[name] = x[order[len(x) // 5 :]], x[order[: len(x) // 5]]
    print("held-out nats, mean of 5 seeds ± their scatter | paired difference from the mixture, ± its error")
    for name, (z, asked) in sets.items():
        known = None
        for kind, options in (REAL if z.shape[1] > 10 else COLUMNS).items():
            began = time.perf_counter()
            each = np.array([density.fit(z, kind, seed=s, **options).log_prob(asked) for s in range(SEEDS)])
            known = each if known is None else known
            apart = (each - known).mean(0)
            print(
                f"  {name:13s} {z.shape} {kind:8s} {each.mean():8.3f} ± {each.mean(1).std():.3f}"
                f" | {apart.mean():+.3f} ± {apart.std() / len(apart) ** 0.5:.3f} |"
                f" {(time.perf_counter() - began) / SEEDS:4.0f} s a seed",
                flush=True,
            )


def quick(kind: str, z: np.ndarray):
    """A flow as large as a learned one, and as slow."""
    return density.fit(z[:2000], kind, steps=5, **SMALL.get(kind, {}))


def timed(*works) -> tuple[float, float, float]:
    """Seconds of two, in turns, five times: medians, and the median of their ratios."""
    times = [[] for _ in works]
    for _ in range(5):
        for work, spent in zip(works, times, strict=True):
            began = time.perf_counter()
            work()
            spent.append(time.perf_counter() - began)
    ours, bare = np.array(times)
    return float(np.median(ours)), float(np.median(bare)), float(np.median(ours / bare))


@torch.no_grad()
def speed() -> None:
    z = np.random.default_rng(0).normal(size=(1_000_000, 50)).astype(np.float32)
    print("log_prob of points of 50 dimensions, beside zuko called bare with the same blocks and threads")
    for kind, n in (("realnvp", 1_000_000), ("maf", 1_000_000), ("nsf", 100_000)):
        found, rows = quick(kind, z), z[:n]
        parts = torch.from_numpy(rows).split(BLOCK)
        alone = lambda: [found.flow().log_prob(part) for part in parts]  # noqa: B023, E731
        ours, bare, ratio = timed(lambda: found.log_prob(rows), alone)  # noqa: B023
        print(f"  {kind:8s} {n:9,d} rows {ours:6.1f} s, {bare:6.1f} s, ratio {ratio:.3f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        weights.save(quick("realnvp", z), Path(folder, "flow"))
        for n in (100_000, 1_000_000):
            mock.mock(n, Path(folder, f"{n}.hats"))
            child = multiprocessing.get_context("spawn").Process(target=streamed, args=(folder, n))
            child.start()
            child.join()


def streamed(folder: str, n: int) -> None:
    """Log p of a catalogue's latents into another; told are seconds, and memory above that of an idle run."""
    found, survey = density.load(Path(folder, "flow")), galnb.read(Path(folder, f"{n}.hats"))
    found.log_prob(np.zeros((1, found.dim)))
    before, began = memory(reset=True)["now"], time.perf_counter()
    annotate.annotate(survey, Path(folder, f"{n}-scored.hats"), {"log_p": found.log_prob})
    spent = time.perf_counter() - began
    print(
        f"  {n:9,d} rows streamed into a catalogue: {spent:.0f} s, {memory()['peak'] - before:.0f} MB above",
        flush=True,
    )


if __name__ == "__main__":
    parts = [a for a in sys.argv[1:] if a in ("truths", "real", "speed")]
    where = next((a for a in sys.argv[1:] if a not in parts), os.environ.get("GALNB_DATA", "../shared/data"))
    for part in parts or ("truths", "real", "speed"):
        {"truths": truths, "real": lambda: real(Path(where)), "speed": speed}[part]()
