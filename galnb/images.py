"""`Images`: galaxies as one array, with their names, places, bands and measured columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np
from astropy.table import Table

from .errors import BadInput, BandMismatch


@dataclass(frozen=True, eq=False)
class Images:
    """Galaxy images in memory.

    Parameters
    ----------
    pixels : ndarray (n, band, y, x)
        Converted to float32. Any unit; models expect a display stretch in 0 to 1.
    id : array (n,) of int or str, optional
        Unique names; 0 ... n-1 where not given.
    bands : tuple of str, optional
        One name a band, in order; "band0", "band1" ... where not given.
    ra, dec : array (n,), optional
        Degrees, ICRS.
    pixel_scale : float, optional
        Arcseconds a pixel. None where pixels have no fixed size on the sky.
    table : astropy Table, optional
        One row a galaxy; any columns, units kept.

    Raises
    ------
    BadInput
        If lengths disagree, ids or bands repeat, or `pixels` is not four-dimensional.

    Examples
    --------
    >>> galaxies = Images(np.zeros((5, 3, 64, 64)), bands=("g", "r", "i"))
    >>> galaxies["i", "g"].pixels.shape
    (5, 2, 64, 64)
    >>> len(galaxies[1:3])
    2
    """

    pixels: np.ndarray
    id: np.ndarray = None
    bands: tuple[str, ...] = ()
    ra: np.ndarray | None = None
    dec: np.ndarray | None = None
    pixel_scale: float | None = None
    table: Table = field(default_factory=Table)

    def __post_init__(self):
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 4:
            raise BadInput("Images", f"pixels have shape {pixels.shape}, wanted (n, band, y, x)")
        n, n_bands = pixels.shape[:2]
        ids = np.arange(n) if self.id is None else np.asarray(self.id)
        if ids.dtype.kind not in "iuU":
            ids = ids.astype(str)
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("table", self.table if isinstance(self.table, Table) else Table(self.table))
        put("pixels", np.ascontiguousarray(pixels, dtype=np.float32))
        put("id", ids)
        put("bands", tuple(self.bands) or tuple(f"band{i}" for i in range(n_bands)))
        for name in ("ra", "dec"):
            if getattr(self, name) is not None:
                put(name, np.asarray(getattr(self, name), dtype=np.float64))
        lengths = {"id": len(ids), "ra": n if self.ra is None else len(self.ra)}
        lengths |= {"dec": n if self.dec is None else len(self.dec)}
        lengths |= {"table": len(self.table) if self.table.colnames else n}
        for name, length in lengths.items():
            if length != n:
                raise BadInput("Images", f"{name} has {length} rows, pixels have {n}")
        if len(self.bands) != n_bands:
            raise BadInput("Images", f"{len(self.bands)} band names for {n_bands} bands of pixels")
        if len(set(self.bands)) != n_bands:
            raise BadInput("Images", f"bands {self.bands} repeat, wanted each name once")
        values, counts = np.unique(ids, return_counts=True)
        if len(values) != n:
            raise BadInput("Images", f"id {values[counts > 1][0].item()!r} is there more than once")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[2:]

    def __getitem__(self, key) -> Images:
        """Rows by integer, slice, index array or mask; bands by name or names."""
        if isinstance(key, str):
            key = (key,)
        if isinstance(key, tuple | list) and key and all(isinstance(k, str) for k in key):
            missing = [band for band in key if band not in self.bands]
            if missing:
                near = get_close_matches(missing[0].lower(), self.bands, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise BandMismatch(self.bands, tuple(key), f"there is no band {missing[0]!r}{hint}")
            order = [self.bands.index(band) for band in key]
            return replace(self, pixels=self.pixels[:, order], bands=tuple(key))
        rows = np.arange(len(self))[key]
        rows = np.atleast_1d(rows)
        pick = lambda column: None if column is None else column[rows]  # noqa: E731
        return replace(
            self,
            pixels=self.pixels[rows],
            id=self.id[rows],
            ra=pick(self.ra),
            dec=pick(self.dec),
            table=self.table[rows] if self.table.colnames else Table(),
        )

    def rename(self, *bands: str) -> Images:
        """The same pixels under other band names."""
        return replace(self, bands=bands)

    def with_pixels(self, pixels: np.ndarray) -> Images:
        """The same galaxies with other pixels (a stretch, a reconstruction)."""
        return replace(self, pixels=pixels)

    def crop(self, size: int, center: tuple[float, float] | None = None) -> Images:
        """The central `size` x `size` pixels; half a pixel up-left of centre where parity differs.

        Parameters
        ----------
        size : int
        center : tuple of float, optional
            Row and column, from 0, about which to crop instead, to the nearest whole pixel.

        Raises ValueError if an image is smaller than `size`, or ends before it about such a center.
        """
        height, width = self.shape
        if size < 1:
            raise ValueError(f"size={size} pixels, wanted at least 1")
        if size > min(height, width):
            raise ValueError(f"images are {height} x {width} px, cannot crop to {size}; use resize")
        y, x = (height - size) // 2, (width - size) // 2
        if center is not None:
            y, x = (round(float(at) - (size - 1) / 2) for at in center)
        if not (0 <= y <= height - size and 0 <= x <= width - size):
            raise ValueError(f"{size} pixels about {center} reach beyond images of {height} x {width} px")
        return self.with_pixels(self.pixels[:, :, y : y + size, x : x + size])

    def resize(self, size: int) -> Images:
        """Resampled to `size` x `size` pixels (anti-aliased); `pixel_scale` follows.

        Surface brightness is kept, so a sum over pixels scales with the pixels' area.
        """
        from skimage.transform import resize

        height, width = self.shape
        if height != width:
            raise ValueError(f"images are {height} x {width} px, not square; crop them first")
        if size < 1:
            raise ValueError(f"size={size} pixels, wanted at least 1")
        shape = (len(self), len(self.bands), size, size)
        pixels = np.zeros(shape)
        if len(self):
            pixels = resize(self.pixels, shape, order=1, anti_aliasing=size < height)
        scale = None if self.pixel_scale is None else self.pixel_scale * height / size
        return replace(self, pixels=pixels, pixel_scale=scale)

    def bin(self, factor: int) -> Images:
        """Means of `factor` x `factor` pixels; `pixel_scale` follows, independent noise stays so.

        What is left over at the bottom and the right is cut off. Raises ValueError if nothing else is left.

        >>> Images(np.arange(16.0).reshape(1, 1, 4, 4)).bin(2).pixels[0, 0].tolist()
        [[2.5, 4.5], [10.5, 12.5]]
        """
        height, width = (length // factor if factor >= 1 else 0 for length in self.shape)
        if not height or not width:
            raise ValueError(f"factor={factor}, wanted 1 to the {min(self.shape)} pixels of a side")
        pixels = self.pixels[:, :, : height * factor, : width * factor]
        pixels = pixels.reshape(len(self), len(self.bands), height, factor, width, factor).mean((3, 5))
        scale = None if self.pixel_scale is None else self.pixel_scale * factor
        return replace(self, pixels=pixels, pixel_scale=scale)

    def grey(self) -> Images:
        """One band, "grey": the mean of all."""
        return replace(self, pixels=self.pixels.mean(axis=1, keepdims=True), bands=("grey",))

    def finite(self) -> np.ndarray:
        """Which images (n,) have neither NaN nor infinite pixels."""
        return np.isfinite(self.pixels).all(axis=(1, 2, 3))

    def demand_finite(self) -> None:
        """Raise BadInput, naming the first of them, if images have NaN or infinite pixels."""
        bad = ~self.finite()
        if bad.any():
            raise BadInput(
                f"Images, id {self.id[bad][0]}",
                f"{bad.sum()} of {len(self)} images have NaN or infinite pixels, wanted finite "
                "ones; leave them out with images[images.finite()] or fill them",
            )

    def select(self, ids) -> Images:
        """The images of object ids, in their order; an unknown id raises KeyError."""
        return self[self.rows_of(ids)]

    def rows_of(self, ids) -> np.ndarray:
        """Row numbers (k,) of object ids, in their order; an unknown id raises KeyError."""
        return rows_of(self.id, ids)


def rows_of(known: np.ndarray, ids) -> np.ndarray:
    """Row numbers (k,) of `ids` in `known` (n,); an id that is not there raises KeyError.

    >>> rows_of(np.array([30, 10, 20]), [10, 30])
    array([1, 0])
    """
    ids = as_ids(ids, known.dtype)
    rows = find(known, ids)
    if (rows < 0).any():
        raise KeyError(f"no object has the id {ids[rows < 0][0].item()!r}")
    return rows


def as_ids(given, dtype: np.dtype) -> np.ndarray:
    """Ids (k,) of the kind of others (names, or whole numbers); KeyError for what cannot be one of them."""
    given = np.atleast_1d(np.asarray(given))
    # not astype(dtype) for names: that would cut a longer unknown name down to a known one
    return given.astype(str) if dtype.kind == "U" else _whole(given).astype(dtype)


def find(known: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Row numbers (k,) of `ids` (k,) in `known` (n,), both of one kind; -1 for an id that is not there."""
    if not len(known):
        return np.full(len(ids), -1)
    order = np.argsort(known, kind="stable")
    rows = order[np.searchsorted(known, ids, sorter=order).clip(0, len(known) - 1)]
    return np.where(known[rows] == ids, rows, -1)


def _whole(given: np.ndarray) -> np.ndarray:
    """Whole numbers; KeyError for a name, a fraction, or a float too large to tell from its neighbors."""
    try:
        ids = given.astype(np.int64) if given.dtype.kind == "U" else given
        kind, exact = ids.dtype.kind, True
        if kind == "f":
            exact = bool((np.isfinite(ids) & (np.abs(ids) < 2.0**53) & (ids == np.rint(ids))).all())
    except ValueError:
        kind, exact = "U", False
    if kind not in "iuf" or not exact:
        raise KeyError(f"the ids {given.tolist()!r} are not whole numbers, as those of the objects are")
    return ids
