"""`docs/promises.md` says what is so: its tests are there, its table is the code's, faults still show."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from galnb.errors import BadInput, BadWeights
from tests.running import ROOT
from tests.tables import between, format_table
from tests.trap import GALNB

PAGE = (ROOT / "docs" / "promises.md").read_text()
KEPT = PAGE.split("## What is not promised")[0]
PROMISES = re.findall(r"^- (.+)$", KEPT, re.M)
LOOPBACK = {"127.0.0.1", "::1"}


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.split(":")[0][:60])
def test_every_promise_has_tests_that_are_there(promise):
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", promise)
    assert named and not [f"{file}::{name}" for file, name in named if name not in names_in(file)]


def test_the_table_of_formats_is_what_the_code_computes_with():
    assert between(PAGE, "formats") == format_table()
    assert len(PROMISES) > 25


# faults of others

FAULTS = re.findall(r"<!-- fault: (\w+) (.+?) -->\n```python\n(.+?)```", PAGE, re.S)


@pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="no limit of processor time on this system")
@pytest.mark.parametrize("package, fault, code", FAULTS, ids=[fault for _, fault, _ in FAULTS])
def test_faults_of_others_still_show(package, fault, code):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (2, 3))\n"
    command = [sys.executable, "-c", limit + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd="/")
    shown = {
        "loops": done.returncode in (-signal.SIGXCPU, -signal.SIGKILL),
        "aborts": done.returncode in (-signal.SIGABRT, -signal.SIGSEGV),
    }.get(fault, fault in done.stdout)
    if not shown:
        pytest.skip(f"{package} {version(package)} has mended it: take it out of docs/promises.md")


# what can open an address, unpack an archive or be a door to one

CLIENTS = {
    "urllib", "urllib3", "requests", "httpx", "http", "aiohttp", "ftplib", "smtplib", "socket", "ssl",
    "socketserver", "xmlrpc", "fsspec", "s3fs", "upath", "huggingface_hub", "astroquery", "pyvo", "pooch",
    "webbrowser", "tarfile",
    "websockets", "paramiko", "telnetlib", "imaplib", "asyncio",
}  # fmt: skip
FILES = [path for path in Path(GALNB).rglob("*.py") if path.parent.name != "exercises"]  # those are questions
JAVASCRIPT = r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts|import\(|\.open\("


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_nothing_in_the_package_opens_an_address_or_unpacks_an_archive():
    for path in Path(GALNB).rglob("*.py"):
        text = path.read_text()
        assert not imported(path) & CLIENTS, path
        assert not re.search(
            r"unpack_archive|\.extract(all)?\((?!data, 4|light)|urlopen|urlretrieve", text
        ), path
    for path in Path(GALNB).rglob("*.js"):
        assert not re.search(JAVASCRIPT, path.read_text()), path


def test_what_decodes_files_of_strangers_stands_where_the_page_says():
    doors = {
        r"fits\.open\(": {"fits.py"},
        r"Table\.read\(": {"tables.py"},
        r"read_table\(": {"latents.py", "parquet.py"},
        r"Image\.open\(.*formats=": {"film.py", "folder.py"},
        r"Image\.open\((?!.*formats=)": {"looks.py"},  # what it has just written itself, in memory
        r"zipfile\.ZipFile\(": {"arrays.py"},
        r"faiss\.read_index\(": {"indexes.py"},
        r"import h5py|votable\.parse|parse_single_table": set(),
    }
    for door, where in doors.items():
        found = {path.name for path in FILES if re.search(door, path.read_text())}
        assert found == where, door


ADDRESSES = (
    "http://127.0.0.1:9/b", "https://10.0.0.1/b", "http://169.254.169.254/latest/b", "http://[::1]:9/b",
    "file:///etc/passwd", "file:b", "ftp://127.0.0.1/b", "s3://bucket/b", "data:,b", "zip://b",
    "../../../../b",
)  # fmt: skip
CALLS: list[str] = []


def watch(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "urllib.Request"):
        CALLS.append(f"{event} {arguments}")


@pytest.fixture
def calls():
    """What has asked for the network since the test began."""
    if not hasattr(watch, "set"):
        watch.set = sys.addaudithook(watch) or True
    CALLS.clear()
    return CALLS


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_door_refuses_addresses(address, tmp_path, monkeypatch, calls):
    from galnb import catalogue, figures, film, weights
    from galnb.forest import IsolationForest
    from galnb.recipe import cook
    from galnb.session import Session
    from galnb.sources import Folder
    from galnb.store import Store
    from galnb.votes import Votes
    from tests.torture.originals import latents

    deep = tmp_path / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("a.png")
    doors = [lambda end=end: Folder(address + end).read() for end in (".fits", ".png", ".npz", ".npy", "")]
    doors += [lambda end=end: Folder("a.png", table=address + end) for end in (".csv", ".vot", ".parquet")]
    doors += [lambda end=end: Votes("own").merge(address + end) for end in (".csv", ".vot", ".parquet")]
    doors += [lambda end=end: catalogue.read(address + end) for end in (".parquet", ".hats")]
    doors += [lambda: catalogue.Catalogue(address), lambda: Store.open(Path(address))]
    doors += [lambda end=end: weights.load(address + end) for end in (".safetensors", "")]
    doors += [lambda: IsolationForest.load(address), lambda: Session.load(address, latents())]
    doors += [lambda: figures.provenance_of(f"{address}.png"), lambda: film.made_by(f"{address}.gif")]
    doors += [lambda: cook(f"{address}.toml", "runs")]
    for number, door in enumerate(doors):
        with pytest.raises((BadInput, ValueError, OSError)) as caught:
            door()
        assert "root:" not in str(caught.value), number
    assert not calls


@pytest.mark.parametrize("sha256", [None, "", "0" * 64, "A" * 64, 3, ["x"]])
def test_weights_without_a_sha256_or_with_another_are_refused(tmp_path, sha256):
    import torch

    from galnb import weights
    from galnb.models import PCA

    model = PCA(("r",), 8, 2)
    model.fit([torch.rand(9, 1, 8, 8)])
    path = weights.save(model, tmp_path / "toy")
    card = {name: value for name, value in weights.card(path).items() if name != "sha256"}
    path.with_suffix(".json").write_bytes(
        weights.sealed(card if sha256 is None else card | {"sha256": sha256})
    )
    with pytest.raises(BadWeights, match="no readable card|sha256 [0-9a-f]{12}, its card says"):
        weights.load(path)


def test_workers_of_the_torture_run_over_the_trap():
    word = "pickle"
    code = (
        "import sys\nfrom tests.torture import workers\nfrom tests import trap\n"
        "sys.stdin = ()\nworkers._serve(None)\n"
        f"bad = compile('import {word}; {word}.loads(data)', trap.GALNB + '/nowhere.py', 'exec')\n"
        "try:\n    exec(bad, {'data': b'N.'})\n"
        "except trap.Unpickled:\n    print('trapped', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "trapped" in done.stderr, done.stderr


# who listens


def heard_on(process: int) -> set[str]:
    """Addresses on which a process and those that it started listen."""
    import psutil

    found, places = psutil.Process(process), []
    for each in (found, *found.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            places += each.net_connections("inet")
    return {place.laddr.ip for place in places if place.status == psutil.CONN_LISTEN}


@pytest.mark.skipif(sys.platform == "win32", reason="it is asked of a group of processes")
@pytest.mark.parametrize("command, package", [("lab", "jupyterlab"), ("app", "voila")])
def test_lab_and_app_listen_on_loopback_alone(tmp_path, command, package):
    pytest.importorskip(package), pytest.importorskip("psutil")
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("RUNTIME", "CONFIG", "DATA")}
    with open(tmp_path / "log", "w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "galnb", command, "--no-browser", "--port=0"], cwd=ROOT,
            env={**os.environ, **places}, start_new_session=True, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until, heard = time.monotonic() + 300, set()
        while not heard and time.monotonic() < until and running.poll() is None:
            time.sleep(0.5)
            heard = heard_on(running.pid)
        assert heard and heard <= LOOPBACK, (heard, (tmp_path / "log").read_text()[-2000:])
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(60)


def test_the_doctor_opens_nothing(calls):
    from galnb import doctor

    assert doctor.check()
    assert not [call for call in calls if "/" not in call.partition(" ")[2]]  # a path is no network
