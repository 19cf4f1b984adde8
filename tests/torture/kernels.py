"""Twenty kernels at work on one catalogue, some of which are killed: they answer what one alone answers.

A kernel does one operation (see hands.py) in `EVERY` seconds at most, so that 6,000 by 20 kernels take ten
minutes or more; `--count` is the number of operations of all, and one in 60 ends in kill -9. Each answer is
compared with that of a serial run with a cache of its own. Both files of votes must hold every vote whose
call returned. A process that carries the mark of a kernel when all are shut down is an orphan.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .hands import SHARES, stands, written
from .workers import Row

ROOT = Path(__file__).parents[2]
COUNTS = {"operations": 6000}
KERNELS, OPERATIONS = 20, 12  # at most so many kernels, of at least so many operations
EVERY = 2.0  # seconds
KILLED = 60  # operations for each kill
PATIENCE = 600.0  # seconds for one answer, or for the start of all
MARK = "GALNB_TORTURE"


@dataclass(frozen=True)
class Survey:
    """How large the catalogue is: always so large that its map lies on disk."""

    rows: int
    latent_dim: int
    index: str


LARGE, SMALL = Survey(500_000, 50, "ivf"), Survey(251_000, 6, "exact")


def make(folder: Path, survey: Survey, seed: int) -> None:
    """A synthetic survey, and a picture, in a folder."""
    from astropy.io import fits

    from galnb.latents import Latents
    from galnb.mock import mock, shipped

    rng = np.random.default_rng(seed)
    few = Latents(
        np.arange(300), rng.normal(size=(300, survey.latent_dim)), {"flux": rng.lognormal(size=300)}
    )
    real = shipped() if survey.latent_dim == shipped().latent_dim else few
    mock(survey.rows, folder / "survey.hats", latents=real, components=2, seed=seed, workers=0)
    fits.writeto(folder / "picture.fits", rng.normal(size=(32, 32)).astype(np.float32))


class Died(Exception):
    """The kernel was killed before it answered."""


class Kernel:
    """A kernel of Jupyter, asked as a front end asks it."""

    def __init__(self, folder: Path, mark: str):
        from jupyter_client import KernelManager

        self.manager = KernelManager(kernel_name="python3")
        known = {"GALNB_CACHE": str(folder / "cache"), MARK: mark, "PYTHONPATH": str(ROOT)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.manager.start_kernel(env={**os.environ, **known}, cwd=str(folder), **quiet)
        self.pid = self.manager.provisioner.process.pid
        self.client = self.manager.blocking_client()
        self.client.start_channels(iopub=False, stdin=False, hb=False, control=False)

    def ask(self, code: str, expression: str = "None", *, kill_after: float | None = None):
        """The value of an expression after some code, both plain JSON; Died where the kernel did."""
        asked = self.client.execute(code, user_expressions={"answer": f"json.dumps({expression})"})
        if kill_after is not None:
            threading.Timer(kill_after, os.kill, (self.pid, signal.SIGKILL)).start()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                reply = self.client.get_shell_msg(timeout=0.5)
            except queue.Empty:
                if not self.manager.is_alive():
                    raise Died from None
                continue
            if reply["parent_header"].get("msg_id") == asked:
                content = reply["content"]
                answer = content.get("user_expressions", {}).get("answer", content)
                if content["status"] != "ok" or answer["status"] != "ok":
                    wrong = answer if content["status"] == "ok" else content
                    raise RuntimeError(f"{wrong['ename']}: {wrong['evalue']}")
                return json.loads(eval(answer["data"]["text/plain"], {}))  # the repr of a string
        raise RuntimeError(f"no answer in {PATIENCE:.0f} s")

    def end(self, *, now: bool = False) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=now)


class Seat:
    """Somebody at a kernel, who begins it anew whenever it is killed."""

    def __init__(self, work: Work, number: int, kills: dict[int, float]):
        self.work, self.number, self.kills, self.kernel = work, number, kills, None
        self.answers: dict[int, dict] = {}
        self.killed, self.faults, self.ends = 0, [], {}

    def ask(self, code: str, expression: str, *, at: int):
        """Ask until there is an answer; the kernel may be killed over it once."""
        while True:
            try:
                if self.kernel is None:
                    self.kernel = Kernel(self.work.folder, self.work.mark)
                    if at >= 0:
                        self.kernel.ask(self.work.begin(self.number))
                return self.kernel.ask(code, expression, kill_after=self.kills.pop(at, None))
            except Died:
                self.killed += 1
                self.kernel.end(now=True)
                self.kernel = None

    def sit(self, all_here: threading.Barrier) -> None:
        """Begin, wait for the others, and do all operations, each not before its time."""
        try:
            self.ask(self.work.begin(self.number), "None", at=-1)
            all_here.wait(PATIENCE)
            begun = time.monotonic()
            for k in range(self.work.operations):
                time.sleep(max(0.0, begun + (k + self.number / self.work.kernels) * EVERY - time.monotonic()))
                asked = time.monotonic()
                try:
                    self.answers[k] = self.ask(f"answer = hands.do({k})", "answer", at=k)
                    self.answers[k]["seconds"] = time.monotonic() - asked
                except RuntimeError as error:
                    self.faults.append(f"kernel {self.number}, operation {k}: {error}"[:600])
            all_here.wait(PATIENCE)  # nobody votes any more
            self.ends = {
                "stands": self.ask("", "hands.stands()", at=10**9),
                "memory": memory(self.kernel.pid),
            }
            all_here.wait(PATIENCE)
        except Exception as error:  # any: what a thread raises nobody sees
            self.faults.append(f"kernel {self.number}: {type(error).__name__}: {error}"[:600])
            all_here.abort()
        finally:
            if self.kernel is not None:
                self.kernel.end()


class Work:
    """One run: how many kernels, of how many operations, over which survey."""

    def __init__(self, folder: Path, count: int, seed: int, survey: Survey):
        self.folder, self.seed, self.survey, self.mark = folder, seed, survey, uuid.uuid4().hex
        self.kernels = min(KERNELS, max(2, count // OPERATIONS))
        self.operations = max(1, count // self.kernels)
        rng, n = np.random.default_rng([seed, 99]), self.kernels * self.operations
        moments = rng.choice(n, max(2, n // KILLED), replace=False)
        kills = {(int(k) % self.kernels, int(k) // self.kernels): rng.uniform(0, 0.2) for k in moments}
        kills[0, -1] = rng.uniform(1, 8)  # one that makes the map, or waits for who does
        of = lambda seat: {at: delay for (kernel, at), delay in kills.items() if kernel == seat}
        self.seats = [Seat(self, number, of(number)) for number in range(self.kernels)]

    def begin(self, kernel: int) -> str:
        """The code that a kernel begins with."""
        made = f"{str(self.folder)!r}, {self.seed}, {kernel}, {self.kernels}, {self.survey.index!r}"
        return f"import json\nfrom tests.torture.hands import Hands\nhands = Hands({made})"

    def run(self) -> None:
        """All kernels at once."""
        plain = Kernel(self.folder, self.mark)
        plain.ask("import json, galnb")
        here = threading.Barrier(self.kernels, action=lambda: None)
        threads = [threading.Thread(target=seat.sit, args=(here,)) for seat in self.seats]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seconds, self.plain = time.monotonic() - begun, memory(plain.pid)
        plain.end()

    def serial(self) -> tuple[dict, list]:
        """Digests by kernel and number from one process with a cache of its own, and the votes at its end."""
        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            for name in ("survey.hats", "picture.fits"):
                Path(folder, name).symlink_to(self.folder / name)
            numbers = [self.seed, self.kernels, self.operations, self.survey.index]
            command = [sys.executable, "-m", "tests.torture.hands", folder, *map(str, numbers)]
            known = {**os.environ, "GALNB_CACHE": f"{folder}/cache"}
            done = subprocess.run(command, env=known, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the serial run failed: {done.stderr[-3000:]}")
        *lines, ends = map(json.loads, done.stdout.splitlines())
        return {(kernel, number): found for kernel, number, found in lines}, ends


def memory(pid: int) -> list[float]:
    """Megabytes of a kernel, and those of its children: shared fairly (PSS), and not shared (USS)."""
    import psutil

    found = []
    for process in (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))):
        told = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
        known = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in told}
        found.append((known["Pss"], known["Private_Clean"] + known["Private_Dirty"]))
    return [*found[0], *(sum(part) for part in zip((0, 0), *found[1:], strict=True))]


def marked(mark: str, seconds: float = 15.0) -> list[int]:
    """Processes that carry a mark and do not end within some seconds."""
    until, sign = time.monotonic() + seconds, f"{MARK}={mark}".encode()
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if sign in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except OSError:
                continue  # it has ended, or is another's
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)


def tortured(chosen) -> Iterator[Row]:
    """A row a kind of operation, one of the votes, and one of the kernels themselves."""
    count = chosen.count or COUNTS["operations"]
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        work = Work(Path(folder), count, chosen.seed, LARGE if count >= 1000 else SMALL)
        make(work.folder, work.survey, chosen.seed)
        work.run()
        left = marked(work.mark)
        expected, ends = work.serial()
        yield from answers(work, expected)
        yield votes(work, ends)
        yield kernels(work, left)


def answers(work: Work, expected: dict) -> Iterator[Row]:
    """Whether each operation of each kernel was answered as in the serial run."""
    for kind in SHARES:
        row, slow = Row(kind, seconds=work.seconds), []
        for seat in work.seats:
            for number, answer in seat.answers.items():
                if answer["what"] != kind:
                    continue
                row.tried += 1
                row.cpu = max(row.cpu, answer["cpu"])
                slow.append(answer["seconds"])
                good = answer["digest"] == expected[seat.number, number]
                row.clean += good
                if not good:
                    row.faults.append(f"{kind}: kernel {seat.number}, operation {number}: another answer")
        if slow:
            row.by["ms, median"] = round(1000 * statistics.median(slow))
        yield row


def votes(work: Work, ends: list) -> Row:
    """Whether each vote whose call returned is in its file, and all kernels and the serial run agree."""
    from galnb.votes import Votes

    row = Row("votes whose call returned", seconds=work.seconds)
    paths = {name: work.folder / f"{name}.jsonl" for name in ("votes", "disputed")}
    files = {name: written(path) for name, path in paths.items()}
    for answer in (answer for seat in work.seats for answer in seat.answers.values() if answer["voted"]):
        name, *vote = answer["voted"]
        row.tried += 1
        row.clean += tuple(vote) in files[name]
        row.faults += [] if tuple(vote) in files[name] else [f"{name}: the vote {vote} is lost"]
    now = [stands(Votes(path)) for path in paths.values()]
    if now[0] != ends[0]:
        row.faults.append("votes: what counts at the end is not what counts after the serial run")
    for seat in work.seats:
        if seat.ends and seat.ends["stands"] != now:
            row.faults.append(f"votes: kernel {seat.number} sees others than a new reader")
    row.by["lines damaged"] = sum(len(Votes(path).damaged) for path in paths.values())
    return row


def kernels(work: Work, left: list[int]) -> Row:
    """What became of the kernels, and what each took beyond one that only imported galnb."""
    row = Row("kernels", tried=work.kernels, seconds=work.seconds)
    row.clean = sum(not seat.faults for seat in work.seats)
    row.faults = [fault for seat in work.seats for fault in seat.faults]
    for pid in left:
        row.faults.append(f"orphan: {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ')!r}")
        os.kill(pid, signal.SIGKILL)
    row.by.update(kills=sum(seat.killed for seat in work.seats), orphans=len(left))
    extra = [np.subtract(seat.ends["memory"], work.plain) for seat in work.seats if seat.ends]
    if extra:
        pss, uss, *children = np.transpose(extra)
        row.memory = float(max(pss))
        row.by["extra MB a kernel (median): PSS"] = round(statistics.median(pss))
        row.by["extra MB a kernel (median): USS"] = round(statistics.median(uss))
        row.by["and of its reader of files: PSS"] = round(statistics.median(children[0]))
    row.by["seconds"] = round(work.seconds)
    return row
