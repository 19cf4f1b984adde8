"""What beta buys, on simulated galaxies whose factors are known: `python -m tests.bench.bench_disentangle`.

Flux, half-light radius, both components of ellipticity and the bulge's share of the light are drawn
independently of each other (the simulator's truth); variational autoencoders of 8 latents and several betas
are trained on 3,000 galaxies, three seeds each, and scored on 1,000 others: the mutual information gap (MIG,
Chen+2018), how well a regression finds the factors in all latents together, and the pictures' error.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import cross_val_score

from galnb.metrics import information_gap
from galnb.models import PCA, VAE
from galnb.sources.simulator import Simulator
from galnb.train import Settings, fit

FACTORS = ("flux", "radius", "e1", "e2", "bulge")
TRAIN, HELD, SIZE = 3000, 1000, 32


def galaxies() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 1, 32, 32) under an asinh stretch, with a little noise, and their factors (n, 5)."""
    found = Simulator(TRAIN + HELD, size=SIZE, bands=("r",), noise=0.02, seed=1).read()
    t = found.table
    twice = 2 * np.radians(t["position_angle"])
    columns = [
        np.log(t["flux_r"]), np.log(t["half_light_radius_arcsec"]), t["ellipticity"] * np.cos(twice),
        t["ellipticity"] * np.sin(twice), t["bulge_fraction"],
    ]  # fmt: skip
    stretched = np.arcsinh(found.pixels / 0.1) / np.arcsinh(500)
    return stretched.clip(0, 1).astype(np.float32), np.stack(columns, 1)


def scores(z: np.ndarray, factors: np.ndarray) -> list[float]:
    trees = HistGradientBoostingRegressor(max_iter=60)
    known = [cross_val_score(trees, z, column, cv=3, scoring="r2").mean() for column in factors.T]
    return [*information_gap(z, factors), float(np.mean(known))]


@torch.no_grad()
def told(model, x: torch.Tensor) -> tuple[np.ndarray, float]:
    z = model.encode(x)
    return z.numpy(), float((model.decode(z) - x).square().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--betas", type=float, nargs="+", default=[0.1, 1, 8, 64, 512])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    given = parser.parse_args()
    pixels, factors = galaxies()
    seen, held = pixels[:TRAIN], torch.from_numpy(pixels[TRAIN:])
    print("| beta |", " | ".join(f"gap {name}" for name in FACTORS), "| MIG | known (R2) | mse | nats |")
    print("| --- " * (len(FACTORS) + 5) + "|")
    pca = PCA(("r",), SIZE, 8)
    pca.fit([torch.from_numpy(seen)])
    z, error = told(pca, held)
    *gaps, known = scores(z, factors[TRAIN:])
    each = " | ".join(f"{gap:.2f}" for gap in gaps)
    print(f"| PCA | {each} | {np.mean(gaps):.3f} | {known:.2f} | {error:.2e} | |", flush=True)
    for beta in given.betas:
        rows = []
        for seed in range(given.seeds):
            torch.manual_seed(seed)
            model = VAE(("r",), SIZE, 8, (16, 24, 32), beta=beta, noise="one", prior="normal")
            settings = Settings(
                epochs=given.epochs, learning_rate=2e-3, warm_up=50, average=0.99, augment=(), seed=seed
            )
            fit(model, seen, settings=settings, progress=False)
            z, error = told(model, held)
            with torch.no_grad():
                nats = float(model.loss(held)["kl"]) * SIZE**2
            rows.append([*scores(z, factors[TRAIN:]), error, nats])
        *gaps, known, error, nats = np.mean(rows, 0)
        scatter = np.std([np.mean(row[:5]) for row in rows])
        each = " | ".join(f"{gap:.2f}" for gap in gaps)
        mig = f"{np.mean(gaps):.3f} +- {scatter:.3f}"
        print(f"| {beta:g} | {each} | {mig} | {known:.2f} | {error:.2e} | {nats:.1f} |", flush=True)


if __name__ == "__main__":
    main()
