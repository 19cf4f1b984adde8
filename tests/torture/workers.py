"""A process that reads damaged files with galnb, watched from another: its death is seen and named.

The worker is what a notebook's kernel would be. It lives through many cases and is begun anew after a death.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests import trap

ROOT = Path(__file__).parents[2]
HANGS = 120.0  # seconds of a case, after which the worker counts as dead
MOST_DATA = 12 << 30  # bytes: what a worker may have at all, so that a fault takes only itself down
RECYCLED = 10_000  # cases of one worker
READY = b"ready\n"
CPU, MEMORY = 2.0, 512.0  # what one file may cost: seconds, and megabytes


@dataclass
class Result:
    """What became of one case."""

    number: int
    outcome: str  # clean, refused, error, death
    quarantined: int = 0
    child_deaths: int = 0
    cpu: float = 0.0
    memory: float = 0.0  # megabytes
    by: str = ""
    words: str = ""


@dataclass
class Row:
    """A line of the table: all cases of one kind."""

    kind: str
    tried: int = 0
    clean: int = 0
    refused: int = 0
    quarantined: int = 0
    child_deaths: int = 0
    deaths: int = 0
    cpu: float = 0.0
    memory: float = 0.0
    seconds: float = 0.0
    by: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.tried += 1
        self.clean += result.outcome == "clean"
        self.refused += result.outcome == "refused"
        self.deaths += result.outcome == "death"
        self.quarantined += result.quarantined
        self.child_deaths += result.child_deaths
        self.cpu, self.memory = max(self.cpu, result.cpu), max(self.memory, result.memory)
        self.by[result.by] += bool(result.by)
        dear = result.cpu > CPU or result.memory > MEMORY
        if result.outcome in ("error", "death") or dear:
            cost = f"{result.cpu:.1f} s, {result.memory:.0f} MB: " if dear else ""
            self.faults.append(f"{self.kind} {result.number}: {cost}{result.outcome} {result.words}")


def all_kinds(part: str, counts: dict[str, int], chosen) -> Iterator[Row]:
    """A row a kind: all cases, or `chosen.count` in all in the same proportions, at least one of each."""
    share = 1 if chosen.count is None else chosen.count / sum(counts.values())
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        worker = Worker(Path(folder))
        try:
            for kind, count in counts.items():
                if chosen.kind and chosen.kind not in kind:
                    continue
                one = chosen.one is not None
                numbers = range(chosen.one, chosen.one + 1) if one else range(max(1, round(share * count)))
                yield worker.row(part, kind, numbers, chosen.seed)
        finally:
            worker.end()


def in_a_child(part: str, counts: dict[str, int], chosen, before: Iterable[str] = ()) -> Iterator[Row]:
    """The rows of a part that runs in a process of its own: `python -m tests.torture.PART SHARE SEED KIND`.

    `counts` add up to all cases, of which a chosen count is the share; `before` is what the command is given
    to, such as `unshare -m`.
    """
    share = 1 if chosen.count is None else chosen.count / sum(counts.values())
    command = [*before, sys.executable, "-m", f"tests.torture.{part}"]
    command += [str(share), str(chosen.seed), chosen.kind or ""]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        pipes = {"stdout": subprocess.PIPE, "stderr": errors, "text": True}
        with subprocess.Popen(command, cwd=ROOT, env=alone, **pipes) as child:
            for line in child.stdout:
                if line.startswith('{"kind"'):
                    yield Row(**json.loads(line))
        if child.returncode:
            errors.seek(0)
            yield Row(part, seconds=1, faults=[f"it ended with {child.returncode}: {errors.read()[-1500:]}"])


class Worker:
    """The process that reads, begun anew after a death and after many cases."""

    def __init__(self, folder: Path):
        self.folder, self.told, self.process, self.cases = folder, folder / "stderr", None, 0

    def row(self, part: str, kind: str, numbers: range, seed: int) -> Row:
        """Try cases of a kind, one after the other."""
        row, begun, at = Row(kind), time.monotonic(), numbers.start
        while at < numbers.stop and row.deaths < 20:
            for result in self._results(part, kind, range(at, min(numbers.stop, at + RECYCLED)), seed):
                row.add(result)
                at = result.number + 1
        row.seconds = time.monotonic() - begun
        return row

    def _results(self, part: str, kind: str, numbers: range, seed: int) -> Iterator[Result]:
        """Results up to the last of the numbers, or to the worker's death."""
        if self.process is None or self.cases > RECYCLED:
            self._begin()
        asked = [part, kind, numbers.start, numbers.stop, seed]
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        if self.process.stdout.readline() != READY:
            raise RuntimeError(f"{kind}: its originals cannot be read: {self.told.read_text()[-3000:]}")
        at = numbers.start
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while at < numbers.stop:
                line = self.process.stdout.readline() if ready.select(HANGS) else b""
                if not line:
                    self.process.kill()
                    last = (
                        self.told.read_bytes()[-2000:].decode(errors="replace").strip().replace("\n", " | ")
                    )
                    yield Result(at, "death", words=f"exit {self.process.wait()} {last[-600:]}")
                    self.process = None
                    return
                result = Result(**json.loads(line))
                at, self.cases = result.number + 1, self.cases + 1
                yield result

    def _begin(self) -> None:
        self.end()
        command = [sys.executable, "-m", "tests.torture.workers", str(self.folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
        with open(self.told, "wb") as errors:
            self.process = subprocess.Popen(command, stderr=errors, **pipes)
        self.cases = 0

    def end(self) -> None:
        """Let the worker end."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()
            self.process = None


# in the worker


def _status(process: int | str, name: str) -> float:
    """Megabytes that the kernel tells of a process; 0 where it is gone."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _ticks(process: int | None) -> float:
    """Seconds of CPU of a process that lives."""
    try:
        told = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


class _Meter:
    """What happens within it costs, also galnb's children: seconds of CPU and megabytes at the peak."""

    def __enter__(self):
        from galnb.sources.fits import READER
        from galnb.sources.parquet import SCALES

        self.readers, self.children = (READER, SCALES), (READER._child, SCALES._child)
        self.processes = ["self", *(child.pid for child in self.children if child)]
        for process in self.processes:
            try:
                Path(f"/proc/{process}/clear_refs").write_text("5")  # the peak is what it has now
            except OSError:
                pass
        self.before = [_status(process, "VmRSS") for process in self.processes]
        self.begun = self._cpu()
        return self

    def _cpu(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        alive = sum(_ticks(reader._child.pid) for reader in self.readers if reader._child)
        return time.process_time() + ended.ru_utime + ended.ru_stime + alive

    def __exit__(self, *error):
        now = [reader._child for reader in self.readers]
        pairs = zip(self.children, now, strict=True)
        self.died = any(was and (was is not child or child.poll() is not None) for was, child in pairs)
        self.cpu = self._cpu() - self.begun
        peaks = [_status(process, "VmHWM") for process in self.processes]
        self.memory = max(0.0, sum(p - b for p, b in zip(peaks, self.before, strict=True) if p))


def _serve(folder: Path) -> None:
    import warnings

    resource.setrlimit(resource.RLIMIT_DATA, (MOST_DATA, MOST_DATA))
    trap.install()
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        for answer in _answers(folder, *json.loads(line)):
            answers.write(answer)


def _answers(folder: Path, part: str, kind: str, begin: int, end: int, seed: int) -> Iterator[bytes]:
    import importlib
    import zlib

    import numpy as np

    from galnb.errors import BadInput

    case = importlib.import_module(f"tests.torture.{part}").KINDS[kind]
    shutil.rmtree(folder / "originals", ignore_errors=True)
    originals = case.originals(folder / "originals")
    for warm_up in originals:
        try:
            case.read(_place(folder, warm_up), warm_up)
        except BadInput as error:
            if not case.may_fail:
                raise RuntimeError(f"an original of {kind} is refused") from error
    yield READY
    for number in range(begin, end):
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), number])
        result = _tried(case, number, case.damage(originals, rng), originals, folder)
        yield json.dumps(asdict(result)).encode() + b"\n"


