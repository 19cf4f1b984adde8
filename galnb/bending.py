"""Change of variables in two dimensions: a Gaussian, layers that bend it, and the Jacobian that says how.

A layer moves one coordinate by what the other one is; the next layer moves the other one. Where a small
square of the plane is stretched, its density falls: `log p(x) = log p(u) - log |det dx/du|`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from . import density as densities
from .densities.base import Density
from .errors import BadInput, one_of

TARGETS = ("ring", "moons", "spiral")
KINDS = ("realnvp", "nsf")
HALVINGS = 50  # by which a part of a learned layer is inverted
SMALLEST = 50  # points of a target


@dataclass(frozen=True)
class Coupling:
    """A layer x_b -> x_b exp(s(x_a)) + t(x_a), with s = scale sin(wiggle x_a) and t = shift cos(wiggle x_a).

    Parameters
    ----------
    scale, shift, wiggle : float
    moves : 0 or 1
        Which coordinate is x_b.

    Examples
    --------
    >>> layer = Coupling(scale=0.5, shift=1.0)
    >>> x, log_det = layer.step(np.array([[0.3, -1.0]]))
    >>> bool(np.allclose(layer.inverse(x), [[0.3, -1.0]]))
    True
    """

    scale: float = 0.0
    shift: float = 0.0
    wiggle: float = 1.0
    moves: int = 1

    def step(self, x: np.ndarray, fraction: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Where points (..., 2) go, and the log (...) of the factor by which a small area there grows.

        A fraction of the layer has as much of s and of t.
        """
        s, t = self._terms(x, fraction)
        out = np.array(x, dtype=np.float64)
        out[..., self.moves] = out[..., self.moves] * np.exp(s) + t
        return out, s

    def _terms(self, x: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        angle = self.wiggle * x[..., 1 - self.moves]
        return fraction * self.scale * np.sin(angle), fraction * self.shift * np.cos(angle)

    def inverse(self, x: np.ndarray, fraction: float = 1.0) -> np.ndarray:
        """Where points (..., 2) came from."""
        s, t = self._terms(x, fraction)
        out = np.array(x, dtype=np.float64)
        out[..., self.moves] = (out[..., self.moves] - t) * np.exp(-s)
        return out

    def jacobian(self, x: np.ndarray, fraction: float = 1.0) -> np.ndarray:
        """Derivatives (..., 2, 2), out by in."""
        s, _ = self._terms(x, fraction)
        a, b, angle = 1 - self.moves, self.moves, self.wiggle * x[..., 1 - self.moves]
        ds = fraction * self.scale * self.wiggle * np.cos(angle)
        dt = -fraction * self.shift * self.wiggle * np.sin(angle)
        out = np.zeros((*x.shape[:-1], 2, 2))
        out[..., a, a], out[..., b, b] = 1.0, np.exp(s)
        out[..., b, a] = x[..., b] * np.exp(s) * ds + dt
        return out


class Learned:
    """A layer of a flow that was learned, as `Coupling` is one that was set by hand.

    A fraction of it goes so much of every point's way.
    """

    def __init__(self, back, moves: int):
        self.back, self.moves = back, moves

    @torch.no_grad()
    def _through(self, x: np.ndarray, transform) -> tuple[np.ndarray, np.ndarray]:
        flat = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64).reshape(-1, 2))
        out, log_det = transform.call_and_ladj(flat)
        return out.numpy().reshape(x.shape), log_det.numpy().reshape(x.shape[:-1])

    def step(self, x: np.ndarray, fraction: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        there, log_det = self._through(x, self.back.inv)
        # only one coordinate moves: what a part of the way does to it is that part of its derivative
        return x + fraction * (there - x), np.log1p(fraction * np.expm1(log_det))

    def inverse(self, x: np.ndarray, fraction: float = 1.0) -> np.ndarray:
        whole = self._through(x, self.back)[0]
        if fraction == 1:
            return whole
        low, high = np.minimum(x, whole), np.maximum(x, whole)  # a part moves less than all
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            beyond = self.step(middle, fraction)[0] > x
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return (low + high) / 2

    def jacobian(self, x: np.ndarray, fraction: float = 1.0) -> np.ndarray:
        flat = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64).reshape(-1, 2))
        each = [torch.autograd.functional.jacobian(self.back.inv, point) for point in flat]
        whole = torch.stack(each).numpy().reshape(*x.shape[:-1], 2, 2)
        return np.eye(2) + fraction * (whole - np.eye(2))


