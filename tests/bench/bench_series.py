"""How long the notebooks run, one after the other, from top to bottom with their exercises solved.

Each in a kernel of its own, with a cache that the first one fills, as on a student's machine; offline.
Writes the column "runs in" of docs/workshop.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.running import NOTEBOOKS, executed, solved, verdicts
from tests.tables import ROOT, WORKSHOP, between, series_table, taken, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("only", nargs="*", help='numbers of notebooks: "00"; all where none is given')
    chosen = parser.parse_args().only
    took, whole = taken(between(WORKSHOP.read_text(), "series")), 0.0
    print("| notebook | seconds | exercises right |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for path in NOTEBOOKS:
            if chosen and path.stem[:2] not in chosen:
                continue
            start = time.perf_counter()
            said = verdicts(executed(solved(path, woven=False), Path(folder)))
            seconds = time.perf_counter() - start
            whole += seconds
            took[path.stem[:2]] = f"{seconds:.0f} s"
            right = sum("✓ right" in verdict for verdict in said)
            print(f"| {path.stem} | {seconds:.0f} | {right} of {len(said)} |", flush=True)
    print(f"| together | {whole:.0f} | |")
    write(WORKSHOP, {"series": series_table(ROOT / "notebooks", took)})


if __name__ == "__main__":
    main()
