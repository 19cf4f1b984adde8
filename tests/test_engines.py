"""Who works on partitions, in which order, and what becomes of workers and tasks that fail."""

import os
import re
import resource
import signal
import time
import warnings
from multiprocessing import active_children
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from galnb import builder, engines, hats
from galnb.catalogue import Catalogue
from galnb.encoding import encode
from galnb.images import Images
from galnb.models import PCA
from galnb.sources.base import Source
from galnb.tasks import plan
from tests.toys import BANDS, ROWS, Toy, assert_same, children_of, ended, forked, make, tree, until


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run writes."""
    catalogue = make(tmp_path_factory.mktemp("whole") / "survey.hats")
    return tree(catalogue.path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "survey.hats"


# how many cores there are to work with


@pytest.mark.parametrize(
    "own, files, wanted",
    [
        ("", {}, 64),
        ("0::/\n", {"cpu.max": "max 100000"}, 64),
        ("0::/\n", {"cpu.max": "250000 100000"}, 3),
        ("0::/\n", {"cpu.max": "20000 100000"}, 1),
        ("0::/hub/vera\n", {"hub/vera/cpu.max": "max 100000", "hub/cpu.max": "200000 100000"}, 2),
        ("1:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        # in a container, where the group's place is that on its host
        ("1:cpu:/docker/1a\n", {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ("4:memory:/\n", {"cpu.max": "100000 100000"}, 64),
    ],
)
def test_no_more_cores_are_used_than_control_groups_allow(tmp_path, monkeypatch, own, files, wanted):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()} | {"proc/self/cgroup": own}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert engines.cores(tmp_path) == wanted


def test_there_is_never_less_than_a_core_nor_more_than_the_machine_has():
    assert 1 <= engines.cores() <= os.cpu_count()
    assert engines.cores("/no/such/folder") == len(os.sched_getaffinity(0))


# the order, and who works


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_order_of_partitions_changes_nothing(path, whole, monkeypatch, workers):
    real = builder.run

    def shuffled(tasks, work, **options):
        return real([tasks[k] for k in np.random.default_rng(4).permutation(len(tasks))], work, **options)

    monkeypatch.setattr(builder, "run", shuffled)
    make(path, workers=workers)
    assert_same(path, whole)


def kill_workers(every, stop, killed):
    rng = np.random.default_rng(5)
    while not stop:
        time.sleep(every)
        if workers := active_children():
            os.kill(workers[rng.integers(len(workers))].pid, signal.SIGKILL)
            killed.append(time.monotonic())


def test_workers_killed_again_and_again_change_nothing(path, whole):
    stop, killed = [], []
    killer = Thread(target=kill_workers, args=(0.15, stop, killed))
    killer.start()
    try:
        make(path, Toy(seconds=0.03), workers=2)
    finally:
        stop.append(1)
        killer.join()
    assert len(killed) >= 2
    assert_same(path, whole)


# poison


def tried(file):
    with open(file, "a") as lines:
        lines.write("x")


def poison(row, how, folder):
    """On reading a row, note it and do something terrible."""

    def act():
        tried(folder / str(row))
        how()

    return row, act


def raise_it():
    raise RuntimeError("<b>poison</b>")


class Awkward(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")
        self.file = open(os.devnull)


def raise_awkward():
    raise Awkward("not to be", "pickled")


WAYS = {
    "an exception": (raise_it, "RuntimeError: <b>poison</b>"),
    "an exception that cannot be sent": (raise_awkward, "not to be pickled"),
    "an exit": (lambda: os._exit(7), "WorkerDied: its worker ended with exit code 7"),
    "a kill": (
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        "WorkerDied: its worker ended with exit code -9",
    ),
    "memory": (lambda: np.ones(10**15), "MemoryError|Unable to allocate"),
}


@pytest.mark.parametrize("way", WAYS)
def test_two_poison_partitions_are_set_aside_after_three_tries_and_made_when_cured(
    path, whole, tmp_path, way
):
    how, said = WAYS[way]
    (notes := tmp_path / "notes").mkdir()
    rows = poisoned_rows()
    ill = Toy(on_read=dict(poison(row, how, notes) for row in rows))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        catalogue = make(path, ill, workers=2, told=True)
    told = [str(w.message) for w in told if w.category is UserWarning]
    assert {row: (notes / str(row)).read_text() for row in rows} == dict.fromkeys(rows, "xxx")
    names = {hats.Pixel(line["order"], line["pixel"]).path for line in catalogue.set_aside}
    assert len(told) == len(names) == 2
    assert all(
        any(name in text and "set aside" in text and "run again" in text for text in told) for name in names
    )
    assert all(re.search(said, text) for text in told)
    lost = {100 + row for row in rows}
    assert lost.isdisjoint(catalogue.id[:]) and len(catalogue) == 120 - sum(
        line["rows"] for line in catalogue.set_aside
    )
    assert Catalogue(path).check() == []
    assert {name: whole[name] for name in tree(path) if "Npix" in name} == {
        name: digest for name, digest in tree(path).items() if "Npix" in name
    }
    make(path, workers=2)
    assert_same(path, whole)


def poisoned_rows():
    """Rows of two partitions that are not among those which are looked at first."""
    tasks = plan(Toy(), partition_rows=ROWS)
    return int(tasks[1].rows[-1]), int(tasks[-1].rows[0])


def test_poison_in_what_is_looked_at_first_is_set_aside_too(path, whole):
    first = int(plan(Toy(), partition_rows=ROWS)[0].rows[0])
    for how in (raise_it, lambda: os._exit(3)):
        with pytest.warns(UserWarning, match="set aside"):
            catalogue = make(path, Toy(on_read={first: how}), workers=1, told=True)
        assert len(catalogue.set_aside) == 1
    make(path)
    assert_same(path, whole)


def test_what_is_wrong_with_all_is_raised_at_once_and_writes_nothing(path):
    with pytest.raises(RuntimeError, match="poison"):
        make(path, Toy(on_read=dict.fromkeys(range(120), raise_it)), workers=2)
    assert not path.exists()


@pytest.mark.parametrize("busy", [True, False])
def test_no_worker_outlives_its_parent(path, busy):
    def wait():
        if busy:
            while True:  # holds on to the interpreter
                sum(range(10**5))
        time.sleep(60)

    source = Toy(on_read={int(row): wait for row in range(30, 120)})
    child = forked(lambda: engines_only(source, path))
    workers = until(lambda: len(found := children_of(child)) == 2 and found)
    time.sleep(0.3)
    os.kill(child, signal.SIGKILL)
    ended(child)
    assert workers and until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 5)


def engines_only(source, path):
    """Workers on two tasks, one of which waits and one of which ends at once."""
    tasks = [np.array([99]), np.array([1])]
    list(engines.run([Task(rows) for rows in tasks], Read(source), workers=2))


class Task:
    def __init__(self, rows):
        self.rows = rows


class Read:
    def __init__(self, source):
        self.source = source

    def __call__(self, task, tell):
        self.source.read(task.rows)
        return {}


# what grows, and what else may be


def test_a_source_of_a_notebook_and_a_model_in_training_work_with_workers(path):
    code = """if True:
    import numpy as np, galnb
    from galnb.models import AE
    from galnb.sources.base import Source
    class Mine(Source):
        bands = ("r",)
        id = np.arange(70)
        def read_rows(self, rows):
            pixels = self.light * np.ones((len(rows), 1, 28, 28)) * rows[:, None, None, None] / 70
            return galnb.Images(pixels, self.id[rows], ("r",))
    mine, model = Mine(), AE(("r",), 28, 2, (16, 16, 16))
    mine.light = 1
    model.train()
    survey = galnb.encode(mine, model, path, workers=2, partition_rows=20)
    assert not survey.set_aside and len(survey) == 70 and mine.__module__ == "__main__"
    again = galnb.encode(mine.read(), model).z
    assert np.allclose(survey.z[survey.rows_of(range(70))], again, atol=2e-3)
    """
    exec(code, {"__name__": "__main__", "path": path})


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_does_not_grow_with_the_number_of_galaxies(tmp_path, workers):
    def peak(n):
        """Megabytes of this process and of its largest worker."""
        read, write = os.pipe()

        def run():
            source = Endless(n)
            encode(source, PCA(BANDS, 32, 3), tmp_path / f"{n}.hats", workers=workers, partition_rows=1000)
            who = resource.RUSAGE_CHILDREN if workers else resource.RUSAGE_SELF
            os.write(write, str(resource.getrusage(who).ru_maxrss / 1024).encode())

        assert ended(forked(run)) == 0
        return float(os.read(read, 100))

    peak(2000)
    few, many = peak(4000), peak(24_000)  # 16 MB and 98 MB of pixels
    assert many < few + 30


class Endless(Source):
    bands = BANDS

    def __init__(self, n):
        super().__init__()
        self.id = np.arange(n)

    def read_rows(self, rows):
        pixels = np.full((len(rows), 1, 32, 32), 0.5, dtype=np.float32)
        return Images(pixels, self.id[rows], self.bands)
