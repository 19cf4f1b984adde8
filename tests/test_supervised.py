"""Children that read files of strangers: what they refuse and may not do; what Parquet may become."""

import io
import os
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from galnb.arrow import from_arrow
from galnb.builder import write
from galnb.catalogue import Catalogue
from galnb.errors import BadInput
from galnb.latents import Latents
from galnb.sources import Folder, supervised
from galnb.sources.fits import READER
from galnb.sources.parquet import SCALES, read
from galnb.votes import Votes
from tests.torture import originals

TEXT = "x" * 100_000


def bombs() -> dict[str, pa.Table | dict]:
    """Parquet files of a few kilobytes that would become far more, each by another way that Parquet has."""
    many, alike = np.zeros(1 << 23), {"use_dictionary": False}
    return {
        "a dictionary": (pa.table({"kind": [TEXT] * 2000}), {}),
        "texts like the one before": (
            pa.table({"kind": [TEXT] * 2000}), {**alike, "column_encoding": {"kind": "DELTA_BYTE_ARRAY"}},
        ),
        "lists": (pa.table({"l": pa.ListArray.from_arrays(pa.array([0, len(many)]), many)}), {}),
        "one text": (pa.table({"kind": ["x" * (1 << 26)]}), {"compression": "zstd"}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def exploding(tmp_path_factory):
    """The bombs, as files."""
    folder, found = tmp_path_factory.mktemp("bombs"), {}
    for name, (table, options) in bombs().items():
        found[name] = folder / f"{name}.parquet"
        pq.write_table(table, found[name], **options)
        assert found[name].stat().st_size < 1 << 18
    return found


@pytest.mark.parametrize("name", bombs())
def test_parquet_that_explodes_is_refused_before_it_does(exploding, name, tmp_path):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF)
    ways = (
        lambda: Latents.read(exploding[name]),
        lambda: Votes(tmp_path / "own").merge(exploding[name]),
        lambda: SCALES.weigh(exploding[name]),
    )
    for way in ways:
        with pytest.raises(BadInput, match="would become|ended the reader|more than 4096 MB"):
            way()
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < 1 and after.ru_maxrss - before.ru_maxrss < 64 << 10


def test_parquet_is_weighed_as_arrow_holds_it(tmp_path):
    table = pa.table({"id": np.arange(5000), "kind": ["disc", "bulge"] * 2500})
    pq.write_table(table, tmp_path / "a.parquet")
    assert 0.9 < SCALES.weigh(tmp_path / "a.parquet") / table.nbytes < 1.1
    assert read(tmp_path / "a.parquet").equals(table)


@pytest.mark.parametrize("others", [True, False])
def test_a_partition_that_explodes_is_refused_whoever_seems_to_have_made_the_catalogue(tmp_path, others):
    import hashlib
    import json

    from galnb import disk, hats
    from galnb.builder import _properties

    here = {"ra": np.full(100, 10.0), "dec": np.zeros(100)}
    place = write(tmp_path / "s.hats", Latents(np.arange(100), np.ones((100, 4)), here))
    (file,) = (place / "dataset").rglob("*.parquet")
    table = pq.read_table(file)
    pq.write_table(
        table.append_column("note", pa.array([5 * TEXT] * len(table))), file, write_statistics=False
    )
    if others:
        (place / hats.MANIFEST).unlink()
        text = (place / hats.PROPERTIES).read_text().replace("hats_builder=galnb", "hats_builder=nobody")
        (place / hats.PROPERTIES).write_text(text)
    else:  # with all checksums put right
        header, *lines = disk.entries((place / hats.MANIFEST).read_bytes())
        for line in lines:
            data = file.read_bytes()
            line |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            line.pop("", None)
        header.pop("", None)
        manifest = b"".join(disk.sealed(json.loads(json.dumps(entry))) for entry in (header, *lines))
        (place / hats.MANIFEST).write_bytes(manifest)
        (place / hats.PROPERTIES).write_bytes(_properties(manifest))
    assert file.stat().st_size < 1 << 18
    catalogue = Catalogue(place)
    with pytest.raises(BadInput, match=r"Npix=.*would become"):
        catalogue.read("note" if others else "id", np.arange(len(catalogue)))
    assert [str(file)] == catalogue.check()


def test_one_long_text_does_not_take_its_room_a_million_times():
    column = pa.chunked_array([pa.array(["x" * (1 << 20)] + ["a"] * 100_000)])
    with pytest.raises(ValueError, match="would become [0-9,]+ bytes"):
        from_arrow(column)
    assert from_arrow(pa.chunked_array([pa.array(["disc"] * 10 + ["a" * 5000])])).dtype == "U5000"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this system's folders")
@pytest.mark.parametrize("name", ["hats.properties", "manifest.jsonl", "partition_info.csv", "dataset"])
def test_no_pipe_of_a_catalogue_is_waited_for(tmp_path, name):
    place = write(tmp_path / "s.hats", originals.latents(10))
    path = next((place / name).rglob("*.parquet")) if name == "dataset" else place / name
    path.unlink()
    os.mkfifo(path)
    if name == "dataset":
        with pytest.warns(UserWarning, match="is damaged"):
            assert np.isnan(Catalogue(place).z[:]).any()
    else:
        with pytest.raises(BadInput, match="pipe or device, wanted a file"):
            Catalogue(place)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this system's folders")
@pytest.mark.parametrize("ending", [".csv", ".vot", ".parquet"])
def test_no_pipe_of_votes_is_waited_for(tmp_path, ending):
    os.mkfifo(tmp_path / f"b{ending}")
    with pytest.raises(BadInput, match="pipe or device, wanted a file"):
        Votes(tmp_path / "own").merge(tmp_path / f"b{ending}")


@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".csv", ".fits"])
def test_hdf5_is_not_read_whatever_it_is_called_and_whatever_is_installed(tmp_path, ending):
    path = tmp_path / f"b{ending}"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2048))
    with pytest.raises(BadInput, match=f"b{ending}: it is HDF5, which galnb does not read; save it as FITS"):
        READER.table(path)
    with pytest.raises(BadInput, match="wanted FITS, PNG, JPEG|not readable as FITS"):
        Folder(path).read()


