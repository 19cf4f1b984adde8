"""Failures told from discoveries: bad bands, trails, survey edges, blends and stars, measured on images."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from .errors import one_of
from .images import Images
from .morphology import measure as morphology
from .straight import FLOOR, line, spikes, straight_share

CLASSES = ("band", "saturated", "trail", "edge", "blend", "star")

# Unit of each measured column; ratios and shares have none.
FEATURES = {
    "missing": "",
    "dark": "",
    "disagreement": "",
    "saturated": "",
    "sky_excess": "",
    "line": "",
    "empty": "",
    "neighbor": "",
    "spikes": "",
    "radius": "pix",
    "relative_radius": "",
    "concentration": "",
    "ellipticity": "",
}

# Where a feature speaks of an artefact: above, but for the last two below. Set on Galaxy Zoo 2 pictures, so
# that few ordinary galaxies are flagged; dark and disagreement must go together, and so the last two.
LIMITS = {
    "missing": 0.1,
    "dark": 0.95,
    "disagreement": 0.8,
    "saturated": 0.02,
    "sky_excess": 0.25,
    "line": 1.9,
    "empty": 0.02,
    "neighbor": 0.8,
    "spikes": 0.4,
    "relative_radius": 0.45,
    "ellipticity": 0.25,
}
FEW = 5  # votes of either kind below which a person's opinion is not yet learned


def features(images: Images, *, typical_radius: float | None = None) -> Table:
    """What can be measured of each image that tells a failure from a galaxy.

    Parameters
    ----------
    images : Images
    typical_radius : float, optional
        Half-light radius in pixels of an ordinary galaxy of the survey; the median of these images where not
        given. Give it when a survey is measured in parts, or a single image.

    Returns
    -------
    Table, one row a galaxy
        - missing: share of pixels that are not finite, in the worst band; 1 for a constant band
        - dark: 1 - (contrast of the faintest band over that of the brightest)
        - disagreement: 1 - the correlation of the oddest band, smoothed, with the mean of the others
        - saturated: share of pixels at exactly the highest value, in the worst band
        - sky_excess: how far one band's sky lies above the others', over the image's peak above its sky
        - line: brightness of the strongest straight line across the image, in its weakest visible eighth,
          over its two sides, in standard deviations of a pixel of the sky; about 5 at most
        - empty: share of the image in regions of one value (or not finite) with straight borders
        - neighbor: flux of the brightest other object over that of the central one
        - spikes: the weakest arm of a four-armed cross on the brightest place, over what lies between
        - radius, concentration, ellipticity: as `morphology.measure`, on the mean of the bands
        - relative_radius: radius over the typical one

        Shapes are NaN where nothing was found; every other column is finite.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> galaxy = np.exp(-np.hypot(x, y) / 4)
    >>> table = features(Images([[galaxy, galaxy], [galaxy, np.full((64, 64), np.nan)]]))
    >>> table["missing"].tolist()
    [0.0, 1.0]
    """
    pixels = images.pixels
    finite = np.isfinite(pixels)
    filled = _filled(pixels, finite)
    flat = _flat(filled) | ~finite
    plane = _mean_of_good_bands(filled, flat)
    sky, noise = _sky(plane)
    plane = plane - sky[:, None, None]
    shapes = morphology(plane, background=0.0)
    table = Table({"missing": _missing(filled, finite)})
    table["dark"], table["disagreement"] = _dark(filled), _disagreement(filled)
    table["saturated"], table["sky_excess"] = _saturated(filled), _sky_excess(filled)
    table["line"] = line(*_brightest(filled))
    table["empty"] = [straight_share(region) for region in flat.all(axis=1)]
    table["neighbor"] = [_neighbor(one, sigma) for one, sigma in zip(plane, noise, strict=True)]
    table["spikes"] = spikes(plane, noise)
    radius = np.asarray(shapes["half_light_radius"], dtype=float)
    known = radius[np.isfinite(radius)]
    typical = typical_radius or (np.median(known) if len(known) else np.nan)
    table["radius"], table["relative_radius"] = radius, radius / typical
    table["concentration"], table["ellipticity"] = shapes["concentration"], shapes["ellipticity"]
    for name, unit in FEATURES.items():
        table[name] = np.asarray(table[name], dtype=float)
        table[name].unit = unit or None
    return table


def scores(found: Table, *, limits: dict[str, float] | None = None) -> Table:
    """How far each galaxy is over the limits, one column a class: above 1 is flagged.

    Parameters
    ----------
    found : Table
        Of `features`.
    limits : dict, optional
        Values other than those of `LIMITS`, by name.

    Raises
    ------
    ValueError
        At a limit of no such name, or one that is not positive.
    """
    for name, value in (limits or {}).items():
        one_of("limit", name, LIMITS)
        if not value > 0:
            raise ValueError(f"limit {name}={value}, wanted a positive number")
    limits = LIMITS | (limits or {})
    over = {}
    for name, limit in limits.items():
        value = np.asarray(found[name], dtype=float)
        below = name in ("relative_radius", "ellipticity")
        over[name] = np.nan_to_num(limit / np.maximum(value, 1e-3) if below else value / limit)
    point = np.minimum(over["relative_radius"], over["ellipticity"])
    columns = {
        "band": np.maximum(over["missing"], np.minimum(over["dark"], over["disagreement"])),
        "saturated": np.maximum(over["saturated"], over["sky_excess"]),
        "trail": over["line"],
        "edge": over["empty"],
        "blend": over["neighbor"],
        "star": np.maximum(over["spikes"], point),
    }
    return Table({name: columns[name] for name in CLASSES})


def flags(images: Images | Table, *, limits: dict[str, float] | None = None, **options) -> Table:
    """Which galaxies look like which artefact: bools, a column a class of `CLASSES`, and "artefact" for any.

    Parameters
    ----------
    images : Images, or Table of `features`
    limits : dict, optional
        Values other than those of `LIMITS`, by name.
    **options
        Of `features`.

    Examples
    --------
    >>> dark = Images(np.zeros((1, 3, 64, 64)))
    >>> [name for name, column in flags(dark).columns.items() if column[0]]
    ['band', 'edge', 'artefact']
    """
    found = images if isinstance(images, Table) else features(images, **options)
    over = scores(found, limits=limits)
    table = Table({name: np.asarray(over[name]) > 1 for name in CLASSES})
    table["artefact"] = np.any([table[name] for name in CLASSES], axis=0)
    return table


def share_in_top(order: np.ndarray, flagged: np.ndarray, k: int) -> float:
    """Share of flagged galaxies among the first k of a ranking; NaN where there are none.

    Parameters
    ----------
    order : ndarray (n,) of int
        Row numbers, the most anomalous first.
    flagged : ndarray (n,) of bool
    k : int

    Examples
    --------
    >>> share_in_top(np.array([2, 0, 1]), np.array([True, False, False]), 2)
    0.5
    """
    first = np.asarray(flagged, dtype=bool)[np.asarray(order)[: max(k, 0)]]
    return float(first.mean()) if len(first) else float("nan")


class ArtefactModel:
    """A person's own notion of an artefact: logistic regression on features, and latents, from votes.

    Until there are five votes of either kind it answers by the flags: the galaxy's largest score s of
    `scores` becomes s / (1 + s), which is above one half where it is flagged.

    Parameters
    ----------
    strength : float
        Inverse of the regularisation (`C` of scikit-learn).
    limits : dict, optional
        As of `flags`, for the first answers.

    Examples
    --------
    >>> votes = np.arange(20) % 2 == 0
    >>> model = ArtefactModel().fit(np.where(votes, 3.0, 0.0)[:, None], votes)
    >>> model.probability(np.array([[0.0], [3.0]])).round(1).tolist()
    [0.2, 0.8]
    """

    def __init__(self, *, strength: float = 0.3, limits: dict[str, float] | None = None):
        self.strength, self.limits, self._learned = strength, limits, None

    def fit(self, found: Table | np.ndarray, votes: np.ndarray, *, latents: np.ndarray | None = None):
        """Learn from features (a Table, or an array (n, k)), latents (n, d) and votes (n,), True an artefact.

        Raises
        ------
        ValueError
            Where the numbers of rows differ.
        """
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer, StandardScaler

        x, votes = _columns(found, latents), np.asarray(votes, dtype=bool)
        if votes.shape != (len(x),):
            raise ValueError(f"votes have shape {votes.shape}, wanted ({len(x)},), one for each galaxy")
        self._learned = None
        if min(votes.sum(), (~votes).sum()) >= FEW:
            self._learned = make_pipeline(
                SimpleImputer(strategy="median", keep_empty_features=True),
                StandardScaler(),
                FunctionTransformer(np.arcsinh),  # features have long tails
                LogisticRegression(C=self.strength),
            ).fit(x, votes)
        return self

    def probability(self, found: Table | np.ndarray, *, latents: np.ndarray | None = None) -> np.ndarray:
        """Probability (n,) that each galaxy is what the person calls an artefact.

        Raises
        ------
        ValueError
            Where columns are not those of `fit`, or, before there are votes enough, `found` is no Table.
        """
        if self._learned is not None:
            return self._learned.predict_proba(_columns(found, latents))[:, 1] if len(found) else np.zeros(0)
        if not isinstance(found, Table):
            raise ValueError(
                f"fewer than {FEW} votes of either kind, and an array; give the Table of `features`"
            )
        over = scores(found, limits=self.limits)
        worst = np.max([over[name] for name in CLASSES], axis=0)
        return worst / (1 + worst)


def _columns(found: Table | np.ndarray, latents: np.ndarray | None) -> np.ndarray:
    """Features and latents side by side, (n, k); what is not finite is NaN."""
    if isinstance(found, Table):
        found = np.stack([np.asarray(found[name], dtype=float) for name in FEATURES], axis=1)
    x = np.asarray(found, dtype=float)
    x = x if latents is None else np.concatenate([x, np.asarray(latents, dtype=float)], axis=1)
    return np.where(np.isfinite(x), x, np.nan)


def _filled(pixels: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Pixels (n, band, y, x) with the band's median where they are not finite, else 0."""
    if finite.all():
        return pixels
    filled = pixels.copy()
    for i, b in np.argwhere(~finite.all(axis=(2, 3))):
        good = finite[i, b]
        filled[i, b][~good] = np.median(pixels[i, b][good]) if good.any() else 0.0
    return filled


