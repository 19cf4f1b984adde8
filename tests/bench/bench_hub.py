"""A class on a hub: what each student costs in memory and processor time, and how long they wait.

    python -m tests.bench.bench_hub [students] [survey.hats]     20, and a mock of 10^6 galaxies

The hub is that of binder/hub, on loopback, with one shared survey and its map prepared once by the teacher.
Students come 3 s after each other. For each a server is started through the hub's API, and a kernel through
that; what their browser would say goes over a websocket through the hub's proxy: a cell with
`galnb.explore(survey)`, the map's question for its first frame, and then, all students at once, a gesture a
second each: a pan or a zoom, every fifth a pick, every tenth a lasso.

Memory is PSS, in which a page that k processes share counts 1/k for each; in brackets RSS, where it counts
whole. "First map" is from asking for a server to the first frame; processor time is of a student's server
and kernel, up to there and of all gestures. Times of gestures are from the message to the kernel's answer.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from tests.test_hub import Hub, Kernel, running

APART, GESTURES, SIZE = 3.0, 40, (834, 560)
CELL = "import galnb\nexplorer = galnb.explore({survey!r})\nexplorer"
VIEW = "(explorer.map.model_id, [float(edge) for edge in explorer.session.home(*{size})])"


class Student(threading.Thread):
    """One of a class, with what was measured of them."""

    def __init__(self, hub: Hub, name: str, survey: str, begin: threading.Barrier):
        super().__init__(name=name)
        self.hub, self.survey, self.begin = hub, survey, begin
        self.took: dict[str, list[float]] = {"view": [], "click": [], "lasso": []}
        self.failed: Exception | None = None

    def run(self) -> None:
        try:
            self.arrive()
            self.begin.wait()
            self.explore()
        except Exception as error:  # one who fails must not keep the others waiting
            self.failed = error
            self.begin.abort()

    def arrive(self) -> None:
        start = time.perf_counter()
        self.hub.seat(self.name, seconds=300)
        self.server = time.perf_counter() - start
        self.kernel = Kernel(self.hub, self.name)
        self.map, self.home = self.kernel.run(CELL.format(survey=self.survey), VIEW.format(size=SIZE))
        self.say("view", view=self.home, **self.looks(0))
        self.first_map = time.perf_counter() - start
        self.arrived = cpu(self.processes())

    def looks(self, seq: int) -> dict:
        return {"seq": seq, "client": self.name, "w": SIZE[0], "h": SIZE[1], "dpr": 1, "plane": "pca"}

    def say(self, kind: str, **content) -> float:
        """Tell the map what a hand did; how long its answer took."""
        start = time.perf_counter()
        self.kernel.send(
            "comm_msg", comm_id=self.map, data={"method": "custom", "content": {"t": kind, **content}}
        )
        for message in self.kernel.messages():
            about = message["content"].get("data", {}).get("content", {})
            if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == self.map:
                if about["t"] == "problem":
                    raise RuntimeError(about["text"])
                if about["t"] == ("frame" if kind == "view" else "state"):
                    return time.perf_counter() - start

    def explore(self) -> None:
        drawn = np.random.default_rng(abs(hash(self.name)))
        x0, x1, y0, y1 = self.home
        for k in range(1, GESTURES + 1):
            due = time.perf_counter() + 1
            width = 0.5 ** drawn.uniform(0, 5)
            x, y = (low + (high - low) * drawn.uniform(0.3, 0.7) for low, high in ((x0, x1), (y0, y1)))
            rx, ry = width * (x1 - x0) / 2, width * (y1 - y0) / 2
            if k % 10 == 0:
                angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
                outline = np.stack([x + rx / 2 * np.cos(angle), y + ry / 2 * np.sin(angle)], axis=1)
                self.took["lasso"].append(self.say("lasso", polygon=outline.tolist(), mode="replace"))
            elif k % 5 == 0:
                self.took["click"].append(self.say("click", x=x, y=y, rx=rx / 20, ry=ry / 20))
            else:
                view = [x - rx, x + rx, y - ry, y + ry]
                self.took["view"].append(self.say("view", view=view, **self.looks(k)))
            time.sleep(max(0, due - time.perf_counter()))

    def processes(self) -> list[psutil.Process]:
        """The student's server and kernel: those whose environment bears the name."""
        found = []
        for process in psutil.Process(self.hub.process.pid).children(recursive=True):
            if process.environ().get("JUPYTERHUB_USER") == self.name:
                found.append(process)
        return found


def cpu(processes) -> float:
    """Seconds of processor time so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def memory(process) -> tuple[float, float]:
    """PSS and RSS in MB."""
    full = process.memory_full_info()
    return full.pss / 1e6, full.rss / 1e6


def prepared(folder: Path, survey: str | None) -> str:
    """The shared survey, and its map in the shared cache: what a teacher does once."""
    shared = folder / "shared"
    if survey is None:
        survey = str(shared / "survey.hats")
        subprocess.run([sys.executable, "-m", "galnb", "mock", "--rows", "1e6", "--out", survey], check=True)
    known = {**os.environ, "GALNB_CACHE": str(shared / "cache")}
    subprocess.run([sys.executable, "-c", CELL.format(survey=survey)], env=known, check=True)
    return survey


def row(student: Student) -> list[float]:
    parts = student.processes()
    kernels = [process for process in parts if "ipykernel_launcher" in process.cmdline()]
    (server, server_rss), (kernel, kernel_rss) = (
        np.sum([memory(process) for process in some], axis=0)
        for some in ([process for process in parts if process not in kernels], kernels)
    )
    ms = [1000 * statistics.median(student.took[kind]) for kind in ("view", "click", "lasso")]
    spent = cpu(parts) - student.arrived
    return [server, server_rss, kernel, kernel_rss, student.first_map, student.arrived, spent, *ms]


def main(n: int = 20, survey: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        survey = prepared(Path(folder), survey)
        with running(Path(folder)) as hub:
            begin = threading.Barrier(n)
            students = [Student(hub, f"student{k:02}", survey, begin) for k in range(1, n + 1)]
            for student in students:
                student.start()
                time.sleep(APART)
            for student in students:
                student.join()
            for student in students:
                if student.failed:
                    raise SystemExit(f"{student.name}: {student.failed!r}\n{hub.log()}")
            table = np.array([row(student) for student in students])
            waits = {kind: np.concatenate([s.took[kind] for s in students]) for kind in students[0].took}
            load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"{n} students, {cores} cores, load {load:.1f} at the end, {GESTURES} gestures each")
    heads = ["student", "server, MB", "kernel, MB", "first map, s", "CPU until then, s", "CPU of gestures, s"]
    print("|", " | ".join([*heads, "frame, ms", "pick, ms", "lasso, ms"]), "|\n|---|" + "---:|" * 8)
    lines = {student.name: line for student, line in zip(students, table, strict=True)}
    for name, line in {**lines, "median": np.median(table, 0), "sum": table.sum(0)}.items():
        cells = [f"{line[k]:.0f} ({line[k + 1]:.0f})" for k in (0, 2)]
        cells += [f"{value:.1f}" for value in line[4:7]] + [f"{value:.0f}" for value in line[7:]]
        if name == "sum":  # of waiting, it says nothing
            cells = ["" if k in (2, 5, 6, 7) else cell for k, cell in enumerate(cells)]
        print("|", " | ".join([name, *cells]), "|")
    for kind, took in waits.items():
        print(f"{kind}: median {1000 * np.median(took):.0f} ms, 95 % {1000 * np.percentile(took, 95):.0f} ms")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, os.path.abspath), sys.argv[1:], strict=False)))
