"""Galaxies whose shape we know, and linear models of them that are quick to fit, for tests of the sampler."""

from functools import cache

import numpy as np
import torch
from astropy.table import Table

from galnb.conditions import measure
from galnb.images import Images
from galnb.models import CVAE, MVAE, PCA, VAE

NAMES = ("flux", "ellipticity", "position_angle", "color")
SIZE, BANDS, DIM = 32, ("r", "g"), 12


@cache
def survey(n: int = 200) -> Images:
    """Exponential discs of all angles, with a little noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    draw = lambda low, high: rng.uniform(low, high, (n, 1, 1))
    peak, e, angle, radius, green = draw(0.4, 0.9), draw(0, 0.6), draw(0, np.pi), draw(2.5, 4), draw(0.5, 1)
    u, v = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / (1 - e)
    disc = peak * np.exp(-np.hypot(u, v) / radius)
    pixels = np.stack([disc, green * disc], axis=1) + rng.normal(0, 0.01, (n, 2, SIZE, SIZE))
    return Images(pixels, id=[f"g{k:03d}" for k in range(n)], bands=BANDS, pixel_scale=0.4)


def blobs(n=600, seed=0):
    """Round Gaussian galaxies: images (n, 1, 28, 28), and their flux and area."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28] - 13.5
    width, peak = np.exp(rng.uniform(np.log(2), np.log(5), n)), rng.uniform(0.3, 0.9, n)
    pixels = peak[:, None, None] * np.exp(-(x**2 + y**2) / (2 * width[:, None, None] ** 2))
    pixels = pixels + 0.01 * rng.normal(size=pixels.shape)
    table = Table({"flux": 2 * np.pi * peak * width**2, "area": np.pi * (2 * width) ** 2})
    return pixels[:, None].astype(np.float32), table


@cache
def labels() -> torch.Tensor:
    table = measure(survey())
    return torch.from_numpy(np.stack([np.asarray(table[name], dtype="f4") for name in NAMES], axis=1))


@cache
def model(kind: str):
    """A linear "vae", "cvae", "mvae" or "pca" of the survey."""
    x = [torch.from_numpy(survey().pixels)]
    torch.manual_seed(0)
    if kind == "pca":
        found = PCA(BANDS, SIZE, DIM)
        found.fit(x)
        return found.eval()
    if kind == "vae":
        found, y = VAE(BANDS, SIZE, DIM, ()), None
    else:
        found, y = {"cvae": CVAE, "mvae": MVAE}[kind](BANDS, SIZE, DIM, (), conditions=NAMES), labels()
    found.warm_start(x, y)
    found.eval().finish(x, y)
    return found
