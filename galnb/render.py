"""`render`: what a view of a `Store` looks like, as one 8-bit image; and the same through HoloViews.

Up to 4 million visible points are drawn, from just the leaves that overlap the view; counts are those of
HoloViews' `rasterize` over all points. Of more, cells as fine as the pixels are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from .draw import count_points, draw_cells, draw_points
from .selection import Selection
from .store import Column, Store

EXACT_POINTS = 4_000_000
SPREADS = ((3_000, 3), (30_000, 2), (200_000, 1))


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of the map, row 0 at the bottom.

    Attributes
    ----------
    view : tuple (x0, x1, y0, y1)
        In data coordinates.
    width, height : int
        Pixels.
    values : ndarray (height, width) float32
        Points a pixel, a column's mean or the majority category's code; NaN (count: 0) where there is none.
    counts : ndarray (height, width)
        Points a pixel: integers when `exact`, else area-weighted floats.
    index : ndarray (height, width) uint8
        0 where empty; else 1 to 255 from `low` to `high`, clipped, or code + 1 of a category. Lone points are
        grown into discs here and in `selected`, never in `values` and `counts`.
    low, high : float
        Values at index 1 and 255.
    how : "log", "linear" or "category"
    label : str
        What is colored, with its unit.
    categories : tuple of str or None
    selected : ndarray (height, width) uint8 or None
        0 where nothing is selected; else 1 to 255, log-scaled share of the pixel's points (1/1000 to all).
    n_visible : int
        Points in the view.
    exact : bool
        Whether points were drawn, not cells.
    """

    view: tuple[float, float, float, float]
    width: int
    height: int
    values: np.ndarray
    counts: np.ndarray
    index: np.ndarray
    low: float
    high: float
    how: str
    label: str
    categories: tuple[str, ...] | None
    selected: np.ndarray | None
    n_visible: int
    exact: bool


def render(
    store: Store,
    view,
    width: int,
    height: int,
    *,
    color: str = "count",
    selected=None,
    exact: bool | None = None,
    spread: int | str = "auto",
    ratio: float = 1.0,
) -> Frame:
    """The map as seen in a view.

    Parameters
    ----------
    view : (x0, x1, y0, y1)
        Data coordinates; x0 < x1, y0 < y1. A view off the points is an empty frame.
    width, height : int
        Pixels, 1 to 8192.
    color : str
        "count", or a column of the store.
    selected : int array (k,) or Selection, optional
        Original rows to mark.
    exact : bool, optional
        Draw points whatever their number (True) or cells (False); by default up to 4 million points.
    spread : int or "auto"
        Radius of a lone point in pixels; by default 3 to 0, falling with the number of points in view.
    ratio : float
        Device pixels a CSS pixel; multiplies an automatic spread.

    Raises
    ------
    ValueError
        For an unknown color, or a view or size without area.

    Examples
    --------
    >>> store = Store.build(np.linspace(0, 1, 1000), np.linspace(0, 1, 1000))
    >>> frame = render(store, (0, 1, 0, 1), 200, 100)
    >>> frame.index.shape, int(frame.counts.sum()), frame.how
    ((100, 200), 1000, 'log')
    """
    view = check_view(view)
    if not (1 <= width <= 8192 and 1 <= height <= 8192):
        raise ValueError(f"the frame is {width} x {height} px, wanted 1 to 8192; give another size")
    column = None if color == "count" else store.column(color)
    runs = store.runs(view)
    if exact is None:
        exact = int((runs[:, 1] - runs[:, 0]).sum()) <= EXACT_POINTS
    chosen = selected if isinstance(selected, Selection | None) else Selection(rows=np.asarray(selected))
    marks = None if chosen is None else chosen.marks(store)
    placed = isinstance(marks, np.ndarray)
    draw = draw_points if exact else draw_cells
    drawn = draw(store, runs, view, int(width), int(height), column, None if placed else marks)
    counts, values = drawn.counts, drawn.values
    hits = count_points(*np.ascontiguousarray(marks.T), view, *counts.shape[::-1]) if placed else drawn.marked
    n_visible = round(float(counts.sum(dtype=np.float64)))
    if spread == "auto":
        spread = next((round(r * ratio) for most, r in SPREADS if n_visible < most), 0)
    index, low, high, how = _scale(values, counts, column, exact)
    marked = None if hits is None else _mark(hits, counts)
    return Frame(
        view, int(width), int(height), values, counts, _grow(index, spread), low, high, how,
        "galaxies" if column is None else column.label, column and column.categories,
        None if marked is None else _grow(marked, spread), n_visible, exact,
    )  # fmt: skip


