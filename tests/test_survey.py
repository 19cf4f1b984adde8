"""Encoding at scale: the same catalogue from any engine, and what a source may be."""

import os
import signal
import socket
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from PIL import Image

import galnb
from galnb import engines, hats
from galnb.builder import build, commit, partition
from galnb.catalogue import Catalogue
from galnb.encoding import encode
from galnb.errors import BadInput, BandMismatch
from galnb.images import Images
from galnb.models import AE
from galnb.sources import Folder
from tests.test_engines import poison, poisoned_rows
from tests.toys import BANDS, ROWS, SIZE, Toy, assert_same, children_of, make, model, tree

RNG = np.random.default_rng(8)
PLACES = {"ra": RNG.uniform(0, 360, 120), "dec": np.degrees(np.arcsin(RNG.uniform(-1, 1, 120)))}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "survey.hats"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tree(make(tmp_path_factory.mktemp("whole") / "survey.hats").path)


def images(n=120, **columns):
    pixels = RNG.random((n, 1, SIZE, SIZE), dtype=np.float32)
    return Images(pixels, np.arange(n) + 100, BANDS, table=Table(columns))


# what comes out


def test_a_catalogue_holds_the_latents_of_its_galaxies_and_what_made_them(path):
    given = images(120, **PLACES, kind=np.array(["<b>", "é"] * 60), mag=RNG.normal(size=(120, 5)))
    given.table["mag"].unit = "mag"
    catalogue = encode(given, model(), path, workers=2, partition_rows=ROWS, batch=7)
    plain = encode(given, model(), batch=7)
    found = catalogue.select(given.id)
    np.testing.assert_allclose(found.z, plain.z, rtol=2.0**-10, atol=2.0**-24)
    assert list(found["kind"]) == list(given.table["kind"]) and found.table["mag"].unit == "mag"
    assert np.array_equal(found["mag"], given.table["mag"]) and np.array_equal(found["ra"], PLACES["ra"])
    meta = catalogue.meta
    assert meta["model"] == "PCA" and meta["config"]["latent_dim"] == 3 and meta["bands"] == ["r"]
    assert len(meta["weights"]["sha256"]) == 64 and meta["versions"]["galnb"] == galnb.__version__


def test_shipped_weights_are_named_with_their_sha256_and_found_again(path):
    from galnb import weights

    shipped = weights.load("ae50-sdss")
    catalogue = encode(Images(np.zeros((2, 3, 64, 64)), bands=("i", "r", "g")), shipped, path, workers=0)
    made = catalogue.meta["weights"]
    assert made["name"] == "ae50-sdss" and made["file_sha256"] == weights.card("ae50-sdss")["sha256"]
    assert catalogue.model().config == shipped.config


@pytest.mark.parametrize("places", ["all", "some", "none", "one point", "the poles"])
def test_galaxies_lie_wherever_they_are_or_anywhere(path, places):
    ra, dec = PLACES["ra"].copy(), PLACES["dec"].copy()
    if places == "some":
        ra[::3], dec[1::3] = np.nan, np.nan
    if places == "one point":
        ra[:], dec[:] = 10, 20
    if places == "the poles":
        dec[:] = np.where(np.arange(120) % 2, 90, -90)
    columns = {} if places == "none" else {"ra": ra, "dec": dec}
    given = images(**columns)
    catalogue = encode(given, model(), path, workers=0, partition_rows=ROWS)
    assert sorted(catalogue.id[:]) == sorted(given.id) and catalogue.columns == ("ra", "dec")
    found = catalogue.select(given.id)
    wanted = np.full((2, 120), np.nan) if places == "none" else (ra, dec)
    np.testing.assert_array_equal(found["ra"], wanted[0])
    np.testing.assert_array_equal(found["dec"], wanted[1])
    np.testing.assert_allclose(found.z, encode(given, model()).z, rtol=2.0**-10, atol=2.0**-24)
    assert len(catalogue.near(10, 20, radius_arcsec=1)[0]) == (120 if places == "one point" else 0)
    lsdb = pytest.importorskip("lsdb")
    assert len(lsdb.open_catalog(path).compute()) == 120


