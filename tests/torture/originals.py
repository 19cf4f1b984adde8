"""Small files of each kind that are well: what is damaged afterwards. The same bytes in every process."""

from __future__ import annotations

import gzip
import io
import warnings
from pathlib import Path

import numpy as np

SIZE = 24
Files = dict[str, bytes]


def galaxy(seed: int = 0, *bands: int) -> np.ndarray:
    return np.random.default_rng(seed).random((*bands, SIZE, SIZE)).astype(np.float32)


def _hdus(*hdus) -> bytes:
    from astropy.io import fits

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList(list(hdus)).writeto(file)
    return file.getvalue()


def _sky():
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [SIZE / 2, SIZE / 2], [-0.2 / 3600, 0.2 / 3600]
    header = wcs.to_header()
    header["FILTER"] = "r"
    return header


def plain_fits() -> list[bytes]:
    from astropy.io.fits import Header, ImageHDU, PrimaryHDU

    counts = (1000 * galaxy(1)).astype(np.int16)
    scaled, blank = PrimaryHDU(galaxy(2)), ImageHDU(counts.astype(np.int32))
    scaled.scale("int16", bscale=0.001, bzero=1.0)
    blank.header["BLANK"] = -999
    cube = Header({"FILTER0": "g", "FILTER1": "r", "FILTER2": "i"})
    holes = galaxy(3)
    holes[2:4] = np.nan
    return [
        _hdus(PrimaryHDU(galaxy(), _sky())),
        _hdus(PrimaryHDU(galaxy(0, 3), cube)),
        _hdus(PrimaryHDU(), ImageHDU(counts, name="G"), ImageHDU(counts, name="R")),
        _hdus(PrimaryHDU(counts.astype(np.uint16))),
        _hdus(scaled, blank),
        _hdus(PrimaryHDU(holes.astype(np.float64))),
    ]


def zipped_fits() -> list[bytes]:
    return [gzip.compress(data, mtime=0) for data in plain_fits()[:3]]


def compressed_fits(kind: str) -> list[bytes]:
    from astropy.io.fits import CompImageHDU, PrimaryHDU

    counts = (1000 * galaxy(1)).astype(np.int32)
    if kind == "PLIO_1":
        return [_hdus(PrimaryHDU(), CompImageHDU(counts.astype(np.int16), compression_type=kind))]
    tiles = {"tile_shape": (SIZE, SIZE)} if kind == "HCOMPRESS_1" else {}
    options = {"compression_type": kind, **tiles}
    small = counts.astype(np.int16)
    found = [
        _hdus(PrimaryHDU(), CompImageHDU(counts, _sky(), **options)),
        _hdus(PrimaryHDU(), CompImageHDU(small, **options)),
        _hdus(PrimaryHDU(), CompImageHDU(galaxy(2), quantize_level=4, quantize_method=1, **options)),
        _hdus(PrimaryHDU(), CompImageHDU(counts, compression_type=kind, tile_shape=(12, 8))),
    ]
    return found


def binary_tables() -> list[bytes]:
    """Tables by id, one with lists of every length in the heap; and one with an image behind it."""
    from astropy.io.fits import BinTableHDU, Column, ImageHDU, PrimaryHDU

    names = Column("id", "8A", array=np.array(["a", "b", "c"]))
    redshift = Column("redshift", "E", unit="km / s", array=np.array([0.1, 0.2, np.nan]))
    lists = np.array([np.arange(3), np.arange(0), np.arange(9)], dtype=object)
    vectors = Column("mag", "3D", array=np.arange(9.0).reshape(3, 3))
    return [
        _hdus(PrimaryHDU(), BinTableHDU.from_columns([names, redshift, vectors])),
        _hdus(PrimaryHDU(), BinTableHDU.from_columns([names, Column("path", "PE()", array=lists), redshift])),
        _hdus(PrimaryHDU(), BinTableHDU.from_columns([names, redshift]), ImageHDU(galaxy())),
    ]


def pictures(kind: str) -> list[bytes]:
    from PIL import Image

    found = []
    levels = (255 * galaxy(4, 3)).astype(np.uint8).transpose(1, 2, 0)
    for mode in ("RGB", "L", "P", "RGBA", "LA", "1", "I;16") if kind == "PNG" else ("RGB", "L", "CMYK"):
        picture = Image.fromarray(levels)
        if mode == "I;16":
            picture = Image.fromarray((65535 * galaxy(5)).astype(np.uint16))
        elif mode != "RGB":
            picture = picture.convert(mode)
        for options in ({},) if kind == "PNG" else ({}, {"progressive": True}):
            file = io.BytesIO()
            picture.save(file, kind, **options)
            found.append(file.getvalue())
    return found


def arrays() -> list[bytes]:
    """npz files."""
    found = []
    levels = (255 * galaxy(6, 6, 3)).astype(np.uint8).transpose(0, 2, 3, 1)
    told = {"id": np.arange(6), "redshift": np.linspace(0, 1, 6), "kind": np.array(list("abcdef"))}
    for save in (np.savez, np.savez_compressed):
        for content in ({"images": levels, **told}, {"pixels": galaxy(7, 6)}, {"images": galaxy(8, 6, 2)}):
            file = io.BytesIO()
            save(file, **content)
            found.append(file.getvalue())
    return found


def array() -> list[bytes]:
    """npy files."""
    found = []
    cube = (65535 * galaxy(9, 5, 2)).astype(">u2")
    for content in (galaxy(6, 6), cube, np.asfortranarray(galaxy(1, 4))):
        file = io.BytesIO()
        np.save(file, content)
        found.append(file.getvalue())
    return found


def latents(n: int = 90):
    from galnb.latents import Latents

    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    columns = {
        "ra": ra,
        "dec": dec,
        "redshift": rng.random(n),
        "kind": np.array(["spiral", "merger"] * (n // 2)),
    }
    return Latents(np.arange(n) + 100, rng.normal(size=(n, 4)), columns, {"model": "PCA", "seed": 3})


def tables(folder: Path) -> list[Files]:
    """Tables by id of every format that a person has them in."""
    from astropy.table import Table

    folder.mkdir(parents=True, exist_ok=True)
    table = Table(
        {"id": ["a", "b", "c"], "redshift": [0.1, 0.2, 0.3], "kind": ["x", "y", "w"], "n": [1, 2, 3]}
    )
    table["redshift"].unit = "Mpc"
    found = []
    for name in ("t.csv", "t.ecsv", "t.vot", "t.parquet", "t.fits", "t.html", "t.tex"):
        kind = "votable" if name == "t.vot" else None
        path = folder / name
        if name == "t.parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table({n: table[n].tolist() for n in table.colnames}), path)
        else:
            table.write(path, format=kind, overwrite=True)
        found.append({name: path.read_bytes()})
    binary = folder / "v.vot"
    table.write(binary, format="votable", tabledata_format="binary2", overwrite=True)
    found.append({"t.vot": binary.read_bytes()})
    return found + [{"t.fits": data} for data in binary_tables()]


def tree(folder: Path) -> Files:
    """Every file of a folder."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
