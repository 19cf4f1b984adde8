"""`Catalogue`: a latent catalogue of any size on disk, which stands where `Latents` stand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table

from . import hats
from .arrow import from_arrow, width
from .builder import read_manifest, wrong
from .errors import BadInput
from .hats import Pixel
from .images import as_ids
from .latents import Latents
from .limits import modest, regular
from .partitions import Partitions, between


class Catalogue:
    """A HATS catalogue with latents, as `galnb.encode(..., path)` and `galnb mock` write it.

    Rows are numbered in the order of the sky. Columns are read when asked for: `catalogue.z[rows]`,
    `catalogue.table["redshift"][rows]`, or all of one, a piece at a time, with `chunks`. A partition whose
    bytes are not those that were written is named in a warning and in `damaged`; its galaxies then have no
    latents (NaN), and all others stay usable. Encode again in its place to mend it.

    Parameters
    ----------
    path : path
        A folder with hats.properties. Any HATS catalogue with a column of lists "z" and a column "id"
        will do; only galnb's own carry checksums.

    Attributes
    ----------
    schema : pyarrow Schema
    meta : dict
        What made it: model, configuration, weights with sha256, data.
    set_aside, left_out : list
        Partitions that could not be made; pairs of place and reason of galaxies that are not here.
    partitions : Partitions
        Its files, in the order of the sky.
    damaged : list of str
        Files found damaged so far; `check` looks at all.

    Raises
    ------
    BadInput
        If there is no catalogue, it is unfinished, or its own files are damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Latents(np.arange(9), np.eye(9)).write(tempfile.mkdtemp() + "/nine.hats")
    >>> catalogue = Catalogue(path)
    >>> len(catalogue), catalogue.latent_dim, catalogue.select([4]).z[0, 4].item()
    (9, 9, 1.0)
    """

    def __init__(self, path: str | Path):
        try:
            self.path = self._located(Path(path))
        except OSError as error:
            reason = f"not readable ({error.strerror}); bring its disk or network folder back"
            raise BadInput(path, reason) from error
        try:
            self.properties = hats.read_properties(self.path / hats.PROPERTIES)
            ours = (self.path / hats.MANIFEST).exists() or hats.is_ours(self.properties)
            manifest = read_manifest(self.path) if ours else {}
            lines = [line for line in manifest.get("partitions", []) if line["rows"]]
            if ours:
                pixels = [Pixel(line["order"], line["pixel"]) for line in lines]
                rows = [line["rows"] for line in lines]
            else:
                pixels = hats.read_partition_info(self.path / hats.PARTITIONS)
                rows = [self._rows_in(self.path / pixel.path) for pixel in pixels]
            self.schema = self._read_schema(manifest.get("files", {}), pixels)
        except BadInput:
            raise
        except Exception as error:  # csv, json and Arrow each raise their own, as the damage makes them
            raise BadInput(self.path, f"not readable as a HATS catalogue ({error!r})") from error
        kinds = {field.name: field.type for field in self.schema}
        if "id" not in kinds or not pa.types.is_fixed_size_list(kinds.get("z", pa.null())):
            reason = f"its columns are {', '.join(kinds)}; wanted an id, and lists of one length called z"
            raise BadInput(self.path, reason)
        self.partitions = Partitions(self.path, pixels, rows, lines, self.schema)
        self._ours = ours
        self.meta, self.set_aside = manifest.get("meta", {}), manifest.get("set_aside", [])
        self.left_out = [tuple(e) for line in manifest.get("partitions", []) for e in line["left_out"]]
        self.id, self.z, self.table = LazyColumn(self, "id"), LazyColumn(self, "z"), LazyTable(self)

    @staticmethod
    def _located(path: Path) -> Path:
        """The catalogue's folder, which has all that it needs."""
        # LSDB writes collections, whose catalogue is a folder in theirs
        if (whole := path / hats.COLLECTION).exists():
            regular(whole)
            name = hats.read_properties(whole).get("hats_primary_table_url", "")
            if Path(name).name in ("", ".."):
                raise BadInput(whole, f"its catalogue is {name!r}, wanted the name of a folder beside it")
            path /= Path(name).name
        if not (path / hats.PROPERTIES).exists():
            begun = any((path / name).exists() for name in (hats.MANIFEST, "journal.jsonl"))
            todo = "it is unfinished: run what made it again" if begun else "wanted a HATS catalogue's folder"
            raise BadInput(path, f"there is no {hats.PROPERTIES}; {todo}")
        for name in (hats.PROPERTIES, hats.MANIFEST, hats.PARTITIONS, hats.SCHEMA):
            if (path / name).exists():
                regular(path / name)
        return path

    @staticmethod
    def _rows_in(file: Path) -> int:
        """Rows of a partition that has no line in a manifest."""
        size, footer = regular(file), pq.read_metadata(file)
        modest(
            file, footer.num_rows * sum(width(field.type) for field in footer.schema.to_arrow_schema()), size
        )
        if footer.num_rows < 0:
            raise BadInput(file, f"its footer tells of {footer.num_rows} rows; copy it again")
        return footer.num_rows

    def _read_schema(self, known: dict, pixels: list[Pixel]) -> pa.Schema:
        for name in (hats.SCHEMA, hats.PARTITIONS):
            data = (self.path / name).read_bytes() if name in known else b""
            if name in known and hashlib.sha256(data).hexdigest() != known[name]:
                raise BadInput(self.path / name, "damaged: make the catalogue again in its place to mend it")
        return pq.read_schema(self.path / (hats.SCHEMA if known else pixels[0].path))

    def __len__(self) -> int:
        return int(self.partitions.starts[-1])

    def __repr__(self) -> str:
        return f"<Catalogue {self.path.name}: {len(self):,} galaxies, {self.latent_dim} latents each>"

    @property
    def latent_dim(self) -> int:
        return self.partitions.type("z").list_size

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns beside id and z."""
        return tuple(name for name in self.schema.names if name not in (hats.INDEX, "id", "z", "z_scale"))

    def hash(self) -> str:
        """Hex digest of all that is in it."""
        if self._ours:
            return self.properties["galnb_manifest_sha256"]
        files = [(pixel.path, (self.path / pixel.path).stat()) for pixel in self.partitions.pixels]
        told = str([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])
        return hashlib.sha256(told.encode()).hexdigest()

    # reading

    def __getitem__(self, rows) -> Latents:
        """Latents in memory of some rows (slice, index array, mask) or of one; without what is damaged."""
        rows = self._rows(rows)
        rows = rows[~np.ma.getmaskarray(self.id[rows])]
        columns = Table()
        for name in self.columns:
            column = self.table[name]
            columns[name] = column[rows]
            if column.unit:
                columns[name].unit = column.unit
        try:
            return Latents(self.id[rows], self.z[rows], columns, self.meta)
        except BadInput as error:  # of a catalogue that others wrote, such as ids that repeat
            raise BadInput(self.path, error.reason) from error

    def _rows(self, rows) -> np.ndarray:
        if isinstance(rows, slice):
            return np.arange(*rows.indices(len(self)))
        rows = np.atleast_1d(np.asarray(rows))
        if rows.dtype == bool and len(rows) != len(self):
            raise IndexError(f"a mask of {len(rows)} for a catalogue of {len(self)} rows")
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        off = (rows < -len(self)) | (rows >= len(self))
        if off.any():
            raise IndexError(f"row {rows[off][0]} of a catalogue of {len(self)} rows")
        return np.where(rows < 0, rows + len(self), rows)

    def chunks(self, name: str = "z", *, start: int = 0) -> Iterator[np.ndarray]:
        """All of a column from row `start` on, in order, up to 65,536 rows at a time; z is float32 (k, d).

        Pieces of a damaged partition are NaN, or masked where the column's type knows no NaN.
        """
        return self.partitions.chunks(name, start=start)

    def read(self, name: str, rows) -> np.ndarray:
        """A column at some rows (k,), in their order; for a damaged partition's, as in `chunks`."""
        return self.partitions.read(name, self._rows(rows))

    @property
    def damaged(self) -> list[str]:
        """Files found damaged so far."""
        return self.partitions.damaged

    # finding

    def rows_of(self, ids) -> np.ndarray:
        """Rows (k,) of object ids, in their order; an unknown id raises KeyError."""
        wanted = as_ids(ids, self.id.dtype)
        rows = np.full(len(wanted), -1, dtype=np.int64)
        sought = pa.array(wanted.tolist(), self.partitions.type("id"))
        for at in range(len(self.partitions.pixels)):
            if (rows >= 0).all():
                break
            if self.partitions.may_hold(at, wanted) and self.partitions.usable(at):
                self._find(at, wanted, sought, rows)
        if (rows < 0).any():
            spoilt = f" outside of what is damaged: {', '.join(self.damaged)}" if self.damaged else ""
            raise KeyError(f"no object has the id {wanted[rows < 0][0].item()!r}{spoilt}")
        return rows

    def _find(self, at: int, wanted: np.ndarray, sought: pa.Array, rows: np.ndarray) -> None:
        footer, file = self.partitions.footer(at), self.partitions.open(at)
        leaves = [footer.schema.column(k).path for k in range(footer.num_columns)]
        column, first = leaves.index("id"), int(self.partitions.starts[at])
        for k in range(footer.num_row_groups):
            group = footer.row_group(k)
            known = group.column(column).statistics
            if known is None or not known.has_min_max or between(wanted, known.min, known.max):
                ids = file.read_row_group(k, columns=["id"])["id"].combine_chunks()
                places = pc.index_in(sought, ids)
                here = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
                rows[here] = first + places.take(pa.array(here)).to_numpy()
            first += group.num_rows

    def select(self, ids) -> Latents:
        """The Latents of object ids, in their order."""
        return self[self.rows_of(ids)]

    def near(self, ra: float, dec: float, *, radius_arcsec: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
        """Rows within a radius of a place in degrees, nearest first, and how far in arcsec they are."""
        import astropy.units as u
        from astropy.coordinates import Latitude, Longitude
        from cdshealpix.nested import cone_search

        lon, lat, radius = Longitude(ra, u.deg), Latitude(dec, u.deg), radius_arcsec * u.arcsec
        cells, depths, _ = cone_search(lon, lat, radius, depth=hats.FINEST)
        low, high = np.array([Pixel(int(d), int(c)).span for d, c in zip(depths, cells, strict=True)]).T
        rows, distances = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
        names = [self.properties.get(f"hats_col_{name}", name) for name in ("ra", "dec")]
        for at, pixel in enumerate(self.partitions.pixels):
            begin, end = pixel.span
            next_to = np.searchsorted(high, begin, side="right")  # the first cell that does not end before it
            if next_to == len(low) or low[next_to] >= end or not self.partitions.usable(at):
                continue
            with self.partitions.told(at):
                table = self.partitions.open(at).read(names, use_threads=False)
                apart = hats.separation(*(from_arrow(table[name]) for name in names), ra, dec)
            here = np.flatnonzero(apart <= radius_arcsec)
            rows.append(here + self.partitions.starts[at])
            distances.append(apart[here])
        rows, distances = np.concatenate(rows), np.concatenate(distances)
        order = np.lexsort((rows, distances))
        return rows[order], distances[order]

    # trust

    def check(self) -> list[str]:
        """Read every byte; returns the files that are damaged, an empty list when all is well."""
        self.partitions.check()
        return self.damaged + (wrong(self.path) if self._ours else [])

    def mended(self, files: list[str]) -> bool:
        """Whether any of these files of the catalogue, once found damaged, is whole now."""
        at = {pixel.path: at for at, pixel in enumerate(self.partitions.pixels)}
        named = (file[file.rindex("dataset/") :] for file in files)
        return any(self.partitions.usable(at[name]) for name in named if name in at)

    def model(self):
        """The model that made the latents, or None where its weights are not at hand."""
        from . import weights

        return weights.same(self.meta.get("weights", {}))

    def to_holoviews(self, plane="pca", **options):
        """The map as a HoloViews element; see `render.to_holoviews`."""
        from .render import to_holoviews

        return to_holoviews(self, plane, **options)


def read(path: str | Path) -> Latents | Catalogue:
    """The latents of a path: a catalogue's folder, or a Parquet file that `Latents.write` wrote."""
    return Catalogue(path) if Path(path).is_dir() else Latents.read(path)


class LazyColumn:
    """A column of a catalogue; `column[rows]` reads these rows."""

    def __init__(self, catalogue: Catalogue, name: str):
        field = catalogue.schema.field(name)
        self.catalogue, self.name = catalogue, name
        self.unit = ((field.metadata or {}).get(b"unit") or b"").decode() or None
        empty = catalogue.partitions.missing(name, 0)
        self.dtype, self.ndim, self.shape = empty.dtype, empty.ndim, (len(catalogue), *empty.shape[1:])

    def __len__(self) -> int:
        return len(self.catalogue)

    def __getitem__(self, rows):
        values = self.catalogue.read(self.name, rows)
        return values[0] if np.ndim(rows) == 0 and not isinstance(rows, slice) else values


class LazyTable:
    """The named columns of a catalogue."""

    def __init__(self, catalogue: Catalogue):
        self.catalogue, self.colnames = catalogue, list(catalogue.columns)

    def __len__(self) -> int:
        return len(self.catalogue)

    def __getitem__(self, name: str) -> LazyColumn:
        if name not in self.colnames:
            raise KeyError(f"no column {name!r}; the columns are: {', '.join(self.colnames) or 'none'}")
        return LazyColumn(self.catalogue, name)
