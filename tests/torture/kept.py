"""Kinds of input that galnb itself keeps: latents and catalogues, sessions, votes, maps, figures."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import warnings
from pathlib import Path

import numpy as np

from .cases import demand
from .originals import Files, latents, tree

N = 90


def sane_latents(found, n: int | None = None) -> None:
    demand(found.z.ndim == 2 and found.z.shape == (len(found), found.latent_dim), f"z is {found.z.shape}")
    demand(found.z.dtype == np.float32 and len(found.id) == len(found), "types")
    demand(n is None or len(found) == n, f"{len(found)} of {n}")
    demand(all(len(found.table[name]) == len(found) for name in found.table.colnames), "columns")
    demand(isinstance(found.meta, dict), "meta")


def parquet_latents(folder: Path) -> list[Files]:
    path = latents().write(folder / "b.parquet")
    return [{"b.parquet": path.read_bytes()}]


def read_latents(place: Path, files: Files) -> None:
    from galnb.latents import Latents

    sane_latents(Latents.read(place / "b.parquet"))


def plain_parquet(folder: Path) -> list[Files]:
    """Latents with every way that Parquet has to keep a column, and a seal that is put right."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    from galnb.disk import UNSEALED

    found, data = [], latents()
    columns = {"id": data.id, "redshift": data.table["redshift"], "kind": data.table["kind"].astype(str)}
    for options in ({}, {"compression": "zstd"}, {"compression": "gzip", "data_page_version": "2.0"}):
        table = pa.table({name: pa.array(np.asarray(values)) for name, values in columns.items()})
        z = pa.FixedSizeListArray.from_arrays(pa.array(data.z.ravel()), 4)
        told = {"units": {"redshift": "Mpc"}, "meta": {"seed": 3}, "seal": UNSEALED}
        told = json.dumps(told).encode()
        table = table.append_column("z", z).replace_schema_metadata({b"galnb": told})
        file = io.BytesIO()
        pq.write_table(table, file, **options)
        found.append(forged_latents({"b.parquet": file.getvalue()}))
    return found


def forged_latents(files: Files) -> Files:
    """With the seal that belongs to them, if they have a place for one."""
    from galnb.disk import MARK, UNSEALED

    data = bytearray(files["b.parquet"])
    at = data.rfind(MARK) + len(MARK)
    if at < len(MARK) or at + 64 > len(data):
        return files
    data[at : at + 64] = UNSEALED.encode()
    data[at : at + 64] = hashlib.sha256(data).hexdigest().encode()
    return {"b.parquet": bytes(data)}


def catalogues(folder: Path) -> list[Files]:
    from galnb.builder import write

    write(folder / "s.hats", latents(), partition_rows=12)
    write(folder / "small.hats", latents(10), dtype="int8")
    return [
        {f"s.hats/{n}": data for n, data in tree(folder / "s.hats").items()},
        {f"s.hats/{n}": data for n, data in tree(folder / "small.hats").items()},
    ]


def read_catalogue(place: Path, files: Files) -> str:
    """All of a catalogue, by every way to read it; "check" where only that call found the damage."""
    from galnb.catalogue import Catalogue

    catalogue = Catalogue(place / "s.hats")
    n = len(catalogue)
    damaged = catalogue.check()
    z, ids = catalogue.z[:], catalogue.id[:]
    demand(z.shape == (n, catalogue.latent_dim) and len(ids) == n, f"{z.shape}, {len(ids)} of {n}")
    demand(sum(map(len, catalogue.chunks("z"))) == n, "chunks")
    for name in catalogue.columns:
        demand(len(catalogue.table[name][:]) == n, f"column {name}")
    rows, apart = catalogue.near(120.0, 10.0, radius_arcsec=40 * 3600)
    demand(len(rows) == len(apart), "near")
    sane_latents(catalogue[:20])
    if not damaged:
        return ""
    gone = np.ma.getmaskarray(ids)
    demand(np.isnan(z[gone]).all(), "a damaged partition has latents")
    return "check"


def foreign_catalogues(folder: Path) -> list[Files]:
    """As LSDB writes them: without a manifest."""
    found = catalogues(folder)
    for files in found:
        del files["s.hats/manifest.jsonl"]
        described = files["s.hats/hats.properties"].decode()
        files["s.hats/hats.properties"] = re.sub(r"(hats_builder|galnb_\w+)=.*\n", "", described).encode()
    return found


def journals(folder: Path) -> list[Files]:
    """A catalogue whose making was stopped before it was published."""
    from galnb import builder, hats
    from galnb.disk import entries

    place = builder.write(folder / "s.hats", latents(), partition_rows=12)
    header, *lines = entries((place / hats.MANIFEST).read_bytes())
    half = folder / "half" / "s.hats"
    shutil.copytree(place, half)
    for name in (hats.MANIFEST, hats.PROPERTIES, hats.PARTITIONS, hats.METADATA, hats.SCHEMA):
        (half / name).unlink()
    (half / hats.Pixel(lines[-1]["order"], lines[-1]["pixel"]).path).unlink()
    journal = builder.disk.Journal(half / "journal.jsonl")
    journal.add({"key": header["key"], "meta": header["meta"]})
    for line in lines[:-1]:
        journal.add({**line, "key": header["key"]})
    return [{f"s.hats/{name}": data for name, data in tree(half).items()}]


