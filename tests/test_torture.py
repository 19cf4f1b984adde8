"""A taste of `python -m tests.torture`, and the cases of it that have a name."""

import argparse
import io
import json
import os
import pickle
import socket
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from safetensors import deserialize

from galnb.errors import BadInput, BadWeights
from galnb.sources import Folder
from galnb.sources.fits import READER
from tests import trap
from tests.torture import cases, files, flips, markup, mutations, originals

TASTE = argparse.Namespace(count=None, seed=1, kind=None, one=None)


def tasted(part, count: int):
    """All rows of a part, tried with so many cases in all."""
    rows = list(part.tortured(argparse.Namespace(**{**vars(TASTE), "count": count})))
    assert {row.kind for row in rows} == set(part.KINDS)
    return rows


def test_damaged_files_are_refused_or_read_soundly_and_nothing_dies():
    rows = tasted(files, 260)
    assert not [fault for row in rows for fault in row.faults]
    assert sum(row.tried for row in rows) >= 250 and sum(row.deaths for row in rows) == 0


def test_every_flipped_byte_of_weights_and_catalogues_is_found():
    rows = tasted(flips, 200)
    assert not [fault for row in rows for fault in row.faults]
    assert all(sum(row.by.values()) == row.tried for row in rows)


def test_one_seed_makes_the_same_damage():
    data = originals.plain_fits()[0]
    twice = [mutations.damaged(data, np.random.default_rng([5, k]), data, mutations.FITS) for k in range(20)]
    assert twice == [
        mutations.damaged(data, np.random.default_rng([5, k]), data, mutations.FITS) for k in range(20)
    ]
    assert len(set(twice)) > 15


@pytest.mark.parametrize("side", [24, 34])
def test_the_header_digit_that_aborts_astropy_is_refused_before_it_can(tmp_path, side):
    path = tmp_path / "killer.fits"
    counts = np.random.default_rng(0).integers(0, 1000, (64, 64)).astype(np.int32)
    fits.CompImageHDU(counts, compression_type="HCOMPRESS_1", tile_shape=(64, 64)).writeto(path)
    data = path.read_bytes()
    at = data.index(b"ZNAXIS1 ")
    path.write_bytes(data[:at] + data[at : at + 80].replace(b"64", b"%d" % side, 1) + data[at + 80 :])
    with pytest.raises(BadInput, match=f"killer.fits HDU 1: tile 0 holds 64 x 64 pixels, .* {side} x 64"):
        Folder(path).read()


def cut_off(data: bytes) -> bytes:
    """Compressed FITS whose header says that its streams have fewer bytes."""
    at = data.index(b"PCOUNT ")
    return data[:at] + b"%-80s" % b"PCOUNT  =                   18" + data[at + 80 :]


def crowded_out(data: bytes) -> bytes:
    """Compressed FITS with an empty card before the first of its header."""
    at = data.index(b"XTENSION")
    end = data.index(b"%-80s" % b"END", at) + 80
    return data[:at] + b" " * 80 + data[at:end] + data[end + 80 :]


@pytest.mark.parametrize(
    ("damage", "kind", "reason"),
    [
        (cut_off, "HCOMPRESS_1", "tile 0 is bytes 0 to .* of the 18 of all tiles"),
        (crowded_out, "HCOMPRESS_1", "XTENSION as its first card"),
        (crowded_out, "GZIP_1", "XTENSION as its first card"),
        (crowded_out, "GZIP_2", "XTENSION as its first card"),
    ],
)
def test_a_compressed_image_that_is_none_any_more_costs_no_other(tmp_path, damage, kind, reason):
    (tmp_path / "b.fits").write_bytes(damage(originals.compressed_fits(kind)[1]))
    with pytest.raises(BadInput, match=f"b.fits HDU 1: .*{reason}"):
        Folder(tmp_path).read()
    fits.writeto(tmp_path / "a.fits", np.ones((originals.SIZE, originals.SIZE), np.float32))
    source = Folder(tmp_path)
    assert list(source.read(skip_bad=True).id) == ["a"] and len(source.quarantine) == 1


def test_a_file_is_refused_though_only_the_spaces_of_its_header_changed(tmp_path):
    read = {"b.checkpoint": cases.resume, "b.safetensors": cases.load_forest}
    for original in cases.checkpoints(tmp_path) + cases.forests(tmp_path):
        ((name, data),) = original.items()
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.dumps(json.loads(data[8:end])).encode()
        spaced = len(header).to_bytes(8, "little") + header + data[end:]
        assert spaced != data and sorted(deserialize(spaced)) == sorted(deserialize(data))
        read[name](tmp_path, original)
        (tmp_path / name).write_bytes(spaced)
        with pytest.raises(BadWeights, match=f"{name}: damaged"):
            read[name](tmp_path, original)


