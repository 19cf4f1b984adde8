"""What is kept on disk survives a crash at any moment: durable files, a journal, a private cache."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import CannotWrite


def cache_folder() -> Path:
    """Where prepared things are kept: GALNB_CACHE, or the platform's folder; readable by its owner only.

    What lies finished in GALNB_SHARED, a cache folder that somebody else prepared, is linked into it: many
    people use one copy, which none of them changes.
    """
    places = {"darwin": "~/Library/Caches", "win32": "~/AppData/Local"}
    home = os.environ.get("XDG_CACHE_HOME") or places.get(sys.platform, "~/.cache")
    folder = Path(os.environ.get("GALNB_CACHE") or Path(home, "galnb")).expanduser()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if shared := os.environ.get("GALNB_SHARED"):
        _borrow(Path(shared).expanduser().resolve(), folder)
    return folder


def _borrow(shared: Path, own: Path) -> None:
    """Link what one does not have oneself, and let go of links whose files are gone.

    A map or an index becomes a folder of one's own with a link to each file: what is added, such as a column
    of the map, is one's own, and what is made anew takes the place of links and not of what they lead to.
    """
    links = (link for link in own.glob("**/*") if link.is_symlink() and not link.exists())
    for gone in {own.joinpath(*link.relative_to(own).parts[:2]) for link in links}:
        gone.unlink(missing_ok=True) if gone.is_symlink() else shutil.rmtree(gone, ignore_errors=True)
    for there in sorted([*shared.glob("*"), *shared.glob("*/*")]):
        here = own / there.relative_to(shared)
        hidden = there.name.startswith(".")  # a lock, or not finished; so is what still has a journal
        if hidden or here.exists() or not os.access(there, os.R_OK) or (there / "journal.jsonl").exists():
            continue
        with suppress(OSError):  # Windows may not allow links; or another process was faster
            if there.is_file():
                here.symlink_to(there)
            elif there.parent == shared:
                here.mkdir()
            else:
                linked = here.with_name(f".{here.name}.{uuid.uuid4().hex[:8]}.tmp")
                shutil.copytree(there, linked, copy_function=os.symlink)
                linked.chmod(0o700)  # else as read-only as the other
                linked.rename(here)


def point(name: str) -> None:
    """A named moment of the commit protocol; tests stop the process here."""


FULL = {errno.ENOSPC, errno.EDQUOT}
LOCKED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST}
# what network file systems, and disks that are pulled out, answer; Windows lacks some of these names
GONE = {
    getattr(errno, name)
    for name in ("ESTALE", "EIO", "ENOTCONN", "ENODEV", "ENXIO", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH")
    if hasattr(errno, name)
}


def remedy(error: OSError) -> str | None:
    """What to do about a disk's error; None where it is no fault of the disk."""
    if error.errno in FULL:
        return "free some space"
    if error.errno == errno.EFBIG:
        return "choose a disk, or a limit, that allows larger files"
    if error.errno in LOCKED:
        return "choose a folder that you may write to"
    return "bring its disk or network folder back" if error.errno in GONE else None


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say in one line what to do about a disk that is full or gone, or a folder that is not to be written to.

    A file that is not there is the disk's fault where it should be at `path` or beside it: a folder that one
    works in was moved away, or is no longer mounted.
    """
    try:
        yield
    except OSError as error:
        todo = remedy(error)
        if error.errno == errno.ENOENT and str(error.filename).startswith(str(path.parent)):
            todo = "bring its folder back"
        if todo is None:
            raise
        reason = f"{error.strerror}; all that was finished before is kept: {todo} and run it again"
        raise CannotWrite(f"{path}: {reason}") from error


def write(path: str | Path, data: bytes | Callable[[Path], object]) -> Path:
    """Write a file so that after a crash it is there whole, or not at all.

    A temporary file beside it is written, synced and renamed, then the folder is synced. `data` is the
    bytes, or a function that writes a file at the path that it is given. Raises CannotWrite where the disk
    is full or gone or the folder read-only; no temporary file stays then, if it can be removed.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with told(path):
        folder(path.parent)
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
            with suppress(OSError):  # the disk is gone: what is wrong is known already
                unfinished.unlink(missing_ok=True)
            raise
        point("renamed")
        sync(path.parent)
        point("kept")
    return path


