"""Pictures that are as galaxies are in all but what makes a galaxy: what a background density learns from."""

from __future__ import annotations

import numpy as np


def stirred(pixels: np.ndarray, share: float = 0.3, *, seed: int = 0) -> np.ndarray:
    """A share of the pixels of each picture replaced by others from anywhere (Ren+2019, section 3).

    Parameters
    ----------
    pixels : ndarray (n, band, y, x)
        All bands of a pixel come from one place.
    share : float
        0 to 1.

    Returns
    -------
    ndarray (n, band, y, x)

    Examples
    --------
    >>> x = np.arange(8.0).reshape(2, 1, 2, 2)
    >>> sorted(stirred(x, 1.0).ravel().tolist()) == x.ravel().tolist()
    True
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share}, wanted a number from 0 to 1")
    rng = np.random.default_rng(seed)
    last = np.moveaxis(pixels, 1, -1)  # (n, y, x, band)
    spots = last.reshape(-1, last.shape[-1])
    out = np.where(rng.random(len(spots))[:, None] < share, rng.permutation(spots), spots)
    return np.ascontiguousarray(np.moveaxis(out.reshape(last.shape), -1, 1))


def scrambled(pixels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Each picture with random phases: as bright, and as smooth at every scale, but its light is anywhere.

    All bands of a picture are turned by the same phases, so that colors stay; mean and power spectrum of each
    band are kept exactly.

    Parameters
    ----------
    pixels : ndarray (n, band, y, x)

    Returns
    -------
    ndarray (n, band, y, x)
        Of the dtype that came.
    """
    n, _, height, width = pixels.shape
    turn = np.fft.fft2(
        np.random.default_rng(seed).normal(size=(n, 1, height, width))
    )  # as that of real pictures
    turn /= np.maximum(np.abs(turn), 1e-30)
    turn[..., 0, 0] = 1
    return np.fft.ifft2(np.fft.fft2(pixels) * turn).real.astype(pixels.dtype)
