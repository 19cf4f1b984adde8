"""Where the partitions of a survey are worked on: here, in processes of this machine, on Dask, through LSDB.

A worker may die at any moment. Its task is done again; a task that keeps failing is given up while the
others finish.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from .errors import CannotWrite, GalnbError, WorkerDied, need, one_of

ENGINES = ("local", "dask", "lsdb")
TRIES = 3


class Queue:
    """Tasks that wait for a worker, and those that failed.

    A task is given up after 3 tries. Where a worker died over it, the verdict waits until all others are
    done: did workers die that no task can have harmed (idle, or at one that succeeded later), or at a
    quarter of all tasks, then deaths come from outside and prove little, and a task has 30 tries.

    Attributes
    ----------
    waiting : deque
    outside : bool
        Whether workers have died for other reasons than their tasks.
    deaths : int
        Of workers that were at a task.
    """

    def __init__(self, tasks: Sequence, tries: int):
        self.waiting, self.outside, self.deaths = deque(tasks), False, 0
        self._n, self._tries, self._failed = len(tasks), tries, Counter()
        self._died, self._doubtful = set(), []

    def done(self, task) -> None:
        """A task succeeded."""
        self.outside |= task in self._died

    def failed(self, task, error: Exception) -> bool:
        """A task failed; returns whether it is given up. Else it waits again, or for the verdict."""
        if isinstance(error, CannotWrite):  # no fault of the task, and no cure but the user's
            raise error
        self._failed[task] += 1
        died = isinstance(error, WorkerDied)
        if died:
            self.deaths += 1
            self._died.add(task)
        if self._failed[task] < self._tries:
            self.waiting.append(task)  # after the others: it may be the one that kills
        elif died:
            self._doubtful.append((task, error))
        return self._failed[task] >= self._tries and not died

    def verdicts(self) -> Iterator:
        """What is given up, with its last error, now that no other task is left; the rest waits again."""
        doubtful, self._doubtful = self._doubtful, []
        self.outside |= len(self._died) > max(2, self._n / 4)
        for task, error in doubtful:
            if self.outside and self._failed[task] < 10 * self._tries:
                self.waiting.append(task)
            else:
                yield task, error


def run(
    tasks: Sequence,
    work: Callable,
    *,
    engine: str = "local",
    workers: int | None = None,
    client=None,
    frames=None,
    tick: Callable[[int], None] | None = None,
    tries: int = TRIES,
) -> Iterator:
    """Do `work(task, tell)` for every task; yields (task, result or the exception of its last try).

    Parameters
    ----------
    tasks : sequence of hashable
        In the order in which they are begun; the order of results is that of their ends.
    work : callable
        It may be called more than once for a task. It calls `tell(k)` for every k rows done.
    engine : "local", "dask" or "lsdb"
    workers : int, optional
        Processes; 0 works in this one. By default as many as there are cores.
    client : dask.distributed.Client, optional
        By default a cluster of processes on this machine, with TLS.
    frames : mapping of task to dask Delayed, optional
        What LSDB reads for a task ("lsdb"); `work` is called with it as its third argument.
    tick : callable, optional
        Called now and then with the number of rows of tasks that have begun and not ended ("local" only).
    tries : int
        After how many failures a task is given up; see `Queue`.
    """
    one_of("engine", engine, ENGINES)
    if workers is not None and workers < 0:
        raise ValueError(f"workers={workers}, wanted at least 0")
    tick, queue = tick or (lambda rows: None), Queue(tasks, tries)
    if engine == "local":
        if workers == 0:
            yield from _here(queue, work, tick)
        else:
            yield from _processes(queue, work, min(workers or cores(), len(tasks)), tick)
    elif tasks:
        with _client(client, workers, engine) as client:
            yield from _dask(queue, work, client, frames)


def cores(root: str | Path = "/") -> int:
    """Cores that this process may use: those that it may run on, or as few as its control groups allow.

    A container, pod or service that is given 2 of 64 cores sees 64, and stands still for most of each tenth
    of a second if it works with 64 threads. A part of a core counts as one.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([here, *(math.ceil(quota) for quota in _quotas(Path(root)))])


