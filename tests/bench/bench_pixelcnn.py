"""What a PixelCNN costs and what it knows: `python -m tests.bench.bench_pixelcnn`.

Speed, of random weights on one thread: drawing galaxies of 64 x 64 pixels with each layer's activations kept,
against one pass over the whole picture for every pixel, of which some are timed. That both draw the same is
seen in one pass over what was drawn: with the same chances, each pixel comes out again. And the likelihood,
against the bare network, also of shipped weights.

Knowledge: bits per dimension of held-out galaxies of gz2_7704, 32 x 32 pixels of 256 levels, of the shipped
weights, of lossless coders, whose files' headers count (JPEG XL where imagecodecs is there), and of simple
models of the same pixels.

Shapes: drawn galaxies against held-out ones, measured alike.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from galnb import Images, density, metrics, realism, weights
from galnb.models import PCA, PixelCNN

from .sdss import survey

PASSES = 8  # over whole pictures, that are timed at a time
TURNS = 5  # of drawings that are compared; the fastest counts
PAIRS = 20  # of likelihoods and of bare networks; their medians count
SHIPPED = "pixelcnn32-sdss"


def seconds(ask, times: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(times):
        ask()
    return (time.perf_counter() - start) / times


def model_of(size: int, bands=("i", "r", "g"), **options) -> PixelCNN:
    """Random weights, none of them zero, that draw a bit of everything."""
    torch.manual_seed(0)
    model = PixelCNN(bands, size, **options).eval()
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def again(model: PixelCNN, x: torch.Tensor, seed: int) -> torch.Tensor:
    """Of which pixels (n, y, x) a pass over whole pictures draws the same levels with the same chances."""
    (n, bands, height, width), rng = x.shape, torch.Generator().manual_seed(seed)
    u, known = model.quantised(x)
    numbers = model.numbers(u, known)
    same = torch.zeros(n, height, width, dtype=torch.bool)
    for row in range(height):
        chance = torch.rand(width, n, 1 + bands, generator=rng, dtype=torch.float64).to(u)
        for column in range(width):
            drawn = model.pixel.draw(numbers[:, :, row, column], chance[column])
            same[:, row, column] = ((drawn - u[:, :, row, column]).abs() < model.pixel.half).all(1)
    return same


@torch.no_grad()
def speed(size: int, counts: tuple[int, ...]) -> None:
    print(f"| drawing {size} x {size} x 3 | cached, s | naive, s | times faster | pixels that agree |")
    print("| --- | --- | --- | --- | --- |")
    model = model_of(size)
    for n in counts:
        x = model.sample(n, torch.Generator().manual_seed(1))
        levels = model.quantised(x)
        cached, passes = [], []
        for _ in range(TURNS):  # as the machine has other work
            cached.append(seconds(lambda n=n: model.sample(n, torch.Generator().manual_seed(1))))
            passes.append(seconds(lambda levels=levels: model.numbers(*levels), PASSES))
        took, naive = min(cached), min(passes) * size**2
        exact = model_of(size).double()
        drawn = exact.sample(n, torch.Generator().manual_seed(1))
        shares = [float(again(m, y, 1).double().mean()) for m, y in ((model, x), (exact, drawn))]
        print(
            f"| {n} at once | {took:.2f} | {naive:.0f} | {naive / took:.0f} | "
            f"{shares[0]:.5f} float32, {shares[1]:.5f} float64 |",
            flush=True,
        )
    print("\n| likelihood of 32 | bare network, s | whole, s | times |\n| --- | --- | --- | --- |")
    for name, one in ((f"default, {size} px", model), (f"`{SHIPPED}`, 32 px", weights.load(SHIPPED))):
        x = torch.rand(32, 3, one.size, one.size)
        levels = one.quantised(x)
        bare, whole = [], []
        for _ in range(PAIRS):
            bare.append(seconds(lambda one=one, levels=levels: one.numbers(*levels)))
            whole.append(seconds(lambda one=one, x=x: one.log_prob(x)))
        times = np.median(whole) / np.median(bare)
        print(f"| {name} | {np.median(bare):.2f} | {np.median(whole):.2f} | {times:.2f} |", flush=True)


def coded(levels: np.ndarray, kind: str, **options) -> float:
    """Bits per dimension of a lossless coder, of pictures (n, y, x, band) or (n, y, x) of 8 bits."""
    sizes = []
    for picture in levels:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, **options)
        sizes.append(file.tell())
    return 8 * float(np.mean(sizes)) / levels[0].size


def jpeg_xl(levels: np.ndarray) -> dict[str, float]:
    try:
        from imagecodecs import jpegxl_encode
    except ImportError:
        return {}
    sizes = [len(jpegxl_encode(np.ascontiguousarray(one), lossless=True, effort=9)) for one in levels]
    return {"JPEG XL, lossless": 8 * float(np.mean(sizes)) / levels[0].size}


def flowing(pca: PCA, known: torch.Tensor, asked: torch.Tensor) -> np.ndarray:
    """log p (n,) of a RealNVP of the components, and a Gaussian of what they leave."""
    z, variance = pca.encode(asked), pca.variance.double()
    gauss = -0.5 * (z.double().square() / variance + (2 * np.pi * variance).log()).sum(1)
    flow = density.fit(pca.encode(known).numpy(), "realnvp", steps=1500, transforms=8, weight_decay=1.0)
    return pca.log_prob(asked).numpy() - gauss.numpy() + flow.log_prob(z.numpy())


def independent(train: np.ndarray, held: np.ndarray) -> float:
    """Bits per dimension of each pixel's own histogram, smoothed over neighboring levels."""
    from scipy.ndimage import gaussian_filter1d

    place = np.arange(train[0].size)
    count = np.zeros((train[0].size, 256))
    for picture in train.reshape(len(train), -1):
        count[place, picture] += 1
    share = gaussian_filter1d(count, 1.0, axis=1) + 1e-2
    share /= share.sum(1, keepdims=True)
    return float(-np.log2(share[place[None], held.reshape(len(held), -1)]).mean())


