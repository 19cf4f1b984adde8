"""`Votes`: what a person thinks of galaxies, on disk before the call returns, with undo, redo and export."""

from __future__ import annotations

import csv
import getpass
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy.table import Table

from .arrow import from_arrow
from .errors import BadInput, one_of
from .export import KINDS, export
from .limits import regular
from .steps import Steps

CHOICES = ("interesting", "ordinary", "artefact")
COLUMNS = ("id", "vote", "note", "user", "time")


def votes_path(of: str, user: str) -> Path:
    """Where a person's votes on a catalogue lie: in GALNB_VOTES, or in the person's own data folder."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    folder = Path(os.environ.get("GALNB_VOTES") or Path(home, "galnb", "votes")).expanduser()
    return folder / f"{_file_name(of)}-{_file_name(user)}.jsonl"


def this_user() -> str:
    """Who sits here: the name on the hub, or of the account."""
    with suppress(OSError, KeyError, ImportError):  # a container may run under a number without a name
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    return "someone"


class Votes:
    """A person's votes on galaxies, each on the disk before `vote` returns.

    The file is a journal: every vote, undo and redo is a line with a checksum, appended under a lock and
    synced. Whatever happens, a vote whose call returned is there when the file is opened again, and so are
    the steps that can be undone. Kernels that have the same file open see each other's votes and lose none.

    Parameters
    ----------
    path : str or Path, optional
        The journal; by default `<of>-<user>.jsonl` in the folder GALNB_VOTES, or galnb/votes in the user's
        own data folder (XDG_DATA_HOME, ~/.local/share), never beside the data.
    of : str
        Which catalogue the ids belong to: a short name or a hash, such as `latents.hash()[:16]`.
    user : str, optional
        Who votes; the name on the hub or of the account where not given.

    Attributes
    ----------
    path : Path
    user : str

    Raises
    ------
    BadInput
        If the file is there and cannot be read.

    Notes
    -----
    Ids are int or str, and stay what they are: 12 and "12" are two galaxies. (Only spaces around an id are
    lost in an export, as CSV and VOTable lose them.) A note is one line of text:
    what cannot be printed becomes a space. If the disk is full or the folder read-only, a change raises
    CannotWrite, counts nevertheless in memory, and is written before the next one that can be. A file that
    is deleted while it is open is written anew in the same way.

    Examples
    --------
    >>> import tempfile
    >>> votes = Votes(tempfile.mkdtemp() + "/votes.jsonl", user="vera")
    >>> votes.vote(7, "interesting", note="two nuclei")
    >>> votes.vote(9, "artefact")
    >>> votes.undo(), votes[7], votes.counts()
    (9, 'interesting', {'interesting': 1, 'ordinary': 0, 'artefact': 0})
    >>> Votes(votes.path).redo()
    9
    """

    def __init__(self, path: str | Path | None = None, *, of: str = "galaxies", user: str | None = None):
        self.user = str(user) if user is not None else this_user()
        self.path = Path(path).expanduser() if path is not None else votes_path(str(of), self.user)
        self._steps = Steps(self.path, knows=_knows)
        self.lock = self._steps.lock

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {choice}" for choice, number in self.counts().items())
        return f"<Votes of {self.user}: {counts}>"

    # what was voted

    def __len__(self) -> int:
        return len(self._votes())

    def __iter__(self) -> Iterator[int | str]:
        return iter([vote["id"] for vote in self._votes()])

    def __contains__(self, id) -> bool:
        return self.get(id) is not None

    def __getitem__(self, id) -> str:
        choice = self.get(id)
        if choice is None:
            raise KeyError(f"no vote on {id!r}")
        return choice

    def get(self, id, default: str | None = None) -> str | None:
        """The vote on a galaxy, or the default where there is none."""
        self.refresh()
        with self.lock:
            return (self._steps.now(_plain(id)) or {}).get("vote") or default

    def note(self, id) -> str:
        """The note that was left with the vote on a galaxy; empty where there is none."""
        self.refresh()
        with self.lock:
            return (self._steps.now(_plain(id)) or {}).get("note") or ""

    def of_kind(self, choice: str) -> tuple:
        """Ids of the galaxies with a vote of this kind, the oldest vote first."""
        one_of("choice", choice, CHOICES)
        return tuple(vote["id"] for vote in self._votes() if vote["vote"] == choice)

    def counts(self) -> dict[str, int]:
        """How many votes there are of each kind."""
        kinds = [vote["vote"] for vote in self._votes()]
        return {choice: kinds.count(choice) for choice in CHOICES}

    def by_row(self, ids) -> dict[int, str]:
        """The votes on a catalogue's galaxies, by row, of its ids (n,); what `ranking.rank` wants."""
        ids = np.asarray(ids)
        kind = int if ids.dtype.kind in "iu" else str
        mine = {vote["id"]: vote["vote"] for vote in self._votes() if isinstance(vote["id"], kind)}
        rows = np.flatnonzero(np.isin(ids, list(mine))) if mine else ()
        return {int(row): mine[ids[row].item()] for row in rows}

    @property
    def table(self) -> Table:
        """The votes that count, the oldest first: id, vote, note, user, and time (ISO 8601, UTC)."""
        found = self._votes()
        table = Table({"id": _column([vote["id"] for vote in found])})
        for name in COLUMNS[1:]:
            table[name] = np.array([vote[name] for vote in found], dtype=str)
        return table

    @property
    def damaged(self) -> list[tuple[int, str]]:
        """Lines of the file, counted from 1, that are lost, and what is wrong; all other lines count."""
        return self._steps.damaged

    @property
    def waiting(self) -> int:
        """How many changes could not be written yet."""
        return len(self._steps.waiting)

    @property
    def can_undo(self) -> bool:
        return bool(self._steps.done)

    @property
    def can_redo(self) -> bool:
        return bool(self._steps.undone)

    # voting

    def vote(self, id, choice: str, *, note: str = "") -> None:
        """Vote "interesting", "ordinary" or "artefact" on a galaxy; a new vote replaces the old.

        The same vote with the same note again changes nothing. Raises ValueError for another choice,
        TypeError for an id that is neither int nor str, CannotWrite if the disk is full or read-only.
        """
        one_of("choice", choice, CHOICES)
        self._set(_plain(id), choice, _line(note))

    def clear(self, id) -> None:
        """Take the vote on a galaxy away; nothing happens where there is none."""
        self._set(_plain(id), None, "")

    def undo(self) -> int | str | None:
        """Take the last change back: the id of its galaxy (the first of a merge), None if there is none."""
        return self._step("undo", "done")

    def redo(self) -> int | str | None:
        """Do again what `undo` took back: the id of its galaxy, or None if there is nothing."""
        return self._step("redo", "undone")

    def merge(self, source: str | Path | Table, *, ids: type | None = None) -> int:
        """Take over votes that `save` wrote, or a table of them; how many of them count now.

        Of two votes on a galaxy the newer one counts, and a vote does not come back that was cleared after
        it. All of it is one step for `undo`.

        Parameters
        ----------
        source : path of a .csv, .vot or .parquet, or astropy Table
            With columns id, vote, time (ISO 8601; UTC where it names no zone), and perhaps note, user.
        ids : int or str, optional
            What ids are, for files without the column id_kind that `save` writes; where not given, the
            ids of a .csv are int if all of them read as such (so "0012" makes them str).

        Raises
        ------
        BadInput
            Naming the row (counted from 0) of a vote that cannot be used; none is taken over then.
        """
        given = {}
        for vote in _imported(source, ids):
            if vote["id"] not in given or given[vote["id"]]["time"] < vote["time"]:
                given[vote["id"]] = vote

        def newer():
            before = {id: (self._steps.now(id) or {"time": ""})["time"] for id in given}
            won = [vote for vote in given.values() if vote["time"] > before[vote["id"]]]
            return {"changes": won} if won else None

        line = self._steps.change(newer)
        return len(line["changes"]) if line else 0

    def save(self, path: str | Path) -> Path:
        """Export the votes that count: .csv, .vot (VOTable) or .parquet, as `merge` takes them.

        These are the columns of `table`, and id_kind, "int" or "str", so that "0012" stays what it is.
        """
        table = self.table
        table["id_kind"] = np.array([type(vote["id"]).__name__ for vote in self._votes()], dtype="U3")
        return export(table, path)

    def refresh(self) -> None:
        """Read what other kernels have added; every question and every vote does so by itself."""
        self._steps.refresh()

    def flush(self) -> None:
        """Write what is waiting; CannotWrite if the disk is still full or read-only."""
        self._steps.change(lambda: None)

    def on_change(self, callback: Callable[[tuple], None]) -> Callable[[], None]:
        """Call back after every change with the ids that changed; returns a function that ends it.

        Votes of other kernels are told when they are read. Called without the lock.
        """
        return self._steps.on_change(callback)

    # inside

    def _votes(self) -> list[dict]:
        self.refresh()
        with self.lock:
            return sorted((vote for vote in self._steps.all() if vote["vote"]), key=lambda vote: vote["time"])

    def _set(self, id: int | str, choice: str | None, note: str) -> None:
        def decide():
            before = self._steps.now(id) or {"vote": None, "note": ""}
            if (before["vote"], before["note"]) == (choice, note):
                return None
            return {
                "changes": [dict(id=id, vote=choice, note=note, user=self.user, time=_utc(datetime.now(UTC)))]
            }

        self._steps.change(decide)

    def _step(self, what: str, among: str) -> int | str | None:
        def decide():
            keys = getattr(self._steps, among)
            return {what: keys[-1]} if keys else None

        line = self._steps.change(decide)
        return self._steps.changes[line[what]][0]["id"] if line else None


