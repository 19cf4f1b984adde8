"""The HATS layout: rows of the sky in HEALPix partitions of Parquet files, which LSDB reads unchanged.

IVOA Note "HATS: a standard for the Hierarchical Adaptive Tiling Scheme" (Caplar et al. 2025);
HEALPix: Gorski et al. 2005.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import BadInput

INDEX, ORDER = "_healpix_29", 29
PROPERTIES, PARTITIONS, MANIFEST = "hats.properties", "partition_info.csv", "manifest.jsonl"
COLLECTION = "collection.properties"
METADATA, SCHEMA = "dataset/_metadata", "dataset/_common_metadata"
FINEST = 13  # no partition is smaller than a HEALPix pixel of this order, 26 arcsec wide


class Pixel(NamedTuple):
    """A HEALPix pixel in nested numbering: one partition.

    >>> Pixel(1, 13).path
    'dataset/Norder=1/Dir=0/Npix=13.parquet'
    """

    order: int
    number: int

    @property
    def path(self) -> str:
        """Its file, from the catalogue's folder."""
        folder = self.number // 10_000 * 10_000
        return f"dataset/Norder={self.order}/Dir={folder}/Npix={self.number}.parquet"

    @property
    def span(self) -> tuple[int, int]:
        """First and past-the-last `_healpix_29` of the rows in it."""
        shift = 2 * (ORDER - self.order)
        return self.number << shift, (self.number + 1) << shift


def index(ra, dec) -> np.ndarray:
    """`_healpix_29` (n,) int64 of positions in degrees.

    >>> int(index([0.0], [0.0])[0] >> 2 * 29)
    4
    """
    import astropy.units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    ra, dec = (np.asarray(values, dtype=np.float64) for values in (ra, dec))
    return lonlat_to_healpix(Longitude(ra, u.deg), Latitude(dec, u.deg), depth=ORDER).astype(np.int64)


def position(healpix) -> tuple[np.ndarray, np.ndarray]:
    """ra and dec (n,) in degrees of the centres of `_healpix_29` pixels, 0.4 milliarcseconds wide."""
    from cdshealpix.nested import healpix_to_lonlat

    ra, dec = healpix_to_lonlat(np.asarray(healpix, dtype=np.uint64), depth=ORDER)
    return ra.deg, dec.deg


def separation(ra, dec, ra0: float, dec0: float) -> np.ndarray:
    """Arcseconds (n,) between places and one place, all in degrees; NaN where a place is not known."""
    from astropy.coordinates import angular_separation

    place = [
        np.radians(np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)) for values in (ra, dec)
    ]
    return np.degrees(angular_separation(*place, np.radians(ra0), np.radians(dec0))) * 3600


def sky(table, ra=None, dec=None) -> tuple[np.ndarray, np.ndarray] | None:
    """ra and dec (n,) in degrees; where not given, those of a table's columns, however capitalised."""
    if ra is None or dec is None:
        named = {name.lower(): table[name] for name in table.colnames}
        if not {"ra", "dec"} <= set(named):
            return None
        ra, dec = (_degrees(named[name], name) for name in ("ra", "dec"))
    ra, dec = (np.ma.filled(np.ma.asarray(values, dtype=float), np.nan) for values in (ra, dec))
    return (ra, dec) if np.isfinite(ra).any() else None


def _degrees(column, name: str) -> np.ma.MaskedArray:
    values, unit = np.ma.asarray(column), getattr(column, "unit", None)
    if values.dtype.kind not in "iuf":
        todo = "wanted degrees; convert it with astropy.coordinates.Angle, or rename it"
        raise BadInput(f"column {name!r}", f"it holds {values.dtype}, {todo}")
    return values * unit.to("deg") if unit is not None and unit.is_equivalent("deg") else values


def place(ids, ra=None, dec=None) -> np.ndarray:
    """`_healpix_29` (n,) of galaxies: where they are, or a pixel drawn from the name where none is known.

    What has no position must lie somewhere for the catalogue to have partitions: the hash of its name
    spreads it evenly over the sphere. Its ra and dec stay empty.
    """
    ids = np.asarray(ids)
    known = np.zeros(len(ids), dtype=bool)
    if ra is not None and dec is not None:
        known = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    found = np.zeros(len(ids), dtype=np.int64)
    if known.any():
        found[known] = index(np.asarray(ra)[known], np.asarray(dec)[known])
    for row in np.flatnonzero(~known):
        digest = hashlib.sha256(str(ids[row]).encode()).digest()
        found[row] = int.from_bytes(digest[:8], "big") % (12 << 2 * ORDER)
    return found


def split(healpix: np.ndarray, most: int) -> list[tuple[Pixel, np.ndarray]]:
    """Partitions of at most `most` rows, and the rows (k,) of each, in the order of the sky.

    A pixel with more rows is split in four, down to order 13; rows within one come by `_healpix_29`, equal
    ones as they were given.

    >>> pixels = split(np.arange(12) << 58, 5)
    >>> len(pixels), pixels[3]
    (12, (Pixel(order=0, number=3), array([3])))
    """
    rows = np.argsort(healpix, kind="stable")
    along = np.asarray(healpix)[rows]
    found, waiting = [], [Pixel(0, number) for number in range(11, -1, -1)]
    while waiting:
        pixel = waiting.pop()
        low, high = np.searchsorted(along, pixel.span)
        if high - low > most and pixel.order < FINEST:
            waiting += [Pixel(pixel.order + 1, 4 * pixel.number + k) for k in (3, 2, 1, 0)]
        elif high > low:
            found.append((pixel, rows[low:high]))
    return found


def partition_info(pixels: list[Pixel]) -> bytes:
    """The contents of partition_info.csv."""
    return "".join(["Norder,Npix\n", *(f"{p.order},{p.number}\n" for p in pixels)]).encode()


def properties(name: str, *, rows: int, size: int, most: int, extra: dict[str, str]) -> bytes:
    """The contents of hats.properties: a catalogue of objects with columns ra and dec."""
    entries = {
        "obs_collection": name, "dataproduct_type": "object", "hats_nrows": rows, "hats_col_ra": "ra",
        "hats_col_dec": "dec", "hats_col_healpix": INDEX, "hats_col_healpix_order": ORDER,
        "hats_npix_suffix": ".parquet", "hats_max_rows": most, "hats_estsize": size // 1024,
        "hats_version": "v1.0", **extra,
    }  # fmt: skip
    return "".join(["#HATS catalog\n", *(f"{key}={value}\n" for key, value in entries.items())]).encode()


def read_properties(path: Path) -> dict[str, str]:
    """Entries of a hats.properties file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith(("#", "!")))
    return {key.strip(): value.strip() for key, _, value in pairs}


def is_ours(described: dict[str, str]) -> bool:
    """Whether galnb wrote a catalogue, by its properties (LSDB copies those of its input, but for this)."""
    return described.get("hats_builder", "").startswith("galnb")


def read_partition_info(path: Path) -> list[Pixel]:
    """Partitions of a partition_info.csv, in the order of the sky."""
    import csv

    with open(path, newline="", encoding="utf-8") as file:
        pixels = [Pixel(int(line["Norder"]), int(line["Npix"])) for line in csv.DictReader(file)]
    return sorted(pixels, key=lambda pixel: pixel.span)
