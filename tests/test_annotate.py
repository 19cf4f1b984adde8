import os
import signal

import numpy as np
import pytest
from astropy.table import Table

from galnb import disk
from galnb.annotate import annotate
from galnb.catalogue import Catalogue
from galnb.errors import BadInput
from galnb.forest import IsolationForest
from galnb.latents import Latents
from tests.toys import ended, tree


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """2,000 galaxies in many partitions, kept as int8, and the forest that scores them."""
    from galnb.builder import write

    rng = np.random.default_rng(0)
    sky = {"ra": rng.uniform(0, 360, 2000), "dec": rng.uniform(-60, 60, 2000), "flux": rng.random(2000)}
    latents = Latents(np.arange(2000), rng.normal(size=(2000, 6)), Table(sky))
    path = write(tmp_path_factory.mktemp("survey") / "plain.hats", latents, dtype="int8", partition_rows=100)
    catalogue = Catalogue(path)
    assert len(catalogue.partitions.pixels) > 20
    return catalogue, IsolationForest(10).fit(catalogue)


def test_each_galaxy_gets_its_own_score_and_keeps_all_else(survey, tmp_path):
    plain, forest = survey
    scored = annotate(plain, tmp_path / "scored.hats", {"anomaly": forest.score}, batch=33)
    assert scored.columns == (*plain.columns, "anomaly") and len(scored) == len(plain)
    assert np.array_equal(scored.id[:], plain.id[:]) and np.array_equal(scored.z[:], plain.z[:])
    assert np.array_equal(scored.table["flux"][:], plain.table["flux"][:])
    assert np.array_equal(scored.table["anomaly"][:], forest.score(plain.z[:]))
    assert not scored.check() and scored.meta["catalogue"] == plain.hash()


def test_a_column_of_that_name_is_replaced(survey, tmp_path):
    plain, _ = survey
    again = annotate(plain, tmp_path / "again.hats", {"flux": lambda z: z[:, 0]})
    assert sorted(again.columns) == sorted(plain.columns)
    assert np.array_equal(again.table["flux"][:], plain.z[:][:, 0])


@pytest.mark.parametrize("moment", [3, 20, 60])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(survey, tmp_path, moment):
    plain, forest = survey
    whole = tree(annotate(plain, tmp_path / "whole" / "s.hats", {"anomaly": forest.score}).path)
    path = tmp_path / "killed" / "s.hats"
    child = os.fork()
    if not child:
        passed = iter(range(10**9))
        disk.point = lambda name: next(passed) == moment and os.kill(os.getpid(), signal.SIGKILL)
        annotate(plain, path, {"anomaly": forest.score})
        os._exit(0)
    assert ended(child) == -signal.SIGKILL
    done = []

    def counted(z):
        done.append(len(z))
        return forest.score(z)

    annotate(plain, path, {"anomaly": counted})
    assert tree(path) == whole
    assert sum(done) - 64 < len(plain) or moment == 3  # 64: what tells functions apart


def test_what_another_function_gave_is_not_touched(survey, tmp_path):
    plain, forest = survey
    path = annotate(plain, tmp_path / "s.hats", {"anomaly": forest.score}).path
    with pytest.raises(BadInput, match="remove it, or give another folder"):
        annotate(plain, path, {"anomaly": IsolationForest(10, seed=1).fit(plain).score})


def test_a_damaged_partition_is_set_aside_and_done_once_it_is_mended(survey, tmp_path):
    import shutil

    plain, forest = survey
    path = tmp_path / "own.hats"
    shutil.copytree(plain.path, path)
    file = path / plain.partitions.pixels[2].path
    good = file.read_bytes()
    file.write_bytes(good[:-9] + b"X" + good[-8:])
    with pytest.warns(UserWarning, match="damaged"):
        part = annotate(Catalogue(path), tmp_path / "s.hats", {"anomaly": forest.score})
    assert len(part) < len(plain) and len(part.set_aside) == 1
    file.write_bytes(good)
    assert len(annotate(Catalogue(path), tmp_path / "s.hats", {"anomaly": forest.score})) == len(plain)


def test_bad_input_is_refused(survey, tmp_path):
    plain, forest = survey
    with pytest.raises(BadInput, match="a name that a catalogue of latents uses"):
        annotate(plain, tmp_path / "s.hats", {"z": forest.score})
    with pytest.raises(BadInput, match="wanted a value each"):
        annotate(plain, tmp_path / "s.hats", {"anomaly": lambda z: z})
    with pytest.raises(BadInput, match="the catalogue itself"):
        annotate(plain, plain.path, {"anomaly": forest.score})
    with pytest.raises(ValueError, match="wanted at least one"):
        annotate(plain, tmp_path / "s.hats", {})
