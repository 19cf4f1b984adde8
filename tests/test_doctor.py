"""What the doctor finds, in environments that are healthy and in ones that were broken on purpose."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from galnb import doctor, weights
from galnb.doctor import Finding, check, show


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A healthy environment of a Jupyter server, apart from this one; nothing is found in the home folder."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "home"))
    put(tmp_path, "anywidget", doctor.version("anywidget"))
    put(tmp_path, "@jupyter-widgets/jupyterlab-manager", "5.0.0")
    return tmp_path


def put(prefix: Path, extension: str, version: str) -> Path:
    path = prefix / "share" / "jupyter" / "labextensions" / extension / "package.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": version}))
    return path


def finding(name: str, findings: list[Finding]) -> Finding:
    return next(f for f in findings if f.name == name)


def test_a_healthy_environment_has_nothing_to_mend(server):
    findings = check(server=server)
    assert [f for f in findings if f.needed and not f.ok] == []
    assert show(findings).endswith("all is well")


def test_a_front_end_without_anywidget_is_found_and_the_servers_own_python_mends_it(server):
    (server / "share/jupyter/labextensions/anywidget/package.json").unlink()
    found = finding("front end: anywidget", check(server=server))
    assert not found.ok and found.needed and str(server) in found.found
    assert found.mend.startswith(f"{server / 'bin' / 'python'} -m pip install anywidget")


@pytest.mark.parametrize(
    "extension, package, version",
    [
        ("anywidget", "anywidget", "0.1.0"),
        ("@jupyter-widgets/jupyterlab-manager", "jupyterlab_widgets", "3.1.1"),
    ],
)
def test_a_front_end_of_another_version_is_found(server, extension, package, version):
    put(server, extension, version)
    found = finding(f"front end: {package}", check(server=server))
    assert not found.ok and version in found.found and f"{package}==" in found.mend


def test_a_patch_release_apart_is_no_finding(server):
    put(server, "@jupyter-widgets/jupyterlab-manager", "5.9.9")
    assert finding("front end: jupyterlab_widgets", check(server=server)).ok


def test_a_damaged_description_is_a_missing_front_end(server):
    put(server, "anywidget", "0").write_text("{")
    assert not finding("front end: anywidget", check(server=server)).ok


def test_outside_of_a_kernel_the_server_is_this_environment(monkeypatch):
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert doctor.server_prefix() == Path(sys.prefix)


def test_where_the_parent_cannot_be_asked_the_server_is_this_environment(monkeypatch):
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    assert doctor.server_prefix() == Path(sys.prefix)


def test_inside_a_kernel_the_server_is_the_environment_of_its_parent(monkeypatch, tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    command = [python, "-c", "print('here', flush=True), input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "here\n"  # before, a process may not have its command line yet
        monkeypatch.setenv("JPY_PARENT_PID", str(parent.pid))
        assert doctor.server_prefix() == tmp_path


def test_a_missing_package_is_a_finding_and_not_a_crash(server, monkeypatch):
    kept = ("galnb.errors", "galnb.doctor")
    for name in [n for n in sys.modules if n.startswith("galnb.") and n not in kept]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    found = finding("torch device", check(server=server))
    assert not found.ok and "torch" in found.found
    assert finding("front end: anywidget", check(server=server)).ok


def test_a_package_that_is_not_installed_is_named_with_its_install_line(server, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _: ["no-such-package>=3", "none-either; extra == 'sim'"])
    findings = check(server=server)
    needed, optional = finding("no-such-package", findings), finding("none-either", findings)
    assert needed.needed and needed.mend.endswith("pip install 'no-such-package>=3'")
    assert not optional.needed and not optional.ok


def test_a_package_that_is_too_old_is_found(server, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=99"])
    assert "wanted is >=99" in finding("numpy", check(server=server)).found


def test_weights_with_a_flipped_byte_are_found(server, monkeypatch):
    assets = server / "assets"
    assets.mkdir()
    name = weights.names()[0]
    for suffix in (".json", ".safetensors"):
        (assets / (name + suffix)).write_bytes((weights.ASSETS / (name + suffix)).read_bytes())
    path = assets / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    monkeypatch.setattr(weights, "ASSETS", assets)
    assert not finding(f"weights {name}", check(server=server)).ok
    path.unlink()
    assert not finding(f"weights {name}", check(server=server)).ok


def test_a_cache_that_cannot_be_written_is_found(server, monkeypatch):
    (server / "file").write_text("in the way")
    monkeypatch.setenv("GALNB_CACHE", str(server / "file" / "cache"))
    found = finding("cache folder", check(server=server))
    assert not found.ok and "GALNB_CACHE" in found.mend


def test_more_threads_than_a_container_may_use_are_found_and_made_fewer(server, monkeypatch):
    import torch

    monkeypatch.setattr("galnb.engines.cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    found = finding("torch device", check(server=server))
    assert not found.ok and not found.needed and "OMP_NUM_THREADS=2" in found.mend
