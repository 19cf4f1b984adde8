"""Real anomalies, by every score: `python -m tests.bench.bench_anomalies [folder of the data]`.

Three questions: Hyper Suprime-Cam's ordinary galaxies against each class that people named (hsc_anomalies);
Galaxy Zoo's star-or-artefact pictures among held-out SDSS galaxies; radio galaxies among the same. Scores of
latents learn, in each of 10 seeds, what is usual from a half of the ordinary galaxies, and are asked of the
other half and all anomalies; those of pictures come from weights that have seen SDSS alone. Printed are
AUROC, average precision and the precision in the top 5 %, mean and standard deviation of the seeds.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from galnb import anomaly, weights
from galnb.encoding import encode
from galnb.images import Images

from .sdss import survey

SEEDS, BANDS = 10, ("i", "r", "g")
KINDS = ("mahalanobis", "kmeans", "neighbors", "gmm", "forest", "extended")
BASELINES = ("kmeans", "PCA error")


def pictures(pixels: np.ndarray, ids, *, crop: int | None = None) -> Images:
    """uint8 (n, y, x) or (n, y, x, 3) as images of the models' bands and size."""
    pixels = pixels if pixels.ndim == 4 else np.repeat(pixels[..., None], 3, axis=3)
    images = Images(pixels.transpose(0, 3, 1, 2) / 255, id=np.asarray(ids), bands=BANDS)
    return images.resize(69).crop(64) if crop else images.resize(64)


def sets(folder: Path):
    """Name, ordinary images, and anomalies."""
    hsc = np.load(folder / "hsc_anomalies.npz")
    group = hsc["group"].astype(str)
    ids = np.array([f"{name}-{k}" for k, name in enumerate(group)])
    ordinary = group == "cosmos_1sig_boring"
    usual = pictures(hsc["images"][ordinary], ids[ordinary])
    kinds = {
        name.removeprefix("cosmos_").removeprefix("hsc_gri_"): group == name
        for name in np.unique(group[~ordinary])
    }
    kinds["all named by people"] = ~ordinary & (group != "hsc_gri_3sig_top100")
    for name, mask in kinds.items():
        yield f"HSC: {name}", usual, pictures(hsc["images"][mask], ids[mask])
    images, held = survey("ae50-sdss", path=folder / "gz2_7704.npz")
    images = images[held][list(BANDS)]
    zoo = np.load(folder / "galaxy_zoo_examples.npz")["sloan"]
    with open(folder / "galaxy_zoo_examples.csv") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["survey"] == "sloan"]
    odd = np.array([name.startswith("sloan-0_a-2_") for name in names])
    yield "SDSS: star or artefact", images, pictures(zoo[odd], np.array(names)[odd], crop=64)
    for name in ("FIRST", "NVSS"):
        radio = np.load(folder / f"frdeep_{name}.npz")["images"][:200]
        yield (
            f"SDSS: radio galaxies ({name})",
            images,
            pictures(radio, [f"{name}-{k}" for k in range(len(radio))]),
        )


def of_pictures(images: Images, models: dict) -> dict[str, np.ndarray]:
    """Scores that need no learning of what is usual here."""
    scores = {
        f"{name} error": np.sqrt(anomaly.residual_maps(images, model).mean((1, 2, 3)))
        for name, model in models.items()
        if name != "wgan"
    }
    scores["G"], scores["C"] = anomaly.misfits(images, models["wgan"])
    return scores


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GALNB_DATA", "../shared/data"))
    pca = baseline(folder)
    models = {"PCA": pca, "ae50": weights.load("ae50-sdss"), "wgan": weights.load("wgan64-sdss")}
    similar = weights.load("similar-sdss")
    known = {}
    for name, usual, odd in sets(folder):
        found: dict[str, list] = {}
        for part in (usual, odd):
            if id(part) not in known:
                known[id(part)] = (
                    part,
                    encode(part, models["ae50"]).z,
                    encode(part, similar).z,
                    of_pictures(part, models),
                )
        (_, z, s, fixed), (_, z_odd, s_odd, fixed_odd) = known[id(usual)], known[id(odd)]
        for seed in range(SEEDS):
            order = np.random.default_rng(seed).permutation(len(usual))
            learn, ask = np.array_split(order, 2)
            truth = np.arange(len(ask) + len(odd)) >= len(ask)
            scores = {k: np.concatenate([fixed[k][ask], fixed_odd[k]]) for k in fixed}
            for kind in KINDS:
                scorer = anomaly.Scorer(kind, seed=seed).fit(z[learn])
                scores[kind] = scorer.score(np.concatenate([z[ask], z_odd]))
            scores["neighbors, similar"] = (
                anomaly.Scorer("neighbors").fit(s[learn]).score(np.concatenate([s[ask], s_odd]))
            )
            g, c = (anomaly.in_sigma(scores[k], fixed[k][learn]) for k in "GC")
            scores["AS, lambda 0.7"] = 0.7 * g + 0.3 * c
            ranks = np.array([scores[k].argsort().argsort() for k in scores])
            scores["ensemble"] = ranks.mean(0)
            for kind, score in scores.items():
                top = np.argsort(-score)[: max(round(0.05 * len(score)), 1)]
                found.setdefault(kind, []).append(
                    (roc_auc_score(truth, score), average_precision_score(truth, score), truth[top].mean())
                )
        print(f"\n{name}: {len(odd)} among {len(ask)} ordinary ones; by chance {len(odd) / len(truth):.2f}")
        print("| score | AUROC | average precision | precision in the top 5 % |\n|---|---|---|---|")
        for kind in sorted(found, key=lambda kind: -np.mean(found[kind], 0)[0]):
            mean, spread = np.mean(found[kind], 0), np.std(found[kind], 0)
            cells = " | ".join(f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, spread, strict=True))
            print(f"| {kind}{' (baseline)' if kind in BASELINES else ''} | {cells} |", flush=True)


def baseline(folder: Path):
    """A PCA of 50 components of the SDSS training galaxies."""
    import torch

    from galnb.models import PCA

    images, held = survey("ae50-sdss", path=folder / "gz2_7704.npz")
    pca = PCA(BANDS, 64, 50)
    pca.fit(torch.from_numpy(images[~held][list(BANDS)].pixels).split(512))
    return pca


if __name__ == "__main__":
    main()
