import json

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from galnb.errors import BadInput
from galnb.latents import Latents
from galnb.provenance import versions
from tests.often import often

META = {"model": "PCA", "config": {"bands": ["i", "r"], "latent_dim": 3}, "versions": versions()}


def catalogue(n=6, ids=None, table=None):
    z = np.random.default_rng(0).normal(size=(n, 3))
    table = Table({"flux": np.arange(n) + 0.5}, units={"flux": "nJy"}) if table is None else table
    return Latents(np.arange(n)[::-1] * 10 if ids is None else ids, z, table, META)


@pytest.mark.parametrize(
    "ids", [None, [587722982829850805 + i for i in range(6)], ["b", "a", "é", "longer name", "0", "-1"]]
)
def test_parquet_gives_back_ids_latents_units_and_provenance(tmp_path, ids):
    latents = catalogue(ids=ids)
    back = Latents.read(latents.write(tmp_path / "catalogue.parquet"))
    assert np.array_equal(back.id, latents.id) and back.id.dtype.kind == latents.id.dtype.kind
    assert back.z.dtype == np.float32 and np.array_equal(back.z, latents.z)
    assert back.table["flux"].unit == "nJy" and np.array_equal(back["flux"], latents["flux"])
    assert back.meta == json.loads(json.dumps(META)) and back.hash() == latents.hash()


@pytest.mark.parametrize(
    "column",
    [
        np.array(["spiral", "<img src=x onerror=alert(1)>", "", "é", "a", "b"]),
        np.array([b"a", b"bc", b"", b"d", b"e", b"f"]),
        np.array([True, False, True, True, False, False]),
        np.array([1, 2, 3, 4, 5, 2**60]),
        np.array([1.5, np.nan, np.inf, -1, 0, 1], dtype=np.float32),
        np.arange(6, dtype=">f8"),  # as FITS tables have them
        np.arange(6, dtype=">i4"),
    ],
    ids=lambda c: c.dtype.str,
)
def test_a_column_of_any_type_survives(tmp_path, column):
    back = Latents.read(catalogue(table=Table({"x": column})).write(tmp_path / "x.parquet"))
    wanted = column.astype(str) if column.dtype.kind == "S" else column
    assert back["x"].dtype == wanted.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back["x"], wanted)


@pytest.mark.parametrize("values", [["a", "b", "c"], [1, 2, 3], [True, False, True], [1.0, 2.0, 3.0]])
def test_what_is_masked_does_not_come_back_as_a_value(tmp_path, values):
    table = Table({"x": np.ma.array(values, mask=[False, True, False])})
    back = Latents.read(catalogue(3, table=table).write(tmp_path / "x.parquet")).table["x"]
    assert list(back.mask) == [False, True, False]
    assert back.dtype == np.array(values).dtype and [back[0], back[2]] == [values[0], values[2]]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NAMES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6, unique=True),
    st.lists(TEXT.filter(bool), min_size=1, max_size=6, unique=True),
)


@st.composite
def catalogues(draw):
    """Latents of any names, numbers (NaN and infinite ones, too) and columns."""
    ids = draw(NAMES)
    n = len(ids)
    z = draw(arrays(np.float32, (n, draw(st.integers(1, 4)))))
    kinds = [np.float32, np.float64, np.int16, np.int64, np.bool_]
    columns = {"text": draw(st.lists(TEXT, min_size=n, max_size=n))}
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=3)):
        columns[f"{np.dtype(kind)}"] = draw(
            arrays(kind, (n, *draw(array_shapes(max_dims=1, max_side=3))[1:]))
        )
    return Latents(ids, z, Table(columns), META)


@often(60)
@given(catalogues())
def test_whatever_is_in_a_catalogue_is_read_back(tmp_path_factory, latents):
    path = latents.write(tmp_path_factory.mktemp("any") / "x.parquet")
    back = Latents.read(path)
    assert back.id.tolist() == latents.id.tolist() and back.hash() == latents.hash()
    np.testing.assert_array_equal(back.z, latents.z)
    for name in latents.table.colnames:
        assert back[name].dtype == latents[name].dtype
        np.testing.assert_array_equal(back[name], latents[name])


