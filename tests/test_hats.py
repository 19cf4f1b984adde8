import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galnb import hats
from galnb.builder import DTYPES, partition
from galnb.catalogue import Catalogue
from galnb.errors import BadInput
from galnb.hats import Pixel
from galnb.latents import Latents
from tests.often import often

RNG = np.random.default_rng(3)


def survey(n=500, **columns):
    """Latents of galaxies all over the sky."""
    places = {"ra": RNG.uniform(0, 360, n), "dec": np.degrees(np.arcsin(RNG.uniform(-1, 1, n)))}
    return Latents(RNG.permutation(n) + 7, RNG.normal(size=(n, 5)), Table({**places, **columns}))


# the numbers


def test_the_index_is_that_of_hats():
    compute = pytest.importorskip("hats.pixel_math.spatial_index").compute_spatial_index
    ra = np.concatenate([RNG.uniform(0, 360, 1000), [0, 360, 45, 45, -10, 370]])
    dec = np.concatenate([np.degrees(np.arcsin(RNG.uniform(-1, 1, 1000))), [90, -90, 0, 41.8103, 5, 5]])
    assert np.array_equal(hats.index(ra, dec), compute(ra % 360, dec))


def test_a_place_of_an_index_is_within_a_milliarcsecond():
    ra, dec = RNG.uniform(0, 360, 100), RNG.uniform(-89, 89, 100)
    back = hats.position(hats.index(ra, dec))
    apart = [hats.separation([a], [b], c, d)[0] for a, b, c, d in zip(*back, ra, dec, strict=True)]
    assert max(apart) < 1e-3


def test_what_has_no_place_lies_where_its_name_says_evenly_over_the_sky():
    ids = np.arange(4000)
    found = hats.place(ids)
    assert np.array_equal(found, hats.place(ids.astype(str))) and len(np.unique(found)) == 4000
    counts = np.bincount(found >> 58, minlength=12)
    assert abs(counts - 4000 / 12).max() < 5 * np.sqrt(4000 / 12)
    ra, dec = np.full(4000, np.nan), np.zeros(4000)
    ra[::2] = 10
    dec[4], dec[6] = np.nan, 91
    mixed = hats.place(ids, ra, dec)
    odd = np.isin(ids, [4, 6]) | (ids % 2 == 1)
    assert np.array_equal(mixed[odd], found[odd]) and (mixed[~odd] == hats.index([10], [0])).all()


@pytest.mark.parametrize("most", [1, 7, 100, 10_000])
def test_partitions_hold_every_row_once_in_order_and_no_more_than_they_may(most):
    healpix = hats.index(RNG.uniform(0, 30, 3000), RNG.uniform(-10, 10, 3000))
    parts = hats.split(healpix, most)
    rows = np.concatenate([rows for _, rows in parts])
    assert np.array_equal(np.sort(rows), np.arange(3000)) and (np.diff(healpix[rows]) >= 0).all()
    for pixel, inside in parts:
        low, high = pixel.span
        assert low <= healpix[inside].min() and healpix[inside].max() < high
        assert len(inside) <= most or pixel.order == hats.FINEST
        # no smaller than it must be
        above = pixel.number >> 2 << 2 * (hats.ORDER - pixel.order) + 2
        if pixel.order:
            next_to = (healpix >= above) & (healpix < above + (4 << 2 * (hats.ORDER - pixel.order)))
            assert next_to.sum() > most


def test_all_at_one_point_are_one_partition_of_the_finest_order_in_their_order():
    ((pixel, rows),) = hats.split(np.full(50, hats.index([10], [0])[0]), 3)
    assert pixel.order == hats.FINEST and np.array_equal(rows, np.arange(50))
    assert hats.split(np.zeros(0, dtype=int), 3) == []


@pytest.mark.parametrize("number, folder", [(0, 0), (9_999, 0), (10_000, 10_000), (123_456, 120_000)])
def test_paths_are_those_of_hats(number, folder):
    paths = pytest.importorskip("hats.io.paths")
    UPath = pytest.importorskip("upath").UPath
    known = paths.pixel_catalog_file(
        UPath("/x"), pytest.importorskip("hats.pixel_math").HealpixPixel(9, number)
    )
    assert str(known) == f"/x/{Pixel(9, number).path}" and f"Dir={folder}/" in str(known)


