"""Trees of random cuts in plain arrays: grown on rows, and walked by others."""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 256  # rows that go down a tree together, while both are in the processor's cache
jit = njit(cache=True, nogil=True)
fast = njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})  # sums in any order


@jit
def grow(x, keys, places, normals, depth):
    """One tree on rows (psi, d): arrays as `forest.CUTS` names them, and (size, depth) of each leaf.

    `keys` and `places` (psi - 1, d) are uniform random numbers and `normals` (psi - 1, cuts) normal ones.
    """
    psi, d = x.shape
    most, width = normals.shape
    features = np.zeros((most, width), dtype=np.int32)
    weights = np.zeros((most, width), dtype=np.float32)
    points = np.zeros((most, width), dtype=np.float32)
    limits = np.zeros(most, dtype=np.float32)
    links = np.zeros((2, most), dtype=np.int32)  # below and above: a cut k as k, a leaf as -1 - k
    sizes = np.zeros(most, dtype=np.int32)
    leaves = np.zeros((psi, 2), dtype=np.int32)
    order, spare = np.arange(psi), np.empty(psi, dtype=np.int64)
    waiting = np.zeros((psi + 1, 5), dtype=np.int64)  # start, stop, depth, and the link to set
    waiting[0, 1], waiting[0, 3], top = psi, -1, 1
    cuts = ends = 0
    low, high = np.empty(d), np.empty(d)
    while top:
        top -= 1
        start, stop, level, side, parent = waiting[top]
        rows, varied = order[start:stop], 0
        if level < depth and stop - start > 1:
            for j in range(d):
                low[j] = high[j] = x[rows[0], j]
                for row in rows:
                    low[j], high[j] = min(low[j], x[row, j]), max(high[j], x[row, j])
                varied += low[j] < high[j]
        if side >= 0:
            links[side, parent] = cuts if varied else -1 - ends
        if not varied:
            leaves[ends] = stop - start, level
            ends += 1
            continue
        chosen = np.argsort(np.where(low < high, keys[cuts], 2.0))[:width] if width < d else np.arange(d)
        limit = 0.0
        for k, j in enumerate(chosen):
            n = 1.0 if width == 1 else normals[cuts, k] if low[j] < high[j] or width == d else 0.0
            point = low[j] + places[cuts, j] * (high[j] - low[j])
            features[cuts, k], weights[cuts, k], points[cuts, k] = j, n, point
            limit += weights[cuts, k] * points[cuts, k]
        limits[cuts], sizes[cuts] = limit, stop - start
        first, last = start, stop
        for row in rows:
            side_of = 0.0
            for k in range(width):
                side_of += weights[cuts, k] * x[row, features[cuts, k]]
            if side_of > limits[cuts]:
                last -= 1
                spare[last] = row
            else:
                spare[first] = row
                first += 1
        order[start:stop] = spare[start:stop]
        waiting[top] = first, stop, level + 1, 1, cuts
        waiting[top + 1] = start, first, level + 1, 0, cuts
        top, cuts = top + 2, cuts + 1
    kept = features[:cuts], weights[:cuts], points[:cuts], limits[:cuts]
    return (*kept, links[0, :cuts].copy(), links[1, :cuts].copy(), sizes[:cuts], leaves[:ends])


@fast
def _side(row, features, normals):
    """The product of a row and a cut's normal."""
    width, total = len(normals), np.float32(0)
    if width == len(row):
        for k in range(width):
            total += normals[k] * row[k]
    else:
        for k in range(width):
            total += normals[k] * row[features[k]]
    return total


@jit
def step(x, feature, limit, child, lengths, start, depth, paths):
    """Lengths (n,) of the rows' ways down all trees, summed, by cuts of one feature."""
    n, d = x.shape
    at, block = np.empty(BLOCK, dtype=np.int32), np.empty((d, BLOCK), dtype=np.float32)
    for first in range(0, n, BLOCK):
        rows = min(BLOCK, n - first)
        for j in range(rows):
            paths[first + j] = 0
            for k in range(d):
                block[k, j] = x[first + j, k]
        for root in start:
            at[:rows] = root
            for _ in range(depth):
                for j in range(rows):
                    node = at[j]
                    at[j] = child[node] + np.int32(block[feature[node], j] > limit[node])
            for j in range(rows):
                paths[first + j] += lengths[at[j]]


@fast
def walk(x, features, normals, limits, below, above, roots, lengths, paths):
    """The same by hyperplanes, whose normals (cuts, width) are filled up with zeros."""
    n, d = x.shape
    width = normals.shape[1]
    whole = features.shape[1] == d
    block = np.zeros((BLOCK, max(width, d)), dtype=np.float32)
    for first in range(0, n, BLOCK):
        rows = min(BLOCK, n - first)
        block[:rows, :d] = x[first : first + rows]
        paths[first : first + rows] = 0
        for root in roots:
            for j in range(rows):
                at = root
                while at >= 0:
                    side = np.float32(0)
                    if whole:
                        for k in range(width):
                            side += normals[at, k] * block[j, k]
                    else:
                        for k in range(features.shape[1]):
                            side += normals[at, k] * block[j, features[at, k]]
                    at = above[at] if side > limits[at] else below[at]
                paths[first + j] += lengths[-1 - at]


@jit
def credit(x, features, normals, limits, below, above, roots, points, sizes, leaves, means, saved):
    """What each feature saves (n, d) on the rows' ways down all trees, summed."""
    for i in range(len(x)):
        for root in roots:
            at = root
            while at >= 0:
                onward = above[at] if _side(x[i], features[at], normals[at]) > limits[at] else below[at]
                left = sizes[onward] if onward >= 0 else leaves[-1 - onward, 0]
                gain = means[sizes[at]] - 1 - means[left]
                total = 0.0
                for k, j in enumerate(features[at]):
                    total += abs(normals[at, k] * (x[i, j] - points[at, k]))
                for k, j in enumerate(features[at]):
                    share = abs(normals[at, k] * (x[i, j] - points[at, k])) / total if total > 0 else 0.0
                    saved[i, j] += gain * (share if total > 0 else 1.0 / features.shape[1])
                at = onward
