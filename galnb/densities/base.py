"""The contract of a density: points in, nats out, and points drawn; conditional on other columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import BadInput
from ..family import Configured

BLOCK = 8192  # points at a time
FLAT = 1e-10  # least variance of a direction, of correlated columns of variance one
MOST = 200_000  # points that a density is fitted to, drawn from all by its seed


class Density(Configured, nn.Module):
    """Base of the family: p(z), or p(z | given), in nats.

    Points are centered, and whitened by the Cholesky factor of their covariance, before a member sees them:
    every density is one of the points as they came, with the factor's determinant in it. A member defines

    - `learn(z, c, *, seed, ...)`, of whitened points (n, dim) and conditions (n, given);
    - `weigh(z, c) -> (n,)`, their log density;
    - `draw(c, n, generator) -> (n, dim)`, of conditions (n, given).

    Parameters
    ----------
    dim : int
        Numbers a point.
    given : int
        Numbers a point that the density is conditional on; 0 for none.

    Examples
    --------
    >>> from galnb.densities import GMM
    >>> z = np.random.default_rng(0).normal(size=(500, 2))
    >>> density = GMM(2, components=1).fit(z)
    >>> density.log_prob(np.zeros((1, 2))).round(1)  # of a standard normal: -log 2 pi
    array([-1.8], dtype=float32)
    """

    def __init__(self, dim: int, given: int = 0):
        super().__init__()
        for name, value, least in (("dim", dim, 1), ("given", given, 0)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r}, wanted a whole number of at least {least}")
        self.dim, self.given = dim, given
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("root", torch.eye(dim))  # Cholesky factor of the covariance
        self.register_buffer("given_center", torch.zeros(given))
        self.register_buffer("given_scale", torch.ones(given))

    def fit(self, z, *, given=None, seed: int = 0, **options) -> Density:
        """Learn from points (n, dim) and conditions (n, given); returns itself.

        Points are `Latents`, a `Catalogue` or an array. Of more than 200,000 as many are drawn at random, and
        only these are read; a mixture then streams through all of them.

        Raises
        ------
        BadInput
            Where a number is NaN or infinite, a column is constant or follows from others, points are
            fewer than dimensions, or conditions are missing or too many.
        """
        z, c = self._points(*_some(z, given, seed))
        self._standardise(z, c)
        with torch.random.fork_rng(), torch.enable_grad():
            torch.manual_seed(seed)
            self.learn(*self._white(z, c), seed=seed, **options)
        self.fitted.fill_(True)
        return self.eval()

    @torch.no_grad()
    def log_prob(self, z, given=None) -> np.ndarray:
        """Log density (n,) in nats of points (n, dim); NaN where one of its numbers is not finite."""
        self._demand_fitted()
        z, c = self._checked(z, given)
        volume = float(self.root.diagonal().double().log().sum())
        out = np.full(len(z), np.nan, dtype=np.float64 if self.root.dtype == torch.float64 else np.float32)
        for at in range(0, len(z), BLOCK):
            here = slice(at, at + BLOCK)
            points, conditions = z[here], c[here]
            good = np.isfinite(points).all(axis=1) & np.isfinite(conditions).all(axis=1)
            if not good.all():
                points, conditions = points[good], conditions[good]
            if len(points):
                found = self.weigh(*self._white(points, conditions)) - volume
                out[here][good] = found.cpu().numpy()
        return out

    @torch.no_grad()
    def sample(self, n: int, given=None, *, seed: int = 0) -> np.ndarray:
        """Points (n, dim); of conditions (m, given), n of each, (m, n, dim). One seed, one result."""
        parts = [z for z, _ in self.draws(n, given, seed=seed)]
        z = np.concatenate(parts) if parts else self.root.new_zeros(0, self.dim).cpu().numpy()
        return z.reshape(*((len(given), n) if self.given else (n,)), self.dim)

    @torch.no_grad()
    def draws(self, n: int, given=None, *, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What `sample` draws, and conditions (k, given) of each: at most 8,192 points (k, dim) at a time."""
        self._demand_fitted()
        if not isinstance(n, int | np.integer) or n < 0:
            raise BadInput("n", f"{n!r} came, wanted a whole number of points, 0 or more")
        c = self._finite("given", self._conditions(given, None if self.given else n))
        total, each = (len(c) * n, n) if self.given else (n, 1)
        generator = torch.Generator().manual_seed(seed)
        for at in range(0, total, BLOCK):
            here = c[np.arange(at, min(at + BLOCK, total)) // each]
            white = self.draw(
                (self._tensor(here) - self.given_center) / self.given_scale, len(here), generator
            )
            yield (white @ self.root.T + self.center).cpu().numpy(), here

    def learn(self, z: Tensor, c: Tensor, *, seed: int) -> None:
        raise TypeError(f"{type(self).__name__} does not define learn")

    def blocks(self, z, given=None) -> Iterator[tuple[Tensor, Tensor]]:
        """All points and conditions, whitened, a block of at most 8,192 at a time."""
        at = 0
        for chunk in z.chunks("z") if hasattr(z, "chunks") else [z]:
            for start in range(0, len(chunk), BLOCK):
                points = chunk[start : start + BLOCK]
                conditions = None if given is None else np.asarray(given[at : at + len(points)])
                yield self._white(*self._all_finite(*self._checked(points, conditions)))
                at += len(points)

    def _tensor(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.root)

    def _white(self, z: np.ndarray, c: np.ndarray) -> tuple[Tensor, Tensor]:
        one = torch.eye(self.dim, dtype=torch.float64, device=self.root.device)
        inverse = torch.linalg.solve_triangular(self.root.double(), one, upper=False).to(self.root)
        white = (self._tensor(z) - self.center) @ inverse.T
        return white, (self._tensor(c) - self.given_center) / self.given_scale

    def _standardise(self, z: np.ndarray, c: np.ndarray) -> None:
        spread = self._spread(z, "latents")
        correlated = np.atleast_2d(np.cov((z / spread).T.astype(np.float64)))
        if len(spread) > 1 and np.linalg.eigvalsh(correlated)[0] < FLAT:
            if (kinds := len(np.unique(z, axis=0))) <= self.dim:
                wanted = (
                    f"wanted more than its {self.dim} columns; bring more, or reduce the columns by a PCA"
                )
                raise BadInput("latents", f"only {kinds} of its {len(z)} rows are distinct, {wanted}")
            todo = "leave out those that follow from others, or reduce them by a PCA"
            raise BadInput("latents", f"some of the {self.dim} columns follow from the others; {todo}")
        root = spread[:, None] * np.linalg.cholesky(correlated)
        self.center.copy_(torch.from_numpy(z.mean(0, dtype=np.float64)))
        self.root.copy_(torch.from_numpy(root))
        if self.given:
            self.given_scale.copy_(torch.from_numpy(self._spread(c, "given")))
            self.given_center.copy_(torch.from_numpy(c.mean(0, dtype=np.float64)))

    @staticmethod
    def _spread(x: np.ndarray, name: str) -> np.ndarray:
        spread = x.std(0, dtype=np.float64)
        if (flat := np.flatnonzero(spread <= 1e-7 * np.abs(x).max(0, initial=1e-30))).size:
            value = float(x[0, flat[0]])
            raise BadInput(name, f"column {flat[0]} is constant ({value:g}); leave it out, it has no density")
        return spread

    def _points(self, z, given) -> tuple[np.ndarray, np.ndarray]:
        """Points to learn from, and their conditions, all finite and more than their dimensions."""
        z, c = self._all_finite(*self._checked(z, given))
        if len(z) <= self.dim + self.given:
            wanted = f"{self.dim + self.given} dimensions, wanted more than that, better 20 times as many"
            raise BadInput("latents", f"{len(z)} rows came for {wanted}; reduce the dimensions by a PCA")
        return z, c

    def _all_finite(self, z: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._finite("latents", z), self._finite("given", c)

    @staticmethod
    def _finite(name: str, x: np.ndarray) -> np.ndarray:
        if (bad := np.flatnonzero(~np.isfinite(x).all(axis=1))).size:
            todo = "leave such rows out, x[np.isfinite(x).all(axis=1)]"
            raise BadInput(
                name, f"NaN or infinity in {len(bad)} of {len(x)} rows, first row {bad[0]}; {todo}"
            )
        return x

    @staticmethod
    def _numbers(name: str, x) -> np.ndarray:
        """An array of float64 as it came, and of other numbers as float32."""
        try:
            x = np.asarray(x)
            return x if x.dtype == np.float64 else x.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise BadInput(name, f"{error}; wanted an array of numbers, leave columns of text out") from error

    def _checked(self, z, given) -> tuple[np.ndarray, np.ndarray]:
        z = self._numbers("latents", z.z[:] if hasattr(z, "z") else z)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise BadInput("latents", f"they have shape {z.shape}, wanted (n, {self.dim})")
        return z, self._conditions(given, len(z))

    def _conditions(self, given, n: int | None) -> np.ndarray:
        if not self.given:
            if given is not None:
                raise BadInput("given", "conditions came, this density was learned without; leave them out")
            return np.zeros((n or 0, 0), dtype=np.float32)
        if given is None:
            todo = f"hand them as given=, an array (n, {self.given})"
            raise BadInput(
                "given", f"nothing came, the density is conditional on {self.given} columns; {todo}"
            )
        c = self._numbers("given", given)
        c = c[:, None] if c.ndim == 1 and self.given == 1 else c
        if c.ndim != 2 or c.shape[1] != self.given or (n is not None and len(c) != n):
            rows = "m" if n is None else n
            raise BadInput("given", f"conditions have shape {c.shape}, wanted ({rows}, {self.given})")
        return c

    def _demand_fitted(self) -> None:
        if not self.fitted:
            raise BadInput("the density", "it knows nothing yet; fit it to latents first")


def _some(z, given, seed: int):
    """All of few points, 200,000 of many, and their conditions."""
    if len(z) <= MOST:
        return z, given
    rows = np.sort(np.random.default_rng(seed).choice(len(z), MOST, replace=False))
    return (z.z if hasattr(z, "z") else z)[rows], None if given is None else np.asarray(given)[rows]
