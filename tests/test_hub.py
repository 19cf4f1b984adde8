"""A JupyterHub as binder/hub sets it up: real hub, real proxy, real browser, all of it on loopback."""

import ast
import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode, urlsplit

import pytest

from tests.test_browser import ROOT, Explorer, browser  # noqa: F401

CONFIG = ROOT / "binder" / "hub" / "jupyterhub_config.py"
PASSWORD, FIRST = "andromeda", "notebooks/00_start_here.ipynb"
NEEDED = ("jupyterhub", "jupyterhub_idle_culler", "nbgitpuller", "websocket")
pytestmark = pytest.mark.browser

# Beside the hub of a class a service that asks in the name of its students, as their browsers do.
TEACHER = """
load_subconfig({config!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}/astro/"
c.JupyterHub.hub_port = {ports[1]}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.JupyterHub.services += [{{"name": "teacher", "api_token": {token!r}}}]
rights = ["admin:users", "admin:servers", "access:servers"]
c.JupyterHub.load_roles += [{{"name": "teacher", "scopes": rights, "services": ["teacher"]}}]
"""


def proxy() -> str:
    """The folder of npm's configurable-http-proxy; skips where there is none and npm cannot install it."""
    name, own = "configurable-http-proxy", ROOT / ".venv" / "npm" / "node_modules" / ".bin"
    if not shutil.which("node"):
        pytest.skip(f"there is no node, on which {name} runs: apt-get install npm")
    if found := shutil.which(name):
        return str(Path(found).parent)
    if not (own / name).exists() and shutil.which("npm") and shutil.which("make"):
        subprocess.run(["make", "proxy"], cwd=ROOT, capture_output=True)
    if not (own / name).exists():
        pytest.skip(f"there is no {name}: make proxy, which needs npm")
    return str(own)


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Hub:
    """A hub that runs: where it is, and what its teacher may ask of it."""

    def __init__(self, folder: Path, address: str, token: str, process):
        self.folder, self.address, self.token, self.process = folder, address, token, process

    def ask(self, path: str, method: str = "GET", **content):
        """What the hub, or the server of a student (user/NAME/...), answers."""
        data = json.dumps(content).encode() if content else None
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.address}/{path}", data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.ask("hub/api/"))
        return False

    def seat(self, name: str, seconds: float = 60) -> None:
        """Start a student's server, and wait until it is there."""
        for method, path in (("POST", f"hub/api/users/{name}"), ("POST", f"hub/api/users/{name}/server")):
            with contextlib.suppress(urllib.error.HTTPError):  # it is there already
                self.ask(path, method)
        until = time.monotonic() + seconds
        while not self.ask(f"hub/api/users/{name}")["servers"].get("", {}).get("ready"):
            if time.monotonic() > until:
                pytest.fail(f"the server of {name} did not start: {self.log()}")
            time.sleep(0.25)

    def log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


