"""Exercises of notebook 14, A paper figure."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

from . import exercise
from .answers import array, number

# Machado+2009, for linear light: what somebody without green cones sees
NO_GREEN = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881))
POINT = 25.4 / 72  # mm
WIDTH = re.compile(rb"/MediaBox \[ *0 0 ([\d.]+)")


@cache
def latents():
    """The shipped latents of SDSS galaxies."""
    from .. import Latents, weights

    return Latents.read(weights.ASSETS / "sdss-latents.parquet")


@exercise(
    "14.1",
    "a function: level(log_p, share) -> nats",
    "a region of highest density holds the points whose log density is above its level: how many are below?",
    "np.quantile(log_p, q) has a share q of the points below it.",
    why="A region that holds nine galaxies in ten is where the density is above what one in ten lies below.",
)
def level(answer):
    rng = np.random.default_rng(0)
    for share in (0.5, 0.9, 0.99):
        log_p = -0.5 * rng.chisquare(2, 2000) + rng.normal()
        inside = float((log_p > number(array(answer(log_p.copy(), share)))).mean())
        if abs(inside - share) > 0.005:
            if share != 0.5 and abs(inside - (1 - share)) < 0.005:
                return f"asked for {share:.0%} it leaves {inside:.0%} inside: the opposite."
            return False
    return True


@exercise(
    "14.2",
    "the path of a PDF",
    "within `with figures.journal('apj'):` a figure has the width of a column; draw and save it there.",
    "figures.save(mine, folder / 'apj.pdf', of=...) writes into the file what it was made of.",
    why="It fits its column without scaling, and the file itself tells what it shows and how it was made.",
)
def one_column(answer):
    from ..errors import BadInput
    from ..figures import provenance_of
    from ..journals import WIDTHS

    if not isinstance(answer, str | Path) or not Path(answer).is_file():
        return "there is no such file; figures.save gives the path of the one that it wrote."
    path = Path(answer)
    if path.suffix.lower() != ".pdf":
        return f"this is a {path.suffix or 'file without an ending'}, wanted a PDF."
    try:
        told = provenance_of(path)
    except BadInput:
        return "nothing inside tells how it was made; figures.save writes that, plt.savefig does not."
    data = path.read_bytes()
    width, (one, two) = float(WIDTH.search(data)[1]) * POINT, WIDTHS["apj"]
    if abs(width - two) < 0.5:
        return f"it is {width:.0f} mm wide, as two columns of the journal are, wanted one."
    if abs(width - one) > 0.5:
        return f"it is {width:.1f} mm wide, and would be scaled: a column of the journal has {one:.1f} mm."
    if b"/Type3" in data or b"/FontFile2" not in data:
        return "its letters are not embedded as TrueType, which the journal wants, or it has none."
    if latents().hash() not in {entry.get("sha256") for entry in told["data"]}:
        return "it does not tell of the galaxies that it shows: `save` wants them as of=..."
    if not told["code"]:
        return "it holds no code, and cannot be made again."
    return True


def _points(figure) -> np.ndarray:
    """Points (n, 2) of the largest scatter or line of a figure."""
    found = [np.zeros((0, 2))]
    for axes in figure.axes:
        found += [np.asarray(each.get_offsets()) for each in axes.collections]
        found += [np.asarray(line.get_xydata()) for line in axes.lines]
    return np.ma.filled(np.ma.asarray(max(found, key=len), dtype=np.float64), np.nan)


@exercise(
    "14.3",
    "a function without arguments: draw() -> figure",
    "np.random.default_rng(seed) begins anew wherever it is made, and goes on wherever it is used again.",
    "make the generator within draw(), and the figure, too, with plt.figure(); then return the figure.",
    why="Chance that is told by a seed is no obstacle to making a figure again, byte for byte.",
)
def draw(answer):
    from matplotlib._pylab_helpers import Gcf

    from ..press import drawn

    figures = [answer(), answer()]
    points = [_points(each) for each in figures]
    for each in figures:
        Gcf.destroy_fig(each)  # else a notebook shows them both below the cell
    if len(points[0]) != 500:
        return f"it shows {len(points[0])} points, wanted 500 galaxies, as a scatter in one Axes."
    columns = [np.asarray(latents()[name], dtype=np.float64) for name in ("flux", "half_light_radius")]
    rows = _rows(points[0], *columns)
    if rows is None:
        return "its points are not flux (x) and half-light radius (y) of galaxies of `latents`."
    steps = np.diff(np.sort(rows))
    if len(np.unique(rows)) < 490 or (steps == steps[0]).all():
        return "these galaxies are not drawn at random, each once: see the choice of a generator."
    if not np.array_equal(points[0], points[1]):
        return "drawn twice, it shows other galaxies: where does its chance come from?"
    files = [drawn(each, ".pdf", 100) for each in figures]
    if files[0] != files[1]:
        return "drawn twice, its galaxies are the same, but not the file: is something else left to chance?"
    return True


def _rows(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """The rows of a table whose columns x and y are these points, None where one of them is not there."""
    from scipy.spatial import cKDTree

    table = np.stack([x, y], axis=1)
    known = np.flatnonzero(np.isfinite(table).all(axis=1))
    unit = table[known].std(axis=0)
    if not np.isfinite(points).all():
        return None
    apart, nearest = cKDTree(table[known] / unit).query(points / unit)
    return known[nearest] if apart.max() < 1e-4 else None


def _lab(color, *, green: bool) -> np.ndarray:
    """A color in CIELAB, as it is seen with green cones, or without."""
    from matplotlib.colors import to_rgb
    from skimage.color import rgb2lab

    rgb = np.array(to_rgb(color))
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    linear = linear if green else np.clip(np.array(NO_GREEN) @ linear, 0, 1)
    return rgb2lab(np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear))


@exercise(
    "14.4",
    "two colors, as matplotlib takes them",
    "the cell above has the matrix: take two colors as light as each other, one more red, one more green.",
    "matplotlib.colors.CSS4_COLORS has 148 of them; skimage.color.rgb2lab(rgb) gives CIELAB, in which the "
    "norm of a difference says how far apart two colors look: try all pairs.",
    why="Such a pair must not carry a figure alone; dashes, markers and lightness are for everyone.",
)
def lost_pair(answer):
    first, second = answer
    usual, without = (
        float(np.linalg.norm(_lab(first, green=green) - _lab(second, green=green))) for green in (True, False)
    )
    if usual > 60 and without < 5:
        return True
    if usual <= 60:
        return f"these two are {usual:.0f} apart to most of us, wanted more than 60."
    if without > 20:
        return False
    return f"nearly: they are {without:.0f} apart without green cones, wanted less than 5."
