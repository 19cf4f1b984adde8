"""Galaxies that do not exist, against held-out ones of gz2_7704: `python -m tests.bench.bench_sampling`.

Realism: 2,000 samples and the 1,541 held-out galaxies, measured alike. The baseline is a mixture of 40
Gaussians on the 50 principal components of the training galaxies, with the residuals of some of them as
noise. Control: conditions of held-out galaxies are asked for, one picture each; the baseline is the training
galaxy whose conditions are nearest, in standard deviations. With `--priors` other priors of latents, through
the decoders of ae50-sdss and vae32-sdss, each fitted to the training galaxies after training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from galnb import density, realism, weights
from galnb.conditions import CONDITIONS
from galnb.images import Images
from galnb.models import AE, PCA, VAE
from galnb.models.mixture import Mixture

from .sdss import survey

SAMPLES = 2000
CHOICES = ("normal", "mixture", "flow")


@torch.no_grad()
def drawn(model, n: int, bands, seed: int = 0, **asked) -> Images:
    rng, parts = torch.Generator().manual_seed(seed), []
    y = asked.pop("y", None)
    for start in range(0, n, 250):
        part = asked if y is None else asked | {"y": y[start : start + 250]}
        parts.append(model.sample(min(250, n - start), rng, **part))
    return Images(torch.cat(parts).clamp(0, 1).numpy(), bands=bands)


def baseline(train: Images, n: int) -> Images:
    pixels = torch.from_numpy(train.pixels)
    pca, mixture, rng = PCA(train.bands, 64, 50), Mixture(50), np.random.default_rng(0)
    pca.fit(pixels.split(512))
    z = pca.encode(pixels)
    mixture.fit(z)
    noise = (pixels - pca.decode(z))[rng.integers(0, len(train), n)]
    made = pca.decode(mixture.sample(n, torch.Generator().manual_seed(0))) + noise
    return Images(made.clamp(0, 1).numpy(), bands=train.bands)


def priors(train: Images) -> dict[str, Images]:
    """Galaxies drawn from several priors of the same latents, through one decoder each."""
    batches, made = torch.from_numpy(train.pixels).split(250), {}
    for kind, name, choices in ((AE, "ae50-sdss", CHOICES[1:]), (VAE, "vae32-sdss", CHOICES)):
        shipped = weights.load(name)
        for prior in choices:
            torch.manual_seed(0)
            model = kind(**shipped.config | {"prior": prior}).eval()
            model.load_state_dict(shipped.state_dict(), strict=False)
            model.finish(batches)
            made[f"{name}, {prior}"] = drawn(model, SAMPLES, train.bands)
        if name == "ae50-sdss":
            made[f"{name}, density50-sdss"] = through(model, density.load("density50-sdss"), train.bands)
    return made


@torch.no_grad()
def through(model, prior, bands) -> Images:
    """Draws of a density of latents, as pictures with noise."""
    rng, z = torch.Generator().manual_seed(0), torch.from_numpy(prior.sample(SAMPLES))
    return Images(torch.cat([model.imagine(part, rng) for part in z.split(250)]).numpy(), bands=bands)


def numbers(table, names) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(table[name], dtype=np.float32) for name in names], 1))


def row(name: str, scores: dict, *more: float) -> None:
    print(
        f"| {name} | " + " | ".join(f"{value:.3f}" for value in [*scores.values(), *more]) + " |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="*", help="names or files, of models that sample")
    parser.add_argument("--priors", action="store_true", help="of ae50-sdss and vae32-sdss, several priors")
    asked = parser.parse_args()
    given = asked.weights
    images, mask = survey("vae32-sdss")
    train, held = images[~mask], images[mask]
    real = realism.properties(held)
    models = {Path(name).stem: weights.load(name) for name in given}
    made = {"PCA-50 and mixture": baseline(train, SAMPLES)}
    made |= {name: drawn(model, SAMPLES, held.bands) for name, model in models.items()}
    made |= priors(train) if asked.priors else {}
    print("| Wasserstein |", " | ".join(realism.PROPERTIES), "| AUC | nearest training image: 1 %, median |")
    seen = realism.properties(train)
    near = realism.nearest(held, train)[1]
    row("training galaxies", realism.distances(seen, real), realism.told_apart(seen, real))
    print("| held-out galaxies" + " | " * 9 + f"{np.quantile(near, 0.01):.4f}, {np.median(near):.4f} |")
    for name, pictures in made.items():
        found, near = realism.properties(pictures), realism.nearest(pictures, train)[1]
        row(name, realism.distances(found, real), realism.told_apart(found, real))
        print(f"    nearest training image {np.quantile(near, 0.01):.4f}, {np.median(near):.4f}", flush=True)
    names = [name for name in CONDITIONS if name != "half_light_radius"]
    print("| control |", " | ".join(names), "|")
    told = {name: model for name, model in models.items() if hasattr(model, "codes")}
    for name, model in told.items():
        asked = numbers(real, model.codes.names)
        for how, times in (("", 3), (", network alone", 0)):
            found = realism.properties(drawn(model, len(held), held.bands, y=asked, corrections=times))
            row(name + how, realism.control(real[names], found[names]))
    if told:  # whose codes have one standard deviation each, as the last model's have
        far = 1e6  # where a training galaxy's color could not be measured
        codes = [model.codes(numbers(table, model.codes.names)).nan_to_num(far) for table in (real, seen)]
        pick = torch.cdist(*codes).argmin(1).numpy()
        row("nearest training galaxy", realism.control(real[names], seen[pick][names]))


if __name__ == "__main__":
    main()
