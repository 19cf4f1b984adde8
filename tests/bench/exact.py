"""Whether a flow is what it says it is: its determinant, its inverse, its integral, and its draws."""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
from torch import Tensor

from galnb import densities, density
from galnb.densities.flow import Flow

from .truths import Bent, energy

FLOWS = [name for name in densities.MEMBERS if issubclass(densities.member(name), Flow)]
LEARNING = dict.fromkeys(FLOWS, {"steps": 1000}) | {
    "ffjord": {"steps": 100, "rate": 1e-2},
    "matching": {"steps": 2500, "average": 0.999},
}
TRUTH, WIDTHS = Bent(), {"hidden": (64, 64)}
POINTS, CELLS, DRAWS, TRIALS = 20, 301, 2000, 10


def flow(kind: str, given: int, learned: bool) -> Flow:
    """A small flow of two dimensions, with weights drawn at random or taught by a bent Gaussian."""
    if learned:
        c = TRUTH.conditions(20_000, 0) if given else None
        z = TRUTH.sample(20_000, 0, 1.0 if c is None else c)
        return density.fit(z, kind, given=c, **WIDTHS, **LEARNING[kind])
    torch.manual_seed(0)
    found = densities.load(kind, dim=2, given=given, **WIDTHS).eval()
    found.fitted.fill_(True)
    return found


def bend(found: Flow, points: Tensor):
    """A flow's transformation, under the condition 1 where it has one."""
    return found.flow(points.new_ones(1, 1) if found.given else None).transform


def fine(found: Flow, points: Tensor) -> tuple[float, float]:
    """The largest errors, in float64, of log-determinants, beside autograd's Jacobians, and of inverses."""
    coarse, found.flow = found.flow, copy.deepcopy(found.flow).double()
    if hasattr(found.flow.transform, "atol"):
        found.flow.transform.atol = found.flow.transform.rtol = 1e-10
    transform = bend(found, points)
    claimed = transform.call_and_ladj(points)[1]
    matrices = [torch.autograd.functional.jacobian(lambda x: transform(x[None])[0], z) for z in points]
    wrong = claimed.detach() - torch.linalg.slogdet(torch.stack(matrices))[1]
    back = inverse(found, points)
    found.flow = coarse
    return float(wrong.abs().max()), back


@torch.no_grad()
def inverse(found: Flow, points: Tensor) -> float:
    """The largest difference of points from the inverse images of their images."""
    transform = bend(found, points)
    return float((transform.inv(transform(points)) - points).abs().max())


def plane(found: Flow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The density on a grid about all that is drawn (points,), the points, and the sides of a cell."""
    seen = sample(found, 20_000, 0)
    low, high, margin = seen.min(0), seen.max(0), 0.3 * np.ptp(seen, axis=0)
    x, y = np.linspace(low - margin, high + margin, CELLS).T
    points = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    log_p = found.log_prob(points, np.ones((len(points), 1)) if found.given else None)
    return np.exp(log_p.astype(float)), points, np.array([x[1] - x[0], y[1] - y[0]])


def sample(found: Flow, n: int, seed: int) -> np.ndarray:
    return found.sample(n, [[1.0]], seed=seed)[0] if found.given else found.sample(n, seed=seed)


def apart(one, other, scale: np.ndarray) -> np.ndarray:
    """Energy distances (trial,) of what two functions of a seed draw."""
    return np.array([energy(one(k) / scale, other(TRIALS + k) / scale) for k in range(TRIALS)])


def row(kind: str, given: int, learned: bool) -> str:
    began = time.perf_counter()
    found = flow(kind, given, learned)
    white = torch.from_numpy(np.random.default_rng(0).normal(size=(POINTS, 2)))
    mass, points, cell = plane(found)

    def weighed(seed):
        """Draws from the grid, which know nothing of `sample`."""
        rng = np.random.default_rng(seed)
        rows = rng.choice(len(points), DRAWS, p=mass / mass.sum())
        return points[rows] + cell * (rng.random((DRAWS, 2)) - 0.5)

    drawn = lambda seed: sample(found, DRAWS, seed)  # noqa: E731
    true = lambda seed: TRUTH.sample(DRAWS, seed)  # noqa: E731
    told = []
    for other in (weighed, true)[: 1 + learned]:
        scale = other(0).std(0)
        twins = apart(other, other, scale)
        distance = apart(drawn, other, scale).mean()
        told.append(f"{1e3 * distance:5.1f} ({1e3 * twins.mean():+.1f} ± {1e3 * twins.std():.1f})")
    errors = *fine(found, white), inverse(found, white.float()), abs(mass.sum() * cell.prod() - 1)
    told = [f"{error:.0e}" for error in errors] + (told if learned else [*told, ""])
    return f"{' | '.join(told)} | {time.perf_counter() - began:.0f} s"


def main(kinds=FLOWS) -> None:
    """A row a flow, without conditions and under one, with weights drawn at random and learned."""
    print(
        f"largest errors of {POINTS} log-determinants and inverses (float64), inverses as used (float32), and"
        f" the integral's | 1000 x energy distance of {DRAWS} draws from what is weighed, and from the truth:"
        f" mean of {TRIALS} (of two samples of the same, ± scatter)"
    )
    for kind in kinds:
        for given in (0, 1):
            for learned in (False, True):
                name = f"{kind}{' | c' if given else ''}, {'learned' if learned else 'random'}"
                print(f"  {name:23s} | {row(kind, given, learned)}", flush=True)