# markup


def test_a_hostile_name_is_one_name_in_all_messages_and_the_words_of_galnb_stay():
    put, payloads = {}, iter(markup.PAYLOADS)
    state = {"t": "state", "sets": [["SDSS", 40]], "all": ["SDSS"], "maps": ["log_p"], "n": 3}
    for _ in range(2):
        found = markup.spoiled(state, payloads, np.random.default_rng(0), put)
        assert found["sets"][0][0] == found["all"][0] == put["SDSS"] in markup.PAYLOADS
        assert (found["t"], found["maps"], found["n"]) == ("state", ["log_p"], 3)


@pytest.mark.browser
def test_every_part_of_every_panel_draws_what_a_hostile_survey_says(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        watched = markup.Watched(playwright, chromium)
        rows = [markup.widget_row(watched, *part, 3, 0) for part in markup.recorded()]
    assert not [fault for row in rows for fault in row.faults]
    assert {row.kind: row.clean for row in rows} == {row.kind: 3 for row in rows}


# pickles


class Canary:
    """Whoever unpickles it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def payloads(canary: Path) -> dict[str, bytes]:
    """Pickles in all the clothes that a file of images, weights or latents could have."""
    import torch

    evil = Canary(canary)
    found = {"plain": pickle.dumps(evil), "text": pickle.dumps(evil, 0)}
    for name, save in (("npy", np.save), ("npz", lambda file, data: np.savez(file, images=data, id=data))):
        file = io.BytesIO()
        save(file, np.array([[[evil]]], dtype=object))
        found[name] = file.getvalue()
    for name, zipped in (("pt", True), ("old pt", False)):
        file = io.BytesIO()
        torch.save({"model/x": evil}, file, _use_new_zipfile_serialization=zipped)
        found[name] = file.getvalue()
    member = io.BytesIO()
    with zipfile.ZipFile(member, "w") as archive:
        archive.writestr("images.npy", found["npy"])
        archive.writestr("images.pkl", found["plain"])
    found["zip"] = member.getvalue()
    return found


NAMES = (
    "b.fits", "b.png", "b.npz", "b.npy", "b.safetensors", "b.checkpoint", "b.parquet", "b.csv", "b.vot",
    "b.pkl", "b.ecsv", "b.json", "b.h5",
)  # fmt: skip


def ways_to_read(path: Path):
    from galnb import weights
    from galnb.forest import IsolationForest
    from galnb.latents import Latents
    from galnb.models import PCA
    from galnb.session import Session
    from galnb.train import train
    from galnb.votes import Votes

    pixels = np.zeros((8, 1, 28, 28), np.float32)
    good = path.with_name("good.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(good)
    return (
        lambda: Folder(path).read(),
        lambda: Folder(good, table=path).read(),
        lambda: weights.load(path),
        lambda: next(train(PCA(("r",), 28, 2), pixels, checkpoint=path)),
        lambda: IsolationForest.load(path),
        lambda: Latents.read(path),
        lambda: Votes(path.with_name("own")).merge(path),
        lambda: Session.load(path, originals.latents()),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_pickle_is_never_loaded_whatever_it_is_called(tmp_path, name):
    canary, path = tmp_path / "canary", tmp_path / name
    for kind, data in payloads(canary).items():
        path.write_bytes(data)
        for read in ways_to_read(path):
            with pytest.raises((BadInput, ValueError)) as caught:
                read()
            assert "\n" not in str(caught.value), (kind, name)
            assert not canary.exists(), (kind, name)


def test_a_table_that_pandas_pickled_into_parquet_stays_unread(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from galnb.latents import Latents

    evil = pickle.dumps(Canary(tmp_path / "canary"))
    told = {b"pandas": evil, b"galnb": evil, b"ARROW:extension:metadata": evil}
    field = pa.field("z", pa.binary(), metadata={b"ARROW:extension:name": b"arrow.py_extension_type", **told})
    table = pa.table([pa.array([evil])], schema=pa.schema([field], metadata=told))
    pq.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(BadInput, match="b.parquet"):
        Latents.read(tmp_path / "b.parquet")
    assert not (tmp_path / "canary").exists()


def test_the_trap_sees_what_galnb_would_unpickle_and_lets_others(tmp_path):
    assert pickle.loads(pickle.dumps(np.arange(3))).tolist() == [0, 1, 2]
    bad = compile("import pickle\npickle.loads(data)", f"{trap.GALNB}/nowhere.py", "exec")
    with pytest.raises(trap.Unpickled, match="nowhere.py"):
        exec(bad, {"data": pickle.dumps(Canary(tmp_path / "canary"))})
    assert trap.caught and not (tmp_path / "canary").exists()
    trap.caught.clear()


# archives and paths


def zipped(*members: tuple[str, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_members_of_an_npz_with_paths_for_names_are_columns_and_no_files(tmp_path):
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    names = ("../../outside", "/tmp/galnb-outside", "..\\outside")
    ids = [(f"{name}.npy", npy(np.arange(4))) for name in names]
    (inside / "b.npz").write_bytes(zipped(("images.npy", npy(np.zeros((4, 8, 8), "u1"))), *ids))
    before = sorted(tmp_path.rglob("*"))
    images = Folder(inside / "b.npz").read()
    assert len(images) == 4 and set(images.table.colnames) == set(names)
    assert sorted(tmp_path.rglob("*")) == before and not Path("/tmp/galnb-outside.npy").exists()


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path):
    path = tmp_path / "b.npz"
    header = npy(np.zeros((1, 8, 8), "u1"))[:128].replace(
        b"(1, 8, 8), }   ", b"(99999, 99, 99), }"[:15] + b""
    )
    path.write_bytes(zipped(("images.npy", header + bytes(300 << 20))))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(BadInput, match="b.npz: its .* bytes would become .*; if it is no bomb"):
        Folder(path)


def bomb_png(path: Path) -> None:
    """12,000 x 12,000 black pixels in 140 kB: Pillow itself has nothing against it."""
    side = 12_000
    packer, parts = zlib.compressobj(9), []
    for _ in range(side):
        parts.append(packer.compress(bytes(side + 1)))
    body = b"".join(parts) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", body), (b"IEND", b""))
    data = b"".join(len(b).to_bytes(4) + t + b + zlib.crc32(t + b).to_bytes(4) for t, b in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def bomb_fits(path: Path) -> None:
    """A gigabyte of zeros, gzipped."""
    import gzip

    header = fits.PrimaryHDU(np.zeros((2, 2), np.float32)).header
    header["NAXIS1"] = header["NAXIS2"] = 16_384
    with gzip.open(path, "wb", 1) as file:
        file.write(header.tostring().encode())
        for _ in range(64):
            file.write(bytes(1 << 22))


def bomb_parquet(path: Path) -> None:
    """A hundred million rows that are all alike."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    told = {b"galnb": json.dumps({"units": {}, "meta": {}}).encode()}
    z = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(1 << 22, "f4")), 4)
    table = pa.table({"id": pa.array(np.zeros(1 << 20, "i8")), "z": z}).replace_schema_metadata(told)
    with pq.ParquetWriter(path, table.schema, compression="zstd") as file:
        for _ in range(16):
            file.write_table(table)


