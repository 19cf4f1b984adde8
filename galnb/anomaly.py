"""Which galaxies are unlike all others: several scores of the same galaxies, side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from astropy.table import Table

from .encoding import decode, reconstruct
from .errors import BadInput, CannotDo, one_of
from .forest import IsolationForest
from .images import Images
from .neighbors import Neighbors

LEAST = 1e-6  # of a latent's standard deviation, in units of the largest
STEPS = 16  # from what a generator draws to the galaxy, of the critic's slope
BATCH = 8192  # rows that a density is asked for at a time


class Scorer:
    """One kind of anomaly score, fitted to what is usual; larger is more anomalous.

    Latents are centered, and divided by their standard deviations, of the galaxies it is fitted to.

    Parameters
    ----------
    kind : str
        "mahalanobis"
            Distance from the mean, in standard deviations along the principal axes.
        "kmeans"
            Distance from the nearest of 20 centers.
        "neighbors"
            Mean distance of the 10 nearest galaxies; a galaxy is not its own neighbor.
        "gmm", "flow"
            -log p(z), in nats, of a mixture of 20 Gaussians (fewer where galaxies are few) or of a neural
            spline flow (Durkan+2019).
        "forest", "extended"
            Score of an isolation forest, standard or extended; see `forest.IsolationForest`.
    seed : int
    options
        Of the kind: k of "kmeans" and "neighbors", components of "gmm", steps of "flow", those of forests.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    >>> scorer = Scorer("mahalanobis").fit(z)
    >>> float(scorer.score(np.array([[9.0, 0, 0]]))[0]) > 8
    True
    """

    def __init__(self, kind: str, *, seed: int = 0, **options):
        one_of("kind", kind, KINDS)
        self.kind, self.seed, self.options = kind, int(seed), options

    def fit(self, latents) -> Scorer:
        """Learn from latents (n, d), or `Latents`, what is usual; rows that are not finite are left out."""
        z = _latents(latents)
        z = z[np.isfinite(z).all(axis=1)]
        if len(z) < 2:
            raise BadInput("latents", f"{len(z)} finite rows came, wanted at least 2")
        self.center, scale = z.mean(0), z.std(0)
        self.scale = np.maximum(scale, max(LEAST * float(scale.max()), 1e-30))
        self._fitted = KINDS[self.kind](self._scaled(z), self.seed, **self.options)
        return self

    def score(self, latents) -> np.ndarray:
        """Scores (n,) of latents (n, d), float32; NaN where a row is not finite."""
        z = self._asked(latents)
        good = np.isfinite(z).all(axis=1)
        scores = np.full(len(z), np.nan, dtype=np.float32)
        if good.any():
            ask = getattr(self._fitted, "score", self._fitted)
            scores[good] = ask(self._scaled(z[good]))
        return scores

    def attribution(self, latents) -> np.ndarray:
        """What each latent (n, d) has to do with the score of a forest; see `IsolationForest.attribution`.

        Raises CannotDo for the other kinds.
        """
        z = self._asked(latents)
        if not isinstance(self._fitted, IsolationForest):
            raise CannotDo(f"{self.kind!r} does not say which latents a score comes from; take a forest")
        return self._fitted.attribution(self._scaled(z))

    def _asked(self, latents) -> np.ndarray:
        z = _latents(latents)
        if not hasattr(self, "center"):
            raise BadInput("the score", "it knows nothing yet; fit it to latents first")
        if z.shape[1] != len(self.center):
            raise BadInput("latents", f"they have shape {z.shape}, wanted (n, {len(self.center)}) as in fit")
        return z

    def _scaled(self, z: np.ndarray) -> np.ndarray:
        return ((z - self.center) / self.scale).astype(np.float32)


def _latents(latents) -> np.ndarray:
    z = np.asarray(latents.z[:] if hasattr(latents, "z") else latents, dtype=np.float32)
    if z.ndim != 2:
        raise BadInput("latents", f"they have shape {z.shape}, wanted (n, d)")
    return z


def _mahalanobis(z: np.ndarray, seed: int) -> Callable:
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(z.T.astype(np.float64))))
    narrow = axes / np.sqrt(np.maximum(variance, LEAST * variance.max()))
    return lambda z: np.linalg.norm(z @ narrow, axis=1)


def _kmeans(z: np.ndarray, seed: int, *, k: int = 20) -> Callable:
    from sklearn.cluster import KMeans

    fitted = KMeans(min(k, len(z)), n_init=4, random_state=seed).fit(z)
    return lambda z: fitted.transform(z).min(axis=1)


def _neighbors(z: np.ndarray, seed: int, *, k: int = 10) -> Callable:
    from .latents import Latents

    index = Neighbors(Latents(np.arange(len(z)), z), seed=seed)

    def score(z: np.ndarray) -> np.ndarray:
        found = np.sort(index.search(z, k=min(k + 1, len(index))).distances, axis=1)
        own = found[:, 0] < 1e-4 * found[:, -1]  # the galaxy itself, but for rounding
        return np.where(own, found[:, 1:].mean(1), found[:, :-1].mean(1))

    return score


def _gmm(z: np.ndarray, seed: int, *, components: int = 20) -> Callable:
    from .models.mixture import Mixture

    n, d = z.shape
    mixture = Mixture(d, max(min(components, n // (10 * d)), 1))
    score = _density(mixture, z, seed)
    few = mixture.weights * n < 2 * d  # a component of its own would make an anomaly the most usual of all
    if not few.all():
        mixture.weights[few] = 0
        mixture.weights /= mixture.weights.sum()
    return score


def _flow(z: np.ndarray, seed: int, **options) -> Callable:
    from .models.flow_prior import FlowPrior

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _density(FlowPrior(z.shape[1]), z, seed, **options)


def _density(prior, z: np.ndarray, seed: int, **options) -> Callable:
    prior.fit(torch.from_numpy(z), seed=seed, **options)

    @torch.no_grad()
    def score(z: np.ndarray) -> np.ndarray:
        return np.concatenate([-prior.log_prob(part).numpy() for part in torch.from_numpy(z).split(BATCH)])

    return score


def _forest(z: np.ndarray, seed: int, **options) -> IsolationForest:
    return IsolationForest(seed=seed, **options).fit(z)


def _extended(z: np.ndarray, seed: int, **options) -> IsolationForest:
    return IsolationForest(seed=seed, **{"extension": "full"} | options).fit(z)


KINDS = {
    "mahalanobis": _mahalanobis, "kmeans": _kmeans, "neighbors": _neighbors, "gmm": _gmm, "flow": _flow,
    "forest": _forest, "extended": _extended,
}  # fmt: skip


def table(
    latents,
    images: Images | None = None,
    model=None,
    gan=None,
    *,
    usual=None,
    kinds=tuple(KINDS),
    seed: int = 0,
) -> Table:
    """All scores of the same galaxies, one row each, larger for what is more anomalous.

    Parameters
    ----------
    latents : Latents or ndarray (n, d)
    images : Images, optional
        Of these galaxies, for the scores of pictures.
    model : Model, optional
        One that encodes and decodes: "reconstruction" is the root mean square of what it misses in pixels.
    gan : WGAN, optional
        "G" and "C", what it misses in pixels and in features of its critic; see `blend`.
    usual : Latents or ndarray (m, d), optional
        Galaxies that scores of latents are fitted to; these, where not given.
    kinds : tuple of str
        Of `Scorer`.

    Returns
    -------
    Table
        id, where latents have one, a column a score, and "ensemble": see `ensemble`.
    """
    scores = Table({"id": latents.id} if hasattr(latents, "id") else None)
    for kind in kinds:
        scores[kind] = Scorer(kind, seed=seed).fit(latents if usual is None else usual).score(latents)
    if images is not None and model is not None:
        scores["reconstruction"] = np.sqrt(residual_maps(images, model).mean(axis=(1, 2, 3)))
    if images is not None and gan is not None:
        scores["G"], scores["C"] = misfits(images, gan)
    scores["ensemble"] = ensemble(scores)
    return scores


def names(scores: Table) -> list[str]:
    """The columns of a table that are scores: all but id and the ensemble.

    >>> names(Table({"id": [1], "gmm": [0.5], "ensemble": [0.5]}))
    ['gmm']
    """
    return [name for name in scores.colnames if name not in ("id", "ensemble")]


def ensemble(scores: Table) -> np.ndarray:
    """Mean rank (n,) in all scores of a table, from 0 to 1, the most anomalous 1; NaN where one is missing.

    >>> ensemble(Table({"gmm": [0.1, 0.3, 0.2], "forest": [1.0, 3.0, 2.0]})).tolist()
    [0.0, 1.0, 0.5]
    """
    from scipy.stats import rankdata

    columns = np.array([np.asarray(scores[name], dtype=float) for name in names(scores)])
    ranks = rankdata(columns, axis=1, nan_policy="omit") - 1
    return (ranks / max(columns.shape[1] - 1, 1)).mean(axis=0)


def agreement(scores: Table) -> Table:
    """Spearman's rank correlation of each two scores, over galaxies that have both: a square, with names."""
    from scipy.stats import spearmanr

    columns = [name for name in scores.colnames if name != "id"]
    square = Table({"score": columns})
    for name in columns:
        pairs = [(np.asarray(scores[name]), np.asarray(scores[other])) for other in columns]
        both = [np.isfinite(a) & np.isfinite(b) for a, b in pairs]
        square[name] = [float(spearmanr(a[g], b[g]).statistic) for (a, b), g in zip(pairs, both, strict=True)]
    return square


