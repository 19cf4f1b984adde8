"""A catalogue is the same, byte for byte, whatever happened while it was made."""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections import Counter

import numpy as np
import pytest

from galnb import builder, disk, hats
from galnb.catalogue import Catalogue
from galnb.encoding import encode
from galnb.errors import BadInput, CannotWrite
from galnb.models import PCA
from tests.toys import (
    BANDS,
    ROWS,
    SIZE,
    Toy,
    assert_same,
    children_of,
    ended,
    forked,
    make,
    model,
    tree,
    until,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run writes."""
    catalogue = make(tmp_path_factory.mktemp("whole") / "survey.hats")
    assert len(catalogue) == 120 and len(catalogue.partitions.pixels) > 10
    return tree(catalogue.path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "survey.hats"


# kill -9


def kill_at(number):
    passed = iter(range(10**9))

    def point(name):
        if next(passed) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return point


class Near(Toy):
    """All in one corner of the sky: few partitions."""

    def positions(self):
        rng = np.random.default_rng(1)
        return rng.uniform(44, 46, len(self)), rng.uniform(-1, 1, len(self))


def test_a_kill_at_any_point_of_the_commit_protocol_changes_nothing(tmp_path, path):
    options = {"source": Near(), "partition_rows": 50}
    names = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "point", names.append)
        whole = tree(make(path, **options).path)
    assert set(names) == {"written", "synced", "renamed", "kept", "journal", "journaled", "published"}
    first, last = names.index("written"), len(names) - 1 - names[::-1].index("journaled")
    # partitions are alike, and so is how the files after them are written, but for the first and the last
    end = [last + k for k in range(-5, 21) if k < 5 or k > 16 or k % 4 == 2]
    for number in [*range(first + 6), *end]:
        shutil.rmtree(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(disk, "point", kill_at(number))
            assert ended(forked(lambda: make(path, **options))) == -signal.SIGKILL, names[number]
        published = names[number:] in (["renamed", "kept", "published"], ["kept", "published"], ["published"])
        assert (path / "hats.properties").exists() == published, names[number:]
        make(path, **options)
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


def test_an_interrupt_while_workers_write_leaves_nothing_unfinished(path, whole):
    def written():
        disk.point = lambda name: time.sleep(60 if name == "written" else 0)
        make(path, workers=2)

    child = forked(written, alone=True)
    assert until(lambda: len(list(path.rglob(".*.tmp"))) == 2)
    os.killpg(child, signal.SIGINT)
    assert ended(child) == 2 and not list(path.rglob(".*.tmp"))
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


def spoil(file, way):
    """Change a file's bytes, or remove it."""
    file.unlink() if way is None else file.write_bytes(way(file.read_bytes()))


def flipped(place, bit):
    def flip(data):
        at = place % len(data)
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]

    return flip


def test_whatever_is_damaged_is_mended_in_its_place(path, whole):
    make(path)
    rng = np.random.default_rng(7)
    flips = [flipped(int(rng.integers(10**6)), 1 << int(rng.integers(8))) for _ in range(2)]
    ways = [None, lambda data: data[: len(data) // 2], lambda data: b"", *flips]
    for k, name in enumerate(whole):
        for way in ways if "Npix" not in name or k < 2 else ways[k % len(ways) :][:1]:
            spoil(path / name, way)
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
    ways = [lambda data, k=k: data[:k] for k in (0, 1, *rng.integers(0, size, 4))]
    ways += [flipped(int(k), 1 << int(rng.integers(8))) for k in (3, *rng.integers(0, size, 4))]
    ways += [lambda data: data + data, lambda data: b"\xff\n" + data, lambda data: data + b'{"or']
    for way in ways:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(begun, path)
        spoil(path / "journal.jsonl", way)
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


@pytest.mark.parametrize("number", [0, 2, 3, 6, 11, 16, 20])
def test_a_disk_that_is_full_at_any_point_is_one_clear_error(whole, path, monkeypatch, number):
    passed = iter(range(10**9))

    def full(name):
        if next(passed) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "point", full)
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