@pytest.mark.parametrize(
    "name, make", [("b.png", bomb_png), ("b.fits.gz", bomb_fits), ("b.parquet", bomb_parquet)]
)
def test_a_decompression_bomb_is_refused_in_little_time_and_memory(tmp_path, name, make):
    import resource

    from galnb.latents import Latents

    make(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 4 << 20
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(BadInput, match=f"{name}.* bytes would become .*; if it is no bomb"):
        Latents.read(tmp_path / name) if name == "b.parquet" else Folder(tmp_path / name).read()
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < 2 and after.ru_maxrss - before.ru_maxrss < 512 << 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this system's folders")
@pytest.mark.parametrize("name", ["x.fits", "x.png", "x.npz", "x.npy", "x.parquet", "x.safetensors", "x.csv"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    from galnb import weights
    from galnb.latents import Latents

    os.mkfifo(tmp_path / name)
    good = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(good)
    read = {
        ".parquet": lambda: Latents.read(tmp_path / name),
        ".safetensors": lambda: weights.load(tmp_path / name),
        ".csv": lambda: Folder(good, table=tmp_path / name),
    }.get(Path(name).suffix, lambda: Folder(tmp_path / name).read())
    if name == "x.safetensors":
        os.mkfifo(tmp_path / "x.json")
    with pytest.raises(BadInput, match="it is a pipe or device, wanted a file"):
        read()
    if name in ("x.fits", "x.png"):
        source = Folder(tmp_path)
        assert list(source.read(skip_bad=True).id) == ["a"]
        assert [line.where for line in source.quarantine] == [str(tmp_path / name)]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_to_files_are_followed_and_loops_and_folders_are_not(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir(), folder.mkdir()
    for name in ("b", "hidden"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(outside / f"{name}.png")
    (folder / "b.png").symlink_to(outside / "b.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.fits").symlink_to(tmp_path / "nowhere")
    (folder / "null.png").symlink_to("/dev/null")
    (folder / "around").symlink_to(folder)
    (folder / "away").symlink_to(outside)
    (folder / "m31.fits").mkdir()
    source = Folder(folder)
    assert list(source.read(skip_bad=True).id) == ["b"]
    reasons = {Path(line.where).name: line.reason for line in source.quarantine}
    assert set(reasons) == {"loop.png", "gone.fits", "null.png"}
    assert "broken link" in reasons["gone.fits"] and "pipe or device" in reasons["null.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be there")
def test_names_that_no_line_can_hold_stay_one_line(tmp_path):
    names = [b"a\nb.png", b"c\x1b[31m.fits", b"d\xff.png", b"e\r.fits"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"no image")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "good\n.png")
    source = Folder(tmp_path)
    images = source.read(skip_bad=True)
    assert list(images.id) == ["good\n"] and len(source.quarantine) == 4
    for line in source.quarantine:
        assert f"{line.where}{line.reason}".isprintable() and str(tmp_path) in line.where
    assert any(r"a\nb.png" in line.where for line in source.quarantine)


# the network


@pytest.fixture
def listener():
    """A port that counts who comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


VOTABLE = """<?xml version="1.0"?><VOTABLE version="1.4"><RESOURCE><TABLE>
<FIELD name="id" datatype="long"/><DATA><{kind}><STREAM href="{href}"/></{kind}></DATA>
</TABLE></RESOURCE></VOTABLE>
"""


@pytest.mark.parametrize("kind", ["BINARY", "FITS"])
def test_a_votable_cannot_make_its_reader_fetch_anything(tmp_path, listener, kind):
    from galnb.votes import Votes

    (tmp_path / "secret").write_text("secret")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    for href in (f"http://127.0.0.1:{listener.getsockname()[1]}/x", f"file://{tmp_path}/secret"):
        path = tmp_path / "b.vot"
        path.write_text(VOTABLE.format(kind=kind, href=href))
        with pytest.raises(BadInput, match="b.vot"):
            Votes(tmp_path / "own").merge(path)
        with pytest.raises(BadInput, match="b.vot"):
            Folder(tmp_path / "a.png", table=path)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_table_is_a_file_and_no_address(tmp_path, listener):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(BadInput):
        Folder(tmp_path / "a.png", table=f"http://127.0.0.1:{listener.getsockname()[1]}/t.csv")
    with pytest.raises(TimeoutError):
        listener.accept()


def test_galnb_has_no_client_of_the_network():
    import re

    clients = re.compile(
        r"^\s*(?:import|from) (?:urllib|requests|httpx|http|aiohttp|ftplib|smtplib|socket)\b", re.M
    )
    found = [path for path in Path(trap.GALNB).rglob("*.py") if clients.search(path.read_text())]
    assert [path.name for path in found] in ([], ["doctor.py"])


# cards and weights


def test_a_card_cannot_ask_for_a_larger_model_than_its_tensors_make(tmp_path):
    from galnb import weights
    from galnb.models import AE

    path = weights.save(AE(("r",), 28, latent_dim=2, widths=(8, 8, 8)), tmp_path / "toy")
    card = weights.card(path)
    for change in (
        {"latent_dim": 10**9},
        {"widths": [100_000] * 3},
        {"size": 2**40},
        {"latent_dim": "x"},
        {"size": None},
    ):
        path.with_suffix(".json").write_bytes(weights.sealed({**card, "config": card["config"] | change}))
        with pytest.raises(BadWeights, match="toy.json: no model can be built"):
            weights.load(path)


def test_the_reader_still_reads_after_all_of_this(tmp_path):
    fits.writeto(tmp_path / "a.fits", np.ones((4, 4), np.float32))
    assert READER.read(tmp_path / "a.fits")[0].shape == (1, 4, 4)
