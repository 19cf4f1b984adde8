"""What can go wrong with a disk and with memory, done for real where a process may do that to itself."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import works

NOBODY = 65_534
nothing: Callable = lambda *given: None  # noqa: E731


@dataclass(frozen=True)
class Strike:
    """A disturbance, at several levels.

    Attributes
    ----------
    says : str
        A pattern that is in every error it leads to.
    levels : tuple
        From soon, or hard, to late or not at all.
    prepare, tighten, heal, clear : function
        Of the folder: before anything is in it; once what was begun is there (and the level); after the
        strike; in the end.
    strike : function
        Of folder and level, in the process that is struck.
    works : tuple of str
        Which; all, where empty.
    mounts : bool
        Whether it needs a disk of its own.
    gone : bool
        Whether the folder is out of reach then: what is unfinished in it cannot be removed.
    """

    says: str
    levels: tuple
    strike: Callable = nothing
    prepare: Callable = nothing
    tighten: Callable = nothing
    heal: Callable = nothing
    clear: Callable = nothing
    works: tuple[str, ...] = ()
    mounts: bool = False
    gone: bool = False

    def works_here(self, folder: Path) -> bool:
        """Whether this system lets it happen."""
        if not self.mounts:
            return True
        here = folder / "may-mount"
        here.mkdir(exist_ok=True)
        may = mounted(here, "size=64k")
        return may and unmounted(here)

    def unclear(self, told: dict, folder: Path) -> str:
        """What is wrong with an error; empty where it is one line that names the place and what to do."""
        words, memory = told["words"], "memory" in self.says
        if told["kind"] != "GalnbError" and not (told["type"] == "UserWarning" and "set aside" in words):
            return f"it is no error of galnb's (at {told['at']})"
        if not words.isprintable() or len(words) > 1500:
            return "it is more than one printable line"
        if not memory and str(folder) not in words:
            return "it does not name the path"
        return "" if re.search(self.says, words) else "it does not say what is wrong, or what to do"


# disks of one's own


def mounted(folder: Path, *options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def unmounted(folder: Path) -> bool:
    return subprocess.run(["umount", "-l", str(folder)], capture_output=True).returncode == 0


def _fill(folder: Path, level: int) -> None:
    """Leave so many pages of 4 kB."""
    disk = os.statvfs(folder)
    used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    assert mounted(folder, f"remount,size={used + level * 4096}")


# folders that may not be written to


def _lock(folder: Path, level=None) -> None:
    for path in [folder, *folder.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o555 if path.is_dir() else 0o444)


def _unlock(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
        path.chmod(0o755 if path.is_dir() else 0o644)


def _as_nobody(folder: Path, level) -> None:
    """Root may write anywhere: go on as somebody else."""
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


# file systems that vanish

ANSWERS = (errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT)
CALLS = ("stat", "lstat", "fsync", "write", "preadv", "ftruncate", "replace", "access")


def _touches(folder: Path, then: Callable[[], None]) -> None:
    """Call `then` before whatever Python asks of a folder or what is in it."""
    root = str(folder)

    def mine(given) -> bool:
        if isinstance(given, int):
            try:
                given = os.readlink(f"/proc/self/fd/{given}")
            except OSError:
                return False
        return isinstance(given, str | os.PathLike) and os.fspath(given).startswith(root)

    def hook(event: str, arguments: tuple) -> None:
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir", "os.truncate"):
            if arguments and mine(arguments[0]):
                then()

    def watched(real: Callable) -> Callable:
        def call(path, *given, **more):
            if mine(path):
                then()
            return real(path, *given, **more)

        return call

    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))
    sys.addaudithook(hook)


def _vanish(folder: Path, level: int) -> None:
    """From a touch on, whatever is asked of the folder is answered as by a network that is gone."""
    touched, number = iter(range(10**9)), ANSWERS[level % len(ANSWERS)]

    def then() -> None:
        if next(touched) >= level:
            raise OSError(number, os.strerror(number))

    _touches(folder, then)


def _moved(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-moved")


def _move(folder: Path, level: int) -> None:
    """At a touch, the folder is somewhere else."""
    touched, real = iter(range(10**9)), os.rename

    def then() -> None:
        if next(touched) == level:
            real(folder, _moved(folder))

    _touches(folder, then)


def _move_back(folder: Path) -> None:
    if _moved(folder).exists():
        shutil.rmtree(folder, ignore_errors=True)  # what was made in its place
        _moved(folder).rename(folder)


# memory


def _starve(folder: Path, level: int) -> None:
    """Half a gigabyte is wanted, and there is no room for it."""
    import numpy as np
    import torch

    status = Path("/proc/self/status").read_text()
    has = int(re.search(r"VmData:\s+(\d+)", status)[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (has + (160 << 20), has + (160 << 20)))
    want = (lambda: torch.ones(1 << 27), lambda: np.ones(1 << 26), lambda: bytearray(1 << 29))[level]
    works.hungry = lambda: want() is None


def _kill_worker(folder: Path, level: int) -> None:
    """What a system does whose memory is full; the worker that reads one galaxy ends so."""
    own = os.getpid()
    works.hungry = lambda: os.getpid() != own and os.kill(os.getpid(), signal.SIGKILL)


MEMORY = ("training", "encoding", "encoding, 2 workers")
ALONE = tuple(name for name in works.WORKS if name != MEMORY[2])
DISK = {
    "prepare": lambda folder: mounted(folder, "size=64m"),
    "clear": unmounted,
    "mounts": True,
}
TOUCHES = (0, 1, 2, 3, 5, 8, 12, 17, 23, 30, 40, 60, 90, 130)

STRIKES = {
    "full disk": Strike(
        "No space left on device; .*free some space", (0, 1, 2, 3, 5, 8, 13, 21, 34), tighten=_fill,
        heal=lambda folder: mounted(folder, "remount,size=64m"), **DISK,
    ),
    "largest file": Strike(
        "File too large; .*(larger files|changes kept in memory)",
        (0, 100, 1_000, 3_000, 9_000, 30_000),
        works=ALONE,  # multiprocessing has files of its own
        strike=lambda folder, most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    ),
    "read-only disk": Strike(
        "Read-only file system; .*(choose a|make it)", (0,),
        tighten=lambda folder, level: mounted(folder, "remount,ro"),
        heal=lambda folder: mounted(folder, "remount,rw"), **DISK,
    ),
    "read-only folder": Strike(
        "Permission denied; .*(choose a|make it)", (0,), tighten=_lock, strike=_as_nobody, heal=_unlock,
    ),
    "vanished": Strike(
        "(Stale file|Input/output|endpoint is not|timed out).*(bring its|give another|wanted a file)",
        TOUCHES, strike=_vanish, gone=True,
    ),
    "moved away": Strike(
        "folder|No such file|nothing there", TOUCHES, strike=_move, heal=_move_back, gone=True
    ),
    "no memory": Strike("not enough memory .*(batch|path)", (0, 1, 2), strike=_starve, works=MEMORY),
    "worker killed": Strike(
        "exit code -9 .*memory is full.*fewer workers", (0,), strike=_kill_worker, works=MEMORY[2:]
    ),
}  # fmt: skip
