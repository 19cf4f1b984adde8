"""How likely are these galaxies? Densities of latents or of any columns, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature

import numpy as np
import torch

from . import densities, weights
from .densities.base import Density
from .errors import BadInput, one_of

DRAWS = 10_000  # by which a density is compared with itself
LEAST = 1e30  # nats below zero of draws that went astray
TRIES = 100  # rounds of draws in which a region is looked for


def fit(latents, kind: str = "nsf", *, given=None, seed: int = 0, **options) -> Density:
    """A density p(z), or p(z | given), of latents or of any other columns.

    Parameters
    ----------
    latents : Latents or ndarray (n, d)
    kind : str
        "gmm" (its components chosen by BIC), "kde", or a flow: "nice", "realnvp", "nsf", "maf", "arnsf",
        "ffjord", "matching"; see `galnb.densities`.
    given : ndarray (n,) or (n, c), or names of columns of Latents, optional
        What the density is conditional on.
    seed : int
        Same seed, same machine, same density.
    options
        Of the kind's constructor (transforms, hidden, bins, components, ...) and of its learning (steps,
        batch, rate, ...).

    Returns
    -------
    Density
        With `log_prob(z, given)`, in nats, and `sample(n, given, seed=)`. `weights.save` keeps it.

    Raises
    ------
    BadInput
        Where a number is not finite, a column is constant or follows from others, or rows are fewer than
        dimensions.

    Examples
    --------
    >>> z = np.random.default_rng(0).normal(size=(400, 2))
    >>> density = fit(z, "gmm")
    >>> density.sample(3).shape, bool(density.log_prob([[0, 0]]) > density.log_prob([[3, 3]]))
    ((3, 2), True)
    """
    one_of("kind", kind, densities.MEMBERS)
    dim = _shape(latents)
    c = None if given is None else np.asarray(_columns(latents, given))
    member = densities.member(kind)
    building = signature(member).parameters
    learning = {*signature(member.fit).parameters, *signature(member.learn).parameters} - _OWN
    for name in options:
        one_of(f"option of density {kind!r}", name, sorted({*building, *learning} - _OWN - {"dim"}))
    built = {name: value for name, value in options.items() if name in building}
    width = 0 if c is None else 1 if c.ndim == 1 else c.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        density = densities.load(kind, dim=dim, given=width, **built)
    return density.fit(latents, given=c, seed=seed, **{k: v for k, v in options.items() if k not in built})


_OWN = {"self", "z", "c", "given", "seed", "options"}


def _shape(latents) -> int:
    shape = np.shape(latents.z if hasattr(latents, "z") else latents)
    if len(shape) != 2 or not shape[1]:
        raise BadInput("latents", f"they have shape {shape}, wanted (n, d)")
    return shape[1]


def _columns(latents, given):
    """Conditions as they came, or, where they are names, as those columns of `latents`."""
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, list | tuple) else []
    if names and all(isinstance(name, str) for name in names):
        if not hasattr(latents, "z"):
            todo = "hand Latents or a Catalogue, or the columns themselves, (n, c)"
            raise BadInput("given", f"the name {names[0]!r} came, and an array has no names; {todo}")
        return np.stack([np.asarray(latents[name], dtype=np.float64) for name in names], axis=1)
    return given


def rarity(density: Density, latents, given=None, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How unlikely each point (n,) is: the share of what the density draws that is at most as likely.

    Of points from the density itself it is uniform from 0 to 1; 0.001 is one in a thousand. Conditions share
    the draws of an unconditional density; with conditions each point has 200 draws of its own.
    """
    if density.given:
        return beside_own(density, latents, given, _share, seed=seed)
    log_p = density.log_prob(latents, given)
    return shares(weighed_draws(density, draws=draws, seed=seed), log_p)


