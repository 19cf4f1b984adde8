"""Films: a walk between two galaxies that a model imagines, saved as GIF or MP4 with what made it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import disk
from .errors import BadInput, MissingPackage
from .limits import regular
from .models.base import Model
from .provenance import versions
from .weights import made_of

KINDS = (".gif", ".mp4")


@torch.no_grad()
def walk(model: Model, start: Tensor, end: Tensor, *, frames: int = 48) -> Tensor:
    """Latents (frames, d) on the way from one galaxy to another, both ends included.

    Where a model can sample, the way is a great circle and the length changes evenly: a straight line between
    two draws of a normal passes near its center, where no galaxy lives (White 2016). Physical conditions,
    of a model that has them, change evenly too (as `codes.Codes`), whatever the style does.

    Parameters
    ----------
    start, end : Tensor (d,)
    frames : int
        At least 2.

    Examples
    --------
    >>> from galnb.models import PCA
    >>> walk(PCA(("r",), 28, 2), torch.zeros(2), torch.ones(2), frames=3).tolist()
    [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    """
    ends = torch.stack([torch.as_tensor(z, dtype=torch.float32) for z in (start, end)])
    if ends.ndim != 2 or not torch.isfinite(ends).all():
        raise BadInput("walk", f"ends of shape {tuple(ends.shape[1:])}, wanted latents (d,), all finite")
    if frames < 2:
        raise BadInput("walk", f"{frames} frames, wanted at least 2")
    t = torch.linspace(0, 1, frames)[:, None]
    straight = ends[0] + t * (ends[1] - ends[0])
    z = _great_circle(*ends, t) if model.can("sample") else straight
    codes = getattr(model, "codes", None)
    if codes is not None:
        first, last = codes(model.features(ends))
        z = model.change(z, codes.back(first + t * (last - first)))
    return torch.cat([ends[:1], z[1:-1], ends[1:]])


def _great_circle(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    lengths = a.norm(), b.norm()
    cosine = (a @ b / (lengths[0] * lengths[1]).clamp_min(1e-12)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if torch.sin(angle) < 1e-4 or min(lengths) == 0:
        return a + t * (b - a)
    along = torch.sin((1 - t) * angle) * a / lengths[0] + torch.sin(t * angle) * b / lengths[1]
    return along / torch.sin(angle) * (lengths[0] + t * (lengths[1] - lengths[0]))


def about(model: Model, **more) -> dict:
    """What made a film or a figure: the model's weights, versions, and further plain values."""
    return {"model": type(model).__name__, "weights": made_of(model), "versions": versions(), **more}


def save(
    pictures: np.ndarray, path: str | Path, *, seconds: float = 4.0, zoom: int = 4, made: dict | None = None
) -> Path:
    """Save pictures as a film that runs forever (.gif) or once (.mp4), atomically.

    Parameters
    ----------
    pictures : ndarray (n, y, x, 3) uint8
    path : path
        MP4 needs the program ffmpeg, or the package imageio-ffmpeg that brings it.
    seconds : float
        From the first to the last picture; a GIF shows each for a whole number of hundredths.
    zoom : int
        Pixels of the film a pixel.
    made : dict, optional
        What made it (see `about`), kept as JSON in the file's comment; `made_by` reads a GIF's.

    Raises
    ------
    BadInput
        For another ending, or pictures of another shape or type.
    MissingPackage
        For an MP4 where no ffmpeg is found.

    Examples
    --------
    >>> import tempfile
    >>> path = save(np.zeros((3, 8, 8, 3), dtype="u1"), tempfile.mkdtemp() + "/dark.gif", made={"seed": 1})
    >>> made_by(path)
    {'seed': 1}
    """
    path, pictures = Path(path), np.asarray(pictures)
    if path.suffix not in KINDS:
        raise BadInput(path, f"wanted a name that ends in {' or '.join(KINDS)}; give another")
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8 or not len(pictures):
        reason = f"pictures of shape {pictures.shape}, {pictures.dtype}; wanted (n, y, x, 3), uint8"
        raise BadInput(path, f"{reason}, such as stamps.to_rgb gives")
    comment = json.dumps(made or {})
    if path.suffix == ".gif":
        return disk.write(path, _gif(pictures, seconds, zoom, comment))
    ffmpeg = _ffmpeg()
    return disk.write(path, lambda file: _mp4(ffmpeg, pictures, file, seconds, zoom, comment))


def made_by(path: str | Path) -> dict:
    """What made a GIF, as it was told to `save`; BadInput where it is none, or damaged."""
    from PIL import Image

    regular(Path(path))
    try:
        with Image.open(path, formats=("GIF",)) as film:
            told = json.loads(film.info.get("comment", b"{}"))
        if not isinstance(told, dict):
            raise ValueError(f"its comment is no document, but {type(told).__name__}")
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, and json RecursionError
        raise BadInput(path, f"not readable ({error}), wanted a GIF that galnb.film.save wrote") from error
    return told


def _larger(picture: np.ndarray, zoom: int):
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    return image.resize((image.width * zoom, image.height * zoom), Image.Resampling.BICUBIC)


def _gif(pictures: np.ndarray, seconds: float, zoom: int, comment: str) -> bytes:
    from PIL import Image

    whole = Image.fromarray(np.concatenate(pictures))
    palette = whole.quantize(256)  # one for all pictures, or the sky would flicker
    frames = [_larger(picture, zoom).quantize(palette=palette) for picture in pictures]
    each = max(2, round(100 * seconds / len(frames))) * 10
    file, options = io.BytesIO(), {"duration": each, "loop": 0, "comment": comment.encode()}
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:], **options)
    return file.getvalue()


def _ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if found is None:
        try:
            from imageio_ffmpeg import get_ffmpeg_exe
        except ImportError:
            raise MissingPackage(
                "an MP4 needs the program ffmpeg, which is not on this machine; save a .gif, install ffmpeg, "
                "or pip install imageio-ffmpeg"
            ) from None
        found = get_ffmpeg_exe()
    return found


def _mp4(ffmpeg: str, pictures, path: Path, seconds: float, zoom: int, comment: str) -> None:
    frames = np.stack([np.asarray(_larger(picture, zoom)) for picture in pictures])
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)))
    size, rate = f"{frames.shape[2]}x{frames.shape[1]}", f"{len(frames) / seconds:.3f}"
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", rate, "-i", "-"]
    wanted = ["-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p", "-metadata", f"comment={comment}"]
    command = [ffmpeg, "-v", "error", "-y", *given, *wanted, "-f", "mp4", str(path)]
    done = subprocess.run(command, input=frames.tobytes(), capture_output=True)
    if done.returncode:
        raise BadInput(path, f"ffmpeg could not write it: {done.stderr.decode(errors='replace')[-300:]}")
