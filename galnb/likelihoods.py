"""How likely pictures are to a network: as a whole, pixel by pixel, and beside a lossless code."""

from __future__ import annotations

import numpy as np
import torch
from astropy.table import Table

from . import metrics
from .errors import BadInput
from .images import Images
from .models.base import Model

STATISTICS = {  # each is higher where a galaxy is more like those that the network knows
    "log_p": "log p of all pixels (nats)",
    "ratio": "log p - log p as sky (nats)",
    "corrected": "log p + length of a lossless code (nats)",
    "typical": "- distance of log p from the usual (sigma)",
    "log_p_background": "log p as sky (nats)",
}


def likelihoods(images: Images, model: Model, background: Model | None = None, *, batch: int = 128) -> Table:
    """How likely each image is, in nats, and what to compare that with.

    Returns
    -------
    Table, one row a galaxy
        id, log_p, bits, coded_bits (of a lossless code of the same levels), corrected (log_p plus that in
        nats), and with a background log_p_background and ratio.
    """
    log_p = _log_p(model, images, batch)
    pixels = images.pixels[0].size
    levels = model.config.get("levels", 256)
    coded = metrics.coded_bits(np.rint(np.clip(images.pixels, 0, 1) * (levels - 1)).astype(np.int64))
    table = Table({"id": images.id, "log_p": log_p})
    table["bits"] = metrics.bits_per_pixel(log_p, pixels, density="levels" not in model.config)
    table["coded_bits"], table["corrected"] = coded, log_p + coded * np.log(2)
    if background is not None:
        table["log_p_background"] = _log_p(background, images, batch)
        table["ratio"] = table["log_p"] - table["log_p_background"]
    return table


@torch.inference_mode()
def _log_p(model: Model, images: Images, batch: int) -> np.ndarray:
    images.demand_finite()
    parts = [images[k : k + batch] for k in range(0, len(images), batch)]
    return np.concatenate([model.log_prob(model.tensor(part)).double().numpy() for part in parts])


@torch.inference_mode()
def maps(images: Images, model: Model, *, batch: int = 128) -> np.ndarray:
    """log p in nats (n, y, x) of each pixel given those before it, bands added up: `likelihoods` taken apart.

    BadInput of a model that has no `log_prob_map`.
    """
    if not hasattr(model, "log_prob_map"):
        raise BadInput(type(model).__name__, "it has no log_prob_map; take a PixelCNN")
    parts = [images[k : k + batch] for k in range(0, len(images), batch)]
    return np.concatenate([model.log_prob_map(model.tensor(part)).sum(1).double().numpy() for part in parts])


def typical(log_p, usual) -> np.ndarray:
    """Minus the distance (n,) of each log p from the median of `usual` ones, in half of their central 68 %.

    >>> typical([0.0, 12.0], np.arange(11.0)).round(1).tolist()
    [-1.5, -2.0]
    """
    log_p, usual = np.asarray(log_p), np.asarray(usual)
    low, middle, high = np.nanpercentile(usual, [15.85, 50, 84.15])
    return -np.abs(log_p - middle) / max(0.5 * (high - low), 1e-9)
