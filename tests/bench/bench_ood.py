"""What no galaxy of the survey looks like, by likelihood: `python -m tests.bench.bench_ood [folder of data]`.

Held-out SDSS galaxies against radio galaxies, Illustris mocks, noise, and pictures of one color: AUROC, where
1 is "every one of them is told", 0.5 "none", 0 "all are taken for the most usual galaxies there are". Scores:
-log p of a flow of pixels (16 x 16, one band), its typicality, its ratio to flows of galaxies of whose pixels
30 % were stirred (Ren+2019), or whose phases were scrambled; exact -log p of probabilistic PCA of all pixels;
-log p of a flow of `ae50-sdss` latents, and its typicality. A half of the held-out galaxies says what is
typical, the other half is asked; errors are those of 200 bootstraps of the galaxies and of the pictures.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from galnb import backgrounds, density, weights
from galnb.encoding import encode
from galnb.images import Images
from galnb.models import PCA
from galnb.train import fit

from .bench_anomalies import BANDS, pictures
from .sdss import survey

PIXELS = {"steps": 2500, "transforms": 8, "hidden": (256,), "rate": 1e-3, "weight_decay": 1.0}
LATENTS = {"steps": 1500, "transforms": 8, "weight_decay": 1.0}
BOOTSTRAPS = 200


def others(folder: Path, like: Images) -> dict[str, Images]:
    """Sets of pictures that are none of the survey's galaxies."""
    rng = np.random.default_rng(0)
    sets = {}
    for name in ("FIRST", "NVSS"):
        radio = np.load(folder / f"frdeep_{name}.npz")["images"][:300]
        sets[f"radio, {name}"] = pictures(radio, np.arange(len(radio)))
    with open(folder / "galaxy_zoo_examples.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["survey"] == "illustris"]
    zoo = np.load(folder / "galaxy_zoo_examples.npz")["illustris"]
    sets["Illustris mocks"] = pictures(zoo, np.arange(len(rows)), crop=64)
    shape = (300, 3, 64, 64)
    spread = np.clip(rng.normal(like.pixels.mean(), like.pixels.std(), shape), 0, 1)
    sets["noise"] = Images(spread.astype(np.float32), np.arange(300), BANDS)
    grey = np.broadcast_to(rng.uniform(0, 1, (300, 1, 1, 1)), shape)
    sets["one grey"] = Images(grey.astype(np.float32), np.arange(300), BANDS)
    dark = np.broadcast_to(like.pixels[:, :, :2, :2].mean() + 0 * grey, shape)
    dark = dark + rng.normal(0, 0.002, (300, 1, 1, 1))
    sets["empty sky's grey"] = Images(np.clip(dark, 0, 1).astype(np.float32), np.arange(300), BANDS)
    return sets


def small(images: Images) -> np.ndarray:
    """Means of the bands and of 4 x 4 pixels: (n, 256)."""
    return images.grey().bin(4).pixels.reshape(len(images), 256)


def turned(x: np.ndarray) -> np.ndarray:
    """All eight orientations."""
    views = x.reshape(-1, 16, 16)
    views = [np.rot90(v, k, (1, 2)) for v in (views, views[:, :, ::-1]) for k in range(4)]
    return np.concatenate(views).reshape(-1, 256)


def auroc(usual: np.ndarray, odd: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and its error; what has no score is the oddest."""
    rng, of = np.random.default_rng(0), np.r_[np.zeros(len(usual)), np.ones(len(odd))]
    both = np.nan_to_num(np.concatenate([usual, odd]), nan=1e30, posinf=1e30, neginf=-1e30)

    def again() -> np.ndarray:
        first, last = rng.integers(0, len(usual), len(usual)), rng.integers(len(usual), len(of), len(odd))
        return np.r_[first, last]

    drawn = [roc_auc_score(of, both[again()]) for _ in range(BOOTSTRAPS)]
    return float(roc_auc_score(of, both)), float(np.std(drawn))


def main(folder: Path) -> None:
    images, mask = survey("ae50-sdss", path=folder / "gz2_7704.npz")
    images = images[list(BANDS)]
    train, held = images[~mask], images[mask]
    sets = others(folder, held)
    ae = weights.load("ae50-sdss")
    z, zs = encode(train, ae).z, {name: encode(x, ae).z for name, x in {"": held, **sets}.items()}
    xs = {name: small(x) for name, x in {"": held, **sets}.items()}

    def spoilt(how) -> np.ndarray:
        views = turned(small(train)).reshape(-1, 1, 16, 16)
        return how(views, seed=1).reshape(-1, 256)

    pixels = density.fit(turned(small(train)), "realnvp", **PIXELS)
    noisy = density.fit(spoilt(backgrounds.stirred), "realnvp", **PIXELS)
    smooth = density.fit(spoilt(backgrounds.scrambled), "realnvp", **PIXELS)
    latent = density.fit(z, "realnvp", **LATENTS)
    linear = PCA(BANDS, 64, 50)
    fit(linear, train.pixels, progress=False)
    scores = {
        "pixels, -log p": lambda name: -pixels.log_prob(xs[name]),
        "pixels, typicality": lambda name: density.typicality(pixels, xs[name], usual=xs[""][::2]),
        "pixels, ratio to stirred": lambda name: -density.ratio(pixels, noisy, xs[name]),
        "pixels, ratio to scrambled": lambda name: -density.ratio(pixels, smooth, xs[name]),
        "PCA of all pixels, -log p": lambda name: (
            -linear.log_prob(linear.tensor(held if not name else sets[name])).numpy()
        ),
        "latents, -log p": lambda name: -latent.log_prob(zs[name]),
        "latents, typicality": lambda name: density.typicality(latent, zs[name], usual=zs[""][::2]),
    }
    print(f"AUROC against {len(held) // 2:,} held-out SDSS galaxies")
    print(" " * 26 + "".join(f"{name:>18s}" for name in sets))
    for name, score in scores.items():
        usual = score("")[1::2]
        areas = (auroc(usual, score(other)) for other in sets)
        print(f"{name:26s}" + "".join(f"{area:10.3f} ± {error:.3f}" for area, error in areas), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("GALNB_DATA", "../shared/data")))
