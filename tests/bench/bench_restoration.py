"""Held-out galaxies of gz2_7704 restored, and others with a truth: `python -m tests.bench.bench_restoration`.

The pictures are display stretches: noise and blur are added to them as they are, and errors are in units of
the picture. Held-out SDSS pictures have noise of their own, which counts as truth; pictures of the Hubble
eXtreme Deep Field have far less, and simulated ones none. The classics are told the blur, and have the
balance (Wiener) and the number of iterations (Richardson-Lucy) that are best on training galaxies at each
noise and blur; the network is told nothing.
"""

from __future__ import annotations

import argparse

import numpy as np

from galnb import restoration, weights
from galnb.augment import Corruption
from galnb.errors import MissingPackage
from galnb.images import Images
from galnb.sources.hubble import Hubble
from galnb.stretch import Asinh

from .sdss import survey

CASES = ((0.02, 0.0), (0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (0.01, 2.0), (0.02, 4.0), (0.05, 4.0), (0.1, 3.0))
BALANCES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
ITERATIONS = (1, 2, 3, 5, 8, 12, 20, 30)
TUNED_ON = 60  # training galaxies
FINE = 24  # pixels of the Hubble picture in a cutout, of which smaller ones are only enlarged
COLUMNS = ("psnr", "mse", "flux", "half_light_radius", "ellipticity", "measured")


def simulated(n: int, bands: tuple[str, ...]) -> Images:
    """Galaxies without noise, in a stretch and at sizes that look like the survey's."""
    from galnb.sources.simulator import Simulator

    images = Simulator(n, bands=("g", "r", "i"), seed=3).read().rename("g", "r", "i")[list(bands)]
    peak = images.pixels.max(axis=(1, 2, 3), keepdims=True)
    brightness = np.random.default_rng(0).uniform(0.4, 0.95, peak.shape)
    return images.with_pixels(brightness * Asinh(0, 1, 0.1)(images.pixels / peak))


def classics(train: Images, noise: float, fwhm: float) -> dict:
    """The classics, each with its parameter at its best for this noise and blur on training galaxies."""
    some = train[np.linspace(0, len(train) - 1, TUNED_ON).astype(int)]
    seen = restoration.corrupt(some, Corruption(noise, fwhm), seed=2)
    wiener = lambda images, balance: restoration.wiener(images, psf_fwhm=fwhm, balance=balance)  # noqa: E731
    lucy = lambda images, k: restoration.richardson_lucy(images, psf_fwhm=fwhm, iterations=k)  # noqa: E731
    balance = restoration.best(wiener, BALANCES, seen, some)
    found = {
        f"Wiener, balance {balance:g}": lambda images: wiener(images, balance),
        "Wiener, unsupervised": lambda images: restoration.wiener(images, psf_fwhm=fwhm),
    }
    if fwhm:
        iterations = restoration.best(lucy, ITERATIONS, seen, some)
        found[f"Richardson-Lucy, {iterations}"] = lambda images: lucy(images, iterations)
    return found


def row(name: str, scores: dict) -> None:
    print(
        f"| {name} | {scores['psnr']:.2f} | {scores['mse']:.2e} | "
        + " | ".join(f"{scores[column]:.4f}" for column in COLUMNS[2:])
        + " |",
        flush=True,
    )


def restored(title: str, truth: Images, tuned: dict, network) -> None:
    for (noise, fwhm), methods in tuned.items():
        print(f"\n{title}, noise {noise:g}, blur {fwhm:g} px FWHM; the rest as medians of |error|")
        print("| | PSNR, dB | MSE | flux | half-light radius | ellipticity | measured |")
        print("|---|---|---|---|---|---|---|")
        seen = restoration.corrupt(truth, Corruption(noise, fwhm))
        row("corrupted", restoration.scores(seen, truth))
        for name, method in methods.items():
            row(name, restoration.scores(method(seen), truth))
        decoded = network.decode(network.encode(network.tensor(seen))).detach().numpy()
        row("network, latents only", restoration.scores(seen.with_pixels(decoded), truth))
        row("network", restoration.scores(restoration.restore(seen, network), truth))


def filled(truth: Images, train: Images, network) -> None:
    print("\nA missing band, measured on that band alone")
    print("| | PSNR, dB | MSE | flux | half-light radius | ellipticity | measured |")
    print("|---|---|---|---|---|---|---|")
    for noise in (0.0, 0.05):
        seen = restoration.corrupt(truth, Corruption(noise))
        learn = restoration.corrupt(train, Corruption(noise), seed=2)
        for k, band in enumerate(truth.bands):
            pixels = seen.pixels.copy()
            pixels[:, k] = np.nan
            lacking = seen.with_pixels(pixels)
            found = {
                "regression": _regressed(lacking, learn, train, k),
                "network": restoration.restore(lacking, network),
            }
            for name, images in found.items():
                row(f"{band}, noise {noise:g}, {name}", restoration.scores(images[band], truth[band]))


def _regressed(lacking: Images, seen: Images, train: Images, k: int) -> Images:
    """The regression learns the clean missing band from the others, as noisy as it will see them."""
    pixels = seen.pixels.copy()
    pixels[:, k] = train.pixels[:, k]
    return restoration.regress(lacking, train.with_pixels(pixels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="?", default="restore-sdss", help="a name, or a file")
    parser.add_argument("--galaxies", type=int, default=300, help="so many of each kind")
    given = parser.parse_args()
    network = weights.load(given.weights)
    images, mask = survey("restore-sdss")
    train, held = images[~mask], images[mask]
    held = held[: given.galaxies]
    filled(held, train, network)
    tuned = {case: classics(train, *case) for case in CASES}
    restored("SDSS, held out", held, tuned, network)
    hubble = Hubble(size=64).read().rename(*held.bands)
    hubble = hubble[hubble.table["field"] >= FINE][: given.galaxies]
    restored("Hubble eXtreme Deep Field", hubble, tuned, network)
    try:
        restored("Simulated", simulated(given.galaxies, held.bands), tuned, network)
    except MissingPackage as error:
        print(f"\nno simulated galaxies: {error}")


if __name__ == "__main__":
    main()
