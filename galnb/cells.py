"""Cells of a plane along a Morton (Z-order) curve: codes, sorting by them, the quadtree, and its runs.

The plane's bounds are halved `DEPTH` times in x and in y. A cell of level L has a code of 2 L bits, x in the
even ones, and within it all points of its four quarters follow each other. Cells that hold more than a
few points are split, so that what is looked at is never much coarser than the points are.
"""

from __future__ import annotations

import numba
import numpy as np

DEPTH = 28  # halvings: a cell is then as fine as float32, even where some points lie far out
SIDE = 1 << DEPTH
DIGIT = 11  # bits that are sorted by at once
FEW = 32  # a cell of more points has its quarters counted too
jit = numba.njit(cache=True, nogil=True)


def node_type(n: int) -> np.dtype:
    """Of one cell: where it is in its level, its first sorted position and its number of points."""
    place = "<u4" if n < 2**32 else "<u8"
    return np.dtype([("i", "<u4"), ("j", "<u4"), ("start", place), ("count", place)])


@jit
def cell(value, low, high):
    """Cell of the deepest level along one axis. It grows with `value`, so a view's ends bound its points'."""
    at = np.floor((value - low) * (SIDE / (high - low)))
    return np.int64(min(max(at, 0.0), SIDE - 1.0))


