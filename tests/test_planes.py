"""Maps of catalogues on disk: the same as in memory, kept, and made again when what was damaged is mended."""

import warnings

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from galnb import planes
from galnb.catalogue import Catalogue
from galnb.errors import BadInput
from galnb.latents import Latents
from galnb.planes import plane_and_store
from galnb.session import Session


@pytest.fixture
def latents():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(30_000, 5)) * [5, 3, 1, 0.5, 0.1]
    redshift = MaskedColumn(rng.random(30_000), mask=rng.random(30_000) < 0.1)
    table = Table(
        {"ra": rng.uniform(0, 360, 30_000), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, 30_000)))}
    )
    table["redshift"], table["mag"] = redshift, z[:, 0] + 20
    table["mag"].unit = "mag"
    return Latents(np.arange(30_000), z, table)


@pytest.fixture
def survey(latents, tmp_path, monkeypatch):
    monkeypatch.setenv("GALNB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(planes, "IN_MEMORY", 1000)
    monkeypatch.setattr(planes, "SAMPLE", 20_000)
    return Catalogue(latents.write(tmp_path / "survey.hats", dtype="float32"))


def test_a_pca_map_on_disk_is_that_of_memory_to_what_a_sample_may_turn_it(survey):
    known = Session(survey[:])
    found = Session(survey)
    np.testing.assert_allclose(found.store.bounds, known.store.bounds, rtol=0.05)
    plane, store = plane_and_store(survey, "pca", 0)
    assert np.array_equal(
        store.place(np.arange(50)), plane.place(survey.z[:50])
    )  # each galaxy where it must be
    assert store.n == 30_000 and "%" in plane.axes[0]
    back = plane.place(plane.inverse([(1.0, 2.0)]))
    np.testing.assert_allclose(back, [(1.0, 2.0)], atol=1e-4)


def test_two_columns_make_a_plane_and_what_is_masked_is_left_out(survey):
    session = Session(survey, plane=("redshift", "mag"))
    redshift = np.ma.filled(np.ma.asarray(survey.read("redshift", slice(None))), np.nan)
    assert 0 < np.isnan(redshift).sum() == 30_000 - session.store.n and session.axes == (
        "redshift",
        "mag [mag]",
    )
    session.select_box(0.2, 0.4, -100, 100)
    inside = (redshift.astype("f4") >= 0.2) & (redshift.astype("f4") <= 0.4)  # as points are kept
    assert session.n_selected == inside.sum()
    assert set(session.selection) == set(survey.id[np.flatnonzero(inside)].tolist())


def test_it_is_kept_under_the_catalogues_hash_and_not_read_again(survey, monkeypatch):
    Session(survey)
    monkeypatch.setattr(type(survey), "chunks", lambda *a, **k: pytest.fail("it was read again"))
    assert Session(Catalogue(survey.path)).store.n == 30_000


def test_galaxies_of_a_damaged_partition_are_left_out_and_come_back_when_it_is_mended(survey, latents):
    file = next(survey.path.rglob("Npix=3.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    with pytest.warns(UserWarning, match="Npix=3.parquet"):
        store = Session(Catalogue(survey.path)).store
    assert 20_000 < store.n < 30_000
    latents.write(survey.path, dtype="float32")
    assert file.read_bytes() == whole
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Session(Catalogue(survey.path)).store.n == 30_000


def test_umap_of_very_many_is_refused_with_what_to_do(survey):
    with pytest.raises(BadInput, match="take a part"):
        Session(survey, plane="umap")


def test_the_explorer_opens_a_path_with_the_model_that_made_it(tmp_path, monkeypatch):
    import galnb

    monkeypatch.setenv("GALNB_CACHE", str(tmp_path / "cache"))
    images, _, model = galnb.default_survey(progress=False)
    galnb.encode(images[:40], model, tmp_path / "hubble.hats")
    here = galnb.explore(str(tmp_path / "hubble.hats"))
    assert len(here.session.latents) == 40 and here.decoder.model.config == model.config
    here.session.pick_row(3)
    here.gallery._asked = True
    here.gallery.show()
    here.worker.wait()
    assert here.problem == "" and here.selected().z.shape == (0, 16)
