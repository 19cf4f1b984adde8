import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from galnb import disk
from galnb.errors import CannotWrite, GalnbError
from galnb.latents import Latents
from galnb.neighbors import Neighbors
from galnb.store import Store

XY = np.random.default_rng(0).normal(size=(1000, 2)).astype("f4")


@pytest.fixture
def small(tmp_path):
    """A disk of 64 kB; skips where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("not allowed to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_file_is_there_whole_with_its_folders_and_nothing_beside_it(tmp_path):
    path = disk.write(tmp_path / "a" / "b" / "file", b"all of it")
    assert path.read_bytes() == b"all of it" and os.listdir(path.parent) == ["file"]
    assert disk.write(path, lambda unfinished: unfinished.write_bytes(b"other")).read_bytes() == b"other"


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = disk.write(tmp_path / "file", b"old")

    def fail(unfinished):
        unfinished.write_bytes(b"half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        disk.write(path, fail)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_each_new_folder_is_synced_into_the_one_above(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(disk, "sync", synced.append)
    disk.folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    disk.folder(tmp_path / "a" / "b")
    assert len(synced) == 2


@pytest.mark.parametrize(
    "number, todo",
    [
        (errno.ENOSPC, "No space left.*free some space"),
        (errno.EDQUOT, "quota.*free some space"),
        (errno.EROFS, "Read-only.*choose a folder"),
        (errno.EACCES, "Permission denied.*choose a folder"),
    ],
)
def test_a_disk_that_takes_nothing_is_one_line_with_what_to_do(tmp_path, monkeypatch, number, todo):
    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(CannotWrite, match=f"{tmp_path}/file: .*{todo}") as caught:
        disk.write(tmp_path / "file", b"x")
    assert "\n" not in str(caught.value) and isinstance(caught.value, GalnbError | OSError)
    assert not os.listdir(tmp_path)


def test_other_errors_of_the_disk_are_not_hidden(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as caught:
        disk.write(tmp_path / "folder", b"x")
    assert not isinstance(caught.value, CannotWrite)


def test_a_disk_that_is_full_keeps_what_was_there(small):
    path = disk.write(small / "file", b"old")
    with pytest.raises(CannotWrite, match="free some space and run it again"):
        disk.write(path, os.urandom(2**17))
    assert path.read_bytes() == b"old" and os.listdir(small) == ["file"]
    latents = Latents(np.arange(9), np.eye(9))
    with pytest.raises(CannotWrite, match="free some space"):
        Latents(np.arange(10_000), np.random.default_rng(0).normal(size=(10_000, 9))).write(
            small / "z.parquet"
        )
    assert len(Latents.read(latents.write(small / "z.parquet"))) == 9


def test_a_line_that_found_no_room_is_left_out_and_the_next_one_counts(small):
    journal = disk.Journal(small / "journal.jsonl")
    journal.add({"kept": 1})
    (small / "filler").write_bytes(bytes(2**16 - 4096))
    with pytest.raises(CannotWrite, match="free some space"):
        for _ in range(40):
            journal.add({"text": "x" * 1000})
    before = journal.lines()
    assert before[0] == {"kept": 1} and all(len(entry.get("text", "x" * 1000)) == 1000 for entry in before)
    (small / "filler").unlink()
    journal.add({"kept": 2})
    assert journal.lines() == [*before, {"kept": 2}]


ENTRIES = [{"pixel": 1, "text": "é\n\u2028"}, {"pixel": 2}, {"pixel": 3, "of": [1, 2.5, None, "x"]}]


@pytest.fixture
def journal(tmp_path):
    journal = disk.Journal(tmp_path / "journal.jsonl")
    for entry in ENTRIES:
        journal.add(entry)
    return journal


def test_a_journal_gives_its_lines_back(journal):
    assert journal.lines() == ENTRIES and journal.path.read_bytes().count(b"\n") == 3
    assert disk.Journal(journal.path.with_name("none")).lines() == []


def test_a_journal_that_is_torn_anywhere_keeps_its_whole_lines_and_takes_new_ones(journal):
    data = journal.path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for length in range(len(data)):
        journal.path.write_bytes(data[:length])
        whole = ENTRIES[: sum(end <= length for end in ends)]
        assert journal.lines() == whole
        journal.add({"pixel": 9})
        found = journal.lines()
        # a line that lacked nothing but its end is whole again
        assert found[-1] == {"pixel": 9} and found[:-1] in (whole, ENTRIES[: len(whole) + 1])


def test_a_flipped_byte_of_a_journal_costs_its_line_and_never_changes_one(journal):
    data = journal.path.read_bytes()
    for place in range(len(data)):
        for bit in (1, 4, 32, 128):
            journal.path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
            found = journal.lines()
            assert len(found) in (1, 2) and all(entry in ENTRIES for entry in found)


def test_a_killed_writer_leaves_whole_lines_and_the_old_file(tmp_path):
    code = """if True:
    import sys; from pathlib import Path; from galnb import disk
    folder = Path(sys.argv[1]); journal = disk.Journal(folder / "journal.jsonl"); print("go", flush=True)
    for k in range(10**6):
        disk.write(folder / "file", b"%07d" % k * 10_000)
        journal.add({"k": k})
    """
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    child.stdout.readline()
    time.sleep(0.4)
    child.kill()
    child.wait()
    child.stdout.close()
    found = [entry["k"] for entry in disk.Journal(tmp_path / "journal.jsonl").lines()]
    data = Path(tmp_path, "file").read_bytes()
    assert found == list(range(len(found))) and len(found) > 3
    assert data == data[:7] * 10_000 and int(data[:7]) - found[-1] in (0, 1)


# what somebody else prepared


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A cache folder that a teacher prepared, with a map in it, and an empty one of one's own."""
    made = Store.stream(lambda row: [XY[row:]], tmp_path / "shared" / "maps" / "disc")
    assert made.n == len(XY)
    (tmp_path / "shared" / "hubble.parquet").write_bytes(b"prepared")
    monkeypatch.setenv("GALNB_SHARED", str(tmp_path / "shared"))
    monkeypatch.setenv("GALNB_CACHE", str(tmp_path / "own"))
    return tmp_path / "shared"