def in_sigma(score, usual=None) -> np.ndarray:
    """A score (n,) in standard deviations from its mean, both of what is usual, clipped at 3 sigma.

    >>> in_sigma(np.array([0.0, 1.0, 2.0, 30.0]), np.array([0.0, 1.0, 2.0])).round(1).tolist()
    [-1.2, 0.0, 1.2, 35.5]
    """
    from astropy.stats import sigma_clipped_stats

    score = np.asarray(score, dtype=np.float64)
    usual = score if usual is None else np.asarray(usual, dtype=np.float64)
    mean, _, deviation = sigma_clipped_stats(usual[np.isfinite(usual)], sigma=3, maxiters=5)
    return (score - mean) / (deviation or 1.0)


def blend(g, c, share: float = 0.7) -> np.ndarray:
    """AS = lambda G + (1 - lambda) C, of `share` lambda, with G and C each in sigma.

    G is what a generator misses in pixels and C in features of its critic. The lambda of Storey-Fisher+2021
    (equation 4) is the mirror image, 1 - lambda, of this one: their 0.3 is 0.7 here.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share}, wanted 0 (features alone) to 1 (pixels alone)")
    return share * in_sigma(g) + (1 - share) * in_sigma(c)


# where a score comes from


def residual_maps(images: Images, model) -> np.ndarray:
    """What a model misses of each pixel, squared (n, band, y, x), of which the mean is a galaxy's error."""
    own = images[list(model.bands)]
    return np.square(own.pixels - reconstruct(own, model).pixels)


