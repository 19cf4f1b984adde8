import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image

from galnb import sources
from galnb.errors import BadInput
from galnb.images import Images
from galnb.morphology import measure
from galnb.sources import Folder, Hubble, arrays
from galnb.sources.fits import READER


def header():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [16.5, 16.5], [-0.2 / 3600, 0.2 / 3600]
    return wcs.to_header()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)


def test_a_cube_with_filters_and_sky_position_is_read_whole(tmp_path, pixels):
    described = header()
    for i, band in enumerate("gri"):
        described[f"FILTER{i}"] = band
    fits.writeto(tmp_path / "galaxy.fits", pixels, described)
    images = Folder(tmp_path).read()
    assert images.bands == ("g", "r", "i") and images.id[0] == "galaxy"
    assert np.array_equal(images.pixels[0], pixels)
    assert images.ra[0] == pytest.approx(150, abs=1e-6) and images.dec[0] == pytest.approx(2, abs=1e-6)
    assert images.pixel_scale == pytest.approx(0.2, rel=1e-5)


def test_one_band_an_extension_is_read_too(tmp_path, pixels):
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(p, name=b) for p, b in zip(pixels, "GRI", strict=True))]
    fits.HDUList(hdus).writeto(tmp_path / "galaxy.fits")
    images = Folder(tmp_path).read()
    assert images.bands == ("g", "r", "i") and np.array_equal(images.pixels[0], pixels)


@pytest.mark.parametrize("compression", ["RICE_1", "GZIP_1", "HCOMPRESS_1"])
def test_compressed_images_are_read(tmp_path, pixels, compression):
    counts = (1000 * pixels[0]).astype(np.int32)
    fits.CompImageHDU(counts, compression_type=compression).writeto(tmp_path / "galaxy.fits")
    assert np.array_equal(Folder(tmp_path).read().pixels[0, 0], counts)


def test_the_file_that_kills_astropy_kills_nothing_here(tmp_path):
    path = tmp_path / "killer.fits"
    counts = np.random.default_rng(0).integers(0, 1000, (64, 64)).astype(np.int32)
    fits.CompImageHDU(counts, compression_type="HCOMPRESS_1", tile_shape=(64, 64)).writeto(path)
    data = path.read_bytes()
    at = data.index(b"ZNAXIS1 ")
    card = data[at : at + 80].replace(b"64", b"24", 1)
    path.write_bytes(data[:at] + card + data[at + 80 :])
    with pytest.raises(BadInput, match="killer.fits"):
        Folder(path).read()
    fits.writeto(tmp_path / "good.fits", counts)
    assert len(Folder(tmp_path / "good.fits").read()) == 1


def test_a_child_that_dies_is_replaced(tmp_path, pixels):
    path = tmp_path / "galaxy.fits"
    fits.writeto(path, pixels[0])
    READER.read(path)
    READER._child.kill()
    READER._child.wait()
    assert READER.read(path)[0].shape == (1, 32, 32)