def _quotas(root: Path) -> Iterator[float]:
    """The cores that each control group of this process may keep busy, and each one above it."""
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.exists() else ():
        _, kinds, place = line.split(":", 2)
        old = "cpu" in kinds.split(",")
        if kinds and not old:
            continue
        home = root / "sys/fs/cgroup" / ("cpu" if old else "")
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if old else ("cpu.max",)
        # within a container, a place may be that on its host: then its files are those at the top
        for group in (Path(place), *Path(place).parents):
            with suppress(OSError, ValueError, ZeroDivisionError):  # "max", or no such file: no limit
                files = [home / group.relative_to("/") / name for name in names]
                quota, period = map(int, " ".join(file.read_text() for file in files).split())
                if quota > 0:
                    yield quota / period


def _here(queue: Queue, work, tick) -> Iterator:
    while queue.waiting:
        task, done = queue.waiting.popleft(), [0]

        def tell(rows, done=done):
            done[0] += rows
            tick(done[0])

        try:
            yield task, work(task, tell)
        except Exception as error:  # whatever a source or a model raises
            if queue.failed(task, error):
                yield task, error


# processes of this machine


class _Slot:
    """One worker process and the pipe to it."""

    def __init__(self, context, work, others: Sequence[Connection]):
        self.pipe, theirs = context.Pipe()
        # no lock: a worker that is killed while it holds one would hold it for ever
        self.count, self.task = context.Value("q", 0, lock=False), None
        # a child must not hold the parent's ends, or it would not notice the parent's death
        inherited = [self.pipe, *others] if context.get_start_method() == "fork" else []
        known = (work, theirs, self.count, inherited, os.getpid())
        self.process = context.Process(target=_serve, args=known, daemon=True)
        self.process.start()
        theirs.close()

    def give(self, task) -> None:
        self.count.value, self.task = 0, task
        try:
            self.pipe.send(task)
        except OSError:  # it is dead, as `take` will tell
            pass

    def take(self):
        """The result of the task; WorkerDied where there is none."""
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            result = WorkerDied.with_code(self.process.exitcode)
        self.task, self.count.value = None, 0
        return result

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(work, pipe: Connection, count, inherited, parent: int) -> None:
    for connection in inherited:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and ends its workers
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()

    def tell(rows):
        count.value += rows

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            result = work(task, tell)
        except Exception as error:  # any: the parent decides
            result = error
        try:
            pipe.send(copy.copy(result))  # some exceptions cannot be made again from what they kept
        except OSError:
            return
        except Exception:  # their constructors raise whatever they like
            pipe.send(GalnbError(f"{type(result).__name__}: {result}"))