def test_an_empty_catalogue_is_written_and_read(tmp_path):
    back = Latents.read(catalogue(0).write(tmp_path / "x.parquet"))
    assert len(back) == 0 and back.latent_dim == 3 and back.columns == ("flux",)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_bad_input_that_names_it(tmp_path, share):
    path = catalogue(200, ids=np.arange(200)).write(tmp_path / "catalogue.parquet")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadInput, match="catalogue.parquet.*Latents.write"):
        Latents.read(path)


def test_a_flipped_byte_never_gives_other_latents(tmp_path):
    latents = catalogue(50, ids=np.arange(50))
    path = latents.write(tmp_path / "x.parquet")
    data = path.read_bytes()
    for place in range(4, len(data) // 2, 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            assert Latents.read(path).hash() == latents.hash()
        except BadInput as error:
            assert "x.parquet" in str(error)


def test_a_file_of_others_or_none_is_bad_input(tmp_path):
    import pandas as pd

    pd.DataFrame({"id": [1], "z": [0.5]}).to_parquet(tmp_path / "foreign.parquet")
    for name in ("foreign.parquet", "absent.parquet"):
        with pytest.raises(BadInput, match=name):
            Latents.read(tmp_path / name)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = catalogue().write(tmp_path / "x.parquet")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="'stamp'.*wanted numbers in one row"):
        catalogue(table=Table({"stamp": np.zeros((6, 2, 2))})).write(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "ids, z, table, reason",
    [
        ([1, 2], np.zeros((3, 2)), Table(), "2 ids, 3 latents"),
        ([1, 2, 3], np.zeros((3, 2)), Table({"a": [1]}), "3 latents, 1 table rows"),
        ([1, 1, 2], np.zeros((3, 2)), Table(), "ids repeat"),
        ([1, 2, 3], np.zeros(3), Table(), r"\(3,\), wanted \(n, d\)"),
        ([1, 2, 3], np.zeros((3, 2)), Table({"z": [0.1, 0.2, 0.3]}), "column 'z'.*rename"),
        ([1, 2, 3], np.zeros((3, 2)), Table({"id": [1, 2, 3]}), "column 'id'.*rename"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_error(ids, z, table, reason):
    with pytest.raises(BadInput, match=reason):
        Latents(ids, z, table)


def test_objects_come_by_id_in_the_order_asked():
    latents = catalogue()
    picked = latents.select([0, 50, 20])
    assert list(picked.id) == [0, 50, 20] and list(picked["flux"]) == [5.5, 0.5, 3.5]
    assert np.array_equal(picked.z, latents.z[[5, 0, 3]]) and picked.meta == META
    with pytest.raises(KeyError, match="7"):
        latents.select([0, 7])


def test_a_missing_column_is_told_with_those_that_are_there():
    with pytest.raises(KeyError, match="'fluks'; the columns are: flux"):
        catalogue()["fluks"]


def test_the_table_has_ids_columns_units_and_latents():
    latents = catalogue()
    table = latents.to_table()
    assert table.colnames == ["id", "flux", "z"] and table["flux"].unit == "nJy" and table.meta == META
    assert np.array_equal(table["z"], latents.z) and np.array_equal(table["id"], latents.id)


def test_holoviews_counts_every_galaxy_once():
    latents = Latents(np.arange(500), np.random.default_rng(1).normal(size=(500, 4)))
    assert int(latents.to_holoviews(dynamic=False).data["Count"].sum()) == 500


def test_a_column_of_a_few_numbers_a_galaxy_survives(tmp_path):
    magnitudes = np.ma.array(np.arange(6.0).reshape(3, 2), mask=[[0, 1], [0, 0], [0, 0]])
    flags = np.arange(9, dtype=">i4").reshape(3, 3)
    latents = Latents(np.arange(3), np.eye(3), Table({"mag": magnitudes, "flags": flags}))
    again = Latents.read(latents.write(tmp_path / "z.parquet"))
    assert np.ma.getmaskarray(again.table["mag"]).tolist() == magnitudes.mask.tolist()
    assert again.table["mag"].tolist() == magnitudes.tolist() and np.array_equal(again["flags"], flags)


@pytest.mark.parametrize("place", [5, 700, -4, -9, -200, -600])
def test_any_flipped_byte_of_the_file_is_found(tmp_path, place):
    path = catalogue().write(tmp_path / "catalogue.parquet")
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
    with pytest.raises(BadInput, match="catalogue.parquet"):
        Latents.read(path)
