"""Figures on paper and in a notebook without a kernel: each a `matplotlib.figure.Figure`, never pyplot's.

`save` writes any figure with what made it inside, `provenance_of` reads that, `galnb.replay` repeats it.
"""

from __future__ import annotations

import hashlib
import io
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from . import disk, imprint, listing, press, provenance
from .alt import describe as describe
from .alt import described as described
from .errors import BadInput
from .journals import DPI, OKABE_ITO
from .journals import journal as journal
from .stamps import tile

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
    figure = blank(size, size * min(max(frame.height / frame.width, 0.3), 2) * 0.9)
    draw_map(figure.add_subplot(), frame, axes=axes, title=title)
    return figure


def draw_map(ax, frame, *, axes: tuple[str, str] = ("x", "y"), title: str = "") -> None:
    """A frame of the map in some Axes of a figure, as `map_figure` has it; for one among several panels.

    The map itself is a picture; axes, colors and labels around it stay lines and text. For print,
    take a frame of 300 pixels an inch.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap, LogNorm, Normalize
    from matplotlib.patches import Patch

    figure = ax.figure
    if frame.how == "category":
        names = frame.categories or ()
        colors = ListedColormap([OKABE_ITO[k % len(OKABE_ITO)] for k in range(max(len(names), 1))])
        rgba = colors(np.clip(frame.index.astype(int) - 1, 0, None))
        patches = [Patch(color=colors(k), label=_plain(name)) for k, name in enumerate(names)]
        if patches:
            alone = figure.axes == [ax]
            place = {"loc": "outside right upper"} if alone else {}
            (figure if alone else ax).legend(handles=patches, title=_plain(frame.label), fontsize=8, **place)
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


def map_and_tiles(frame, pictures: list, *, axes=("x", "y"), title: str = "", columns: int = 5, bar=None):
    """A frame of the map, and beside it a wall of galaxies, as a Figure; the map alone where there is none.

    Parameters
    ----------
    frame : render.Frame
    pictures : list of ndarray (y, x, 3) uint8, or None for an empty tile
    axes : pair of str
        Labels of x and y.
    title : str
        Of the galaxies.
    bar : (float, str), optional
        Of the first galaxy, as `stamps.scale_bar` gives it.
    """
    if not any(picture is not None for picture in pictures):
        return map_figure(frame, axes=axes)
    figure = blank(10, 5)
    left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
    draw_map(left, frame, axes=axes)
    draw_tiles(right, pictures, title=title, columns=columns, bar=bar)
    return figure


def draw_tiles(ax, pictures: list, *, title: str = "", columns: int = 5, bar=None) -> None:
    """Galaxies side by side in some Axes of a figure, as one picture; see `map_and_tiles`."""
    size = next((picture.shape for picture in pictures if picture is not None), (1, 1, 3))
    tiles = [np.zeros(size, dtype=np.uint8) if picture is None else picture for picture in pictures]
    columns = max(1, min(columns, len(tiles)))
    ax.imshow(tile(np.stack(tiles), columns=columns, gap=max(1, size[0] // 32)), interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=_plain(title))
    ax.spines[:].set_visible(False)
    ax.set_anchor("N")
    if bar is not None:
        x, y = np.array([0.08, 0.08 + bar[0]]) * size[1], 0.92 * size[0]
        ax.plot(x, [y, y], color="white", lw=1.5, gid="scale bar")
        ax.text(x.mean(), y - 0.06 * size[0], bar[1], color="white", ha="center", va="bottom", fontsize=7)


def alt_text(frame, *, n: int, n_selected: int = 0, axes: tuple[str, str] = ("x", "y")) -> str:
    """The map in words, for those who do not see it."""
    x0, x1, y0, y1 = frame.view
    kind = "Density map" if frame.how == "log" else f"Map colored by {frame.label}"
    chosen = f", {n_selected:,} of them selected" if n_selected else ""
    return (
        f"{kind} of {frame.n_visible:,} of {n:,} galaxies{chosen}; "
        f"{axes[0]} from {x0:.3g} to {x1:.3g}, {axes[1]} from {y0:.3g} to {y1:.3g}"
    )


def letter(axes, *, color: str = "black", first: str = "a") -> None:
    """Name panels (a), (b), (c) ... in their upper left corner, inside, where journals want it."""
    from matplotlib.patheffects import withStroke

    for k, ax in enumerate(np.atleast_1d(np.asarray(axes, dtype=object)).ravel()):
        options = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "left", "va": "top"}
        text = ax.annotate(f"({chr(ord(first) + k)})", (0, 1), (4, -4), color=color, zorder=10, **options)
        text.set_path_effects([withStroke(linewidth=2, foreground="white" if color == "black" else "black")])


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


def save(
    figure, path: str | Path, *, of=(), code: str | None = None, seed: int | None = None, dpi: int = DPI
) -> Path:
    """Write a figure with what made it inside, and the same beside it as JSON: `fig3.pdf`, `fig3.pdf.json`.

    Repeated, on this machine or with the same packages on another, it gives the same bytes: no date, no
    path, no random name is written. `galnb figure replay fig3.pdf` makes it again from the file
    alone. Fonts are embedded as TrueType; in an SVG text is outlines.

    Parameters
    ----------
    figure : matplotlib Figure or Axes, HoloViews element or layout, or anything with a method ``figure()``
        HoloViews draws by its matplotlib backend, with its ``opts(..., backend="matplotlib")``; within
        `journal` it gets that width. Of a panel its session joins `of`.
    path : path
        Ending in .pdf, .png or .svg.
    of : object or sequence of objects
        What it was made of: Sessions (view, color, selection), panels, Latents, Images, models, densities,
        Comparisons, tables, arrays, paths of files. Hashes are kept, and commands that restore a session.
    code : str, optional
        What makes it. By default every cell that the kernel ran so far, or the script that runs: see
        `listing.running`. **All of it goes into the file that you publish**; give `code` to say less.
    seed : int, optional
        By default that of the first Session.
    dpi : int
        Of a PNG, and of pictures within PDF and SVG.

    Returns
    -------
    Path
        Of the figure.

    Raises
    ------
    BadInput
        For another ending.
    CannotWrite
        Where the disk is full or the folder read-only.

    Examples
    --------
    >>> import tempfile
    >>> figure = blank(3, 2)
    >>> line, = figure.add_subplot().plot([1, 4, 9])
    >>> path = save(figure, Path(tempfile.mkdtemp(), "squares.pdf"), code="print('squares')", seed=3)
    >>> provenance_of(path)["seed"], provenance_of(path)["code"]
    (3, "print('squares')")
    """
    path = Path(path)
    kind, of = path.suffix.lower(), of if isinstance(of, list | tuple) else (of,)
    if kind not in imprint.KINDS:
        raise BadInput(path, f"figures are saved as {', '.join(imprint.KINDS)}; give it such an ending")
    if hasattr(figure, "session"):
        of = (figure, *of)
    told = _told(path.name, of, code, seed)
    data = imprint.put(press.drawn(figure, kind, dpi), imprint.sealed(told))
    if listing.recorded is not None:
        path = listing.recorded.folder / path.name
    disk.write(path, data)
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    disk.write(path.with_name(f"{path.name}.json"), imprint.sealed({**told, "file": digest}))
    return path


def provenance_of(path: str | Path) -> dict:
    """What `save` wrote into a figure, as plain values; of one that was stripped, from the JSON beside it.

    Keys: name, versions, code, arguments, seed, weights, data, sessions, settings, threads. Nothing that is
    read is run. `restored` makes a Session of it.

    Raises
    ------
    BadInput
        If there is no such file, it is cut off or damaged, or `save` did not write it.
    """
    path = Path(path)
    try:
        inside = path.suffix != ".json"
        text = imprint.take(imprint.bytes_of(path))[1] if inside else imprint.bytes_of(path)
        return _checked(imprint.unsealed(text))
    except (OSError, ValueError) as error:
        beside = path.with_name(f"{path.name}.json")
        if beside.exists():
            return provenance_of(beside)
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(
            path, f"{reason}; wanted a figure that galnb.figures.save wrote, or its JSON"
        ) from error


def restored(told: dict, latents):
    """The Session behind a figure: its plane, view, color and selection, from `provenance_of`.

    Raises BadInput where the figure was not made of a session of these latents.
    """
    from .pedigree import restored as session_of

    for entry in told["sessions"]:
        if entry["latents"] == latents.hash():
            return session_of(entry, latents)
    raise BadInput(told["name"], "it tells of no session of these latents; load those it was made of")


def by_hand(session):
    """Mark where a session was changed by hand, so that a replay has it too; returns the session.

    No cell says which galaxies a lasso held. Draw from ``by_hand(session)``, and save with ``of=session``:
    when the figure is replayed, the session is brought here to the plane, view, color and selection that
    were saved. At all other times nothing happens. A panel stands for its session.
    """
    from .pedigree import redo

    session = getattr(session, "session", session)
    if listing.recorded is not None:
        entries, known = listing.recorded.sessions, session.latents.hash()
        if not entries:
            raise BadInput("by_hand", "the figure was saved without its session; save it with of=session")
        redo(next((entry for entry in entries if entry["latents"] == known), entries[0]), session)
    return session


def _told(name: str, of, code: str | None, seed: int | None) -> dict:
    """All that goes into the file, as plain JSON values."""
    made = {"weights": [], "data": [], "sessions": []}
    if of:
        from .pedigree import pedigree

        made = pedigree(*of)
    arguments = []
    if code is None:
        code, arguments = listing.running()
    try:
        compile(code or "", name, "exec")
    except (SyntaxError, ValueError) as error:
        warnings.warn(f"{name} cannot be replayed: its code has {error}", stacklevel=3)
    if code is None:
        warnings.warn(f"{name} cannot be replayed: no code was found; give code=...", stacklevel=3)
    if seed is None and made["sessions"]:
        seed = made["sessions"][0]["seed"]
    return {
        "galnb": "figure", "name": name, "code": code, "arguments": arguments, **made,
        "seed": None if seed is None else int(seed),
        "versions": provenance.versions((*provenance.PACKAGES, "matplotlib")), "settings": _settings(),
        "threads": _threads(),
    }  # fmt: skip


def _settings() -> str:
    """What the user's matplotlibrc sets; matplotlib's own is all comments."""
    import matplotlib

    lines = Path(matplotlib.matplotlib_fname()).read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _threads() -> dict[str, int | None]:
    """How many share a sum: its last bits hang on that, and with them the hash of what is computed."""
    from threadpoolctl import threadpool_info

    blas = max(
        (pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None
    )
    return {"blas": blas, "torch": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None}


def _checked(told: dict) -> dict:
    """A document as `_told` makes it; ValueError where it is not."""
    kinds = {"name": str, "code": str | None, "seed": int | None, "versions": dict, "settings": str}
    kinds |= dict.fromkeys(("arguments", "weights", "data", "sessions"), list) | {"threads": dict}
    wrong = [name for name, kind in kinds.items() if name not in told or not isinstance(told[name], kind)]
    if told.get("galnb") != "figure" or wrong:
        raise ValueError(f"its document is no figure's ({', '.join(wrong) or 'galnb'})")
    if Path(told["name"]).name != told["name"] or Path(told["name"]).suffix.lower() not in imprint.KINDS:
        raise ValueError(f"its document names the file {told['name']!r}")
    entries = [*told["weights"], *told["data"], *told["sessions"]]
    if not all(isinstance(word, str) for word in told["arguments"]) or not all(
        isinstance(entry, dict) for entry in entries
    ):
        raise ValueError("its document lists something else than words and entries")
    if not all({"latents", "record"} <= set(entry) for entry in told["sessions"]):
        raise ValueError("its document has sessions without their record")
    return told