def _knows(change: dict) -> bool:
    """Whether a vote read from a file is one."""
    texts = all(isinstance(change.get(name), str) for name in ("note", "user", "time"))
    return texts and isinstance(change.get("id"), int | str) and change.get("vote") in (*CHOICES, None)


def _plain(id) -> int | str:
    id = id.item() if isinstance(id, np.generic) else id
    if not isinstance(id, int | str) or isinstance(id, bool):
        raise TypeError(f"id={id!r} is {type(id).__name__}, wanted int or str; give the galaxy's id")
    return str(id) if isinstance(id, str) else id


def _file_name(name: str) -> str:
    """A name that is safe in a path; one that had to be changed gets a hash, so that no two are the same."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-")[:60]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def _utc(time: datetime) -> str:
    """ISO 8601 in UTC, of one width: texts compare as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _column(ids: list[int | str]) -> np.ndarray:
    """Ids as numbers if all are, and fit; else as text."""
    small = all(isinstance(id, int) and -(2**63) <= id < 2**63 for id in ids)
    return np.array(ids, dtype=np.int64) if small and ids else np.array([str(id) for id in ids], dtype=str)


# reading what was exported


def _imported(source: str | Path | Table, kind: type | None) -> list[dict]:
    """The votes of a file or a table, every one of them checked."""
    where = "the table" if isinstance(source, Table) else source
    columns = _columns(source) if isinstance(source, Table) else _read(Path(source))
    missing = [name for name in ("id", "vote", "time") if name not in columns]
    if missing:
        have = ", ".join(columns) or "none"
        raise BadInput(where, f"no column {' or '.join(missing)} among {have}, wanted a file from Votes.save")
    n = len(columns["id"])
    columns = {"note": [""] * n, "user": [""] * n} | columns
    kinds = columns.get("id_kind") or [_kind(columns["id"], kind)] * n
    found = []
    for row in range(n):
        vote = {name: columns[name][row] for name in COLUMNS}
        try:
            found.append(_checked(vote, kinds[row]))
        except (ValueError, TypeError) as error:
            raise BadInput(
                f"{where}, row {row} (id {vote['id']!r})", f"{error}; mend it or leave it out"
            ) from error
    return found


