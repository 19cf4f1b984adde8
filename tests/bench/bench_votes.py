"""Wanted objects in the first 50 after a few votes: `python -m tests.bench.bench_votes [folder of the data]`.

A stand-in votes on what the ranking asks for, one galaxy at a time, and wants one class; what it has not been
shown, it says nothing of. The first 50 are those of the ranking with the galaxies voted on among them; the
last column counts only those that it has not voted on. Features are the latents of `similar-sdss` and what
`features.measure` gives, one default of everything for all classes; in 10 seeds, scores, forests and ranking
are made anew. The best single score is the best, of the mean of its seeds, of all: of the latents of
`ae50-sdss` and of `similar-sdss`, of the features themselves, and of pictures. Twice of it is out of reach
where it is more than the ceiling, the smaller of 50 and the members.

Features were chosen with HSC, and the mergers and edge-on galaxies of Galaxy Zoo, in sight.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np

from galnb import anomaly, features, weights
from galnb.encoding import encode
from galnb.images import Images
from galnb.ranking import METHODS, rank

from .bench_anomalies import KINDS, baseline, of_pictures, pictures, sets

SEEDS, FIRST, STEPS = 10, 50, (0, 5, 10, 15, 20, 30)


def questions(folder: Path):
    """Name, images, and which of them are wanted."""
    for name, usual, odd in sets(folder):
        if "top100" not in name and "radio" not in name:
            pixels, ids = (np.concatenate(pair) for pair in ((usual.pixels, odd.pixels), _ids(usual, odd)))
            yield name, Images(pixels, id=ids, bands=usual.bands), np.arange(len(ids)) >= len(usual)
    with open(folder / "galaxy_zoo_examples.csv") as file:
        names = np.array([row["file"] for row in csv.DictReader(file) if row["survey"] == "decals"])
    seen = pictures(np.load(folder / "galaxy_zoo_examples.npz")["decals"], names)
    yield "DECaLS: star or artefact", seen, np.char.startswith(names, "decals-0_a-2_")
    with open(folder / "gz2_votes.csv") as file:
        rows = list(csv.DictReader(file))
    share = lambda name: np.array([float(row[f"{name}_weighted_fraction"] or 0) for row in rows])  # noqa: E731
    seen = pictures(np.load(folder / "gz2_votes.npz")["images"], np.arange(len(rows)), crop=64)
    merger = (share("t06_odd_a14_yes") > 0.5) & (share("t08_odd_feature_a24_merger") > 0.5)
    yield "SDSS, GZ2 votes: merger", seen, merger
    yield "SDSS, GZ2 votes: edge-on", seen, share("t02_edgeon_a04_yes") > 0.9


def _ids(*parts: Images):
    return [part.id.astype(str) for part in parts]


def of_latents(seed: int, **spaces) -> dict[str, np.ndarray]:
    """All scores of latents and features."""
    return {
        f"{kind}, {name}": anomaly.Scorer(kind, seed=seed).fit(z).score(z)
        for name, z in spaces.items()
        for kind in KINDS
    }


def curve(x, wanted, scores, method: str, seed: int) -> list[tuple[int, int]]:
    """Wanted in the first 50 after each of STEPS, all and those without a vote."""
    votes, found = {}, []
    for n in range(STEPS[-1] + 1):
        ranking = rank(x, votes, scores=scores, method=method, seed=seed)
        if n in STEPS:
            first = ranking.order[:FIRST]
            found.append((wanted[first].sum(), wanted[first[~np.isin(first, list(votes))]].sum()))
        row = int(ranking.ask(1)[0])
        votes[row] = "interesting" if wanted[row] else "ordinary"
    return found


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GALNB_DATA", "../shared/data"))
    models = {"PCA": baseline(folder), "ae50": weights.load("ae50-sdss"), "wgan": weights.load("wgan64-sdss")}
    similar, known = weights.load("similar-sdss"), {}
    steps = " | ".join(f"{n} votes" for n in STEPS)
    print(
        f"| wanted (of all; by chance) | best single score | ranking | {steps} | 20, not voted on | ceiling |"
    )
    print("|---|---|---|" + "---|" * (len(STEPS) + 2))
    for name, images, wanted in questions(folder):
        key = images.pixels.shape, float(images.pixels.sum())
        if key not in known:
            found = features.measure(images)
            z, s = encode(images, models["ae50"]).z, encode(images, similar).z
            own = features.beside(np.zeros((len(images), 0)), found)
            fixed, spaces = of_pictures(images, models), {"ae50": z, "similar": s, "features": own}
            scores = [of_latents(seed, **spaces) | fixed for seed in range(SEEDS)]
            known[key] = features.beside(s, found), scores
        x, scores = known[key]
        single = {
            k: np.mean([wanted[np.argsort(-one[k])[:FIRST]].sum() for one in scores]) for k in scores[0]
        }
        best = max(single, key=single.get)
        ceiling = min(FIRST, int(wanted.sum()))
        about = f"{name} ({wanted.sum()} of {len(wanted)}; {FIRST * wanted.mean():.1f})"
        reach = " (twice is out of reach)" if 2 * single[best] > ceiling else ""
        for method in METHODS:
            given = [np.stack(list(one.values()), axis=1) for one in scores]
            runs = np.array([curve(x, wanted, given[k], method, k) for k in range(SEEDS)])
            mean, spread = runs.mean(axis=0), runs.std(axis=0)
            cells = " | ".join(f"{m:.1f} ± {d:.1f}" for m, d in zip(mean[:, 0], spread[:, 0], strict=True))
            row = f"| {about} | {single[best]:.1f} ({best}) | {method} | {cells}"
            print(f"{row} | {mean[STEPS.index(20), 1]:.1f} | {ceiling}{reach} |", flush=True)


if __name__ == "__main__":
    main()
