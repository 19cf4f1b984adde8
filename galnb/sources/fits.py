"""FITS and tables read in a supervised child process, `python -m galnb.sources.fits`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..errors import BadInput
from ..limits import modest
from . import tables
from .supervised import Child, serve

LARGEST = 2**31  # bytes of pixels
HCOMPRESS = 25  # bytes before the first pixel of a stream
PACKED = (".gz", ".bz2", ".xz", ".zst", ".Z", ".zip")


class Reader(Child):
    """A child process that decodes FITS files and tables, started on first use and again after it died."""

    def read(self, path: str | Path, *, pixels: bool = True) -> tuple[np.ndarray, dict]:
        """Pixels (band, y, x) of all image HDUs of one shape, and what their headers say.

        Without `pixels` they are not decoded, and the array is empty.

        Returns
        -------
        pixels : ndarray (band, y, x), float32
        header : dict
            bands (list of str, or empty), ra and dec (degrees, of the centre, or None), pixel_scale
            (arcsec, or None).

        Raises
        ------
        BadInput
            With path and HDU, if the file is truncated, has no image data, or kills its reader.
        """
        answer, data = self.ask(Path(path), "pixels" if pixels else "header", what="FITS image")
        return np.frombuffer(data, dtype="<f4").reshape(answer["shape"]), answer["header"]

    def table(self, path: str | Path, *, format: str | None = None) -> Table:
        """A table of any format that astropy reads: numbers, text, yes and no, with units.

        Columns of other kinds (times, positions) come as columns of their parts, objects as text.

        Raises
        ------
        BadInput
            If it is damaged, kills its reader, or is none.
        """
        answer, data = self.ask(Path(path), "table", format, what="table")
        return tables.unpacked(answer["columns"], data)


READER = Reader("galnb.sources.fits")


def decode(path: Path, wanted: bool = True) -> tuple[np.ndarray, dict]:
    """What `Reader.read` returns, decoded in this process."""
    from astropy.io import fits

    try:
        if tables.begins(path, b"PK\x03\x04"):
            raise BadInput(
                path, "it is a zip archive, and nothing is unpacked here; unpack it, or gzip the FITS"
            )
        with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
            planes, bands, header, n_bytes = [], [], None, 0
            for number, hdu in enumerate(hdus):
                if not hdu.is_image or hdu.header.get("NAXIS", 0) < 2:
                    continue
                where = f"{path} HDU {number}"
                if isinstance(hdu, fits.BinTableHDU):  # astropy decodes none whose first card is another
                    reason = "its header tells of a compressed image, wanted XTENSION as its first card"
                    raise BadInput(where, f"{reason}; copy it again")
                n_bytes += _check_arithmetic(hdu, number, path, where)
                if getattr(hdu, "_bintable", None) is not None or path.suffix in PACKED:
                    modest(where, n_bytes, path.stat().st_size)
                if not wanted:
                    return np.zeros((0, 1, 1)), {"bands": [], **_sky(hdu.header)}
                cube = np.asarray(hdu.data, dtype="<f4")
                cube = cube.reshape(-1, *cube.shape[-2:])
                if planes and cube.shape[1:] != planes[0].shape:
                    raise BadInput(where, f"{cube.shape[1:]} pixels, the HDUs before have {planes[0].shape}")
                header = header or hdu.header
                planes += list(cube)
                bands += _names(hdu, len(cube), number)
            if not planes:
                reason = f"none of its {len(hdus)} HDUs has image data; wanted a 2-D or 3-D image"
                raise BadInput(path, reason)
            bands = bands if len(set(bands)) == len(bands) else []
            return np.array(planes), {"bands": bands, **_sky(header)}
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # astropy raises whatever the damage makes it raise
        raise BadInput(path, f"not readable as FITS ({type(error).__name__}: {error})") from error


def _check_arithmetic(hdu, number: int, path: Path, where: str) -> int:
    """Refuse headers whose sizes cannot be: they are believed by C code. The bytes of its pixels."""
    header = hdu.header
    shape = [header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"])]
    n_bytes = abs(header["BITPIX"]) // 8 * int(np.prod(shape, dtype=object))
    if min(shape) < 1 or n_bytes > LARGEST:
        raise BadInput(
            where, f"its header says {' x '.join(map(str, shape))} pixels, wanted 1 to {LARGEST} bytes"
        )
    raw = getattr(hdu, "_bintable", None)
    if raw is not None:
        stored = raw.header
        tiles = [stored.get(f"ZTILE{i + 1}", stored["ZNAXIS1"] if i == 0 else 1) for i in range(len(shape))]
        n_tiles = int(np.prod([-(-size // max(tile, 1)) for size, tile in zip(shape, tiles, strict=True)]))
        if min(tiles) < 1 or n_tiles != stored["NAXIS2"]:
            raise BadInput(
                where,
                f"{shape} pixels in tiles of {tiles} are {n_tiles} tiles, its table has {stored['NAXIS2']}",
            )
        if str(stored.get("ZCMPTYPE")).strip() == "HCOMPRESS_1":
            _check_hcompress(raw, shape, tiles, where)
    elif path.stat().st_size < n_bytes and path.suffix not in PACKED:
        raise BadInput(
            where, f"truncated: {path.stat().st_size} bytes for {n_bytes} bytes of pixels; copy it again"
        )
    return n_bytes


def _check_hcompress(raw, shape: list[int], tiles: list[int], where: str) -> None:
    """Refuse a stream that is cut off, or unpacks to more pixels than its tile has.

    astropy 8.0 does not look where a stream ends, and writes beyond the tile. A stream begins with DD 99 and
    its two sides, big-endian (White, Postman & Lattanzi 1992).
    """
    if (kind := raw.columns["COMPRESSED_DATA"].format.removeprefix("1")[1:2]) != "B":
        raise BadInput(where, f"its streams are stored as {kind!r}, wanted bytes, 'B'; copy it again")
    start = raw._data_offset + raw._theap
    heap = raw._get_raw_data(raw.header["PCOUNT"], np.uint8, start)  # the bytes that will be decoded
    for row, (length, begin) in enumerate(np.array(raw.data["COMPRESSED_DATA"]).tolist()):
        if length == 0:
            continue  # its pixels are in another column
        if not 0 <= begin <= begin + max(length, HCOMPRESS) <= len(heap):
            reason = f"tile {row} is bytes {begin} to {begin + length} of the {len(heap)} of all tiles"
            raise BadInput(where, f"{reason}, wanted at least {HCOMPRESS} of them; copy it again")
        stream = bytes(heap[begin : begin + HCOMPRESS])
        sides, rest = [], row
        for size, tile in zip(shape, tiles, strict=True):
            rest, at = divmod(rest, -(-size // tile))
            sides.append(min(tile, size - at * tile))
        told = [int.from_bytes(stream[k : k + 4]) for k in (2, 6)]
        if stream[:2] != b"\xdd\x99" or np.prod(told, dtype=object) != np.prod(sides):
            told, sides = (" x ".join(map(str, numbers)) for numbers in (told, sides))
            raise BadInput(where, f"tile {row} holds {told} pixels, its header says {sides}; copy it again")


def _names(hdu, n: int, number: int) -> list[str]:
    filters = [hdu.header.get(f"FILTER{i}") for i in range(n + 1)]
    filters = filters[:n] if filters[0] else filters[1:]
    if all(filters):
        return [str(name).strip() for name in filters]
    alone = hdu.header.get("FILTER") or hdu.name.lower() or f"hdu{number}"
    return [str(alone).strip()] if n == 1 else [f"band{i}" for i in range(n)]


def _sky(header) -> dict:
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    sky = {"ra": None, "dec": None, "pixel_scale": None}
    with suppress(Exception):  # a broken WCS leaves the pixels as good as they were
        wcs = WCS(header, naxis=2)
        if wcs.has_celestial:
            centre = wcs.pixel_to_world((header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2).icrs
            scale = float(np.mean(proj_plane_pixel_scales(wcs)) * 3600)
            sky = {"ra": float(centre.ra.deg), "dec": float(centre.dec.deg), "pixel_scale": scale}
    if sky["pixel_scale"] is None:
        with suppress(TypeError, ValueError, OverflowError):
            sky["pixel_scale"] = float(header.get("PIXSCALE"))
    return {name: value if value is None or np.isfinite(value) else None for name, value in sky.items()}


def _answer(path: Path, wanted: str, *more: str | None) -> tuple[dict, bytes | memoryview]:
    if wanted == "table":
        columns, data = tables.packed(tables.read(path, *more))
        return {"columns": columns, "bytes": len(data)}, data
    pixels, header = decode(path, wanted == "pixels")
    data = np.ascontiguousarray(pixels, dtype="<f4").reshape(-1).view(np.uint8).data
    return {"shape": pixels.shape, "header": header, "bytes": len(data)}, data


def _warm_up() -> None:
    from astropy.coordinates import SkyCoord
    from astropy.io import ascii, fits, votable  # noqa: F401
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.radesys = ["RA---TAN", "DEC--TAN"], [1, 1], "FK5"
    assert isinstance(wcs.pixel_to_world(1, 1).icrs, SkyCoord)


if __name__ == "__main__":
    serve(_answer, _warm_up)
