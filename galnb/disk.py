"""What is kept on disk survives a crash at any moment: durable files, a journal, a private cache."""

from __future__ import annotations

import errno
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CannotWrite


def cache_folder() -> Path:
    """Where prepared things are kept: GALNB_CACHE, or the platform's folder; readable by its owner only."""
    places = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}
    home = os.environ.get("XDG_CACHE_HOME") or places.get(sys.platform, "~/.cache")
    folder = Path(os.environ.get("GALNB_CACHE") or Path(home, "galnb")).expanduser()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def point(name: str) -> None:
    """A named moment of the commit protocol; tests stop the process here."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in one line what to do about a full disk or a folder that cannot be written to."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        locked = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        if not full and not locked:
            raise
        todo = "free some space" if full else "choose a folder that you may write to"
        reason = f"{error.strerror}; all that was finished before is kept: {todo} and run it again"
        raise CannotWrite(f"{path}: {reason}") from error


def write(path: str | Path, data: bytes | Callable[[Path], object]) -> Path:
    """Write a file so that after a crash it is there whole, or not at all.

    A temporary file beside it is written, synced and renamed, then the folder is synced. `data` is the
    bytes, or a function that writes a file at the path that it is given. Raises CannotWrite where the disk
    is full or the folder read-only; no temporary file stays then.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if isinstance(data, bytes):
                unfinished.write_bytes(data)
            else:
                data(unfinished)
            point("written")
            sync(unfinished)
            point("synced")
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        point("renamed")
        sync(path.parent)
        point("kept")
    return path


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk itself."""
    if path.is_dir() and os.name == "nt":  # Windows cannot, and need not, sync a folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Journal:
    """Lines of JSON, each synced before `add` returns; a last line that a crash cut off is left out.

    Examples
    --------
    >>> import tempfile
    >>> journal = Journal(Path(tempfile.mkdtemp(), "journal.jsonl"))
    >>> journal.add({"pixel": 3})
    >>> journal.lines()
    [{'pixel': 3}]
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def lines(self) -> list[dict]:
        """Every whole line so far."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        found = []
        for line in text.split(b"\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def add(self, entry: dict) -> None:
        """Append one line."""
        with told(self.path):
            fresh = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # a line that a crash cut off is ended first, or this one would be lost with it
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(handle).st_size
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                line = json.dumps(entry, sort_keys=True).encode() + b"\n"
                line = b"\n" + line if torn else line
                point("journal")
                if os.write(handle, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            finally:
                os.close(handle)
            if fresh:
                sync(self.path.parent)
        point("journaled")