def check_view(view) -> tuple[float, float, float, float]:
    """A view as four floats; ValueError when it has no area or is not finite."""
    try:
        x0, x1, y0, y1 = view = tuple(float(v) for v in view)
    except (TypeError, ValueError):
        raise ValueError(f"view={view!r}, wanted four numbers (x0, x1, y0, y1)") from None
    if not (np.isfinite(view).all() and x0 < x1 and y0 < y1):
        raise ValueError(f"view={view!r}, wanted finite x0 < x1 and y0 < y1; widen it")
    return view


def _scale(values, counts, column: Column | None, exact: bool):
    """Index image (uint8), its low and high, and how."""
    filled = counts > 0 if column is None else np.isfinite(values)
    index = np.zeros(values.shape, dtype=np.uint8)
    seen = values[filled]
    if column is not None and column.categories is not None:
        index[filled] = seen.astype(np.uint8) + 1
        return index, 0.0, float(len(column.categories) - 1), "category"
    how = "log" if column is None else "linear"
    if not len(seen):
        return index, 0.0, 1.0, how
    if column is None:
        # at least a factor 8, or a map of single points would have nothing but the darkest color
        high = float(seen.max())
        low = min(float(seen.min()) if exact else max(float(seen.min()), 1.0), high / 8)
        place = np.log(seen / low) / np.log(high / low)
    else:
        low, high = (float(v) for v in np.percentile(seen, (1, 99)))
        place = (seen - low) / (high - low) if high > low else np.full(seen.shape, 0.5)
    index[filled] = 1 + np.rint(254 * np.clip(place, 0, 1)).astype(np.uint8)
    return index, low, high, how


