"""Densities, exact, known and real: `python -m tests.bench.bench_density [folder] [part] [kind]`.

Parts (all, where none is named; any kinds, where some are): "exact", determinants, inverses, integrals and
draws of every flow, see `exact.py`; "truths", held-out nats below those of the true density, and the energy
distance of draws beside that of two samples of the truth; "real", held-out nats of SDSS latents (50-d) and of
the EGS and BOSS magnitudes and colors, 5 seeds, each as its paired difference from the mixture of Gaussians;
"speed", log_prob of a million points of 50 dimensions beside zuko called bare, block by block in turns, and
streamed over catalogues.
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

from . import exact
from .bench_map import memory
from .truths import TRUTHS, energy

SEEDS, N, ASKED, DRAWS, TWINS = 5, 200_000, 20_000, 3000, 10
ROWS, PASSES, STREAMED = 1_000_000, 5, (100_000, 1_000_000, 4_000_000)
SMALL = {"nsf": {"transforms": 4, "hidden": (64, 64)}}
SHARP = {"steps": 4000, "batch": 2048, "rate": 4e-3, "transforms": 1, "bins": 16, "hidden": (256, 256, 256)}
FLOWS = {
    "gmm": {},
    "kde": {},
    "realnvp": {"steps": 2000},
    "maf": {"steps": 2000},
    "nsf": {"steps": 2000, "transforms": 4, "hidden": (64, 64)},
    "arnsf": SHARP,
    "ffjord": {"steps": 800, "batch": 1024, "rate": 1e-2, "hidden": (64, 64), "tolerance": 1e-4},
    "matching": {"steps": 4000, "batch": 1024, "hidden": (128, 128, 128, 128), "average": 0.999},
}
REAL = {
    "gmm": {},
    "realnvp": {"steps": 1500, "transforms": 8, "weight_decay": 1.0},
    "maf": {"steps": 1500, "weight_decay": 1.0},
    "nsf": {"steps": 800, "transforms": 3, "hidden": (64, 64), "weight_decay": 1.0},
    "ffjord": {"steps": 600, "hidden": (128, 128), "rate": 5e-3, "weight_decay": 1.0, "tolerance": 1e-3},
    "matching": {"steps": 3000, "average": 0.999, "weight_decay": 1.0, "tolerance": 1e-3},
}
COLUMNS = {  # of few columns there is less to overfit
    "gmm": {},
    "realnvp": {"steps": 2000, "transforms": 8},
    "maf": {"steps": 2000},
    "nsf": {"steps": 2000, "transforms": 4, "hidden": (64, 64)},
    "ffjord": {"steps": 600, "hidden": (128, 128), "rate": 1e-2, "tolerance": 1e-3},
    "matching": {"steps": 4000, "batch": 1024, "average": 0.999, "tolerance": 1e-3},
}


def truths(kinds) -> None:
    """A row a kind, a cell a truth."""
    print(
        f"nats below the truth on {ASKED:,} points ± its error, 1000 x energy distance of {DRAWS:,} draws,"
        f" mean of {TWINS}; in the first row that of two samples of the truth, ± their scatter"
    )
    print(" " * 11 + "".join(f" | {name:>20s}" for name in TRUTHS))
    scale = {name: truth.sample(ASKED, 1).std(0) for name, truth in TRUTHS.items()}

    def true(name, seed):
        return TRUTHS[name].sample(DRAWS, seed) / scale[name]

    twins = {
        name: [energy(true(name, 2 * k), true(name, 2 * k + 1)) for k in range(TWINS)] for name in TRUTHS
    }
    cells = (f"{1e3 * np.mean(each):+.2f} ± {1e3 * np.std(each):.2f}" for each in twins.values())
    print(f"  {'truth':9s}" + "".join(f" | {cell:>20s}" for cell in cells), flush=True)
    for kind in kinds or FLOWS:
        began = time.perf_counter()
        print(f"  {kind:9s}", end="", flush=True)
        for name, truth in TRUTHS.items():
            asked = truth.sample(ASKED, 1)
            found = density.fit(truth.sample(N, 0), kind, **FLOWS[kind])
            below = truth.log_prob(asked) - found.log_prob(asked)
            apart = [energy(found.sample(DRAWS, seed=k) / scale[name], true(name, k)) for k in range(TWINS)]
            apart = 1e3 * np.mean(apart)
            print(f" | {below.mean():.3f} ± {below.std() / ASKED**0.5:.3f}, {apart:5.2f}", end="", flush=True)
        print(f" | {time.perf_counter() - began:.0f} s", flush=True)


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


def real(folder: Path, kinds) -> None:
    latents = Latents.read(ASSETS / "sdss-latents.parquet")
    mask = held_out(latents.id)
    sets = {"SDSS latents": (latents.z[~mask], latents.z[mask])}
    for name, x in photometry(folder).items():
        order = np.random.default_rng(0).permutation(len(x))
        sets[name] = x[order[len(x) // 5 :]], x[order[: len(x) // 5]]
    print(
        f"held-out nats, mean of {SEEDS} seeds ± their scatter | paired difference from the mixture, ± its"
        " error by galaxies, and its scatter between seeds"
    )
    for name, (z, asked) in sets.items():
        known = None
        learning = REAL if z.shape[1] > 10 else COLUMNS
        for kind in ("gmm", *(kind for kind in kinds or learning if kind != "gmm")):
            began = time.perf_counter()
            each = [density.fit(z, kind, seed=s, **learning[kind]).log_prob(asked) for s in range(SEEDS)]
            each = np.array(each)
            known = each if known is None else known
            apart = each - known
            error = apart.mean(0).std() / len(asked) ** 0.5
            print(
                f"  {name:13s} {z.shape} {kind:8s} {each.mean():8.3f} ± {each.mean(1).std():.3f}"
                f" | {apart.mean():+.3f} ± {error:.3f}, {apart.mean(1).std():.3f} |"
                f" {(time.perf_counter() - began) / SEEDS:4.0f} s a seed",
                flush=True,
            )


def quick(kind: str, z: np.ndarray):
    """A flow as large as a learned one, and as slow."""
    return density.fit(z[:2000], kind, steps=5, **SMALL.get(kind, {}))


def timed(blocks, *works) -> np.ndarray:
    """Wall and processor seconds (pass, work, 2) of works on all blocks; they take turns at every block."""
    spent = np.zeros((PASSES, len(works), 2))
    for k in range(PASSES):
        for i, block in enumerate(blocks):
            for w in range(len(works))[:: 1 if (i + k) % 2 else -1]:
                began = time.perf_counter(), time.process_time()
                works[w](block)
                spent[k, w] += time.perf_counter() - began[0], time.process_time() - began[1]
    return spent


@torch.no_grad()
def speed(kinds) -> None:
    z = np.random.default_rng(0).normal(size=(ROWS, 50)).astype(np.float32)
    print(
        f"log_prob of {ROWS:,} points of 50 dimensions, beside zuko called bare in turns on blocks of"
        f" {BLOCK:,}; median of {PASSES} passes (and their range)"
    )
    blocks = [z[at : at + BLOCK] for at in range(0, ROWS, BLOCK)]
    for kind in kinds or ("realnvp", "maf", "nsf"):
        found = quick(kind, z)
        bare = found.flow()
        spent = timed(blocks, found.log_prob, lambda block: bare.log_prob(torch.from_numpy(block)))  # noqa: B023
        for clock, (ours, alone) in zip(("wall", "processor"), spent.T, strict=True):
            ratio = ours / alone
            print(
                f"  {kind:8s} {clock:9s} {np.median(ours):6.1f} s, {np.median(alone):6.1f} s,"
                f" ratio {np.median(ratio):.3f} ({ratio.min():.3f} to {ratio.max():.3f})",
                flush=True,
            )
    with tempfile.TemporaryDirectory() as folder:
        weights.save(quick("realnvp", z), Path(folder, "flow"))
        for n in STREAMED:
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
    PARTS = {
        "exact": lambda: exact.main(kinds or exact.FLOWS),
        "truths": lambda: truths(kinds),
        "real": lambda: real(where, kinds),
        "speed": lambda: speed(kinds),
    }
    parts, kinds = ([a for a in sys.argv[1:] if a in known] for known in (PARTS, FLOWS | REAL | {"nice": {}}))
    rest = [a for a in sys.argv[1:] if a not in (*parts, *kinds)]
    where = Path(rest[0] if rest else os.environ.get("GALNB_DATA", "../shared/data"))
    for part in parts or PARTS:
        PARTS[part]()
