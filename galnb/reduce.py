"""`Plane`: latents drawn in two dimensions, by PCA or UMAP, and the way back."""

from __future__ import annotations

import numpy as np

from .errors import BadInput, need, one_of

KINDS = ("pca", "umap")
UMAP_SAMPLE = 20_000


def project(z, kind: str = "pca", *, seed: int = 0, **options) -> np.ndarray:
    """Positions (n, 2) float32 of latents z (n, d) in a plane; see `Plane`.

    >>> project(np.eye(3)).shape
    (3, 2)
    """
    return Plane(z, kind, seed=seed, **options).xy


class Plane:
    """A plane through latents, and the latents of any spot in it.

    Parameters
    ----------
    z : array (n, d)
        Latents. Rows with NaN get NaN positions. One dimension leaves y at 0.
    kind : "pca" or "umap"
        PCA's components point where their largest loading is positive. UMAP (the `umap` extra) is fitted on
        at most 20,000 rows drawn with `seed` and places the rest; it repeats on one machine
        and set of versions.
    xy : array (n, 2), optional
        Positions that are already known (two columns, another method): no `kind` is needed.
    axes : pair of str, optional
        Labels, with units where there are any.
    **options
        For umap.UMAP (n_neighbors, min_dist, metric).

    Attributes
    ----------
    xy : ndarray (n, 2) float32
    axes : tuple of two str
    explained : ndarray (2,) or None
        Share of the variance along each PCA axis.

    Raises
    ------
    BadInput
        Where no row of z is finite.
    MissingPackage
        For "umap" without umap-learn.

    References
    ----------
    McInnes, Healy & Melville 2018 (UMAP).

    Examples
    --------
    >>> plane = Plane(np.random.default_rng(0).normal(size=(100, 5)))
    >>> back = plane.inverse([(0.5, -1.0)])
    >>> np.allclose(plane.place(back), [(0.5, -1.0)], atol=1e-5)
    True
    """

    def __init__(self, z, kind: str = "pca", *, seed: int = 0, xy=None, axes=None, **options):
        z = np.asarray(z, dtype=np.float32)
        self.kind, self.explained, self.z = "given" if xy is not None else kind, None, z
        self._tree = None
        if xy is not None:
            self.xy, self.axes = (np.asarray(xy, dtype=np.float32), tuple(axes or ("x", "y")))
            if self.xy.shape != (len(z), 2):
                raise BadInput(
                    "Plane", f"xy has shape {self.xy.shape}, wanted ({len(z)}, 2): one position a row of z"
                )
            return
        one_of("kind", kind, KINDS)
        good = np.isfinite(z).all(axis=1)
        if not good.any():
            raise BadInput("Plane", f"none of the {len(z)} latents is finite, wanted at least one")
        if kind == "umap":
            self.xy, self.axes = (_umap(z, good, seed, options), tuple(axes or ("UMAP 1", "UMAP 2")))
            return
        if options:
            raise ValueError(f"PCA takes no {', '.join(options)}; leave it out, or use kind='umap'")
        self._mean, self._axes, self.explained = _principal(z if good.all() else z[good])
        self.xy = self.place(z)
        shares = (f"PC {k + 1} ({share:.0%} of variance)" for k, share in enumerate(self.explained))
        self.axes = tuple(axes or shares)

    def place(self, z) -> np.ndarray:
        """Positions (k, 2) of other latents (k, d) in a PCA plane."""
        if self.kind != "pca":
            raise ValueError(f"a {self.kind!r} plane places only what it was made from; use kind='pca'")
        return ((np.asarray(z, dtype=np.float32) - self._mean) @ self._axes).astype(np.float32)

    def inverse(self, xy, *, k: int = 10) -> np.ndarray:
        """Latents (m, d) float32 that would live at positions xy (m, 2).

        PCA: exactly at xy, with the remaining components at the mean of the `k` nearest galaxies.
        UMAP or given positions: the mean of the `k` nearest galaxies' latents, weighted by inverse
        distance, so a galaxy's own position gives its own latents. Raises ValueError for a position
        that is not finite.
        """
        from scipy.spatial import cKDTree

        xy = np.atleast_2d(np.asarray(xy, dtype=np.float64))
        if not np.isfinite(xy).all():
            raise ValueError(f"position {xy.tolist()} is not finite, wanted numbers; pick a spot in the map")
        if self._tree is None:
            rows = np.flatnonzero(np.isfinite(self.xy).all(axis=1) & np.isfinite(self.z).all(axis=1))
            if not len(rows):
                raise BadInput("Plane", "no row has both a position and finite latents, wanted at least one")
            # axes of given positions may differ by any factor (a redshift, a magnitude)
            scale = np.ones(2) if self.kind == "pca" else self.xy[rows].std(axis=0, dtype=np.float64)
            self._scale = np.where(scale > 0, scale, 1)
            self._tree, self._rows = cKDTree(self.xy[rows] / self._scale), rows
        distance, near = self._tree.query(xy / self._scale, k=min(k, len(self._rows)))
        near = self._rows[near.reshape(len(xy), -1)]
        if self.kind == "pca":
            local = self.z[near].mean(axis=1)
            return (local + (xy - self.place(local)) @ self._axes.T).astype(np.float32)
        weights = 1 / np.maximum(distance.reshape(len(xy), -1), 1e-9)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("mk,mkd->md", weights, self.z[near]).astype(np.float32)


def _principal(z) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (d,), the two leading axes (d, 2) and their shares of the variance; streamed in float64."""
    d = z.shape[1]
    mean, square = z.mean(axis=0, dtype=np.float64), np.zeros((d, d))
    for start in range(0, len(z), 65536):
        part = z[start : start + 65536] - mean
        square += part.T @ part
    variance, vectors = np.linalg.eigh(square)
    axes, shares = np.zeros((d, 2)), np.zeros(2)
    top = vectors[:, ::-1][:, :2]
    axes[:, : top.shape[1]] = top * np.sign(top[np.abs(top).argmax(axis=0), range(top.shape[1])])
    if variance.sum() > 0:
        shares[: top.shape[1]] = np.clip(variance[::-1][:2] / variance.sum(), 0, 1)
    return mean, axes, shares


def _umap(z, good, seed: int, options: dict) -> np.ndarray:
    umap = need("umap", extra="umap")
    rows = np.flatnonzero(good)
    fitted = rows
    if len(rows) > UMAP_SAMPLE:
        fitted = np.sort(np.random.default_rng(seed).choice(rows, UMAP_SAMPLE, replace=False))
    if len(fitted) < 4:
        raise BadInput("UMAP", f"{len(fitted)} finite latents, wanted at least 4; use kind='pca'")
    options = {"n_neighbors": min(15, len(fitted) - 1), **options}
    # more than one thread would make two runs differ
    mapper = umap.UMAP(n_components=2, random_state=seed, n_jobs=1, init="pca", **options)
    xy = np.full((len(z), 2), np.nan, dtype=np.float32)
    xy[fitted] = mapper.fit_transform(z[fitted])
    rest = np.setdiff1d(rows, fitted)
    if len(rest):
        xy[rest] = mapper.transform(z[rest])
    return xy
