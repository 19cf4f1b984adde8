"""A taste of `python -m tests.torture kills faults properties`, and the disturbances that have a name."""

import argparse
import copyreg
import errno
import os
import pickle
import sys

import numpy as np
import pytest
import torch

from galnb import checkpoints, disk
from galnb.catalogue import Catalogue
from galnb.errors import BadInput, BadWeights, CannotWrite, OutOfMemory, WorkerDied, enough_memory
from galnb.sources import Folder
from galnb.stored import Stored
from tests.torture import faults, kills, properties
from tests.toys import make

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits, users and audit of paths are Linux's")


def tasted(part, count: int | None, kind: str | None = None, seed: int = 1) -> dict:
    rows = list(part.tortured(argparse.Namespace(count=count, seed=seed, kind=kind, one=None)))
    assert not [fault for row in rows for fault in row.faults]
    return {row.kind: row for row in rows}


@LINUX
def test_training_and_encoding_go_on_after_any_kill_to_the_same_bytes():
    rows = tasted(kills, 8)
    assert set(rows) == set(kills.KINDS)
    assert all(row.tried == row.clean == row.child_deaths > 3 for row in rows.values())
    assert {"written", "synced", "renamed", "kept"} <= set(rows["training, points"].by)
    assert {"journal", "journaled", "published"} <= set(rows["encoding, points"].by)


@LINUX
@pytest.mark.parametrize("work", ["training", "encoding, 2 workers", "votes", "maps"])
def test_a_work_that_is_struck_says_so_loses_nothing_and_goes_on(work):
    rows = tasted(faults, 1, f": {work}")
    assert len(rows) >= 6 and sum(row.refused for row in rows.values()) >= 4


def test_each_property_is_tried_as_often_as_was_asked():
    rows = tasted(properties, 101, "stretches")
    assert rows["stretches"].tried == 4 * 101 and set(rows["stretches"].by.values()) == {101}


# disks that are gone


@pytest.mark.parametrize("number", sorted(disk.GONE))
def test_a_disk_that_is_gone_is_one_line_with_what_to_do(tmp_path, monkeypatch, number):
    def gone(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", gone)
    with pytest.raises(CannotWrite, match="all that .* is kept: bring its disk or network folder back"):
        disk.write(tmp_path / "file", b"x")


def test_a_survey_that_is_moved_away_while_it_is_made_is_not_begun_anew_in_its_place(tmp_path, monkeypatch):
    path, passed = tmp_path / "survey.hats", iter(range(10**9))

    def moved(name):
        if next(passed) == 24:
            path.rename(tmp_path / "elsewhere")

    monkeypatch.setattr(disk, "point", moved)
    with pytest.raises(CannotWrite, match="survey.hats.*bring its folder back"):
        make(path)
    assert not list(path.rglob("hats.properties"))


def test_a_catalogue_whose_folder_is_gone_says_so_and_is_not_called_damaged(tmp_path):
    catalogue = make(tmp_path / "survey.hats")
    catalogue.path.rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="Npix=.*bring its disk or folder back"):
        catalogue.z[:]
    (tmp_path / "elsewhere").rename(catalogue.path)
    assert np.isfinite(catalogue.z[:]).all() and catalogue.damaged == []


def test_a_catalogue_that_cannot_be_reached_is_one_clear_error(tmp_path, monkeypatch):
    path, real = make(tmp_path / "survey.hats").path, os.stat

    def stale(place, *given, **more):
        if str(place).startswith(str(path)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(place, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stale)
        with pytest.raises(
            BadInput, match="survey.hats: not readable.*bring its disk or network folder back"
        ):
            Catalogue(path)
    assert len(Catalogue(path)) == 120


def test_a_checkpoint_that_cannot_be_reached_is_not_taken_for_none_nor_for_a_damaged_one(
    tmp_path, monkeypatch
):
    path = tmp_path / "run"
    checkpoints.write(path, {"x": torch.zeros(3)}, run="{}", of="{}")

    def stale(*given, **more):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stale)
        with pytest.raises(CannotWrite, match="bring its disk"):
            checkpoints.there(path)
    with monkeypatch.context() as patch:
        patch.setattr("io.open", stale)
        with pytest.raises(BadWeights, match="bring its disk back") as caught:
            checkpoints.read(path)
    assert "delete" not in str(caught.value)
    assert checkpoints.there(path) and checkpoints.read(path)[1]["run"] == "{}"


# files that become shorter below their reader: of a memory map, the end of the process


@pytest.mark.parametrize("shape", [(400, 1, 32, 32), (400, 32, 32, 3), (400, 32, 32)])
@pytest.mark.parametrize("kind", [".npy", ".npz"])
def test_an_array_that_is_cut_off_while_it_is_open_is_a_bad_input(tmp_path, monkeypatch, shape, kind):
    monkeypatch.setattr("galnb.sources.arrays.LARGE", 1000)
    path, values = tmp_path / f"a{kind}", np.random.default_rng(0).random(shape, dtype=np.float32)
    np.save(path, values) if kind == ".npy" else np.savez(path, images=values)
    source = Folder(path)
    wanted = values[[7, 399, 3]] if len(shape) == 4 else values[[7, 399, 3], None]
    wanted = np.moveaxis(wanted, 3, 1) if wanted.shape[-1] == 3 else wanted
    assert np.array_equal(source.read([7, 399, 3]).pixels, wanted)
    again = pickle.loads(pickle.dumps(source))  # as Dask sends it to its workers
    assert np.array_equal(again.read([7, 399, 3]).pixels, wanted)
    os.truncate(path, path.stat().st_size // 2)
    assert np.array_equal(source.read([7, 3]).pixels, wanted[[0, 2]])
    with pytest.raises(BadInput, match="a.np.: damaged: it ends at byte .*; copy it again"):
        source.read([399])


def test_a_map_on_a_disk_that_is_gone_is_a_bad_input(tmp_path, monkeypatch):
    np.arange(9.0).tofile(tmp_path / "x")
    stored = Stored(tmp_path / "x", "<f8", 9)

    def gone(*given):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Stored, "_got", gone)
    with pytest.raises(BadInput, match="Input/output error.*bring its disk back"):
        stored.read(0, 3)


# memory


@pytest.mark.parametrize(
    "want", [lambda: np.ones(1 << 50), lambda: torch.ones(1 << 50), lambda: bytearray(1 << 62)]
)
def test_memory_that_ends_is_one_line_with_what_to_do_whoever_asked_for_it(want):
    with (
        pytest.raises(
            OutOfMemory, match="encoding: there is not enough memory .*: take a smaller batch"
        ) as caught,
        enough_memory("encoding", "take a smaller batch"),
    ):
        want()
    assert str(caught.value).isprintable() and isinstance(caught.value, MemoryError)
    again = copyreg.__newobj__(OutOfMemory, *caught.value.args)  # as Dask's own way of pickling errors does
    for other in (again, pickle.loads(pickle.dumps(caught.value))):
        assert str(other) == str(caught.value)


def test_other_errors_are_not_taken_for_a_want_of_memory():
    with pytest.raises(RuntimeError, match="^size mismatch$"), enough_memory("encoding", "x"):
        raise RuntimeError("size mismatch")


def test_a_worker_that_the_system_ended_says_what_that_means():
    assert "memory is full" in str(WorkerDied.with_code(-9))
    assert "became shorter" in str(WorkerDied.with_code(-7))
    assert str(WorkerDied.with_code(3)).endswith("exit code 3")
