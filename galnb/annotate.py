"""A catalogue with further columns, computed from its latents a partition at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from .arrow import to_arrow
from .builder import build, commit
from .catalogue import Catalogue
from .errors import BadInput
from .hats import INDEX, Pixel
from .provenance import array_hash

PROBE = 64  # random latents, whose values tell one function from another
RESERVED = ("id", "z", "z_scale", "ra", "dec", INDEX)


@dataclass(frozen=True)
class _Part:
    pixel: Pixel
    at: int
    rows: int

    def __len__(self) -> int:
        return self.rows


def annotate(
    catalogue: Catalogue,
    path: str | Path,
    columns: dict[str, Callable[[np.ndarray], np.ndarray]],
    *,
    batch: int = 65_536,
    progress: bool = False,
) -> Catalogue:
    """The same catalogue with more columns, such as anomaly scores, at another path.

    Parameters
    ----------
    catalogue : Catalogue
        It stays as it is; its latents are taken over as they are kept.
    path : path
        Of the new one. Stopped at any moment, the same call goes on where it was, and the files are the same
        bytes. A catalogue with columns that other functions gave is not touched.
    columns : dict of name to function
        From latents (k, d), float32, to values (k,), one row at a time as good as many: the `score` of an
        `IsolationForest` or an `anomaly.Scorer`, for example. A column of that name is replaced.
    batch : int
        Rows that a function is given at a time. Memory is that of a batch and of a partition.

    Returns
    -------
    Catalogue

    Raises
    ------
    BadInput
        For a name that catalogues use themselves, a function that gives values of another shape, or if
        something else lies at `path`.
    CannotWrite
        If the disk is full or the folder read-only; what was done is kept.

    Examples
    --------
    >>> import tempfile
    >>> from galnb.latents import Latents
    >>> folder = tempfile.mkdtemp()
    >>> plain = Catalogue(Latents(np.arange(3), np.eye(3)).write(folder + "/plain.hats"))
    >>> annotate(plain, folder + "/more.hats", {"sum": lambda z: z.sum(1)}).table["sum"][:].tolist()
    [1.0, 1.0, 1.0]
    """
    path, parts = Path(path), catalogue.partitions
    if not columns or batch < 1:
        raise ValueError(f"{len(columns)} columns, batch={batch}, wanted at least one of each")
    for name in columns:
        if name in RESERVED:
            raise BadInput(f"column {name!r}", "a name that a catalogue of latents uses; choose another")
    if path.resolve() == catalogue.path.resolve():
        raise BadInput(path, "the catalogue itself is there; give another folder")

    def values(name: str, z: np.ndarray) -> np.ndarray:
        found = [np.asarray(columns[name](z[k : k + batch])) for k in range(0, len(z), batch)]
        found = np.concatenate(found) if found else np.zeros(0, dtype=np.float32)
        if found.shape != (len(z),):
            raise BadInput(
                f"column {name!r}", f"{found.shape} values came for {len(z)} rows, wanted a value each"
            )
        return found

    def work(task: _Part, tell: Callable[[int], None]) -> dict:
        if not parts.usable(task.at):
            raise BadInput(
                catalogue.path / task.pixel.path, "damaged; mend the catalogue first, then run this again"
            )
        table = parts.open(task.at).read(use_threads=False)
        z = parts.decode(table, "z")
        for name in columns:
            column = to_arrow(values(name, z), name)
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(pa.field(name, column.type), column)
        tell(task.rows)
        return commit(path, task.pixel, table)

    probe = np.random.default_rng(0).normal(size=(PROBE, catalogue.latent_dim)).astype(np.float32)
    made = {name: array_hash(values(name, probe)) for name in columns}
    meta = {**catalogue.meta, "catalogue": catalogue.hash(), "annotated": made}
    sizes = np.diff(parts.starts)
    tasks = [_Part(pixel, at, int(sizes[at])) for at, pixel in enumerate(parts.pixels)]
    return Catalogue(build(path, meta, tasks, work, progress=progress, workers=0))
