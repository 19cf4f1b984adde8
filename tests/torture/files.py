"""A hundred thousand damaged files, of every kind that galnb reads."""

from __future__ import annotations

from collections.abc import Iterator

from . import cases, kept, mutations, originals, workers
from .cases import Case, named

FITS = {"special": mutations.FITS, "set_aside": cases.read_among_good_ones}
JSON = (mutations.json_tree,)


def _fits(name: str, make, *arguments, **options) -> Case:
    return Case(lambda folder: named(name, make(*arguments)), cases.read_file, **{**FITS, **options})


def _pictures(name: str, kind: str, **options) -> Case:
    make = lambda folder: named(name, originals.pictures(kind))  # noqa: E731
    return Case(make, cases.read_file, set_aside=cases.read_among_good_ones, **options)


KINDS = {
    "FITS": _fits("b.fits", originals.plain_fits),
    "FITS.gz": _fits("b.fits.gz", originals.zipped_fits, special=(mutations.gzip_inside,)),
    "FITS RICE": _fits("b.fits", originals.compressed_fits, "RICE_1"),
    "FITS GZIP": _fits("b.fits", originals.compressed_fits, "GZIP_1"),
    "FITS GZIP_2": _fits("b.fits", originals.compressed_fits, "GZIP_2"),
    "FITS HCOMPRESS": _fits("b.fits", originals.compressed_fits, "HCOMPRESS_1"),
    "FITS PLIO": _fits("b.fits", originals.compressed_fits, "PLIO_1"),
    "FITS table, as image": _fits("b.fits", originals.binary_tables, may_fail=True),
    "PNG": _pictures("b.png", "PNG", special=(mutations.png_chunk,)),
    "JPEG": _pictures("b.jpg", "JPEG"),
    "npz": Case(
        lambda folder: named("b.npz", originals.arrays()), cases.read_file, special=(mutations.zip_members,)
    ),
    "npy": Case(
        lambda folder: named("b.npy", originals.array()), cases.read_file, special=(mutations.npy_header,)
    ),
    "tables to join": Case(
        originals.tables, cases.read_table, special=(mutations.text_line, mutations.fits_card)
    ),
    "weights": Case(
        cases.small_weights, cases.load_weights, sealed=True, special=(mutations.tensors_header, *JSON)
    ),
    "weights, forged tensors": Case(
        cases.small_weights, cases.load_weights, targets=("safetensors",), forge=cases.forged_card,
        special=(mutations.tensors_header,),
    ),
    "weights, forged card": Case(
        cases.small_weights, cases.load_weights, targets=("json",), only=JSON, forge=cases.forged_card
    ),
    "checkpoints": Case(
        cases.checkpoints, cases.resume, sealed=True, special=(mutations.tensors_header,)
    ),
    "checkpoints, forged": Case(
        cases.checkpoints, cases.resume, only=(mutations.tensors_header,), forge=cases.forged_checkpoint
    ),
    "forests": Case(cases.forests, cases.load_forest, sealed=True, special=(mutations.tensors_header,)),
    "latents": Case(
        kept.parquet_latents, kept.read_latents, sealed=True, special=(mutations.parquet_footer,)
    ),
    "latents, forged": Case(
        kept.plain_parquet, kept.read_latents, forge=kept.forged_latents, special=(mutations.parquet_footer,)
    ),
    "HATS": Case(
        kept.catalogues, kept.read_catalogue, sealed=True,
        special=(mutations.parquet_footer, mutations.text_line),
    ),
    "HATS of others": Case(
        kept.foreign_catalogues, kept.read_catalogue, special=(mutations.parquet_footer, mutations.text_line)
    ),
    "HATS, half made": Case(kept.journals, kept.go_on, special=(mutations.text_line,)),
    "sessions": Case(kept.sessions, kept.load_session, special=JSON),
    "votes": Case(kept.votes, kept.read_votes, special=(mutations.text_line, *JSON)),
    "votes to merge": Case(kept.exports, kept.merge, special=(mutations.text_line, mutations.parquet_footer)),
    "maps": Case(kept.maps, kept.open_map, targets=(".json",), special=JSON),
    "figures": Case(kept.figures, kept.read_figure, special=(mutations.png_chunk, mutations.text_line)),
    "films": Case(kept.films, kept.read_film),
}  # fmt: skip
COUNTS = {
    "FITS": 10_000, "FITS.gz": 3_000, "FITS RICE": 6_000, "FITS GZIP": 4_000, "FITS GZIP_2": 3_000,
    "FITS HCOMPRESS": 6_000, "FITS PLIO": 1_500, "FITS table, as image": 3_000, "PNG": 7_000, "JPEG": 6_000,
    "npz": 8_000, "npy": 7_000, "tables to join": 4_000, "weights": 6_000, "weights, forged tensors": 2_000,
    "weights, forged card": 3_000, "checkpoints": 3_000, "checkpoints, forged": 1_000, "forests": 1_500,
    "latents": 3_500, "latents, forged": 3_500, "HATS": 2_000, "HATS of others": 2_000,
    "HATS, half made": 500, "sessions": 1_000, "votes": 1_000, "votes to merge": 800, "maps": 200,
    "figures": 400, "films": 100,
}  # fmt: skip


def tortured(chosen) -> Iterator[workers.Row]:
    """A row a kind, of as many cases as were asked for."""
    return workers.all_kinds("files", COUNTS, chosen)
