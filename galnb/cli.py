"""The command line: `galnb lab | app | demo | train | encode | similar | mock | figure | doctor`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from .errors import BadInput, BandMismatch, GalnbError, MissingPackage, need, one_of

OURS = Path(__file__).parent / "assets" / "jupyter"  # pages and settings that ask nothing of the outside
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
        if chosen.extra and chosen.run not in (_lab, _app):
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
    about = "Show a notebook as an app, without its code, on this machine; further options go to Voila"
    app = add("app", _app, about)
    app.add_argument("notebook", type=Path, nargs="?", help="default: notebooks/00_start_here.ipynb")
    demo = add("demo", _demo, "Prepare the default survey and leave a report on it in a folder, no browser")
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="default: demo")
    train = add("train", _train, "Train a recipe to weights with a card; stopped, it goes on where it was")
    train.add_argument("recipe", type=Path, help="a .toml file, like those in recipes/")
    train.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    train.add_argument("--device", default="cpu", help="cpu (the default), cuda or mps")
    encode = add("encode", _encode, "Turn images into a latent catalogue; what cannot be read is left out")
    encode.add_argument("images", help="a folder of FITS, PNG or JPEG files, one npz or npy, or hubble")
    encode.add_argument("--model", required=True, help="shipped weights by name, or a .safetensors file")
    about = "a folder.hats, resumed where it was stopped; or a file.parquet"
    encode.add_argument("--out", type=Path, required=True, metavar="PATH", help=about)
    _seen(encode)
    encode.add_argument("--table", type=Path, metavar="FILE", help="columns to join")
    encode.add_argument("--id-column", default="id", help="names of the images in the table (default: id)")
    encode.add_argument("--batch", type=int, default=256, help="galaxies a forward pass (default: 256)")
    encode.add_argument("--dtype", default="float16", help="of a folder.hats: float16, int8 or float32")
    encode.add_argument("--engine", default="local", help="local, dask or lsdb, for a folder.hats")
    encode.add_argument("--workers", type=int, help="processes (default: one a core)")
    encode.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that is there already")
    similar = add("similar", _similar, "The galaxies of a catalogue that are most like one")
    similar.add_argument("catalogue", type=Path, help="a folder.hats or file.parquet of latents")
    similar.add_argument("--id", help="a galaxy of the catalogue")
    similar.add_argument("--image", type=Path, metavar="FILE", help="a galaxy in FITS, PNG, JPEG or npy")
    similar.add_argument("--place", nargs=2, type=float, metavar=("RA", "DEC"), help="in degrees")
    similar.add_argument("-k", type=int, default=10, help="how many (default: 10)")
    similar.add_argument("--metric", default="euclidean", help="euclidean (the default) or cosine")
    similar.add_argument(
        "--model", help="what made the latents, for --image (default: as the catalogue says)"
    )
    similar.add_argument("--out", type=Path, metavar="FILE", help="a .csv, .vot or .parquet for the answer")
    _seen(similar)
    mock = add("mock", _mock, "Write a catalogue of galaxies that do not exist, drawn like real ones")
    mock.add_argument("--rows", type=float, required=True, metavar="N", help="how many, such as 1e8")
    mock.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="such as lsst.hats")
    mock.add_argument(
        "--dec", nargs=2, type=float, default=(-90, 90), metavar=("LOW", "HIGH"), help="degrees"
    )
    mock.add_argument("--dtype", default="float16", help="of latents: float16, int8 or float32")
    mock.add_argument("--seed", type=int, default=0, help="another survey (default: 0)")
    mock.add_argument("--workers", type=int, help="processes (default: one a core)")
    figure = add("figure", _figure, "Show what made a figure, or make it again, which runs the code in it")
    figure.add_argument("action", help="show: print it; replay: run it again, and compare byte for byte")
    figure.add_argument(
        "path", type=Path, metavar="FILE", help="a .pdf, .png or .svg, or the .json beside it"
    )
    figure.add_argument("--yes", action="store_true", help="run the code without asking: you have read it")
    figure.add_argument("--out", type=Path, metavar="FILE", help="where to keep the figure that replay makes")
    figure.add_argument(
        "--where", type=Path, metavar="FOLDER", help="where to run it (default: an empty one)"
    )
    doctor = add("doctor", _doctor, "Say whether everything is in place, and how to mend what is not")
    doctor.add_argument("catalogue", type=Path, nargs="?", help="look at every byte of a folder.hats instead")
    return parser, commands


def _seen(command: _Parser) -> None:
    """How to look at images."""
    command.add_argument("--bands", help="names of the images' bands in order, separated by commas")
    command.add_argument("--size", type=int, help="crop to the central SIZE x SIZE pixels first")


def _check_spelling(words: list[str], commands: dict[str, _Parser]) -> None:
    """Name the nearest right word, before argparse misses what a mistyped one should have been."""
    if words[0].startswith("-"):
        return
    one_of("command", words[0], commands)
    for word in words[1:] if words[0] not in ("lab", "app") else ():
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
    return subprocess.call([*command, *chosen.extra], env=_with_ours("JUPYTER_CONFIG_PATH"))


def _app(chosen) -> int:
    notebook = chosen.notebook or Path(__file__).parents[1] / "notebooks" / "00_start_here.ipynb"
    if not notebook.is_file():
        raise BadInput(notebook, "there is no such notebook; name one that is there")
    need("voila", extra="app")
    command = [sys.executable, "-m", "voila", str(notebook), "--template=galnb", *chosen.extra]
    return subprocess.call(command, env=_with_ours("JUPYTER_PATH"))


def _with_ours(name: str) -> dict[str, str]:
    """The environment, with our folder first on one of Jupyter's paths."""
    return {**os.environ, name: os.pathsep.join(filter(None, (str(OURS), os.environ.get(name))))}


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


