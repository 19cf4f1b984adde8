"""Images to latents and back: a model run over any number of galaxies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table, vstack

from .catalogue import Catalogue
from .errors import enough_memory
from .images import Images
from .latents import Latents
from .models.base import Model
from .provenance import versions
from .sources.base import Source
from .tasks import finite
from .weights import made_of


def encode(
    galaxies: Images | Source,
    model: Model,
    path: str | Path | None = None,
    *,
    batch: int = 256,
    skip_bad: bool = False,
    progress: bool = False,
    **options,
) -> Latents | Catalogue:
    """Latents of every galaxy, with its id, its columns and what made them: in memory, or as a catalogue.

    Parameters
    ----------
    galaxies : Images or Source
        In the bands and the size of the model (`images.crop`, `images.resize`).
    path : path, optional
        A folder for a catalogue, such as survey.hats: for what does not fit in memory, takes long, or runs on
        a cluster. Stopped at any moment, the same call goes on where it was; so it does after a partition
        was damaged. Whatever the engine and the order, its files have the same bytes.
    batch : int
        Galaxies a forward pass.
    skip_bad : bool
        Leave out what a Source cannot read, and its images with NaN or infinite pixels (they go on its
        quarantine list, or the catalogue's `left_out`).
    dtype : "float16", "int8" or "float32"
        How a catalogue keeps latents; see `builder.partition`.
    engine : "local", "dask" or "lsdb"
        Who works on its partitions: processes of this machine; a Dask cluster; or a Dask cluster through
        LSDB, which reads `catalog`.
    workers : int, optional
        Processes of "local", or of the cluster that is begun where no `client` is given; by default one a
        core. 0 stays in this process.
    client : dask.distributed.Client, optional
    partition_rows : int, optional
        Most galaxies of a partition; see `tasks.plan`.
    catalog : lsdb Catalog, optional
        For "lsdb": the galaxies to take, found in the source by their `id_column` ("id" where not
        given); its partitions and columns become the catalogue's.

    Returns
    -------
    Latents
        z (n, latent_dim) in the model's units; ra and dec, in degrees, join the columns where known.
    Catalogue
        Where a path was given.

    Raises
    ------
    CannotDo
        If the model has no `encode`.
    BandMismatch, BadInput
        If images and model do not fit (see `Model.tensor`), or something else lies at `path`.
    CannotWrite
        If the disk is full or gone, or the folder read-only; what was done is kept.
    OutOfMemory
        If a batch wants more memory than there is; of a catalogue its partition is set aside instead.

    Examples
    --------
    >>> from galnb.models import PCA
    >>> encode(Images(np.zeros((3, 1, 28, 28)), bands=("r",)), PCA(("r",), 28, 4)).z.shape
    (3, 4)
    """
    if not isinstance(galaxies, Images | Source):
        raise TypeError(f"galaxies is a {type(galaxies).__name__}, wanted Images or a Source (galnb.sources)")
    if not isinstance(model, Model):
        raise TypeError(f"model is a {type(model).__name__}, wanted one such as galnb.weights.load gives")
    if batch < 1:
        raise ValueError(f"batch={batch} galaxies, wanted at least 1")
    model.demand("encode")
    model.eval()
    if path is not None:
        from .survey import encode_survey

        return encode_survey(
            galaxies, model, Path(path), batch=batch, skip_bad=skip_bad, progress=progress, **options
        )
    if options:
        raise TypeError(
            f"{', '.join(options)} need a path: galnb.encode(galaxies, model, 'survey.hats', ...)"
        )
    with enough_memory(f"encoding in batches of {batch}", "take a smaller batch, or give a path"):
        return _encode(galaxies, model, batch, skip_bad, progress)


@torch.inference_mode()
def _encode(galaxies, model, batch, skip_bad, progress) -> Latents:
    from tqdm.auto import tqdm

    parts = []
    with tqdm(total=len(galaxies), disable=not progress, unit="galaxy", desc="encoding") as bar:
        for images in _batches(galaxies, batch, skip_bad):
            bar.update(len(images))
            if skip_bad and isinstance(galaxies, Source):
                images = finite(images, model, galaxies)
            if len(images):
                z = model.encode(_last(model.tensor(images))).float().cpu().numpy()
                parts.append(Latents(images.id, z, _columns(images)))  # a bad column fails at once
    tables = [part.table for part in parts if part.columns]
    dim = model.config["latent_dim"]
    about = {"weights": made_of(model), "versions": versions()}
    meta = {"model": type(model).__name__, "config": model.config, **about}
    return Latents(
        np.concatenate([part.id for part in parts]) if parts else np.zeros(0, dtype=int),
        np.concatenate([part.z for part in parts]) if parts else np.zeros((0, dim)),
        vstack(tables, metadata_conflicts="silent") if tables else Table(),
        meta,
    )


@torch.inference_mode()
def decode(z: np.ndarray, model: Model, *, batch: int = 256) -> np.ndarray:
    """Images (n, band, size, size), float32, of latents (n, latent_dim).

    Raises CannotDo if the model has no `decode`, ValueError if latents have another dimension.
    """
    model.demand("decode")
    z = np.atleast_2d(np.asarray(z, dtype=np.float32))
    if z.shape[1] != model.config["latent_dim"]:
        raise ValueError(f"latents have {z.shape[1]} numbers, the model wants {model.config['latent_dim']}")
    model.eval()
    parts = [
        model.decode(torch.tensor(z[i : i + batch]).to(model.device)).cpu().numpy()
        for i in range(0, len(z), batch)
    ]
    empty = np.zeros((0, len(model.bands), model.size, model.size), dtype=np.float32)
    return np.ascontiguousarray(np.concatenate(parts or [empty]))


def reconstruct(images: Images, model: Model, *, batch: int = 256) -> Images:
    """The same galaxies after encoding and decoding."""
    pixels = decode(encode(images, model, batch=batch).z, model, batch=batch)
    return images[list(model.bands)].with_pixels(pixels)


def _batches(galaxies: Images | Source, size: int, skip_bad: bool) -> Iterator[Images]:
    if isinstance(galaxies, Source):
        yield from galaxies.batches(size, skip_bad=skip_bad)
    else:
        yield from (galaxies[start : start + size] for start in range(0, len(galaxies), size))


def _columns(images: Images) -> Table:
    table = images.table.copy()
    for name in ("ra", "dec"):
        if getattr(images, name) is not None and name not in table.colnames:
            table[name] = getattr(images, name)
            table[name].unit = "deg"
    return table


def _last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)
