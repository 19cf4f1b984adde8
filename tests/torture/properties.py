"""Every property that hypothesis tries, a thousand times: of stretches, codecs, catalogues, sessions.

A run of pytest a family, in a process of its own; the row says how many examples of each property held.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator

from .workers import ROOT, Row

KINDS = {
    "stretches": ("test_stretch.py",),
    "codecs": ("test_weights.py", "test_spans.py"),
    "catalogue round trips": ("test_hats.py", "test_latents.py"),
    "undo and redo": ("test_session.py", "test_votes.py"),
    "selection algebra": ("test_selection.py",),
    "maps": ("test_store.py", "test_stored.py", "test_stream.py"),
    "messages": ("test_widgets.py",),
}
EXAMPLES = 1_000  # of each property
TOLD = re.compile(r"^(tests/\S+?::\S+(?: \S+)*):$")
HELD = re.compile(r"- (\d+) passing(?: examples?)?, (\d+) failing")


def tortured(chosen) -> Iterator[Row]:
    """A row a family, each of its properties with `chosen.count` examples."""
    for kind, files in KINDS.items():
        if not chosen.kind or chosen.kind in kind:
            yield family(kind, files, chosen.count or EXAMPLES, chosen.seed)


def family(kind: str, files: tuple[str, ...], examples: int, seed: int) -> Row:
    row, begun = Row(kind), time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", "-p", "no:cacheprovider", "-rfE"]
    command += [f"--hypothesis-seed={seed}", "--hypothesis-show-statistics", *(f"tests/{f}" for f in files)]
    told = {**os.environ, "GALNB_EXAMPLES": str(examples)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=told)
    name = ""
    for line in done.stdout.splitlines():
        if found := TOLD.match(line):
            name = found[1].removesuffix("::runTest").rpartition("::")[2]  # a state machine has its class's
        elif found := HELD.search(line):
            held, failed = map(int, found.groups())
            row.tried, row.clean = row.tried + held + failed, row.clean + held
            row.by[name] += held
        elif line.startswith(("FAILED", "ERROR")):
            row.faults.append(f"{kind}: {line}")
    if done.returncode and not row.faults:
        row.faults.append(
            f"{kind}: pytest ended with {done.returncode}: {done.stdout[-900:]} {done.stderr[-600:]}"
        )
    row.seconds = time.monotonic() - begun
    return row
