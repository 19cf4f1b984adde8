"""A latent catalogue in the making: partitions are committed one by one, and it is published last.

A partition is bytes and their sha256. Commit: temporary file, fsync, rename, fsync of the folder, one line in
the journal. After a stop, only lines whose file has that hash are believed; all else is done again.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pandas  # noqa: F401  pyarrow wants it at its first array: once, here, and not in every worker anew
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table

from . import __version__, disk, hats
from .arrow import to_arrow
from .engines import run
from .errors import BadInput, GalnbError, one_of
from .hats import Pixel
from .provenance import sha256

DTYPES = ("float16", "int8", "float32")
ROW_GROUP = 16_384  # rows that are decoded together when one is wanted


def partition(healpix, ids, ra, dec, z, columns: Table, *, dtype: str = "float16") -> pa.Table:
    """Rows of one partition as Arrow: `_healpix_29`, id, ra, dec, the columns, z and, for int8, z_scale.

    Parameters
    ----------
    healpix : array (n,)
        Ascending.
    ra, dec : array (n,)
        Degrees; NaN, where a galaxy has no position, is null.
    z : array (n, d)
        Latents. int8 holds each galaxy's as -127 to 127 times its own z_scale: an error of at most half of
        that in each number.
    columns : Table
        Its ra, dec and `_healpix_29`, in whatever case, are left out.

    Raises
    ------
    BadInput
        If a latent does not fit a float16, or a column has a name that latents use, or values that
        Parquet cannot hold.
    """
    one_of("dtype", dtype, DTYPES)
    z = np.asarray(z, dtype=np.float32)
    fields = {hats.INDEX: pa.array(np.asarray(healpix, dtype=np.int64)), "id": to_arrow(ids, "id")}
    for name, values in (("ra", ra), ("dec", dec)):
        fields[name] = pa.array(np.asarray(values, dtype=np.float64), from_pandas=True)
    for name in columns.colnames:
        if name in ("id", "z", "z_scale"):
            todo = f"rename yours with table.rename_column({name!r}, ...)"
            raise BadInput(f"column {name!r}", f"a name that a catalogue of latents uses; {todo}")
        if name.lower() not in ("ra", "dec", hats.INDEX):
            fields[name] = to_arrow(columns[name], name)
    if dtype == "int8":
        scale = np.abs(np.nan_to_num(z)).max(axis=1, initial=0) / np.float32(127)
        scale = np.where(np.isfinite(z).all(axis=1), np.where(scale > 0, scale, 1), np.nan)
        numbers = np.rint(np.nan_to_num(z / scale[:, None])).astype(np.int8)
        fields["z"], fields["z_scale"] = numbers, pa.array(scale.astype(np.float32))
    else:
        with np.errstate(over="ignore"):
            numbers = z.astype(dtype)
        far = np.isfinite(z) & ~np.isfinite(numbers)
        if far.any():
            reason = f"a latent is {z[far][0]:g}, float16 ends at 65504; take dtype='float32'"
            raise BadInput(f"id {np.asarray(ids)[far.any(axis=1)][0]}", reason)
        fields["z"] = numbers
    fields["z"] = pa.FixedSizeListArray.from_arrays(pa.array(fields["z"].ravel()), z.shape[1])
    units = {name: getattr(columns[name], "unit", None) for name in columns.colnames}
    units |= {"ra": "deg", "dec": "deg"}
    kinds = [
        pa.field(name, values.type, metadata={"unit": str(units[name])} if units.get(name) else None)
        for name, values in fields.items()
    ]
    return pa.table(list(fields.values()), schema=pa.schema(kinds))


def to_parquet(table: pa.Table) -> bytes:
    """A partition as the bytes of a Parquet file, the same ones whenever it is written."""
    file, small = io.BytesIO(), table.schema.field("z").type.value_type == pa.int8()
    pq.write_table(
        table, file, row_group_size=ROW_GROUP, compression="zstd", compression_level=1, use_dictionary=False,
        use_byte_stream_split=[] if small else ["z.list.element"], write_page_checksum=True,
        write_statistics=[name for name in table.column_names if name != "z"],
    )  # fmt: skip
    return file.getvalue()


class Builder:
    """Writes a catalogue partition by partition; see the module.

    Parameters
    ----------
    path : path
        The catalogue's folder.
    meta : dict
        What the rows are made from, as plain JSON values: model, weights, data. A catalogue that was begun
        with another is not touched.
    pixels : list of Pixel
        All partitions.

    Attributes
    ----------
    todo : list of Pixel
        Partitions that are missing, damaged or were set aside.

    Raises
    ------
    BadInput
        If something else is in the folder.
    CannotWrite
        If the folder is read-only or the disk is full.
    """

    def __init__(self, path: str | Path, meta: dict, pixels: list[Pixel]):
        self.path, meta = Path(path), json.loads(json.dumps(meta))
        self.pixels, self._lines = sorted(pixels, key=lambda pixel: pixel.span), {}
        plan = [{name: meta[name] for name in meta if name != "versions"}, self.pixels]
        self.key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
        self.journal = disk.Journal(self.path / "journal.jsonl")
        self._lock()
        try:
            with disk.told(self.path):
                self._resume(meta)
                self._place = self._here()
        except BaseException:
            self.close()
            raise
        self.todo = [pixel for pixel in self.pixels if pixel not in self._lines]

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, error, *about) -> None:
        with suppress(OSError):  # its disk may be gone
            if error and self._here() == self._place:  # without one, `finish` has swept
                self._sweep()
        self.close()

    def close(self) -> None:
        """Let another process write."""
        with suppress(OSError):  # its disk is gone, and the lock with it
            Path(self._own.lock_file).unlink(missing_ok=True)
        self._own.release()

    def _here(self) -> tuple[int, int]:
        """Which folder lies at the path: another one, where its disk was unmounted or it was moved away."""
        found = self.path.stat()
        return found.st_dev, found.st_ino

    def _lock(self) -> None:
        from filelock import FileLock, Timeout

        with disk.told(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise BadInput(self.path, "a file is there; wanted a folder's name, such as survey.hats")
            disk.folder(self.path)
            # outside of the folder: its files are the catalogue's alone
            self._own = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=0)
            try:
                self._own.acquire()
            except Timeout:
                reason = "another process writes it at this moment; wait for it, or give another folder"
                raise BadInput(self.path, reason) from None

    def _resume(self, meta: dict) -> None:
        file = self.path / hats.MANIFEST
        known = [*disk.entries(file.read_bytes() if file.exists() else b""), *self.journal.lines()]
        keys = {line["key"] for line in known if "key" in line}
        if not keys and (self.path / hats.PROPERTIES).exists():  # the manifest is damaged or lost
            described = hats.read_properties(self.path / hats.PROPERTIES)
            keys = {described.get("galnb_key")} if hats.is_ours(described) else keys
        there = {file.name for file in self.path.iterdir()}
        begun = {hats.MANIFEST, self.journal.path.name}  # if only a damaged one
        strange = there - begun - ({"dataset", hats.PARTITIONS, hats.PROPERTIES} if there & begun else set())
        if keys - {self.key} or (not keys and strange):
            other = "a catalogue of other galaxies, model or options" if keys - {None} else "something else"
            raise BadInput(self.path, f"{other} is there; remove it, or give another folder")
        self.meta = next((line["meta"] for line in known if "meta" in line), meta)
        self._made_by = {} if self.meta == meta else {"versions": meta.get("versions")}
        for line in known:
            if "order" in line:
                line.pop("key", None)  # the journal's lines have it, in case that its first is damaged
                self._lines[Pixel(line["order"], line["pixel"])] = line
        for pixel, line in list(self._lines.items()):
            if "reason" in line or (line["rows"] and not intact(self.path / pixel.path, line)):
                del self._lines[pixel]
        self._sweep()
        self.journal.add({"key": self.key, "meta": self.meta})

    def _sweep(self) -> None:
        """Remove what killed workers left unfinished."""
        for orphan in self.path.rglob(".*.tmp"):
            orphan.unlink(missing_ok=True)

    def record(self, line: dict) -> None:
        """Enter a committed partition into the journal."""
        with disk.told(self.path):
            if self._here() != self._place:
                raise FileNotFoundError(errno.ENOENT, "its folder is not there any more", str(self.path))
        line = line | self._made_by
        self.journal.add({**line, "key": self.key})
        self._lines[Pixel(line["order"], line["pixel"])] = line

    def set_aside(self, pixel: Pixel, rows: int, reason: str) -> None:
        """Enter a partition that cannot be made; the next run tries it again."""
        self.record({"order": pixel.order, "pixel": pixel.number, "rows": rows, "reason": reason})

    def finish(self) -> Path:
        """Write the catalogue's own files, the one that publishes it last."""
        lines = [self._lines[pixel] for pixel in self.pixels if pixel in self._lines]
        kept = [line for line in lines if "reason" not in line and line["rows"]]
        pixels = [Pixel(line["order"], line["pixel"]) for line in kept]
        if not kept:
            reasons = [line["reason"] for line in lines if "reason" in line]
            reasons += [f"{where}: {why}" for line in lines for where, why in line.get("left_out", [])]
            reason = next(iter(reasons), "there are no galaxies")
            raise BadInput(self.path, f"not one row could be made; the first reason is: {reason}")
        self._sweep()
        with disk.told(self.path):
            files = {hats.PARTITIONS: hats.partition_info(pixels), **_footers(self.path, pixels)}
        for name, data in files.items():
            disk.write(self.path / name, data)
        header = {
            "galnb": "catalogue", "builder": f"galnb v{__version__}", "key": self.key, "meta": self.meta,
            "lines": len(lines), "rows": sum(line["rows"] for line in kept),
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        }  # fmt: skip
        manifest = b"".join(disk.sealed(entry) for entry in [header, *lines])
        disk.write(self.path / hats.MANIFEST, manifest)
        disk.write(self.path / hats.PROPERTIES, _properties(manifest))
        with disk.told(self.path):
            self.journal.path.unlink(missing_ok=True)
            disk.sync(self.path)
        disk.point("published")
        return self.path


