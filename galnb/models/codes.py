"""Physical conditions as the numbers that a network sees, and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..conditions import CONDITIONS, POSITIVE
from ..errors import BadInput, one_of


class Codes(nn.Module):
    """Named conditions (n, k) to standardised codes (n, k), and back; NaN stays NaN.

    Flux, radius and area enter by their logarithm. Ellipticity and position angle become the two
    components e cos 2a and e sin 2a: a round galaxy has no angle, and 0 and 180 degrees are the same.

    Parameters
    ----------
    names : tuple of str
        Of `conditions.CONDITIONS`, each once; position_angle only with ellipticity.

    Attributes
    ----------
    low, high : Tensor (k,)
        The range of the training galaxies: their 0.5 and 99.5 % quantiles, in the conditions' units.
    """

    def __init__(self, names: tuple[str, ...]):
        super().__init__()
        self.names, k = tuple(names), len(names)
        for name in self.names:
            one_of("condition", name, CONDITIONS)
        if len(set(self.names)) != k:
            raise ValueError(f"conditions={self.names}, wanted each once")
        if "position_angle" in self.names and "ellipticity" not in self.names:
            raise ValueError("position_angle without ellipticity, wanted both: a round galaxy has no angle")
        self.log = [name in POSITIVE for name in self.names]
        turns = "position_angle" in self.names
        self.spin = tuple(map(self.names.index, ("ellipticity", "position_angle"))) if turns else None
        for name, value in (("center", 0.0), ("spread", 1.0), ("low", 0.0), ("high", 1.0)):
            self.register_buffer(name, torch.full((k,), value))

    def __len__(self) -> int:
        return len(self.names)

    @torch.no_grad()
    def fit(self, y: Tensor) -> None:
        """Take center, spread and range from the conditions (n, k) of training galaxies."""
        known = y[torch.isfinite(y).all(1)].float()
        if len(known) < 2:
            raise BadInput("conditions", f"{len(known)} galaxies have them all, wanted at least 2")
        self.center.zero_()
        self.spread.fill_(1)
        codes = self(known)
        center, spread = codes.mean(0), codes.std(0).clamp_min(1e-6)
        if self.spin:  # all directions are alike
            pair = list(self.spin)
            center[pair], spread[pair] = 0.0, codes[:, pair].square().mean().sqrt().clamp_min(1e-6)
        self.center.copy_(center)
        self.spread.copy_(spread)
        low, high = torch.quantile(known, torch.tensor([0.005, 0.995]).to(known), dim=0)
        if self.spin:
            low[self.spin[1]], high[self.spin[1]] = 0.0, 180.0
        self.low.copy_(low)
        self.high.copy_(high)

    def forward(self, y: Tensor) -> Tensor:
        """Codes (n, k) of conditions (n, k)."""
        pairs = zip(y.T, self.log, strict=True)
        columns = [value.clamp_min(1e-6).log() if log else value for value, log in pairs]
        if self.spin:
            e, angle = (y[:, at] for at in self.spin)
            twice = torch.deg2rad(2 * angle)
            columns[self.spin[0]], columns[self.spin[1]] = e * torch.cos(twice), e * torch.sin(twice)
        return (torch.stack(columns, dim=1) - self.center) / self.spread

    def back(self, codes: Tensor) -> Tensor:
        """Conditions (n, k) of codes (n, k); angles in [0, 180) degrees."""
        raw = codes * self.spread + self.center
        columns = [value.exp() if log else value for value, log in zip(raw.T, self.log, strict=True)]
        if self.spin:
            u, v = (raw[:, at] for at in self.spin)
            columns[self.spin[0]] = torch.hypot(u, v)
            columns[self.spin[1]] = torch.rad2deg(0.5 * torch.atan2(v, u)) % 180
        return torch.stack(columns, dim=1)

    def angled(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Conditions (n, k) where an ellipticity without an angle has got one by chance."""
        if not self.spin:
            return y
        (e, at), y = self.spin, y.clone()
        angle = 180 * torch.rand(len(y), generator=generator).to(y)
        y[:, at] = torch.where(torch.isnan(y[:, at]) & torch.isfinite(y[:, e]), angle, y[:, at])
        return y

    def halved(self, y: Tensor) -> Tensor:
        """Where (n, k), in ellipticity and position angle, one of the two is known and the other is not."""
        half = torch.zeros_like(y, dtype=torch.bool)
        if self.spin:
            pair = list(self.spin)
            half[:, pair] = (torch.isnan(y[:, pair]).sum(1, keepdim=True) == 1).expand(-1, 2)
        return half

    def outside(self, y: Tensor) -> Tensor:
        """How far (n, k) each condition lies beyond the training range, as a share of its width; else 0."""
        width = self.high - self.low
        return (torch.relu(self.low - y) + torch.relu(y - self.high)) / width

    def checked(self, y, n: int) -> Tensor:
        """Conditions as (n, k) float32: of one row for all, or of n; NaN where left open.

        Raises
        ------
        BadInput
            For another shape, an infinite number, or a name that the model does not know.
        """
        if isinstance(y, dict):
            for name, value in y.items():
                if name not in self.names:
                    known = ", ".join(self.names)
                    raise BadInput(f"condition {name!r}", f"the model does not know it; it knows {known}")
                if not torch.isfinite(torch.as_tensor(value)).all():
                    reason = f"{value} came, wanted a finite number; or leave it out"
                    raise BadInput(f"condition {name!r}", reason)
            columns = [torch.as_tensor(y.get(name, torch.nan), dtype=torch.float32) for name in self.names]
            y = torch.stack([column.broadcast_to((n,)) for column in columns], dim=1)
        y = torch.as_tensor(y, dtype=torch.float32).to(self.center)
        if y.shape[-1] != len(self) or y.ndim > 2 or y.ndim == 2 and len(y) not in (1, n):
            wanted = f"({n}, {len(self)}): {', '.join(self.names)}"
            raise BadInput("conditions", f"they have shape {tuple(y.shape)}, wanted {wanted}")
        if torch.isinf(y).any():
            raise BadInput("conditions", "an infinite number came, wanted finite ones; or NaN, left open")
        return y.broadcast_to((n, len(self)))
