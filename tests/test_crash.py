"""A catalogue is the same, byte for byte, whatever happened while it was made."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from galnb import builder, disk, engines, hats
from galnb.catalogue import Catalogue
from galnb.encoding import encode
from galnb.errors import BadInput, CannotWrite
from galnb.images import Images
from galnb.models import PCA
from galnb.sources.base import Source

BANDS, SIZE, ROWS = ("r",), 8, 20
warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)


class Toy(Source):
    """Galaxies all over the sky whose pixels hang on their number; what happens on reading one is told."""

    bands = BANDS

    def __init__(self, n=120, on_read=None, seconds=0.0):
        super().__init__()
        self.id, self.on_read, self.seconds = np.arange(n) + 100, on_read or {}, seconds

    def positions(self):
        rng = np.random.default_rng(1)
        return rng.uniform(0, 360, len(self)), np.degrees(np.arcsin(rng.uniform(-1, 1, len(self))))

    def read_rows(self, rows):
        time.sleep(self.seconds)
        for row in rows:
            if int(row) in self.on_read:
                self.on_read[int(row)]()
        pixels = np.random.default_rng(2).random((len(self), 1, SIZE, SIZE), dtype=np.float32)[rows]
        places = (values[rows] for values in self.positions())
        return Images(pixels, self.id[rows], self.bands, *places, table={"twice": 2.0 * rows})


def model():
    found = PCA(BANDS, SIZE, 3)
    found.components.copy_(found.components.new_tensor(np.eye(3, SIZE**2)))
    return found


def make(path, source=None, workers=0, **options):
    with warnings.catch_warnings():
        if not options.pop("told", False):
            warnings.simplefilter("error", UserWarning)
        options = {"partition_rows": ROWS, "batch": 8, **options}
        return encode(source or Toy(), model(), path, workers=workers, **options)


def tree(path):
    """The sha256 of every file of a folder."""
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run writes."""
    catalogue = make(tmp_path_factory.mktemp("whole") / "survey.hats")
    assert len(catalogue) == 120 and len(catalogue._parts.pixels) > 10
    return tree(catalogue.path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "survey.hats"


def forked(run, *, alone=False):
    """The id of a child process that does `run`; it ends with 0, or 1 after an exception."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if alone:
            os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
        code = 0
    except KeyboardInterrupt:
        code = 2
    finally:
        os._exit(code)


def ended(child):
    """The exit code of a child process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def children_of(process):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process and state != "Z":
            found.append(int(stat.parent.name))
    return found


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def assert_same(path, whole):
    assert tree(path) == whole
    catalogue = Catalogue(path)
    assert catalogue.check() == [] and sorted(catalogue.id[:]) == list(range(100, 220))
    beside = {file.name for file in path.parent.iterdir() if file.name.startswith(f".{path.name}")}
    assert not beside


# kill -9


def points(tmp_path):
    """The name of every point of the commit protocol, in the order of a run."""
    names = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "point", names.append)
        make(tmp_path / "counted.hats")
    return names


def kill_at(number):
    passed = iter(range(10**9))

    def point(name):
        if next(passed) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return point


