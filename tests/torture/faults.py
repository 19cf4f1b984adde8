"""Disks that are full, read-only or gone, memory that ends: a clear error, nothing lost, and on it goes.

Each work (see `works`) is struck in a process of its own. What it raised must be one line that says what to
do; what was there before must still be there; and once the disturbance is over, the same call must end with
the bytes of a run that nothing disturbed. Everything runs below `python -m tests.torture.faults`, in a mount
namespace of its own, which needs no rights; where a system allows none, small and read-only disks are left
out, and their rows say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .strikes import STRIKES, Strike
from .workers import Row, in_a_child
from .works import WORKS, Work

KINDS = {
    f"{strike}: {work}": (STRIKES[strike], WORKS[work])
    for strike in STRIKES
    for work in STRIKES[strike].works or WORKS
}
COUNTS = {kind: 2 * len(strike.levels) for kind, (strike, _) in KINDS.items()}  # with and without a beginning


def tortured(chosen) -> Iterator[Row]:
    """A row a kind: every level of each strike, on an empty folder and on one that was begun."""
    yield from in_a_child("faults", COUNTS, chosen, namespace())


def namespace() -> list[str]:
    """What gives a command mounts of its own, as root or as anybody; nothing where the system does not."""
    for options in (["-m"], ["-rm"]):
        command = ["unshare", *options]
        mounts = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tempfile.gettempdir()]
        if (
            shutil.which("unshare")
            and not subprocess.run([*command, *mounts], capture_output=True).returncode
        ):
            return command
    return []


def struck(kind: str, place: Path, numbers: list[int], whole: dict) -> Row:
    """Strike a work at some of the levels; in a folder each."""
    row, (strike, work), begun = Row(kind), KINDS[kind], time.monotonic()
    for number in numbers:
        level, began = strike.levels[number // 2], number % 2 == 1
        folder = place / str(number)
        folder.mkdir()
        try:
            _one(row, strike, work, folder, level, began, whole)
        except Exception as error:  # what went wrong with this case is its fault, and not the next one's
            at = traceback.extract_tb(error.__traceback__)[-1]
            row.faults.append(
                f"{kind} {number}: {type(error).__name__} at {Path(at.filename).name}:{at.lineno}: {error}"
            )
        finally:
            strike.clear(folder)
    row.seconds = time.monotonic() - begun
    return row


def _one(row: Row, strike: Strike, work: Work, folder: Path, level, began: bool, whole: dict) -> None:
    strike.prepare(folder)
    if began:
        work.begin(folder)
    strike.tighten(folder, level)
    told = forked_and_told(lambda: strike.strike(folder, level), lambda: work.finish(folder))
    strike.heal(folder)
    row.tried += 1
    what = f"{row.kind}, level {level}, {'begun' if began else 'anew'}"
    if told["outcome"] == "error":
        row.by[told["type"]] += 1
        row.refused += 1
        if problem := strike.unclear(told, folder):
            row.faults.append(f"{what}: {problem}: {told['type']}: {told['words'][:300]}")
        if not strike.gone and (left := [path.name for path in folder.rglob(".*.tmp")]):
            row.faults.append(f"{what}: left over: {', '.join(left)}")
        if began and (lost := work.harmed(folder)):
            row.faults.append(f"{what}: lost: {lost}")
    elif told["outcome"] == "death":
        row.deaths += 1
        row.faults.append(f"{what}: it died: {told['words']}")
    else:
        row.clean += 1
    again = forked_and_told(lambda: None, lambda: work.finish(folder))
    if again["outcome"] != "clean":
        row.faults.append(f"{what}: it does not go on: {again}")
    elif (found := work.results(folder)) != whole:
        row.faults.append(f"{what}: other bytes in the end: {sorted(found.items() ^ whole.items())[:3]}")


def forked_and_told(strike, work) -> dict:
    """What became of `work` in a child process that was struck before: clean, error or death."""
    from galnb.errors import GalnbError

    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        told = {"outcome": "clean"}
        try:
            strike()
            work()
        except BaseException as error:
            kind = "GalnbError" if isinstance(error, GalnbError) else "other"
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "torture" not in f.filename][
                -2:
            ]
            at = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
            told = {
                "outcome": "error",
                "kind": kind,
                "type": type(error).__name__,
                "words": str(error),
                "at": at,
            }
        finally:
            os.write(theirs, json.dumps(told).encode()[:60_000])
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as file:
        data = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(data) if data else {"outcome": "death", "words": f"exit {code}"}


def undisturbed(work: Work, folder: Path) -> dict:
    folder.mkdir()
    work.finish(folder)
    return work.results(folder)


if __name__ == "__main__":
    share, seed, wanted = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    whole = {}
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        Path(place).chmod(0o755)
        for at, (kind, (strike, work)) in enumerate(KINDS.items()):
            if wanted not in kind:
                continue
            name, rng = kind.partition(": ")[2], np.random.default_rng([seed, at])
            if name not in whole:
                whole[name] = undisturbed(work, Path(place, f"whole-{name}"))
            numbers = rng.permutation(COUNTS[kind])[: max(1, round(share * COUNTS[kind]))].tolist()
            if strike.works_here(Path(place)):
                Path(place, str(at)).mkdir(mode=0o755)
                row = struck(kind, Path(place, str(at)), sorted(numbers), whole[name])
            else:
                row = Row(kind, seconds=1, by={"left out: no mount is allowed here": 1})
            print(json.dumps(vars(row)), flush=True)