def test_positions_are_taken_in_whatever_case_and_unit_and_text_is_told():
    table = Table({"RA": [15.0, np.nan], "Dec": np.ma.array([2.0, 3.0], mask=[False, True])})
    ra, dec = hats.sky(table)
    np.testing.assert_array_equal(ra, [15, np.nan])
    np.testing.assert_array_equal(dec, [2, np.nan])
    hours = Table({"ra": [1.0], "dec": [0.1]}, units={"ra": "hourangle", "dec": "rad"})
    np.testing.assert_allclose(np.concatenate(hats.sky(hours)), [15, np.degrees(0.1)])
    assert hats.sky(Table({"ra": [1.0]})) is None and hats.sky(Table({"ra": [np.nan], "dec": [0.0]})) is None
    with pytest.raises(BadInput, match="column 'ra'.*wanted degrees; convert it"):
        hats.sky(Table({"ra": ["12:00:00"], "dec": [1.0]}))


# the columns


COLUMNS = {
    "small": np.arange(6, dtype=np.int16),
    "large": np.arange(6) + 2**60,
    "unsigned": np.arange(6, dtype=np.uint64) + 2**63,
    "big-endian": np.arange(6, dtype=">f8"),
    "float": np.array([1.5, np.nan, np.inf, -np.inf, 0, -1], dtype=np.float32),
    "half": np.array([1.5, np.nan, 3, 4, 0, -1], dtype=np.float16),
    "flag": np.array([True, False, True, True, False, False]),
    "masked": np.ma.array(np.arange(6), mask=[0, 1, 0, 0, 1, 0]),
    "masked flag": np.ma.array([True] * 6, mask=[0, 1, 0, 0, 1, 0]),
    "masked text": np.ma.array(["a", "bb", "ccc", "", "e", "f"], mask=[0, 1, 0, 0, 1, 0]),
    "text": np.array(["<b>bold</b>", "<img src=x onerror=alert(1)>", "", "é 银河", 'a,"b"\n', "=1+1"]),
    "bytes": np.array([b"a", b"bc", b"", b"d", b"e", b"long enough"]),
    "objects": np.array(["a", None, "c", "", "e", "f"], dtype=object),
    "five bands": np.arange(30.0).reshape(6, 5),
    "counts": np.arange(12, dtype=np.int32).reshape(6, 2),
    "masked pairs": np.ma.array(np.arange(12).reshape(6, 2), mask=np.eye(6, 2, dtype=bool)),
    "texts": np.array([["a", "bb"], ["<i>", "é"]] * 3),
    "flags": np.array([[True, False, True]] * 6),
    "nothing": np.ma.masked_all(6),
}


@pytest.mark.parametrize(
    "name, dtype", [*((name, "float16") for name in COLUMNS), ("masked", "int8"), ("text", "float32")]
)
def test_a_column_of_any_type_comes_back(tmp_path, name, dtype):
    given = COLUMNS[name]
    latents = Latents(np.arange(6), np.eye(6), Table({name: given}, units={name: "nJy"}))
    catalogue = Catalogue(latents.write(tmp_path / "x.hats", dtype=dtype))
    rows = catalogue.rows_of(np.arange(6))
    found, lazy = catalogue.select(np.arange(6)).table[name], catalogue.table[name]
    given = np.ma.masked_equal(given, None) if given.dtype.kind == "O" else given
    wanted = np.ma.asarray(given.astype(str) if given.dtype.kind in "SO" else given)
    if given.dtype.kind == "f":
        wanted = np.ma.asarray(np.ma.filled(wanted, np.nan))
    np.testing.assert_array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(wanted))
    assert all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in [(np.ma.asarray(found).compressed(), wanted.compressed())]
    )
    assert found.dtype.kind == wanted.dtype.kind == lazy.dtype.kind and found.unit == "nJy" == lazy.unit
    if found.dtype.kind != "U":
        assert found.dtype == wanted.dtype.newbyteorder("=") == lazy.dtype
    assert lazy.shape == (6, *given.shape[1:]) and lazy[rows].shape == given.shape
    assert sum(map(len, catalogue.chunks(name))) == 6