def write_all(handle: int, data: bytes) -> None:
    """Write to a file until all of it is there, or the disk says why not.

    A disk that fills up takes a part, and says so at the next byte.
    """
    rest = memoryview(data)
    while len(rest):
        rest = rest[os.write(handle, rest) :]


def folder(path: Path) -> None:
    """Make a folder, and those above it, so that they survive a crash."""
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk itself."""
    if path.is_dir() and os.name == "nt":  # Windows cannot, and need not, sync a folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sealed(entry: dict) -> bytes:
    """A line of JSON that knows whether it is whole: the first of its keys, "", is a hash of the others.

    >>> unsealed(sealed({"rows": 3})), unsealed(sealed({"rows": 3}).replace(b"3", b"4"))
    ({'rows': 3}, None)
    """
    body = json.dumps(entry, sort_keys=True)
    seal = hashlib.sha256(body.encode()).hexdigest()[:16]
    return json.dumps({"": seal, **entry}, sort_keys=True).encode() + b"\n"


def unsealed(line: bytes) -> dict | None:
    """The entry of a line, or None where it is cut off or any other than `sealed` gave."""
    try:
        entry = json.loads(line)
        del entry[""]
        return entry if sealed(entry) == line else None
    except (ValueError, TypeError, KeyError):
        return None


UNSEALED = "0" * 64  # what stands in a file where its own hash will be
MARK, HEAD = b'"seal": "', b'"seal":"'  # and before it: at the end of Parquet, or in the head of safetensors


def seal(path: Path, mark: bytes = MARK) -> None:
    """Put a file's hash, of all of it with `UNSEALED` there, behind its last `MARK` or its first `HEAD`."""
    digest, at = _without_seal(path, mark)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(digest.encode())


def sealing(path: Path, mark: bytes = MARK) -> bool:
    """Whether a file is, byte for byte, as `seal` left it."""
    digest, at = _without_seal(path, mark)
    with open(path, "rb") as file:
        file.seek(at)
        return file.read(len(UNSEALED)) == digest.encode()


def _without_seal(path: Path, mark: bytes) -> tuple[str, int]:
    """The hash of a file with `UNSEALED` in its place for a seal, and where that is."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = (data.find(mark) if mark == HEAD else data.rfind(mark)) + len(mark)
        digest = hashlib.sha256()
        for begin, end in ((0, at), (at + len(UNSEALED), len(data))):
            for start in range(begin, end, 1 << 20):
                digest.update(data[start : min(start + (1 << 20), end)])
            digest.update(UNSEALED.encode() * (begin == 0))
    return digest.hexdigest(), at


def entries(data: bytes) -> list[dict]:
    """The entries of all whole lines."""
    found = (unsealed(line) for line in data.splitlines(keepends=True))
    return [entry for entry in found if entry is not None]


class Journal:
    """Sealed lines, each synced before `add` returns; what a crash cut off, or is damaged, is left out.

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
        """The entry of every whole line so far."""
        return entries(self.path.read_bytes()) if self.path.exists() else []

    def add(self, entry: dict) -> None:
        """Append one line."""
        with told(self.path):
            folder(self.path.parent)
            with open(self.path, "ab+", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                # a line that a crash cut off is ended first, or this one would be lost with it
                file.seek(max(0, size - 1))
                torn = file.read(1) not in (b"", b"\n")
                line = b"\n" * torn + sealed(entry)
                point("journal")
                write_all(file.fileno(), line)
                os.fsync(file.fileno())
            if not size:  # it may be new
                sync(self.path.parent)
        point("journaled")