def commit(path: Path, pixel: Pixel, table: pa.Table, left_out=()) -> dict:
    """Write one partition of the catalogue at `path`; returns its line for the journal."""
    line = {"order": pixel.order, "pixel": pixel.number, "rows": len(table)}
    line["left_out"] = [list(entry) for entry in left_out]
    if not len(table):
        return line
    data, ids = to_parquet(table), pc.min_max(table["id"]).as_py()
    with disk.told(path):
        path.stat()  # a folder that is gone must not be made anew on the disk below
    disk.write(path / pixel.path, data)
    line["ids"] = [ids["min"], ids["max"]]
    return line | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def intact(file: Path, line: dict) -> bool:
    """Whether a partition's file is what its line says."""
    return _same(file, line["sha256"])


def _same(file: Path, digest: str) -> bool:
    try:
        return sha256(file) == digest
    except OSError as error:
        if error.errno in disk.GONE - {errno.EIO}:  # a bad sector is a damage; that a disk is gone is none
            raise
        return False


def read_manifest(path: Path) -> dict:
    """The manifest of a catalogue: its header, with lists of lines called partitions and set_aside.

    Raises BadInput, naming the file, where it or hats.properties is not as it was written.
    """
    todo = "damaged, or never finished: make the catalogue again in its place, what is intact is kept"
    try:
        data = (path / hats.MANIFEST).read_bytes()
        header, *lines = disk.entries(data)
        whole = b"".join(disk.sealed(entry) for entry in [header, *lines]) == data
        if not whole or header["galnb"] != "catalogue" or header["lines"] != len(lines):
            raise ValueError("lines are missing")
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(path / hats.MANIFEST, f"{todo} ({error!r})") from error
    if (path / hats.PROPERTIES).read_bytes() != _properties(data):
        raise BadInput(path / hats.PROPERTIES, todo)
    good, bad = ([line for line in lines if ("reason" in line) is aside] for aside in (False, True))
    return {**header, "partitions": good, "set_aside": bad}