@contextmanager
def running(folder: Path):
    """A hub over a folder of its own, until the end of the block."""
    import psutil

    token, ports, extended = secrets.token_hex(16), free_ports(3), folder / "teacher.py"
    extended.write_text(TEACHER.format(config=str(CONFIG), ports=ports, token=token))
    known = {"GALNB_HUB": str(folder), "GALNB_HUB_PASSWORD": PASSWORD}
    known["PATH"] = os.pathsep.join([proxy(), os.environ["PATH"]])
    known["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "jupyterhub", "-f", str(extended)]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **known}, stdout=log, stderr=log)
    hub, until = Hub(folder, f"http://127.0.0.1:{ports[0]}/astro", token, process), time.monotonic() + 90
    try:
        while not hub.answers():
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the hub did not start: {hub.log()}")
            time.sleep(0.25)
        yield hub
    finally:
        begun = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()  # it stops its proxy and its students' servers, and these their kernels
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        for left in begun:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        process.kill()


class Kernel:
    """A kernel of a student, spoken to as a browser does: over a websocket, through the hub's proxy."""

    def __init__(self, hub: Hub, name: str, kernel: str | None = None):
        import websocket

        kernels = f"user/{name}/api/kernels"
        kernel = kernel or hub.ask(kernels, "POST", name="python3")["id"]
        place = f"{hub.address}/{kernels}/{kernel}/channels".replace("http", "ws", 1)
        self.session, header = uuid.uuid4().hex, [f"Authorization: token {hub.token}"]
        self.socket = websocket.create_connection(place, header=header, timeout=300)

    def send(self, kind: str, **content) -> str:
        """Send a message on the shell channel; returns its id."""
        id = uuid.uuid4().hex
        header = {"msg_id": id, "msg_type": kind, "session": self.session, "username": "", "version": "5.4"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        return id

    def messages(self):
        """What comes, without the binary parts."""
        while True:
            data = self.socket.recv()
            if isinstance(data, bytes):  # the number of parts, where each begins, and the first of them
                n, *starts = (int.from_bytes(data[k : k + 4], "big") for k in range(0, 12, 4))
                data = data[starts[0] : starts[1] if n > 1 else None]
            yield json.loads(data)

    def run(self, code: str, expression: str = "None"):
        """The value of an expression after some code."""
        questions = {"answer": f"repr({expression})"}
        known = {"silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
        id = self.send("execute_request", code=code, user_expressions=questions, **known)
        for message in self.messages():
            if message["msg_type"] == "execute_reply" and message["parent_header"]["msg_id"] == id:
                reply = message["content"]
                break
        assert reply["status"] == "ok", reply
        answer = reply["user_expressions"]["answer"]
        assert answer["status"] == "ok", answer
        return ast.literal_eval(ast.literal_eval(answer["data"]["text/plain"]))

    def close(self) -> None:
        self.socket.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    missing = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install 'galnb[hub]'")
    with running(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


class Seat(Explorer):
    """A student at a browser; what is asked of the kernel goes through the hub."""

    def ask(self, expression):
        if not hasattr(self, "kernel"):
            name = self.address.rpartition("/")[2]
            sessions = self.hub.ask(f"user/{name}/api/sessions")
            self.kernel = Kernel(self.hub, name, sessions[0]["kernel"]["id"])
        return self.kernel.run("", expression)


def logged_in(browser, hub, name: str, path: str):  # noqa: F811
    """A page on which somebody has asked for `path`, was sent to the login form, and came back."""
    page = browser.new_page(viewport={"width": 1280, "height": 960})
    page.set_default_timeout(90_000)
    page.hosts, page.errors = set(), []
    page.on("request", lambda request: page.hosts.add(urlsplit(request.url).hostname))
    page.on("console", lambda said: page.errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{hub.address}/hub/user-redirect/{path}")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{hub.address}/user/{name}/**")
    return page


def test_a_student_logs_in_and_explores_the_first_notebook(hub, browser):  # noqa: F811
    page = logged_in(browser, hub, "vera", f"lab/tree/{FIRST}")
    Seat.hub, given = hub, SimpleNamespace(new_page=lambda **_: page)
    here = Seat(given, (f"{hub.address}/user/vera", None), "lab/tree/notebooks", "00_start_here.ipynb")
    here.until("explorer.selection", lambda now: len(now) == 10)  # the notebook's last cells ran too
    here.canvas.press("Escape")
    here.canvas.press("h")
    page.mouse.click(*here.galaxies()[0].tolist())
    assert here.until("explorer.session.picked", lambda now: now is not None) == "hxdf-0001"
    pictures = "() => document.querySelectorAll('.galnb-decoder img, .galnb-decoder canvas').length >= 3"
    page.wait_for_function(pictures)
    assert page.hosts <= {"127.0.0.1", None} and page.errors == []
    here.kernel.close()
    page.close()


def test_a_wrong_password_lets_nobody_in(hub, browser):  # noqa: F811
    page = browser.new_page()
    page.goto(f"{hub.address}/hub/login")
    page.get_by_label("Username").fill("vera")
    page.get_by_label("Password").fill("cassiopeia")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Invalid username or password").wait_for()
    page.close()


def test_all_of_a_hub_listens_on_loopback_alone(hub):
    import psutil

    hub.seat("vera")
    processes = psutil.Process(hub.process.pid).children(recursive=True)
    listening = [place.laddr.ip for each in processes for place in each.net_connections() if not place.raddr]
    assert len(listening) >= 3 and set(listening) <= {"127.0.0.1", "::1"}


SHARE = """
import os
from galnb import disk
from galnb.store import Store
from galnb.votes import Votes
store = Store.stream(None, disk.cache_folder() / "maps" / "disc")  # which it cannot make itself
store.add("mine", [0.0] * 1000)
votes = Votes(of="disc")
votes.vote(7, "interesting")
"""


def test_two_students_share_what_is_prepared_and_nothing_that_they_do(hub):
    import numpy as np

    from galnb.store import Store

    shared, xy = hub.folder / "shared", np.random.default_rng(0).normal(size=(1000, 2)).astype("f4")
    Store.stream(lambda row: [xy[row:]], shared / "cache" / "maps" / "disc")
    before = {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()}
    inodes, folders = set(), set()
    for name in ("vera", "edwin"):
        hub.seat(name)
        kernel, home = Kernel(hub, name), hub.folder / "homes" / name
        found = kernel.run(SHARE, "[os.stat(store.folder / 'x').st_ino, str(store.folder), str(votes.path)]")
        inodes.add(found[0])
        folders |= set(found[1:])
        assert all(Path(place).is_relative_to(home) for place in found[1:])
        assert sorted(path.name for path in (home / "votes").iterdir()) == [f"disc-{name}.jsonl"]
        assert kernel.run("", "len(votes)") == 1
        kernel.close()
    assert len(inodes) == 1 and len(folders) == 4
    assert {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()} == before


def test_a_student_has_a_share_of_the_machine_and_no_more(hub):
    hub.seat("vera")
    kernel = Kernel(hub, "vera")
    code = "import torch\ntry:\n    bytearray(6 << 30)\n    got = True\nexcept MemoryError:\n    got = False"
    assert kernel.run(code, "(got, torch.get_num_threads())") == (False, 1)
    assert kernel.run("", "sum(range(10))") == 45  # it lives on
    kernel.close()


def test_a_link_brings_notebooks_into_a_students_folder(hub, browser, tmp_path):  # noqa: F811
    source = tmp_path / "galnb"
    shutil.copytree(ROOT / "notebooks", source / "notebooks")
    git = ["git", "-C", str(source), "-c", "user.name=teacher", "-c", "user.email=teacher@localhost"]
    for words in (["init", "--quiet", "-b", "main"], ["add", "."], ["commit", "--quiet", "-m", "Begin"]):
        subprocess.run([*git, *words], check=True)
    asked = {"repo": f"file://{source}", "branch": "main", "urlpath": f"lab/tree/galnb/{FIRST}"}
    page = logged_in(browser, hub, "vera", f"git-pull?{urlencode(asked)}")
    page.wait_for_url(f"{hub.address}/user/vera/lab/tree/galnb/{FIRST}")
    page.get_by_role("heading", name="Start here").wait_for()
    assert page.hosts <= {"127.0.0.1", None}
    assert (hub.folder / "homes" / "vera" / "galnb" / FIRST).exists()
    page.close()
