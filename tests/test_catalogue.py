import shutil
import threading
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from galnb import catalogue as rooms
from galnb import hats
from galnb.builder import write
from galnb.catalogue import Catalogue
from galnb.errors import BadInput
from galnb.latents import Latents

RNG = np.random.default_rng(5)
N = 1500


def sky(n):
    return RNG.uniform(0, 360, n), np.degrees(np.arcsin(RNG.uniform(-1, 1, n)))


@pytest.fixture(scope="module")
def latents():
    ra, dec = sky(N)
    ra[:600], dec[:600] = RNG.normal(83.6, 0.01, 600), RNG.normal(-5.4, 0.01, 600)  # a cluster
    ra[600:640], dec[600:640] = RNG.uniform(0, 360, 40), RNG.choice([-1, 1], 40) * RNG.uniform(89.99, 90, 40)
    ra[640:660] = np.nan
    table = Table(
        {
            "ra": ra,
            "dec": dec,
            "flux": RNG.normal(size=N),
            "count": RNG.integers(0, 9, N),
            "kind": np.array(["spiral", "<i>", "é"])[RNG.integers(0, 3, N)],
            "bands": RNG.integers(0, 2**40, (N, 3)),
        },
        units={"flux": "nJy"},
    )
    return Latents(RNG.permutation(10 * N)[:N], RNG.normal(size=(N, 6)), table, {"model": "none"})


@pytest.fixture(scope="module")
def path(latents, tmp_path_factory):
    return write(tmp_path_factory.mktemp("catalogue") / "survey.hats", latents, partition_rows=200)


@pytest.fixture
def catalogue(path):
    return Catalogue(path)


@pytest.fixture
def mine(path, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(path, tmp_path / "survey.hats")


def flip(file, place=None, bit=1):
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if place is None else place] ^= bit
    file.write_bytes(data)


# what is in it


def test_it_stands_where_latents_stand(catalogue, latents):
    assert (len(catalogue), catalogue.latent_dim) == (N, 6) and catalogue.meta["model"] == "none"
    assert catalogue.columns == ("ra", "dec", "flux", "count", "kind", "bands") and len(catalogue.table) == N
    assert str(N)[0] in repr(catalogue) and catalogue.check() == [] and catalogue.damaged == []
    assert rooms.read(catalogue.path).id.shape == (N,) and catalogue.left_out == catalogue.set_aside == []
    everything = catalogue[:]
    order = latents.rows_of(everything.id)
    np.testing.assert_allclose(everything.z, latents.z[order], atol=3e-3)
    for name in latents.columns:
        np.testing.assert_array_equal(everything.table[name], latents.table[name][order])
    assert everything.table["flux"].unit == "nJy" and everything.meta == catalogue.meta


def test_rows_are_taken_by_number_slice_mask_and_from_the_end(catalogue):
    z = catalogue.z[:]
    assert z.dtype == np.float32 and catalogue.z[7].shape == (6,) and np.array_equal(catalogue.z[7], z[7])
    for rows in (
        slice(5, 1200, 7),
        [3, 1, 1, 1499],
        np.arange(N) % 5 == 0,
        [-1, -N],
        np.array([], dtype=int),
        [],
    ):
        picked = np.arange(N)[np.asarray(rows, dtype=int) if isinstance(rows, list) else rows]
        assert np.array_equal(catalogue.z[rows], z[picked])
        if len(np.unique(picked)) == len(picked):
            assert np.array_equal(catalogue[rows].z, z[picked])
        assert np.array_equal(catalogue.table["kind"][rows], catalogue.table["kind"][:][picked])
    for wrong in ([N], [-N - 1], np.ones(4, dtype=bool)):
        with pytest.raises(IndexError, match="of a catalogue of 1500 rows|a mask of 4"):
            catalogue.z[wrong]
    with pytest.raises(KeyError, match="no column 'fluks'; the columns are: ra, dec, flux"):
        catalogue.table["fluks"]


@pytest.mark.parametrize("name", ["z", "id", "flux", "kind", "bands"])
@pytest.mark.parametrize("start", [0, 1, 199, N - 1, N])
def test_chunks_are_the_column_from_any_row_on(catalogue, name, start):
    whole = catalogue.read(name, slice(None))
    parts = list(catalogue.chunks(name, start=start))
    assert sum(map(len, parts)) == N - start
    if parts:
        np.testing.assert_array_equal(np.concatenate(parts), whole[start:])


def test_ids_are_found_in_any_order_and_number(catalogue, latents):
    for k in (1, 17, N):
        ids = RNG.permutation(latents.id)[:k]
        assert np.array_equal(catalogue.id[catalogue.rows_of(ids)], ids)
        assert np.array_equal(catalogue.rows_of(ids.astype(str)), catalogue.rows_of(ids))
    assert catalogue.rows_of([]).shape == (0,) and catalogue.select(ids[:3]).id.tolist() == ids[:3].tolist()
    for unknown in (10 * N + 1, -1, "x", 1.5):
        with pytest.raises(KeyError):
            catalogue.rows_of([ids[0], unknown] if isinstance(unknown, int) else [unknown])


