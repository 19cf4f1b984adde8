"""Tables for other programs: CSV, VOTable and Parquet."""

from __future__ import annotations

import io
from pathlib import Path

from astropy.table import Table

from . import disk
from .arrow import to_arrow
from .errors import BadInput

KINDS = (".csv", ".vot", ".parquet")


def export(table: Table, path: str | Path) -> Path:
    """Write a table, atomically, as the path's ending says: .csv, .vot (VOTable) or .parquet.

    Units go into VOTable and Parquet (as the fields' metadata); CSV has none, and no columns of several
    numbers a row: these become one column a number, name_0, name_1 and so on.

    Raises BadInput for another ending.

    >>> import tempfile
    >>> path = export(Table({"id": [7, 9], "distance": [0.0, 1.5]}), tempfile.mkdtemp() + "/near.csv")
    >>> path.read_text().split()
    ['id,distance', '7,0.0', '9,1.5']
    """
    path = Path(path)
    if path.suffix not in KINDS:
        raise BadInput(path, f"wanted a name that ends in {', '.join(KINDS)}; give another")
    return disk.write(path, {".csv": _csv, ".vot": _votable, ".parquet": _parquet}[path.suffix](table))


def _csv(table: Table) -> bytes:
    flat = Table()
    for name in table.colnames:
        column = table[name]
        if column.ndim == 1:
            flat[name] = column
        else:
            for k, part in enumerate(column.reshape(len(table), -1).T):
                flat[f"{name}_{k}"] = part
    file = io.StringIO()
    flat.write(file, format="ascii.csv")
    return file.getvalue().encode()


def _votable(table: Table) -> bytes:
    file = io.BytesIO()
    table.write(file, format="votable")
    return file.getvalue()


def _parquet(table: Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: to_arrow(table[name], name) for name in table.colnames}
    units = {name: {"unit": str(table[name].unit)} if table[name].unit else None for name in columns}
    kinds = [pa.field(name, values.type, metadata=units[name]) for name, values in columns.items()]
    file = io.BytesIO()
    pq.write_table(pa.table(list(columns.values()), schema=pa.schema(kinds)), file, write_page_checksum=True)
    return file.getvalue()