def _tried(case, number: int, files: dict[str, bytes], originals: list, folder: Path) -> Result:
    """What became of one case."""
    from galnb.errors import BadInput

    place, result, meter = _place(folder, files), Result(number, "clean"), _Meter()
    try:
        with meter:
            result.by = case.read(place, files) or ""
        if case.sealed and not result.by and files not in originals:
            result.outcome, result.words = "error", "a changed file was read as good"
    except BadInput as error:
        result.outcome, result.words = "refused", str(error)
        if problem := unclear(error, place):
            result.outcome, result.words = "error", f"{problem}: {error}"[:800]
    except Exception as error:
        result.outcome, result.words = "error", _described(error)
    trap.install_late()
    if trap.caught:
        result.outcome, result.words = "error", f"galnb unpickled: {trap.caught}"
        trap.caught.clear()
    result.cpu, result.memory, result.child_deaths = meter.cpu, meter.memory, int(meter.died)
    if meter.died:
        _begin_anew()
    if result.outcome == "refused" and case.set_aside is not None:
        try:
            result.quarantined = case.set_aside(place)
        except Exception as error:
            result.outcome, result.words = "error", f"skip_bad: {_described(error)}"
    return result


def _described(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-3:]
    at = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(where))
    return f"{type(error).__name__} at {at}: {error}"[:800]


def unclear(error, place: Path) -> str:
    """What is wrong with a refusal; nothing where it is one line that names the path and a reason."""
    words = str(error)
    if not words.isprintable():
        return "it is more than one printable line"
    if "Traceback" in words or len(words) > 1500:
        return "it is a traceback, or too long"
    return "" if str(place) in words and len(error.reason) > 10 else "it does not name the path"


def _begin_anew() -> None:
    """Let galnb's child start again outside of any case."""
    from galnb.errors import BadInput
    from galnb.sources.fits import READER
    from galnb.sources.parquet import SCALES

    for read in (READER.read, SCALES.weigh):
        try:
            read(__file__)
        except BadInput:
            pass


def _place(folder: Path, files: dict[str, bytes]) -> Path:
    place = folder / "case"
    shutil.rmtree(place, ignore_errors=True)
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return place


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