def test_a_kill_at_any_point_of_the_commit_protocol_changes_nothing(tmp_path, whole, path, monkeypatch):
    names = points(tmp_path)
    assert set(names) == {"written", "synced", "renamed", "kept", "journal", "journaled", "published"}
    # each point of the beginning, of the second partition, and of the end; of others alike, some
    first, last = names.index("written"), len(names) - 1 - names[::-1].index("journaled")
    chosen = [*range(first + 13), *range(first + 13, last, 11), *range(last, len(names))]
    for number in chosen:
        shutil.rmtree(path, ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(disk, "point", kill_at(number))
            assert ended(forked(lambda: make(path))) == -signal.SIGKILL, names[number]
        if names[number] != "published":
            assert not (path / "hats.properties").exists() or number > last, "published before it was whole"
        make(path)
        assert_same(path, whole)


def test_kills_at_point_after_point_of_one_run_change_nothing(whole, path):
    kills = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(disk, "point", kill_at(9 + kills))
            if ended(forked(lambda: make(path))) == 0:
                break
        kills += 1
        assert kills < 100
    assert kills > 5
    assert_same(path, whole)


def killed_at_random(path, whole, kills, rng, *, workers=2, **options):
    """Kill a run and begin it again at once, `kills` times in all; every one that ends is compared."""
    begun = time.monotonic()
    make(path.with_name("timed.hats"), workers=workers, **options)
    duration, ends = time.monotonic() - begun, 0
    while kills:
        child = forked(lambda: make(path, workers=workers, **options))
        time.sleep(rng.uniform(0, 1.1 * duration))
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
        code = ended(child)
        assert code in (0, -signal.SIGKILL)
        kills -= code != 0
        if code == 0:
            assert_same(path, whole)
            ends += 1
            if rng.random() < 0.7:
                shutil.rmtree(path)
    make(path, workers=workers, **options)
    assert_same(path, whole)
    return ends


def test_kills_at_random_moments_change_nothing(whole, path):
    killed_at_random(path, whole, 12, np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_two_hundred_kills_at_random_moments_change_nothing(whole, path, workers):
    ends = killed_at_random(path, whole, 200, np.random.default_rng(workers), workers=workers)
    print(f"200 kills with {workers} workers, {ends + 1} runs that came to an end, each byte-identical")


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


# Ctrl-C, and two at once


def test_an_interrupt_ends_it_at_once_without_a_word_from_workers(path, whole, capfd):
    slow = Toy(seconds=0.2)
    child = forked(lambda: make(path, slow, workers=2), alone=True)
    until(lambda: len(disk.Journal(path / "journal.jsonl").lines()) > 2)
    os.killpg(child, signal.SIGINT)
    begun = time.monotonic()
    assert ended(child) == 2 and time.monotonic() - begun < 3 and not children_of(child)
    assert capfd.readouterr().err == ""
    assert len(list(path.rglob("Npix=*.parquet"))) >= 2
    make(path)
    assert_same(path, whole)


def test_a_second_process_is_refused_while_the_first_one_works(path, whole):
    child = forked(lambda: make(path, Toy(seconds=0.02), workers=2))
    until(lambda: (path / "journal.jsonl").exists())
    with pytest.raises(BadInput, match="another process writes it at this moment; wait"):
        make(path)
    assert ended(child) == 0
    assert_same(path, whole)


# what is there already


def test_a_finished_catalogue_is_not_made_again(path, whole, monkeypatch):
    make(path)
    times = {file: file.stat().st_mtime_ns for file in path.rglob("Npix=*.parquet")}
    tries = Counter()
    make(path, Toy(on_read={row: lambda row=row: tries.update([row]) for row in range(120)}))
    assert sum(tries.values()) <= ROWS  # what it looks at first
    assert {file: file.stat().st_mtime_ns for file in times} == times
    assert_same(path, whole)


class Brighter(Toy):
    def read_rows(self, rows):
        images = super().read_rows(rows)
        return images.with_pixels(2 * images.pixels)


def other_weights():
    found = model()
    found.components += 1
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"source": Toy(121)},
        {"dtype": "int8"},
        {"batch": 9},
        {"partition_rows": 5},
        {"model": other_weights()},
        {"model": PCA(BANDS, SIZE, 2)},
        {"source": Brighter().read()},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_catalogue_is_refused_and_not_touched(path, change, finished):
    given = {"source": Toy().read(), "model": model(), "batch": 8, "partition_rows": ROWS, "workers": 0}
    encode(given.pop("source"), given.pop("model"), path, **given)
    if not finished:
        (path / hats.PROPERTIES).unlink()
        next(path.rglob("Npix=*.parquet")).unlink()
    before = tree(path)
    given = {"source": Toy().read(), "model": model(), **given, **change}
    with pytest.raises(
        BadInput, match="survey.hats: a catalogue of other galaxies, model or options is there"
    ):
        encode(given.pop("source"), given.pop("model"), path, **given)
    assert tree(path) == before


@pytest.mark.parametrize("there", ["a folder", "a file", "a foreign catalogue"])
def test_something_else_is_refused_and_not_touched(path, there):
    if there == "a file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / ("thesis.tex" if there == "a folder" else "hats.properties")).write_text("hats_builder=me\n")
    before = path.read_text() if there == "a file" else tree(path)
    with pytest.raises(BadInput, match="survey.hats: (something else|a file) is there"):
        make(path)
    assert (path.read_text() if there == "a file" else tree(path)) == before


def test_an_empty_folder_will_do(path, whole):
    path.mkdir()
    make(path)
    assert_same(path, whole)


# damage is mended by making it again


@contextmanager
def spoilt(file, data):
    good = file.read_bytes()
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data(good))
    yield good


