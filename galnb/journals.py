"""What journals want of a figure: its width, fonts that come with it, colors that everyone tells apart."""

from __future__ import annotations

from .errors import one_of

# Okabe & Ito 2008, told apart with any color vision; the widgets' JavaScript has the same list
OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#7f7f7f")
# one column and two, in mm. A&A: "About figures" of aanda.org/for-authors. MNRAS: mnras.cls 3.2, 240 and
# 504 pt. ApJ: aastex 6.31, 242.27 and 513.12 pt. A TeX point is 1/72.27 inch.
WIDTHS = {"aanda": (88.0, 180.0), "apj": (85.1, 180.3), "mnras": (84.3, 177.1)}
DPI = 300  # at least, of a raster on the page: the Graphics Guide of journals.aas.org


class Preset(dict):
    """Settings of matplotlib (its rcParams), by name; within ``with`` they hold, and then no more.

    Attributes
    ----------
    width, height : float
        Inches of a figure.
    """

    @property
    def width(self) -> float:
        return self["figure.figsize"][0]

    @property
    def height(self) -> float:
        return self["figure.figsize"][1]

    def __enter__(self) -> Preset:
        from matplotlib import rc_context

        self._held = rc_context(self)
        self._held.__enter__()
        return self

    def __exit__(self, *problem) -> None:
        self._held.__exit__(*problem)


def journal(name: str, *, columns: int = 1, aspect: float = 0.75) -> Preset:
    """Settings of matplotlib for a figure that a journal prints as it is, without scaling.

    Text is 8 points, on ticks and in legends 7, in the Times-like STIX that comes with matplotlib, so that
    a figure is the same on every machine; it is embedded as TrueType. Colors are those of Okabe & Ito,
    maps of values are cividis. Draw and save within ``with``, or give the settings to `plt.rcParams.update`.

    Parameters
    ----------
    name : "apj", "mnras" or "aanda"
    columns : 1 or 2
        Of the page, that the figure takes.
    aspect : float
        Its height for a width of 1.

    Examples
    --------
    >>> preset = journal("aanda", columns=2, aspect=0.5)
    >>> round(preset.width * 25.4), round(preset.height * 25.4)
    (180, 90)
    >>> from matplotlib.figure import Figure
    >>> with preset:
    ...     figure = Figure()
    >>> bool(figure.get_figwidth() == preset.width)
    True
    """
    from cycler import cycler

    one_of("journal", name, WIDTHS)
    one_of("columns", columns, (1, 2))
    if not 0.05 <= aspect <= 3:
        raise ValueError(f"aspect={aspect!r}, wanted 0.05 to 3, the height for a width of 1")
    width = WIDTHS[name][columns - 1] / 25.4
    ticks = {
        f"{axis}tick.{key}": value
        for axis in "xy"
        for key, value in {"direction": "in", "labelsize": 7, "major.width": 0.6, "minor.width": 0.4}.items()
    }
    return Preset({
        "figure.figsize": (width, width * aspect), "figure.dpi": 150, "savefig.dpi": DPI,
        "figure.constrained_layout.use": True, "savefig.bbox": None,
        "font.family": "STIXGeneral", "mathtext.fontset": "stix", "text.usetex": False,
        "pdf.fonttype": 42, "ps.fonttype": 42,
        "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "figure.titlesize": 8,
        "legend.fontsize": 7, "legend.title_fontsize": 7, "legend.frameon": False,
        "axes.linewidth": 0.6, "lines.linewidth": 1.0, "lines.markersize": 3, "patch.linewidth": 0.6,
        "axes.prop_cycle": cycler(color=OKABE_ITO), "image.cmap": "cividis",
        "image.interpolation": "nearest", "xtick.top": True, "ytick.right": True, **ticks,
    })  # fmt: skip
