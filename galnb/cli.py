"""The command line: `galnb lab | demo | train | encode | doctor`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import BadInput, BandMismatch, GalnbError, MissingPackage, one_of

NO_UPDATES = "jupyterlab.NeverCheckForUpdate"  # which would ask the package index


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 2, after one line of error, for what the user can mend."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser, commands = _parser()
    try:
        if not words:
            parser.print_help()
            return 0
        _check_spelling(words, commands)
        chosen, chosen.extra = parser.parse_known_args(words)
        if chosen.extra and chosen.run is not _lab:
            parser.error(f"{' '.join(chosen.extra)!r} is more than {words[0]!r} wants")
        return chosen.run(chosen) or 0
    except (GalnbError, ValueError, OSError) as error:
        print(f"galnb: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("galnb: interrupted; run it again (training goes on where it stopped)", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, and knows the names of its options."""

    def __init__(self, **about):
        self.options: list[str] = []
        super().__init__(allow_abbrev=False, **about)

    def add_argument(self, *names, **about):
        self.options += [name for name in names if name.startswith("--")]
        return super().add_argument(*names, **about)

    def error(self, message):
        raise GalnbError(f"{message}; see {self.prog} --help")


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="galnb",
        description="Look into latent spaces of galaxy images.",
        epilog="`galnb COMMAND --help` tells what a command wants. Start with `galnb lab`.",
    )
    chooser = parser.add_subparsers(required=True, metavar="COMMAND")
    commands = {}

    def add(name, run, about):
        command = commands[name] = chooser.add_parser(name, help=about, description=f"{about}.")
        command.set_defaults(run=run)
        return command

    lab = add("lab", _lab, "Prepare the default survey and open JupyterLab; further options go to JupyterLab")
    lab.add_argument("--notebooks", type=Path, metavar="FOLDER", help="what to open (default: notebooks/)")
    demo = add("demo", _demo, "Prepare the default survey and leave a report on it in a folder, no browser")
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="default: demo")
    train = add("train", _train, "Train a recipe to weights with a card; stopped, it goes on where it was")
    train.add_argument("recipe", type=Path, help="a .toml file, like those in recipes/")
    train.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    train.add_argument("--device", default="cpu", help="cpu (the default), cuda or mps")
    encode = add("encode", _encode, "Turn images into a latent catalogue; what cannot be read is left out")
    encode.add_argument("images", type=Path, help="a folder of FITS, PNG or JPEG files, or one npz or npy")
    encode.add_argument("--model", required=True, help="shipped weights by name, or a .safetensors file")
    encode.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .parquet file")
    encode.add_argument("--bands", help="names of the images' bands in order, separated by commas")
    encode.add_argument("--size", type=int, help="crop to the central SIZE x SIZE pixels first")
    encode.add_argument("--table", type=Path, metavar="FILE", help="columns to join")
    encode.add_argument("--id-column", default="id", help="names of the images in the table (default: id)")
    add("doctor", _doctor, "Say whether everything is in place, and how to mend what is not")
    return parser, commands


def _check_spelling(words: list[str], commands: dict[str, _Parser]) -> None:
    """Name the nearest right word, before argparse misses what a mistyped one should have been."""
    if words[0].startswith("-"):
        return
    one_of("command", words[0], commands)
    for word in words[1:] if words[0] != "lab" else ():
        if word.startswith("--"):
            one_of("option", word.partition("=")[0], commands[words[0]].options)


def _lab(chosen) -> int:
    folder = chosen.notebooks or Path(__file__).parents[1] / "notebooks"
    if not folder.is_dir():
        raise GalnbError(f"there is no folder {folder}; name one that is there with --notebooks=FOLDER")
    if find_spec("jupyterlab") is None:
        todo = f"{sys.executable} -m pip install jupyterlab"
        raise MissingPackage(f"JupyterLab is not installed and `galnb lab` opens it: {todo}")
    from .demo import default_survey

    default_survey()
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(folder),
        f"--LabApp.check_for_updates_class={NO_UPDATES}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container; Jupyter would refuse
        command.append("--allow-root")
    return subprocess.call([*command, *chosen.extra])


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
    bands = tuple(name.strip() for name in chosen.bands.split(",")) if chosen.bands else None
    joined = {"table": chosen.table, "id_column": chosen.id_column}
    source = Folder(chosen.images, bands=bands, size=chosen.size, **joined)
    if set(model.bands) - set(source.bands):
        raise BandMismatch(
            source.bands, model.bands, "name the images' own bands in order with --bands=A,B,C"
        )
    if chosen.out.suffix != ".parquet":
        raise BadInput(chosen.out, "wanted a file that ends in .parquet; give another --out")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    latents = encode(source, model, skip_bad=True, progress=True)
    for entry in source.quarantine:
        print(f"left out: {entry.where}: {entry.reason}", file=sys.stderr)
    if not len(latents):
        raise BadInput(chosen.images, f"none of its {len(source)} galaxies can be used; see above, mend one")
    print(f"{len(latents)} galaxies in {latents.write(chosen.out)}")


def _doctor(chosen) -> int:
    from .doctor import check, show

    findings = check()
    print(show(findings))
    return 0 if all(finding.ok or not finding.needed for finding in findings) else 1
