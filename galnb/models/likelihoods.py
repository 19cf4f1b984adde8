"""What a pixel is, given its mean and spread."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LIKELIHOODS = ("gaussian", "laplace", "logistic")
LEVELS = 255  # of 8 bits, between 0 and 1


def log_likelihood(kind: str, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log likelihood (n,) in nats of images (n, band, y, x), pixels independent.

    Parameters
    ----------
    kind : "gaussian", "laplace" or "logistic"
        Densities of x; "logistic" the probability of its 8-bit level, both ends open (Salimans+2017).
    mean, log_scale : Tensor like x
        Of each pixel, the logarithm of its standard deviation.
    """
    if kind == "gaussian":
        parts = -0.5 * ((x - mean) * (-log_scale).exp()).square() - log_scale - 0.5 * math.log(2 * math.pi)
    elif kind == "laplace":
        log_scale = log_scale - 0.5 * math.log(2)
        parts = -(x - mean).abs() * (-log_scale).exp() - log_scale - math.log(2)
    else:
        slope, half = (-log_scale).exp() * (math.pi / 3**0.5), 0.5 / LEVELS
        above, below = slope * (x - mean + half), slope * (x - mean - half)
        log_at_most, log_more = F.logsigmoid(above), F.logsigmoid(-below)
        # log(sigmoid(a) - sigmoid(b)) = logsigmoid(a) + logsigmoid(-b) + log(1 - exp(b - a))
        inside = log_at_most + log_more + torch.log(-torch.expm1(-(2 * half * slope).clamp_min(1e-7)))
        parts = torch.where(x < half, log_at_most, torch.where(x > 1 - half, log_more, inside))
    return parts.flatten(1).sum(1)
