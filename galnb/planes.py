"""The planes of a map: where a catalogue's galaxies lie in two dimensions, and the store of these points."""

from __future__ import annotations

import json
import shutil

import numpy as np
from pyarrow import default_memory_pool

from . import disk
from .errors import BadInput
from .latents import Latents
from .reduce import Plane
from .store import Store, with_unit

IN_MEMORY = 250_000  # galaxies on disk that are read at once
SAMPLE, STRETCHES = 131_072, 64  # rows that axes are fitted to, in so many stretches of the sky


def plane_and_store(latents, key: str | tuple[str, str], seed: int) -> tuple[Plane, Store]:
    """A plane of a catalogue ("pca", "umap", or two of its columns), and its points sorted for a map.

    A map asks a plane for its `axes` and its `inverse`, and the store for all else. Of a catalogue on disk
    with more than 250,000 galaxies, axes are fitted to 131,072 of them, and the points are sorted on disk:
    once, in bounded memory, resumable, in the cache folder under the catalogue's hash.
    """
    if isinstance(latents, Latents) or len(latents) <= IN_MEMORY:
        plane = _plane(latents, slice(None), key, seed)
        return plane, Store.build(*plane.xy.T)
    if key == "umap":
        reason = f"{len(latents):,} galaxies would take hours, wanted at most {IN_MEMORY:,}"
        raise BadInput("UMAP", f"{reason}; take a part of them, or plane='pca'")
    plane = _plane(latents, _sample(len(latents), seed), key, seed)
    return plane, _stored(latents, plane, key, seed)


def _plane(latents, rows, key, seed: int) -> Plane:
    z = np.asarray(latents.z[rows], dtype=np.float32)
    if isinstance(key, str):
        return Plane(z, key, seed=seed)
    xy = np.stack([_numbers(latents.table[name][rows]) for name in key], axis=1)
    return Plane(z, xy=xy, axes=[with_unit(name, latents.table[name]) for name in key])


def _stored(latents, plane: Plane, key, seed: int) -> Store:
    def chunks(row: int):
        if isinstance(key, str):
            yield from (plane.place(z) for z in latents.chunks("z", start=row))
        else:
            columns = (latents.chunks(name, start=row) for name in key)
            for pieces in zip(*columns, strict=True):
                yield np.stack([_numbers(piece) for piece in pieces], axis=1)

    name = key if isinstance(key, str) else "-".join(part.encode().hex() for part in key)
    folder = disk.cache_folder() / "maps" / f"{latents.hash()[:24]}-{name[:80]}-{seed}"
    known = folder / "damaged.json"
    if known.exists() and latents.mended(json.loads(known.read_text())):
        shutil.rmtree(folder)  # galaxies that were left out are there again
    store = Store.stream(chunks, folder, n=len(latents))
    default_memory_pool().release_unused()  # a map is small again once it is made
    if latents.damaged:
        disk.write(known, json.dumps(latents.damaged).encode())
    return store


def _sample(n: int, seed: int) -> np.ndarray:
    """Rows of some stretches, drawn evenly: on disk, neighbors are read together."""
    length = SAMPLE // STRETCHES
    starts = np.random.default_rng(seed).integers(0, n - length, STRETCHES)
    return np.unique(starts[:, None] + np.arange(length))


def _numbers(values) -> np.ndarray:
    """Float32, NaN where masked."""
    return np.ma.filled(np.ma.asarray(values).astype(np.float32), np.nan)
