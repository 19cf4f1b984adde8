"""Sets of positions: `Spans`, stretches that follow each other, and `Bits`, one bit a position.

A lasso around millions of galaxies is some thousand stretches of the map's order; what has no order
there (the galaxies of another map) is bits. Both say how many of them come before a position, and both
give a page of themselves without the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .cells import jit

END = np.iinfo(np.int64).max
BLOCK = 1 << 15  # positions between two counts that `Bits` keeps


class Spans:
    """A set of positions as stretches (k, 2), first and past-the-last, ascending and apart.

    Examples
    --------
    >>> few, more = Spans([(0, 3), (8, 9)]), Spans([(2, 5)])
    >>> (few | more).runs.tolist(), (few - more).runs.tolist(), len(few)
    ([[0, 5], [8, 9]], [[0, 2], [8, 9]], 4)
    """

    def __init__(self, runs):
        self.runs = np.asarray(runs, dtype=np.int64).reshape(-1, 2)
        self._ends = np.concatenate([[0], np.cumsum(self.runs[:, 1] - self.runs[:, 0])])

    @classmethod
    def union(cls, runs: np.ndarray) -> Spans:
        """Of stretches in any order that do not overlap."""
        runs = runs[(runs[:, 1] > runs[:, 0])]
        runs = runs[np.argsort(runs[:, 0], kind="stable")]
        joined = runs[1:, 0] == runs[:-1, 1]
        first, last = np.r_[True, ~joined][: len(runs)], np.r_[~joined, True][: len(runs)]
        return cls(np.stack([runs[first, 0], runs[last, 1]], axis=1))

    @classmethod
    def of(cls, positions: np.ndarray) -> Spans:
        """Of positions (k,), ascending, none twice."""
        positions = np.asarray(positions, dtype=np.int64)
        return cls.union(np.stack([positions, positions + 1], axis=1))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __or__(self, other: Spans) -> Spans:
        return Spans(_others(_both(_others(self.runs), _others(other.runs))))

    def __sub__(self, other: Spans) -> Spans:
        return Spans(_both(self.runs, _others(other.runs)))

    def __and__(self, other: Spans) -> Spans:
        return Spans(_both(self.runs, other.runs))

    @property
    def nbytes(self) -> int:
        return self.runs.nbytes

    def before(self, positions: np.ndarray) -> np.ndarray:
        """How many of the set come before each of some positions (k,); fast where these mostly ascend."""
        return _before(self.runs, self._ends, np.asarray(positions, dtype=np.int64))

    def has(self, positions: np.ndarray) -> np.ndarray:
        """Which positions (k,) are in the set."""
        positions = np.asarray(positions, dtype=np.int64)
        return self.before(positions + 1) > self.before(positions)

    def mask(self, runs: np.ndarray) -> np.ndarray:
        """Which positions of stretches (k, 2), one after the other, are in the set."""
        return _mask(_both(runs, self.runs), runs)

    def page(self, start: int, stop: int) -> Spans:
        """The set's own start-th to stop-th position."""
        start, stop = max(0, min(start, len(self))), max(0, min(stop, len(self)))
        if start >= stop:
            return Spans([])
        first = np.searchsorted(self._ends, start, side="right") - 1
        last = np.searchsorted(self._ends, stop, side="left")
        runs = self.runs[first:last].copy()
        runs[0, 0] += start - self._ends[first]
        runs[-1, 1] -= self._ends[last] - stop
        return Spans(runs)

    def pick(self, numbers: np.ndarray) -> np.ndarray:
        """The positions at places (k,) of the set's own."""
        run = np.searchsorted(self._ends, numbers, side="right") - 1
        return self.runs[run, 0] + numbers - self._ends[run] if len(self.runs) else np.zeros(0, np.int64)

    def positions(self) -> np.ndarray:
        """All of them (n,)."""
        steps = np.repeat(self.runs[:, 0] - self._ends[:-1], self.runs[:, 1] - self.runs[:, 0])
        return steps + np.arange(len(self))