def _checked(vote: dict, kind: str) -> dict:
    one_of("id_kind", kind, ("int", "str"))
    one_of("vote", vote["vote"], CHOICES)
    time = datetime.fromisoformat(str(vote["time"]))
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    id = int(vote["id"]) if kind == "int" else str(vote["id"])
    return {
        "id": id,
        "vote": str(vote["vote"]),
        "note": _line(vote["note"]),
        "user": _line(vote["user"]),
        "time": _utc(time),
    }


def _kind(ids: list, given: type | None) -> str:
    if given is not None:
        return given.__name__
    return "int" if all(re.fullmatch(r"0|-?[1-9]\d*", str(id)) for id in ids) else "str"


def _line(text: object) -> str:
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()


def _columns(table: Table) -> dict[str, list]:
    return {
        name: np.ma.filled(table[name], "" if table[name].dtype.kind in "OUS" else 0).tolist()
        for name in table.colnames
    }


def _read(path: Path) -> dict[str, list]:
    if path.suffix not in KINDS:
        raise BadInput(path, f"wanted a name that ends in {', '.join(KINDS)}; give another")
    regular(path)
    try:
        return {".csv": _csv, ".vot": _votable, ".parquet": _parquet}[path.suffix](path)
    except BadInput:
        raise
    except Exception as error:  # each of the readers has errors of its own kinds
        raise BadInput(path, f"not readable ({error}), wanted a file from Votes.save") from error


def _csv(path: Path) -> dict[str, list]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        names, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    short = [row for row, values in enumerate(rows) if len(values) != len(names)]
    if short:
        raise ValueError(f"row {short[0]} has {len(rows[short[0]])} values for {len(names)} columns")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def _votable(path: Path) -> dict[str, list]:
    from .sources.fits import READER  # a VOTable may ask its reader to fetch what it likes

    return _columns(READER.table(path, format="votable"))


def _parquet(path: Path) -> dict[str, list]:
    from .sources.parquet import read

    table = read(path, "file from Votes.save")
    return _columns(Table({name: from_arrow(table[name]) for name in table.column_names}))
