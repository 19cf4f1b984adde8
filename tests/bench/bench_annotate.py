"""Scores streamed into a catalogue: `python -m tests.bench.bench_annotate [rows]`.

Mock surveys of 50 latents a galaxy; a standard and an extended forest, fitted to each, are scored in one call
of `annotate`, in a process of its own. Its memory is the peak beyond what the process had before the call,
with all imports and compiled code. Partitions of all surveys but the smallest are equally large, so that
memory which hangs on the number of rows would show. Then a run is killed (-9) when half of the partitions are
in the journal, and run again: how many rows were scored again, and whether all files are the same bytes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from galnb.annotate import PROBE, annotate
from galnb.catalogue import Catalogue
from galnb.forest import IsolationForest
from galnb.mock import mock
from tests.toys import tree

from .bench_map import memory

ROWS = 1_000_000
EXTENSIONS = {"forest": 0, "extended": "full"}


def made(folder: Path, rows: int) -> Path:
    """A mock survey, and its forests beside it."""
    survey = mock(rows, folder / f"{rows}.hats")
    for name, extension in EXTENSIONS.items():
        IsolationForest(extension=extension).fit(survey).save(folder / f"{rows}-{name}.safetensors")
    return survey.path


def child(path: Path, out: Path) -> None:
    """Score a survey; prints seconds, the peak of memory in MB and the rows that were scored."""
    forests = {
        name: IsolationForest.load(path.with_name(f"{path.stem}-{name}.safetensors")) for name in EXTENSIONS
    }
    for forest in forests.values():
        forest.score(np.zeros((5000, forest.n_features), dtype=np.float32))
    survey, scored = Catalogue(path), [-PROBE]

    def counted(z):
        scored.append(len(z))
        return forests["forest"].score(z)

    survey.z[:1]
    before, begun = memory()["peak"], time.perf_counter()
    annotate(survey, out, {"forest": counted, "extended": forests["extended"].score})
    print(time.perf_counter() - begun, memory()["peak"] - before, sum(scored))


def start(path: Path, out: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", __spec__.name, "child", str(path), str(out)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def scored(path: Path, out: Path) -> tuple[float, float, int]:
    told, _ = start(path, out).communicate()
    seconds, most, rows = told.split()
    return float(seconds), float(most), int(rows)


def killed(path: Path, out: Path) -> int:
    """How many rows a run had committed when it was killed, at the middle of its partitions."""
    sizes, journal, run = np.diff(Catalogue(path).partitions.starts), out / "journal.jsonl", start(path, out)
    half = len(sizes) // 2
    while run.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 1 + half):
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    done = journal.read_bytes().count(b"\n") - 1
    return int(sizes[:done].sum())


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        return child(*map(Path, sys.argv[2:]))
    rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS
    print("| rows | partitions | seconds | rows/s | memory above the baseline, MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for n in (rows // 10, rows, 4 * rows):
            path, out = made(Path(folder), n), Path(folder, "whole", f"{n}.hats")
            seconds, most, _ = scored(path, out)
            parts = len(Catalogue(path).partitions.pixels)
            print(f"| {n:,} | {parts} | {seconds:.1f} | {n / seconds:,.0f} | {most:.0f} |", flush=True)
        path, out = Path(folder, f"{rows}.hats"), Path(folder, "killed", f"{rows}.hats")
        done = killed(path, out)
        seconds, _, again = scored(path, out)
        same = tree(out) == tree(Path(folder, "whole", f"{rows}.hats"))
    print(f"\nkilled when {done:,} of {rows:,} rows were committed; resumed in {seconds:.1f} s: ", end="")
    print(f"{again:,} rows scored, {done + again - rows:,} of them once more than needed; ", end="")
    print(f"files {'byte-identical' if same else 'DIFFERENT'} to the uninterrupted run's")


if __name__ == "__main__":
    main()