@torch.no_grad()
def knowledge(path: Path | None, most: int) -> None:
    print("| bits per dimension, held out | " + " | ".join(("i, r, g", "grey")) + " |\n| --- | --- | --- |")
    names = (SHIPPED, "pixelcnn32-grey-sdss")
    rows: dict[str, list[str]] = {}
    for name in names:
        images, mask = survey(name, path=path)
        train, held = images[~mask], images[mask][:most]
        as_levels = lambda part: np.rint(part.pixels * 255).astype(np.uint8)  # noqa: E731
        known, asked = as_levels(train), as_levels(held)
        pictures = asked.transpose(0, 2, 3, 1) if asked.shape[1] == 3 else asked[:, 0]
        found = {
            "PNG": coded(pictures, "PNG", optimize=True),
            "WebP, lossless": coded(pictures, "WEBP", lossless=True, quality=100, method=4),
            **jpeg_xl(pictures),
            "pixels independent": independent(known, asked),
        }
        if asked.shape[1] == 1:
            found["JPEG 2000, lossless"] = coded(pictures, "JPEG2000", irreversible=False)
        else:
            found["JPEG 2000, lossless"] = coded(pictures, "JPEG2000", irreversible=False, mct=1)
        for k in (50, 200):
            pca = PCA(images.bands, 32, k)
            pca.fit(torch.from_numpy(train.pixels).split(512))
            x, seen = (torch.from_numpy(part / np.float32(255)) for part in (asked, known))
            models = {"Gaussian": pca.log_prob(x).numpy()}
            if k == 50:
                models["flow (RealNVP)"] = flowing(pca, seen, x)
            for label, log_p in models.items():
                bits = metrics.bits_per_pixel(log_p, asked[0].size)
                found[f"{label} of {k} components"] = float(bits.mean())
        start = PixelCNN(images.bands, 32).eval()
        start.warm_start([torch.from_numpy(train.pixels[:1000])])
        models = {"linear autoregression, as a PixelCNN starts": start}
        if name in weights.names():
            models["PixelCNN"] = weights.load(name)
        if (finer := name.replace("pixelcnn", "multiscale")) in weights.names():
            models["PixelCNNs from coarse to fine"] = weights.load(finer)
        x = torch.from_numpy(held.pixels)
        for label, model in models.items():
            found[label] = float(torch.cat([model.bits(part) for part in x.split(128)]).mean())
        for label, bits in found.items():
            rows.setdefault(label, []).append(f"{bits:.3f}")
    for label, cells in rows.items():
        print(f"| {label} | " + " | ".join(cells) + " |")


@torch.no_grad()
def shapes(path: Path | None) -> None:
    print("| Wasserstein | " + " | ".join(realism.PROPERTIES) + " | AUC |")
    for name in ("multiscale32-sdss", SHIPPED, "pixelcnn32-grey-sdss"):
        images, held = survey(name, path=path)
        model, real = weights.load(name), realism.properties(images[held])
        x = torch.cat([model.sample(256, torch.Generator().manual_seed(seed)) for seed in range(6)])
        drawn = realism.properties(Images(x.numpy(), bands=images.bands))
        found = [*realism.distances(drawn, real).values(), realism.told_apart(drawn, real)]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in found) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--most", type=int, default=10_000, help="held-out galaxies")
    parser.add_argument("--data", type=Path, help="gz2_7704.npz")
    parser.add_argument("--only", choices=("speed", "knowledge", "shapes"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.only in (None, "speed"):
        speed(chosen.size, tuple(chosen.counts))
    if chosen.only in (None, "knowledge"):
        knowledge(chosen.data, chosen.most)
    if chosen.only in (None, "shapes"):
        shapes(chosen.data)


if __name__ == "__main__":
    main()
