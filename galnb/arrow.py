"""Columns of tables to Arrow and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .errors import BadInput


def to_arrow(column, name: str) -> pa.Array:
    """A column of an astropy Table, or an array: masked values are null, (n, k) becomes lists of k.

    Raises BadInput, naming the column, for rows of more than one dimension and what Parquet cannot hold.
    """
    values = np.asarray(column)
    mask = np.ma.getmaskarray(column)
    if values.ndim == 2 and values.shape[1]:  # such as magnitudes in five bands
        flat = np.ma.array(values, mask=mask).ravel()
        return pa.FixedSizeListArray.from_arrays(to_arrow(flat, name), values.shape[1])
    if values.ndim != 1:
        todo = "wanted numbers in one row; take it out with table.remove_column"
        raise BadInput(f"column {name!r}", f"its rows have shape {values.shape[1:]}, {todo}")
    try:
        if values.dtype.kind == "O":
            found = pa.array([None if gone else value for value, gone in zip(values, mask, strict=True)])
            return found.cast(pa.string()) if pa.types.is_null(found.type) else found
        # FITS tables are big-endian, Arrow is not.
        return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False), mask=mask)
    except pa.ArrowException as error:
        todo = "wanted numbers, text, or yes and no; take it out with table.remove_column"
        raise BadInput(f"column {name!r}", f"Parquet cannot hold its values ({error}), {todo}") from error


def from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    """An array (n,) or (n, k) of an Arrow column; masked where it has nulls, unless these are NaN."""
    gone = column.is_null().to_numpy()
    if pa.types.is_fixed_size_list(column.type):
        values = from_arrow(pa.chunked_array([column.combine_chunks().flatten()]))
        values = values.reshape(-1, column.type.list_size)
        if not gone.any():
            return values
        found = missing(column.type, len(column)).astype(values.dtype)
        found[~gone] = values
        return found
    if gone.any() and not pa.types.is_floating(column.type):
        nothing = "" if _is_text(column.type) else False if pa.types.is_boolean(column.type) else 0
        column = column.fill_null(nothing)
    values = column.to_numpy()
    if values.dtype.kind == "O":
        from .limits import LARGE, most

        # numpy gives each text the room of the longest: one of a megabyte would make a terabyte of a million
        wanted = 4 * len(values) * max((len(v) for v in values if isinstance(v, str | bytes)), default=0)
        if wanted > max(LARGE, most(column.nbytes)):
            raise ValueError(f"its texts, the longest of which is very long, would become {wanted:,} bytes")
        values = values.astype(str)
    return np.ma.array(values, mask=gone) if gone.any() else values


def missing(kind: pa.DataType, rows: int) -> np.ndarray:
    """Rows (n,) or (n, k) of a type without their values: NaN where it has one, else masked."""
    if pa.types.is_fixed_size_list(kind):
        return missing(kind.value_type, rows * kind.list_size).reshape(rows, kind.list_size)
    dtype = np.dtype("U1" if _is_text(kind) else kind.to_pandas_dtype())
    return np.full(rows, np.nan, dtype) if pa.types.is_floating(kind) else np.ma.masked_all(rows, dtype)


def width(kind: pa.DataType) -> int:
    """Bytes of a value in memory, at least."""
    if pa.types.is_fixed_size_list(kind):
        return kind.list_size * width(kind.value_type)
    return kind.bit_width // 8 if pa.types.is_primitive(kind) else 4


def _is_text(kind: pa.DataType) -> bool:
    of = pa.types
    return any(f(kind) for f in (of.is_string, of.is_large_string, of.is_binary, of.is_large_binary))