@pytest.mark.parametrize("name", ["b.fits.zip", "b.fits"])
def test_archives_are_not_unpacked(tmp_path, name):
    image = io.BytesIO()
    fits.PrimaryHDU(np.ones((4, 4), np.float32)).writeto(image)
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("../../evil.fits", image.getvalue())
    with pytest.raises(BadInput, match="it is a zip archive, and nothing is unpacked here"):
        Folder(tmp_path / name).read()
    assert sorted(path.name for path in tmp_path.rglob("*")) == [name]


DEEDS = {
    "write": "open(path, 'w')", "append": "open(path, 'ab')", "make": "os.open(path, os.O_CREAT)",
    "remove": "os.remove(__file__)", "fold": "os.mkdir(path)", "start": "subprocess.run(['true'])",
    "shell": "os.system('true')", "call": "socket.create_connection(('127.0.0.1', 9))",
    "fetch": "urllib.request.urlopen('http://127.0.0.1:9/')", "local": "urllib.request.urlopen('file:///etc/passwd')",
    "rebuild": "pic" "kle.loads(b'cos\\nsystem\\n(S\"true\"\\ntR.')",
}  # fmt: skip


def test_a_child_can_neither_write_nor_call_nor_start_nor_rebuild_anything(tmp_path):
    code = (
        "import os, sys, socket, subprocess, urllib.request, pic" "kle\nfrom galnb.errors import BadInput\n"
        "from galnb.sources.supervised import serve\n"
        f"deeds, path = {DEEDS!r}, {str(tmp_path / 'made')!r}\n"
        "def read(_, deed):\n"
        "    try:\n        exec(deeds[deed])\n"
        "    except PermissionError as error:\n        raise BadInput(path, str(error))\n"
        "    return {'bytes': 0}, b''\n"
        "serve(read, lambda: None)"
    )  # fmt: skip
    (tmp_path / "mischief.py").write_text(code)
    child = supervised.Child("mischief")
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(tmp_path), before, *sys.path])
    try:
        for deed in DEEDS:
            with pytest.raises(BadInput, match="a file asked for .*, which reading does not need"):
                child.ask(tmp_path / "mischief.py", deed, what="table")
    finally:
        os.environ["PYTHONPATH"] = before
        child.close()
    assert not (tmp_path / "made").exists()