class Bend:
    """A Gaussian that layers bend, one after another.

    All that follows takes a `depth`: how many layers, the last of them perhaps in part; all where not given.

    Parameters
    ----------
    layers : sequence of Coupling or Learned

    Examples
    --------
    >>> bend = Bend([Coupling(shift=1.0), Coupling(scale=0.4, moves=0)])
    >>> u = np.array([[0.5, -0.2]])
    >>> x = bend.forward(u)
    >>> bool(np.allclose(np.linalg.det(bend.jacobian(u)), np.exp(bend.log_det(u))))
    True
    >>> bool(np.allclose(bend.log_prob(x), -np.log(2 * np.pi) - (u**2).sum() / 2 - bend.log_det(u)))
    True
    """

    def __init__(self, layers):
        self.layers = tuple(layers)

    def __len__(self) -> int:
        return len(self.layers)

    def _parts(self, depth: float | None):
        depth = len(self) if depth is None else float(depth)
        if not 0 <= depth <= len(self):
            raise ValueError(f"depth={depth:g}, wanted 0 to {len(self)} layers")
        return [(layer, min(depth - k, 1.0)) for k, layer in enumerate(self.layers[: int(np.ceil(depth))])]

    def forward(self, u: np.ndarray, depth: float | None = None) -> np.ndarray:
        """Where points u (..., 2) of the Gaussian go."""
        return self._walk(u, depth)[0]

    def log_det(self, u: np.ndarray, depth: float | None = None) -> np.ndarray:
        """Log (...) of the factor by which a small area at u (..., 2) grows."""
        return self._walk(u, depth)[1]

    def _walk(self, u, depth):
        x = np.asarray(u, dtype=np.float64)
        log_det = np.zeros(x.shape[:-1])
        for layer, fraction in self._parts(depth):
            x, more = layer.step(x, fraction)
            log_det = log_det + more
        return x, log_det

    def inverse(self, x: np.ndarray, depth: float | None = None) -> np.ndarray:
        """Where points x (..., 2) came from."""
        u = np.asarray(x, dtype=np.float64)
        for layer, fraction in reversed(self._parts(depth)):
            u = layer.inverse(u, fraction)
        return u

    def jacobian(self, u: np.ndarray, depth: float | None = None) -> np.ndarray:
        """dx/du (..., 2, 2) at u (..., 2)."""
        x, out = np.asarray(u, dtype=np.float64), np.eye(2)
        for layer, fraction in self._parts(depth):
            out = layer.jacobian(x, fraction) @ out
            x = layer.step(x, fraction)[0]
        return np.broadcast_to(out, (*x.shape[:-1], 2, 2))

    def log_prob(self, x: np.ndarray, depth: float | None = None) -> np.ndarray:
        """Log density (...) in nats of points x (..., 2): that of where they came from, less the log_det."""
        u = self.inverse(x, depth)
        return normal_log_prob(u) - self.log_det(u, depth)


def normal_log_prob(u: np.ndarray) -> np.ndarray:
    """Log density (...) of a standard normal at u (..., 2)."""
    return -np.log(2 * np.pi) - np.square(u).sum(axis=-1) / 2


def mesh(*, cells: int = 48, extent: float = 3.0) -> np.ndarray:
    """Corners (cells + 1, cells + 1, 2) of a square grid about 0."""
    line = np.linspace(-extent, extent, cells + 1)
    return np.stack(np.meshgrid(line, line), axis=-1)


def square(center, side: float = 0.3, *, each: int = 8) -> np.ndarray:
    """The outline (4 each, 2) of a small square."""
    way = np.arange(each) / each - 0.5
    half = np.full(each, 0.5)
    edges = [(way, -half), (half, way), (-way, half), (-half, -way)]
    return np.asarray(center) + side * np.concatenate([np.stack(edge, axis=1) for edge in edges])