class Bits:
    """A set of positions 0 to n - 1 as one bit each.

    Examples
    --------
    >>> bits = Bits(10)
    >>> bits.put(np.array([7, 3]))
    >>> len(bits), bits.page(0, 9).tolist(), bits.has(np.array([3, 4])).tolist()
    (2, [3, 7], [True, False])
    """

    def __init__(self, n: int, packed: np.ndarray | None = None):
        self.n = n
        self.packed = np.zeros(-(-n // BLOCK) * BLOCK // 8, dtype=np.uint8) if packed is None else packed
        self._counted: np.ndarray | None = None

    def put(self, positions: np.ndarray) -> None:
        """Add positions (k,) to the set."""
        _put(self.packed, positions)
        self._counted = None

    def follow(self, other: Bits, entries: np.ndarray, start: int) -> None:
        """Add the positions, from `start` on, of those entries (k,) that are in another set."""
        _follow(self.packed, other.packed, entries, start)
        self._counted = None

    @property
    def _ends(self) -> np.ndarray:
        if self._counted is None:
            blocks = self.packed.reshape(-1, BLOCK // 8)
            counts = [int(np.bitwise_count(block.view(np.uint64)).sum()) for block in blocks]
            self._counted = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        return self._counted

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __or__(self, other: Bits) -> Bits:
        return Bits(self.n, self.packed | other.packed)

    def __sub__(self, other: Bits) -> Bits:
        return Bits(self.n, self.packed & ~other.packed)

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes

    def has(self, positions: np.ndarray) -> np.ndarray:
        """Which positions (k,) are in the set."""
        positions = np.asarray(positions)
        return (self.packed[positions >> 3] >> (positions & 7).astype(np.uint8)) & 1 > 0

    def before(self, positions: np.ndarray) -> np.ndarray:
        """How many of the set come before each of some positions (k,)."""
        return _before_bits(self.packed, self._ends, np.asarray(positions, dtype=np.int64))

    def mask(self, runs: np.ndarray) -> np.ndarray:
        """Which positions of stretches (k, 2), one after the other, are in the set."""
        return _mask_bits(self.packed, runs)

    def pages(self) -> Iterator[np.ndarray]:
        """All positions, ascending, some at a time."""
        for block in range(len(self._ends) - 1):
            if self._ends[block + 1] > self._ends[block]:
                yield self._block(block)

    def _block(self, block: int) -> np.ndarray:
        part = self.packed[block * BLOCK // 8 : (block + 1) * BLOCK // 8]
        return np.flatnonzero(np.unpackbits(part, bitorder="little")) + block * BLOCK

    def page(self, start: int, stop: int) -> np.ndarray:
        """The set's own start-th to stop-th position, ascending."""
        start, stop = max(0, min(start, len(self))), max(0, min(stop, len(self)))
        if start >= stop:
            return np.zeros(0, dtype=np.int64)
        first = int(np.searchsorted(self._ends, start, side="right")) - 1
        last = int(np.searchsorted(self._ends, stop, side="left"))
        found = np.concatenate([self._block(block) for block in range(first, last)])
        return found[start - self._ends[first] : stop - self._ends[first]]


def _others(runs: np.ndarray) -> np.ndarray:
    """All that is in none of some stretches."""
    edges = np.concatenate([[0], runs.ravel(), [END]]).reshape(-1, 2)
    return edges[edges[:, 1] > edges[:, 0]]


@jit
def _both(a, b):
    """What is in a stretch of `a` and in one of `b`."""
    out, k = np.empty((len(a) + len(b), 2), dtype=np.int64), 0
    i = j = 0
    while i < len(a) and j < len(b):
        start, stop = max(a[i, 0], b[j, 0]), min(a[i, 1], b[j, 1])
        if stop > start:
            out[k, 0], out[k, 1] = start, stop
            k += 1
        if a[i, 1] < b[j, 1]:
            i += 1
        else:
            j += 1
    return out[:k].copy()


@jit
def _before(runs, ends, positions):
    out, k = np.empty(len(positions), dtype=np.int64), 0
    for at in range(len(positions)):
        position = positions[at]
        if k and runs[k - 1, 1] > position:  # went back
            k = 0
        step = 1
        while k + step <= len(runs) and runs[k + step - 1, 1] <= position:
            step *= 2
        low, high = k + step // 2, min(k + step, len(runs))
        while low < high:  # the first stretch that ends after the position
            middle = (low + high) // 2
            if runs[middle, 1] <= position:
                low = middle + 1
            else:
                high = middle
        k = low
        out[at] = ends[k]
        if k < len(runs):
            out[at] += max(position - runs[k, 0], 0)
    return out


@jit
def _mask(found, runs):
    total = 0
    for run in range(len(runs)):
        total += runs[run, 1] - runs[run, 0]
    mask = np.zeros(total, dtype=np.bool_)
    offset = k = 0
    for run in range(len(runs)):
        while k < len(found) and found[k, 1] <= runs[run, 1]:
            start = offset + found[k, 0] - runs[run, 0]
            mask[start : start + found[k, 1] - found[k, 0]] = True
            k += 1
        offset += runs[run, 1] - runs[run, 0]
    return mask


@jit
def _put(packed, positions):
    for position in positions:
        packed[position >> 3] |= np.uint8(1 << (position & 7))


@jit
def _follow(packed, other, entries, start):
    for k in range(len(entries)):
        if (other[entries[k] >> 3] >> (entries[k] & 7)) & 1:
            packed[(start + k) >> 3] |= np.uint8(1 << ((start + k) & 7))


@jit
def _mask_bits(packed, runs):
    total = 0
    for run in range(len(runs)):
        total += runs[run, 1] - runs[run, 0]
    mask, k = np.empty(total, dtype=np.bool_), 0
    for run in range(len(runs)):
        for position in range(runs[run, 0], runs[run, 1]):
            mask[k] = (packed[position >> 3] >> (position & 7)) & 1
            k += 1
    return mask


@jit
def _before_bits(packed, ends, positions):
    """Count on from the last position where that is near, else from the start of its block."""
    out = np.empty(len(positions), dtype=np.int64)
    here, count = np.int64(0), np.int64(0)
    for at in range(len(positions)):
        position = positions[at]
        if position < here or position // BLOCK > here // BLOCK:
            here = position // BLOCK * BLOCK
            count = ends[position // BLOCK]
        while here < position:
            if here & 7 == 0 and position - here >= 8:
                byte = packed[here >> 3]
                while byte:
                    byte &= byte - np.uint8(1)
                    count += 1
                here += 8
            else:
                count += (packed[here >> 3] >> (here & 7)) & 1
                here += 1
        out[at] = count
    return out
