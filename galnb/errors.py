"""Everything that can go wrong, as a tree, and the one way to ask for an optional package.

    GalnbError
    ├── BadInput          a file, row or array that cannot be used; the rest can
    │   └── BadWeights    weights that are not what their card says
    ├── BandMismatch      images and model do not share their bands
    ├── CannotDo          the model lacks the ability that was asked for
    ├── CannotWrite       a full disk, a folder that may not be written to, or a disk that is gone
    ├── MissingPackage    an optional package is not installed
    ├── OutOfMemory       there is not enough of it for what was asked
    └── WorkerDied        the process that worked on a task ended without a word

Every message has three parts: what came, what was wanted, what to do.
"""

from __future__ import annotations

import copyreg
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

LONGEST = 1000  # characters of a path, and of a reason; no path that a system takes whole is cut in its name


class GalnbError(Exception):
    """The root: `except GalnbError` catches whatever galnb raises on purpose."""

    def __reduce__(self):  # whole out of another process, though its constructor wants other arguments
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__


class BadInput(GalnbError, ValueError):
    """An input that cannot be used.

    Attributes
    ----------
    where : str
        The path, with HDU or row where there is one.
    reason : str
        What came and what was wanted. Both are one line: what cannot be printed is escaped as in a Python
        string, and a library's long words are cut.
    """

    def __init__(self, where: object, reason: str):
        self.where, self.reason = one_line(where), one_line(reason)
        super().__init__(f"{self.where}: {self.reason}")


def one_line(words: object) -> str:
    """Text that a file's name or a library's error cannot break a log, a table or a terminal with.

    >>> one_line("a\\nb")
    'a\\\\nb'
    """
    text = str(words)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 100]} … {text[-90:]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class BadWeights(BadInput):
    """Weights or a card that are damaged, or do not belong together."""


class BandMismatch(GalnbError, ValueError):
    """Images have other bands than a model (or a selection) wants.

    Attributes
    ----------
    have, want : tuple of str
    """

    def __init__(self, have: tuple[str, ...], want: tuple[str, ...], todo: str):
        have, want = tuple(have), tuple(want)
        super().__init__(
            f"the images have {len(have)} bands ({', '.join(have)}), "
            f"wanted are {len(want)} ({', '.join(want)}); {todo}"
        )
        self.have, self.want = have, want


class CannotDo(GalnbError, TypeError):
    """A model was asked for something that it does not define."""


class CannotWrite(GalnbError, OSError):
    """A full disk, a folder that is read-only, or a disk that is gone."""


class MissingPackage(GalnbError, ImportError):
    """An optional package is not installed; the message has the install line."""


class OutOfMemory(MemoryError, GalnbError):  # in this order `__new__` is that of its memory, too
    """There is not enough memory for what was asked."""


class WorkerDied(GalnbError):
    """The process that worked on a task ended without a word."""

    @classmethod
    def with_code(cls, code: int | None) -> WorkerDied:
        """What an exit code tells, and a signal that is known to."""
        means = {
            -9: " (killed, as systems do whose memory is full: take fewer workers, or a smaller batch)",
            -7: " (a file that it had mapped became shorter, or its disk is gone: bring it back)",
        }
        return cls(f"its worker ended with exit code {code}{means.get(code, '')}")


@contextmanager
def enough_memory(doing: str, todo: str) -> Iterator[None]:
    """Say in one line what to do where memory ends: numpy, Arrow and torch each raise their own.

    >>> with enough_memory("encoding", "take a smaller batch"):
    ...     bytearray(1 << 62)
    Traceback (most recent call last):
    galnb.errors.OutOfMemory: encoding: there is not enough memory (MemoryError): take a smaller batch
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words, kind = str(error), type(error).__name__
        if isinstance(error, GalnbError):
            raise
        # torch has a type for the memory of a GPU alone
        if (
            not isinstance(error, MemoryError)
            and kind != "OutOfMemoryError"
            and "allocate memory" not in words
        ):
            raise
        came = one_line(f"{kind}: {words}" if words else kind)
        raise OutOfMemory(f"{doing}: there is not enough memory ({came}): {todo}") from error


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say which extra of galnb brings it.

    >>> need("json", extra="sim").loads("[1]")
    [1]
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackage(
            f"{module!r} is not installed and this needs it: pip install 'galnb[{extra}]'"
        ) from error


def one_of(name: str, value: object, options) -> None:
    """Refuse a misspelt option, and name the nearest right one."""
    import difflib

    options = list(options)
    if value in options:
        return
    near = difflib.get_close_matches(str(value), [str(option) for option in options], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, options))}{hint}")
