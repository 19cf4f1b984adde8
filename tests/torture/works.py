"""What is begun, disturbed and gone on with: each work writes into a folder, and knows what must be there."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Digests = dict[str, str]


@dataclass(frozen=True)
class Work:
    """Something that takes a while, and can be gone on with where it stopped.

    Attributes
    ----------
    finish : function
        Of a folder: does the work to its end, from where an earlier try stopped, if any did.
    results : function
        Of a folder in which it is finished: what must be the same in all of them.
    begin : function
        Of a folder: what is there already before anything goes wrong.
    harmed : function
        Of a folder that was begun, after an error: what of the earlier results is lost; empty, where none is.
    """

    finish: Callable[[Path], None]
    results: Callable[[Path], Digests]
    begin: Callable[[Path], None] = lambda folder: None
    harmed: Callable[[Path], str] = lambda folder: ""


def digests(folder: Path, pattern: str = "**/*") -> Digests:
    """The sha256 of the files of a folder, by their place in it; of those that are finished."""
    own = lambda file: file.name == "kept.json" or file.suffix == ".tmp"  # noqa: E731
    files = sorted(file for file in folder.glob(pattern) if file.is_file() and not own(file))
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


# what a strike adds to a work, in the process that it strikes: at a training step, or on reading a galaxy
hungry: Callable[[], None] | None = None

# training


def _train(folder: Path, steps: int | None = None) -> None:
    from galnb import weights
    from galnb.train import Settings, fit, train
    from tests.test_train import galaxies, small

    model, images = small(), galaxies()
    if hungry is not None:
        once, updates = model.update, iter(range(10**9))
        model.update = lambda *given, **more: (
            (hungry() if next(updates) == 1 else None) or once(*given, **more)
        )
    settings = Settings(epochs=2, batch=16, warm_up=2, seed=3)
    options = {"held_out": images[:8], "settings": settings, "checkpoint": folder / "run"}
    if steps is not None:
        run = train(model, images, **options)
        for _ in range(steps):
            next(run)
        run.close()
        return
    fit(model, images, **options, progress=False)
    weights.save(model, folder / "done", card={"credit": "nobody"})


def _checkpoint_lost(folder: Path) -> str:
    from galnb import checkpoints

    _, told = checkpoints.read(folder / "run")
    return "" if json.loads(told["run"])["step"] >= 2 else "the checkpoint is an older one"


TRAINING = Work(
    _train,
    lambda folder: digests(folder, "done.*"),
    lambda folder: _train(folder, 2),
    _checkpoint_lost,
)

# encoding


def encoding(workers: int) -> Work:
    """Of a toy survey in some twelve partitions."""

    def finish(folder: Path) -> None:
        from tests.toys import Toy, make

        source = Toy(60, on_read={} if hungry is None else {59: hungry})
        make(folder / "survey.hats", source, workers=workers, partition_rows=10)

    return Work(finish, lambda folder: digests(folder / "survey.hats"), _half, _partition_lost)


def _half(folder: Path) -> None:
    """A survey that was stopped after some partitions."""
    from galnb import disk
    from tests.toys import Toy, ended, forked, make

    def stopped() -> None:
        passed = iter(range(10**9))
        disk.point = lambda name: next(passed) == 24 and os._exit(9)
        make(folder / "survey.hats", Toy(60), workers=0, partition_rows=10)

    assert ended(forked(stopped)) == 9
    files = digests(folder / "survey.hats", "**/Npix=*.parquet")
    assert files
    (folder / "kept.json").write_text(json.dumps(files))


def _partition_lost(folder: Path) -> str:
    """Which of the partitions that were there is not what it was."""
    before = json.loads((folder / "kept.json").read_text()) if (folder / "kept.json").exists() else {}
    now = digests(folder / "survey.hats", "**/Npix=*.parquet")
    return ", ".join(name for name, digest in before.items() if now.get(name) != digest)


# votes


def _vote(folder: Path, n: int = 24) -> None:
    """Votes whose call returned are noted outside of the folder."""
    from galnb.votes import Votes

    votes = Votes(folder / "votes.jsonl", user="vera")
    for id in range(n):
        if votes.get(id) is None:
            votes.vote(id, ("interesting", "ordinary", "artefact")[id % 3], note=f"the {id}th " + "x" * 300)
    votes.flush()


def _voted(folder: Path) -> Digests:
    from galnb.votes import Votes

    votes = Votes(folder / "votes.jsonl", user="vera")
    return {str(id): f"{votes[id]} {votes.note(id)}" for id in votes} | {"damaged": str(votes.damaged)}


def _votes_lost(folder: Path) -> str:
    lost = [id for id in range(8) if str(id) not in _voted(folder)]
    return f"votes on {lost}" if lost else ""


VOTES = Work(_vote, _voted, lambda folder: _vote(folder, 8), _votes_lost)

# files that are written at once: after an error, each is the old or the new one


def at_once(write: Callable[[Path, int], None]) -> Work:
    """What `write(folder, 1)` writes where `write(folder, 0)` wrote before; both in one moment each file."""

    def begin(folder: Path) -> None:
        write(folder, 0)
        (folder / "kept.json").write_text(json.dumps(digests(folder)))

    def harmed(folder: Path) -> str:
        kept, now = folder / "kept.json", digests(folder)
        before = json.loads(kept.read_text()) if kept.exists() else {}
        aside = folder.with_name(f"{folder.name}.new")
        aside.mkdir(exist_ok=True)
        write(aside, 1)
        after = digests(aside)
        lost = [name for name in before if now.get(name) not in (before[name], after[name])]
        return ", ".join(lost + [f"{name} is left over" for name in now if name not in before])

    return Work(lambda folder: write(folder, 1), digests, begin, harmed)


def _latents(k: int):
    from astropy.table import Table

    from galnb.latents import Latents

    rng = np.random.default_rng(k)
    return Latents(np.arange(600), rng.normal(size=(600, 4)), Table({"redshift": rng.random(600)}))


def _tables(folder: Path, k: int) -> None:
    from astropy.table import Table

    from galnb.export import export

    table = Table({"id": np.arange(500) + k, "distance": np.random.default_rng(k).random(500)})
    for ending in (".csv", ".vot", ".parquet"):
        export(table, folder / f"near{ending}")


def _figures(folder: Path, k: int) -> None:
    from galnb import figures

    figure = figures.blank(2, 2)
    figure.add_subplot().plot(np.random.default_rng(k).random(200))
    for ending in (".png", ".pdf"):
        figures.save(figure, folder / f"fig{ending}", code="print('plot')", seed=k)


def _session(folder: Path, k: int) -> None:
    from galnb.session import Session

    session = Session(_latents(0), seed=k)
    session.select_ids(range(0, 600, 2 + k))
    session.save(folder / "session.json")


def _weights(folder: Path, k: int) -> None:
    import torch

    from galnb import weights
    from galnb.models import PCA

    torch.manual_seed(k)
    pca = PCA(("r",), 28, 8)
    pca.fit([torch.rand(20, 1, 28, 28)])
    weights.save(pca, folder / "toy", card={"credit": "nobody"})


# maps


def _map(folder: Path) -> None:
    from galnb import buckets, stream
    from galnb.store import Store

    buckets.BUCKET, stream.EVERY, buckets.GRID = 4_000, 8_000, 4
    points = np.random.default_rng(7).normal(size=(30_000, 2)).astype("f4")
    chunks = lambda row: (points[at : at + 5_000] for at in range(row, len(points), 5_000))  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Store.stream(chunks, folder / "map", n=len(points))


WORKS = {
    "training": TRAINING,
    "encoding": encoding(0),
    "encoding, 2 workers": encoding(2),
    "votes": VOTES,
    "tables": at_once(_tables),
    "figures": at_once(_figures),
    "latents": at_once(lambda folder, k: _latents(k).write(folder / "z.parquet") and None),
    "sessions": at_once(_session),
    "weights": at_once(_weights),
    "maps": Work(_map, lambda folder: digests(folder / "map")),
}
