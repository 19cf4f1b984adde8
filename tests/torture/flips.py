"""Four thousand single bytes that flipped, in weights and in catalogues: which call notices each."""

from __future__ import annotations

from collections.abc import Iterator

from . import cases, kept, mutations, workers
from .cases import Case
from .originals import Files

ONE = {"sealed": True, "only": (mutations.flipped,)}


def _told(call: str, read):
    """Reading that says which call raised."""
    from galnb.errors import BadInput

    def reading(place, files: Files) -> str:
        try:
            return read(place, files) or ""
        except BadInput as error:
            if problem := workers.unclear(error, place):
                raise AssertionError(f"{problem}: {error}") from error
            return call

    return reading


KINDS = {
    "weights: safetensors": Case(
        cases.small_weights, _told("weights.load", cases.load_weights), targets=("safetensors",), **ONE
    ),
    "weights: card": Case(
        cases.small_weights, _told("weights.load", cases.load_weights), targets=("json",), **ONE
    ),
    "checkpoints": Case(cases.checkpoints, _told("train", cases.resume), **ONE),
    "catalogue: partitions": Case(
        kept.catalogues, _told("Catalogue()", kept.read_catalogue), targets=("parquet",), **ONE
    ),
    "catalogue: other files": Case(
        kept.catalogues, _told("Catalogue()", kept.read_catalogue),
        targets=("jsonl", "properties", "csv", "_metadata"), **ONE,
    ),
    "latents in one file": Case(kept.parquet_latents, _told("Latents.read", kept.read_latents), **ONE),
}  # fmt: skip
COUNTS = {
    "weights: safetensors": 1_000, "weights: card": 700, "checkpoints": 300, "catalogue: partitions": 800,
    "catalogue: other files": 700, "latents in one file": 500,
}  # fmt: skip


def tortured(chosen) -> Iterator[workers.Row]:
    """A row a kind, of as many cases as were asked for."""
    return workers.all_kinds("flips", COUNTS, chosen)
