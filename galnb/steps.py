"""`Steps`: changes to things by id, in a journal that several kernels append to, with undo and redo."""

from __future__ import annotations

import io
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from . import disk
from .errors import BadInput, CannotWrite


class Steps:
    """A journal of steps, each a list of changes {"id": ..., ...}; what holds for an id is its last change.

    A step, and the undoing or redoing of one, is a line with a checksum, appended under a lock and synced.
    An undo names its step: where a line between is lost, all others mean the same.

    Parameters
    ----------
    path : Path
    knows : function
        Whether a change read from the file can be understood.

    Attributes
    ----------
    done, undone : list of str
        Keys of the steps that hold, and of those that were taken back; the last one is undone, redone next.
    changes : dict of str to list of dict
        What each step changes.
    waiting : list of dict
        Lines that could not be written yet; they count, and are written before the next that can be.
    lock : threading.RLock
        Hold it to read several attributes of one moment.

    Examples
    --------
    >>> import tempfile
    >>> steps = Steps(Path(tempfile.mkdtemp(), "steps.jsonl"))
    >>> _ = steps.change(lambda: {"changes": [{"id": 7, "star": True}]})
    >>> Steps(steps.path).now(7)
    {'id': 7, 'star': True}
    """

    def __init__(self, path: Path, *, knows: Callable[[dict], bool] = lambda change: "id" in change):
        self.path, self.knows, self.lock = Path(path), knows, threading.RLock()
        self.waiting: list[dict] = []
        self._written: list[dict] = []
        self._callbacks: list[Callable[[tuple], None]] = []
        self._follow([])
        self._start_over()
        self.refresh()

    # what holds

    def now(self, id) -> dict | None:
        """The change that holds for an id, or None."""
        return self._by_id[id][-1][1] if self._by_id.get(id) else None

    def all(self) -> list[dict]:
        """The changes that hold, one an id."""
        return [found[-1][1] for found in self._by_id.values() if found]

    @property
    def damaged(self) -> list[tuple[int, str]]:
        """Lines, counted from 1, that are lost, and why."""
        return [*self._damaged, *([(self._lines + 1, "it is cut off")] if self._torn else [])]

    # changing it

    def change(self, decide: Callable[[], dict | None]) -> dict | None:
        """Append what `decide` returns when all that others wrote is read: a line, or None for nothing.

        A line is {"changes": [...]}, {"undo": key} or {"redo": key}. Raises CannotWrite if the disk is full
        or read-only; the line waits in memory then.
        """
        with self.lock, ExitStack() as stack:
            handle, failure, changed = None, None, set()
            with suppress(BadInput):  # what cannot be read must not lose what is new
                changed |= self._news()
            try:
                disk.folder(self.path.parent)
                handle = stack.enter_context(_held(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT))
                changed |= self._take(handle)
            except OSError as error:
                handle, failure = None, error
            line = decide()
            if line is not None:
                line = {"key": uuid.uuid4().hex[:12], **line}
                self.waiting.append(line)
                changed |= self._add(line)
            try:
                if handle is not None and self.waiting:
                    self._append(handle)
            except OSError as error:
                failure = error
            waiting = len(self.waiting)
        self._tell(changed)
        if failure is not None and waiting:
            todo = "make it writable, or choose another path"
            if failure.errno not in disk.LOCKED:
                todo = disk.remedy(failure) or todo
            kept = f"changes kept in memory, to be written with the next one: {waiting}"
            raise CannotWrite(f"{self.path}: {failure.strerror}; {kept}: {todo}") from failure
        return line

    def refresh(self) -> None:
        """Read what other kernels have added; BadInput where the file cannot be read."""
        self._tell(self._news())

    def on_change(self, callback: Callable[[tuple], None]) -> Callable[[], None]:
        """Call back after every change with the ids that it is about; returns a function that ends it."""
        self._callbacks.append(callback)
        return lambda: callback in self._callbacks and self._callbacks.remove(callback)

    def _tell(self, changed: set) -> None:
        for callback in list(self._callbacks) if changed else ():
            callback(tuple(changed))

    # in memory

    def _follow(self, lines: list[dict]) -> None:
        self.done, self.undone, self.changes = [], [], {}
        self._by_id: dict[object, list[tuple[str, dict]]] = {}
        self._seen: set[str] = set()
        for line in lines:
            self._add(line)

    def _add(self, line: dict) -> set:
        """Follow a line; the ids that it is about. One that was seen before changes nothing."""
        if line["key"] in self._seen:
            return set()
        self._seen.add(line["key"])
        if "changes" in line:
            self.changes[line["key"]] = line["changes"]
            self.undone.clear()
            return self._do(line["key"])
        if line.get("redo") in self.undone:
            self.undone.remove(line["redo"])
            return self._do(line["redo"])
        return self._undo(line.get("undo")) if line.get("undo") in self.changes else set()

    def _do(self, key: str) -> set:
        self.done.append(key)
        for change in self.changes[key]:
            self._by_id.setdefault(change["id"], []).append((key, change))
        return {change["id"] for change in self.changes[key]}

    def _undo(self, key: str) -> set:
        if key not in self.done:
            return set()
        self.done.remove(key)
        self.undone.append(key)
        for change in self.changes[key]:
            self._by_id[change["id"]] = [found for found in self._by_id[change["id"]] if found[0] != key]
        return {change["id"] for change in self.changes[key]}

    # on disk

    def _start_over(self) -> None:
        self._written, self._damaged, self._lines = [], [], 0
        self._inode, self._size, self._at = None, 0, 0
        self._torn = self._unended = False

    def _news(self) -> set:
        with self.lock:
            try:
                seen = os.stat(self.path)
                if (seen.st_ino, seen.st_size) == (self._inode, self._size):
                    return set()
                with _held(self.path, os.O_RDONLY) as handle:
                    return self._take(handle)
            except (FileNotFoundError, NotADirectoryError):  # none yet, or deleted under us: all of it waits
                self.waiting = self._written + self.waiting
                self._start_over()
                return set()
            except OSError as error:
                raise BadInput(self.path, f"{error.strerror}, wanted a journal; give another path") from error

    def _take(self, handle: int) -> set:
        """Read on, from where the last reading ended; the ids for which something else holds now."""
        found, before = os.fstat(handle), None
        if found.st_ino != self._inode or found.st_size < self._at:  # another file: what it lacks waits again
            before = self._written
            self._start_over()
        self._inode, self._size = found.st_ino, found.st_size
        with open(os.dup(handle), "rb") as file:
            file.seek(self._at)
            lines = self._parsed(file.read())
        self._written += lines
        if not before and not self.waiting:
            return set().union(*[self._add(line) for line in lines])
        keys = {line["key"] for line in self._written}
        self.waiting = [line for line in [*(before or []), *self.waiting] if line["key"] not in keys]
        past = {change["id"]: change for change in self.all()}
        self._follow([*self._written, *self.waiting])  # in the order that the file will have
        now = {change["id"]: change for change in self.all()}
        return {id for id in {*past, *now} if past.get(id) != now.get(id)}

    def _parsed(self, data: bytes) -> list[dict]:
        if self._unended and data:  # the end of a line that was whole but for it
            data, self._at, self._unended = data[1:], self._at + 1, False
        self._torn, lines = False, []
        for text in io.BytesIO(data):
            ended = text.endswith(b"\n")
            found = [disk.unsealed(text if ended else text + b"\n")]
            if found == [None] and not ended:
                self._torn = True
                break
            self._lines, self._at, self._unended = self._lines + 1, self._at + len(text), not ended
            if found == [None]:
                self._damaged.append((self._lines, "it is not as it was written"))
                found = _rescued(text)
            elif not self._understood(found[0]):
                self._damaged.append((self._lines, "it is of another version"))
            lines += [line for line in found if self._understood(line)]
        return lines

    def _understood(self, line: dict) -> bool:
        if not isinstance(line.get("key"), str) or len({"changes", "undo", "redo"} & set(line)) != 1:
            return False
        changes = line.get("changes", [])
        return isinstance(changes, list) and all(isinstance(c, dict) and self.knows(c) for c in changes)

    def _append(self, handle: int) -> None:
        size = os.fstat(handle).st_size
        # what a crash cut off is ended first, or this line would be lost with it
        ended = not size or not (self._torn or self._unended)
        data = b"\n" * (not ended) + b"".join(disk.sealed(line) for line in self.waiting)
        try:
            disk.write_all(handle, data)
            os.fsync(handle)
            if not size:
                disk.sync(self.path.parent)
        except OSError:
            with suppress(OSError):  # half a line, or one that may never reach the disk: it is written again
                os.ftruncate(handle, size)
            raise
        self._damaged, self._lines = self.damaged, self._lines + self._torn + len(self.waiting)
        self._torn = self._unended = False
        self._at = self._size = size + len(data)
        self._written, self.waiting = self._written + self.waiting, []


def _rescued(text: bytes) -> list[dict]:
    """What is whole in a damaged line: where the damage is to its end, the next line has run into it."""
    parts = re.split(rb'(?={"": ")', text)
    found = [disk.unsealed(part) or disk.unsealed(part[:-1] + b"\n") for part in parts]
    return [line for line in found if line is not None]


@contextmanager
def _held(path: Path, how: int) -> Iterator[int]:
    """An open file that no other kernel writes to meanwhile."""
    handle = os.open(path, how, 0o600)
    try:
        with suppress(ImportError, OSError):  # Windows, and disks without locks: there a line is one write
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_SH if how == os.O_RDONLY else fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