@pytest.mark.parametrize(
    "ra, dec, radius",
    [
        (83.6, -5.4, 5), (83.6, -5.4, 60), (83.61, -5.39, 1), (0, 90, 40), (0, -90, 36), (359.999, 0, 7200),
        (0.001, 0.5, 36_000), (120, 30, 180 * 3600), (120, 30, 100 * 3600), (200, 10, 0), (-10, 10, 30_000),
    ],
)  # fmt: skip
def test_a_cone_holds_what_astropy_finds_nearest_first(catalogue, latents, ra, dec, radius):
    rows, apart = catalogue.near(ra, dec, radius_arcsec=radius)
    known = np.isfinite(latents["ra"])
    places = SkyCoord(latents["ra"][known], latents["dec"][known], unit="deg")
    wanted = places.separation(SkyCoord(ra, dec, unit="deg")).arcsec
    inside = wanted <= radius
    assert set(catalogue.id[rows].tolist()) == set(latents.id[known][inside].tolist())
    np.testing.assert_allclose(apart, np.sort(wanted[inside]), atol=1e-4)
    again, same = latents.near(ra, dec, radius_arcsec=radius)
    assert set(latents.id[again].tolist()) == set(catalogue.id[rows].tolist()) and np.allclose(same, apart)


def test_each_galaxy_is_nearest_to_its_own_place(catalogue, latents):
    for k in RNG.permutation(N)[:40]:
        if np.isfinite(latents["ra"][k]):
            rows, apart = catalogue.near(latents["ra"][k], latents["dec"][k])
            assert catalogue.id[rows[0]] == latents.id[k] and apart[0] < 1e-3


def test_only_what_is_asked_for_is_read(catalogue, monkeypatch):
    asked = []
    real = pq.ParquetFile

    class Watched(real):
        def read_row_group(self, k, columns=None, **options):
            asked.append(tuple(columns))
            return super().read_row_group(k, columns=columns, **options)

        def iter_batches(self, *args, columns=None, **options):
            asked.append(tuple(columns))
            return super().iter_batches(*args, columns=columns, **options)

        def read(self, *args, **options):
            raise AssertionError("a whole partition was read")

    monkeypatch.setattr(pq, "ParquetFile", Watched)
    assert catalogue.id.shape == (N,) and catalogue.table["flux"].unit == "nJy" and not asked
    catalogue.table["flux"][[5, 6, 7]]
    assert asked == [("flux",)]
    catalogue.table["flux"][[8]]  # the same piece, kept
    assert asked == [("flux",)]
    catalogue.z[[5]]
    assert asked == [("flux",), ("z",)]
    next(catalogue.chunks("count"))
    assert asked[2:] == [("count",)]
    asked.clear()
    catalogue.rows_of(catalogue.id[[0]])
    assert set(asked) == {("id",)}


def test_a_wide_row_group_is_not_kept_for_ever(latents, tmp_path, monkeypatch):
    from galnb import partitions

    catalogue = Catalogue(write(tmp_path / "x.hats", latents, partition_rows=150))
    monkeypatch.setattr(partitions, "KEPT", 20_000)
    for name in ("z", "flux", "kind"):
        assert np.array_equal(
            catalogue.read(name, np.arange(N)), np.concatenate(list(catalogue.chunks(name)))
        )
        assert sum(part.nbytes for part in catalogue.partitions._kept.values()) <= 20_000


