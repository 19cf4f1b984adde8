"""`galnb doctor`: whether everything is in place, and how to mend what is not."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path

# The JupyterLab extension of each package, and the package whose version it has to fit.
FRONT_ENDS = {"anywidget": "anywidget", "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets"}
CACHE = "export GALNB_CACHE=FOLDER, one that you can write to"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, and the command that mends it where it is not ok."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True


def check(*, server: str | Path | None = None) -> list[Finding]:
    """What was found of packages, torch's device, the server's front end, the network and the cache.

    Parameters
    ----------
    server : path, optional
        Prefix of the environment that the Jupyter server runs in; found where not given.

    Returns
    -------
    list of Finding
        Never raises: what cannot be looked at, because of a missing package, is a finding too.

    Examples
    --------
    >>> [finding.name for finding in check() if finding.name == "torch"]
    ['torch']
    """
    return [
        *_look("packages", _packages),
        *_look("torch device", _device),
        *_look("front end", lambda: _front_ends(server)),
        *_look("weights", _weights),
        *_look("default survey", _survey),
        *_look("network", _network),
        *_look("cache folder", _cache),
    ]


def show(findings: list[Finding]) -> str:
    """Findings as lines of text, and a last line that sums them up."""
    lines, width = [], max((len(finding.name) for finding in findings), default=0)
    for finding in findings:
        sign = "ok  " if finding.ok else "FAIL" if finding.needed else "--  "
        lines.append(f"{sign} {finding.name:<{width}} {finding.found}")
        if not finding.ok and finding.mend:
            lines.append(f"     {'':<{width}} mend: {finding.mend}")
    broken = [finding.name for finding in findings if finding.needed and not finding.ok]
    lines.append(f"{len(broken)} to mend: {', '.join(broken)}" if broken else "all is well")
    return "\n".join(lines)


def server_prefix() -> Path:
    """The environment of the Jupyter server: that of the kernel's parent, or this one outside of a kernel."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    if not parent.isdigit() or find_spec("psutil") is None:
        return Path(sys.prefix)
    import psutil

    try:
        python = Path(psutil.Process(int(parent)).cmdline()[0])
    except (IndexError, psutil.Error):
        return Path(sys.prefix)
    return python.parents[1] if python.is_absolute() else Path(sys.prefix)