def _flat(pixels: np.ndarray) -> np.ndarray:
    """Pixels that lie in a patch of 3 by 3 equal ones, (n, band, y, x)."""
    from scipy.ndimage import maximum_filter, minimum_filter

    window = (1, 1, 3, 3)
    same = maximum_filter(pixels, window) == minimum_filter(pixels, window)
    return maximum_filter(same, window)


def _mean_of_good_bands(pixels: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Mean (n, y, x) of the bands that are not flat all over, of all where none is better."""
    good = ~flat.all(axis=(2, 3))
    weight = np.where(good.any(axis=1, keepdims=True), good, True).astype(float)
    total = np.maximum(weight.sum(axis=1), 1)[:, None, None]
    return np.einsum("nb,nbyx->nyx", weight, pixels) / total


def _border(planes: np.ndarray) -> np.ndarray:
    """The outer eighth of planes (..., y, x), as (..., pixels)."""
    height, width = planes.shape[-2:]
    ring = np.ones((height, width), dtype=bool)
    y, x = max(height // 8, 1), max(width // 8, 1)
    ring[y : height - y, x : width - x] = False
    return planes[..., ring]


def _sky(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median (n,) and scatter (n,), from the median absolute deviation, of the border's pixels."""
    if not planes.size:
        return np.zeros(len(planes)), np.zeros(len(planes))
    border = _border(planes)
    sky = np.median(border, axis=-1)
    noise = 1.4826 * np.median(np.abs(border - sky[:, None]), axis=-1)
    return sky, np.maximum(noise, FLOOR * np.maximum(planes.max(axis=(1, 2)) - sky, 1e-30))


def _brightest(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest of the bands in units of their noise (n, y, x), as trails have one color, and its noise."""
    planes = pixels.reshape(-1, *pixels.shape[2:])
    sky, noise = _sky(planes)
    signal = ((planes - sky[:, None, None]) / noise[:, None, None]).reshape(pixels.shape)
    highest = signal.max(axis=1, initial=-np.inf) if pixels.shape[1] else pixels[:, 0]
    sky, noise = _sky(highest)
    return highest - sky[:, None, None], noise


def _missing(pixels: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Share of pixels that are not finite, or 1 for a constant band, in the worst band (n,)."""
    constant = pixels.max(axis=(2, 3), initial=-np.inf) == pixels.min(axis=(2, 3), initial=np.inf)
    share = np.where(constant, 1.0, 1 - finite.mean(axis=(2, 3)))
    return share.max(axis=1, initial=0)


def _contrasts(pixels: np.ndarray) -> np.ndarray:
    """Highest smoothed value in the middle over the sky, (n, band)."""
    from scipy.ndimage import uniform_filter

    height, width = pixels.shape[2:]
    smooth = uniform_filter(pixels, (1, 1, 3, 3))
    middle = smooth[:, :, height // 4 : height - height // 4, width // 4 : width - width // 4]
    return np.maximum(middle.max(axis=(2, 3), initial=-np.inf) - np.median(_border(smooth), axis=-1), 0)


def _dark(pixels: np.ndarray) -> np.ndarray:
    """How much fainter the faintest band is than the brightest, (n,)."""
    if not pixels.size:
        return np.zeros(len(pixels))
    contrast = _contrasts(pixels)
    return 1 - contrast.min(axis=1) / np.maximum(contrast.max(axis=1), 1e-30)


def _disagreement(pixels: np.ndarray) -> np.ndarray:
    """How little the oddest band is like the mean of the others, (n,)."""
    from scipy.ndimage import uniform_filter

    n, n_bands = pixels.shape[:2]
    if n_bands < 2 or not pixels.size:
        return np.zeros(n)
    smooth = uniform_filter(pixels, (1, 1, 5, 5)).reshape(n, n_bands, -1).astype(float)
    smooth -= smooth.mean(axis=2, keepdims=True)
    others = (smooth.sum(axis=1, keepdims=True) - smooth) / (n_bands - 1)
    size = np.sqrt((smooth**2).sum(axis=2) * (others**2).sum(axis=2))
    return (1 - (smooth * others).sum(axis=2) / np.maximum(size, 1e-30)).max(axis=1)


def _saturated(pixels: np.ndarray) -> np.ndarray:
    """Share of pixels at the band's highest value, in the worst band (n,)."""
    top = pixels.max(axis=(2, 3), keepdims=True, initial=-np.inf)
    rises = top > pixels.min(axis=(2, 3), keepdims=True, initial=np.inf)
    return (rises & (pixels == top)).mean(axis=(2, 3)).max(axis=1, initial=0)


def _sky_excess(pixels: np.ndarray) -> np.ndarray:
    """How far the highest sky of all bands lies over the next, in units of the peak, (n,)."""
    n, n_bands = pixels.shape[:2]
    if n_bands < 2 or not pixels.size:
        return np.zeros(n)
    sky = np.sort(np.median(_border(pixels), axis=-1), axis=1)
    peak = pixels.max(axis=(1, 2, 3)) - sky[:, 0]
    return (sky[:, -1] - sky[:, -2]) / np.maximum(peak, 1e-30)


def _neighbor(plane: np.ndarray, noise: float) -> float:
    """Flux of the brightest other object over that of the one nearest to the middle; 0 where none."""
    import sep

    height, width = plane.shape
    data = np.ascontiguousarray(plane, dtype=np.float64)
    found = sep.extract(data, 4 * float(noise), minarea=5, deblend_nthresh=16, deblend_cont=0.02)
    if len(found) < 2:
        return 0.0
    far = np.hypot(found["x"] - (width - 1) / 2, found["y"] - (height - 1) / 2)
    own = far.argmin()
    return float(np.delete(found["flux"], own).max() / found["flux"][own])
