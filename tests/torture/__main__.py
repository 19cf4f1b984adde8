"""`python -m tests.torture [part ...] [--count N] [--seed S]`: one row of a table a kind of torture."""

from __future__ import annotations

import argparse
import importlib
import re
import sys

PARTS = (
    "files",
    "flips",
    "markup",
    "kernels",
    "restarts",
    "kills",
    "faults",
    "properties",
)  # each a module here with KINDS, name to case, and COUNTS, name to how many


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="part", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--count", type=int, help="so many cases of each part in all, instead of all of them")
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed makes the same damage (default: 0)"
    )
    parser.add_argument("--kind", help="only kinds whose name has this in it")
    parser.add_argument("--one", type=int, help="only the case of this number")
    chosen = parser.parse_args()
    faults = 0
    for name in chosen.parts:
        part = importlib.import_module(f"tests.torture.{name}")
        faults += report(name, part.tortured(chosen))
    return min(faults, 1)


def report(name: str, rows) -> int:
    """Print a part's rows as they come; how many faults there are."""
    print(f"\n{name:24} {'tried':>6} {'clean':>6} {'refused':>7} {'quarant.':>8} {'errors':>6} {'child':>5} "
          f"{'DEATHS':>6} {'max CPU s':>9} {'max MB':>7} {'a second':>8}  found by")  # fmt: skip
    totals, found = [0] * 7, []
    for row in rows:
        errors = len(row.faults) - row.deaths
        counts = [row.tried, row.clean, row.refused, row.quarantined, errors, row.child_deaths, row.deaths]
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        by = ", ".join(f"{what} {n}" for what, n in sorted(row.by.items()) if n)
        _line(row.kind, counts, f"{row.cpu:9.2f} {row.memory:7.0f} {row.tried / row.seconds:8.0f}  {by}")
        found += row.faults
    _line("all", totals, "")
    alike: dict[str, list[str]] = {}
    for fault in found:
        alike.setdefault(re.sub(r"[\d.]+|'[^']*'|case\S*", "", fault)[:110], []).append(fault)
    for same in alike.values():
        print(f"  FAULT x{len(same)}: {same[0][:420]}")
    return len(found)


def _line(name: str, counts: list[int], rest: str) -> None:
    widths = (6, 6, 7, 8, 6, 5, 6)
    cells = " ".join(f"{count:{width}}" for count, width in zip(counts, widths, strict=True))
    print(f"{name:24} {cells} {rest}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