def _share(own: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    return (own <= log_p[:, None]).mean(1)


def shares(drawn: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """Which share (n,) of `weighed_draws` is at most as likely as points of such log density; NaN stays."""
    return np.where(np.isnan(log_p), np.nan, np.searchsorted(drawn, log_p, side="right") / len(drawn))


def beside_own(
    density: Density, latents, given, ask: Callable, *, each: int = 200, seed: int = 0
) -> np.ndarray:
    """What `ask(own (k, each), log_p (k,))` says of each point (n,) beside draws under its own conditions.

    Both are log densities, of some points at a time, so that memory is bounded; NaN where a point's is.
    """
    log_p, at = density.log_prob(latents, given), 0
    good = np.flatnonzero(~np.isnan(log_p))
    out = np.full(len(log_p), np.nan)
    for own in own_draws(density, np.asarray(given)[good], each=each, seed=seed):
        rows = good[at : at + len(own)]
        out[rows] = ask(own, log_p[rows])
        at += len(own)
    return out


def own_draws(density: Density, given, *, each: int = 200, seed: int = 0) -> Iterator[np.ndarray]:
    """Log density (k, each) of draws under each point's own conditions, some points at a time, in order."""
    left = np.zeros(0)
    for points, conditions in density.draws(each, given, seed=seed):
        left = np.concatenate([left, _tamed(density.log_prob(points, conditions))])
        whole = len(left) // each * each
        yield left[:whole].reshape(-1, each)
        left = left[whole:]


def _tamed(log_p: np.ndarray) -> np.ndarray:
    """Draws that went astray, so that a flow weighs them by NaN, as the least likely ones."""
    return np.nan_to_num(log_p.astype(np.float64), nan=-LEAST, neginf=-LEAST, posinf=LEAST)


def typicality(
    density: Density, latents, given=None, *, usual=None, usual_given=None, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """How far -log p of each point (n,) is from what is typical, in sigma.

    The typical set of a density in many dimensions lies away from its peak, so that what is too likely is as
    suspicious as what is too unlikely: `|-log p(z) - H|` (Nalisnick+2019, equation 4, of one point). H is the
    median, and sigma half of the central 68 %, of -log p of `usual` points (m, dim), best of such as are new
    to it; of its own draws where none are given, which a density that is not quite right takes for real.
    With conditions each point has 200 draws of its own, or `usual` points come with theirs, `usual_given`.
    """
    if density.given and usual is None:
        return np.abs(beside_own(density, latents, given, sigmas, seed=seed))
    drawn = weighed_draws(density, usual, usual_given, draws=draws, seed=seed)
    return np.abs(sigmas(drawn, density.log_prob(latents, given)))


def sigmas(drawn: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """How far log densities (n,) lie above (+) the median of `weighed_draws`, in half their central 68 %.

    Or of draws (n, each) of their own.
    """
    low, middle, high = np.percentile(drawn, [15.85, 50, 84.15], axis=-1)
    return (np.asarray(log_p, dtype=np.float64) - middle) / (0.5 * (high - low))


def weighed_draws(
    density: Density, points=None, given=None, *, draws: int = DRAWS, seed: int = 0
) -> np.ndarray:
    """Log densities, ascending, of draws, or of points (and conditions): what others are compared with."""
    points = density.sample(draws, seed=seed) if points is None else points
    return np.sort(_tamed(density.log_prob(points, given)))


def ratio(density: Density, background: Density, latents, given=None) -> np.ndarray:
    """log p - log p of a background density (n,), which both know what is common to everything (Ren+2019).

    The background knows of the conditions where it was learned with some.
    """
    return density.log_prob(latents, given) - background.log_prob(
        latents, given if background.given else None
    )


def levels(log_p, shares=(0.5, 0.9, 0.99)) -> np.ndarray:
    """Log densities above which `shares` of points lie, from the log density (n,) of draws: contours.

    >>> levels(np.arange(100.0), [0.5, 0.9]).round(1).tolist()
    [49.5, 9.9]
    """
    shares = np.asarray(shares, dtype=np.float64)
    if not ((shares > 0) & (shares < 1)).all():
        raise BadInput("shares", f"{shares.tolist()} came, wanted numbers between 0 and 1")
    return np.quantile(np.asarray(log_p, dtype=np.float64), 1 - shares)


def draw_where(
    density: Density,
    where: Callable[[np.ndarray], np.ndarray],
    n: int,
    *,
    given=None,
    seed: int = 0,
    batch: int = DRAWS,
) -> np.ndarray:
    """Points (n, dim) of the density that lie where `where(points (k, dim)) -> mask (k,)` says: by rejection.

    Under the one condition `given`, numbers (given,), where the density is conditional. Fewer than n come,
    possibly none, where the region is so unlikely that 100 batches do not fill it.
    """
    found, have = [], 0
    for k in range(TRIES):
        points = density.sample(batch, None if given is None else [given], seed=seed + k).reshape(
            -1, density.dim
        )
        found.append(points[np.asarray(where(points), dtype=bool)])
        have += len(found[-1])
        if have >= n:
            break
    return np.concatenate(found)[:n]


def load(name) -> Density:
    """A density of shipped weights, by name, or of a file that `weights.save` wrote.

    Raises BadWeights if the file is damaged, and BadInput if it holds a model of images.
    """
    found = weights.load(name)
    if not isinstance(found, Density):
        raise BadInput(
            name, f"it holds a {type(found).__name__}, wanted a density; load it with weights.load"
        )
    return found
