"""A folder of one's own: FITS, PNG or JPEG files, or one npz or npy, with a table joined by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table

from ..errors import BadInput, BandMismatch
from ..hats import sky
from ..images import Images
from ..limits import modest, regular
from ..provenance import array_hash
from . import arrays
from .base import Source, sample
from .fits import READER

FITS = {".fits", ".fit", ".fts", ".fz"}
PICTURES = {".png", ".jpg", ".jpeg"}
COLORS = {1: ("grey",), 3: ("red", "green", "blue")}


class Folder(Source):
    """Galaxies in files: one a file, or all in one array.

    Parameters
    ----------
    path : path
        A folder (searched for FITS, PNG and JPEG files, by name), one such file, or one .npz or .npy.
    bands : tuple of str, optional
        Names of the bands, in the files' order. Where not given: FILTERn, FILTER or EXTNAME of a FITS
        header; "red", "green", "blue" of a picture.
    size : int, optional
        Central crop to this many pixels. Without it, all files must have one shape.
    table : path or astropy Table, optional
        Anything that astropy reads; its rows are joined by name and need be neither complete nor in order.
    id_column : str
        The table's column of names: file names without their ending, or the ids of an npz.
    array : str, optional
        Which array of an npz; where not given, "images" or its only one of 3 or 4 dimensions.

    Notes
    -----
    8- and 16-bit pictures and arrays (unsigned) become 0 to 1; FITS and all other arrays stay as they
    are. An array (n, y, x) is n galaxies in one band. An npz's array of ids is one called "id" or ending
    in "_id"; other arrays of one value a galaxy become columns. FITS files may have one band an HDU, or
    cubes (band, y, x); sky position and pixel scale come from their WCS, if they have one. Nothing
    pickled is ever loaded, and no file or folder whose name starts with a point. A link to a file is
    followed, wherever it leads; one to a folder is not. What is no file (a pipe, a device, a broken link), or
    would become far larger than it is stored (see `galnb.limits`), is a bad input.

    Raises
    ------
    BadInput
        If there is nothing to read, or, naming the file, when a bad one is read; `read(skip_bad=True)`
        puts it on `quarantine` instead.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "galaxies.npz"
    >>> np.savez(path, images=np.zeros((4, 32, 32, 3), dtype=np.uint8), id=np.arange(4))
    >>> Folder(path, bands=("i", "r", "g")).read([1, 3]).id
    array([1, 3])
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bands: tuple[str, ...] | None = None,
        size: int | None = None,
        table: str | Path | Table | None = None,
        id_column: str = "id",
        array: str | None = None,
    ):
        super().__init__()
        self.path, self._bands, self.size = Path(path), bands and tuple(bands), size
        if size is not None and (not isinstance(size, int) or size < 1):
            raise ValueError(f"size={size!r} pixels, wanted a whole number of at least 1")
        if not self.path.exists():
            raise BadInput(self.path, "there is no such file or folder")
        self._array, self._columns = None, Table()
        if self.path.suffix.lower() in arrays.KINDS:
            self._array, self.id, self._columns = arrays.read(self.path, array)
            if self._bands and len(self._bands) != self._array.shape[1]:
                named = f"bands= names {len(self._bands)} ({', '.join(self._bands)}); name each, in order"
                raise BadInput(self.path, f"its images have {self._array.shape[1]} bands, {named}")
        else:
            self._files = _find(self.path)
            self.id = np.array([_stem(file, self.path) for file in self._files])
        self._table = None if table is None else _Joined(table, id_column, self.id)
        self._shape = None

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands; without `bands=`, those of the first file that can be read."""
        if self._bands is None:
            self._bands = self._first_bands()
        return self._bands

    def _first_bands(self) -> tuple[str, ...]:
        if self._array is not None:
            n = self._array.shape[1]
            return COLORS.get(n, tuple(f"band{i}" for i in range(n)))
        return tuple(self._first()[1]["bands"])

    def _first(self) -> tuple[np.ndarray, dict]:
        """Pixels and header of the first file that can be read: what the others are held to."""
        for file in self._files:
            try:
                return _read_file(file)
            except BadInput as error:
                reason = error
        raise reason

    def positions(self) -> tuple[np.ndarray, np.ndarray] | None:
        """From columns ra and dec of the table or array; else from the headers of FITS files."""
        table = self._columns
        if self._table is not None:
            table = Table(self._table.rows(np.arange(len(self))))
        found = sky(table)
        if (
            found is None
            and self._array is None
            and any(f.suffix.lower() not in PICTURES for f in self._files)
        ):
            found = np.array([_sky(file) for file in self._files]).T
        return found

    def fingerprint(self) -> str:
        told = [] if self._array is None else sample(self)
        return array_hash(np.array(self.id.tolist()), *told)

    def read_rows(self, rows: np.ndarray) -> Images:
        if self._array is not None:
            pixels, sky = _unit(self._crop(self._array[rows], str(self.path))), [{}] * len(rows)
        else:
            read = [self._one(int(row)) for row in rows]
            sky = [header for _, header in read]
            pixels = np.array([plane for plane, _ in read]) if read else np.zeros((0, len(self.bands), 1, 1))
        names, counts = np.unique(self.id[rows], return_counts=True)
        if (counts > 1).any():
            name = names[counts > 1][0].item()
            raise BadInput(self.path, f"id {name!r} is there more than once among the rows, wanted each once")
        table = self._columns[rows] if self._columns.colnames else Table()
        if self._table is not None:
            for name, column in self._table.rows(rows).items():
                table[name] = column
        return Images(
            pixels,
            self.id[rows],
            self.bands,
            ra=_all(sky, "ra"),
            dec=_all(sky, "dec"),
            pixel_scale=next((s["pixel_scale"] for s in sky if s.get("pixel_scale")), None),
            table=table,
        )

    def _one(self, row: int) -> tuple[np.ndarray, dict]:
        file = self._files[row]
        plane, header = _read_file(file)
        if len(plane) != len(self.bands):
            todo = f"{file} has other bands than the rest: read it apart, or name them all with bands="
            raise BadInput(file, str(BandMismatch(tuple(header["bands"]), self.bands, todo)))
        plane = self._crop(plane, str(file))
        self._shape = self._shape or (2 * (self.size,) if self.size else self._first()[0].shape[-2:])
        if plane.shape[-2:] != self._shape:
            (y, x), (height, width) = plane.shape[-2:], self._shape
            raise BadInput(file, f"{y} x {x} pixels, the others have {height} x {width}; crop all with size=")
        return plane, header

    def _crop(self, pixels: np.ndarray, where: str) -> np.ndarray:
        height, width = pixels.shape[-2:]
        if self.size is None:
            return pixels
        if self.size > min(height, width):
            raise BadInput(where, f"{height} x {width} pixels, wanted at least size={self.size}")
        y, x = (height - self.size) // 2, (width - self.size) // 2
        return pixels[..., y : y + self.size, x : x + self.size]


class _Joined:
    """A table whose rows are found by name."""

    def __init__(self, table: str | Path | Table, id_column: str, ids: np.ndarray):
        if not isinstance(table, Table):
            where, table = table, READER.table(table)
        else:
            where = "table"
        if id_column not in table.colnames:
            have = ", ".join(table.colnames)
            raise BadInput(
                where, f"no column {id_column!r} among {have}; name the one to join with id_column="
            )
        names = [str(name) for name in table[id_column]]
        place = {name: row for row, name in enumerate(names)}
        if len(place) != len(names):
            raise BadInput(where, f"names in column {id_column!r} repeat, wanted each once")
        self.table = table[[name for name in table.colnames if name != id_column]]
        self.at = np.array([place.get(str(name), -1) for name in ids], dtype=int)

    def rows(self, rows: np.ndarray) -> dict:
        at = self.at[rows]
        missing, columns = at < 0, {}
        for name in self.table.colnames:
            column = self.table[name][np.maximum(at, 0)] if len(self.table) else None
            if column is None:
                continue
            if missing.any():
                absent = np.broadcast_to(missing, column.T.shape).T  # of a column of vectors, all of each
                column = MaskedColumn(column, mask=absent | getattr(column, "mask", False))
                column = column.filled(np.nan) if column.dtype.kind == "f" else column
            columns[name] = column
        return columns


def _find(path: Path) -> list[Path]:
    if not path.is_dir():
        regular(path)
        if path.suffix.lower() not in FITS | PICTURES and ".fits" not in path.suffixes:
            raise BadInput(path, "wanted FITS, PNG, JPEG, npz or npy")
        return [path]
    shown = (f for f in path.rglob("*") if not any(p.startswith(".") for p in f.relative_to(path).parts))
    files = [f for f in shown if f.suffix.lower() in FITS | PICTURES or f.name.endswith(".fits.gz")]
    files = [f for f in files if not f.is_dir()]
    if not files:
        raise BadInput(path, "no FITS, PNG or JPEG file in this folder")
    return sorted(files)


def _stem(file: Path, root: Path) -> str:
    """The file's name without its endings; with its folder, where it lies deeper."""
    relative = file.relative_to(root) if root.is_dir() else Path(file.name)
    return str(relative.with_name(file.name.split(".fit")[0] if ".fit" in file.name else file.stem))