def _source(images: str | Path, model, chosen, **joined):
    """What to encode, in the bands of the model."""
    from .sources import Folder, Hubble

    if str(images) == "hubble" and not Path(images).exists():
        source = Hubble(size=model.size)
    else:
        bands = tuple(name.strip() for name in chosen.bands.split(",")) if chosen.bands else None
        source = Folder(images, bands=bands, size=chosen.size, **joined)
    if set(model.bands) - set(source.bands):
        raise BandMismatch(
            source.bands, model.bands, "name the images' own bands in order with --bands=A,B,C"
        )
    return source


def _encode(chosen) -> None:
    from . import weights
    from .encoding import encode

    if chosen.out.suffix not in (".hats", ".parquet"):
        raise BadInput(chosen.out, "wanted a folder.hats or a file.parquet; give another --out")
    model = weights.load(chosen.model)
    source = _source(chosen.images, model, chosen, table=chosen.table, id_column=chosen.id_column)
    options = {"batch": chosen.batch, "skip_bad": True, "progress": True}
    if chosen.out.suffix == ".hats":
        with _cluster(chosen.scheduler) as client:
            options |= {"engine": chosen.engine, "workers": chosen.workers, "dtype": chosen.dtype}
            latents = encode(source, model, chosen.out, client=client, **options)
        left_out = latents.left_out
    else:
        latents = encode(source, model, **options)
        left_out = [(entry.where, entry.reason) for entry in source.quarantine]
    for where, reason in left_out:
        print(f"left out: {where}: {reason}", file=sys.stderr)
    if not len(latents):
        raise BadInput(chosen.images, f"none of its {len(source)} galaxies can be used; see above, mend one")
    path = chosen.out if chosen.out.suffix == ".hats" else latents.write(chosen.out)
    print(f"{len(latents)} galaxies in {path}")


@contextmanager
def _cluster(address: str | None):
    if address is None:
        yield None
        return
    with need("distributed", extra="scale").Client(address) as client:
        yield client


def _similar(chosen) -> None:
    from . import neighbors, weights
    from .catalogue import read
    from .encoding import encode
    from .export import export

    asked = [name for name in ("id", "image", "place") if getattr(chosen, name) is not None]
    if len(asked) != 1:
        raise GalnbError(
            "say which galaxy is meant with one of --id, --image or --place; see galnb similar --help"
        )
    latents, query = read(chosen.catalogue), {}
    if chosen.image is not None:
        model = weights.load(chosen.model) if chosen.model else latents.model()
        if model is None:
            raise BadInput(
                chosen.catalogue, "the weights that made it are not shipped; name them with --model"
            )
        query["z"] = encode(_source(chosen.image, model, chosen).read([0]), model).z[0]
    elif chosen.place is not None:
        rows, _ = latents.near(*chosen.place)
        if not len(rows):
            raise BadInput(
                chosen.catalogue, f"no galaxy within 5 arcsec of {chosen.place}; give another place"
            )
        query["id"] = latents.id[rows[0]]
    else:
        query["id"] = chosen.id
    index = neighbors.Neighbors(latents, metric=chosen.metric, progress=True)
    found = neighbors.similar(latents, **query, k=chosen.k, index=index)
    if chosen.out is not None:
        print(f"{len(found)} galaxies in {export(found, chosen.out)}")
    else:
        print("\n".join(found.pformat(max_lines=-1, max_width=-1)))


def _mock(chosen) -> None:
    from .mock import mock

    options = {
        "dec": tuple(chosen.dec),
        "dtype": chosen.dtype,
        "seed": chosen.seed,
        "workers": chosen.workers,
    }
    survey = mock(chosen.rows, chosen.out, progress=True, **options)
    print(f"{len(survey):,} galaxies that do not exist in {chosen.out}")


def _figure(chosen) -> int:
    import json

    from .figures import provenance_of
    from .replay import replay, shown

    one_of("action", chosen.action, ("show", "replay"))
    if chosen.action == "show":
        told = provenance_of(chosen.path)
        code = told.pop("code")
        print(json.dumps(told, indent=1), shown(code or "no code"), sep="\n\n")
        return 0

    def agreed(code: str) -> bool:
        print(f"{chosen.path} was made by this code, which runs with all your rights:\n\n{shown(code)}\n")
        asked = not chosen.yes and sys.stdin.isatty()
        return chosen.yes or (asked and input("Run it? [y/N] ").strip().lower() == "y")

    done = replay(chosen.path, yes=agreed, out=chosen.out, where=chosen.where)
    print(done)
    return 0 if done.same else 1


def _doctor(chosen) -> int:
    if chosen.catalogue is not None:
        from .catalogue import Catalogue

        survey = Catalogue(chosen.catalogue)
        damaged = survey.check()
        for file in damaged:
            print(f"damaged: {file}; make the catalogue again in its place, what is intact is kept")
        print(f"{len(survey):,} galaxies, {'not ' if damaged else ''}every byte as it was written")
        return 1 if damaged else 0
    from .doctor import check, show

    findings = check()
    print(show(findings))
    return 0 if all(finding.ok or not finding.needed for finding in findings) else 1
