"""`Known`: real galaxies to compare with, so that a copy of one of them shows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .images import Images


class Known:
    """Galaxies that a model may have seen, and the nearest of them: as `realism.nearest`, made for many asks.

    Parameters
    ----------
    images : Images

    Attributes
    ----------
    usual : float
        Median distance from one of them to the nearest other.

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
        some = np.linspace(0, len(images) - 1, min(len(images), 64)).astype(int)
        apart = self.nearest(images[np.unique(some)], but=np.unique(some))[1]
        self.usual = float(np.median(apart)) if len(images) > 1 else float("nan")

    def nearest(self, images: Images, *, but: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n,), and rms differences (n,) of pixels binned 2 x 2; `but` leaves out one row for each."""
        rows, _, distances = self._search(images, but)
        return rows, distances

    def beside(self, images: Images) -> tuple[np.ndarray, np.ndarray, Images]:
        """As `nearest`, and the pictures (n) of those galaxies, turned and mirrored as they fit."""
        rows, views, distances = self._search(images, None)
        found = self.images.pixels[rows].copy()
        for picture, view in zip(found, views, strict=True):
            mirrored = picture[..., ::-1] if view % 2 else picture
            picture[:] = np.rot90(mirrored, -(view // 2), (1, 2)).copy()
        return rows, distances, Images(found, bands=self.images.bands)

    def _search(self, images: Images, but) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mine, n = _smooth(images.pixels), len(images)
        turned = [torch.rot90(mine, k, (2, 3)) for k in range(4)]
        views = torch.stack([view for one in turned for view in (one, one.flip(3))]).flatten(2)
        apart = self._squares - 2 * views.flatten(0, 1) @ self._flat.T  # and the view's own square
        apart = apart.view(8, n, -1)
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
