"""Encoding at scale: a source in, a catalogue out, partition by partition, on any engine."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import builder, disk, hats, weights
from .builder import DTYPES
from .catalogue import Catalogue
from .engines import ENGINES, run
from .errors import BadInput, WorkerDied, need, one_of
from .hats import Pixel
from .images import Images
from .models.base import Model
from .provenance import array_hash, versions
from .sources.base import Loaded, Source
from .tasks import Encoding, Task, plan

# galaxies, of so many partitions, are tried first: what is wrong with all is told at once
FIRST, SOME = 64, 4


def encode_survey(
    galaxies: Images | Source,
    model: Model,
    path: Path,
    *,
    batch: int = 256,
    skip_bad: bool = False,
    progress: bool = False,
    dtype: str = "float16",
    engine: str = "local",
    workers: int | None = None,
    client=None,
    partition_rows: int | None = None,
    catalog=None,
    id_column: str = "id",
) -> Catalogue:
    """A catalogue of latents at `path`; see `encoding.encode`."""
    one_of("dtype", dtype, DTYPES)
    one_of("engine", engine, ENGINES)
    if catalog is not None and engine != "lsdb":
        raise ValueError(f"engine={engine!r} takes no catalog; give engine='lsdb', or leave it out")
    if client is not None and engine == "local":
        raise ValueError("engine='local' takes no client; give engine='dask', or leave it out")
    source = Loaded(galaxies) if isinstance(galaxies, Images) else galaxies
    if not len(source):
        raise BadInput("galaxies", "there are none, wanted at least one")
    if model.device.type != "cpu" and engine == "local" and workers is None:
        workers = 0  # a GPU is not shared with forked processes
    path = path.absolute()  # workers may be elsewhere
    work = Encoding(source, model, path, batch=batch, dtype=dtype, skip_bad=skip_bad)
    if catalog is None:
        tasks = plan(source, partition_rows=partition_rows)
        about = {"healpix": array_hash(*[task.healpix for task in tasks])}
        work = replace(work, schema=_schema(work, tasks, workers))
    else:
        catalog = _opened(catalog)
        tasks = [
            Task(Pixel(int(p.order), int(p.pixel)), *np.zeros((4, 0)))
            for p in catalog.get_ordered_healpix_pixels()
        ]
        about = {"catalog": catalog.name, "columns": [str(name) for name in catalog.columns]}
        work = replace(work, id_column=id_column)
        work = replace(work, schema=_schema(work, tasks, workers, _frames(catalog, tasks)))
    meta = {
        "model": type(model).__name__, "config": _plain(model.config), "weights": weights.made_of(model),
        "bands": list(model.bands), "dtype": dtype, "batch": batch, "skip_bad": skip_bad,
        "galaxies": {"source": source.fingerprint(), "bands": list(source.bands), **about},
        "versions": versions(),
    }  # fmt: skip
    options = {"engine": engine, "workers": workers, "client": client, "progress": progress}
    with ExitStack() as stack:
        if engine == "lsdb":
            catalog = stack.enter_context(_planned(path, source, tasks)) if catalog is None else catalog
            options["frames"] = _frames(catalog, tasks)
        builder.build(path, meta, tasks, work, **options)
    return Catalogue(path)


def _opened(catalog):
    """An lsdb catalog, opened where it is a path, read in whole."""
    lsdb = need("lsdb", extra="scale")
    return lsdb.open_catalog(catalog) if isinstance(catalog, str | Path) else catalog


def _frames(catalog, tasks: list[Task]) -> dict:
    """What LSDB is to read, by task."""
    pixels = [Pixel(p.order, p.pixel) for p in catalog.get_ordered_healpix_pixels()]
    delayed = dict(zip(pixels, catalog.to_delayed(), strict=True))
    return {task: delayed[task.pixel] for task in tasks}


@contextmanager
def _planned(path: Path, source: Source, tasks: list[Task]):
    """The plan as a HATS catalogue of names and places, for LSDB to read, beside `path` for a while."""
    lsdb = need("lsdb", extra="scale")
    folder = path.with_name(f".{path.name}.plan")
    try:
        with disk.told(folder):
            _write_plan(folder, source, tasks)
        yield lsdb.open_catalog(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_plan(folder: Path, source: Source, tasks: list[Task]) -> None:
    for task in tasks:
        columns = {hats.INDEX: task.healpix, "id": source.id[task.rows], "ra": task.ra, "dec": task.dec}
        file = folder / task.pixel.path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
    pq.write_metadata(pq.read_schema(file), folder / hats.SCHEMA)
    (folder / hats.PARTITIONS).write_bytes(hats.partition_info([task.pixel for task in tasks]))
    sizes = {"rows": len(source), "size": 0, "most": max(map(len, tasks)), "extra": {}}
    (folder / hats.PROPERTIES).write_bytes(hats.properties("plan", **sizes))


@dataclass(frozen=True, eq=False)
class _Types:
    """Columns and their types of a few galaxies."""

    work: Encoding
    frame: object = None

    def __call__(self, task: Task, tell) -> pa.Schema | None:
        table, _ = self.work.table(task, frame=self.frame)
        return table.schema if len(table) else None


def _schema(work: Encoding, tasks: list[Task], workers: int | None, frames=None) -> pa.Schema | None:
    """The catalogue's columns, from the first galaxies that can be read; what is wrong with all is raised."""
    reasons, workers = [], 1 if workers is None else min(workers, 1)
    for task in tasks[:: -(-len(tasks) // SOME)]:
        frame = frames and frames[task].compute(scheduler="synchronous").head(FIRST)
        # in a process of its own: an image may end the one that reads it
        ((_, found),) = run([task[:FIRST]], _Types(work, frame), workers=workers, tries=1)
        if isinstance(found, pa.Schema):
            return found
        reasons += [found] if isinstance(found, Exception) and not isinstance(found, WorkerDied) else []
    if reasons:
        raise reasons[0]
    return None


def _plain(config: dict) -> dict:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
