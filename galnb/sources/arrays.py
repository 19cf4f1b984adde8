"""Images in one npz or npy, with what else is in it."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import BadInput
from ..limits import modest, regular
from ..stored import Stored

KINDS = {".npz", ".npy"}
LARGE = 1 << 26  # bytes of an array in an npz from which on it stays on disk


class Rows:
    """Images in a file, read by row as an array (n, band, y, x) of them would be.

    No memory map: where the file becomes shorter, or its disk is gone, a map kills whoever looks at it, and
    this raises BadInput.
    """

    def __init__(self, path: Path, mapped: np.memmap, *, bands_last: bool):
        row = mapped.shape[1:] if mapped.ndim == 4 else (1, *mapped.shape[1:])
        dtype = np.dtype((mapped.dtype, row))
        self._stored = Stored(path, dtype, len(mapped), start=mapped.offset, todo="copy it again")
        self._order = (0, 3, 1, 2) if bands_last else (0, 1, 2, 3)
        self.shape = tuple((len(mapped), *row)[axis] for axis in self._order)

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self._stored.at(rows).transpose(self._order)


def read(path: Path, name: str | None) -> tuple[np.ndarray | Rows, np.ndarray, Table]:
    """The images (n, band, y, x) as they are stored, ids, and further columns."""
    size, single = regular(path), path.suffix.lower() == ".npy"
    try:
        if single:
            arrays = {"images": np.load(path, allow_pickle=False, mmap_mode="r")}
        else:
            with np.load(path, allow_pickle=False) as loaded:
                modest(path, sum(member.file_size for member in loaded.zip.infolist()), size)
                arrays = {key: _member(path, key, loaded) for key in loaded.files}
    except BadInput:
        raise
    except Exception as error:  # zipfile, zlib, the parser of headers and numpy each raise their own
        reason = f"not readable as numpy arrays without objects ({type(error).__name__}: {error})"
        raise BadInput(path, reason) from error
    # a member of an npz that is no npy comes as bytes
    arrays = {key: value for key, value in arrays.items() if isinstance(value, np.ndarray)}
    large = [key for key, value in arrays.items() if value.ndim in (3, 4) and value.dtype.kind in "iufb"]
    if name is None:
        name = "images" if "images" in large else large[0] if len(large) == 1 else None
    if name not in large:
        raise BadInput(path, f"no image array {name!r}; choose array= from {', '.join(large) or 'none'}")
    images = arrays[name]
    if min(images.shape[1:]) < 1:
        raise BadInput(path, f"its images {name!r} have shape {images.shape}, wanted at least one pixel")
    bands_last = images.ndim == 4 and (
        images.shape[-1] <= 5 < images.shape[1] or images.shape[1] > images.shape[-1]
    )
    if isinstance(images, np.memmap) and images.flags.c_contiguous:
        images = Rows(path, images, bands_last=bands_last)
    elif bands_last:
        images = images.transpose(0, 3, 1, 2)  # from (n, y, x, band)
    elif images.ndim == 3:
        images = images[:, None]
    columns = {
        k: v for k, v in arrays.items() if v.ndim == 1 and len(v) == len(images) and v.dtype.kind in "iufUSb"
    }
    named = [key for key in columns if key == "id" or key.endswith("_id")]
    ids = columns.pop(named[0]) if named else np.arange(len(images))
    return images, ids, Table(columns)


def _member(path: Path, key: str, loaded) -> np.ndarray:
    """An array of an npz, checked; mapped and not read where it is large and was not compressed."""
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        found = archive.NameToInfo.get(f"{key}.npy")
        if found is None or found.compress_type != zipfile.ZIP_STORED or found.file_size < LARGE:
            return loaded[key]
        with archive.open(found) as member:
            while member.read(1 << 20):  # at its end zipfile compares the checksum
                pass
        file.seek(found.header_offset + 26)
        file.seek(sum(struct.unpack("<HH", file.read(4))), 1)  # of the local header: its name and extra field
        header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        version, _ = np.lib.format.read_magic(file)
        shape, columns_first, dtype = header[version](file) if version in header else (0, 0, np.dtype(object))
        if dtype.hasobject:
            return loaded[key]  # numpy says why not
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if columns_first else "C")
