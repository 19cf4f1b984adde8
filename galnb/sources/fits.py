"""FITS read in a supervised child process: a file that kills astropy kills the child, and nothing else.

`python -m galnb.sources.fits` is the child: it answers each path on its standard input with one JSON
line, followed by the pixels' bytes.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from ..errors import BadInput

SECONDS, MEGABYTES, LARGEST = 60.0, 4096, 2**31  # a file's time, the child's memory, bytes of pixels


class Reader:
    """A child process that decodes FITS files, started on first use and again after it died."""

    def __init__(self):
        self._child: subprocess.Popen | None = None
        self._lock = threading.Lock()

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
        with self._lock:
            return self._ask(Path(path), pixels)

    def forget(self) -> None:
        """Leave the child to the parent process, after a fork."""
        self._child, self._lock = None, threading.Lock()

    def _ask(self, path: Path, wanted: bool) -> tuple[np.ndarray, dict]:
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", "galnb.sources.fits"]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child = self._child
        timer = threading.Timer(SECONDS, child.kill)
        timer.start()
        try:
            child.stdin.write(json.dumps([str(path), wanted]).encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline() or "null")
            if answer is None:
                raise EOFError
            if "error" in answer:
                raise BadInput(answer["where"], answer["error"])
            pixels = np.frombuffer(child.stdout.read(answer["bytes"]), dtype="<f4")
            return pixels.reshape(answer["shape"]), answer["header"]
        except (EOFError, OSError) as error:
            self.close()
            limits = f"over {SECONDS:.0f} s or {MEGABYTES} MB"
            reason = f"reading it ended the reader (damaged, or {limits}); wanted a FITS image"
            raise BadInput(path, reason) from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


READER = Reader()
atexit.register(READER.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=READER.forget)


def decode(path: Path, wanted: bool = True) -> tuple[np.ndarray, dict]:
    """What `Reader.read` returns, decoded in this process."""
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
            planes, bands, header = [], [], None
            for number, hdu in enumerate(hdus):
                if not hdu.is_image or hdu.header.get("NAXIS", 0) < 2:
                    continue
                where = f"{path} HDU {number}"
                _check_arithmetic(hdu, where, path)
                if not wanted:
                    return np.zeros((0, 1, 1)), {"bands": [], **_sky(hdu.header)}
                cube = np.asarray(hdu.data, dtype="<f4")
                cube = cube.reshape(-1, *cube.shape[-2:])
                if planes and cube.shape[1:] != planes[0].shape:
                    raise BadInput(where, f"{cube.shape[1:]} pixels, the HDUs before have {planes[0].shape}")
                header = header or hdu.header
                planes += list(cube)
                bands += _names(hdu, len(cube), number)
    except BadInput:
        raise
    except Exception as error:  # astropy raises whatever the damage makes it raise
        raise BadInput(path, f"not readable as FITS ({type(error).__name__}: {error})") from error
    if not planes:
        raise BadInput(path, f"none of its {len(hdus)} HDUs has image data; wanted a 2-D or 3-D image")
    return np.array(planes), {"bands": bands if len(set(bands)) == len(bands) else [], **_sky(header)}


def _check_arithmetic(hdu, where: str, path: Path) -> None:
    """Refuse headers whose sizes cannot be: they are believed by C code."""
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
    elif path.stat().st_size < n_bytes and path.suffix not in (".gz", ".bz2", ".xz", ".zst"):
        raise BadInput(
            where, f"truncated: {path.stat().st_size} bytes for {n_bytes} bytes of pixels; copy it again"
        )


def _names(hdu, n: int, number: int) -> list[str]:
    filters = [hdu.header.get(f"FILTER{i}") for i in range(n + 1)]
    filters = filters[:n] if filters[0] else filters[1:]
    if all(filters):
        return [str(name).strip() for name in filters]
    alone = hdu.header.get("FILTER") or hdu.name.lower() or f"hdu{number}"
    return [str(alone).strip()] if n == 1 else [f"band{i}" for i in range(n)]


def _sky(header) -> dict:
    import warnings

    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    sky = {"ra": None, "dec": None, "pixel_scale": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(header, naxis=2)
            if wcs.has_celestial:
                centre = wcs.pixel_to_world((header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2).icrs
                scale = float(np.mean(proj_plane_pixel_scales(wcs)) * 3600)
                sky = {"ra": float(centre.ra.deg), "dec": float(centre.dec.deg), "pixel_scale": scale}
        except Exception:  # a broken WCS leaves the pixels as good as they were
            pass
    if sky["pixel_scale"] is None and isinstance(header.get("PIXSCALE"), int | float):
        sky["pixel_scale"] = float(header["PIXSCALE"])
    return {name: value if value is None or np.isfinite(value) else None for name, value in sky.items()}


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES * 2**20,) * 2)
    except (ImportError, ValueError, OSError):  # no such limit on this system
        pass
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints must not stand between the pixels
    for line in sys.stdin:
        name, wanted = json.loads(line)
        path = Path(name)
        try:
            pixels, header = decode(path, wanted)
            data = pixels.astype("<f4").tobytes()
            answer = {"shape": pixels.shape, "bytes": len(data), "header": header}
        except BadInput as error:
            answer, data = {"where": error.where, "error": error.reason}, b""
        except MemoryError:
            answer, data = {"where": str(path), "error": f"it wants more than {MEGABYTES} MB"}, b""
        answers.write(json.dumps(answer).encode() + b"\n" + data)
        answers.flush()


if __name__ == "__main__":
    _serve()
