import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galnb import stored
from galnb.errors import BadInput
from galnb.stored import Stored, at, find, take
from tests.often import often

N = 60_000
VALUES = np.random.default_rng(0).permutation(N).astype("<i4")
PAIRS = np.stack([VALUES, -VALUES], axis=1).astype("<f4")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    VALUES.tofile(folder / "values")
    PAIRS.tofile(folder / "pairs")
    VALUES.astype("i1").tofile(folder / "bytes")
    return folder


@pytest.fixture(scope="module", params=["pread", "seek"])
def arrays(files, request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "seek":  # as on Windows
            patch.delattr(os, "preadv")
        patch.setattr(stored, "PIECE", 1 << 16)
        on_disk = [("values", "<i4"), ("pairs", ("<f4", (2,))), ("bytes", "i1")]
        yield [
            (Stored(files / name, kind, N), known)
            for (name, kind), known in zip(on_disk, (VALUES, PAIRS, VALUES.astype("i1")), strict=True)
        ]


cuts = st.lists(st.integers(0, N), max_size=16).map(lambda edges: np.sort(edges)[: len(edges) // 2 * 2])


@often(60)
@given(cuts)
def test_stretches_are_those_of_the_array(arrays, edges):
    runs = np.array(edges, dtype=np.int64).reshape(-1, 2)
    inside = np.concatenate([np.arange(a, b) for a, b in runs] or [np.zeros(0, int)])
    for array, known in arrays:
        assert np.array_equal(take(array, runs), known[inside])
        assert np.array_equal(take(known, runs), known[inside])


@often(60)
@given(st.lists(st.integers(0, N - 1), max_size=30))
def test_places_are_those_of_the_array_in_their_order(arrays, places):
    places = np.array(places, dtype=int)
    for array, known in arrays:
        assert np.array_equal(at(array, places), known[places]) and np.array_equal(
            at(known, places), known[places]
        )
    runs = np.stack([np.sort(places) // 100 * 100, np.sort(places) // 100 * 100 + 100], axis=1)
    wanted = VALUES[np.sort(places)]
    for array in (arrays[0][0], VALUES):
        assert np.array_equal(find(array, runs, wanted), np.sort(places))
        assert (find(array, runs, wanted + N) == -1).all()


def test_a_file_of_another_size_is_refused_and_one_that_shrinks_is_noticed(files, tmp_path):
    with pytest.raises(BadInput, match="it has 240000 bytes, wanted 240004"):
        Stored(files / "values", "<i4", N + 1)
    with pytest.raises(BadInput, match="build the map again"):
        Stored(files / "nothing", "<i4", 1)
    VALUES.tofile(tmp_path / "shrinks")
    array = Stored(tmp_path / "shrinks", "<i4", N)
    os.truncate(tmp_path / "shrinks", 1000)
    with pytest.raises(BadInput, match="it ends at byte 1000"):
        array.read(200, 300)
