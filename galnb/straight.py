"""Straight things that no galaxy has: trails across an image, borders of a survey, diffraction spikes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

FLOOR = 0.005  # of the peak: the least noise that is believed, about a grey level of an 8-bit picture
# Lines: sides longer than WIDEST pixels are binned; all of a line's visible PARTS, at least VISIBLE, must be
# bright, but a pixel counts at most BOUND times the noise; what is BRIGHT and THICKer (pixels) is no line.
WIDEST, PARTS, VISIBLE, BOUND, BRIGHT, THICK = 96, 8, 3, 5, 4, 9


@lru_cache(maxsize=4)
def _lines(height: int, width: int):
    """Sparse (line and part, pixel) of all straight lines, 1 px apart and wide, and the lines' lengths.

    Lines are ordered by angle (every 1.5 degrees), offset and the equal parts of their own length.
    """
    from scipy.sparse import csr_matrix

    y, x = np.mgrid[:height, :width].reshape(2, -1)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    angles = np.radians(np.arange(0, 180, 1.5))
    n_offsets = int(np.hypot(height, width)) + 3
    rows, lengths = [], []
    for k, angle in enumerate(angles):
        across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        offset = np.floor(across + 0.501).astype(int) + n_offsets // 2  # round() would join two rows
        first, last = np.full(n_offsets, np.inf), np.full(n_offsets, -np.inf)
        np.minimum.at(first, offset, along)
        np.maximum.at(last, offset, along)
        length = np.where(last > first, last - first, 0.0)
        part = (along - first[offset]) / np.maximum(length[offset], 1e-9) * PARTS
        rows.append((k * n_offsets + offset) * PARTS + np.clip(part.astype(int), 0, PARTS - 1))
        lengths.append(length)
    rows, n = np.concatenate(rows), height * width
    shape = (len(angles) * n_offsets * PARTS, n)
    ones = np.ones(len(rows), dtype=np.float32)
    matrix = csr_matrix((ones, (rows, np.tile(np.arange(n), len(angles)))), shape=shape)
    return matrix, np.array(lengths)


def line(planes: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """How bright the strongest straight line across each plane (n, y, x) is, in its sky's noise (n,).

    Left out is all that is bright even when every line thinner than `THICK` pixels is taken away. Of the
    line's visible parts the faintest counts, above the mean of what lies 4 pixels to its left and right.
    """
    from scipy.ndimage import grey_opening, maximum_filter, uniform_filter

    step = -(-max(planes.shape[1:]) // WIDEST)
    if min(planes.shape[1:]) // step < 16:
        return np.zeros(len(planes))
    n, height, width = len(planes), planes.shape[1] // step, planes.shape[2] // step
    signal = planes[:, : height * step, : width * step].reshape(n, height, step, width, step).mean((2, 4))
    noise = np.maximum(noise / step, FLOOR * signal.max(axis=(1, 2), initial=0))[:, None, None]
    signal = (signal / np.maximum(noise, 1e-30)).astype(np.float32)
    thick = grey_opening(uniform_filter(signal, (0, 3, 3)), (1, THICK, THICK))
    seen = maximum_filter(thick, (1, 3, 3)) < BRIGHT
    signal = np.clip(signal, -BOUND, BOUND)
    some = [slice(start, start + 64) for start in range(0, n, 64)]
    return np.concatenate([np.zeros(0), *(_strongest(signal[part], seen[part]) for part in some)])


def _strongest(signal: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The strongest line (n,) of a few images in units of their noise, where they are seen (n, y, x)."""
    matrix, lengths = _lines(*signal.shape[1:])
    n, reach = len(signal), 4
    shape = (*lengths.shape, PARTS, n)
    light = (matrix @ (signal * seen).reshape(n, -1).T).reshape(shape)
    count = (matrix @ seen.astype(np.float32).reshape(n, -1).T).reshape(shape)
    light, count = light[:, :-1] + light[:, 1:], count[:, :-1] + count[:, 1:]  # two pixels wide
    mean = np.where(count > 0, light / np.maximum(count, 1), -10)
    left, right = mean[:, : -2 * reach], mean[:, 2 * reach :]
    enough = (count[:, reach:-reach] >= 8) & (left > -10) & (right > -10)
    above = np.where(enough, mean[:, reach:-reach] - (left + right) / 2, np.inf).min(axis=2)
    length = np.minimum(lengths[:, :-1], lengths[:, 1:])
    beside = np.minimum(length[:, : -2 * reach], length[:, 2 * reach :])  # none beyond the image's border
    above[(length[:, reach:-reach] < 0.6 * min(signal.shape[1:])) | (beside == 0)] = 0
    above[enough.sum(axis=2) < VISIBLE] = 0
    return above.reshape(-1, n).max(axis=0)


def straight_share(region: np.ndarray) -> float:
    """Share of an image (y, x) in a region that touches the border and ends on one or two straight lines."""
    from scipy.ndimage import binary_dilation, label

    if not region.any():
        return 0.0
    parts, _ = label(region)
    ends = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    share = 0.0
    for k in np.unique(ends[ends > 0]):
        part = parts == k
        rim = binary_dilation(part) & ~part
        if part.mean() > 0.01 and (not rim.any() or _on_two_lines(rim) > 0.8):
            share += part.mean()
    return share


def _on_two_lines(rim: np.ndarray) -> float:
    """Share of a rim's pixels on the two lines that hold the most of them, each a quarter side long."""
    from skimage.transform import hough_line

    left, total = rim.copy(), rim.sum()
    y, x = np.mgrid[: rim.shape[0], : rim.shape[1]]
    for _ in range(2):
        votes, angles, distances = hough_line(left)
        at = np.unravel_index(votes.argmax(), votes.shape)
        far = np.abs(x * np.cos(angles[at[1]]) + y * np.sin(angles[at[1]]) - distances[at[0]])
        near = left & (far <= 1.5)
        if near.sum() >= min(rim.shape) / 4:
            left &= ~near
    return 1 - left.sum() / total


def spikes(planes: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Contrast of a four-armed cross on the brightest place of the middle half, (n,).

    The median along the weakest arm, less the mean of those between the arms, over the latter and the noise.
    """
    from scipy.ndimage import uniform_filter, uniform_filter1d

    n, height, width = planes.shape
    reach = min(height, width) // 2 - 3
    if reach < 12:
        return np.zeros(n)
    smooth = uniform_filter(planes, (0, 3, 3))
    top, left, wide = height // 4, width // 4, width // 2
    peak = (
        smooth[:, top : top + height // 2, left : left + wide].reshape(n, wide * (height // 2)).argmax(axis=1)
    )
    y0, x0 = top + peak // wide, left + peak % wide
    angles, r = np.radians(np.arange(0, 360, 2.5)), np.arange(reach // 4, 3 * reach // 4)
    y = np.clip(np.round(y0[:, None, None] + np.sin(angles)[:, None] * r).astype(int), 0, height - 1)
    x = np.clip(np.round(x0[:, None, None] + np.cos(angles)[:, None] * r).astype(int), 0, width - 1)
    rays = np.median(smooth[np.arange(n)[:, None, None], y, x], axis=2).reshape(n, 4, 36)
    between = uniform_filter1d(rays.mean(axis=1), 19, mode="wrap")
    weakest, gap = rays.min(axis=1), np.roll(between, 18, axis=1)
    return ((weakest - gap) / (np.maximum(gap, 0) + noise[:, None])).max(axis=1, initial=0)
