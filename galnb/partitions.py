"""Partitions of a catalogue: their columns, read and checked when asked for."""

from __future__ import annotations

import errno
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .arrow import from_arrow, missing
from .builder import intact
from .disk import GONE
from .errors import BadInput
from .hats import Pixel
from .limits import modest

WIDTHS = {
    "BOOLEAN": 1,
    "INT32": 4,
    "INT64": 8,
    "INT96": 12,
    "FLOAT": 4,
    "DOUBLE": 8,
    "BYTE_ARRAY": 4,
}  # bytes
PLAIN = {
    "PLAIN",
    "RLE",
    "BIT_PACKED",
    "BYTE_STREAM_SPLIT",
}  # encodings whose values are as many bytes as they are
KEPT = 32 * 2**20  # bytes of decoded columns that are kept for the next question


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
        self._lock = threading.RLock()

    def type(self, name: str) -> pa.DataType:
        """Arrow's type of a column."""
        return self.schema.field(name).type

    def chunks(self, name: str = "z", *, start: int = 0) -> Iterator[np.ndarray]:
        """All of a column from row `start` on, in order, a piece of up to 65,536 rows at a time.

        z is float32 (k, d). Pieces of a damaged partition are NaN (z) or masked.
        """
        for at in range(len(self.pixels)):
            skip, rows = max(0, start - int(self.starts[at])), int(self.starts[at + 1] - self.starts[at])
            if skip >= rows:
                continue
            if not self.usable(at):
                yield from (self.missing(name, min(65_536, rows - k)) for k in range(skip, rows, 65_536))
                continue
            with self.told(at):
                batches = self.open(at).iter_batches(65_536, columns=self._stored(name), use_threads=False)
            while True:
                with self.told(at):
                    batch = next(batches, None)
                    part = None if batch is None else self._part(batch[skip:], name)
                if batch is None:
                    break
                if len(part):
                    yield part
                skip = max(0, skip - len(batch))

    def _part(self, batch: pa.RecordBatch, name: str) -> np.ndarray:
        return self.decode(pa.Table.from_batches([batch]), name) if len(batch) else np.zeros(0)

    @contextmanager
    def told(self, at: int) -> Iterator[None]:
        """Name the partition where reading fails: of all but galnb's own, nothing is checked before."""
        try:
            yield
        except (OSError, ValueError, TypeError, LookupError, OverflowError, pa.ArrowException) as error:
            if isinstance(error, BadInput):
                raise
            gone = isinstance(error, OSError) and (error.errno in GONE or not self.path.exists())
            todo = "bring its disk or folder back" if gone else "copy it again"
            reason = f"not readable as a partition of the catalogue ({error}); {todo}"
            raise BadInput(self.path / self.pixels[at].path, reason) from error

    def read(self, name: str, rows) -> np.ndarray:
        """A column at some rows (k,), in their order; for a damaged partition's, as in `chunks`."""
        found = self.missing(name, len(rows))
        for here, values in self._pieces(name, rows):
            if found.dtype.kind == "U" and found.dtype.itemsize < values.dtype.itemsize:
                found = found.astype(values.dtype)
            with self.told(int(np.searchsorted(self.starts, rows[here[0]], side="right")) - 1):
                found[here] = values
        return found if np.ma.is_masked(found) else np.asarray(found)

    def missing(self, name: str, rows: int) -> np.ndarray:
        """Rows of a column in a damaged partition: NaN where numbers can be, else masked."""
        found = missing(self.type(name), rows)
        return np.full(found.shape, np.nan, dtype=np.float32) if name == "z" else found

    def _pieces(self, name: str, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Which of `rows`, and their values, from one row group after the other."""
        parts = np.searchsorted(self.starts, rows, side="right") - 1
        for at in np.unique(parts):
            if not self.usable(at):
                continue
            here = np.flatnonzero(parts == at)
            with self.told(at):
                footer = self.footer(at)
            inside, firsts = rows[here] - self.starts[at], first_rows(footer)
            group = np.searchsorted(firsts, inside, side="right") - 1
            for k in np.unique(group):
                with self.told(at):
                    values = self._group(at, int(k), name)[inside[group == k] - firsts[k]]
                    if values.shape[1:] != self.missing(name, 0).shape[1:]:
                        raise ValueError(f"{name} has rows of shape {values.shape[1:]}")
                yield here[group == k], values

    def _group(self, at: int, k: int, name: str) -> np.ndarray:
        """A column of one row group, kept for the next question."""
        key = (at, k, name)
        with self._lock:  # widgets ask from several threads
            if key not in self._kept:
                table = self.open(at).read_row_group(k, columns=self._stored(name))
                self._keep(key, self.decode(table, name))
            self._kept.move_to_end(key)
            return self._kept[key]

    def _keep(self, key, values) -> None:
        self._kept[key] = values
        while sum(part.nbytes for part in self._kept.values()) > KEPT and len(self._kept) > 1:
            self._kept.popitem(last=False)

    def _stored(self, name: str) -> list[str]:
        return ["z", "z_scale"] if name == "z" and "z_scale" in self.schema.names else [name]

    def decode(self, table: pa.Table, name: str) -> np.ndarray:
        """A column of some rows of a partition, as `open` reads them: z float32 (k, d), of int8 too."""
        values = from_arrow(table[name])
        if name != "z":
            return values
        values = np.asarray(values, dtype=np.float32)
        return values * from_arrow(table["z_scale"])[:, None] if "z_scale" in table.column_names else values

    def open(self, at: int) -> pq.ParquetFile:
        """A partition's file."""
        file = self.path / self.pixels[at].path
        return pq.ParquetFile(file, metadata=self.footer(at), page_checksum_verification=True)

    def footer(self, at: int) -> pq.FileMetaData:
        """A partition's footer."""
        with self._lock:
            if at not in self._kept:
                self._keep(at, _Footer(pq.read_metadata(self.path / self.pixels[at].path)))
            return self._kept[at].metadata

    def may_hold(self, at: int, ids: np.ndarray) -> bool:
        """Whether one of some ids may be in a partition, by what the manifest tells."""
        return not self._lines or between(ids, *self._lines[at]["ids"])

    def usable(self, at: int) -> bool:
        """Whether a partition's file has the bytes that were written, looked at once.

        BadInput where it would become far larger in memory, or is one of others and damaged.
        """
        if at not in self._checked:
            file = self.path / self.pixels[at].path
            with self.told(at):
                if not self.path.is_dir():
                    raise FileNotFoundError(errno.ENOENT, "the catalogue's folder is not there any more")
                good = not self._lines or (file.is_file() and intact(file, self._lines[at]))
            if good:
                self._weigh(at)
            else:
                self.damaged.append(str(file))
                rows = self.starts[at + 1] - self.starts[at]
                warnings.warn(
                    f"{file} is damaged: its {rows:,} galaxies are left out; "
                    "make the catalogue again in its place to mend it", stacklevel=3,
                )  # fmt: skip
            self._checked[at] = good
        return self._checked[at]

    def _weigh(self, at: int) -> None:
        from .sources.parquet import SCALES

        file, told = self.path / self.pixels[at].path, None
        if self._lines:
            with self.told(at):
                told = becomes(self.footer(at))
        if told is None:
            SCALES.weigh(file, "partition of a catalogue")
        else:
            modest(file, told, file.stat().st_size)

    def check(self) -> None:
        """Look at every byte of every partition."""
        self._checked, self.damaged = {}, []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for at in range(len(self.pixels)):
                try:
                    self.usable(at)
                except BadInput as error:
                    self.damaged.append(error.where)


class _Footer:
    def __init__(self, metadata: pq.FileMetaData):
        self.metadata, self.nbytes = metadata, 4 * metadata.serialized_size


def becomes(footer: pq.FileMetaData) -> int | None:
    """Bytes in memory of what galnb wrote; None where pages may hold more than their footer tells."""
    total = 0
    for group in map(footer.row_group, range(footer.num_row_groups)):
        for k in range(group.num_columns):
            column = group.column(k)
            if column.has_dictionary_page or not PLAIN.issuperset(column.encodings):
                return None
            width = WIDTHS.get(column.physical_type) or footer.schema.column(k).length
            total += max(column.total_uncompressed_size, column.num_values * width)
    return total


def first_rows(footer: pq.FileMetaData) -> np.ndarray:
    """First row of each row group."""
    sizes = [footer.row_group(k).num_rows for k in range(footer.num_row_groups)]
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def between(values: np.ndarray, low, high) -> bool:
    """Whether any value lies from `low` to `high`."""
    return bool(((values >= low) & (values <= high)).any())
