"""One partition, from the pixels of its galaxies to a committed file: the unit of work of `encode`."""

from __future__ import annotations

import copy
import ctypes
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from astropy.table import Table, vstack

from . import hats
from .arrow import from_arrow
from .builder import commit, partition
from .errors import BadInput, enough_memory
from .hats import Pixel
from .images import Images, as_ids, find
from .models.base import Model
from .sources.base import Source

NO_ROOM = "take a smaller batch, or fewer workers"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@contextmanager
def one_thread() -> Iterator[None]:
    """What torch computes in here has the same bits however many threads it has elsewhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, eq=False)
class Task:
    """Galaxies of one partition, by their rows in a source.

    Attributes
    ----------
    rows : ndarray (n,)
        Empty where an engine reads them elsewhere.
    healpix : ndarray (n,)
        `_healpix_29`, ascending.
    ra, dec : ndarray (n,)
        Degrees, NaN where unknown.
    columns : Table, optional
        Of another catalogue that the galaxies come from.
    """

    pixel: Pixel
    rows: np.ndarray
    healpix: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    columns: Table | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part) -> Task:
        cut = {name: getattr(self, name)[part] for name in ("rows", "healpix", "ra", "dec")}
        return replace(self, **cut, columns=self.columns[part] if self.columns is not None else None)


def plan(source: Source, *, partition_rows: int | None = None) -> list[Task]:
    """Every galaxy of a source in partitions of at most `partition_rows`, in the order of the sky.

    By default a sixteenth of the galaxies, but 1,024 to 100,000.
    """
    if partition_rows is None:
        partition_rows = int(np.clip(len(source) // 16, 1024, 100_000))
    if partition_rows < 1:
        raise ValueError(f"partition_rows={partition_rows}, wanted at least 1")
    places = source.positions()
    ra, dec = places if places is not None else np.full((2, len(source)), np.nan)
    healpix = hats.place(source.id, ra, dec)
    return [
        Task(pixel, rows, healpix[rows], ra[rows], dec[rows])
        for pixel, rows in hats.split(healpix, partition_rows)
    ]


@dataclass(frozen=True, eq=False)
class Encoding:
    """Reads the images of a task, encodes and commits them: a function of the task alone.

    Batches begin at the partition's first row, so their members, and every bit of the latents, are the same
    whichever process takes the partition, and whenever.
    """

    source: Source
    model: Model
    path: Path
    batch: int = 256
    dtype: str = "float16"
    skip_bad: bool = True
    schema: pa.Schema | None = None
    id_column: str = "id"

    def __call__(self, task: Task, tell: Callable[[int], None], frame=None) -> dict:
        if multiprocessing.parent_process():  # in a worker, whose memory nobody else wants
            keep_memory()
        with enough_memory(f"encoding {len(task)} galaxies in batches of {self.batch}", NO_ROOM):
            table, left_out = self.table(task, tell, frame)
        if self.schema is not None and len(table):
            table = table.cast(self.schema)
        return commit(self.path, task.pixel, table, left_out)

    def table(self, task: Task, tell: Callable[[int], None] = lambda rows: None, frame=None):
        """The rows as Arrow, and what had to be left out, as sorted pairs of place and reason.

        `frame` is the partition as LSDB reads it, where that decides which galaxies it has.
        """
        source = copy.copy(self.source)
        source.quarantine = []
        if frame is not None:
            task = self._of_frame(task, frame, source)
        with one_thread():  # OpenMP does not survive a fork, either
            return self._table(task, tell, source)

    @torch.inference_mode()
    def _table(self, task: Task, tell, source: Source):
        parts = []
        for part, images, x in self._read(task, source):
            if len(images):
                z = self.model.encode(x.to(self.model.device)).float().cpu().numpy()
                parts.append((part, images.id, z, images.table))
            tell(len(part))
        left_out = sorted((entry.where, entry.reason) for entry in source.quarantine)
        if not parts:
            return pa.table({}), left_out
        kept, ids, z, tables = zip(*parts, strict=True)
        columns = [part.columns if part.columns is not None else Table() for part in kept]
        columns = [_beside(a, b) for a, b in zip(columns, tables, strict=True)]
        columns = vstack(columns, metadata_conflicts="silent") if columns[0].colnames else Table()
        healpix, ra, dec = (np.concatenate([getattr(p, n) for p in kept]) for n in ("healpix", "ra", "dec"))
        return partition(
            healpix, np.concatenate(ids), ra, dec, np.concatenate(z), columns, dtype=self.dtype
        ), left_out

    def _read(self, task: Task, source: Source) -> Iterator[tuple[Task, Images, torch.Tensor]]:
        """Batches, read and checked a few ahead of the network."""
        starts = range(0, len(task), self.batch)
        with ThreadPoolExecutor(1) as reader:
            ahead = [reader.submit(self._one, task[s : s + self.batch], source) for s in starts[:2]]
            for start in starts:
                yield ahead.pop(0).result()
                if (later := start + 2 * self.batch) < len(task):
                    ahead.append(reader.submit(self._one, task[later : later + self.batch], source))

    def _one(self, task: Task, source: Source) -> tuple[Task, Images, torch.Tensor | None]:
        images = source.read(task.rows, skip_bad=self.skip_bad)
        if self.skip_bad:
            images = finite(images, self.model, source)
        if len(images) < len(task):
            task = task[find(images.id, source.id[task.rows]) >= 0]
        if not len(images):
            return task, images, None
        return task, images, self.model.tensor(images).contiguous(memory_format=torch.channels_last)

    def _of_frame(self, task: Task, frame, source: Source) -> Task:
        """The galaxies of a frame that the source has, by name, with its columns."""
        table = pa.Table.from_pandas(frame.reset_index()).sort_by(hats.INDEX)
        columns = Table({name: from_arrow(table[name]) for name in table.column_names})
        names = as_ids(columns[self.id_column], source.id.dtype)
        rows = find(source.id, names)
        for name in names[rows < 0]:
            source.set_aside(BadInput(f"id {name}", "the source has no image of it"))
        columns = columns[rows >= 0]
        low, high = task.pixel.span
        assert ((columns[hats.INDEX] >= low) & (columns[hats.INDEX] < high)).all(), (
            "LSDB gave another partition"
        )
        places = hats.sky(columns)
        ra, dec = places if places is not None else np.full((2, len(columns)), np.nan)
        healpix = np.asarray(columns[hats.INDEX])
        columns.remove_columns([hats.INDEX, self.id_column])
        return Task(task.pixel, rows[rows >= 0], healpix, ra, dec, columns)


@cache
def keep_memory() -> None:
    """Have malloc keep what is freed, where it is glibc's.

    The tens of megabytes that a forward pass frees would else go back to the system and come again a page at
    a time, which took a fifth of the time that encoding took.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, 2**30)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def finite(images: Images, model: Model, source: Source) -> Images:
    """The images that are finite in the model's bands; the source sets the others aside."""
    used = [np.isfinite(images.pixels[:, k]) for k, band in enumerate(images.bands) if band in model.bands]
    good = np.logical_and.reduce([of_band.all(axis=(1, 2)) for of_band in used], axis=0)
    if good.all():
        return images
    for name in images.id[~good]:
        source.set_aside(BadInput(f"id {name}", "it has NaN or infinite pixels, wanted finite ones"))
    return images[good]


def _beside(first: Table, second: Table) -> Table:
    """Columns of both; of two with one name the first's."""
    joined = first.copy()
    for name in second.colnames:
        if name not in joined.colnames:
            joined[name] = second[name]
    return joined