def area(outline: np.ndarray) -> float:
    """The area inside an outline (k, 2), by the shoelace formula.

    >>> round(area(square([5, 1], 0.5)), 6)
    0.25
    """
    x, y = np.asarray(outline, dtype=np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


# what it is to become


def target(name: str = "moons", n: int = 2000, *, seed: int = 0) -> np.ndarray:
    """Points (n, 2) of a "ring", two "moons" or a "spiral", of mean 0 and of covariance 1."""
    one_of("target", name, TARGETS)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 2))
    if name == "ring":
        angle = rng.uniform(0, 2 * np.pi, n)
        points = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.12 * noise
    elif name == "moons":
        angle, lower = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
        x, y = np.cos(angle), np.sin(angle)
        points = np.stack([np.where(lower, 1 - x, x), np.where(lower, 0.4 - y, y)], 1) + 0.1 * noise
    else:
        way = np.sqrt(rng.random(n))
        turn = 3 * np.pi * way
        points = np.stack([way * np.cos(turn), way * np.sin(turn)], 1) + 0.04 * noise
    return white(points)


def white(points) -> np.ndarray:
    """Points (n, 2) shifted, turned and scaled to mean 0 and covariance 1; rows with NaN are left out."""
    points = np.asarray(points, dtype=np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < SMALLEST:
        raise BadInput("the target", f"{points.shape} finite points came, wanted (n, 2) with n >= {SMALLEST}")
    centered = points - points.mean(axis=0)
    covariance = np.cov(centered.T)
    if np.linalg.eigvalsh(covariance)[0] < 1e-10 * covariance.trace():
        raise BadInput("the target", "its points lie on a line; choose two other columns")
    return np.linalg.solve(np.linalg.cholesky(covariance), centered.T).T


def learn(
    points: np.ndarray,
    kind: str = "realnvp",
    *,
    layers: int = 4,
    steps: int = 1000,
    seed: int = 0,
    watch: Callable[[Density, int], None] | None = None,
) -> Bend:
    """The layers of a small flow, learned by the likelihood of points (n, 2), as `white` gives them.

    Parameters
    ----------
    kind : "realnvp" or "nsf"
    watch : callable, optional
        Called after each step with the flow, of which `layers_of` makes a Bend, and the step; what it raises
        ends the learning.

    Examples
    --------
    >>> points = target("moons", 300)
    >>> bend = learn(points, layers=2, steps=60)
    >>> bool(bend.log_prob(points).mean() > Bend([]).log_prob(points).mean())
    True
    """
    one_of("kind", kind, KINDS)
    options = {"transforms": layers, "hidden": (32, 32), "steps": steps, "batch": 256, "rate": 5e-3}
    return layers_of(densities.fit(points, kind, seed=seed, held_out=0.0, watch=watch, **options))


def layers_of(flow: Density) -> Bend:
    """The layers of a coupling flow in two dimensions, from its Gaussian to whitened data."""
    frozen = copy.deepcopy(flow.flow).double().eval().requires_grad_(False)
    # each coupling's mask is 1 where a coordinate stays
    masks = [int(layer.mask.int().argmin()) for layer in frozen.transform.transforms]
    transforms = frozen(None).transform.transforms
    pairs = list(zip(transforms, masks, strict=True))
    return Bend(Learned(transform, moves) for transform, moves in reversed(pairs))


def figure(bend: Bend, depth: float | None = None, points=None, *, seed: int = 0):
    """The grid and a cloud before and after, as a Figure: cells are colored by `log |det J|`."""
    from matplotlib.figure import Figure

    corners = mesh(cells=36)
    middles = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    cloud = np.random.default_rng(seed).normal(size=(600, 2))
    log_det = bend.log_det(middles, depth)
    most = max(float(np.percentile(np.abs(log_det), 98)), 0.5)
    drawn = Figure(figsize=(9, 4.2), layout="constrained")
    both = drawn.subplots(1, 2)
    for axis, through, title in (
        (both[0], lambda u: u, "Gaussian, u"),
        (both[1], lambda u: bend.forward(u, depth), "bent, x"),
    ):
        at, dots = through(corners), through(cloud)
        cells = axis.pcolormesh(at[..., 0], at[..., 1], log_det, cmap="PuOr_r", vmin=-most, vmax=most)
        axis.plot(*dots.T, ".", ms=2.5, color="black")
        axis.set(title=title, aspect="equal", xlim=(-4, 4), ylim=(-4, 4))
    if points is not None:
        both[1].plot(*np.asarray(points)[:600].T, ".", ms=1.5, color="tab:green", zorder=1.5)
    drawn.colorbar(cells, ax=both, label="log |det J|: squeezed < 0 < stretched")
    return drawn