def test_many_threads_read_the_same(catalogue):
    z, wrong = catalogue.z[:], []
    fresh = Catalogue(catalogue.path)

    def look(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            rows = rng.integers(0, N, 30)
            wrong.append(not np.array_equal(fresh.z[rows], z[rows]))

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(wrong) == 120 and not any(wrong)


def test_another_catalogue_has_another_hash_and_a_copy_the_same(path, mine, latents, tmp_path):
    assert Catalogue(mine).hash() == Catalogue(path).hash()
    other = write(tmp_path / "other.hats", latents, dtype="int8", partition_rows=200)
    assert Catalogue(other).hash() != Catalogue(path).hash()


# damage


def test_one_flipped_byte_in_any_partition_is_named_and_the_rest_is_usable(path, mine):
    whole = Catalogue(path)
    z = whole.z[:]
    for at, pixel in enumerate(whole.partitions.pixels):
        file = mine / pixel.path
        good = file.read_bytes()
        flip(file, RNG.integers(len(good)), 1 << RNG.integers(8))
        damaged, here = Catalogue(mine), slice(*whole.partitions.starts[at : at + 2])
        with pytest.warns(
            UserWarning, match=f"{pixel.path} is damaged: its {here.stop - here.start} galaxies"
        ):
            found = damaged.z[:]
        assert np.isnan(found[here]).all() and damaged.damaged == damaged.check() == [str(file)]
        assert np.array_equal(np.delete(found, np.s_[here], 0), np.delete(z, np.s_[here], 0))
        file.write_bytes(good)
    assert Catalogue(mine).check() == []


@pytest.mark.parametrize("at", [0, 3, -1])
def test_every_question_leaves_out_what_is_damaged_and_no_more(path, mine, latents, at):
    whole = Catalogue(path)
    everything, pixel = whole[:], whole.partitions.pixels[at]
    rest = np.ones(N, dtype=bool)
    rest[whole.partitions.starts[:-1][at] : whole.partitions.starts[1:][at]] = False
    flip(mine / pixel.path)
    damaged, ids = Catalogue(mine), everything.id
    with pytest.warns(UserWarning, match="is damaged"):
        assert np.array_equal(damaged[:].id, ids[rest]) and np.isfinite(damaged[:].z).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once
        for name in latents.columns:
            found = damaged.table[name][:]
            np.testing.assert_array_equal(found[rest], everything.table[name][rest])
            gone = np.ma.getmaskarray(found) if found.dtype.kind != "f" else np.isnan(found)
            assert gone[~rest].all() and np.ma.getmaskarray(damaged.id[:])[~rest].all()
            parts = np.ma.concatenate(list(damaged.chunks(name)))
            np.testing.assert_array_equal(parts[rest], everything.table[name][rest])
        assert np.array_equal(damaged.rows_of(ids[rest]), np.flatnonzero(rest))
        with pytest.raises(
            KeyError, match=f"no object has the id .* outside of what is damaged: .*{pixel.path}"
        ):
            damaged.rows_of(ids[~rest])
        rows, _ = damaged.near(0, 0, radius_arcsec=180 * 3600)
        assert set(rows) == set(np.flatnonzero(rest & np.isfinite(everything["ra"])))


@pytest.mark.parametrize("spoil", ["truncated", "empty", "missing", "longer", "of another"])
def test_a_partition_of_other_bytes_is_named_and_the_rest_is_usable(mine, spoil):
    pixels = Catalogue(mine).partitions.pixels
    file = mine / pixels[2].path
    data = file.read_bytes()
    if spoil == "missing":
        file.unlink()
    else:
        other = (mine / pixels[1].path).read_bytes()
        file.write_bytes(
            {"truncated": data[:-9], "empty": b"", "longer": data + b"\0", "of another": other}[spoil]
        )
    catalogue = Catalogue(mine)
    with pytest.warns(UserWarning, match="Npix.*is damaged"):
        z = catalogue.z[:]
    assert 0 < np.isnan(z).any(axis=1).sum() < N / 2 and catalogue.check() == [str(file)]


def test_every_flip_of_every_other_file_is_found_when_opened_or_by_check(mine):
    names = (hats.PROPERTIES, hats.PARTITIONS, hats.MANIFEST, hats.METADATA, hats.SCHEMA)
    assert {str(f.relative_to(mine)) for f in mine.rglob("*") if f.is_file() and "Npix" not in f.name} == set(
        names
    )
    for name in names:
        file = mine / name
        good = file.read_bytes()
        step = max(1, len(good) // 60)
        spoilt = [good[:-1], good[: len(good) // 2], b"", good + b"\n", good[::-1]]
        for place in {*range(0, len(good), step), len(good) - 1}:
            flipped = bytes([good[place] ^ 1 << RNG.integers(8)])
            spoilt.append(good[:place] + flipped + good[place + 1 :])
        for data in spoilt:
            file.write_bytes(data)
            try:
                found = Catalogue(mine).check()
            except BadInput as error:
                found = [error.where]
            assert found == [str(file)], data
        file.write_bytes(good)
    assert Catalogue(mine).check() == []


@pytest.mark.parametrize(
    "name", [hats.PROPERTIES, hats.PARTITIONS, hats.MANIFEST, hats.METADATA, hats.SCHEMA]
)
def test_each_other_file_is_missed(mine, name):
    (mine / name).unlink()
    if name == hats.METADATA:  # which only others read
        assert Catalogue(mine).check() == [str(mine / name)]
    else:
        with pytest.raises(BadInput, match="hats"):
            Catalogue(mine)


def test_a_damaged_partition_of_a_catalogue_without_checksums_is_named(mine):
    (mine / hats.MANIFEST).unlink()
    described = (mine / hats.PROPERTIES).read_text().splitlines(keepends=True)
    (mine / hats.PROPERTIES).write_text("".join(line for line in described if "galnb" not in line))
    other = Catalogue(mine)
    file = mine / other.partitions.pixels[0].path
    data = bytearray(file.read_bytes())
    data[20 : len(data) // 2] = bytes(len(data) // 2 - 20)
    file.write_bytes(data)
    for read in (lambda: other.id[:], lambda: list(other.chunks("id"))):
        with pytest.raises(BadInput, match=f"{file.name}: not readable as a partition"):
            read()


def test_a_collection_cannot_lead_out_of_its_folder(mine):
    (mine / hats.COLLECTION).write_text("hats_primary_table_url=..\n")
    with pytest.raises(BadInput, match="wanted the name of a folder beside it"):
        Catalogue(mine)
