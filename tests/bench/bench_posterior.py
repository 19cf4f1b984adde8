"""Whether posteriors mean what they say: `python -m tests.bench.bench_posterior [folder] [part] [figure]`.

Parts (all, where none is named): "redshifts", p(z | u, g, r, i, z) of 5,000 galaxies of the SDSS main sample,
asked of 5,000 others: Kolmogorov-Smirnov distances from uniform of PIT, ranks (SBC) and expected coverage,
the continuous ranked probability score, and sigma_68 and bias of the medians' (z - z_spec) / (1 + z_spec);
"parameters", what is measured of pictures of SDSS galaxies, given their 50 latents. Beside both the 50
nearest and the leaves of a random forest. "known", calibration where the truth is known. A path that ends
with .png or .pdf is where the calibration of redshifts is drawn.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import NearestNeighbors

from galnb import Latents, calibration, density
from galnb.provenance import held_out
from galnb.weights import ASSETS

SEEDS, DRAWS, RANKED = 5, 500, 199
KINDS = {
    "gmm": {"components": 16},
    "nsf": {"steps": 1500, "batch": 256, "transforms": 3, "hidden": (64, 64)},
}
JOINT = {
    "gmm": {"components": 4},
    "realnvp": {"steps": 1500, "batch": 256, "transforms": 6, "hidden": (64, 64), "weight_decay": 1.0},
}
LOGS, LINEAR = ("flux", "half_light_radius"), ("concentration", "asymmetry", "ellipticity")


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


def sbc(draws: np.ndarray, true: np.ndarray) -> float:
    """How far ranks among a part of the draws are from uniform."""
    some = draws[:, : min(RANKED, draws.shape[1])]
    return calibration.uniformity((calibration.ranks(some, true) + 0.5) / (some.shape[1] + 1))


def redshifts(folder: Path, drawing: Path | None = None) -> None:
    (z, x), (true, asked) = (columns(folder / f"SDSS_MGS.{part}") for part in ("train", "test"))
    print(f"{len(z):,} galaxies to learn from, {len(true):,} asked of; mean of {SEEDS} seeds ± their scatter")
    drawn = {}
    for name, draw in (("50 nearest", neighbors), ("forest", forest)):
        began = time.perf_counter()
        each = [draw(with_colors(x), z, with_colors(asked), seed) for seed in range(SEEDS)]
        scores = [calibration.photoz_scores(draws, true) | {"sbc_ks": sbc(draws, true)} for draws in each]
        told(name, scores, began)
        drawn[f"{name}, PIT"] = calibration.pit(each[0], true)
    for kind, options in KINDS.items():
        began, scores = time.perf_counter(), []
        for seed in range(SEEDS):
            found = density.fit(z[:, None], kind, given=x, seed=seed, **options)
            draws = found.sample(DRAWS, asked, seed=seed)[..., 0]
            covered = calibration.coverage(found, true, asked, draws=200)
            own = {"sbc_ks": sbc(draws, true), "coverage_ks": calibration.uniformity(covered)}
            scores.append(calibration.photoz_scores(draws, true) | own)
        told(kind, scores, began)
        drawn[f"{kind}, PIT"], drawn[f"{kind}, coverage"] = calibration.pit(draws, true), covered
    if drawing:
        shown = ("50 nearest, PIT", "gmm, PIT", "nsf, PIT", "nsf, coverage")
        calibration.figure({name: drawn[name] for name in shown}).savefig(drawing, dpi=150)


def measured() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What SDSS pictures measure (n, 5), in standard deviations, their latents, and who is held out."""
    latents = Latents.read(ASSETS / "sdss-latents.parquet")
    flux_and_size = [np.log(np.asarray(latents[name], dtype=float)) for name in LOGS]
    found = np.stack([*flux_and_size, *(np.asarray(latents[name], dtype=float) for name in LINEAR)], axis=1)
    good = np.isfinite(found).all(axis=1)
    mask, found = held_out(latents.id)[good], found[good]
    return (found - found[~mask].mean(0)) / found[~mask].std(0), latents.z[good], mask


def parameters() -> None:
    """p(flux, radius, concentration, asymmetry, ellipticity | latents), of all five at once."""
    y, x, mask = measured()
    learn, true, asked = y[~mask], y[mask], x[mask]
    print(
        f"\n{len(learn):,} galaxies to learn from, {len(true):,} asked of; mean of {SEEDS} seeds ± scatter;"
        f" distances from uniform (5 % of right ones: above {1.36 / len(true) ** 0.5:.3f}), CRPS in standard"
        " deviations of what is measured"
    )
    print(" " * 12 + "".join(f"{name:>22s}" for name in (*LOGS, *LINEAR, "coverage, of all")))
    for name in ("50 nearest", "forest", *JOINT):
        began, scores, covered = time.perf_counter(), {"PIT": [], "SBC": [], "CRPS": []}, []
        for seed in range(SEEDS):
            if name in JOINT:
                found = density.fit(learn, name, given=x[~mask], seed=seed, **JOINT[name])
                draws = found.sample(DRAWS, asked, seed=seed)
                covered.append(calibration.uniformity(calibration.coverage(found, true, asked, draws=200)))
            else:
                draws = {"50 nearest": neighbors, "forest": forest}[name](x[~mask], learn, asked, seed)
            each = [(draws[..., k], true[:, k]) for k in range(true.shape[1])]
            scores["PIT"].append([calibration.uniformity(calibration.pit(*one)) for one in each])
            scores["SBC"].append([sbc(*one) for one in each])
            scores["CRPS"].append([calibration.crps(*one).mean() for one in each])
        for score, found in scores.items():
            cells = np.column_stack([found, covered]) if covered and score == "PIT" else np.array(found)
            line = "".join(f"{m:14.3f} ± {s:.3f}" for m, s in zip(cells.mean(0), cells.std(0), strict=True))
            print(f"  {name:10s} {score:4s}{line}", flush=True)
        print(f"  {name:10s} {(time.perf_counter() - began) / SEEDS:.0f} s a seed", flush=True)


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
    given = sys.argv[1:]
    parts = [a for a in given if a in ("redshifts", "parameters", "known")]
    drawing = next((Path(a) for a in given if a.endswith((".png", ".pdf"))), None)
    rest = [a for a in given if a not in parts and not a.endswith((".png", ".pdf"))]
    where = Path(rest[0] if rest else os.environ.get("GALNB_DATA", "../shared/data")) / "photoz_sdss_mgs_mlz"
    for part in parts or ("redshifts", "parameters", "known"):
        {"redshifts": lambda: redshifts(where, drawing), "parameters": parameters, "known": known}[part]()