@pytest.mark.skipif(sys.platform == "win32", reason="a crash is told by its signal")
def test_a_file_is_read_though_an_earlier_one_left_the_child_to_crash(tmp_path, pixels):
    path = tmp_path / "galaxy.fits"
    fits.writeto(path, pixels[0])
    READER.close()
    crash = [sys.executable, "-c", "import os; input(); os.abort()"]
    READER._child = subprocess.Popen(crash, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert np.array_equal(READER.read(path)[0][0], pixels[0])


def damaged(kind, path, pixels):
    if kind == "truncated":
        fits.writeto(path, np.zeros((64, 64), dtype=np.float32))
        path.write_bytes(path.read_bytes()[:4000])
    elif kind == "no data":
        fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    elif kind == "no FITS":
        path.write_bytes(b"hello")
    elif kind == "empty":
        path.write_bytes(b"")


@pytest.mark.parametrize("kind", ["truncated", "no data", "no FITS", "empty"])
def test_a_bad_fits_is_named_once_and_the_rest_load(tmp_path, pixels, kind):
    for name in ("a", "c"):
        fits.writeto(tmp_path / f"{name}.fits", pixels[0])
    damaged(kind, tmp_path / "b.fits", pixels)
    source = Folder(tmp_path)
    with pytest.raises(BadInput, match="b.fits"):
        source.read()
    assert list(source.read(skip_bad=True).id) == ["a", "c"]
    assert len(source.quarantine) == 1 and "b.fits" in source.quarantine[0].where


def test_a_picture_of_no_bytes_among_good_ones_is_quarantined(tmp_path):
    for name in ("a", "b", "c"):
        Image.fromarray(np.full((20, 20, 3), 51, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"")
    source = Folder(tmp_path)
    images = source.read(skip_bad=True)
    assert list(images.id) == ["a", "c"] and images.bands == ("red", "green", "blue")
    assert images.pixels[0] == pytest.approx(0.2)
    assert "b.png" in source.quarantine[0].where


def test_sixteen_bit_grey_becomes_zero_to_one(tmp_path):
    Image.fromarray(np.full((20, 20), 65535, dtype=np.uint16)).save(tmp_path / "a.png")
    assert Folder(tmp_path).read().pixels.max() == 1


def test_a_table_is_joined_by_name_in_any_order(tmp_path, pixels):
    for name in ("a", "b", "c"):
        fits.writeto(tmp_path / f"{name}.fits", pixels[0])
    table = Table({"id": ["c", "z", "a"], "redshift": [0.3, 9.0, 0.1], "kind": ["x", "y", "w"]})
    table.write(tmp_path / "table.csv")
    images = Folder(tmp_path, table=tmp_path / "table.csv").read()
    assert images.table["redshift"][0] == 0.1 and images.table["redshift"][2] == 0.3
    assert np.isnan(images.table["redshift"][1])
    with pytest.raises(BadInput, match="id_column"):
        Folder(tmp_path, table=table, id_column="name")


def test_a_galaxy_that_the_table_lacks_has_nan_for_each_of_its_numbers(tmp_path, pixels):
    for name in ("a", "b", "c"):
        fits.writeto(tmp_path / f"{name}.fits", pixels[0])
    magnitudes, counts = np.arange(6.0).reshape(2, 3), np.arange(8).reshape(2, 2, 2)
    table = Table({"id": ["c", "a"], "mag": magnitudes, "counts": counts})
    joined = Folder(tmp_path, table=table).read().table
    assert np.array_equal(joined["mag"], [magnitudes[1], [np.nan] * 3, magnitudes[0]], equal_nan=True)
    assert joined["counts"].mask.all(axis=(1, 2)).tolist() == [False, True, False]
    assert np.array_equal(joined["counts"][[2, 0]], counts)


def test_pictures_of_two_sizes_need_a_crop(tmp_path):
    for name, side in (("a", 20), ("b", 24)):
        Image.fromarray(np.zeros((side, side), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    with pytest.raises(BadInput, match="b.png.*size="):
        Folder(tmp_path).read()
    assert Folder(tmp_path, size=20).read().shape == (20, 20)


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match="without objects"):
        Folder(tmp_path / "x.npy")


@pytest.mark.parametrize("options", [{"array": "imges"}, {"path": "/nowhere"}])
def test_what_is_not_there_is_said(tmp_path, options):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 8, 8)))
    with pytest.raises(BadInput, match="imges|nowhere"):
        Folder(**{"path": tmp_path / "x.npz"} | options)


def test_a_misspelt_source_names_the_right_one():
    with pytest.raises(ValueError, match="'hubble'"):
        sources.load("hubbel")


def test_the_embedded_survey_has_real_galaxies_with_ids_and_places():
    survey, everything = Hubble(), Hubble(flagged=True)
    assert 800 <= len(survey) < len(everything)
    assert everything._table["is_star"].sum() >= 4 and everything._table["at_edge"].sum() > 0
    images = survey.read(slice(0, 50))
    centre, border = images.pixels[:, :, 12:20, 12:20].mean(), images.pixels[:, :, :4].mean()
    assert centre > 3 * border
    assert images.id[0] == "hxdf-0001" and images.table["x"][0] == pytest.approx(727, abs=2)


