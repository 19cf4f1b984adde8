"""Partitions of a catalogue: their columns, read and checked when asked for."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .arrow import from_arrow
from .builder import intact
from .hats import Pixel

KEPT = 64 * 2**20  # bytes of decoded columns that are kept for the next question


class Partitions:
    """Parquet files of a catalogue, in the order of the sky.

    Parameters
    ----------
    path : Path
        The catalogue's folder.
    pixels : list of Pixel
    rows : list of int
        How many each has.
    lines : list of dict
        Their lines in the manifest, with sha256; empty where there is none.
    schema : pyarrow Schema

    Attributes
    ----------
    starts : ndarray (p + 1,)
        The first row of each partition and, last, how many rows there are.
    damaged : list of str
        Files found damaged so far.
    """

    def __init__(
        self, path: Path, pixels: list[Pixel], rows: list[int], lines: list[dict], schema: pa.Schema
    ):
        self.path, self.pixels, self.schema = path, pixels, schema
        self.starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
        self.damaged: list[str] = []
        self._lines, self._checked = lines, {}
        self._kept: OrderedDict = OrderedDict()

    def type(self, name: str) -> pa.DataType:
        """Arrow's type of a column."""
        return self.schema.field(name).type

    def chunks(self, name: str = "z", *, start: int = 0) -> Iterator[np.ndarray]:
        """All of a column from row `start` on, in order, a piece of up to 65,536 rows at a time.

        z is float32 (k, d). Pieces of a damaged partition are NaN (z) or masked.
        """
        for at, pixel in enumerate(self.pixels):
            skip, rows = max(0, start - int(self.starts[at])), int(self.starts[at + 1] - self.starts[at])
            if skip >= rows:
                continue
            if not self.usable(at):
                yield missing(self.type(name), rows - skip)
                continue
            file = self.open(pixel)
            for batch in file.iter_batches(65_536, columns=self._stored(name), use_threads=False):
                if skip < len(batch):
                    yield self._decode(pa.Table.from_batches([batch[skip:]]), name)
                skip = max(0, skip - len(batch))

    def read(self, name: str, rows) -> np.ndarray:
        """A column at some rows (k,), in their order; for a damaged partition's, as in `chunks`."""
        parts = np.searchsorted(self.starts, rows, side="right") - 1
        found = None
        for at in np.unique(parts):
            here = np.flatnonzero(parts == at)
            if not self.usable(at):
                values = missing(self.type(name), len(here))
            else:
                values = self._pick(at, name, rows[here] - self.starts[at])
            if found is None:
                found = np.ma.zeros((len(rows), *values.shape[1:]), dtype=values.dtype)
            if found.dtype.kind == "U" and found.dtype.itemsize < values.dtype.itemsize:
                found = found.astype(values.dtype)
            found[here] = values
        if found is None:
            found = missing(self.type(name), 0)
        return found if np.ma.is_masked(found) else np.asarray(found)

    def _pick(self, at: int, name: str, rows: np.ndarray) -> np.ndarray:
        """Rows of one partition, through the row groups that hold them."""
        file, groups = None, first_rows(self.footer(at))
        group = np.searchsorted(groups, rows, side="right") - 1
        values = None
        for k in np.unique(group):
            key = (at, int(k), name)
            if key not in self._kept:
                file = file or self.open(self.pixels[at])
                self._keep(key, self._decode(file.read_row_group(int(k), columns=self._stored(name)), name))
            part = self._kept[key]
            self._kept.move_to_end(key)
            here = group == k
            if values is None:
                values = np.ma.zeros((len(rows), *part.shape[1:]), dtype=part.dtype)
            if values.dtype.kind == "U" and values.dtype.itemsize < part.dtype.itemsize:
                values = values.astype(part.dtype)
            values[here] = part[rows[here] - groups[k]]
        return values

    def _keep(self, key, values: np.ndarray) -> None:
        self._kept[key] = values
        while sum(part.nbytes for part in self._kept.values()) > KEPT and len(self._kept) > 1:
            self._kept.popitem(last=False)

    def _stored(self, name: str) -> list[str]:
        return ["z", "z_scale"] if name == "z" and "z_scale" in self.schema.names else [name]

    def _decode(self, table: pa.Table, name: str) -> np.ndarray:
        values = from_arrow(table[name])
        if name != "z":
            return values
        values = np.asarray(values, dtype=np.float32)
        return values * from_arrow(table["z_scale"])[:, None] if "z_scale" in table.column_names else values

    def open(self, pixel: Pixel) -> pq.ParquetFile:
        """A partition's file."""
        return pq.ParquetFile(self.path / pixel.path, page_checksum_verification=True)

    def footer(self, at: int) -> pq.FileMetaData:
        """A partition's footer."""
        key = (at, "footer")
        if key not in self._kept:
            self._kept[key] = _Footer(pq.read_metadata(self.path / self.pixels[at].path))
        return self._kept[key].metadata

    def usable(self, at: int) -> bool:
        """Whether a partition's file has the bytes that were written, looked at once."""
        if at not in self._checked:
            file = self.path / self.pixels[at].path
            good = not self._lines or intact(file, self._lines[at])
            if not good:
                self.damaged.append(str(file))
                rows = self.starts[at + 1] - self.starts[at]
                warnings.warn(
                    f"{file} is damaged: its {rows:,} galaxies are left out; "
                    "make the catalogue again in its place to mend it", stacklevel=3,
                )  # fmt: skip
            self._checked[at] = good
        return self._checked[at]

    def check(self) -> None:
        """Look at every byte of every partition."""
        self._checked, self.damaged = {}, []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for at in range(len(self.pixels)):
                self.usable(at)


class _Footer:
    nbytes = 4096

    def __init__(self, metadata: pq.FileMetaData):
        self.metadata = metadata


def first_rows(footer: pq.FileMetaData) -> np.ndarray:
    """First row of each row group."""
    sizes = [footer.row_group(k).num_rows for k in range(footer.num_row_groups)]
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def missing(kind: pa.DataType, rows: int) -> np.ndarray:
    """Rows of a damaged partition: NaN where numbers can be, else masked."""
    if pa.types.is_fixed_size_list(kind):
        dtype = np.float32 if pa.types.is_integer(kind.value_type) else kind.value_type.to_pandas_dtype()
        dtype = np.float32 if dtype == np.float16 else dtype
        return np.full((rows, kind.list_size), np.nan, dtype=dtype)
    if pa.types.is_floating(kind):
        return np.full(rows, np.nan, dtype=kind.to_pandas_dtype())
    dtype = np.dtype("U1") if kind in (pa.string(), pa.large_string()) else np.dtype(kind.to_pandas_dtype())
    return np.ma.masked_all(rows, dtype=dtype)
