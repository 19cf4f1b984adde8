"""Tables from files, taken to plain columns that travel between processes as bytes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, Table

from ..errors import BadInput
from ..limits import modest

KINDS = "iufbU"  # whole numbers, floats, yes and no, text
HDF5 = b"\x89HDF\r\n\x1a\n"  # its files may lead to others, and h5py may be there or not


def read(path: Path, format: str | None = None) -> Table:
    """Anything that astropy reads, as plain columns; BadInput where it cannot be read.

    For the child process alone: what astropy believes of a file may end it.
    """
    from astropy.table.serialize import represent_mixins_as_columns

    try:
        if begins(path, HDF5):
            raise BadInput(path, "it is HDF5, which galnb does not read; save it as FITS, Parquet or ECSV")
        table = represent_mixins_as_columns(Table.read(path, format=format))
        found = Table()
        for name in table.colnames:
            column, values = table[name], np.ma.asarray(table[name])
            if values.dtype.kind == "S":
                texts = np.char.decode(np.ma.getdata(values), "utf-8", "replace")
                values = np.ma.array(texts, mask=np.ma.getmaskarray(values))
            elif values.dtype.kind not in KINDS:
                texts = np.array([str(value) for value in values.ravel().tolist()], dtype=str)
                values = np.ma.array(texts.reshape(values.shape), mask=np.ma.getmaskarray(values))
            found[str(name)] = MaskedColumn(values, unit=str(column.unit) if column.unit else None)
        size = sum(column.nbytes for column in found.itercols())
        modest(path, size, path.stat().st_size)
        return found
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # astropy's readers raise what their formats make them raise
        raise BadInput(path, f"not readable as a table ({type(error).__name__}: {error})") from error


def begins(path: Path, magic: bytes) -> bool:
    """Whether these are the first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def packed(table: Table) -> tuple[list[dict], bytes]:
    """Columns as JSON values and bytes, values and then mask of each."""
    told, parts = [], []
    for column in table.itercols():
        values = np.ascontiguousarray(np.ma.getdata(column))
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        unit = None if column.unit is None else str(column.unit)
        told.append({"name": column.name, "dtype": values.dtype.str, "shape": values.shape, "unit": unit})
        parts += [values.tobytes(), np.ma.getmaskarray(column).tobytes()]
    return told, b"".join(parts)


def unpacked(columns: list[dict], data: bytearray) -> Table:
    """The table again; plain columns where nothing is masked."""
    table, at = Table(), 0
    for told in columns:
        dtype, count = np.dtype(told["dtype"]), math.prod(told["shape"])
        values = np.frombuffer(data, dtype, count, at) if count * dtype.itemsize else np.zeros(count, dtype)
        at += values.nbytes
        mask = np.frombuffer(data, bool, count, at).reshape(told["shape"]) if count else False
        at += count
        values = values.reshape(told["shape"]).astype(dtype.newbyteorder("="))
        table[told["name"]] = MaskedColumn(values, mask=mask) if np.any(mask) else values
        if told["unit"]:
            table[told["name"]].unit = told["unit"]
    return table
