import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from galnb.errors import BadInput
from galnb.export import KINDS, export


@pytest.fixture
def table():
    found = Table({"id": ["a", "<b>", 'é,"'], "distance": np.array([0.0, 0.5, 1.5], dtype=np.float32)})
    found["distance"].unit = "mag"
    found["magnitudes"] = np.arange(6.0).reshape(3, 2)
    found["redshift"] = MaskedColumn([0.1, 0.2, 0.3], mask=[False, True, False])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_astropy_and_pyarrow_read_the_same_back(table, tmp_path, kind):
    path = export(table, tmp_path / f"near{kind}")
    if kind == ".parquet":
        import pyarrow.parquet as pq

        found = pq.read_table(path)
        assert found["id"].to_pylist() == list(table["id"]) and found["redshift"].null_count == 1
        assert found.schema.field("distance").metadata == {b"unit": b"mag"}
        return
    found = Table.read(path, format="ascii.csv" if kind == ".csv" else "votable")
    assert [str(name) for name in found["id"]] == list(table["id"])
    assert np.array_equal(found["distance"], table["distance"]) and found["redshift"].mask.tolist() == [
        0,
        1,
        0,
    ]
    if kind == ".csv":
        assert np.array_equal(found["magnitudes_1"], table["magnitudes"][:, 1])
    else:
        assert str(found["distance"].unit) == "mag" and np.array_equal(
            found["magnitudes"], table["magnitudes"]
        )


def test_another_ending_is_refused_and_nothing_is_written(table, tmp_path):
    with pytest.raises(BadInput, match=".csv, .vot, .parquet"):
        export(table, tmp_path / "near.pickle")
    assert not list(tmp_path.iterdir())