def wrong(path: Path) -> list[str]:
    """Files of a catalogue, beside its partitions, that are not as they were written."""
    try:
        files = read_manifest(path)["files"]
    except BadInput as error:
        return [error.where]
    return [str(path / name) for name, digest in files.items() if not _same(path / name, digest)]


def _properties(manifest: bytes) -> bytes:
    """The hats.properties that belongs to a manifest."""
    header, *lines = disk.entries(manifest)
    kept = [line for line in lines if "bytes" in line]
    most, size = (f(line[name] for line in kept) for f, name in ((max, "rows"), (sum, "bytes")))
    digest = hashlib.sha256(manifest).hexdigest()
    extra = {"hats_builder": header["builder"], "galnb_key": header["key"], "galnb_manifest_sha256": digest}
    return hats.properties("latents", rows=header["rows"], size=size, most=most, extra=extra)


def build(path, meta: dict, tasks: list, work: Callable, *, progress=False, unit="galaxy", **engine) -> Path:
    """Make a whole catalogue, resumable: `work(task, tell)` commits a partition and returns its line.

    A task has a `pixel` and a length. What cannot be made after several tries is set aside, with a warning.
    `engine` are options of `engines.run`. Returns the path.
    """
    import warnings

    from tqdm.auto import tqdm

    with Builder(path, meta, [task.pixel for task in tasks]) as builder:
        todo = set(builder.todo)
        waiting, rows = [task for task in tasks if task.pixel in todo], sum(map(len, tasks))
        # where an engine reads them elsewhere, how many rows a task has is not known before
        size, unit = (len, unit) if rows else (lambda task: 1, "partition")
        rows = sum(map(size, tasks))
        done = rows - sum(map(size, waiting))
        about = {"disable": not progress, "unit": unit, "smoothing": 0.05, "unit_scale": rows > 1e5}

        def tick(under_way: int) -> None:
            bar.update(max(0, done + under_way - bar.n))

        results = run(waiting, work, tick=tick, **engine)
        with tqdm(total=rows, initial=done, **about) as bar, closing(results):  # no worker writes after it
            for task, result in results:
                done += size(task)
                tick(0)
                if isinstance(result, Exception):
                    reason = f"{type(result).__name__}: {result}"
                    builder.set_aside(task.pixel, len(task), reason)
                    said = f"{task.pixel.path} is set aside: {reason}; run again to retry"
                    warnings.warn(said, stacklevel=3)
                else:
                    builder.record(result)
        return builder.finish()


