"""`Reading`: one picture as a PixelCNN reads it, pixel after pixel."""

from __future__ import annotations

import numpy as np
import torch

from .. import likelihoods
from ..images import Images
from ..models.base import Model


class Reading:
    """What a PixelCNN expects of each pixel of a picture, given those before it: after one pass, all of them.

    Parameters
    ----------
    model : PixelCNN
    images : Images
        One.

    Attributes
    ----------
    log_p : ndarray (band, y, x)
        Nats, each band given those before it; their sum is the picture's log p.
    levels : ndarray (band, y, x)
        Whole numbers, which the picture has.

    Examples
    --------
    >>> from galnb.models import PixelCNN
    >>> model = PixelCNN(("r",), 8, levels=4, width=8, vertical=(1,), horizontal=1).eval()
    >>> read = Reading(model, Images(np.zeros((1, 1, 8, 8)), bands=("r",)))
    >>> read.pmf(3).shape, read.pmf(3).sum(2).round(3).min().item()
    ((8, 1, 4), 1.0)
    """

    @torch.inference_mode()
    def __init__(self, model: Model, images: Images):
        self.pixel = model.pixel
        self.u, known = model.quantised(model.tensor(images))
        self.numbers, self.within = model.numbers(self.u, known), model.within(self.u)
        self.log_p = model.log_probs(self.u, known, each=True)[0].double().numpy()
        self.levels = self.pixel.index(self.u[0]).int().numpy()

    @torch.inference_mode()
    def pmf(self, row: int) -> np.ndarray:
        """Probabilities (x, band, level) of the levels of a row's pixels."""
        numbers, u = self.numbers[0, :, row].T, self.u[0, :, row].T
        within = self.within and tuple(edge[0, :, row].T for edge in self.within)
        of = [self.pixel.pmf(numbers, u[:, :band], within) for band in range(u.shape[1])]
        return torch.stack(of, dim=1).numpy()


def can_read(model) -> bool:
    """Whether a model says what it expects of each pixel, completes pictures and draws them."""
    wanted = ("quantised", "numbers", "within", "pixel", "pmf", "log_probs", "log_prob_map", "drawing")
    return all(hasattr(model, name) for name in wanted)


def maps(model: Model, background: Model | None, images: Images) -> dict[str, np.ndarray]:
    """Nats (y, x) of each pixel of one picture, bands added up: "log_p", and with a background both others.

    As `Comparison.maps` has them, for a picture that need not be one of the compared.
    """
    of = {"log_p": model, "log_p_background": background}
    found = {
        name: likelihoods.maps(images, one)[0] for name, one in of.items() if hasattr(one, "log_prob_map")
    }
    if len(found) == 2:
        found["ratio"] = found["log_p"] - found["log_p_background"]
    return found