def _read_file(file: Path) -> tuple[np.ndarray, dict]:
    if file.suffix.lower() not in PICTURES:
        pixels, header = READER.read(file)
        return pixels, header | {"bands": header["bands"] or [f"band{i}" for i in range(len(pixels))]}
    from PIL import Image

    size = regular(file)
    try:
        with Image.open(file, formats=("PNG", "JPEG")) as picture:
            modest(file, picture.width * picture.height * len(picture.getbands()), size)
            if picture.mode in ("P", "RGBA", "CMYK", "LA", "1"):
                picture = picture.convert("L" if picture.mode in ("LA", "1") else "RGB")
            pixels = np.asarray(picture)
    except BadInput:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, DecompressionBombError
        raise BadInput(file, f"not readable as a picture ({error}); wanted PNG or JPEG") from error
    pixels = pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels
    pixels = np.atleast_3d(_unit(pixels)).transpose(2, 0, 1)
    return pixels, {"bands": COLORS[len(pixels)]}


def _sky(file: Path) -> tuple[float, float]:
    """ra and dec of a file's centre, NaN where it does not say."""
    if file.suffix.lower() not in PICTURES:
        try:
            header = READER.read(file, pixels=False)[1]
            if header["ra"] is not None and header["dec"] is not None:
                return header["ra"], header["dec"]
        except BadInput:  # reading its pixels will say so
            pass
    return np.nan, np.nan


def _unit(pixels: np.ndarray) -> np.ndarray:
    """Float32; pixels of 8 and 16 bits as a share of the largest that their type holds."""
    if pixels.dtype not in (np.uint8, np.uint16):
        return np.asarray(pixels, dtype=np.float32)
    share = pixels.astype(np.float32, order="C")
    share /= np.iinfo(pixels.dtype).max
    return share


def _all(headers: list[dict], name: str) -> np.ndarray | None:
    values = [header.get(name) for header in headers]
    if not values or all(value is None for value in values):
        return None
    return np.array([np.nan if value is None else value for value in values])
