"""A kind of damaged input: its originals, how they are damaged, how galnb reads them, what is sane."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import mutations
from .originals import SIZE, Files

MOST_PIXELS = 1 << 26  # in an image that a few kilobytes made, anything more were a bomb


class Insane(AssertionError):
    """galnb read a damaged file without a word, and what it gave back cannot be."""


@dataclass(frozen=True)
class Case:
    """How one kind of file is tortured.

    Attributes
    ----------
    originals : function
        Of a folder to work in: the originals, each a dict of names and bytes.
    read : function
        ``read(place, files)`` lets galnb read them; raises BadInput, or Insane; returns which call found it.
    targets : tuple of str
        Ends of the names of files that are damaged; all, where empty.
    special : tuple
        Mutations of the format.
    sealed : bool
        Whether it carries checksums: a changed file must not be read as good.
    set_aside : function, optional
        ``set_aside(place)`` reads it among good ones with `skip_bad=True`: how many were quarantined.
    forge : function, optional
        What a hostile author does last: puts checksums right.
    only : tuple
        These mutations and no others.
    may_fail : bool
        Whether an original may be refused.
    """

    originals: Callable[[Path], list[Files]]
    read: Callable[[Path, Files], str | None]
    targets: tuple[str, ...] = ()
    special: tuple = ()
    sealed: bool = False
    set_aside: Callable[[Path], int] | None = None
    forge: Callable[[Files], Files] | None = None
    only: tuple = ()
    may_fail: bool = False

    def damage(self, originals: list[Files], rng: np.random.Generator) -> Files:
        files = dict(originals[rng.integers(len(originals))])
        names = [name for name in sorted(files) if not self.targets or name.endswith(self.targets)]
        name = names[rng.integers(len(names))]
        ending = name.rpartition(".")[2]
        alike = [one[n] for one in originals for n in sorted(one) if n.rpartition(".")[2] == ending]
        other = alike[rng.integers(len(alike))]
        if self.only:
            files[name] = self.only[rng.integers(len(self.only))](files[name], rng, other)
        else:
            files[name] = mutations.damaged(files[name], rng, other, self.special)
        return self.forge(files) if self.forge else files


def named(name: str, contents: list[bytes]) -> list[Files]:
    return [{name: data} for data in contents]


# images


def sane_images(images, n: int | None = 1, *, finite: bool = False) -> None:
    pixels = images.pixels
    demand(n is None or len(images) == n, f"{len(images)} images of {n}")
    demand(pixels.ndim == 4 and pixels.dtype == np.float32, f"{pixels.shape} {pixels.dtype}")
    demand(not len(images) or min(pixels.shape) > 0, f"{pixels.shape}: empty")
    demand(pixels.size <= MOST_PIXELS, f"{pixels.shape}: huge")
    demand(len(images.bands) == pixels.shape[1] and len(set(map(str, images.id))) == len(pixels), "names")
    demand(images.pixel_scale is None or np.isfinite(images.pixel_scale), f"scale {images.pixel_scale}")
    demand(
        not finite or (np.isfinite(pixels).all() and 0 <= pixels.min() and pixels.max() <= 1), "not 0 to 1"
    )


def demand(good: bool, words: str) -> None:
    if not good:
        raise Insane(words)


def one_file(place: Path) -> Path:
    (found,) = [path for path in place.iterdir() if path.name.startswith("b")]
    return found


def read_file(place: Path, files: Files) -> None:
    from galnb.sources import Folder

    path = one_file(place)
    images = Folder(path).read()
    arrays = path.suffix in (".npz", ".npy")
    sane_images(images, None if arrays else 1, finite=path.suffix in (".png", ".jpg"))


def read_among_good_ones(place: Path) -> int:
    """How many are set aside of a folder with a good file and a bad one."""
    from astropy.io import fits
    from PIL import Image

    from galnb.sources import Folder

    bad = one_file(place)
    if bad.suffix in (".png", ".jpg"):
        Image.fromarray(np.zeros((SIZE, SIZE, 3), np.uint8)).save(place / "a.png")
    else:
        fits.writeto(place / "a.fits", np.ones((SIZE, SIZE), np.float32))
    source = Folder(place)
    images = source.read(skip_bad=True)
    demand(list(images.id) == ["a"], f"of the good file are left {list(images.id)}")
    wheres = [line.where for line in source.quarantine]
    demand(len(wheres) == 1 and str(bad) in wheres[0], f"quarantined: {wheres}")
    return len(wheres)


def read_table(place: Path, files: Files) -> None:
    """A folder of three pictures, joined to the damaged table."""
    from PIL import Image

    from galnb.sources import Folder

    pictures, (table,) = place / "pictures", list(place.iterdir())
    pictures.mkdir()
    for name in "abc":
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(pictures / f"{name}.png")
    images = Folder(pictures, table=table).read()
    sane_images(images, 3)
    for name in images.table.colnames:
        column = np.asarray(images.table[name])
        demand(len(column) == 3 and column.dtype.kind in "iufbUSM", f"column {name!r}: {column.dtype}")


# weights


def small_weights(folder: Path) -> list[Files]:
    import torch

    from galnb import weights
    from galnb.densities import GMM
    from galnb.models import AE, PCA

    torch.manual_seed(0)
    pca = PCA(("r",), 28, 3)
    pca.fit([torch.rand(20, 1, 28, 28)])
    made = [pca, AE(("r",), 28, latent_dim=2, widths=(8, 8, 8)), GMM(2, components=2)]
    found = []
    for k, model in enumerate(made):
        weights.save(model, folder / str(k) / "toy", card={"credit": "nobody", "held_out": {"mse": 0.5}})
        found.append({n: (folder / str(k) / n).read_bytes() for n in ("toy.safetensors", "toy.json")})
    return found


def load_weights(place: Path, files: Files) -> None:
    import torch

    from galnb import weights

    model = weights.load(place / "toy.safetensors")
    demand(isinstance(model, torch.nn.Module) and not model.training, "no model")


def forged_card(files: Files) -> Files:
    """The card as somebody who means harm would seal it: its checksums are right."""
    import hashlib
    import json

    from galnb import weights

    try:
        card = json.loads(files["toy.json"])
        card["sha256"] = hashlib.sha256(files["toy.safetensors"]).hexdigest()
        return files | {"toy.json": weights.sealed(card)}
    except (ValueError, TypeError, RecursionError):
        return files


def sealed(data: bytes, mark: bytes) -> bytes:
    """A file as `disk.seal` leaves it."""
    from galnb import disk

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "b")
        path.write_bytes(data)
        disk.seal(path, mark)
        return path.read_bytes()


def _training():
    import torch

    from galnb.models import AE
    from galnb.train import Settings, train

    torch.manual_seed(0)
    pixels = np.random.default_rng(0).random((8, 1, 28, 28), np.float32)
    settings = Settings(epochs=2, batch=4, warm_up=1)
    model = AE(("r",), 28, latent_dim=2, widths=(8, 8, 8))
    return lambda path: train(model, pixels, settings=settings, checkpoint=path)


def checkpoints(folder: Path) -> list[Files]:
    folder.mkdir(parents=True, exist_ok=True)
    run = _training()(folder / "b.checkpoint")
    next(run), next(run)
    run.close()
    return [{"b.checkpoint": (folder / "b.checkpoint").read_bytes()}]


def resume(place: Path, files: Files) -> None:
    run = _training()(place / "b.checkpoint")
    step = next(run)
    run.close()
    demand(step.step == 3 and all(map(np.isfinite, step.terms.values())), f"{step}")


def forged_checkpoint(files: Files) -> Files:
    """With the seal that belongs to what is in it."""
    from safetensors import deserialize
    from safetensors.torch import load, save

    from galnb import disk

    data = files["b.checkpoint"]
    try:
        deserialize(data)
        size = int.from_bytes(data[:8], "little")
        import json

        told = json.loads(data[8 : 8 + size])["__metadata__"]
        tensors = load(data)
        told["seal"] = disk.UNSEALED
        return {"b.checkpoint": sealed(save(tensors, told), disk.HEAD)}
    except Exception:  # what is no safetensors at all is read as such
        return files


def forests(folder: Path) -> list[Files]:
    from galnb.forest import IsolationForest

    folder.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(0).normal(size=(64, 3))
    path = IsolationForest(4, 16).fit(rows).save(folder / "b.safetensors")
    return [{"b.safetensors": path.read_bytes()}]


def load_forest(place: Path, files: Files) -> None:
    from galnb.forest import IsolationForest

    forest = IsolationForest.load(place / "b.safetensors")
    scores = forest.score(np.zeros((3, 3)))
    demand(scores.shape == (3,) and np.isfinite(scores).all(), "scores")
