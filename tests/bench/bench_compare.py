"""Does a network of SDSS galaxies know simulated ones: `python -m tests.bench.bench_compare [folder]`.

Held-out SDSS galaxies against the same made again in the way of the other sets (the control), against SDSS
galaxies of other pictures (the second control), Illustris mocks, and GalSim galaxies on each rung of the
realism ladder. Of each statistic: medians, spread, and AUROC, as they are, matched and regressed; and against
the second control, whose pictures went the way of the mocks. Then the same of the mean of the bands, and with
stirred galaxies as background.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from galnb import compare
from galnb.errors import BadInput
from galnb.sky import sky_only
from recipes import likelihoods_sdss as numbers

HELD = {"size, flux and sky noise": ("half_light_radius", "flux", "sky_noise"), "size": "half_light_radius"}


def grain(sets: dict) -> None:
    """Scatter of the sky in levels of 8 bits: of the mean of the bands, and of what they differ by."""
    print("\n| sky | mean of bands | i - r | r - g |\n| --- | --- | --- | --- |")
    for name, images in sets.items():
        i, r, g = np.moveaxis(255 * sky_only(images).pixels, 1, 0)
        parts = ((i + r + g) / 3, i - r, r - g)
        cells = [f"{np.median(np.nanstd(part, axis=(1, 2))):.2f}" for part in parts]
        print(f"| {name} | {' | '.join(cells)} |")


def spread(comparison) -> None:
    names = [name for name in comparison.statistics if name != "typical"]
    print(f"| | n | {' | '.join(names)} | bits |\n" + (3 + len(names)) * "| --- " + "|")
    for name in comparison.sets:
        cells = [name, str(len(comparison.rows(name)))]
        for statistic in names:
            row = comparison.summary(statistic)[list(comparison.sets).index(name)]
            cells.append(f"{row['median']:.0f} ± {row['error']:.0f} ({row['p16']:.0f} to {row['p84']:.0f})")
        print("| " + " | ".join([*cells, f"{np.median(comparison.rows(name)['bits']):.2f}"]) + " |")
    print()


def areas(title: str, *comparisons, joint: bool = False) -> None:
    """AUROC of each statistic and set; `joint` adds tests that see the numbers together."""
    names = comparisons[0].statistics
    more = f" | KS p of {names[1]} | energy p | classifier" if joint else ""
    print(f"\n| {title} | n | " + " | ".join(names) + more + " |")
    print("| --- " * (2 + len(names) + 3 * joint) + "|")
    for comparison in comparisons:
        tables = {name: comparison.tests(name, joint=joint and name == names[1]) for name in names}
        for k, name in enumerate(comparison.simulated):
            rows = [table[k] for table in tables.values()]
            cells = [f"{row['auroc']:.2f} ± {row['auroc_error']:.2f}" for row in rows]
            if joint:
                row = tables[names[1]][k]
                cells += [f"{row['ks_p']:.3f}", f"{row['energy_p']:.3f}"]
                cells += [f"{row['classifier']:.2f} ± {row['classifier_error']:.2f}"]
            print(f"| {name} | {rows[0]['n']} | " + " | ".join(cells) + " |", flush=True)


def matched(comparison) -> None:
    for title, names in HELD.items():
        found = []
        for name in comparison.simulated:
            try:
                found.append(comparison.matched(name, names))
            except BadInput as error:
                print(f"{name}: {error}")
        areas(f"matched in {title}", *found)
        for one in found:
            balance = one.balance()
            left = ", ".join(f"{key} {balance[key][0]:+.2f}" for key in balance.colnames[1:])
            print(f"left between pairs of {one.simulated[0]}, in scatters: {left}")


def report(sets: dict, model: str, background: str | None) -> None:
    print(f"\n## {model}, background {background}\n")
    sets = dict(sets)
    survey = {numbers.SURVEY: sets.pop(numbers.SURVEY)}
    comparison = compare(survey, sets, model, background)
    spread(comparison)
    print(comparison.balance(), "\n")
    areas("against SDSS", comparison, joint=True)
    matched(comparison)
    areas("regressed on all confounders", comparison.regressed())
    control = comparison.against("SDSS, other pictures", "Illustris mocks")
    areas("against other SDSS pictures", control, joint=True)
    matched(control)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=numbers.FOLDER)
    parser.add_argument("--only", choices=("color", "grey", "stirred"))
    chosen = parser.parse_args()
    plans = {
        "color": ("pixelcnn32-sdss", "sky32-sdss"),
        "stirred": ("pixelcnn32-sdss", "stirred32-sdss"),
        "grey": ("pixelcnn32-grey-sdss", None),
    }
    sets = numbers.sets(chosen.folder)
    grain(sets)
    for name, (model, background) in plans.items():
        if chosen.only in (None, name):
            report({k: v.grey() for k, v in sets.items()} if name == "grey" else sets, model, background)


if __name__ == "__main__":
    main()
