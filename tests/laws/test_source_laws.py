"""The laws of the source family: every member of the list keeps them."""

import numpy as np
import pytest

from galnb import sources
from galnb.errors import BadInput

# How to build a small one; a newcomer that needs no arguments needs no line here.
OPTIONS = {"simulator": {"n": 6, "size": 32, "noise": 1.0}}


@pytest.fixture(params=sorted(sources.MEMBERS))
def source(request, tmp_path):
    if request.param in ("simulator", "mergers"):
        pytest.importorskip("galsim")
    options = OPTIONS.get(request.param, {})
    if request.param == "folder":
        path = tmp_path / "galaxies.npz"
        pixels = np.random.default_rng(0).integers(0, 255, (6, 30, 30, 3), dtype=np.uint8)
        np.savez(path, images=pixels, galaxy_id=np.arange(6) + 100)
        options = {"path": path}
    return sources.load(request.param, **options)


def test_the_same_rows_twice_give_the_same_pixels(source):
    assert np.array_equal(source.read([4, 1]).pixels, source.read([4, 1]).pixels)


def test_ids_are_unique(source):
    assert len(np.unique(source.id)) == len(source) >= 6


def test_a_slice_of_a_read_is_the_read_of_a_slice(source):
    whole = source.read(slice(0, 6))
    part = source.read(slice(2, 5))
    assert np.array_equal(whole.pixels[2:5], part.pixels)
    assert np.array_equal(whole.id[2:5], part.id)
    assert [list(row) for row in whole.table[2:5]] == [list(row) for row in part.table]


def test_shapes_names_and_scale_are_those_of_the_source(source):
    images = source.read(slice(0, 3))
    assert images.bands == source.bands and images.pixel_scale == source.pixel_scale
    assert images.pixels.dtype == np.float32 and images.pixels.shape[:2] == (3, len(source.bands))
    assert np.array_equal(images.id, source.id[:3])


def test_no_rows_give_no_images(source):
    assert len(source.read([])) == 0


def test_a_row_off_the_end_is_an_error(source):
    with pytest.raises(IndexError):
        source.read([len(source)])


def test_a_bad_row_is_named_and_can_be_skipped_into_quarantine(source, monkeypatch):
    honest = source.read_rows

    def broken(rows):
        if 2 in rows:
            raise BadInput("row 2", "damaged for the test")
        return honest(rows)

    monkeypatch.setattr(source, "read_rows", broken)
    with pytest.raises(BadInput, match="row 2"):
        source.read(slice(0, 4))
    for _ in range(2):
        assert list(source.read(slice(0, 4), skip_bad=True).id) == list(source.id[[0, 1, 3]])
    assert [entry.where for entry in source.quarantine] == ["row 2"]
