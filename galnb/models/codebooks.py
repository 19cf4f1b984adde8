"""Dictionaries of vectors that follow what is written with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BadInput

IDLE = 0.03  # share of the fair use below which a word is given a new place


class Codebooks(nn.Module):
    """One dictionary of vectors for each place of a text: nearest words, and their running means.

    Parameters
    ----------
    length : int
        Places of a text, each with a dictionary of its own.
    words : int
        Vectors in each dictionary.
    depth : int
        Numbers of each vector.
    decay : float
        Of the running sums, 0 to below 1 (gamma of van den Oord+2017, appendix A.1).

    Notes
    -----
    A word is where the encodings were, in the mean, that it was chosen for; it learns by no gradient. Its
    running count and sum are kept and not their ratio, so that an average of weights over many steps is an
    average over the galaxies of those steps. A word that is hardly chosen moves to a random encoding.

    Examples
    --------
    >>> books = Codebooks(length=2, words=3, depth=1)
    >>> books.fit(torch.tensor([[[0.0], [5.0]], [[1.0], [5.5]], [[2.0], [9.0]]]))
    >>> tokens = books.nearest(torch.tensor([[[1.9], [6.0]]]))
    >>> books.look_up(tokens)
    tensor([[[2.0000],
             [5.5000]]])
    """

    def __init__(self, length: int, words: int, depth: int, decay: float = 0.99):
        super().__init__()
        if words < 2:
            raise ValueError(f"words={words}, wanted at least 2 to choose from")
        if not 0 <= decay < 1:
            raise ValueError(f"decay={decay}, wanted 0 to below 1")
        self.decay = decay
        self.register_buffer("count", torch.ones(length, words))
        self.register_buffer("total", torch.randn(length, words, depth))

    @property
    def vectors(self) -> Tensor:
        """(length, words, depth)."""
        return self.total / self.count[..., None]

    @property
    def perplexity(self) -> Tensor:
        """How many words are in use, mean over places: the exponential of the entropy of their counts."""
        share = self.count / self.count.sum(1, keepdim=True)
        return torch.special.entr(share).sum(1).exp().mean()

    def nearest(self, z: Tensor) -> Tensor:
        """The words (n, length), as int64, that are nearest to encodings (n, length, depth)."""
        mode = "donot_use_mm_for_euclid_dist"  # else rounding decides between close words
        return torch.cdist(z.transpose(0, 1).contiguous(), self.vectors, compute_mode=mode).argmin(2).T

    def look_up(self, tokens: Tensor) -> Tensor:
        """The vectors (n, length, depth) of words (n, length)."""
        return self.vectors[torch.arange(len(self.count), device=tokens.device), tokens]

    def checked(self, tokens) -> Tensor:
        """Words as int64 (n, length). Raises BadInput for another shape, or a word in no dictionary."""
        tokens, (length, words) = torch.as_tensor(tokens), self.count.shape
        if tokens.ndim != 2 or tokens.shape[1] != length:
            raise BadInput("words", f"they have shape {tuple(tokens.shape)}, wanted (n, {length})")
        if tokens.is_floating_point() or len(tokens) and not 0 <= tokens.min() <= tokens.max() < words:
            raise BadInput("words", f"wanted whole numbers from 0 to {words - 1}, as `tokens` gives them")
        return tokens.long().to(self.count.device)

    @torch.no_grad()
    def fit(self, z: Tensor, *, seed: int = 0) -> None:
        """Begin at the k-means of encodings (n, length, depth), or at all of them if they are few."""
        from sklearn.cluster import KMeans

        words = self.count.shape[1]
        for place in range(len(self.count)):
            points = z[:, place].cpu().double().numpy()
            k = min(words, len(torch.unique(z[:, place], dim=0)))
            centers = KMeans(k, n_init=1, max_iter=30, random_state=seed).fit(points).cluster_centers_
            self.total[place] = torch.from_numpy(centers).to(self.total)[torch.arange(words) % k]
        self.count.fill_(1)
        own = F.one_hot(self.nearest(z), words).float().mean(0) * words
        self.count.copy_(own.clamp_min(IDLE))
        self.total.mul_(self.count[..., None])

    @torch.no_grad()
    def follow(self, z: Tensor, tokens: Tensor) -> None:
        """Move words towards the encodings that chose them, by equations 6 to 8 of van den Oord+2017."""
        words = self.count.shape[1]
        chosen = F.one_hot(tokens, words) * (words / len(z))  # a word's fair use is 1
        self.count.lerp_(chosen.sum(0), 1 - self.decay)
        self.total.lerp_(torch.einsum("nlk,nld->lkd", chosen, z), 1 - self.decay)
        pick = torch.randint(len(z), self.count.shape, device=z.device)
        found = z[pick, torch.arange(len(self.count), device=z.device)[:, None]]
        idle = self.count < IDLE
        self.total.copy_(torch.where(idle[..., None], found, self.total))
        self.count.masked_fill_(idle, 1.0)
