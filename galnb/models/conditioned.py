"""What variational autoencoders that know physical conditions share: how they are fitted last, and asked."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ..augment import dihedral
from .vae import VAE

DEFAULT = ("flux", "area", "concentration", "ellipticity", "position_angle", "color")
VIEWS = 4  # times that each galaxy is seen, turned at random, by what is fitted after training


class Conditioned(VAE):
    """Base of those with `codes`, and a `prior` of style and codes together.

    A member defines `_placed(x, y) -> (n, style + code)`, a draw of both for images and their labels.
    """

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Measure the noise's texture, and fit one mixture to style and codes of the training galaxies."""
        self.texture.fit(self._residual(x) for x in batches)
        drawn = []
        for view in range(VIEWS):
            rng, start = np.random.default_rng(view), 0
            for x in batches:
                part = None if y is None else y[start : start + len(x)].to(x).clone()
                turns = part is not None and self.codes.spin is not None
                x = dihedral(x, rng, part[:, self.codes.spin[1]] if turns else None)
                drawn.append(self._placed(x, part))
                start += len(x)
        self.prior.fit(torch.cat(drawn))

    def sample(
        self, n: int, generator: torch.Generator | None = None, *, y=None, noise: bool = True
    ) -> Tensor:
        """Galaxies that do not exist (n, band, size, size), with the conditions `y` that are asked for.

        Parameters
        ----------
        n : int
        generator : torch.Generator, optional
        y : dict of name to number or (n,), or (k,) or (n, k) in the order of `conditions`, optional
            What is left out, or NaN, is drawn as it goes with what is given.
        noise : bool
            Whether pixel noise is drawn too.

        Raises
        ------
        BadInput
            For a condition that the model does not know, or one that is not a number.
        """
        return self.imagine(self.draw(n, generator, y=y), generator, noise=noise)

    def draw(self, n: int, generator: torch.Generator | None = None, *, y=None) -> Tensor:
        """Latents (n, latent_dim) with the conditions `y`, as of `sample`."""
        known = torch.full((n, self.style + len(self.codes)), torch.nan, device=self.mean.device)
        if y is not None:
            known[:, self.style :] = self.codes(self.codes.angled(self.codes.checked(y, n), generator))
        return self.prior.given(known, generator)[:, : self.config["latent_dim"]]