def flipped(place, bit):
    return lambda data: (
        data[: place % len(data)] + bytes([data[place % len(data)] ^ bit]) + data[place % len(data) + 1 :]
    )


def test_whatever_is_damaged_is_mended_in_its_place(path, whole):
    make(path)
    rng = np.random.default_rng(7)
    ways = [
        None,
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        *(flipped(int(rng.integers(10**6)), 1 << int(rng.integers(8))) for _ in range(3)),
    ]
    for k, name in enumerate(whole):
        for way in ways if "Npix" not in name or k < 2 else ways[k % len(ways) :][:1]:
            with spoilt(path / name, way):
                try:
                    assert Catalogue(path).check() == [str(path / name)]
                except BadInput as error:
                    assert name in str(error) or way is None
                make(path)
                assert_same(path, whole)


def test_a_flip_in_the_manifest_costs_one_partition_and_not_all(path, whole):
    make(path)
    data = (path / hats.MANIFEST).read_bytes()
    lines = data.splitlines(keepends=True)
    place = len(lines[0]) + len(lines[1]) // 2
    (path / hats.MANIFEST).write_bytes(flipped(place, 4)(data))
    times = {file: file.stat().st_mtime_ns for file in path.rglob("Npix=*.parquet")}
    make(path)
    assert sum(file.stat().st_mtime_ns != then for file, then in times.items()) == 1
    assert_same(path, whole)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that was killed after five partitions."""
    folder = tmp_path_factory.mktemp("begun") / "survey.hats"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "point", kill_at(34))
        assert ended(forked(lambda: make(folder))) == -signal.SIGKILL
    assert len(disk.Journal(folder / "journal.jsonl").lines()) > 4
    return folder


def test_a_journal_torn_or_flipped_anywhere_is_resumed(begun, path, whole):
    size = (begun / "journal.jsonl").stat().st_size
    rng = np.random.default_rng(3)
    ways = [lambda data, k=k: data[:k] for k in (0, 1, 40, *rng.integers(0, size, 8))]
    ways += [flipped(int(k), 1 << int(rng.integers(8))) for k in (3, *rng.integers(0, size, 8))]
    ways += [
        lambda data: data + data,
        lambda data: b"\xff" * 100 + b"\n" + data,
        lambda data: data + b'{"order": 1'[:7],
    ]
    for way in ways:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(begun, path)
        with spoilt(path / "journal.jsonl", way):
            make(path)
        assert_same(path, whole)


def test_partitions_that_were_damaged_after_a_stop_are_made_again(begun, path, whole):
    shutil.copytree(begun, path)
    files = sorted(path.rglob("Npix=*.parquet"))
    files[0].write_bytes(flipped(999, 8)(files[0].read_bytes()))
    files[1].unlink()
    files[2].write_bytes(b"")
    (files[3].parent / ".Npix=3.parquet.12345678.tmp").write_bytes(b"half")
    make(path)
    assert_same(path, whole)


def test_an_unfinished_catalogue_says_so(begun):
    with pytest.raises(BadInput, match="no hats.properties; it is unfinished: run what made it again"):
        Catalogue(begun)


def test_what_other_versions_began_is_finished_and_told_apart(begun, path, whole, monkeypatch):
    from galnb import survey

    shutil.copytree(begun, path)
    monkeypatch.setattr(survey, "versions", lambda: {"torch": "99"})
    catalogue = make(path)
    parts = builder.read_manifest(path)["partitions"]
    newer = [line.get("versions") == {"torch": "99"} for line in parts]
    assert 0 < sum(newer) < len(parts) and catalogue.meta["versions"]["torch"] != "99"
    assert {name: digest for name, digest in tree(path).items() if "Npix" in name} == {
        name: digest for name, digest in whole.items() if "Npix" in name
    }


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
    assert len(killed) > 3
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
    import re

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
    from galnb.tasks import plan

    tasks = plan(Toy(), partition_rows=ROWS)
    return int(tasks[1].rows[-1]), int(tasks[-1].rows[0])


def test_poison_in_what_is_looked_at_first_is_set_aside_too(path, whole):
    from galnb.tasks import plan

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


# the disk


@pytest.fixture
def small(tmp_path):
    """A disk of 64 kB that can be made larger and read-only; skips where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True).returncode == 0

    if not mount("size=64k"):
        pytest.skip("not allowed to mount a small disk")
    folder_and_mount = folder, mount
    yield folder_and_mount
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_is_one_clear_error_and_the_next_run_goes_on(small, whole, workers):
    folder, mount = small
    path = folder / "survey.hats"
    with pytest.raises(
        CannotWrite, match="No space left on device; all .* is kept: free some space and run"
    ) as caught:
        make(path, workers=workers)
    assert "\n" not in str(caught.value)
    kept = {file: file.stat().st_mtime_ns for file in path.rglob("Npix=*.parquet")}
    assert kept and not list(path.rglob(".*.tmp"))
    assert mount("remount", "size=4m")
    make(path, workers=workers)
    assert all(file.stat().st_mtime_ns == then for file, then in kept.items())
    assert_same(path, whole)


