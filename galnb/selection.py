"""`Selection`: galaxies that are chosen, as many as there may be; and their ids, read only when asked for.

A lasso's galaxies are stretches of its map's order, which cost what its outline costs and not what is inside.
Some thousands are plain rows. Millions that have no order in common (of two maps) are bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .spans import Bits, Spans
from .store import PIECE, Store
from .stored import take

SMALL = 1_000_000  # rows up to this number are listed in an order of their own
TUPLE = 100_000  # ids up to this number are a tuple
LOCATED = 100_000  # rows that are looked up one by one


class Selection:
    """Rows of a catalogue, never changed once made; see `Selection.of` and `Selection.inside`.

    Attributes
    ----------
    spans, store : Spans and Store, or None
        Where the galaxies lie in a map, if that is known.
    """

    def __init__(self, *, rows=None, spans: Spans | None = None, store: Store | None = None, bits=None):
        self._rows, self.spans, self.store, self._bits = rows, spans, store, bits
        self._n = len(next(part for part in (rows, spans, bits) if part is not None))

    @classmethod
    def of(cls, rows) -> Selection:
        """Of rows (k,) in their order; of repeated ones the first stays.

        >>> Selection.of([4, 2, 4]).rows.tolist()
        [4, 2]
        """
        rows = np.asarray(rows, dtype=np.intp)
        return cls(rows=rows[np.sort(np.unique(rows, return_index=True)[1])])

    @classmethod
    def inside(cls, store: Store, polygon) -> Selection:
        """Of what is inside a polygon (k, 2) in a map: ascending; beyond a million, along the map's curve."""
        return cls(spans=store.within(polygon), store=store)

    def __len__(self) -> int:
        return self._n

    @property
    def nbytes(self) -> int:
        """Memory that it keeps."""
        return sum(part.nbytes for part in (self._rows, self.spans, self._bits) if part is not None)

    @property
    def rows(self) -> np.ndarray:
        """All rows (k,); do not write to them."""
        if self._rows is None and self.spans is not None:
            rows = take(self.store.order, self.spans.runs).astype(np.intp)
            if len(self) > SMALL:
                return rows
            self._rows = np.sort(rows)
        return self.page(0, len(self)) if self._rows is None else self._rows

    def page(self, start: int, stop: int) -> np.ndarray:
        """``rows[start:stop]`` without the rest."""
        if self._rows is not None or (self.spans is not None and len(self) <= SMALL):
            return self.rows[max(start, 0) : max(stop, 0)]
        if self.spans is not None:
            return take(self.store.order, self.spans.page(start, stop).runs).astype(np.intp)
        return self._bits.page(start, stop)

    def pages(self, size: int = 1 << 16) -> Iterator[np.ndarray]:
        """All rows, some at a time."""
        for start in range(0, len(self), size):
            yield self.page(start, start + size)

    def has(self, rows) -> np.ndarray:
        """Which of some rows (k,) are in it."""
        rows = np.asarray(rows, dtype=np.intp)
        if self._rows is not None:
            return np.isin(rows, self._rows)
        if self._bits is not None:
            return self._bits.has(rows)
        found = self.store.locate(rows)
        return (found >= 0) & self.spans.has(np.maximum(found, 0))

    def bits(self, n: int) -> Bits:
        """The same as one bit for each of the n rows of the catalogue."""
        if self._bits is not None:
            return self._bits
        bits = Bits(n)
        if self._rows is not None:
            bits.put(self._rows)
        else:
            for start in range(0, len(self), PIECE):
                bits.put(take(self.store.order, self.spans.page(start, start + PIECE).runs))
        return bits

    def in_store(self, store: Store) -> Spans | None:
        """Where the galaxies lie in a map, if all do and that is soon found."""
        if self.store is store:
            return self.spans
        if len(self) > LOCATED:
            return None
        found = np.sort(store.locate(self.rows))
        return Spans.of(found) if not len(found) or found[0] >= 0 else None

    def marks(self, store: Store) -> Spans | Bits | np.ndarray:
        """What to mark in a map: sorted positions as a set, or, of few galaxies, their places (k, 2)."""
        if self.store is store:
            return self.spans
        if store.marked is None or store.marked[0] is not self:
            store.marked = self, self._find(store)
        return store.marked[1]

    def _find(self, store: Store) -> Bits | np.ndarray:
        if len(self) <= SMALL:
            return store.place(self.rows)
        rows, found = self.bits(store.n_rows), Bits(store.n)
        for start in range(0, store.n, PIECE):
            order = take(store.order, np.array([[start, min(start + PIECE, store.n)]]))
            found.follow(rows, order, start)
        return found

    def same(self, other: Selection) -> bool:
        """Whether both are the same rows in the same order, as far as that is soon told."""
        if self is other or len(self) != len(other):
            return self is other
        if self.store is other.store and self.spans is not None and self._rows is None is other._rows:
            return np.array_equal(self.spans.runs, other.spans.runs)
        if self._bits is not None and other._bits is not None:
            return np.array_equal(self._bits.packed, other._bits.packed)
        return len(self) <= 2 * SMALL and np.array_equal(self.rows, other.rows)

    def combined(self, other: Selection, mode: str, n: int) -> Selection:
        """With another ("replace", "add" or "subtract") of the same catalogue of n rows.

        Of listed rows the old keep their order and the new follow in theirs.
        """
        if mode == "replace":
            return other
        larger, smaller = sorted((self, other), key=len, reverse=True)
        store = larger.store or smaller.store
        mine, theirs = (part.in_store(store) if store else None for part in (self, other))
        spans = None
        if mine is not None and theirs is not None:
            spans = mine | theirs if mode == "add" else mine - theirs
        known = {} if spans is None else {"spans": spans, "store": store}
        if max(len(self), len(other)) <= SMALL:
            return Selection(rows=_listed(self.rows, other.rows, mode), **known)
        if known:
            return Selection(**known)
        mine, theirs = self.bits(n), other.bits(n)
        return Selection(bits=mine | theirs if mode == "add" else mine - theirs)