def test_simulated_galaxies_measure_as_their_truth():
    galsim = pytest.importorskip("galsim")  # noqa: F841
    simulator = sources.load("simulator", n=12, size=96, bands=("r",), psf_fwhm_arcsec=0, seed=5)
    images = simulator.read()
    table, truth = measure(images), images.table
    radius = np.asarray(truth["half_light_radius_arcsec"]) / simulator.pixel_scale
    assert np.median(np.abs(table["half_light_radius"] / radius - 1)) < 0.05
    assert np.abs(table["flux"] / truth["flux_r"] - 1).max() < 0.1
    assert np.abs(table["ellipticity"] - truth["ellipticity"]).max() < 0.03


@pytest.mark.parametrize(
    "name, n, bands, shape",
    [
        ("gz2_7704.npz", 7704, 3, (69, 69)),
        ("hsc_anomalies.npz", 274, 3, (96, 96)),
        ("frdeep_NVSS.npz", 600, 1, (150, 150)),
    ],
)
def test_the_real_sets_are_read(shared_data, name, n, bands, shape):
    source = Folder(shared_data / name)
    images = source.read(slice(0, 4))
    assert len(source) == n and images.pixels.shape == (4, bands, *shape) and 0.2 < images.pixels.max() <= 1


def test_the_real_fits_files_are_read(shared_data):
    images = Folder(shared_data / "illustris_broadband_4" / "data", size=32).read()
    assert len(images) == 4 and len(images.bands) == 4 and images.pixel_scale == pytest.approx(0.396)
    hsc = Folder(shared_data / "hsc_scenes_scarlet" / "test_resampling" / "Cut_HSC.fits").read()
    assert isinstance(hsc, Images) and hsc.ra[0] == pytest.approx(150.3, abs=0.1)
    assert hsc.pixel_scale == pytest.approx(0.168, abs=1e-3)


@pytest.mark.parametrize("kind, largest", [("u1", 255), ("u2", 65535), ("i8", 1), ("f4", 1)])
def test_arrays_of_8_and_16_bits_become_shares_and_all_others_stay(tmp_path, kind, largest):
    pixels = np.arange(2 * 8 * 8).reshape(2, 8, 8).astype(kind)
    np.savez(tmp_path / "x.npz", images=pixels)
    assert np.allclose(Folder(tmp_path / "x.npz").read().pixels[:, 0], pixels / largest)


def test_what_is_hidden_is_not_taken_for_a_galaxy(tmp_path):
    for name in ("a.png", "._a.png", ".ipynb_checkpoints/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / name)
    assert Folder(tmp_path).id.tolist() == ["a"]


def test_large_arrays_of_an_npz_stay_on_disk_and_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "LARGE", 1000)
    path = tmp_path / "x.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 9, 9, 3), dtype=np.uint8)
    wanted = pixels.transpose(0, 3, 1, 2) / np.float32(255)
    for layout in (np.ascontiguousarray, np.asfortranarray):
        np.savez(path, images=layout(pixels), id=np.arange(50))
        source = Folder(path)
        assert isinstance(source._array, arrays.Rows | np.memmap)
        assert np.array_equal(source.read().pixels, wanted)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match="x.npz: not readable.*CRC"):
        Folder(path)
    np.savez_compressed(path, images=pixels)
    assert np.array_equal(Folder(path).read().pixels, wanted)


def test_the_reader_finds_files_where_one_has_gone_since_it_began(tmp_path, monkeypatch):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        fits.writeto("galaxy.fits", np.ones((8, 8), dtype=np.float32))
        Table({"id": ["galaxy"], "flux": [1.0]}).write("table.csv")
        assert Folder("galaxy.fits", table="table.csv").read().table["flux"] == [1.0]
