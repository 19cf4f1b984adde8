"""What a file may become in memory: kilobytes that would unpack to gigabytes are refused before they do."""

from __future__ import annotations

from pathlib import Path

from .errors import BadInput

MOST, TIMES = 1 << 25, 50  # bytes that any file may become; beyond, so many times its own
LARGE, LARGE_TIMES = 1 << 29, 20  # and where that is more than half a gigabyte, no more times than images


def modest(where: object, wanted: int, stored: int) -> None:
    """Raise BadInput if `stored` bytes of a file would become far more: see `most`.

    >>> modest("sky.fits", 10**9, 10**8)
    """
    if wanted > most(stored):
        reason = f"its {stored:,} bytes would become {wanted:,}, wanted at most {most(stored):,}"
        raise BadInput(where, f"{reason}; if it is no bomb, store it without compression")


def most(stored: int) -> int:
    """Bytes that so many bytes of a file may become: 32 MB, or 50 times as many; beyond 512 MB, 20 times.

    Images of galaxies become 2 to 20 times as many bytes as they were compressed to.

    >>> most(10**6), most(10**9)
    (50000000, 20000000000)
    """
    return max(MOST, min(TIMES * stored, LARGE), LARGE_TIMES * stored)


def regular(path: Path) -> int:
    """The size of a file, or of the one that a link leads to; BadInput where it is none.

    A pipe would be waited for without end, a device may have no end.
    """
    try:
        if not path.is_file():
            kinds = {"a folder": path.is_dir(), "a pipe or device": path.exists()}
            kinds |= {"a broken link": path.is_symlink(), "nothing there": True}
            what = next(kind for kind, true in kinds.items() if true)
            raise BadInput(path, f"not readable: it is {what}, wanted a file; remove it, or give another")
        return path.stat().st_size
    except (OSError, ValueError) as error:  # ValueError: a null character in its name
        if isinstance(error, BadInput):
            raise
        raise BadInput(path, f"not readable ({error}), wanted a file") from error
