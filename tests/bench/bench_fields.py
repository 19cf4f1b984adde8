"""Simulations that an emulator of fields saves: `python -m tests.bench.bench_fields`.

Covariance of 15 bins of the power spectrum of 32 x 32 pixels, 250 Mpc/h: of the training simulations alone,
of them after Ledoit & Wolf's shrinkage, of 5,000 fields of emulators that learned from them, and of the
simulations shrunk towards the emulator's. Against 40,000 other simulations; mean and standard deviation of
the seeds. Each error is put on the curve of errors of other subsets: as many simulations would be as good.
For one layer the logarithm is Gaussian, which is what "gmm" takes for granted; for four it is not.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from galnb import fields
from galnb.emulator import Emulator

TRUTH, POOL, GENERATED = 40_000, 20_000, 5_000
COUNTS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
KINDS = {"gmm": {}, "maf": dict(kind="maf", steps=300, hidden=(64, 64), transforms=2, rate=3e-3)}
COLUMNS = ("error", "as many as", "variances", "correlation", "chi2", "sigma8", "shape")


def gradient(size: int = 32, step: float = 0.01) -> np.ndarray:
    """Of the mean spectrum (parameter, bin), with respect to log sigma8 and log shape."""
    waves = fields.wave_numbers(size)
    ring = np.rint(waves * fields.BOX / (2 * np.pi)).astype(int)
    found = []
    for name, value in (("sigma8", 0.8), ("shape", 0.21)):
        high, low = (fields.slice_power(waves, **{name: value * (1 + s)}) for s in (step, -step))
        found.append([(high - low)[ring == b].mean() / (2 * step) for b in range(1, size // 2)])
    return np.array(found)


class Truth:
    """Spectra of many simulations, and what subsets of other ones make of their covariance."""

    def __init__(self, layers: int):
        self.layers, self.slopes = layers, gradient()
        drawn = fields.simulate(TRUTH, layers=layers, seed=999)
        spectra = fields.power_spectrum(drawn)[1]
        self.mean, self.covariance = spectra.mean(0), fields.covariance(spectra)
        self.statistics = fields.statistics(drawn)
        pool = fields.power_spectrum(fields.simulate(POOL, layers=layers, seed=998))[1]
        self.errors, scatter = fields.error_curve(pool, self.covariance, COUNTS)
        for n, error, own in zip(COUNTS, self.errors, scatter, strict=True):
            print(f"{n} simulations: error {error:.4f} ± {own:.4f}", flush=True)

    def row(self, covariance: np.ndarray, n: int | None = None) -> list[float]:
        d = fields.difference(covariance, self.covariance, n=n, gradient=self.slopes)
        as_many = fields.simulations(d.error, COUNTS, self.errors)
        return [d.error, as_many, d.diagonal, d.correlation, d.chi2, *d.fisher]

    def beyond(self, drawn: np.ndarray) -> list[float]:
        """Of each statistic: the mean's error over the scatter of fields, and the scatter's ratio."""
        found, true = fields.statistics(drawn), self.statistics
        return [
            value
            for name in true
            for value in (
                (found[name].mean() - true[name].mean()) / true[name].std(),
                found[name].std() / true[name].std(),
            )
        ]


def measure(truth: Truth, n: int, seed: int) -> tuple[dict[str, list], dict[str, list]]:
    """By method: its row of the table, and of the table of other statistics."""
    shown = fields.simulate(n, layers=truth.layers, seed=seed)
    spectra = fields.power_spectrum(shown)[1]
    rows = {f"{n} simulations": truth.row(fields.covariance(spectra), n)}
    rows["Ledoit-Wolf"] = truth.row(fields.shrunk(spectra))
    beyond = {f"{n} simulations": truth.beyond(shown)}
    for name, options in KINDS.items():
        clock = time.process_time()
        drawn = Emulator(**options).fit(shown, seed=seed).sample(GENERATED, seed=seed)
        own = fields.power_spectrum(drawn)[1]
        print(f"  {name}, seed {seed}: {time.process_time() - clock:.0f} s of a core", flush=True)
        rows[name] = truth.row(fields.covariance(own), GENERATED)
        both, weight = fields.blend(spectra, fields.covariance(own))
        rows[f"simulations and {name}"] = truth.row(both)
        beyond[name] = [*truth.beyond(drawn), np.abs(own.mean(0) / truth.mean - 1).max(), weight]
    return rows, beyond


def table(title: str, head: tuple[str, ...], seeds: list[dict[str, list]]) -> None:
    print(f"\n| {title} | " + " | ".join(head) + " |\n|" + "---|" * (len(head) + 1))
    for name in seeds[0]:
        values = np.array([seed[name] for seed in seeds])
        numbers = zip(values.mean(0), values.std(0, ddof=min(1, len(seeds) - 1)), strict=True)
        cells = [f"{m:,.0f} ± {s:,.0f}" if abs(m) > 20 else f"{m:.3f} ± {s:.3f}" for m, s in numbers]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for layers in options.layers:
        truth = Truth(layers)
        found = [measure(truth, options.n, seed) for seed in range(options.seeds)]
        table(f"{layers} layers", COLUMNS, [rows for rows, _ in found])
        head = [f"{name}, {what}" for name in truth.statistics for what in ("mean", "scatter")]
        short = [{name: row[: len(head)] for name, row in beyond.items()} for _, beyond in found]
        table(f"{layers} layers", tuple(head), short)
        own = [
            {name: row[len(head) :] for name, row in beyond.items() if name in KINDS} for _, beyond in found
        ]
        table(f"{layers} layers", ("mean power off by at most", "weight in the blend"), own)


if __name__ == "__main__":
    main()
