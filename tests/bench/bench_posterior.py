"""Redshift posteriors of the SDSS main sample: `python -m tests.bench.bench_posterior [folder of the data]`.

p(z | u, g, r, i, z) of 5,000 galaxies, asked of 5,000 others: the Kolmogorov-Smirnov distance of the PIT from
uniform, expected coverage's likewise, the continuous ranked probability score, and sigma_68 and bias of the
medians' (z - z_spec) / (1 + z_spec); beside the redshifts of the 50 nearest in magnitude and colors, and of
the leaves of a random forest. Five seeds. Then simulation-based calibration where the truth is known.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import NearestNeighbors

from galnb import calibration, density

SEEDS, DRAWS = 5, 500
KINDS = {
    "gmm": {"components": 16},
    "nsf": {"steps": 1500, "batch": 256, "transforms": 3, "hidden": (64, 64)},
}


def columns(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Redshifts (n,) and the magnitudes (n, 5)."""
    found = np.loadtxt(path)
    return found[:, 0], found[:, 1:6]


def with_colors(magnitudes: np.ndarray) -> np.ndarray:
    return np.column_stack([magnitudes, magnitudes[:, :-1] - magnitudes[:, 1:]])


def neighbors(x, z, asked, seed) -> np.ndarray:
    """Redshifts (n, 50) of the nearest in units of each column's scatter."""
    scale = x.std(0)
    found = NearestNeighbors(n_neighbors=50).fit(x / scale)
    return z[found.kneighbors(asked / scale, return_distance=False)]


def forest(x, z, asked, seed) -> np.ndarray:
    """Redshifts (n, 500) drawn from the leaves that a galaxy falls into (Meinshausen 2006)."""
    trees = RandomForestRegressor(100, min_samples_leaf=5, random_state=seed).fit(x, z)
    leaves, own, rng, out = trees.apply(x), trees.apply(asked), np.random.default_rng(seed), []
    for tree in range(leaves.shape[1]):
        order = np.argsort(leaves[:, tree], kind="stable")
        first = np.searchsorted(leaves[order, tree], own[:, tree], "left")
        last = np.searchsorted(leaves[order, tree], own[:, tree], "right")
        at = first[:, None] + rng.random((len(asked), DRAWS // 100)) * (last - first)[:, None]
        out.append(z[order[at.astype(int)]])
    return np.concatenate(out, axis=1)


def told(name: str, scores: list[dict], began: float) -> None:
    seconds = (time.perf_counter() - began) / len(scores)
    mean = {key: (np.mean([s[key] for s in scores]), np.std([s[key] for s in scores])) for key in scores[0]}
    line = " | ".join(f"{key} {m:.4f} ± {s:.4f}" for key, (m, s) in mean.items())
    print(f"  {name:9s} | {line} | {seconds:.0f} s", flush=True)


def redshifts(folder: Path) -> None:
    (z, x), (true, asked) = (columns(folder / f"SDSS_MGS.{part}") for part in ("train", "test"))
    print(f"{len(z):,} galaxies to learn from, {len(true):,} asked of; mean of {SEEDS} seeds ± their scatter")
    for name, draw in (("50 nearest", neighbors), ("forest", forest)):
        began = time.perf_counter()
        each = [draw(with_colors(x), z, with_colors(asked), seed) for seed in range(SEEDS)]
        told(name, [calibration.photoz_scores(draws, true) for draws in each], began)
    for kind, options in KINDS.items():
        began, scores = time.perf_counter(), []
        for seed in range(SEEDS):
            found = density.fit(z[:, None], kind, given=x, seed=seed, **options)
            draws = found.sample(DRAWS, asked, seed=seed)[..., 0]
            covered = calibration.coverage(found, true[:500], asked[:500], draws=200)
            scores.append(
                calibration.photoz_scores(draws, true) | {"coverage_ks": calibration.uniformity(covered)}
            )
        told(kind, scores, began)


def known() -> None:
    """Two parameters of a line, ten noisy points: truth and data from one joint density (Talts+2018)."""

    def simulate(n, seed):
        rng = np.random.default_rng(seed)
        line, at = rng.normal(size=(n, 2)), np.linspace(-1, 1, 10)
        return line, line[:, :1] + line[:, 1:] * at + 0.5 * rng.normal(size=(n, 10))

    (line, x), (true, asked) = simulate(20_000, 0), simulate(2000, 1)
    print("\nslope and offset of a line, 2,000 truths: Kolmogorov-Smirnov distance of ranks from uniform")
    for kind, options in {"gmm": {}, "realnvp": {"steps": 1500}}.items():
        found = density.fit(line, kind, given=x, **options)
        ranks = calibration.ranks(found.sample(199, asked), true)
        apart = [calibration.uniformity((ranks[:, k] + 0.5) / 200) for k in range(2)]
        print(f"  {kind:8s} {apart[0]:.4f} {apart[1]:.4f} (5 % of right ones: above {1.36 / 2000**0.5:.4f})")


if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GALNB_DATA", "../shared/data"))
    redshifts(where / "photoz_sdss_mgs_mlz")
    known()
