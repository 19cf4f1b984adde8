"""Parquet weighed in a supervised child process before it is read: `python -m galnb.sources.parquet`.

How much a file becomes, its footer does not say: a dictionary of one long text, differences to the text
before, or runs of equal lists make gigabytes of a page of kilobytes. So it is decoded once, a piece at a
time, where that does no harm.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from ..limits import modest
from .supervised import Child, serve

ROWS = 1024  # that are decoded together


class Scales(Child):
    """A child process that decodes Parquet files and forgets what they hold."""

    def weigh(self, path: str | Path, what: str = "Parquet file") -> int:
        """Bytes in memory of a Parquet file; BadInput if they are too many, or it is damaged or none."""
        return self.ask(Path(path), what, what=what)[0]["becomes"]


SCALES = Scales("galnb.sources.parquet")


def read(path: str | Path, what: str = "Parquet file"):
    """The Arrow table of a Parquet file, weighed before; BadInput as of `Scales.weigh`."""
    import pyarrow.parquet as pq

    SCALES.weigh(path, what)
    return pq.read_table(path, page_checksum_verification=True)


def weighed(path: Path, what: str) -> tuple[dict, bytes]:
    """What `Scales.weigh` returns, weighed in this process."""
    import pyarrow.parquet as pq

    size, becomes = path.stat().st_size, 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(ROWS, use_threads=False):
                becomes += batch.nbytes
                modest(path, becomes, size)
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # of Arrow, as the damage makes them
        raise BadInput(path, f"not readable as a {what} ({error}); copy it again") from error
    return {"becomes": becomes, "bytes": 0}, b""


def _warm_up() -> None:
    import pyarrow.parquet  # noqa: F401


if __name__ == "__main__":
    serve(weighed, _warm_up)