def residuals(images: Images, model, *, gain: float = 4.0) -> Images:
    """Residual images as a model can learn them: 0.5 and `gain` times what `model` misses, within 0 to 1.

    For the route of Storey-Fisher+2021 (section 5): an autoencoder of residuals parts what kinds of anomalies
    there are, whatever galaxy they are in.
    """
    own = images[list(model.bands)]
    left = own.pixels - reconstruct(own, model).pixels
    return own.with_pixels(np.clip(0.5 + gain * left, 0, 1))


@torch.no_grad()
def misfits(images: Images, gan, *, batch: int = 256, refine: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """G and C (n,) of galaxies: what a WGAN misses in pixels, and in features; see `WGAN.misfit`.

    With `refine`, after so many steps of gradients from where the encoder begins.
    """
    found = []
    for x in gan.tensor(images).split(batch):
        z = gan.refined(x, steps=refine) if refine else gan.encode(x)
        found.append(torch.stack(gan.misfit(x, z)).numpy())
    g, c = np.concatenate(found, axis=1) if found else np.zeros((2, 0), dtype=np.float32)
    return g, c


def pixel_map(model, z: np.ndarray, attribution: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Where in the picture of latents z (d,) the parts of a score that its latents have (d,) are, (y, x).

    Each latent is set to what is `usual` (d,) and the picture decoded again: where that changes it, there
    lies the latent's part. The sum of the map is that of the positive parts.
    """
    parts = np.maximum(np.asarray(attribution, dtype=np.float64), 0)
    moved = np.repeat(np.asarray(z, dtype=np.float32)[None], len(parts) + 1, axis=0)
    np.fill_diagonal(moved[1:], usual)
    pictures = decode(moved, model)
    change = np.abs(pictures[1:] - pictures[0]).mean(axis=1)
    whole = change.sum(axis=(1, 2), keepdims=True)
    return np.einsum("j,jyx->yx", parts, change / np.maximum(whole, 1e-12))


def critic_map(image: Images, gan) -> np.ndarray:
    """How much of C each pixel (y, x) makes, on the straight way from what the generator draws to the galaxy.

    Integrated gradients (Sundararajan+2017) of C, whose sum is what C grows by on that way; parts that make
    C smaller are left out.
    """
    x = gan.tensor(image)[:1]
    with torch.no_grad():
        z = gan.encode(x)
        drawn = gan.decode(z)
    steps = (torch.arange(STEPS, device=x.device) + 0.5).view(-1, 1, 1, 1) / STEPS
    between = (drawn + steps * (x - drawn)).requires_grad_()
    _, features = gan.misfit(between, z.expand(STEPS, -1))
    (slope,) = torch.autograd.grad(features.mean(), between)
    return ((x - drawn)[0] * slope.sum(0)).sum(0).clamp_min(0).cpu().numpy()
