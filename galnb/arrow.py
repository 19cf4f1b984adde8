"""Columns of tables to Arrow and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from .errors import BadInput


def to_arrow(column, name: str) -> pa.Array:
    """A column of an astropy Table, or an array: masked values are null, (n, k) becomes lists of k.

    Raises BadInput, naming the column, for rows of more than one dimension.
    """
    values = np.asarray(column)
    mask = np.ma.getmaskarray(column)
    if values.ndim == 2 and values.shape[1]:  # such as magnitudes in five bands
        flat = np.ma.array(values, mask=mask).ravel()
        return pa.FixedSizeListArray.from_arrays(to_arrow(flat, name), values.shape[1])
    if values.ndim != 1:
        todo = "wanted numbers in one row; take it out with table.remove_column"
        raise BadInput(f"column {name!r}", f"its rows have shape {values.shape[1:]}, {todo}")
    if values.dtype.kind == "O":
        return pa.array([None if gone else value for value, gone in zip(values, mask, strict=True)])
    # FITS tables are big-endian, Arrow is not.
    return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False), mask=mask)


def from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    """An array (n,) or (n, k) of an Arrow column; masked where it has nulls, unless these are NaN."""
    if pa.types.is_fixed_size_list(column.type):
        return from_arrow(pa.chunked_array([column.combine_chunks().flatten()])).reshape(
            len(column), column.type.list_size
        )
    gone = column.is_null().to_numpy()
    if gone.any() and not pa.types.is_floating(column.type):
        text = pa.types.is_string(column.type) or pa.types.is_binary(column.type)
        column = column.fill_null("" if text else False if pa.types.is_boolean(column.type) else 0)
    values = column.to_numpy()
    values = values.astype(str) if values.dtype.kind == "O" else values
    return np.ma.array(values, mask=gone) if gone.any() else values