@pytest.mark.parametrize(
    "ids",
    [
        np.array([587722982829850805 + i for i in range(6)]),
        np.array([2**64 - 1 - i for i in range(6)], dtype=np.uint64),
        np.array(["b", "a", "é", "longer name", "0", "<script>"]),
    ],
    ids=lambda ids: ids.dtype.str,
)
def test_ids_of_either_kind_come_back_and_are_found(tmp_path, ids):
    latents = Latents(ids, RNG.normal(size=(6, 3)))
    catalogue = Catalogue(latents.write(tmp_path / "x.hats", dtype="float32"))
    assert set(catalogue.id[:].tolist()) == set(ids.tolist())
    back = catalogue.select(ids[::-1])
    assert back.id.tolist() == ids[::-1].tolist() and np.array_equal(back.z, latents.z[::-1])
    with pytest.raises(KeyError, match="no object has the id"):
        catalogue.rows_of(np.array([ids[0], "nowhere" if ids.dtype.kind == "U" else 12], dtype=ids.dtype))


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 300.0, 6e4])
def test_latents_come_back_within_the_error_that_their_type_states(tmp_path, scale):
    z = (RNG.normal(size=(200, 7)) * scale).astype(np.float32).clip(-6.5e4, 6.5e4)
    z[3] = 0
    latents = Latents(np.arange(200), z)
    wide, half, small = (
        Catalogue(latents.write(tmp_path / f"{dtype}.hats", dtype=dtype)).select(np.arange(200)).z
        for dtype in ("float32", "float16", "int8")
    )
    assert np.array_equal(wide, z)
    assert (abs(half - z) <= np.maximum(abs(z) * 2.0**-11, 2.0**-25)).all()
    most = abs(z).max(axis=1, keepdims=True)
    assert (abs(small - z) <= most / 127 / 2 * 1.001).all() and np.array_equal(small[3], z[3])


@often(60)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 4)),
        elements=st.floats(-65504, 65504, width=32),
    )
)
def test_any_latents_come_back_within_the_error_that_their_type_states(z):
    n, nowhere = len(z), np.full(len(z), np.nan)
    rows = {
        dtype: partition(np.arange(n), np.arange(n), nowhere, nowhere, z, Table(), dtype=dtype)
        for dtype in DTYPES
    }
    kept = {
        dtype: table["z"].combine_chunks().flatten().to_numpy().reshape(z.shape).astype(np.float64)
        for dtype, table in rows.items()
    }
    scale = rows["int8"]["z_scale"].to_numpy()[:, None].astype(np.float64)
    most = np.abs(z).max(axis=1, keepdims=True)
    assert np.array_equal(kept["float32"], z)
    assert (np.abs(kept["float16"] - z) <= np.maximum(np.abs(z) * 2.0**-11, 2.0**-25)).all()
    assert (np.abs(kept["int8"] * scale - z) <= np.maximum(most / 127 / 2 * 1.001, 1e-44)).all()


def test_a_latent_without_a_number_stays_so_and_one_too_large_is_named(tmp_path):
    z = RNG.normal(size=(5, 3)).astype(np.float32)
    z[1, 2], z[4] = np.nan, [np.inf, 1, 2]
    latents = Latents([f"g{i}" for i in range(5)], z)
    half = Catalogue(latents.write(tmp_path / "half.hats")).select(latents.id).z
    np.testing.assert_allclose(half, z, atol=2e-3)
    small = Catalogue(latents.write(tmp_path / "small.hats", dtype="int8")).select(latents.id).z
    assert np.isnan(small[[1, 4]]).all() and np.allclose(small[[0, 2, 3]], z[[0, 2, 3]], atol=0.02)
    z[2, 0] = -7e4
    with pytest.raises(
        BadInput, match="id g2: a latent is -70000, float16 ends at 65504; take dtype='float32'"
    ):
        latents.write(tmp_path / "far.hats")
    with pytest.raises(ValueError, match="dtype='float61'.*did you mean 'float16'"):
        latents.write(tmp_path / "far.hats", dtype="float61")