def _mark(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Index image (uint8) of how many of each pixel's points are selected."""
    marked = np.zeros(hits.shape, dtype=np.uint8)
    hit = hits > 0
    share = np.clip(hits[hit] / np.maximum(counts[hit], hits[hit]), 1e-3, 1)
    marked[hit] = 1 + np.rint(254 * (1 + np.log10(share) / 3)).astype(np.uint8)
    return marked


def _grow(index: np.ndarray, radius: int) -> np.ndarray:
    """Every filled pixel grown into a disc; an empty pixel takes the nearest filled one, filled ones stay."""
    if radius <= 0:
        return index
    span = np.arange(-radius, radius + 1)
    dy, dx = (part.ravel() for part in np.meshgrid(span, span, indexing="ij"))
    square = dy * dy + dx * dx
    order = np.argsort(square, kind="stable")
    order = order[(square[order] > 0) & (square[order] <= (radius + 0.5) ** 2)]
    rows, columns = np.nonzero(index)
    return _paint(index.copy(), rows, columns, index[rows, columns], dy[order], dx[order])


@numba.njit(cache=True, nogil=True)
def _paint(image, rows, columns, values, dy, dx):
    height, width = image.shape
    for step in range(len(dy)):
        for k in range(len(rows)):
            row, column = rows[k] + dy[step], columns[k] + dx[step]
            if 0 <= row < height and 0 <= column < width and image[row, column] == 0:
                image[row, column] = values[k]
    return image


def to_holoviews(
    latents, plane="pca", *, color: str = "count", width: int = 700, height: int = 600, dynamic: bool = True,
    session=None,
):  # fmt: skip
    """The map as a HoloViews element that composes with `*`, `+` and `.opts`.

    Counts and means are those of `render` at the same view and size. A category column is shaded in one
    color a category. No plotting extension is loaded here: call `hv.extension` (for bokeh without
    a network: with `inline=True`). To save, take `dynamic=False`, and
    `hv.save(element, "map.png", backend="matplotlib")`.

    Parameters
    ----------
    latents : Latents or Catalogue
    plane : "pca", "umap" or two column names
    color : "count" or a column
    width, height : int
        Pixels.
    dynamic : bool
        Redraw on zoom (needs a running kernel); False gives one picture of all points.
    session : Session, optional
        Taps, lassos and boxes act on it, and its plane is drawn.

    Returns
    -------
    DynamicMap, or Image (RGB for a category column) where `dynamic` is False.

    Examples
    --------
    >>> from galnb.latents import Latents
    >>> latents = Latents(np.arange(50), np.random.default_rng(0).normal(size=(50, 4)))
    >>> int(latents.to_holoviews(dynamic=False).data["Count"].sum())
    50
    """
    import datashader as ds
    import holoviews as hv
    import pandas as pd
    from holoviews.operation.datashader import datashade, rasterize

    from .errors import one_of
    from .session import Session

    session, bound = session or Session(latents, plane=plane), session is not None
    one_of("color", color, ("count", *latents.columns))
    if session.store.folder is not None:
        drawn = _stored_holoviews(session, color, width, height, dynamic)
        if bound:
            bind(drawn, session)
        return drawn
    x0, x1, y0, y1 = session.home(width, height)
    x, y = session.projection().xy.T
    points, operation, aggregator = {"map_x": x, "map_y": y}, rasterize, ds.count()
    options = {"width": width, "height": height, "dynamic": dynamic, "vdim_prefix": ""}
    if color != "count":
        store = session.colored(color)
        column = store.column(color)
        kept = store.rank >= 0
        points = {"map_x": x[kept], "map_y": y[kept]}
        points[color] = values = column.values[store.rank[kept]]
        aggregator = ds.mean(color)
        if column.categories is not None:
            points[color] = pd.Categorical.from_codes(values, column.categories)
            operation, aggregator = datashade, ds.by(color, ds.count())
    across, up = session.axes
    kdims = [hv.Dimension(("map_x", across), range=(x0, x1)), hv.Dimension(("map_y", up), range=(y0, y1))]
    element = hv.Points(pd.DataFrame(points, copy=False), kdims, list(points)[2:])
    drawn = operation(element, aggregator=aggregator, **options)
    if bound:
        bind(drawn, session)
    return drawn


def _stored_holoviews(session, color: str, width: int, height: int, dynamic: bool):
    """The same for points on disk, which are too many for HoloViews: it shows what `render` drew."""
    import holoviews as hv
    import xarray as xr
    from datashader.colors import Sets1to3
    from holoviews.streams import RangeXY
    from matplotlib.colors import to_rgba_array

    home, axes = session.home(width, height), session.axes

    def picture(x_range=None, y_range=None):
        view = (*(x_range or home[:2]), *(y_range or home[2:]))
        frame = session.frame(width, height, view=view, color=color, selected=None, spread=0)
        steps = ((low, (high - low) / size, size) for low, high, size in
                 ((view[0], view[1], width), (view[2], view[3], height)))  # fmt: skip
        x, y = (low + step * (np.arange(size) + 0.5) for low, step, size in steps)
        kdims = [
            hv.Dimension(("map_x", axes[0]), range=home[:2]),
            hv.Dimension(("map_y", axes[1]), range=home[2:]),
        ]
        if frame.how == "category":
            rgba = np.vstack([np.zeros(4), to_rgba_array(Sets1to3[: len(frame.categories)])])[frame.index]
            return hv.RGB((x, y, *np.moveaxis(rgba, -1, 0)), kdims, [*hv.RGB.vdims, hv.RGB.alpha_dimension])
        name, values = ("Count", frame.counts) if color == "count" else (color, frame.values)
        data = xr.Dataset({name: (("map_y", "map_x"), values)}, {"map_x": x, "map_y": y})
        return hv.Image(data, kdims, hv.Dimension((name, frame.label)) if color != "count" else name)

    return hv.DynamicMap(picture, streams=[RangeXY()]) if dynamic else picture()


def bind(element, session) -> tuple:
    """Let taps, lassos, boxes and zooms of a HoloViews element act on a `Session`; returns the streams."""
    from holoviews import streams

    tap, lasso = streams.Tap(source=element), streams.Lasso(source=element)
    box, zoom = streams.BoundsXY(source=element), streams.RangeXY(source=element)

    def tapped(x, y):
        if x is not None and y is not None:
            x0, x1, y0, y1 = session.view
            session.pick(x, y, 0.01 * (x1 - x0), 0.01 * (y1 - y0))

    def lassoed(geometry):
        if geometry is not None and len(geometry) > 2:
            session.select_polygon(geometry)

    def boxed(bounds):
        if bounds is not None:
            left, bottom, right, top = bounds
            session.select_box(left, right, bottom, top)

    def zoomed(x_range, y_range):
        if x_range is not None and y_range is not None:
            session.set_view((*x_range, *y_range))

    for stream, act in ((tap, tapped), (lasso, lassoed), (box, boxed), (zoom, zoomed)):
        stream.add_subscriber(act)
    return tap, lasso, box, zoom