def _end_with(parent: int) -> None:
    """End this process soon after its parent, whatever it is doing."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _processes(queue: Queue, work, workers: int, tick) -> Iterator:
    # fork, where it is safe: workers share the images in memory, and start at once
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    slots = []
    try:
        for _ in range(workers):
            slots.append(_Slot(context, work, [slot.pipe for slot in slots]))
        while True:
            for slot in slots:
                if slot.task is None and queue.waiting:
                    slot.give(queue.waiting.popleft())
            if all(slot.task is None for slot in slots):
                yield from queue.verdicts()
                if not queue.waiting:
                    return
            ready = wait([slot.pipe for slot in slots], timeout=0.5)
            for at, slot in enumerate(slots):
                if slot.pipe not in ready:
                    continue
                task, result = slot.task, slot.take()
                if isinstance(result, WorkerDied):
                    slots[at] = _again(slot, context, work, slots)
                if task is None:
                    queue.outside = True  # it died while it had nothing to do
                elif not isinstance(result, Exception):
                    queue.done(task)
                    yield task, result
                elif queue.failed(task, result):
                    yield task, result
            tick(sum(slot.count.value for slot in slots if slot.task is not None))
    finally:
        for slot in slots:
            slot.close()


def _again(dead: _Slot, context, work, slots) -> _Slot:
    dead.close()
    alive = [slot.pipe for slot in slots if slot is not dead]
    return _Slot(context, work, alive)


# Dask


@contextmanager
def _client(client, workers, engine="dask"):
    if client is not None:
        yield client
        return
    dask, distributed = need("dask", extra="scale"), need("distributed", extra="scale")
    # forked from a server that has imported what they need: a worker is back in a moment after its death
    server = "forkserver" in multiprocessing.get_all_start_methods()
    options = {"distributed.worker.multiprocessing-method": "forkserver"} if server else {}
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "5s", **options}):
        if server:
            distributed.utils.get_mp_context().set_forkserver_preload(["distributed", "galnb.tasks", engine])
        # TLS: on a shared machine any user could else run code as this one
        try:
            cluster = distributed.LocalCluster(
                n_workers=workers or cores(), threads_per_worker=1, host="127.0.0.1",
                dashboard_address="127.0.0.1:0", security=distributed.Security.temporary(),
                scheduler_kwargs={"allowed_failures": 0}, silence_logs="CRITICAL",
            )  # fmt: skip
        except RuntimeError as error:
            todo = "a script that begins a cluster must do so under: if __name__ == '__main__':"
            raise GalnbError(f"Dask's workers did not start ({error}); {todo}") from error
        try:
            with distributed.Client(cluster) as own:
                yield own
        finally:
            cluster.close()


def _dask(queue: Queue, work, client, frames) -> Iterator:
    distributed = need("distributed", extra="scale")
    carrier = _carrier(distributed, work)
    client.register_plugin(carrier)
    begun, seen = {}, set()
    try:
        while True:
            workers = _workers(client)
            seen |= set(workers)
            # none waits on a worker: a death there would be laid at its door too
            hands = max(1, sum(worker["nthreads"] for worker in workers.values()))
            while queue.waiting and len(begun) < hands:
                task = queue.waiting.popleft()
                begun[_begin(client, carrier.name, task, frames)] = task
            if not begun:
                queue.outside |= len(seen) - len(workers) > queue.deaths  # some had nothing to do
                yield from queue.verdicts()
                if not queue.waiting:
                    return
                continue
            try:
                ended = distributed.wait(list(begun), timeout=2, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            for future in ended:
                task = begun.pop(future)
                if future.status not in ("finished", "error"):  # the scheduler has lost it
                    queue.waiting.append(task)
                    continue
                try:
                    result = future.result()
                except distributed.scheduler.KilledWorker as error:
                    result = WorkerDied(str(error).partition(" Inspecting")[0])
                except Exception as error:
                    result = error
                if not isinstance(result, Exception):
                    queue.done(task)
                    yield task, result
                elif queue.failed(task, result):
                    yield task, result
    finally:
        with suppress(OSError):  # a worker that dies just now has nothing to forget
            client.unregister_worker_plugin(carrier.name)


def _workers(client) -> dict[str, dict]:
    """Workers by address. Those that a cluster of this process gave up, after deaths in a row, come anew."""
    workers = client.scheduler_info(n_workers=-1).get("workers", {})
    wanted = len(getattr(client.cluster, "worker_spec", ()))
    if len(workers) < wanted:
        client.cluster.scale(wanted)
    return workers


def _begin(client, name: str, task, frames):
    """A future of a task; what LSDB reads for it, where it does, is read by the worker."""
    if frames is None:
        return client.submit(_on_worker, name, task, pure=False)
    from dask import delayed

    return client.compute(delayed(_on_worker, pure=False)(name, task, frames[task]))


def _on_worker(name: str, task, frame=None):
    from distributed import get_worker

    work = get_worker().plugins[name].work
    return work(task, lambda rows: None, *([] if frame is None else [frame]))


def _carrier(distributed, work):
    """A plugin that brings the work to every worker once, restarted ones too."""
    import uuid

    class Carrier(distributed.WorkerPlugin):
        name = f"galnb-{uuid.uuid4().hex}"

        def setup(self, worker):
            self.work = work

    return Carrier()