def test_one_galaxy_is_a_catalogue_and_none_is_an_error(path):
    catalogue = encode(images(1), model(), path)
    assert len(catalogue) == 1 and catalogue.z[0].shape == (3,) and catalogue.check() == []
    with pytest.raises(BadInput, match="galaxies: there are none"):
        encode(images(0), model(), path.with_name("none.hats"))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"engine": "locla"}, "engine='locla'.*did you mean 'local'"),
        ({"dtype": "float8"}, "dtype='float8'"),
        ({"workers": -1}, "workers=-1, wanted at least 0"),
        ({"partition_rows": 0}, "partition_rows=0, wanted at least 1"),
        ({"client": object()}, "engine='local' takes no client"),
        ({"catalog": "x.hats"}, "engine='local' takes no catalog"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_written(path, options, said):
    with pytest.raises(ValueError, match=said):
        encode(images(3), model(), path, **options)
    assert not path.exists()


def test_what_does_not_fit_the_model_is_told_before_anything_is_written(path):
    with pytest.raises(BandMismatch, match="wanted are 1 .r"):
        encode(images(3).rename("g"), model(), path)
    with pytest.raises(BadInput, match="the model was made for 8 x 8"):
        encode(images(3).crop(6), model(), path)
    with pytest.raises(BadInput, match="column 'z'.*rename"):
        encode(images(3, z=[1.0, 2, 3]), model(), path, workers=2)
    assert not path.exists()


def test_bad_galaxies_are_left_out_by_name_and_kept_on_the_list(path):
    given = images(**PLACES)
    given.pixels[[5, 50], 0, 2, 2] = np.nan, np.inf
    catalogue = encode(given, model(), path, skip_bad=True, workers=2, partition_rows=ROWS)
    assert len(catalogue) == 118 and {105, 150}.isdisjoint(catalogue.id[:])
    assert sorted(catalogue.left_out) == [
        (f"id {name}", "it has NaN or infinite pixels, wanted finite ones") for name in (105, 150)
    ]
    assert Catalogue(path).left_out == catalogue.left_out


def test_where_none_is_good_it_says_why(path):
    given = images()
    given.pixels[:] = np.nan
    with pytest.raises(BadInput, match="not one row could be made; the first reason is: id 1.*NaN"):
        encode(given, model(), path, skip_bad=True, workers=0)


def test_torch_keeps_its_threads_and_gradients(path):
    before = torch.get_num_threads()
    encode(images(), model(), path, workers=0)
    assert torch.get_num_threads() == before and not torch.is_inference_mode_enabled()


def test_a_convolution_has_the_same_bits_in_any_process_and_order(tmp_path):
    torch.manual_seed(0)
    network = AE(BANDS, 28, 4, (16, 16, 16)).train()
    given = Images(RNG.random((90, 1, 28, 28)), bands=BANDS)
    trees = [
        tree(encode(given, network, tmp_path / f"{w}.hats", workers=w, partition_rows=30).path)
        for w in (0, 1, 3)
    ]
    assert trees[0] == trees[1] == trees[2]


def test_progress_counts_each_galaxy_once_and_tells_rate_and_time(path, capfd):
    make(path, Toy(seconds=0.01), workers=2, progress=True)
    told = capfd.readouterr().err.split("\r")
    assert "120/120" in told[-1] and "galaxy/s" in told[-1]
    counts = [int(line.split("/")[0].split()[-1]) for line in told if "/120" in line]
    assert counts == sorted(counts) and any("<" in line and "?" not in line for line in told)
    make(path, progress=True)
    assert "120/120" in capfd.readouterr().err.split("\r")[-1]


class Piece:
    """As `mock` has them: a task needs a pixel and a length."""

    def __init__(self, number):
        self.pixel = hats.Pixel(0, number)

    def __len__(self):
        return 4


def test_other_work_of_any_kind_is_built_the_same_way(path):
    def work(task, tell):
        healpix = task.pixel.span[0] + np.arange(4)
        ids = task.pixel.number * 4 + np.arange(4)
        tell(4)
        table = partition(healpix, ids, *hats.position(healpix), np.eye(4), Table())
        return commit(path, task.pixel, table)

    build(path, {"what": "pieces"}, [Piece(k) for k in range(12)], work, workers=2)
    assert len(Catalogue(path)) == 48 and np.array_equal(Catalogue(path).id[:], np.arange(48))


# folders of files


@pytest.fixture
def folder(tmp_path):
    """FITS files with a place, one of which is cut off and one of which has another size."""
    (tmp_path / "files").mkdir()
    for k in range(12):
        header = fits.Header(
            {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0 * k, "CRVAL2": 5.0 * k}
        )
        header.update({"CRPIX1": 4.5, "CRPIX2": 4.5, "CDELT1": -1e-4, "CDELT2": 1e-4})
        header["FILTER"] = "r"
        fits.writeto(tmp_path / "files" / f"g{k:02d}.fits", RNG.random((8, 8)).astype("f4"), header)
    data = (tmp_path / "files" / "g03.fits").read_bytes()
    (tmp_path / "files" / "g03.fits").write_bytes(data[:3000])
    fits.writeto(tmp_path / "files" / "g04.fits", np.ones((9, 9), dtype="f4"), overwrite=True)
    return tmp_path / "files"


@pytest.mark.parametrize("workers, rows", [(0, 100), (1, 3)])
def test_a_folder_of_fits_files_loses_only_what_is_bad(path, folder, workers, rows):
    source = Folder(folder, bands=BANDS)
    options = {"skip_bad": True, "workers": workers, "partition_rows": rows}
    catalogue = encode(source, model(), path, **options)
    assert sorted(catalogue.id[:]) == [f"g{k:02d}" for k in range(12) if k not in (3, 4)]
    assert [where.rpartition("/")[2] for where, _ in sorted(catalogue.left_out)] == ["g03.fits", "g04.fits"]
    found = catalogue.select(["g05", "g11"])
    np.testing.assert_allclose(found["ra"], [150, 330], atol=1e-6)
    wanted = encode(source.read([5, 11]), model()).z
    np.testing.assert_allclose(found.z, wanted, rtol=2.0**-10, atol=2.0**-24)
    assert source.read([0]).ra is not None  # the parent's reader still answers


def test_pictures_with_a_table_are_encoded_with_its_columns(path, tmp_path):
    (tmp_path / "files").mkdir()
    for k in range(6):
        Image.fromarray(RNG.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / "files" / f"p{k}.png")
    table = Table(
        {"id": [f"p{k}" for k in range(5)], "RA": np.arange(5) * 50.0, "Dec": [0.0] * 5, "n": range(5)}
    )
    source = Folder(tmp_path / "files", bands=BANDS, table=table)
    catalogue = encode(source, model(), path, partition_rows=2, workers=2)
    found = catalogue.select([f"p{k}" for k in range(6)])
    assert list(found.table["n"][:5]) == list(range(5)) and found.table["n"].mask[5]
    assert np.isnan(found["ra"][5]) and list(found["ra"][:5]) == [0, 50, 100, 150, 200]


# Dask and LSDB


@pytest.fixture(scope="module")
def cluster():
    """The client of the cluster that galnb begins itself, with two workers."""
    pytest.importorskip("distributed")
    with engines._client(None, 2, "lsdb") as client:
        yield client


def test_the_own_cluster_is_tls_on_loopback(cluster):
    addresses = [cluster.scheduler.address, *cluster.scheduler_info(n_workers=-1)["workers"]]
    assert len(addresses) == 3 and all(address.startswith("tls://127.0.0.1:") for address in addresses)
    assert cluster.dashboard_link.startswith("http://127.0.0.1:")
    ours = [os.getpid(), *children_of(os.getpid())]
    ours += [below for child in ours[1:] for below in children_of(child)]
    assert {address for address in listening(ours)} <= {"127.0.0.1", "::1"}


def listening(processes):
    """Addresses at which processes take connections."""
    inodes = set()
    for process in processes:
        for handle in Path(f"/proc/{process}/fd").glob("*"):
            try:
                target = os.readlink(handle)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                raw = bytes.fromhex(fields[1].partition(":")[0])
                words = b"".join(raw[k : k + 4][::-1] for k in range(0, len(raw), 4))
                yield socket.inet_ntop(socket.AF_INET if len(words) == 4 else socket.AF_INET6, words)


def test_dask_writes_the_same_bytes_and_leaves_the_client_alone(path, whole, cluster):
    make(path, engine="dask", client=cluster, workers=None)
    assert_same(path, whole)
    assert cluster.status == "running" and cluster.submit(sum, [1, 2]).result() == 3


def test_lsdb_writes_the_same_bytes(path, whole, cluster):
    pytest.importorskip("lsdb")
    make(path, engine="lsdb", client=cluster, workers=None)
    assert_same(path, whole)


def test_an_lsdb_catalog_says_which_galaxies_and_brings_its_columns(path, cluster, tmp_path):
    lsdb = pytest.importorskip("lsdb")
    first = encode(Toy(), model(), tmp_path / "first.hats", workers=0, partition_rows=30, batch=8)
    catalog = lsdb.open_catalog(first.path).cone_search(ra=180, dec=0, radius_arcsec=70 * 3600)
    catalog = catalog[["id", "ra", "dec", "twice"]]
    there = catalog.compute(progress_bar=False)
    assert 10 < len(there) < 100
    survey = encode(Toy(110), model(), path, engine="lsdb", client=cluster, catalog=catalog, batch=8)
    assert survey.columns == ("ra", "dec", "twice")
    known = there["id"].to_numpy()[there["id"].to_numpy() < 210]
    assert sorted(survey.id[:]) == sorted(known) and len(survey.left_out) == len(there) - len(known)
    found = survey.select(known)
    np.testing.assert_allclose(found.z, first.select(known).z, atol=1e-3)
    np.testing.assert_array_equal(found["ra"], first.select(known)["ra"])
    assert survey.check() == []


def test_a_poison_partition_is_set_aside_on_dask_while_the_others_finish(path, whole, cluster):
    row = poisoned_rows()[0]

    def fail():
        raise BadInput("here", "<b>poison</b>")

    with pytest.warns(UserWarning, match="set aside: BadInput: here: <b>poison</b>; run again"):
        catalogue = make(
            path, Toy(on_read={row: fail}), engine="dask", client=cluster, workers=None, told=True
        )
    assert len(catalogue.set_aside) == 1 and 100 + row not in catalogue.id[:]
    make(path, engine="dask", client=cluster, workers=None)
    assert_same(path, whole)


def test_workers_of_dask_that_are_killed_change_nothing(path, whole, cluster):
    stop, killed = [], []

    def kill():
        while not stop:
            time.sleep(2)
            if living := [nanny.pid for nanny in cluster.cluster.workers.values() if nanny.pid]:
                os.kill(living[len(killed) % len(living)], signal.SIGKILL)
                killed.append(time.monotonic())

    killer = Thread(target=kill)
    killer.start()
    try:
        make(path, Toy(seconds=0.15), engine="dask", client=cluster, workers=None)
    finally:
        stop.append(1)
        killer.join()
    assert killed
    assert_same(path, whole)


@pytest.mark.slow
def test_the_own_cluster_is_gone_afterwards(path, whole):
    distributed = pytest.importorskip("distributed")
    make(path, engine="dask", workers=2)
    assert_same(path, whole)
    assert not [c for c in distributed.LocalCluster._instances if c.status.name == "running"]
    with pytest.raises(ValueError, match="no clients found|No clients found"):
        distributed.get_client()


@pytest.mark.slow
def test_poison_that_kills_workers_of_the_own_cluster_has_three_tries(path, whole, tmp_path):
    rows = poisoned_rows()
    (notes := tmp_path / "notes").mkdir()
    ill = Toy(on_read=dict(poison(row, lambda: os._exit(5), notes) for row in rows))
    with pytest.warns(UserWarning, match="set aside: WorkerDied"):
        catalogue = make(path, ill, engine="dask", workers=2, told=True)
    assert {row: (notes / str(row)).read_text() for row in rows} == dict.fromkeys(rows, "xxx")
    assert len(catalogue.set_aside) == 2
    make(path, workers=0)
    assert_same(path, whole)