def opened():
    """The map as a kernel gets it: made only where it is not there."""

    def chunks(row):
        raise AssertionError("the map was made again")

    return Store.stream(chunks, disk.cache_folder() / "maps" / "disc")


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_shared_cache_is_used_where_it_lies_and_never_written_to(shared):
    before, store = files_of(shared), opened()
    assert os.stat(store.folder / "x").st_ino == os.stat(shared / "maps" / "disc" / "x").st_ino
    assert (disk.cache_folder() / "hubble.parquet").read_bytes() == b"prepared"

    store.add("size", np.arange(len(XY)))
    disk.write(disk.cache_folder() / "hubble.parquet", b"one's own")
    assert files_of(shared) == before
    assert (
        "size" in opened().columns and (disk.cache_folder() / "hubble.parquet").read_bytes() == b"one's own"
    )


def test_of_a_shared_cache_only_what_is_finished_counts(shared):
    (shared / "maps" / "begun").mkdir()
    (shared / "maps" / "begun" / "journal.jsonl").write_bytes(disk.sealed({"galnb": "store"}))
    (shared / "maps" / ".half.tmp").mkdir()
    assert os.listdir(disk.cache_folder() / "maps") == ["disc"]


def test_what_is_gone_from_a_shared_cache_is_made_by_oneself(shared):
    opened()
    shutil.rmtree(shared / "maps")
    (shared / "hubble.parquet").unlink()
    assert os.listdir(disk.cache_folder()) == ["maps"] and not os.listdir(disk.cache_folder() / "maps")
    store = Store.stream(lambda row: [XY[row:]], disk.cache_folder() / "maps" / "disc")
    assert store.n == len(XY) and not (store.folder / "x").is_symlink()


def test_a_map_of_ones_own_stays_ones_own(shared):
    own = disk.cache_folder() / "maps" / "mine"
    Store.stream(lambda row: [XY[row:]], own)
    shutil.copytree(shared / "maps" / "disc", shared / "maps" / "mine")
    disk.cache_folder()
    assert not (own / "x").is_symlink()


def test_a_shared_search_index_is_believed_by_the_key_beside_it(shared, monkeypatch):
    latents = Latents(np.arange(len(XY)), XY)
    monkeypatch.setenv("GALNB_CACHE", str(shared))
    made = Neighbors(latents, kind="ivf").receipt()
    monkeypatch.setenv("GALNB_CACHE", str(shared.with_name("own")))
    monkeypatch.setattr(Neighbors, "_build", lambda *_: pytest.fail("the index was built again"))
    assert Neighbors(latents, kind="ivf").receipt() == made
