"""The contract of a model: images in, numbers out, and back again as far as it truly can."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..errors import BadInput, BandMismatch, CannotDo
from ..family import Configured
from ..images import Images

ABILITIES = ("encode", "decode", "sample", "log_prob")


class Model(Configured, nn.Module):
    """Base of the family; a member defines `loss` and those abilities that it truly has.

    The constructor's signature *is* the configuration: plain values, each with a default. They are
    kept in `config`, travel with the weights, and build the same model again.

    A member defines

    - `loss(x, y=None) -> dict`: `{"loss": scalar, term: scalar, ...}` of images `x`
      (n, band, size, size), a display stretch in 0 to 1;
    - any of `encode(x) -> (n, latent_dim)`, `decode(z) -> (n, band, size, size)`,
      `sample(n, generator) -> (n, band, size, size)` and `log_prob(x) -> (n,)` in nats.

    One whose training is not one loss and one optimizer overrides `update`; one that wants to see
    the data before the first step, or after the last, overrides `warm_start` or `finish`.

    Examples
    --------
    >>> from galnb.models import AE
    >>> model = AE(size=32, latent_dim=8)
    >>> model.can("encode"), model.can("log_prob"), model.config["latent_dim"]
    (True, False, 8)
    """

    betas = (0.9, 0.99)  # of Adam
    judged = True  # whether its loss on held-out images says which epoch's weights to keep
    views = 4  # times that `finish` sees each galaxy, where training augments: each time another view

    def __init__(self, bands: tuple[str, ...], size: int):
        super().__init__()
        self.bands, self.size = tuple(bands), int(size)

    def loss(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        raise CannotDo(f"{type(self).__name__} does not define a loss")

    def warm_start(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Look at the training images, and their labels (n, ...), before the first step (for a PCA)."""

    def finish(self, batches: Iterable[Tensor], y: Tensor | None = None) -> None:
        """Look at them again, in evaluation mode, after the last step (for a prior of the latents)."""

    def update(self, x: Tensor, y: Tensor | None, optimizer, *, clip: float) -> dict[str, Tensor]:
        """One training step; returns the terms of the loss."""
        terms = self.loss(x, y)
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        nn.utils.clip_grad_norm_(self.parameters(), clip)
        optimizer.step()
        return terms

    def can(self, ability: str) -> bool:
        """Whether the model defines "encode", "decode", "sample" or "log_prob"."""
        if ability not in ABILITIES:
            raise ValueError(f"{ability!r} is no ability; the abilities are {', '.join(ABILITIES)}")
        return callable(getattr(self, ability, None))

    def demand(self, ability: str) -> None:
        """Raise CannotDo, saying what the model can do instead, unless it `can(ability)`."""
        if not self.can(ability):
            able = ", ".join(a for a in ABILITIES if self.can(a)) or "nothing of the kind"
            name = type(self).__name__
            raise CannotDo(f"{name} cannot {ability}; it can {able}: choose another model")

    @property
    def device(self) -> torch.device:
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return torch.device("cpu")

    def tensor(self, images: Images) -> Tensor:
        """Images as this model's input (n, band, size, size), checked.

        Raises
        ------
        BandMismatch
            If a band that the model wants is missing; further bands are left out.
        BadInput
            If the images have another size, or a pixel is NaN or infinite.
        """
        if images.bands != self.bands:
            if set(self.bands) - set(images.bands):
                todo = "name them with images.rename(...) or train a model on these bands"
                raise BandMismatch(images.bands, self.bands, todo)
            images = images[list(self.bands)]
        if images.shape != (self.size, self.size):
            height, width = images.shape
            raise BadInput(
                "Images",
                f"they are {height} x {width} px, the model was made for {self.size} x {self.size}; "
                f"use images.crop({self.size}) or images.resize({self.size})",
            )
        images.demand_finite()
        return torch.from_numpy(images.pixels).to(self.device)
