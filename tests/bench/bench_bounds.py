"""Bits a pixel and band of held-out galaxies of gz2_7704: `python -m tests.bench.bench_bounds vae32-sdss`.

The evidence bound and its importance-weighted estimate with 100 draws, in bits of the 256 levels of 8-bit
pixels; probabilistic PCA, whose likelihood is exact, is the baseline. A bound only rises with the draws.
A conditional model's is one of p(picture | conditions as its gauge reads them).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from galnb import weights
from galnb.metrics import bits_per_pixel
from galnb.models import PCA

from .sdss import survey


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="+", help="names or files, of models with an evidence bound")
    parser.add_argument("--galaxies", type=int, default=500)
    given = parser.parse_args()
    images, mask = survey("vae32-sdss")
    seen = torch.from_numpy(images[~mask].pixels)
    held = torch.from_numpy(images[mask].pixels[: given.galaxies])
    pixels = held[0].numel()
    print("| bits a pixel and band | evidence bound | 10 draws | 100 draws |\n| --- | --- | --- | --- |")
    for dim in (32, 50):
        pca = PCA(images.bands, 64, dim)
        pca.fit(seen.split(512))
        exact = bits_per_pixel(pca.log_prob(held).numpy(), pixels).mean()
        print(f"| probabilistic PCA-{dim}, exact | {exact:.4f} | | |", flush=True)
    for name in given.weights:
        model = weights.load(name)
        row = []
        for k in (1, 10, 100):
            rng = torch.Generator().manual_seed(0)
            bound = torch.cat([model.bound(x, k=k, generator=rng) for x in held.split(100)])
            row.append(bits_per_pixel(bound.numpy(), pixels, density=model.likelihood != "logistic").mean())
        print(f"| {Path(name).stem} | " + " | ".join(f"{bits:.4f}" for bits in row) + " |", flush=True)


if __name__ == "__main__":
    main()