@pytest.mark.parametrize("name", ["z_scale", "id", "z"])
def test_a_column_with_a_name_that_the_layout_needs_is_refused(name):
    columns = Table({name: np.zeros(3)})
    with pytest.raises(BadInput, match=f"column '{name}'.*rename_column"):
        partition(np.arange(3), np.arange(3), *np.zeros((2, 3)), np.eye(3), columns)


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 2, 2)), np.array([1j, 2, 3]), np.array([{}, 1, "x"], dtype=object)]
)
def test_a_column_that_parquet_cannot_hold_is_named(bad):
    with pytest.raises(BadInput, match="column 'odd'.*take it out with table.remove_column"):
        partition(np.arange(3), np.arange(3), *np.zeros((2, 3)), np.eye(3), Table({"odd": bad}))


def test_the_index_of_another_survey_is_not_believed():
    columns = Table({"_healpix_29": [1, 1, 1], "RA": [9.0, 9, 9]})
    table = partition(np.array([5, 6, 7]), np.arange(3), *np.zeros((2, 3)), np.eye(3), columns)
    assert table["_healpix_29"].to_pylist() == [5, 6, 7] and "RA" not in table.column_names


def test_positions_in_columns_of_any_case_place_the_rows(tmp_path):
    latents = Latents([1, 2], np.eye(2), Table({"RA": [10.0, 200.0], "DEC": [20.0, -30.0]}))
    catalogue = Catalogue(latents.write(tmp_path / "x.hats"))
    assert catalogue.columns == ("ra", "dec")
    rows, apart = catalogue.near(200, -30)
    assert catalogue.id[rows].tolist() == [2] and apart[0] < 1e-6


# the standard, by its own readers


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    latents = survey(500, name=[f"<b>é{i}</b>" for i in range(500)], mag=RNG.normal(size=(500, 5)))
    return latents, latents.write(tmp_path_factory.mktemp("hats") / "survey.hats", dtype="float16")


@pytest.fixture(scope="module")
def lsdb():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("lsdb")


def test_hats_reads_the_catalogue_unchanged(written):
    latents, path = written
    catalog = pytest.importorskip("hats").read_hats(path)
    ours = Catalogue(path)
    assert catalog.catalog_info.total_rows == 500 == len(ours)
    assert [(p.order, p.pixel) for p in catalog.get_healpix_pixels()] == ours.partitions.pixels
    validate = pytest.importorskip("hats.io.validation").is_valid_catalog
    assert validate(path, strict=True, verbose=False)


def test_every_partition_is_sorted_and_its_index_is_where_its_rows_are(written):
    _, path = written
    compute = pytest.importorskip("hats.pixel_math.spatial_index").compute_spatial_index
    for file in path.rglob("Npix=*.parquet"):
        table = pq.read_table(file)
        index = table["_healpix_29"].to_numpy()
        assert (np.diff(index) >= 0).all()
        assert np.array_equal(index, compute(table["ra"].to_numpy(), table["dec"].to_numpy()))


def test_the_metadata_files_tell_what_the_partitions_do(written):
    _, path = written
    joined, schema = pq.read_metadata(path / hats.METADATA), pq.read_schema(path / hats.SCHEMA)
    files = sorted({joined.row_group(k).column(0).file_path for k in range(joined.num_row_groups)})
    assert files == sorted(str(f.relative_to(path / "dataset")) for f in path.rglob("Npix=*.parquet"))
    assert joined.num_rows == 500 and schema.field("z").type == pa.list_(pa.field("element", pa.float16()), 5)


def test_lsdb_gives_the_rows_the_latents_and_the_right_ones_of_a_cone(written, lsdb):
    latents, path = written
    catalog = lsdb.open_catalog(path)
    frame = (
        catalog.compute(progress_bar=False)
        if "progress_bar" in catalog.compute.__code__.co_varnames
        else catalog.compute()
    )
    assert len(frame) == 500 == len(catalog)
    z = np.array(frame["z"].tolist(), dtype=np.float32)
    order = latents.rows_of(frame["id"].to_numpy())
    np.testing.assert_allclose(z, latents.z[order], atol=3e-3)
    assert frame["name"].tolist() == latents.table["name"][order].tolist()
    inside = catalog.cone_search(ra=100, dec=20, radius_arcsec=30 * 3600).compute()
    wanted = hats.separation(latents["ra"], latents["dec"], 100, 20) <= 30 * 3600
    assert wanted.sum() > 10 and set(inside["id"]) == set(latents.id[wanted].tolist())


