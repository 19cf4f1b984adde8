"""What each model and density can truly do, found by running a small one of each."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from . import densities, models
from .densities.flow import Flow
from .errors import one_of
from .train import Settings, fit

WEIGHT_AT = {"mm": 1, "addmm": 2, "convolution": 1, "bmm": 1}  # which argument is a layer's weight
QUICK = {"steps": 3, "batch": 64}
SIZES, DIMS = (28, 44), (3, 6)  # of pictures and of points that are drawn, to see whether the work grows


def table(names=(*models.MEMBERS, *densities.MEMBERS)) -> list[dict]:
    """One dict a model or density, each number of it measured; a minute for all of them.

    - name, class, kind: "model" or "density";
    - trains: whether fitting it to data changed it;
    - exact: whether it has a log likelihood that is the same number each time (a bound by sampling is not);
    - passes: how many times one draw runs through its network, None where it cannot draw;
    - grows: whether that becomes more where points have more dimensions, or pictures more pixels;
    - free: whether its map from noise to data may bend any coordinate by any other, that is, no entry of
      the Jacobian of any of its layers is always zero; None where it has no such map.

    The columns are those in which Grathwohl+2019 (table 1) compare generative models.
    """
    for name in names:
        one_of("name", name, (*models.MEMBERS, *densities.MEMBERS))
    return [_model(name) if name in models.MEMBERS else _density(name) for name in names]


def _model(name: str) -> dict:
    (model, x, changed), (larger, _, _) = (_small_model(name, size) for size in SIZES)
    counts = [passes(m, lambda m=m: m.sample(1, _rng())) for m in (model, larger) if m.can("sample")]
    exact = model.can("log_prob") and _same(lambda: model.log_prob(x[:8]))
    free = None
    if model.can("decode") and model.can("sample"):
        z = torch.randn(model.config["latent_dim"], generator=_rng())
        free = _free(lambda z: model.decode(z[None])[0, 0, 4:8, 4:8].flatten(), z)
    return _row(name, model, "model", changed, exact, counts, free)


def _small_model(name: str, size: int) -> tuple[models.base.Model, Tensor, bool]:
    """A model of blobs, the blobs, and whether it changed by learning them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size - 0.5
    width, place = rng.uniform(0.1, 0.3, (96, 1, 1)), rng.normal(0, 0.05, (2, 96, 1, 1))
    blobs = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * width**2))
    blobs = (blobs + 0.03 * rng.normal(size=blobs.shape))[:, None].astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"latent_dim": 8} if name not in ("pixelcnn", "multiscale") else {"levels": 8}
        model = models.load(name, bands=("r",), size=size, **options)
        before = _state(model)
        fit(model, blobs, settings=Settings(epochs=1, batch=48, warm_up=1), progress=False)
    return model, torch.from_numpy(blobs), _state(model) != before


def _density(name: str) -> dict:
    (density, z, changed), (larger, _, _) = (_small_density(name, dim) for dim in DIMS)
    counts = [passes(d, lambda d=d: d.sample(1)) for d in (density, larger)]
    free = None
    if isinstance(larger, Flow):
        transform = larger.flow().transform
        point = torch.randn(larger.dim, generator=_rng())
        free = all(_free(layer, point) for layer in getattr(transform, "transforms", [transform]))
    exact = _same(lambda: torch.from_numpy(density.log_prob(z)))
    return _row(name, density, "density", changed, exact, counts, free)


def _small_density(name: str, dim: int):
    z = np.random.default_rng(0).normal(size=(120, dim))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        density = densities.load(name, dim=dim)
        before = _state(density)
        density.fit(z, **(QUICK if isinstance(density, Flow) else {}))
    return density, z, _state(density) != before


def _row(name, of, kind, changed, exact, counts, free) -> dict:
    named = {"name": name, "class": type(of).__name__, "kind": kind, "trains": changed, "exact": exact}
    grows = len(counts) == 2 and counts[1] > 1.6 * counts[0]
    return named | {"passes": counts[0] if counts else None, "grows": grows, "free": free}


def passes(of: torch.nn.Module, draw) -> int:
    """How many times the most used weights of a network are multiplied by something in `draw()`."""
    with _Uses(of) as uses, torch.no_grad():
        draw()
    return max(uses.counted.values(), default=1)


class _Uses(TorchDispatchMode):
    """Counts, by its place in memory, how often each weight is used.

    Weights of masked layers are first multiplied by their mask: that counts, as the product is new each time.
    """

    def __init__(self, of: torch.nn.Module):
        super().__init__()
        self.counted = Counter()
        self.own = {_place(p) for p in of.parameters() if p.ndim > 1}
        self.kept = []  # so that no other tensor takes the place of one that is gone

    def __torch_dispatch__(self, operation, types, args=(), options=None):
        name = operation.overloadpacket.__name__
        weights = [args[WEIGHT_AT[name]]] if name in WEIGHT_AT else []
        if name == "mul":
            weights = [a for a in args if isinstance(a, Tensor) and _place(a) in self.own]
        self.kept += weights
        self.counted.update(map(_place, weights))
        return operation(*args, **(options or {}))


def _place(weight: Tensor) -> tuple[int, int]:
    return weight.untyped_storage().data_ptr(), weight.storage_offset()


def _free(layer, point: Tensor) -> bool:
    """Whether no entry of a layer's Jacobian is zero."""
    jacobian = torch.autograd.functional.jacobian(layer, point)
    return bool((jacobian.abs() > 0).all())


def _same(ask) -> bool:
    found = []
    for seed in (0, 1):
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            found.append(ask())
    return torch.equal(*found)


def _state(of: torch.nn.Module) -> bytes:
    return b"".join(value.cpu().numpy().tobytes() for value in of.state_dict().values())


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)
