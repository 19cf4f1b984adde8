"""Figures on paper and in a notebook without a kernel: `matplotlib.figure.Figure`s, never pyplot's."""

from __future__ import annotations

import io
from functools import cache

import numpy as np

# Okabe & Ito 2008, told apart with any color vision; the widgets' JavaScript has the same list
OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#7f7f7f")
DENSITY = ("#c9d9e8", "#8fb4d6", "#4f86c0", "#2f5597", "#1d2e66", "#120f33")


def map_figure(frame, *, axes: tuple[str, str] = ("x", "y"), title: str = "", size: float = 6.0):
    """A frame of the map as a Figure with axes, colors, their scale and what is selected.

    Parameters
    ----------
    frame : render.Frame
    axes : pair of str
        Labels of x and y, with units. Shown as they are: a dollar sign starts no formula.
    title : str
    size : float
        Width in inches; the height follows from the frame.

    Returns
    -------
    matplotlib.figure.Figure
        An empty frame says that no galaxy is in view.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm, Normalize
    from matplotlib.patches import Patch

    figure = blank(size, size * min(max(frame.height / frame.width, 0.3), 2) * 0.9)
    ax = figure.add_subplot()
    if frame.how == "category":
        names = frame.categories or ()
        colors = ListedColormap([OKABE_ITO[k % len(OKABE_ITO)] for k in range(max(len(names), 1))])
        rgba = colors(np.clip(frame.index.astype(int) - 1, 0, None))
        patches = [Patch(color=colors(k), label=_plain(name)) for k, name in enumerate(names)]
        if patches:
            figure.legend(handles=patches, loc="outside right upper", title=_plain(frame.label), fontsize=8)
    else:
        counted = frame.how == "log"
        colors = LinearSegmentedColormap.from_list("density", DENSITY) if counted else "cividis"
        norm = (LogNorm if counted else Normalize)(
            frame.low or (1 if counted else 0), max(frame.high, frame.low + 1e-12)
        )
        scale = ScalarMappable(norm, colors)
        rgba = scale.get_cmap()((frame.index.astype(float) - 1) / 254)
        label = "galaxies per pixel" if counted else _plain(frame.label)
        if (frame.index > 0).any():
            bar = figure.colorbar(scale, ax=ax, label=label, shrink=0.8)
            if counted:  # whole galaxies only
                steps = [m * 10**e for e in range(10) for m in (1, 2, 5)]
                bar.set_ticks([t for t in steps if frame.low <= t <= frame.high], labels=None)
                bar.ax.yaxis.set_major_formatter("{x:,.0f}")
                bar.ax.minorticks_off()
    if frame.selected is not None:
        rgba = np.where(frame.selected[..., None] > 0, rgba, 0.75 + 0.25 * rgba)
    rgba[..., 3] = frame.index > 0
    ax.imshow(rgba, origin="lower", extent=frame.view, aspect="auto", interpolation="nearest")
    ax.set(xlabel=_plain(axes[0]), ylabel=_plain(axes[1]), title=_plain(title))
    if not (frame.index > 0).any():
        ax.text(0.5, 0.5, "no galaxy in view", ha="center", transform=ax.transAxes)
    return figure


def wall_figure(pictures: list, captions: list[str], *, first: int = 0, columns: int = 6, size: float = 1.2):
    """Galaxies side by side, each with a line below it, as a Figure.

    Parameters
    ----------
    pictures : list of ndarray (y, x, 3) uint8, or None for an empty tile
    captions : list of str
        Shown as they are: a dollar sign starts no formula.
    first : int
        So many of them, the ones that were asked for, are framed.
    size : float
        Inches a picture.
    """
    rows = max(1, -(-len(pictures) // columns))
    figure = blank(columns * size, rows * (size + 0.22))
    for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        ax = figure.add_subplot(rows, columns, k + 1)
        ax.imshow(np.zeros((1, 1, 3), dtype=np.uint8) if picture is None else picture)
        ax.set(xticks=[], yticks=[])
        ax.set_xlabel(_plain(caption), fontsize=8, labelpad=2)
        for spine in ax.spines.values():
            spine.set(visible=k < first, color=OKABE_ITO[0], linewidth=2)
    return figure


def alt_text(frame, *, n: int, n_selected: int = 0, axes: tuple[str, str] = ("x", "y")) -> str:
    """The map in words, for those who do not see it."""
    x0, x1, y0, y1 = frame.view
    kind = "Density map" if frame.how == "log" else f"Map colored by {frame.label}"
    chosen = f", {n_selected:,} of them selected" if n_selected else ""
    return (
        f"{kind} of {frame.n_visible:,} of {n:,} galaxies{chosen}; "
        f"{axes[0]} from {x0:.3g} to {x1:.3g}, {axes[1]} from {y0:.3g} to {y1:.3g}"
    )


def to_png(figure, *, dpi: int = 110) -> bytes:
    """A figure as PNG bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


@cache
def _kind() -> type:
    """matplotlib's Figure, which a notebook shows also where nobody has imported pyplot."""
    from matplotlib.figure import Figure

    return type("Figure", (Figure,), {"_repr_png_": to_png})


def blank(width: float, height: float):
    """An empty Figure, of so many inches, that a notebook shows."""
    return _kind()(figsize=(width, height), layout="constrained")


def _plain(text: str) -> str:
    return str(text).replace("$", r"\$")
