"""The command line: `galnb lab | demo | train | encode | doctor`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import GalnbError, MissingPackage, one_of


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 2 for anything that the user can mend."""
    parser = _parser()
    chosen, extra = parser.parse_known_args(arguments)
    if extra and chosen.run is not _lab:
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    chosen.extra = extra
    try:
        return chosen.run(chosen) or 0
    except (GalnbError, ValueError, OSError) as error:
        print(f"galnb: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("galnb: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="galnb", description="Look into latent spaces of galaxy images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, run, about):
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        return command

    lab = add("lab", _lab, "prepare the default survey and open JupyterLab; further options go to JupyterLab")
    lab.add_argument("--notebooks", type=Path, default=None, help="folder to open (default: notebooks/)")
    demo = add("demo", _demo, "the same without a browser: leave a report in a folder")
    demo.add_argument("--out", type=Path, default=Path("demo"))
    train = add("train", _train, "train a recipe to weights with a card; stops and resumes at any time")
    train.add_argument("recipe", type=Path)
    train.add_argument("--out", type=Path, default=Path("runs"))
    train.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    encode = add("encode", _encode, "turn images into a latent catalogue")
    encode.add_argument("images", type=Path, help="a folder of FITS, PNG or JPEG files, or one npz or npy")
    encode.add_argument("--model", required=True, help="shipped weights by name, or a .safetensors file")
    encode.add_argument("--out", type=Path, required=True, help="a .parquet file")
    encode.add_argument("--bands", help="names of the bands, separated by commas")
    encode.add_argument("--size", type=int, help="central crop, pixels")
    encode.add_argument("--table", type=Path, help="columns to join by name")
    add("doctor", _doctor, "say whether everything is in place, and how to mend what is not")
    return parser


def _lab(chosen) -> int:
    folder = chosen.notebooks or Path(__file__).parents[1] / "notebooks"
    if not folder.is_dir():
        raise GalnbError(f"no folder {folder}; run this in a checkout of galnb, or name one with --notebooks")
    if find_spec("jupyterlab") is None:
        raise MissingPackage(f"JupyterLab is not installed: {sys.executable} -m pip install jupyterlab")
    from .demo import default_survey

    default_survey()
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(folder), *chosen.extra])


def _demo(chosen) -> None:
    from .demo import report

    print(f"open {report(chosen.out).resolve()}")


def _train(chosen) -> None:
    import torch

    from .recipe import cook

    kind = chosen.device.partition(":")[0]
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    one_of("device", kind, there)
    if not there[kind]:
        raise GalnbError(f"device {chosen.device!r} is not on this machine, or not in this torch; take cpu")
    print(cook(chosen.recipe, chosen.out, device=chosen.device))


def _encode(chosen) -> None:
    from . import weights
    from .encoding import encode
    from .sources import Folder

    model = weights.load(chosen.model)
    bands = tuple(chosen.bands.split(",")) if chosen.bands else None
    source = Folder(chosen.images, bands=bands, size=chosen.size, table=chosen.table)
    latents = encode(source, model, skip_bad=True, progress=True)
    for entry in source.quarantine:
        print(f"left out: {entry.where}: {entry.reason}", file=sys.stderr)
    print(f"{len(latents)} galaxies in {latents.write(chosen.out)}")


def _doctor(chosen) -> int:
    from .doctor import check, show

    findings = check()
    print(show(findings))
    return 0 if all(finding.ok or not finding.needed for finding in findings) else 1
