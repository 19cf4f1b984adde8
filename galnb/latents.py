"""`Latents`: what a model makes of galaxies, with their names and columns, in memory and in Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from . import disk
from .arrow import from_arrow, to_arrow
from .errors import BadInput
from .images import rows_of
from .provenance import array_hash


@dataclass(frozen=True, eq=False)
class Latents:
    """The latent catalogue: one row of numbers a galaxy.

    Parameters
    ----------
    id : array (n,) of int or str
        Unique names.
    z : ndarray (n, d)
        Latents, converted to float32.
    table : astropy Table, optional
        Named columns, one row a galaxy, units kept (for example ra, dec, redshift, flux).
    meta : dict, optional
        Provenance as plain JSON values (model, weights' sha256, versions).

    Raises
    ------
    BadInput
        If lengths disagree, ids repeat, or a column is called "id" or "z".

    Examples
    --------
    >>> latents = Latents(np.array([7, 8]), np.zeros((2, 50)), Table({"redshift": [0.1, 0.2]}))
    >>> latents["redshift"][1].item(), latents[:1].z.shape
    (0.2, (1, 50))
    """

    id: np.ndarray
    z: np.ndarray
    table: Table = field(default_factory=Table)
    meta: dict = field(default_factory=dict)

    def __post_init__(self):
        z, ids = np.asarray(self.z, dtype=np.float32), np.asarray(self.id)
        if z.ndim != 2 or not z.shape[1]:
            raise BadInput("Latents", f"z has shape {z.shape}, wanted (n, d) with d at least 1")
        if ids.dtype.kind not in "iuU":
            ids = ids.astype(str)
        table = self.table if isinstance(self.table, Table) else Table(self.table)
        columns = len(table) if table.colnames else len(z)
        if not len(ids) == len(z) == columns:
            raise BadInput("Latents", f"{len(ids)} ids, {len(z)} latents, {columns} table rows")
        if len(np.unique(ids)) != len(ids):
            raise BadInput("Latents", "ids repeat, wanted unique names")
        for name in {"id", "z"} & set(table.colnames):
            todo = f"rename yours with table.rename_column({name!r}, ...)"
            raise BadInput("Latents", f"the table has a column {name!r}, a name that latents use; {todo}")
        object.__setattr__(self, "id", ids)
        object.__setattr__(self, "z", np.ascontiguousarray(z))
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        return len(self.z)

    @property
    def latent_dim(self) -> int:
        return self.z.shape[1]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns."""
        return tuple(self.table.colnames)

    def __getitem__(self, key):
        """A column by name, masked numbers as NaN; or Latents of some rows (slice, index array, mask)."""
        if isinstance(key, str):
            if key not in self.table.colnames:
                have = ", ".join(self.columns) or "none"
                raise KeyError(f"no column {key!r}; the columns are: {have}")
            values = self.table[key]
            gaps = np.ma.getmaskarray(values).any() and values.dtype.kind in "iuf"
            return np.ma.filled(values.astype(float), np.nan) if gaps else np.asarray(values)
        rows = np.atleast_1d(np.arange(len(self))[key])
        table = self.table[rows] if self.table.colnames else Table()
        return replace(self, id=self.id[rows], z=self.z[rows], table=table)

    def chunks(self, name: str = "z", *, start: int = 0) -> Iterator[np.ndarray]:
        """All of a column from row `start` on, in order, up to 65,536 rows at a time; z is float32 (k, d)."""
        values = {"id": self.id, "z": self.z}[name] if name in ("id", "z") else self[name]
        for at in range(start, len(self), 65_536):
            yield values[at : at + 65_536]

    def rows_of(self, ids) -> np.ndarray:
        """Row numbers (k,) of object ids, in their order; an unknown id raises KeyError."""
        return rows_of(self.id, ids)

    def select(self, ids) -> Latents:
        """The Latents of object ids, in their order."""
        return self[self.rows_of(ids)]

    def near(self, ra: float, dec: float, *, radius_arcsec: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
        """Rows within a radius of a place in degrees, nearest first, and how far in arcsec they are."""
        from .hats import separation

        apart = separation(self["ra"], self["dec"], ra, dec)
        rows = np.flatnonzero(apart <= radius_arcsec)
        rows = rows[np.argsort(apart[rows], kind="stable")]
        return rows, apart[rows]

    def model(self):
        """The model that made the latents, or None where its weights are not shipped."""
        from .weights import same

        return same(self.meta.get("weights", {}))

    def to_holoviews(
        self, plane="pca", *, color="count", width: int = 700, height: int = 600, dynamic=True, session=None
    ):
        """The map as a HoloViews element, composes with `*`, `+`, `.opts`; see `render.to_holoviews`."""
        from .render import to_holoviews

        options = {"width": width, "height": height, "dynamic": dynamic, "session": session}
        return to_holoviews(self, plane, color=color, **options)

    def hash(self) -> str:
        """Hex digest of ids and latents."""
        return array_hash(np.array(self.id.tolist()), self.z)  # the same however wide the strings are kept

    def to_table(self) -> Table:
        """One astropy Table: id, the named columns, and z as a vector column."""
        table = Table({"id": self.id, **{name: self.table[name] for name in self.columns}})
        table["z"] = self.z
        table.meta = dict(self.meta)
        return table

    def write(self, path: str | Path, *, dtype: str = "float16") -> Path:
        """Save as one Parquet file, atomically, with units and provenance in its metadata.

        A path that ends in .hats becomes a catalogue (see `Catalogue`), with latents as "float16",
        "int8" or "float32"; galaxies lie where columns ra and dec (degrees) say.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        if path.suffix == ".hats":
            from .builder import write

            return write(path, self, dtype=dtype)
        width = pa.list_(pa.float32(), self.latent_dim)
        flat = pa.array(self.z.ravel())
        fields = {"id": to_arrow(self.id, "id")}
        fields |= {name: to_arrow(self.table[name], name) for name in self.columns}
        fields["z"] = pa.FixedSizeListArray.from_arrays(flat, type=width)
        units = {n: str(self.table[n].unit) for n in self.columns if self.table[n].unit is not None}
        described = json.dumps({"units": units, "meta": self.meta, "seal": disk.UNSEALED}).encode()
        table = pa.table(fields).replace_schema_metadata({b"galnb": described})

        def write(unfinished: Path) -> None:
            pq.write_table(table, unfinished, write_page_checksum=True)
            disk.seal(unfinished)

        return disk.write(path, write)

    @classmethod
    def read(cls, path: str | Path) -> Latents:
        """Load a Parquet file that `write` made; BadInput if it is none, or any byte of it changed."""
        import pyarrow.parquet as pq

        from .sources.parquet import SCALES

        path = Path(path)
        SCALES.weigh(path, "file from Latents.write")  # before anything else of Arrow's sees it
        try:
            schema = pq.read_schema(path)
            described = json.loads((schema.metadata or {}).get(b"galnb", b"{}"))
            if not {"units", "meta"} <= set(described) or not {"id", "z"} <= set(schema.names):
                raise BadInput(path, "no galnb metadata with columns id and z; write it with Latents.write")
            if set(described) != {"units", "meta", "seal"} or not disk.sealing(path):
                raise BadInput(path, "damaged: it is not as Latents.write wrote it; copy it again")
            table = pq.read_table(path, page_checksum_verification=True)
            return cls._of(table, described["units"], described["meta"])
        except BadInput as error:
            raise error if str(path) in error.where else BadInput(path, str(error)) from error
        except Exception as error:  # of Arrow, json and numpy, as the damage makes them
            reason = f"not readable as Parquet ({error}), wanted a file from Latents.write"
            raise BadInput(path, reason) from error

    @classmethod
    def _of(cls, table, units: dict[str, str], meta: dict) -> Latents:
        """Latents of an Arrow table with columns id and z."""
        import pyarrow as pa

        z = table["z"].combine_chunks()
        if (
            not pa.types.is_fixed_size_list(z.type)
            or not pa.types.is_floating(z.type.value_type)
            or z.null_count
        ):
            raise ValueError(f"z is {z.type}, wanted lists of one length of numbers")
        if not isinstance(meta, dict):
            raise ValueError(f"meta is {type(meta).__name__}, wanted a dict")
        columns = Table()
        for name in table.column_names:
            if name not in ("id", "z"):
                columns[name] = from_arrow(table[name])
                if name in units:
                    columns[name].unit = units[name]
        z = z.flatten().to_numpy(zero_copy_only=False).reshape(len(table), z.type.list_size)
        return cls(from_arrow(table["id"]), z, columns, meta)
