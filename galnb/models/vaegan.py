"""A variational autoencoder whose pictures a critic sharpens, and whose style an adversary keeps clean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conditioned import DEFAULT
from .critic import Critic
from .cvae import CVAE
from .vae import frozen

STEPS = 0.01  # weight of what the adversaries learn by: beside the rest it must not fill the clipped gradient


class VAEGAN(CVAE):
    """A conditional variational autoencoder that learns to draw what a critic takes for real.

    The evidence bound forgives a picture that is too smooth, the critic does not (Larsen+2016; for galaxies
    Ravanbakhsh+2016): it sees real galaxies with their conditions, and drawn ones with those that were asked
    for, noise included, and the decoder learns to pass. As an option a second adversary guesses conditions
    from the style, and the encoder learns to leave them out (Lample+2017, "Fader networks"; for galaxies
    Schawinski, Turp & Zhang 2018): what is changed is then told in one place alone.

    Parameters
    ----------
    bands, size, latent_dim, widths, conditions, beta, likelihood, noise, free_bits, anneal, control
        As of `CVAE`.
    sharpness : float
        Weight of the critic's verdict on what is drawn.
    hide : float
        Weight of hiding the conditions from the adversary that guesses them; 0 for none. Small, such as 0.02:
        the encoder must not run from the adversary faster than that can follow.

    Notes
    -----
    While training only. In evaluation the loss is the CVAE's, so that epochs are judged by the bound.

    Examples
    --------
    >>> model = VAEGAN(("r",), 28, 8, (16, 16, 16), conditions=("flux", "area"))
    >>> model.sample(2, torch.Generator().manual_seed(0), y={"flux": 2.0}).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        bands: tuple[str, ...] = ("i", "r", "g"),
        size: int = 64,
        latent_dim: int = 32,
        widths: tuple[int, ...] = (48, 80, 96),
        conditions: tuple[str, ...] = DEFAULT,
        beta: float = 1.0,
        likelihood: str = "gaussian",
        noise: str = "each",
        free_bits: float = 0.0,
        anneal: int = 0,
        control: float = 0.3,
        sharpness: float = 0.02,
        hide: float = 0.0,
    ):
        super().__init__(
            bands, size, latent_dim, widths, conditions, beta, likelihood, noise, free_bits, anneal, control
        )
        k = len(self.codes)
        self.sharpness, self.hide = sharpness, hide
        self.critic = Critic(len(self.bands), size, k)
        self.guess = nn.Sequential(nn.Linear(self.style, 64), nn.SiLU(), nn.Linear(64, k)) if hide else None

    def _lessons(self, x: Tensor, z: Tensor, codes: Tensor) -> dict[str, Tensor]:
        drawn, asked = self._swapped(z.detach(), codes)
        terms = {"control": self.control * self._miss(drawn, asked)}
        with frozen(*self.critic.parameters()):
            terms["unlike"] = -self.sharpness * self.critic(drawn, asked).mean()
        terms["critic"] = STEPS * self.critic.judge(x, drawn, codes, asked)
        if self.guess is not None:
            terms["guess"] = STEPS * (self.guess(z.detach()) - codes).square().mean()
            with frozen(*self.guess.parameters()):
                wrong = (self.guess(z) - codes).square().mean()  # 1 where nothing is known of them
            terms["told"] = self.hide * torch.relu(1 - wrong)
        return terms

    def warm_start(self, batches, y: Tensor | None = None) -> None:
        super().warm_start(batches, y)
        self.critic.shapes.load_state_dict(self.gauge.shapes.state_dict())