@jit
def interleave(i, j):
    """Morton code of cell (i, j)."""
    code = np.uint64(0)
    for number, first in ((i, np.uint64(0)), (j, np.uint64(1))):
        v = np.uint64(number)
        v = (v | (v << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
        v = (v | (v << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
        v = (v | (v << np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        v = (v | (v << np.uint64(2))) & np.uint64(0x3333333333333333)
        v = (v | (v << np.uint64(1))) & np.uint64(0x5555555555555555)
        code |= v << first
    return code


@jit
def along(code):
    """One axis of a Morton code: its even bits; those of y are the even bits of ``code >> 1``."""
    v = code & np.uint64(0x5555555555555555)
    v = (v | (v >> np.uint64(1))) & np.uint64(0x3333333333333333)
    v = (v | (v >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    v = (v | (v >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    v = (v | (v >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    v = (v | (v >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)
    return np.int64(v)


@jit
def apart(codes):
    """Columns i and rows j (n,) of the cells of some codes."""
    i, j = np.empty(len(codes), dtype=np.uint32), np.empty(len(codes), dtype=np.uint32)
    for k in range(len(codes)):
        i[k], j[k] = along(codes[k]), along(codes[k] >> np.uint64(1))
    return i, j


@jit
def codes_of(x, y, x0, x1, y0, y1):
    """Morton codes (n,) of finite points at the deepest level."""
    codes = np.empty(len(x), dtype=np.uint64)
    for k in range(len(x)):
        codes[k] = interleave(cell(np.float64(x[k]), x0, x1), cell(np.float64(y[k]), y0, y1))
    return codes


@jit
def sort_codes(codes):
    """Sorted codes, and the order that sorts them; of equal ones the first comes first."""
    n, top = len(codes), 2 * DEPTH - DIGIT
    # once by the leading digit, so that all further moves are within what a processor keeps at hand
    ends = np.zeros((1 << DIGIT) + 1, dtype=np.int64)
    for code in codes:
        ends[np.int64(code >> np.uint64(top)) + 1] += 1
    ends = np.cumsum(ends)
    at = ends.copy()
    keys, order = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.uint32)
    for k in range(n):
        digit = np.int64(codes[k] >> np.uint64(top))
        keys[at[digit]], order[at[digit]] = codes[k], k
        at[digit] += 1
    widest = np.max(ends[1:] - ends[:-1])
    keys2, order2 = np.empty(widest, dtype=np.uint64), np.empty(widest, dtype=np.uint32)
    for digit in range(1 << DIGIT):
        low, high = ends[digit], ends[digit + 1]
        if high - low > 1:
            _radix(keys[low:high], order[low:high], keys2[: high - low], order2[: high - low], top)
    return keys, order


@jit
def _radix(keys, order, keys2, order2, bits):
    """Sort keys and order by the lowest `bits`, in place; few by insertion."""
    n = len(keys)
    if n <= FEW:
        for k in range(1, n):
            key, row, at = keys[k], order[k], k
            while at and keys[at - 1] > key:
                keys[at], order[at] = keys[at - 1], order[at - 1]
                at -= 1
            keys[at], order[at] = key, row
        return
    width = DIGIT if n > 16_384 else 8
    digits = -(-bits // width)
    mask, ends = np.uint64((1 << width) - 1), np.zeros((digits, (1 << width) + 1), dtype=np.int64)
    for key in keys:
        for digit in range(digits):
            ends[digit, np.int64((key >> np.uint64(width * digit)) & mask) + 1] += 1
    moved = 0
    for digit in range(digits):
        if ends[digit].max() == n:
            continue  # all have the same digit
        shift, at = np.uint64(width * digit), np.cumsum(ends[digit])
        for k in range(n):
            place = np.int64((keys[k] >> shift) & mask)
            keys2[at[place]], order2[at[place]] = keys[k], order[k]
            at[place] += 1
        keys, keys2, order, order2 = keys2, keys, order2, order
        moved += 1
    if moved % 2:
        keys2[:], order2[:] = keys, order


@jit
def first_not_below(codes, code, low, high):
    """First of the sorted codes[low:high] that is `code` or more."""
    while low < high:
        middle = (low + high) // 2
        if codes[middle] < code:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def _quarters(codes, level, code, start, count):
    """Nonempty quarters of those cells of a level that have more than FEW points; starts are in `codes`."""
    most = 4 * np.sum(count > FEW)
    quarter = np.empty(most, dtype=np.uint64)
    first, number = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    shift, k = np.uint64(2 * (DEPTH - level - 1)), 0
    for parent in range(len(code)):
        if count[parent] <= FEW:
            continue
        at, stop = start[parent], start[parent] + count[parent]
        for corner in range(4):
            own = (code[parent] << np.uint64(2)) | np.uint64(corner)
            end = first_not_below(codes, (own + np.uint64(1)) << shift, at, stop) if corner < 3 else stop
            if end > at:
                quarter[k], first[k], number[k] = own, at, end - at
                k += 1
            at = end
    return quarter[:k], first[:k], number[:k]


def grow(codes: np.ndarray, *, level: int = 0, code: int = 0) -> list[tuple[np.ndarray, ...]]:
    """Cells by level (code, start, count), DEPTH + 1 levels, of sorted codes that all lie in one cell.

    That cell comes first; then, level by level, the nonempty quarters of cells of more than FEW points.

    >>> codes, order = sort_codes(codes_of(np.zeros(40), np.zeros(40), 0.0, 1.0, 0.0, 1.0))
    >>> [cells[2].tolist() for cells in grow(codes)][:2]
    [[40], [40]]
    """
    nothing = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    levels = [nothing] * level
    whole = np.array([code], np.uint64), np.zeros(1, np.int64), np.array([len(codes)], np.int64)
    levels.append(whole if len(codes) else nothing)
    while len(levels) <= DEPTH:
        levels.append(_quarters(codes, len(levels) - 1, *levels[-1]))
    return levels


@jit
def runs_in(codes, levels, starts, i0, i1, j0, j1):
    """Sorted positions (k, 2), first and past-the-last, of the leaf cells that overlap a box of cells.

    Leaves: first code of each at the deepest level, its level, and where its points start (one more).
    """
    runs, k = np.empty((64, 2), dtype=np.int64), 0
    todo = np.empty((4 * DEPTH + 8, 5), dtype=np.int64)  # (i, j, level, first leaf, past the last) of a cell
    todo[0, 0], todo[0, 1], todo[0, 2], todo[0, 3], todo[0, 4] = 0, 0, 0, 0, len(codes)
    depth = 1
    while depth:
        depth -= 1
        i, j, level, low, high = todo[depth]
        if low < high and high - low == 1:  # straight to the only leaf in it
            i, j, level = along(codes[low]), along(codes[low] >> np.uint64(1)), np.int64(levels[low])
        size = SIDE >> level
        if low >= high or i > i1 or j > j1 or i + size <= i0 or j + size <= j0:
            continue
        inside = i >= i0 and j >= j0 and i + size - 1 <= i1 and j + size - 1 <= j1
        if inside or high - low == 1:
            if k and runs[k - 1, 1] == starts[low]:
                runs[k - 1, 1] = starts[high]
                continue
            if k == len(runs):
                more = np.empty((2 * k, 2), dtype=np.int64)
                more[:k] = runs
                runs = more
            runs[k, 0], runs[k, 1] = starts[low], starts[high]
            k += 1
            continue
        half, own = size // 2, interleave(i, j)
        end = high
        for corner in range(3, -1, -1):
            first = own + np.uint64(corner) * np.uint64(half) * np.uint64(half)
            begin = first_not_below(codes, first, low, end) if corner else low
            todo[depth, 0], todo[depth, 1] = i + half * (corner & 1), j + half * (corner >> 1)
            todo[depth, 2], todo[depth, 3], todo[depth, 4] = level + 1, begin, end
            depth += 1
            end = begin
    return runs[:k]