def write(path: str | Path, latents, *, dtype: str = "float16", partition_rows: int = 100_000) -> Path:
    """Write `Latents` as a catalogue; they lie where columns ra and dec (degrees) say."""
    one_of("dtype", dtype, DTYPES)
    if not len(latents):
        raise BadInput("Latents", "there are none, wanted at least one")
    places = hats.sky(latents.table)
    ra, dec = np.full((2, len(latents)), np.nan) if places is None else places
    healpix = hats.place(latents.id, ra, dec)
    parts = hats.split(healpix, partition_rows)
    order = np.concatenate([rows for _, rows in parts])
    sky, sorted_by = (healpix[order], latents.id[order], ra[order], dec[order]), latents[order]
    whole = partition(*sky, sorted_by.z, sorted_by.table, dtype=dtype)
    meta = {**latents.meta, "latents": latents.hash(), "dtype": dtype}
    with Builder(path, meta, [pixel for pixel, _ in parts]) as builder:
        start = 0
        for pixel, rows in parts:
            if pixel in builder.todo:
                builder.record(commit(builder.path, pixel, whole[start : start + len(rows)]))
            start += len(rows)
        return builder.finish()


def _footers(path: Path, pixels: list[Pixel]) -> dict[str, bytes]:
    """Contents of _metadata (all footers in one) and _common_metadata (the schema alone)."""
    joined, schema = None, None
    for pixel in pixels:
        footer = pq.read_metadata(path / pixel.path)
        footer.set_file_path(pixel.path.removeprefix("dataset/"))
        found = footer.schema.to_arrow_schema()
        if schema is None:
            joined, schema = footer, found
        elif not schema.equals(found):
            other = next((f"{a} and {b}" for a, b in zip(schema, found, strict=False) if a != b), "columns")
            raise GalnbError(f"{path / pixel.path}: its columns are not those of the others: {other}")
        else:
            joined.append_row_groups(footer)
    contents = {}
    for name, write_to in ((hats.METADATA, joined.write_metadata_file), (hats.SCHEMA, None)):
        file = io.BytesIO()
        if write_to is None:
            pq.write_metadata(schema, file)
        else:
            write_to(file)
        contents[name] = file.getvalue()
    return contents
