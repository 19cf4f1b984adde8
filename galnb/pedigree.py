"""What a figure was made of: the weights, data and sessions behind the objects in it; and sessions again."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
from astropy.table import Table

from . import record
from .catalogue import Catalogue
from .densities.base import Density
from .errors import BadInput
from .images import Images
from .latents import Latents
from .models.base import Model
from .provenance import array_hash, sha256
from .session import COMMANDS, Session
from .sources.base import Source
from .spans import Bits
from .weights import made_of

LISTED = 1000  # selected ids up to this number are listed by name; commands restore any number


def pedigree(*objects) -> dict[str, list[dict]]:
    """Weights, data and sessions as plain JSON values, each once, in the order in which they are met.

    Objects are Sessions, panels (their session and model), Latents, Catalogues, Images, Sources, models,
    densities, Comparisons, tables, arrays, and paths of files. Latents tell the weights that made them.

    Examples
    --------
    >>> told = pedigree(Latents(np.arange(3), np.eye(3)))
    >>> told["data"][0]["kind"], told["data"][0]["n"], told["weights"]
    ('Latents', 3, [])
    """
    found = {"weights": [], "data": [], "sessions": []}
    for thing in objects:
        _tell(thing, found)
    return {name: [e for k, e in enumerate(all_) if e not in all_[:k]] for name, all_ in found.items()}


def restored(entry: dict, latents) -> Session:
    """The session that an entry of ``provenance["sessions"]`` tells of: its plane, view, color and selection.

    Raises BadInput where these are other latents.
    """
    with tempfile.TemporaryDirectory() as folder:
        return Session.load(_written(entry, len(latents), folder), latents)


def redo(entry: dict, session: Session) -> None:
    """Bring a session that is there already to where an entry says, and undo what it had come to."""
    with tempfile.TemporaryDirectory() as folder:
        n = len(session.latents)
        document = record.load(_written(entry, n, folder), n)
    while session.can_undo:
        session.undo()
    for command in document["log"]:
        if command["do"] not in COMMANDS:
            raise BadInput("session", f"its command {command['do']!r} is none of {', '.join(COMMANDS)}")
        getattr(session, command["do"])(**{k: v for k, v in command.items() if k != "do"})
    for _, view in document["views"]:
        session.set_view(view)


def _written(entry: dict, n: int, folder: str) -> Path:
    """The session's file again; BadInput where its selections are not of n galaxies.

    Checked before it is unpacked: a few bytes may claim to be the selection of very many.
    """
    try:
        for command in entry["record"]["log"]:
            rows = command.get("rows", {})
            if "bits" in rows:
                unpacking, size = zlib.decompressobj(), len(Bits(n).packed)
                unpacked = unpacking.decompress(base64.b64decode(rows["bits"]), size + 1)
                good = rows["of"] == n and unpacking.eof and len(unpacked) == size
            else:
                good = all(0 <= row < n for row in rows.get("rows", ()))
            if not good:
                raise ValueError(f"a selection is not of {n:,} galaxies")
    except (AttributeError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise BadInput(
            "session", f"not readable ({error!r}), wanted what galnb.figures.save wrote"
        ) from error
    path = Path(folder, "session.json")
    path.write_text(json.dumps(entry["record"]))
    return path


def _tell(thing, found: dict[str, list[dict]]) -> None:
    from .comparison import Comparison

    if isinstance(thing, Session):
        found["sessions"].append(_session(thing))
        _tell(thing.latents, found)
    elif isinstance(thing, Latents | Catalogue):
        columns = {} if isinstance(thing, Catalogue) else {"columns_sha256": _columns(thing.table)}
        _data(found, thing, thing.hash(), n=len(thing), **columns)
        if made := thing.meta.get("weights"):
            found["weights"].append({"model": thing.meta.get("model"), **made})
    elif isinstance(thing, Model | Density):
        found["weights"].append({"model": type(thing).__name__, **made_of(thing)})
    elif isinstance(thing, Comparison):
        _data(found, thing, _columns(thing.table), sets=list(thing.sets), held=thing.held)
        for part in (*thing.sets.values(), thing.model, thing.background):
            if part is not None:
                _tell(part, found)
    elif isinstance(thing, Images):
        ids = np.array(thing.id.tolist())
        _data(found, thing, array_hash(ids, thing.pixels), n=len(thing), bands=list(thing.bands))
    elif isinstance(thing, Source):
        _data(found, thing, thing.fingerprint(), n=len(thing))
    elif isinstance(thing, Table):
        _data(found, thing, _columns(thing), n=len(thing))
    elif isinstance(thing, np.ndarray):
        _data(found, thing, array_hash(thing), shape=list(thing.shape))
    elif isinstance(thing, str | Path):
        _data(found, thing, sha256(Path(thing)), name=Path(thing).name)
    elif isinstance(getattr(thing, "session", None), Session):
        _tell(thing.session, found)
        if isinstance(model := getattr(thing, "model", None), Model):
            _tell(model, found)
    else:
        wanted = (
            "a Session, panel, Latents, Catalogue, Images, Source, model, Comparison, table, array or path"
        )
        raise TypeError(f"of= has a {type(thing).__name__}, wanted {wanted}")


def _data(found: dict[str, list[dict]], thing, digest: str, **more) -> None:
    kind = "file" if isinstance(thing, str | Path) else type(thing).__name__
    found["data"].append({"kind": kind, "sha256": digest, **more})


def _columns(table: Table) -> str:
    """Hex digest of a table, the same however wide its strings are kept and in whichever byte order."""
    parts = []
    for name in table.colnames:
        values = np.asarray(np.ma.filled(table[name], np.nan if table[name].dtype.kind == "f" else None))
        if values.dtype.kind in "OSU":
            values = np.array([str(value) for value in values.tolist()])
        parts += [np.array(name), values.astype(values.dtype.newbyteorder("="))]
    return array_hash(*parts)


def _session(session: Session) -> dict:
    with session.lock, tempfile.TemporaryDirectory() as folder:
        document = json.loads(session.save(Path(folder, "session.json")).read_text())
        plane, view, chosen = session.plane, list(session.view), session.chosen
        plane = plane if isinstance(plane, str) else list(plane)
        document |= {"undone": [], "views": [[plane, view]]}
        digest = hashlib.sha256()
        for rows in chosen.pages():
            digest.update(rows.astype("<i8").tobytes())
        entry = {
            "latents": document["latents"], "seed": session.seed, "plane": plane, "axes": list(session.axes),
            "color": session.color, "view": view, "picked": session.picked, "record": document,
            "n_selected": len(chosen), "rows_sha256": digest.hexdigest(),
        }  # fmt: skip
        return entry | ({"selected": list(session.selection)} if len(chosen) <= LISTED else {})
