"""What a notebook is told of figures: `tell` has matplotlib's and HoloViews' come with words.

`import galnb` calls it, where a kernel runs. Nothing is imported for that: IPython keeps the names of
the types, and asks when it meets one.
"""

from __future__ import annotations

import html
import io
import re
import sys
import warnings

# While HoloViews' own view is drawn, the picture that stands in for it is away.
STILL = (
    "<style>.galnb-still:has(+ .galnb-live [data-root-id]:not(:empty)),"
    " .galnb-still:has(+ .galnb-live .bk-root *) { display: none; }</style>"
)


def tell() -> bool:
    """Have figures come with words, in the kernel that runs this; whether there is one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    if shell is None or not hasattr(shell, "kernel"):
        return False
    formatter = shell.display_formatter.mimebundle_formatter
    formatter.for_type_by_name("matplotlib.figure", "Figure", lambda figure: _matplotlib(figure, shell))
    formatter.for_type_by_name("holoviews.core.dimension", "Dimensioned", _holoviews)
    return True


class Once:
    """What draws a type's PNG, for the HTML that asks first and for IPython that asks then: drawn once."""

    def __init__(self, draw):
        self.draw, self._drawn = draw, None

    def ahead(self, figure):
        """The PNG, which is kept for IPython."""
        self._drawn = figure, self.draw(figure)
        return self._drawn[1]

    def __call__(self, figure):
        kept, self._drawn = self._drawn, None
        found = kept[1] if kept is not None and kept[0] is figure else self.draw(figure)
        if found is None:
            return None
        from .alt import described

        png, about = found if isinstance(found, tuple) else (found, {})
        return png, {**about, "alt": described(figure)}


def _matplotlib(figure, shell) -> tuple[dict, dict]:
    """A figure with words, drawn as the notebook draws it; nothing where words fail: IPython goes on then."""
    from .alt import bundle, described

    try:
        formatter = shell.display_formatter.formatters["image/png"]
        try:
            draw = formatter.lookup(figure)
        except KeyError:  # nobody has imported pyplot
            draw = getattr(figure, "_repr_png_", None)
            found = draw and draw()
        else:
            if not isinstance(draw, Once):
                from matplotlib.figure import Figure

                formatter.for_type(Figure, draw := Once(draw))
            found = draw.ahead(figure)
        if not found:
            return {}, {}
        png, about = found if isinstance(found, tuple) else (found, {})
        return bundle(described(figure), png, **about)
    except Exception as error:  # any: a figure without words is better than none
        warnings.warn(f"no words could be found for this figure: {error}", stacklevel=2)
        return {}, {}


def _holoviews(element) -> tuple[dict, dict]:
    """An element as HoloViews shows it, or where no extension is loaded as a picture; both with words."""
    found = element._repr_mimebundle_()
    data, metadata = found if isinstance(found, tuple) else (found or {}, {})
    try:
        from .alt import bundle, described
        from .press import as_figure

        figure, box = as_figure(element)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100, bbox_inches=box)
        words = getattr(element, "galnb_words", None) or described(figure)
        live = data.get("text/html", "")
        still, about = bundle(words, file.getvalue(), kind="galnb-still")
        if "data-root-id" in live:  # bokeh's
            named = f'class="galnb-live" role="figure" aria-label="{html.escape(words)}"'
            still["text/html"] = f"{STILL}{still['text/html']}<div {named}>{live}</div>"
        elif live.count("<img") > 1 or "<script" in live:  # a film or sliders of matplotlib's
            still["text/html"] = re.sub("<img(?![^>]* alt=)", f'<img alt="{html.escape(words)}"', live)
        return {**data, **still}, {**metadata, **about}
    except Exception as error:  # any: as above
        warnings.warn(f"no words could be found for this figure: {error}", stacklevel=2)
        return data, metadata
