"""`Polygon`: which points, and which cells, are inside what a hand drew; even-odd where it crosses itself."""

from __future__ import annotations

import numpy as np

from .cells import DEPTH, SIDE, along, first_not_below, interleave, jit

MOST = 1 << 21  # entries of edges by band


class Polygon:
    """A closed polygon, with its edges sorted into bands of y.

    Parameters
    ----------
    corners : array (k, 2)
        Finite, at least 3 of them; ValueError otherwise.

    Examples
    --------
    >>> triangle = Polygon([(0, 0), (1, 0), (0, 1)])
    >>> triangle.inside(np.array([0.2, 0.9]), np.array([0.2, 0.9])).tolist()
    [True, False]
    """

    def __init__(self, corners):
        corners = np.ascontiguousarray(corners, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise ValueError(
                f"the polygon has shape {corners.shape}, wanted finite (k, 2) with k >= 3; draw it again"
            )
        self.corners = corners
        self._bands = _bands(corners)

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which points (n,) are inside."""
        return _inside(x, y, *self._bands)

    def cells(self, codes, levels, bounds) -> tuple[np.ndarray, np.ndarray]:
        """Of leaf cells (n,): which an edge comes near, and which of the others are inside."""
        near = _near(codes, levels, self.corners, *bounds)
        return near, _whole(codes, levels, near, *bounds, *self._bands)


@jit
def _bands(corners):
    """Lowest y, bands per unit of y, and of each band its edges (xa, ya, xb, yb) from first[band] on."""
    low, high = corners[:, 1].min(), corners[:, 1].max()
    n = min(4096, 2 * len(corners))
    while True:
        scale = n / (high - low) if high > low else 0.0
        first = np.zeros(n + 1, dtype=np.int64)
        for k in range(len(corners)):
            a, b = _ends(corners[k - 1, 1], corners[k, 1], low, scale, n)
            first[a + 1 : b + 2] += 1
        first = np.cumsum(first)
        if first[-1] <= MOST or n == 1:
            break
        n //= 2
    edges, at = np.empty((first[-1], 4)), first.copy()
    for k in range(len(corners)):
        a, b = _ends(corners[k - 1, 1], corners[k, 1], low, scale, n)
        for band in range(a, b + 1):
            edges[at[band], :2] = corners[k - 1]
            edges[at[band], 2:] = corners[k]
            at[band] += 1
    return low, scale, first, edges


@jit
def _band(y, low, scale, n):
    return int(min(max((y - low) * scale, 0.0), n - 1.0))


@jit
def _ends(ya, yb, low, scale, n):
    return _band(min(ya, yb), low, scale, n), _band(max(ya, yb), low, scale, n)


@jit
def _within(x, y, low, scale, first, edges):
    """Ray cast, even-odd, over the edges of one band."""
    band, inside = _band(y, low, scale, len(first) - 1), False
    for k in range(first[band], first[band + 1]):
        xa, ya, xb, yb = edges[k, 0], edges[k, 1], edges[k, 2], edges[k, 3]
        if (ya > y) != (yb > y) and x < (xb - xa) * (y - ya) / (yb - ya) + xa:
            inside = not inside
    return inside


@jit
def _inside(x, y, low, scale, first, edges):
    found = np.empty(len(x), dtype=np.bool_)
    for k in range(len(x)):
        found[k] = _within(np.float64(x[k]), np.float64(y[k]), low, scale, first, edges)
    return found


@jit
def _whole(codes, levels, near, x0, x1, y0, y1, low, scale, first, edges):
    found = np.zeros(len(codes), dtype=np.bool_)
    wide, high = (x1 - x0) / SIDE, (y1 - y0) / SIDE
    for k in range(len(codes)):
        if not near[k]:
            half = (SIDE >> np.int64(levels[k])) / 2
            x = x0 + (along(codes[k]) + half) * wide
            y = y0 + (along(codes[k] >> np.uint64(1)) + half) * high
            found[k] = _within(x, y, low, scale, first, edges)
    return found


@jit
def _touches(xa, ya, xb, yb, left, right, bottom, top):
    """Whether an edge meets a box; in doubt it does."""
    if max(xa, xb) < left or min(xa, xb) > right or max(ya, yb) < bottom or min(ya, yb) > top:
        return False
    dx, dy = xb - xa, yb - ya
    across, up = dx * ((bottom + top) / 2 - ya), dy * ((left + right) / 2 - xa)
    reach = abs(dx) * (top - bottom) / 2 + abs(dy) * (right - left) / 2
    return abs(across - up) <= reach * (1 + 1e-9) + 1e-12 * (abs(across) + abs(up))


@jit
def _near(codes, levels, corners, x0, x1, y0, y1):
    """Which leaf cells an edge comes near, by walking down the quadtree with each edge."""
    near = np.zeros(len(codes), dtype=np.bool_)
    wide, tall = (x1 - x0) / SIDE, (y1 - y0) / SIDE
    todo = np.empty((4 * DEPTH + 8, 5), dtype=np.int64)  # (i, j, level, first leaf, past the last) of a cell
    for k in range(len(corners)):
        xa, ya, xb, yb = corners[k - 1, 0], corners[k - 1, 1], corners[k, 0], corners[k, 1]
        todo[0, 0], todo[0, 1], todo[0, 2], todo[0, 3], todo[0, 4] = 0, 0, 0, 0, len(codes)
        depth = 1
        while depth:
            depth -= 1
            i, j, level, low, high = todo[depth]
            if low >= high:
                continue
            if high - low == 1:  # straight to the only leaf in it
                i, j, level = along(codes[low]), along(codes[low] >> np.uint64(1)), np.int64(levels[low])
            size = SIDE >> level
            # one cell more on each side: rounding may put a point's cell off by one
            left, right = x0 + (i - 1) * wide, x0 + (i + size + 1) * wide
            bottom, top = y0 + (j - 1) * tall, y0 + (j + size + 1) * tall
            if not _touches(xa, ya, xb, yb, left, right, bottom, top):
                continue
            if high - low == 1:
                near[low] = True
                continue
            half, own, end = size // 2, interleave(i, j), high
            for corner in range(3, -1, -1):
                start = own + np.uint64(corner) * np.uint64(half) * np.uint64(half)
                begin = first_not_below(codes, start, low, end) if corner else low
                todo[depth, 0], todo[depth, 1] = i + half * (corner & 1), j + half * (corner >> 1)
                todo[depth, 2], todo[depth, 3], todo[depth, 4] = level + 1, begin, end
                depth += 1
                end = begin
    return near
