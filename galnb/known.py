"""`Known`: real galaxies to compare with, so that a copy of one of them shows."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .images import Images


class Known:
    """Galaxies that a model may have seen, and the nearest of them.

    Pictures are binned 2 x 2 first, so that noise hides no copy, and are looked at in the square's eight
    views.

    Parameters
    ----------
    images : Images

    Examples
    --------
    >>> images = Images(np.random.default_rng(0).random((9, 1, 8, 8)))
    >>> rows, distances = Known(images).nearest(images[[4]].with_pixels(images.pixels[[4], :, ::-1]))
    >>> rows.tolist(), distances.round(6).tolist()
    ([4], [0.0])
    """

    def __init__(self, images: Images):
        self.images = images
        self._flat = torch.cat(
            [_smooth(images.pixels[k : k + 500]).flatten(1) for k in range(0, len(images), 500)]
        )
        self._squares = self._flat.square().sum(1)

    @cached_property
    def usual(self) -> float:
        """Median distance from one of them to the nearest other; of one alone, NaN."""
        if len(self.images) < 2:
            return float("nan")
        some = np.unique(np.linspace(0, len(self.images) - 1, min(len(self.images), 64)).astype(int))
        return float(np.median(self._compared(self.images[some], some)[2]))

    def nearest(self, images: Images, *, batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
        """The row (n,) of the nearest to each image, and the root mean square differences (n,) of pixels.

        `batch` images are compared at once with all known ones, in all views.
        """
        parts = [self._compared(images[k : k + batch]) for k in range(0, len(images) or 1, batch)]
        rows, _, distances = (np.concatenate(each) for each in zip(*parts, strict=True))
        return rows, distances

    def beside(self, images: Images) -> tuple[np.ndarray, np.ndarray, Images]:
        """As `nearest`, and the pictures (n) of those galaxies, turned and mirrored as they fit."""
        rows, views, distances = self._compared(images)
        found = self.images.pixels[rows].copy()
        for picture, view in zip(found, views, strict=True):
            mirrored = picture[..., ::-1] if view % 2 else picture
            picture[:] = np.rot90(mirrored, -(view // 2), (1, 2)).copy()
        return rows, distances, Images(found, bands=self.images.bands)

    def _compared(self, images: Images, but=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, views and distances (n,); `but` leaves out one row for each."""
        mine, n = _smooth(images.pixels), len(images)
        turned = [torch.rot90(mine, k, (2, 3)) for k in range(4)]
        views = torch.stack([view for one in turned for view in (one, one.flip(3))]).flatten(2)
        apart = self._squares - 2 * views.flatten(0, 1) @ self._flat.T  # and the view's own square
        apart = apart.view(8, n, len(self._flat))
        if but is not None:
            apart[:, torch.arange(n), torch.as_tensor(but)] = torch.inf
        best, which = apart.min(0)
        rows = best.argmin(1)
        which = which[torch.arange(n), rows]
        seen = views[which, torch.arange(n)]
        distances = (seen - self._flat[rows]).square().mean(1).sqrt()
        return rows.numpy(), which.numpy(), distances.numpy()


def _smooth(pixels: np.ndarray) -> Tensor:
    return torch.nn.functional.avg_pool2d(torch.from_numpy(pixels), 2, ceil_mode=True)
