"""Whole `galnb encode`, and as a call, against the bare model: `python -m tests.bench.bench_encode`.

Galaxies are those of gz2_7704, turned and mirrored, as uint8 in one npz under the temporary folder. Batches
are of 256. Bare: forward passes in as many processes as workers, one thread each, all at the same time, on
batches that lie ready in memory as the network wants them. Bare and whole take turns; the command's time
has its start-up in it: Python, imports, weights, reading the npz; the call's has not. CPU: of all processes,
user and system; where others use the machine too, it is what can be compared.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BATCH, BANDS, SIZE = 256, "i,r,g", 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement of the bare model")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        npz = write(Path(folder) / "galaxies.npz", chosen.galaxies)
        print(f"{chosen.galaxies:,} galaxies, {os.path.getsize(npz) / 1e6:,.0f} MB; {chosen.workers} workers")
        print(f"{'':28}galaxies/s  CPU ms/galaxy   of bare   of bare's CPU")
        for _ in range(chosen.repeats):
            for name, whole in (("galnb encode", command), ("encode(...)", call)):
                before = bare(chosen.workers, chosen.seconds)
                spent, n = whole(npz, chosen.workers), chosen.galaxies
                after = bare(chosen.workers, chosen.seconds)
                rate, cpu = (np.array(before) + after) / 2
                print(f"{'bare, before and after':24}{before[0]:8,.0f}, {after[0]:,.0f}{1e3 * cpu:12.2f}")
                ratios = f"{n / spent[0] / rate:10.1%}{cpu / (spent[1] / n):16.1%}"
                print(
                    f"{name:24}{n / spent[0]:14,.0f}{1e3 * spent[1] / n:15.2f}{ratios}   in {spent[0]:.1f} s"
                )


def write(path: Path, n: int) -> Path:
    """An npz of `n` galaxies."""
    root = Path(os.environ.get("GALNB_DATA", Path(__file__).parents[3] / "shared" / "data"))
    known = np.load(root / "gz2_7704.npz")["images"]
    turned = [np.rot90(known if k < 4 else known[:, ::-1], k, (1, 2)) for k in range(-(-n // len(known)))]
    np.savez(path, images=np.concatenate(turned)[:n], id=np.arange(n))
    return path


def command(npz: Path, workers: int) -> tuple[float, float]:
    """Wall and CPU seconds of `galnb encode`, a process of its own."""
    out = npz.with_name("command.hats")
    words = ["encode", npz, "--model", "ae50-sdss", "--bands", BANDS, "--size", SIZE, "--out", out]
    words += ["--batch", BATCH, "--workers", workers]
    begun, before = time.perf_counter(), _cpu()
    subprocess.run([sys.executable, "-m", "galnb", *map(str, words)], check=True, capture_output=True)
    spent = time.perf_counter() - begun, _cpu() - before
    shutil.rmtree(out)
    return spent


def call(npz: Path, workers: int) -> tuple[float, float]:
    """Wall and CPU seconds of `encode(...)`, in a process that has the images and the model already."""
    out = npz.with_name("call.hats")
    words = [sys.executable, "-c", CALL, npz, out, BANDS, SIZE, BATCH, workers]
    told = subprocess.run([*map(str, words)], check=True, stdout=subprocess.PIPE).stdout
    shutil.rmtree(out)
    return tuple(map(float, told.split()))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


CALL = """if True:
    import resource, sys, time
    from galnb import encode, weights
    from galnb.sources import Folder
    npz, out, bands, size, batch, workers = sys.argv[1:]
    def cpu():
        of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in of)
    source, model = Folder(npz, bands=bands.split(","), size=int(size)), weights.load("ae50-sdss")
    begun, before = time.perf_counter(), cpu()
    encode(source, model, out, batch=int(batch), workers=int(workers), skip_bad=True)
    print(time.perf_counter() - begun, cpu() - before)
"""


def bare(processes: int, seconds: float) -> tuple[float, float]:
    """Forward passes alone: galaxies a second of all processes, and CPU seconds a galaxy."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", FORWARD, str(seconds), str(BATCH)]
    running = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) for _ in range(processes)]
    told = [process.communicate()[0].split() for process in running]
    rates, costs = np.array(told, dtype=float).T
    return float(rates.sum()), float((costs * rates).sum() / rates.sum())


FORWARD = """if True:
    import sys, time, torch
    from galnb import weights
    torch.set_num_threads(1)
    seconds, batch = float(sys.argv[1]), int(sys.argv[2])
    model = weights.load("ae50-sdss")
    made = torch.Generator().manual_seed(0)
    batches = [torch.rand(batch, 3, 64, 64, generator=made) for _ in range(8)]
    batches = [x.to(memory_format=torch.channels_last) for x in batches]
    with torch.inference_mode():
        for x in batches[:3]:
            model.encode(x)
        begun, cpu, n = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - begun < seconds:
            model.encode(batches[n // batch % 8])
            n += batch
        print(n / (time.perf_counter() - begun), (time.process_time() - cpu) / n)
"""


if __name__ == "__main__":
    main()
