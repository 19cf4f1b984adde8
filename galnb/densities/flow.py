"""What all flows share: zuko's flow between whitened points and a standard normal, learned by likelihood."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .base import Density

LEAST_HELD_OUT, EVERY = 50, 50  # points; steps


class Flow(Density):
    """Base of the flows: a bijection of whitened points to a standard normal, by zuko.

    A member defines `build() -> zuko.flows.Flow`.
    """

    def __init__(self, dim: int, given: int = 0):
        super().__init__(dim, given)
        self.flow = self.build()

    def build(self) -> nn.Module:
        raise TypeError(f"{type(self).__name__} does not define build")

    def loss(self, z: Tensor, c: Tensor) -> Tensor:
        """What training makes small: by default -log p, in nats a point."""
        return -self.weigh(z, c).mean()

    def learn(
        self,
        z: Tensor,
        c: Tensor,
        *,
        seed: int,
        steps: int = 3000,
        batch: int = 512,
        rate: float = 2e-3,
        weight_decay: float = 1e-4,
        average: float = 0.99,
        held_out: float = 0.1,
        progress: bool = False,
        watch: Callable[[Flow, int], None] | None = None,
    ) -> None:
        """Adam with a cosine of learning rates; averaged weights that weigh held-out points best are kept.

        A share `held_out` of the points, where that makes 50, says which; else the last are kept. After each
        step `watch(density, step)` is called, with that step's weights; what it raises ends the learning.
        """
        from tqdm.auto import trange

        rng = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(z), generator=rng)
        held = int(len(order) * held_out)
        held = held if held >= LEAST_HELD_OUT else 0
        judges, points = order[:held], order[held:]
        parameters = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=rate / 50)
        mean, best, least = copy.deepcopy(self.flow), None, math.inf
        self.train()
        for step in trange(1, steps + 1, disable=not progress, unit="step"):
            rows = points[torch.randint(len(points), (min(batch, len(points)),), generator=rng)]
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss(z[rows], c[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            if math.isfinite(float(loss.detach())):
                optimizer.step()
            schedule.step()
            keep = min(average, step / (step + 10))
            for a, b in zip(mean.parameters(), self.flow.parameters(), strict=True):
                a.data.lerp_(b.data, 1 - keep)
            if watch is not None:
                watch(self, step)
            if held and (step % EVERY == 0 or step == steps):
                judged = self._judge(mean, z[judges], c[judges], seed)
                if judged < least:
                    least, best = judged, copy.deepcopy(mean.state_dict())
        self.flow.load_state_dict(best or mean.state_dict())

    def _judge(self, mean: nn.Module, z: Tensor, c: Tensor, seed: int) -> float:
        """The loss of averaged weights on held-out points, with the same random numbers each time."""
        learning, self.flow = self.flow, mean
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            self.eval()
            judged = float(self.loss(z, c))
        self.flow = learning
        self.train()
        return judged

    def weigh(self, z: Tensor, c: Tensor) -> Tensor:
        return self.flow(c if self.given else None).log_prob(z)

    def draw(self, c: Tensor, n: int, generator: torch.Generator) -> Tensor:
        white = torch.randn(n, self.dim, generator=generator, dtype=self.root.dtype).to(self.root)
        return self.flow(c if self.given else None).transform.inv(white)
