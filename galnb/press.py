"""Any figure as the bytes of a file: matplotlib's or HoloViews', fonts embedded, the same each time."""

from __future__ import annotations

import io

SETTLE = 6  # drawings at most until a layout rests: the first moves what the second measures
FIXED = {"pdf.fonttype": 42, "pdf.use14corefonts": False, "svg.fonttype": "path", "svg.hashsalt": "galnb"}
UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}


def drawn(figure, kind: str, dpi: int) -> bytes:
    """A matplotlib or HoloViews figure as a ".pdf", ".png" or ".svg", the same bytes whenever it is drawn.

    TypeError for what is no figure. A figure is drawn until it no longer changes, as layouts take a while.

    >>> from matplotlib.figure import Figure
    >>> figure = Figure(figsize=(1, 1), layout="constrained")
    >>> drawn(figure, ".pdf", 72) == drawn(figure, ".pdf", 72)
    True
    """
    from matplotlib import rc_context

    figure, box = as_figure(figure)
    free = {} if box is None else {"figure.constrained_layout.use": False}  # saving would lay it out anew
    data, options = None, {} if box is None else {"bbox_inches": box}
    with rc_context(FIXED | free):
        for _ in range(SETTLE):
            file, before = io.BytesIO(), data
            figure.savefig(file, format=kind[1:], dpi=dpi, metadata=UNDATED[kind], **options)
            data = file.getvalue()
            if data == before:
                break
    return data


def as_figure(figure):
    """A matplotlib Figure, and the part of it to save: None for all."""
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure) and type(figure).__module__.startswith("holoviews"):
        return _from_holoviews(figure)
    inner = getattr(figure, "figure", None)
    found = figure if isinstance(figure, Figure) else inner() if callable(inner) else inner
    if not isinstance(found, Figure):
        wanted = "a matplotlib Figure or Axes, a HoloViews element, or an object with figure()"
        raise TypeError(f"figure is a {type(figure).__name__}, wanted {wanted}")
    return found, None


def _from_holoviews(element):
    """What the matplotlib backend draws, in a journal's width, if set; and the box around it, in inches."""
    import holoviews
    from matplotlib import rc_context, rcParams, rcParamsDefault
    from matplotlib.transforms import Bbox

    holoviews.renderer("matplotlib")  # from here on its options are known
    wanted, inches = rcParams["figure.figsize"][0], rcParams["figure.figsize"][0]
    free = list(rcParams["figure.figsize"]) == list(rcParamsDefault["figure.figsize"])
    for _ in range(4):  # labels do not grow with the figure
        with rc_context({"figure.constrained_layout.use": False}):  # it places its axes itself
            sized = element if free else element.options(fig_inches=inches, backend="matplotlib")
            figure = holoviews.render(sized, backend="matplotlib")
        box = figure.get_tightbbox().padded(0.03)
        if free:
            return figure, box
        inches *= wanted / box.width
    return figure, Bbox.from_bounds(box.x0 + (box.width - wanted) / 2, box.y0, wanted, box.height)