def _look(name: str, at: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return at()
    except Exception as error:  # a broken torch raises anything, and that is what a doctor is for
        return [Finding(name, False, f"cannot be looked at: {error!r}", "mend the packages, then ask again")]


def _install(*packages: str, prefix: str | Path | None = None) -> str:
    python = sys.executable if prefix is None else Path(prefix, "bin", "python")
    return f"{python} -m pip install {' '.join(packages)}"


def _packages() -> list[Finding]:
    from packaging.requirements import Requirement

    old = sys.version_info < (3, 11)
    findings = [Finding("python", not old, sys.version.split()[0], "rm -r .venv; make lab PYTHON=python3.11")]
    offered = metadata("galnb").get_all("Provides-Extra")
    for wanted in map(Requirement, requires("galnb")):
        extras = {extra for extra in offered if wanted.marker and extra in str(wanted.marker)}
        if "dev" in extras and wanted.name != "notebook":
            continue
        try:
            found = version(wanted.name)
            ok = wanted.specifier.contains(found, prereleases=True)
            what = found if ok else f"{found}, wanted is {wanted.specifier}"
        except PackageNotFoundError:
            ok, what = False, "not installed" + (" (optional)" if extras else "")
        mend = _install(f"'{wanted.name}{wanted.specifier}'")
        findings.append(Finding(wanted.name, ok, what, mend, needed=not extras))
    return findings


def _device() -> list[Finding]:
    import torch

    from .engines import cores

    threads, here = torch.get_num_threads(), cores()
    name = f"cpu, {threads} thread{'s' * (threads > 1)}"
    if torch.cuda.is_available():
        name = f"cuda ({torch.cuda.get_device_name(0)}); {name}"
    elif torch.backends.mps.is_available():
        name = f"mps; {name}"
    if threads > here:  # as in a container that may use 2 of 64 cores
        name += f", for {here} core{'s' * (here > 1)}"
        mend = f"export OMP_NUM_THREADS={here} before the kernel starts"
        return [Finding("torch device", False, name, mend, needed=False)]
    return [Finding("torch device", True, name)]


def _front_ends(server: str | Path | None) -> list[Finding]:
    serving = Path(server or server_prefix())
    findings = [_front_end(serving, *pair) for pair in FRONT_ENDS.items()]
    on_path = shutil.which("jupyter")
    other = Path(on_path).resolve().parents[1] if on_path else serving
    if server is None and not os.path.samefile(other, serving):
        others = [_front_end(other, *pair) for pair in FRONT_ENDS.items()]
        findings += [replace(found, name=f"{found.name} (on PATH)", needed=False) for found in others]
    return findings


def _front_end(server: Path, extension: str, package: str) -> Finding:
    name = f"front end: {package}"
    mend = f"{_install(package, prefix=server)}, then restart the server"
    found = _extension(server, extension)
    if found is None:
        return Finding(name, False, f"not in the server's environment {server}", mend)
    here = version("anywidget") if package == "anywidget" else _extension(Path(sys.prefix), extension)
    if here is None or _compatible(found) == _compatible(here):
        return Finding(name, True, f"{found} in {server}")
    mend = f"{_install(f'{package}=={version(package)}', prefix=server)}, then restart the server"
    return Finding(name, False, f"{found} in {server}, but {here} beside this Python", mend)


def _extension(prefix: Path, extension: str) -> str | None:
    from jupyter_core.paths import jupyter_data_dir

    for folder in (prefix / "share" / "jupyter", Path(jupyter_data_dir())):
        try:
            return json.loads((folder / "labextensions" / extension / "package.json").read_text())["version"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _compatible(number: str) -> list[str]:
    """What two versions share when one front end serves both: the major, before 1.0 the minor too."""
    parts = number.split(".")
    return parts[:2] if parts[0] == "0" else parts[:1]


def _weights() -> list[Finding]:
    from . import weights
    from .errors import GalnbError

    findings = []
    for path in sorted(weights.ASSETS.glob("*.json")):
        try:
            ok = weights.sha256(path.with_suffix(".safetensors")) == weights.card(path.stem)["sha256"]
            found = "shipped, the bytes that its card says" if ok else "not the bytes that its card says"
        except (GalnbError, OSError) as error:
            ok, found = False, str(error)
        mend = f"git -C {weights.ASSETS} checkout -- ."
        findings.append(Finding(f"weights {path.stem}", ok, found, mend))
    return findings or [Finding("weights", False, f"none in {weights.ASSETS}", "install galnb again")]


def _survey() -> list[Finding]:
    spec = find_spec("skimage")
    there = bool(spec) and Path(spec.origin).with_name("data").joinpath("hubble_deep_field.jpg").exists()
    found = "inside scikit-image" if there else "not in this scikit-image: it would be downloaded"
    return [Finding("default survey", there, found, _install("--force-reinstall", "scikit-image"))]


def _network() -> list[Finding]:
    note = "galnb fetches nothing; before a bokeh plot of HoloViews, hv.extension('bokeh', inline=True)"
    return [Finding("network", True, note)]


def _cache() -> list[Finding]:
    from .disk import cache_folder

    try:
        with tempfile.TemporaryFile(dir=(folder := cache_folder())):
            files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
            size = sum(path.stat().st_size for path in files)
            found = f"{folder}, {size / 1e9:.1f} GB; what is deleted there is made again when it is needed"
            if shared := os.environ.get("GALNB_SHARED"):
                found += f"; what {shared} has is used from there"
            return [Finding("cache folder", True, found)]
    except OSError as error:
        return [Finding("cache folder", False, str(error), CACHE)]
