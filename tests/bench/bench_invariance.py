"""SDSS galaxies sought by turned, mirrored and rescaled copies: `python -m tests.bench.bench_invariance`.

Every held-out galaxy (the last fifth by sorted sha1 of ids, of gz2_7704) is copied under a random angle in
[0, 360), mirrored with probability 1/2 and scaled by 0.8 to 1.25. A copy is found if its original is the
nearest, or one of the five nearest, of the latents of all galaxies. `--borders` adds copies made in other
ways: with skimage step by step, from the cropped picture, with black, repeated or mirrored borders.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import affine_transform
from skimage.transform import resize, rotate

from galnb import weights
from galnb.encoding import encode
from galnb.images import Images
from galnb.models import PCA, Invariant

from .sdss import survey

ROOT = Path(__file__).parents[2]
SIZE = 64
KINDS = ("rotated", "flipped", "rescaled", "all three")
BORDERS = ("constant", "edge", "reflect")


def draws(n: int, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angle in degrees, whether mirrored, and scale of n copies; the same numbers for every kind."""
    rng = np.random.default_rng(seed)
    angle, mirrored = rng.uniform(0, 360, n), rng.random(n) < 0.5
    scale = np.exp(rng.uniform(np.log(0.8), np.log(1.25), n))
    if kind != "all three":
        angle = angle * (kind == "rotated")
        mirrored, scale = mirrored & (kind == "flipped"), scale if kind == "rescaled" else np.ones(n)
    return angle, mirrored, scale


def copies(images: Images, kind: str, *, seed: int = 0, order: int = 1, border: str = "reflect") -> Images:
    """Copies in SIZE pixels, by one interpolation; pixels beyond SIZE serve as far as they go."""
    middle, out = (images.shape[0] - 1) / 2, []
    for pixels, *how in zip(images.pixels, *draws(len(images), kind, seed), strict=True):
        angle, mirrored, scale = np.radians(how[0]), *how[1:]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
        turn = turn @ np.diag([1, -1 if mirrored else 1])
        start = middle - turn @ np.full(2, (SIZE - 1) / 2)
        mode = {"edge": "nearest"}.get(border, border)
        seen = [affine_transform(p, turn, start, (SIZE, SIZE), order=order, mode=mode) for p in pixels]
        out.append(np.clip(seen, 0, 1))
    return images.with_pixels(np.array(out, dtype=np.float32))


def stepwise(images: Images, kind: str, *, seed: int = 0, order: int = 1, border: str = "constant") -> Images:
    """Copies of pictures of SIZE pixels by skimage: rotate, flip, resize, then crop or pad."""
    out = []
    for pixels, *how in zip(images.pixels, *draws(len(images), kind, seed), strict=True):
        angle, mirrored, scale = how
        picture = rotate(pixels.transpose(1, 2, 0), angle, order=order, mode=border)
        picture = picture[:, ::-1] if mirrored else picture
        side = round(SIZE * scale)
        picture = resize(picture, (side, side), order=order)
        more, less = max(SIZE - side, 0), max(side - SIZE, 0) // 2
        picture = np.pad(picture, ((more // 2, more - more // 2),) * 2 + ((0, 0),), mode=border)
        out.append(np.clip(picture[less : less + SIZE, less : less + SIZE], 0, 1).transpose(2, 0, 1))
    return images.with_pixels(np.array(out, dtype=np.float32))


def ranks(queries: np.ndarray, pool: np.ndarray, own: np.ndarray) -> np.ndarray:
    """How many rows of the pool (n, d) are nearer to each query (m, d) than its own row."""
    queries, pool = (torch.from_numpy(z - pool.mean(0)).double() for z in (queries, pool))
    distance = pool.square().sum(1) - 2 * queries @ pool.T
    return (distance < distance.gather(1, torch.from_numpy(own)[:, None])).sum(1).numpy()


def same_label(z: np.ndarray, labels: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Share of a held-out galaxy's five neighbors with its label: of all, and the mean of both labels."""
    known = np.flatnonzero(labels != "unlabelled")
    asked = held[labels[held] != "unlabelled"]
    pool = torch.from_numpy(z[known]).double()
    near = torch.cdist(torch.from_numpy(z[asked]).double(), pool).argsort(1)[:, :6].numpy()
    near = [[k for k in row if known[k] != i][:5] for row, i in zip(near, asked, strict=True)]
    same = labels[known][near] == labels[asked][:, None]
    return same.mean(), np.mean([same[labels[asked] == name].mean() for name in np.unique(labels[asked])])


def _labels(images: Images, folder: Path) -> np.ndarray:
    with open(folder / "gz2_7704_labels.csv") as file:
        label = {row["galaxy_id"]: row["label"] for row in csv.DictReader(file)}
    return np.array([label[str(name)] for name in images.id])


def encoders(train: Images) -> dict[str, Callable[[Images], np.ndarray]]:
    """What is compared: name to a function from Images to latents (n, d)."""
    network, similar = weights.load("ae50-sdss"), weights.load("similar-sdss")
    batches = torch.from_numpy(train.pixels).split(512)
    pca = PCA(network.bands, network.size, 50)
    pca.fit(batches)
    models = {
        "PCA-50": pca,
        "AE-50": network,
        "similar-sdss": similar,
        "of(AE-50)": Invariant.of(network),
        "of(AE-50, images)": Invariant.of(network, batches),
    }
    spaces = {"pixels": lambda images: images.pixels.reshape(len(images), -1)}
    return spaces | {name: lambda images, m=model: encode(images, m).z for name, model in models.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="gz2_7704.npz, its labels beside it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--borders", action="store_true")
    chosen = parser.parse_args()
    path = chosen.data or Path(os.environ.get("GALNB_DATA", ROOT.parent / "shared/data"), "gz2_7704.npz")
    wide, mask = survey("ae50-sdss", path=path, whole=True)  # 69 x 69 pixels
    images, held = wide.crop(SIZE), np.flatnonzero(mask)
    labels = _labels(images, path.parent)
    seen = {kind: copies(wide[mask], kind, seed=chosen.seed) for kind in KINDS}
    for border in BORDERS if chosen.borders else ():
        for order in (1, 3):
            how = {"seed": chosen.seed, "order": order, "border": border}
            seen[f"{border} {order}"] = copies(images[mask], "all three", **how)
            seen[f"skimage {border} {order}"] = stepwise(images[mask], "all three", **how)
    print(f"{len(held)} copies each, seed {chosen.seed}: % found first / among five of {len(held)}, then of")
    print(f"{len(images)}; % of five neighbors with the same label (mean of both labels); ms a galaxy")
    for name, space in encoders(images[~mask]).items():
        start = time.perf_counter()
        pool = space(images)
        cost = 1e3 * (time.perf_counter() - start) / len(images)
        print(name, flush=True)
        for kind, pictures in seen.items():
            queries = space(pictures)
            near = ranks(queries, pool[held], np.arange(len(held))), ranks(queries, pool, held)
            shares = [f"{100 * np.mean(r < 1):5.1f} /{100 * np.mean(r < 5):5.1f}" for r in near]
            print(f"    {kind:20}{shares[0]:>20}{shares[1]:>20}", flush=True)
        one, both = same_label(pool, labels, held)
        print(f"    same label {100 * one:.1f} ({100 * both:.1f}); {cost:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
