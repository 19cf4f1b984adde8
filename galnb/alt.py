"""What a figure shows in words, and these words in a notebook: `describe` and `described`.

A notebook that imports galnb has them with every figure that it shows; see `galnb.notebook`.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata

MOST = 6  # panels that are told one by one


def describe(figure, words: str):
    """Give a figure words of your own, for those who do not see it; returns the figure.

    Parameters
    ----------
    figure : matplotlib Figure, or HoloViews element or layout
    words : str
        What there is to see, and what it says: a sentence or two.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> described(describe(Figure(), "Red galaxies are rounder."))
    'Red galaxies are rounder.'
    """
    if not isinstance(words, str) or not words.strip():
        raise ValueError(f"words are {words!r}, wanted a sentence or two on what the figure shows")
    figure.galnb_words = " ".join(words.split())
    return figure


def described(figure) -> str:
    """What a figure shows in words: the author's, or else titles, axes, legends and how much is drawn.

    Parameters
    ----------
    figure : matplotlib Figure, or HoloViews element or layout
        HoloViews is drawn by its matplotlib backend for that.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(title="Hubble's law", xlabel="Mpc", ylabel="km/s")
    >>> points = ax.scatter([1, 2], [70, 140], label="galaxies")
    >>> described(ax.figure)
    "Figure: Hubble's law: 2 points; Mpc from 0.95 to 2.05, km/s from 66.5 to 144."
    """
    own = getattr(figure, "galnb_words", None)
    if own:
        return own
    if not hasattr(figure, "get_axes"):
        from .press import as_figure

        figure, _ = as_figure(figure)
    shown = [ax for ax in figure.get_axes() if ax.get_visible()]
    bars = [_bar(ax) for ax in shown if ax.get_label() == "<colorbar>"]
    panels = [text for ax in shown if ax.get_label() != "<colorbar>" and (text := _panel(ax))]
    told = panels if len(panels) <= MOST else [*panels[:MOST], f"{len(panels) - MOST} more panels"]
    if len(panels) > 1:
        told = [f"({k + 1}) {text}" if k < MOST else text for k, text in enumerate(told)]
    parts = [part for part in [". ".join(told), *dict.fromkeys(bars), *map(_legend, figure.legends)] if part]
    title, many = _plain(figure.get_suptitle()), f" of {len(panels)} panels" if len(panels) > 1 else ""
    return f"Figure{many}{f', {title}' if title else ''}: {'; '.join(parts) or 'empty'}."


def _panel(ax) -> str:
    """One panel in words: its title, what is drawn in it, its axes, its legend."""
    title = next((text for place in ("center", "left", "right") if (text := _plain(ax.get_title(place)))), "")
    axes = {}
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        label, span = _plain(axis.get_label_text()) if ax.axison else "", _span(axis) if ax.axison else ""
        if span or (label and title):
            axes[name] = f"{label or name} {span}".strip()
        else:  # a row of pictures has its name where an axis has its label
            title = title or label
    texts = [text for t in ax.texts if t.get_visible() and (text := _plain(t.get_text()))]
    texts = [text for text in texts if not re.fullmatch(r"\(\w\)", text)]  # a panel's letter
    written = f"with the text {', '.join(texts)}" if 0 < len(texts) <= 3 else ""
    told = [
        part for part in (_content(ax), ", ".join(axes.values()), written, _legend(ax.get_legend())) if part
    ]
    return f"{title}: {'; '.join(told)}" if title and told else title or "; ".join(told)


def _content(ax) -> str:
    """What is drawn in some Axes: how many pictures, points, lines, bars."""
    kinds = [type(collection).__name__ for collection in ax.collections]
    of_kind = lambda *names: [c for c, kind in zip(ax.collections, kinds, strict=True) if kind in names]  # noqa: E731
    data = [
        line for line in ax.lines if line.get_transform() == ax.transData and line.get_gid() != "scale bar"
    ]
    dots = [line for line in data if line.get_linestyle() == "None"]
    lines = [len(line.get_xdata()) for line in data if line not in dots]
    points = sum(len(line.get_xdata()) for line in dots)
    points += sum(len(c.get_offsets()) for c in of_kind("PathCollection"))
    shapes = sum(type(patch).__name__ in ("Polygon", "PathPatch", "StepPatch") for patch in ax.patches)
    parts = [
        _some(len(ax.images), "picture"),
        _some(sum(c.get_array().size for c in of_kind("QuadMesh")), "colored cell"),
        "contours" if of_kind("QuadContourSet", "TriContourSet") else "",
        _some(points, "point"),
        _some(len(lines), "line")
        + (f" of {'up to ' * (len(lines) > 1)}{max(lines):,} points" if lines else ""),
        _some(sum(len(c.patches) for c in ax.containers if hasattr(c, "patches")), "bar"),
        _some(shapes, "outline"),
        _some(len(of_kind("FillBetweenPolyCollection")), "shaded band"),
    ]
    return ", ".join(part for part in parts if part)


def _some(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}" if n else ""


def _span(axis) -> str:
    """From where to where an axis goes, or the names along it; empty where nothing is written there."""
    ticks = [
        text for label in axis.get_ticklabels() if label.get_visible() and (text := _plain(label.get_text()))
    ]
    if not ticks:
        return ""
    if not any(re.search(r"\d", text) for text in ticks):
        return f"with {', '.join(ticks)}"
    low, high = axis.get_view_interval()
    scale = " on a logarithmic scale" if axis.get_scale() == "log" else ""
    return f"from {_number(low)} to {_number(high)}{scale}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _legend(legend) -> str:
    entries = [] if legend is None else [_plain(text.get_text()) for text in legend.get_texts()]
    return f"legend: {', '.join(entries)}" if entries else ""


def _bar(ax) -> str:
    """What a color bar says: its label, and from where to where."""
    label = _plain(ax.xaxis.get_label_text()) or _plain(ax.yaxis.get_label_text()) or "values"
    return f"colors show {label} {_span(ax.yaxis) or _span(ax.xaxis)}".strip()


def _plain(text: str) -> str:
    r"""Text without matplotlib's mathematics, on one line.

    >>> _plain(r"a \$5 radius $r_{\rm e}$, $\mu$m")
    'a $5 radius r_e, μm'
    """
    kept = str(text).replace(r"\$", "\0")  # a dollar that is meant
    kept = re.sub(r"\$([^$]*)\$", lambda found: _formula(found[1]), kept)
    return " ".join(kept.replace("\0", "$").split())


def _formula(text: str) -> str:
    text = re.sub(r"\\(mathrm|mathit|mathbf|rm|it|bf|left|right|,|;|!) ?", "", text)
    return re.sub(r"[{}\\]", "", re.sub(r"\\([a-zA-Z]+)", _sign, text))


def _sign(command) -> str:
    size = "SMALL" if command[1].islower() else "CAPITAL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {command[1].upper().replace('LAMBDA', 'LAMDA')}")
    except KeyError:
        return f"{command[1]} "


def bundle(
    words: str, png: bytes | str, *, note: str = "", kind: str = "", before: str = "", **about
) -> tuple[dict, dict]:
    """The MIME bundle of a picture with its words, for every front end, and its metadata.

    JupyterLab and nbconvert's own template read no words of a PNG's metadata, so it is HTML, too.

    Parameters
    ----------
    words : str
    png : bytes, or str in base64
    note : str
        A line below the picture in that figure.
    kind : str
        The class of an HTML figure around it.
    before : str
        HTML before it. Never a catalogue's: it is not escaped.
    about
        More metadata of the PNG, of which HTML takes width and height.
    """
    encoded = png if isinstance(png, str) else base64.b64encode(png).decode()
    encoded = "".join(encoded.split())
    size = "".join(f' {name}="{about[name]:d}"' for name in ("width", "height") if name in about)
    picture = f'<img src="data:image/png;base64,{encoded}" alt="{html.escape(words)}"{size}>'
    caption = f"<figcaption>{html.escape(note)}</figcaption>" if note else ""
    if kind:
        picture = f'{before}<figure class="{kind}" style="margin: 0">{picture}{caption}</figure>'
    data = {"text/html": picture, "image/png": encoded, "text/plain": words}
    return data, {"image/png": {**about, "alt": words}}
