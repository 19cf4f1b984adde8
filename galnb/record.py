"""What a session keeps: its states, for undo, and its commands as a file, with large selections packed."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .disk import write
from .errors import BadInput
from .limits import regular
from .selection import NOTHING, SMALL, Selection
from .spans import Bits


@dataclass(frozen=True, eq=False)
class State:
    """All that undo takes back; arrays in it are never written to."""

    plane: str | tuple[str, str]
    selection: Selection = NOTHING
    polygon: np.ndarray | None = None
    color: str = "count"
    picked: int | None = None
    spot: tuple[float, float] | None = None

    def changed(self, other: State) -> set[str]:
        """Names of the fields that differ, as `on_change` tells them."""
        return {name for name, mine in vars(self).items() if not _same(mine, getattr(other, name))}


def save(path: str | Path, document: dict, n: int) -> Path:
    """Write what a session of a catalogue of n rows told, atomically."""
    text = json.dumps(document, indent=1, default=lambda selection: _packed(selection, n))
    return write(path, text.encode())


def load(path: str | Path, n: int) -> dict:
    """What `save` wrote of a session of n rows; BadInput if it is no such file."""
    regular(Path(path))
    try:
        document = json.loads(Path(path).read_text(), object_hook=lambda entry: _unpacked(entry, n))
        if document["galnb"] != "session":
            raise KeyError("galnb")
        return {name: document[name] for name in ("log", "undone", "views", "latents", "plane", "seed")}
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError, zlib.error) as error:
        raise BadInput(path, f"not readable ({error!r}), wanted a file from Session.save") from error


def _packed(selection: Selection, n: int) -> dict:
    if len(selection) <= SMALL:
        return {"rows": selection.rows.tolist()}
    return {"of": n, "bits": base64.b64encode(zlib.compress(selection.bits(n).packed, 1)).decode()}


def _unpacked(entry: dict, n: int):
    if set(entry) == {"rows"}:
        if not all(type(row) is int and 0 <= row < n for row in entry["rows"]):
            raise ValueError(f"a selection is not of {n:,} rows")
        return Selection.of(entry["rows"])
    if set(entry) == {"of", "bits"}:
        size, unpacking = len(Bits(n).packed), zlib.decompressobj()
        # no further than it may be: a few bytes may claim to be the selection of very many
        data = unpacking.decompress(base64.b64decode(entry["bits"]), size + 1)
        if entry["of"] != n or not unpacking.eof or len(data) != size:
            raise ValueError(f"a selection is not of {n:,} rows")
        return Selection(bits=Bits(n, np.frombuffer(data, dtype=np.uint8)))
    return entry


def _same(a, b) -> bool:
    if isinstance(a, Selection):
        return a.same(b)
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else type(a) is type(b) and a == b