def _listed(old: np.ndarray, new: np.ndarray, mode: str) -> np.ndarray:
    return old[~np.isin(old, new)] if mode == "subtract" else np.concatenate([old, new[~np.isin(new, old)]])


NOTHING = Selection.of([])


class Ids(Sequence):
    """Ids of many selected galaxies: as a tuple of them, but each is read from the catalogue when asked for.

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> ids = Ids(Latents(np.array([30, 20, 10]), np.eye(3)), Selection.of([2, 0]))
    >>> ids[0], ids[:2], len(ids), ids == (10, 30), 20 in ids
    (10, (10, 30), 2, True, False)
    """

    def __init__(self, latents, selection: Selection):
        self.latents, self.selection = latents, selection

    def __len__(self) -> int:
        return len(self.selection)

    def __getitem__(self, key):
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._read(self.selection.page(start, max(start, stop)))
            wanted = range(start, stop, step)
            if not wanted:
                return ()
            low = min(wanted[0], wanted[-1])
            page = self.selection.page(low, max(wanted[0], wanted[-1]) + 1)
            return self._read(page[np.arange(start, stop, step) - low])
        at = range(len(self))[key]
        return self._read(self.selection.page(at, at + 1))[0]

    def _read(self, rows) -> tuple:
        return tuple(np.asarray(self.latents.id[rows]).tolist()) if len(rows) else ()

    def __iter__(self) -> Iterator:
        for rows in self.selection.pages():
            yield from self._read(rows)

    def _shared(self, latents) -> bool:
        return latents is self.latents or latents.hash() == self.latents.hash()

    def rows_in(self, latents) -> Selection:
        """The same galaxies in a catalogue that has them too."""
        if self._shared(latents):
            return self.selection
        found = (latents.rows_of(np.array(self[at : at + SMALL])) for at in range(0, len(self), SMALL))
        if len(self) <= 2 * SMALL:
            return Selection.of(np.concatenate([*found]) if len(self) else [])
        bits = Bits(len(latents))
        for rows in found:
            bits.put(rows)
        return Selection(bits=bits)

    def __contains__(self, id) -> bool:
        try:
            return bool(self.selection.has(self.latents.rows_of([id]))[0])
        except (KeyError, ValueError, TypeError):
            return False

    def __eq__(self, other) -> bool:
        if self is other:
            return True
        if not isinstance(other, tuple | Ids):
            return NotImplemented
        if len(self) != len(other):
            return False
        if isinstance(other, Ids) and self.selection.same(other.selection) and other._shared(self.latents):
            return True
        step = 1 << 16
        return all(self[at : at + step] == other[at : at + step] for at in range(0, len(self), step))

    __hash__ = None

    def __repr__(self) -> str:
        return f"<Ids of {len(self):,} galaxies>"


def ids_of(latents, selection: Selection) -> tuple | Ids:
    """Ids of the selected galaxies: a tuple up to 100,000, else `Ids`."""
    ids = Ids(latents, selection)
    return ids[:] if len(ids) <= TUPLE else ids
