"""A normalising flow as a prior of latents: fitted after training, drawn from, and weighed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS, BATCH, RATE = 2000, 512, 2e-3


class FlowPrior(nn.Module):
    """A density of latents by neural spline coupling (Durkan+2019; zuko's), standard normal before `fit`.

    Parameters
    ----------
    dim : int

    Examples
    --------
    >>> prior = FlowPrior(dim=2)
    >>> round(float(prior.log_prob(torch.zeros(1, 2))), 3)  # of a standard normal: -log 2 pi
    -1.838
    """

    def __init__(self, dim: int):
        super().__init__()
        from zuko.flows import NSF

        self.dim = dim
        # A single coordinate has no other to be coupled with.
        self.flow = NSF(dim, transforms=4, bins=8, hidden_features=(64, 64), passes=2 if dim > 1 else None)
        self.flow.requires_grad_(False)  # it learns in `fit`, not with the network
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("center", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    @torch.enable_grad()
    def fit(self, z: Tensor, *, seed: int = 0, steps: int = STEPS) -> None:
        """Fit to points (n, dim) by maximum likelihood; one seed gives one result."""
        z = z.detach()
        self.center.copy_(z.mean(0))
        self.scale.copy_(z.std(0).clamp_min(1e-6))
        self.fitted.fill_(True)
        points, parameters = (z - self.center) / self.scale, list(self.flow.parameters())
        optimizer = torch.optim.Adam(parameters, lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        rng = torch.Generator().manual_seed(seed)
        self.flow.requires_grad_(True)
        for _ in range(steps):
            rows = torch.randint(len(points), (min(BATCH, len(points)),), generator=rng)
            optimizer.zero_grad()
            (-self.flow().log_prob(points[rows].to(points)).mean()).backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
        self.flow.requires_grad_(False)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density (n,) in nats of points (n, dim)."""
        if not self.fitted:
            return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        return self.flow().log_prob((z - self.center) / self.scale) - self.scale.log().sum()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Points (n, dim)."""
        white = torch.randn(n, self.dim, generator=generator).to(self.center)
        if not self.fitted:
            return white
        return self.flow().transform.inv(white) * self.scale + self.center