def test_a_disk_that_is_full_at_any_point_is_one_clear_error(tmp_path, whole, path, monkeypatch):
    def full_at(number):
        passed = iter(range(10**9))

        def point(name):
            if next(passed) == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return point

    for number in (0, 2, 3, 6, 10, 15, 16, 17, 21):
        monkeypatch.setattr(disk, "point", full_at(number))
        with pytest.raises(CannotWrite, match="free some space"):
            make(path)
    monkeypatch.undo()
    make(path)
    assert_same(path, whole)


def test_a_read_only_disk_is_one_clear_error_and_what_is_there_can_be_read(small, whole):
    folder, mount = small
    path = folder / "survey.hats"
    mount("remount", "size=4m")
    make(path)
    file = next(path.rglob("Npix=*.parquet"))
    file.write_bytes(b"damaged")
    mount("remount", "ro")
    for target in (path, folder / "other.hats"):
        with pytest.raises(
            CannotWrite, match="Read-only file system; all .*: choose a folder that you may write"
        ):
            make(target, workers=2)
    with pytest.warns(UserWarning, match="is damaged"):
        assert np.isfinite(Catalogue(path).z[:]).all(axis=1).sum() > 90
    mount("remount", "rw")
    make(path)
    assert_same(path, whole)


# what grows, and what else may be


def test_a_source_of_a_notebook_and_a_model_in_training_work_with_workers(tmp_path):
    code = f"""if True:
    import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
    import numpy as np, galnb
    from galnb.sources.base import Source
    from galnb.models import AE
    class Mine(Source):
        bands = ("r",)
        id = np.arange(70)
        def read_rows(self, rows):
            if hasattr(self, "secret"):
                pixels = np.ones((len(rows), 1, 28, 28)) * rows[:, None, None, None] / 70
                return galnb.Images(pixels, self.id[rows], ("r",))
    mine, model = Mine(), AE(("r",), 28, 2, (16, 16, 16))
    mine.secret = 1
    model.train()
    survey = galnb.encode(mine, model, "survey.hats", workers=2, partition_rows=20)
    again = galnb.encode(mine.read(), model).z
    assert np.allclose(survey.z[survey.rows_of(range(70))], again, atol=2e-3) and len(survey) == 70
    """
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_does_not_grow_with_the_number_of_galaxies(tmp_path, workers):
    import resource

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
