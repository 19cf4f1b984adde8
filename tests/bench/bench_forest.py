"""Isolation forests beside scikit-learn's and isotree's: `python -m tests.bench.bench_forest`.

AUROC of 10 seeds, mean and standard deviation, with 100 trees of 256 rows, on sets that scikit-learn holds
and on those of Hariri, Carrasco Kind & Brunner 2019; the variance of scores along circles of constant
density; the time of fit and score of 1,000,000 x 50 features, one after the other in one process; memory, in
processes of their own. isotree is compared where it is installed (pip install isotree compiles for minutes).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import IsolationForest as Reference
from sklearn.metrics import roc_auc_score

from galnb.forest import IsolationForest

from .bench_map import memory as held

try:
    from isotree import IsolationForest as Isotree
except ImportError:
    Isotree = None
SEEDS, ROWS, FEATURES = 10, 1_000_000, 50


def sets():
    """Name, features and which rows are outliers."""
    rng = np.random.default_rng(0)
    for name, load, usual, odd, most in (
        ("tumors: malignant", load_breast_cancer, 1, 0, 40),
        ("digits: ones among zeros", load_digits, 0, 1, 20),
        ("digits: sevens among threes", load_digits, 3, 7, 20),
        ("digits: nines among fours", load_digits, 4, 9, 20),
    ):
        x, y = load(return_X_y=True)
        few = rng.permutation(np.flatnonzero(y == odd))[:most]
        yield name, *_labeled(x[y == usual], x[few])
    yield from synthetic(rng)


def _labeled(usual, odd):
    x = np.concatenate([usual, odd])
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-9), np.arange(len(x)) >= len(usual)


def synthetic(rng):
    """The clouds of the paper with outliers where its score maps have ghosts, and outliers in one of many."""
    angle = rng.uniform(0, 2 * np.pi, 100)
    ring = 3.5 * np.stack([np.cos(angle), np.sin(angle)], 1)
    yield "one blob: a ring at 3.5 sigma", *_labeled(rng.normal(size=(2000, 2)), ring)
    blobs, ghosts = (
        np.concatenate([rng.normal(place, 1, (n, 2)) for place in places])
        for places, n in ((((0, 10), (10, 0)), 1000), (((0, 0), (10, 10)), 50))
    )
    yield "two blobs: their ghosts", *_labeled(blobs, ghosts)
    t, odd = rng.uniform(0, 8 * np.pi, 2000), rng.uniform(0, 8 * np.pi, 100)
    wave = np.stack([t, 3 * np.sin(t) + rng.normal(0, 0.3, 2000)], 1)
    yield "sinusoid: between its arms", *_labeled(wave, np.stack([odd, -3 * np.sin(odd)], 1))
    lonely = rng.normal(size=(100, 40))
    lonely[:, 0] += 5
    yield "40 features: one is off by 5", *_labeled(rng.normal(size=(2000, 40)), lonely)
    wide = rng.normal(size=(2100, 40)) * np.geomspace(0.01, 1, 40)
    wide[2000:, 0] += 0.1
    yield "40 features of many units: the narrowest is off by 10 of its own", wide, np.arange(2100) >= 2000


def isotree(seed: int, d: int, *, extended: bool):
    options = {"ntrees": 100, "sample_size": 256, "ndim": d if extended else 1, "max_depth": 8, "nthreads": 2}
    plain = {"missing_action": "fail", "standardize_data": False, "prob_pick_pooled_gain": 0}
    return Isotree(**options, **plain, random_seed=seed)


def auroc() -> None:
    print("| AUROC | galnb | scikit-learn | galnb, extended | isotree, extended |\n|---|---|---|---|---|")
    for name, x, outlier in sets():
        found = {}
        for seed in range(SEEDS):
            psi = min(256, len(x))
            reference = Reference(n_estimators=100, max_samples=psi, random_state=seed).fit(x)
            scores = {
                "own": IsolationForest(seed=seed).fit(x).score(x), "sklearn": -reference.score_samples(x),
                "extended": IsolationForest(extension="full", seed=seed).fit(x).score(x),
            }  # fmt: skip
            if Isotree is not None:
                forest = isotree(seed, x.shape[1], extended=True)
                forest.set_params(sample_size=psi)
                scores["isotree"] = forest.fit(x).predict(x)
            for kind, score in scores.items():
                found.setdefault(kind, []).append(roc_auc_score(outlier, score))
        cells = [
            f"{np.mean(found[k]):.3f} ± {np.std(found[k]):.3f}" if k in found else ""
            for k in ("own", "sklearn", "extended", "isotree")
        ]
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def circles() -> None:
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    x = np.random.default_rng(1).normal(size=(4000, 2))
    print("\n| variance of the score along a circle | standard | extended | ratio |\n|---|---|---|---|")
    forests = [[IsolationForest(500, extension=e, seed=seed).fit(x) for seed in range(SEEDS)] for e in (0, 1)]
    for radius in (1, 2, 3, 4, 5):
        plain, extended = (np.mean([f.score(radius * ring).var() for f in own]) for own in forests)
        print(f"| at {radius} sigma | {plain:.2e} | {extended:.2e} | {plain / extended:.1f} |", flush=True)


def large() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, FEATURES), dtype=np.float32)


def _own(x, **options):
    return IsolationForest(**options).fit(x).score(x)


def _sklearn(x):
    forest = Reference(n_estimators=100, max_samples=256, random_state=0, n_jobs=-1)
    return forest.fit(x).score_samples(x)


WAYS = {
    "galnb": lambda x: _own(x),
    "scikit-learn": _sklearn,
    "galnb, extended": lambda x: _own(x, extension="full"),
    "isotree, extended": lambda x: isotree(0, FEATURES, extended=True).fit(x).predict(x),
}


def speed() -> None:
    _own(large()[:5000]), _own(large()[:5000], extension="full")  # compile
    x, took = large(), {}
    print(f"\n| {ROWS:,} x {FEATURES} | seconds | times galnb's | memory beyond the features, MB |")
    print("|---|---|---|---|")
    for name, way in WAYS.items():
        if name.startswith("isotree") and Isotree is None:
            continue
        start = time.perf_counter()
        way(x)
        took[name] = time.perf_counter() - start
        own = took["galnb, extended" if "extended" in name else "galnb"]
        peak = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--memory", name], capture_output=True, text=True
        )
        print(f"| {name} | {took[name]:.2f} | {took[name] / own:.1f} | {peak.stdout.strip()} |", flush=True)


def memory(name: str) -> None:
    x = large()
    WAYS[name](x[:5000])
    before = held()["peak"]
    WAYS[name](x)
    print(f"{held()['peak'] - before:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", choices=WAYS)
    if name := parser.parse_args().memory:
        return memory(name)
    auroc()
    circles()
    speed()


if __name__ == "__main__":
    main()
