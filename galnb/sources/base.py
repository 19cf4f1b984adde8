"""The contract of a source: a survey, or a folder, from which galaxies are read by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import BadInput
from ..hats import sky
from ..images import Images
from ..provenance import array_hash


@dataclass(frozen=True)
class Quarantined:
    """One input that was left out: where it lies and why."""

    where: str
    reason: str


class Source(ABC):
    """Base of the family; a member defines `__len__`, `bands`, `pixel_scale`, `id` and `read_rows`.

    Laws, checked for every member: the same rows twice give the same pixels; ids are unique; a
    slice of a read is the read of a slice; a bad row is named in the error, and can be skipped
    into `quarantine`.

    Attributes
    ----------
    bands : tuple of str
    pixel_scale : float or None
        Arcseconds a pixel.
    id : ndarray (n,)
    quarantine : list of Quarantined
        Every input that was skipped so far, once.
    """

    bands: tuple[str, ...]
    pixel_scale: float | None = None
    id: np.ndarray

    def __init__(self):
        self.quarantine: list[Quarantined] = []

    def __len__(self) -> int:
        return len(self.id)

    def positions(self) -> tuple[np.ndarray, np.ndarray] | None:
        """ra and dec (n,) in degrees of all galaxies, NaN where unknown, without reading images; or None."""
        return None

    def fingerprint(self) -> str:
        """Hex digest of the names; and, where it costs no reading of images, of some pixels and columns."""
        return array_hash(np.array(self.id.tolist()))

    @abstractmethod
    def read_rows(self, rows: np.ndarray) -> Images:
        """Images of row numbers (k,), all in range; BadInput names the first bad row."""

    def read(self, rows=None, *, skip_bad: bool = False) -> Images:
        """Images of some rows (integer, slice, mask, index array) or of all.

        Parameters
        ----------
        skip_bad : bool
            Put rows that cannot be read on the `quarantine` list and return the rest.

        Raises
        ------
        BadInput
            Naming the first bad row, unless `skip_bad`.
        IndexError
            If a row is off the end.
        """
        rows = np.atleast_1d(np.arange(len(self))[slice(None) if rows is None else rows])
        try:
            return self.read_rows(rows)
        except BadInput:
            if not skip_bad:
                raise
        good = [row for row in rows if self._readable(row)]
        return self.read_rows(np.asarray(good, dtype=int))

    def _readable(self, row: int) -> bool:
        try:
            self.read_rows(np.array([row]))
        except BadInput as error:
            self.set_aside(error)
            return False
        return True

    def set_aside(self, error: BadInput) -> None:
        """Put an input on the quarantine list, once."""
        entry = Quarantined(error.where, error.reason)
        if entry not in self.quarantine:
            self.quarantine.append(entry)

    def batches(self, size: int = 256, *, skip_bad: bool = False) -> Iterator[Images]:
        """All rows in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.read(slice(start, start + size), skip_bad=skip_bad)


class Loaded(Source):
    """Images that are in memory already, as a source."""

    def __init__(self, images: Images):
        super().__init__()
        self.images, self.id, self.bands, self.pixel_scale = (
            images,
            images.id,
            images.bands,
            images.pixel_scale,
        )

    def positions(self):
        return sky(self.images.table, self.images.ra, self.images.dec)

    def fingerprint(self):
        return array_hash(np.array(self.id.tolist()), *sample(self))

    def read_rows(self, rows):
        return self.images[rows]


def sample(source: Source) -> list[np.ndarray]:
    """Pixels and columns of up to a thousand galaxies of a source, evenly over its rows."""
    images = source.read_rows(np.unique(np.linspace(0, len(source) - 1, 1000).astype(int)))
    names = images.table.colnames
    return [images.pixels, np.array(names), *(np.asarray(images.table[name]).astype(str) for name in names)]