@pytest.mark.parametrize("which", ["the collection", "its catalogue"])
def test_what_lsdb_writes_of_it_is_opened_as_a_catalogue(written, lsdb, tmp_path, which):
    latents, path = written
    lsdb.open_catalog(path).write_catalog(tmp_path / "copy", catalog_name="copy")
    copy = Catalogue(tmp_path / "copy" / ("" if which == "the collection" else "copy"))
    ours = Catalogue(path)
    assert len(copy) == 500 and copy.check() == [] and copy.meta == {} and copy.hash() != ours.hash()
    back = copy.select(latents.id)
    assert np.array_equal(back.z, ours.select(latents.id).z) and list(back["name"]) == list(latents["name"])
    rows, apart = copy.near(latents["ra"][3], latents["dec"][3])
    assert copy.id[rows[0]] == latents.id[3] and apart[0] < 1e-6


def test_a_catalogue_made_by_hand_is_opened_by_its_own_column_names(tmp_path):
    n = 40
    ra, dec = RNG.uniform(0, 40, n), RNG.uniform(1, 40, n)
    healpix = hats.index(ra, dec)
    for pixel, rows in hats.split(healpix, 10):
        lists = [[float(k), 2.0] if k % 5 else None for k in rows]
        columns = {
            "z": pa.array(lists, pa.list_(pa.float32(), 2)),
            "objRA": ra[rows], "objDec": dec[rows], "_healpix_29": healpix[rows],
            "shape": pa.array([{"id": 1, "b": 2.0}] * len(rows)),
            "id": pa.array([f"n{k}" for k in rows], pa.large_string()),
        }  # fmt: skip
        file = tmp_path / pixel.path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
    pixels = [pixel for pixel, _ in hats.split(healpix, 10)]
    (tmp_path / "partition_info.csv").write_bytes(hats.partition_info(pixels[::-1]))
    (tmp_path / "hats.properties").write_text("# by hand\nhats_col_ra = objRA\nhats_col_dec=objDec\n")
    catalogue = Catalogue(tmp_path)
    assert len(catalogue) == n and catalogue.latent_dim == 2
    rows = catalogue.rows_of(["n7", "n5", "n39"])
    assert catalogue.z[rows][0].tolist() == [7, 2] and np.isnan(catalogue.z[rows][1]).all()
    near, _ = catalogue.near(ra[7], dec[7])
    assert rows[0] in near


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda path: (path / "hats.properties").unlink(), "no hats.properties; wanted a HATS catalogue"),
        (lambda path: (path / "partition_info.csv").unlink(), "not readable as a HATS catalogue"),
        (lambda path: (path / "partition_info.csv").write_text("a,b\n1,2\n"), "not readable as a HATS"),
        (lambda path: next(path.rglob("*.parquet")).write_bytes(b"PAR1"), "not readable as a HATS"),
        (lambda path: next(path.rglob("*.parquet")).unlink(), "parquet: not readable: it is nothing there"),
    ],
)
def test_a_foreign_catalogue_that_lacks_something_is_bad_input(written, tmp_path, spoil, said):
    _, path = written
    for pixel in Catalogue(path).partitions.pixels:
        (tmp_path / pixel.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / pixel.path).write_bytes((path / pixel.path).read_bytes())
    (tmp_path / "hats.properties").write_text("hats_col_ra=ra\nhats_col_dec=dec\n")
    (tmp_path / "partition_info.csv").write_bytes((path / "partition_info.csv").read_bytes())
    assert len(Catalogue(tmp_path)) == 500
    spoil(tmp_path)
    with pytest.raises(BadInput, match=said):
        Catalogue(tmp_path)


def test_a_catalogue_without_latents_says_what_it_has_instead(tmp_path):
    file = tmp_path / Pixel(0, 4).path
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"_healpix_29": [1], "id": [1], "z": [0.3]}), file)
    (tmp_path / "partition_info.csv").write_bytes(hats.partition_info([Pixel(0, 4)]))
    (tmp_path / "hats.properties").write_text("hats_nrows=1\n")
    with pytest.raises(BadInput, match="its columns are _healpix_29, id, z; wanted an id, and lists"):
        Catalogue(tmp_path)
