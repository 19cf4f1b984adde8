"""`galnb doctor`: whether everything is in place, and how to mend what is not."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

NEEDED = "numpy torch astropy pyarrow datashader holoviews ipywidgets anywidget jupyterlab".split()
OPTIONAL = {"umap-learn": "umap", "GalSim": "sim", "notebook": "dev"}
FRONT_ENDS = {"anywidget": "anywidget", "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was found, and the command that mends it where it is not ok."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True


def check(*, server: Path | None = None) -> list[Finding]:
    """Look at packages, device, front end, network and cache.

    Parameters
    ----------
    server : Path, optional
        Prefix of the environment that the Jupyter server runs in; found where not given.

    Examples
    --------
    >>> [finding.name for finding in check() if finding.name == "torch"]
    ['torch']
    """
    server = server or server_prefix()
    return [*_packages(), _device(), *_front_end(server), *_offline(), _cache()]


def show(findings: list[Finding]) -> str:
    """Findings as lines of text."""
    lines = []
    for finding in findings:
        sign = "ok  " if finding.ok else "FAIL" if finding.needed else "--  "
        lines.append(f"{sign} {finding.name:<28} {finding.found}")
        if not finding.ok and finding.mend:
            lines.append(f"     {'':<28} mend: {finding.mend}")
    broken = sum(not finding.ok and finding.needed for finding in findings)
    lines.append("all is well" if not broken else f"{broken} thing(s) to mend")
    return "\n".join(lines)


def server_prefix() -> Path:
    """The environment of the Jupyter server: this one's, unless `jupyter` on the PATH is another's."""
    found = shutil.which("jupyter-lab") or shutil.which("jupyter")
    if "JPY_PARENT_PID" in os.environ and found:  # in a kernel, whose server may be elsewhere
        return Path(found).resolve().parents[1]
    return Path(sys.prefix)


def _packages() -> list[Finding]:
    findings = [
        Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")
    ]
    for package in (*NEEDED, *OPTIONAL):
        extra = OPTIONAL.get(package)
        mend = f"pip install {package}" if extra is None else f"pip install 'galnb[{extra}]'"
        try:
            findings.append(Finding(package, True, version(package), needed=extra is None))
        except PackageNotFoundError:
            what = "not installed" if extra is None else "not installed (optional)"
            findings.append(Finding(package, False, what, mend, needed=extra is None))
    return findings


def _device() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("torch device", False, str(error), "pip install torch")
    if torch.cuda.is_available():
        return Finding("torch device", True, f"cuda ({torch.cuda.get_device_name(0)})")
    name = "mps" if torch.backends.mps.is_available() else "cpu"
    return Finding("torch device", True, f"{name}, {torch.get_num_threads()} threads")


def _front_end(server: Path) -> list[Finding]:
    findings = []
    for extension, package in FRONT_ENDS.items():
        described = server / "share" / "jupyter" / "labextensions" / extension / "package.json"
        mend = f"{server / 'bin' / 'python'} -m pip install {package}, then restart the server"
        try:
            found = json.loads(described.read_text())["version"]
        except (OSError, ValueError, KeyError, TypeError):
            findings.append(Finding(f"front end of {package}", False, f"not in the server's {server}", mend))
            continue
        # Only anywidget numbers its front end as its Python package.
        here = _kernel_version(package) if extension == package else None
        ok = here is None or found == here
        what = f"{found} in the server" + (f", {here} in this kernel" if here else "")
        findings.append(Finding(f"front end of {package}", ok, what, f"{mend}, the same version in both"))
    return findings


def _kernel_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _offline() -> list[Finding]:
    from . import weights
    from .errors import GalnbError

    findings = []
    for name in weights.names():
        try:
            intact = weights.sha256(weights.ASSETS / f"{name}.safetensors") == weights.card(name)["sha256"]
            found = "shipped, sha256 as on its card" if intact else "not the bytes that its card says"
        except (GalnbError, OSError) as error:
            intact, found = False, str(error)
        findings.append(Finding(f"weights {name}", intact, found, "pip install --force-reinstall galnb"))
    spec = find_spec("skimage")
    picture = spec and Path(spec.origin).parent / "data" / "hubble_deep_field.jpg"
    there = bool(picture and picture.exists())
    found = "inside scikit-image" if there else "not in this scikit-image: it would be downloaded"
    findings.append(Finding("default survey", there, found, "pip install 'scikit-image>=0.24'"))
    findings.append(
        Finding(
            "network",
            True,
            "galnb fetches nothing; hv.extension('bokeh') would fetch BokehJS: pass inline=True",
        )
    )
    return findings


def _cache() -> Finding:
    from .demo import cache_folder

    try:
        folder = cache_folder()
        writable = os.access(folder, os.W_OK)
    except OSError as error:
        return Finding("cache folder", False, str(error), "set GALNB_CACHE to a folder that you can write to")
    mend = "set GALNB_CACHE to a folder that you can write to"
    return Finding("cache folder", writable, str(folder), mend)
