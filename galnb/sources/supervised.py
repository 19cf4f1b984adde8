"""Reading in a supervised child process: what kills a library kills the child, and nothing else.

A child is a module that calls `serve`: it answers each path on its standard input with one JSON line,
followed by bytes. It has a limit of memory and, for each file, of time, and may neither use the network nor
start a program, write a file or rebuild objects, whatever a file asks of a library.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import BadInput
from ..limits import regular

SECONDS, MEGABYTES = 60.0, 4096  # a file's time, the child's memory
# seconds of processor time for any file, and for each megabyte of it: damage can make a loop very long
PATIENCE, PATIENCE_A_MEGABYTE = 1.5, 0.5
CRASHES = {-signal.SIGABRT, -signal.SIGSEGV}
FORBIDDEN = (
    "socket.", "urllib.", "webbrowser.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn",
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.",
)  # fmt: skip
REBUILDS = ".find_class"  # what Python asks before a pickled object is made
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Child:
    """A process that reads files, started on first use and again after it died.

    Parameters
    ----------
    module : str
        What it runs: a module that calls `serve`.
    """

    def __init__(self, module: str):
        self._module, self._child, self._lock = module, None, threading.Lock()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Leave the child to the parent process, after a fork."""
        self._child, self._lock = None, threading.Lock()

    def ask(self, path: Path, *wanted: str | None, what: str) -> tuple[dict, bytearray]:
        """What the child answers: a dict, and as many bytes as its entry "bytes" says.

        Raises BadInput, as the child does, or where the path made it end; `what` names what it should be.
        """
        regular(path)
        with self._lock:
            worn = self._child is not None and self._child.poll() is None
            found, code = self._asked(path, wanted)
            if found is None and worn and code in CRASHES:  # an earlier file may have broken it, and not this
                found, _ = self._asked(path, wanted)
        if found is None:
            limits = f"over {PATIENCE:g} s for a small one, or {MEGABYTES} MB"
            raise BadInput(path, f"reading it ended the reader (damaged, or {limits}); wanted a {what}")
        if "error" in found[0]:
            raise BadInput(found[0]["where"], found[0]["error"])
        return found

    def _asked(self, path: Path, wanted: tuple[str | None, ...]) -> tuple[tuple[dict, bytearray] | None, int]:
        """The child's answer, and 0; or None, and with what code it ended instead."""
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", self._module]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child = self._child
        timer = threading.Timer(SECONDS, child.kill)
        timer.start()
        try:
            child.stdin.write(json.dumps([str(path.absolute()), *wanted]).encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline() or "null")
            if answer is None:
                raise EOFError
            data = bytearray(answer.get("bytes", 0))
            if child.stdout.readinto(data) != len(data):
                raise EOFError
            return (answer, data), 0
        except (EOFError, OSError):
            self.close()
            return None, child.returncode
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


Answer = tuple[dict, bytes | memoryview]


def serve(read: Callable[..., Answer], warm_up: Callable[[], object]) -> None:
    """Be the child: answer with what `read(path, *wanted)` returns, until standard input ends.

    `warm_up` imports what would else count as the first file's time.
    """
    import warnings

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    with suppress(ImportError, ValueError, OSError):  # no such limit on this system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES * 2**20,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # of what is damaged the answer says enough
    warm_up()
    sys.addaudithook(_refuse)
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints must not stand between the bytes
    for line in sys.stdin:
        name, *wanted = json.loads(line)
        path = Path(name)
        with suppress(OSError):  # it is gone: reading it says so
            _patience(PATIENCE + PATIENCE_A_MEGABYTE * path.stat().st_size / 2**20)
        answer, data = _answer(read, path, wanted)
        _patience(0)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.write(data)
        answers.flush()


def _answer(read: Callable[..., Answer], path: Path, wanted: list[str | None]) -> Answer:
    try:
        return read(path, *wanted)
    except BadInput as error:
        return {"where": error.where, "error": error.reason}, b""
    except MemoryError:
        return {"where": str(path), "error": f"it wants more than {MEGABYTES} MB"}, b""


def _patience(seconds: float) -> None:
    """End this process after so much processor time, whichever loop it is in; 0 takes it back."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _refuse(event: str, arguments: tuple) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if writes or event.startswith(FORBIDDEN) or event.endswith(REBUILDS):
        raise PermissionError(f"a file asked for {event}, which reading does not need")