def go_on(place: Path, files: Files) -> None:
    """Resume over a damaged journal or partition: the catalogue is the one of an undisturbed run."""
    from galnb import builder

    whole = place.parent / "whole.hats"
    if not whole.exists():
        builder.write(whole, latents(), partition_rows=12)
    builder.write(place / "s.hats", latents(), partition_rows=12)
    ours, theirs = tree(place / "s.hats"), tree(whole)
    demand(ours == theirs, f"other bytes in {[n for n in theirs if ours.get(n) != theirs[n]]}")


def sessions(folder: Path) -> list[Files]:
    from galnb.session import Session

    folder.mkdir(parents=True, exist_ok=True)
    session = Session(_many())
    session.select_box(-2, 2, -1, 1)
    session.color_by("redshift")
    session.set_view((-1, 1, -1, 1))
    session.undo()
    return [{"b.json": session.save(folder / "b.json").read_bytes()}]


def _many(known={}):  # noqa: B006  one, for all cases of a worker
    return known.setdefault("latents", latents())


def load_session(place: Path, files: Files) -> None:
    from galnb.session import Session

    session = Session.load(place / "b.json", _many())
    rows = session.chosen.rows
    demand(len(rows) <= N and all(0 <= row < N for row in rows), "a selection of what is not there")


def votes(folder: Path) -> list[Files]:
    from galnb.disk import sealed

    given, lines = ((7, "interesting"), ("x\ny", "artefact"), (9, "ordinary"), (7, "ordinary")), []
    for k, (id, choice) in enumerate(given):
        vote = {"id": id, "vote": choice, "note": "two nuclei", "user": "vera"}
        lines.append({"key": f"{k:012x}", "changes": [{**vote, "time": f"2026-11-22T16:00:0{k}.000000Z"}]})
    lines.append({"key": "f" * 12, "undo": lines[-1]["key"]})
    return [{"b.jsonl": b"".join(map(sealed, lines))}]


def read_votes(place: Path, files: Files) -> str:
    """A damaged line is named, and costs no other vote."""
    from galnb.votes import CHOICES, Votes

    kept = Votes(place / "b.jsonl", user="vera")
    demand(all(row["vote"] in CHOICES for row in kept.table), "a vote that is none")
    kept.vote(1, "interesting")
    demand(Votes(place / "b.jsonl", user="vera")[1] == "interesting", "a vote is lost")
    return "damaged" if kept.damaged else ""


def exports(folder: Path) -> list[Files]:
    from galnb.votes import Votes

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "b.jsonl").write_bytes(votes(folder)[0]["b.jsonl"])
    kept = Votes(folder / "b.jsonl", user="vera")
    return [
        {f"b{kind}": kept.save(folder / f"b{kind}").read_bytes()} for kind in (".csv", ".vot", ".parquet")
    ]


def merge(place: Path, files: Files) -> None:
    from galnb.votes import CHOICES, Votes

    kept = Votes(place / "own.jsonl", user="vera")
    (path,) = [path for path in place.iterdir() if path.name.startswith("b")]
    kept.merge(path)
    demand(all(row["vote"] in CHOICES for row in kept.table), "a vote that is none")


def maps(folder: Path) -> list[Files]:
    from galnb.store import Store

    xy = np.random.default_rng(0).normal(size=(500, 2)).astype("f4")
    store = Store.stream(lambda row: [xy[row:]], folder / "map")
    store.add("redshift", np.linspace(0, 1, 500))
    return [{f"map/{name}": data for name, data in tree(folder / "map").items()}]


def open_map(place: Path, files: Files) -> None:
    from galnb.store import Store

    store = Store.open(place / "map")
    demand(0 <= store.n <= store.n_rows, f"{store.n} of {store.n_rows}")


def figures(folder: Path) -> list[Files]:
    from galnb.figures import blank, save

    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for kind in ("png", "pdf", "svg"):
        figure = blank(2, 1)
        figure.add_subplot().plot([1, 4, 9])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(figure, folder / f"b.{kind}", code="print('squares')", seed=3)
        found += [{f"b.{kind}": (folder / f"b.{kind}").read_bytes()}]
        found += [{f"b.{kind}.json": (folder / f"b.{kind}.json").read_bytes()}]
    return found


def read_figure(place: Path, files: Files) -> None:
    from galnb.figures import provenance_of

    (path,) = place.iterdir()
    told = provenance_of(path)
    demand(told["seed"] == 3 and told["code"] == "print('squares')", "other provenance than was saved")


def films(folder: Path) -> list[Files]:
    from galnb.film import save

    folder.mkdir(parents=True, exist_ok=True)
    save(np.zeros((3, 8, 8, 3), dtype="u1"), folder / "b.gif", made={"seed": 1})
    return [{"b.gif": (folder / "b.gif").read_bytes()}]


def read_film(place: Path, files: Files) -> None:
    from galnb.film import made_by

    demand(isinstance(made_by(place / "b.gif"), dict), "no document")
