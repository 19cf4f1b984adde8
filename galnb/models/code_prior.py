"""Which words follow which: a small causal transformer over the words that a galaxy is written in."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import zeroed
from .codebooks import Codebooks

BATCH, RATE = 256, 2e-3  # of what it learns after training


class CodePrior(nn.Module):
    """The probability of a text, one word after another, and texts drawn with it.

    A causal transformer (Vaswani+2017). It knows a word by its vector and its place, so that what it learns
    of one holds for those nearby, and goes on to hold while the dictionaries move.

    Parameters
    ----------
    books : Codebooks
        For its shape only; those of each call are looked into.
    width, layers, heads : int
    dropout : float

    Examples
    --------
    >>> books = Codebooks(length=3, words=4, depth=2)
    >>> prior = CodePrior(books, width=16, layers=1)
    >>> prior.log_prob(torch.tensor([[0, 3, 1]]), books)  # before training all words are alike: -3 log 4
    tensor([-4.1589], grad_fn=<SumBackward1>)
    """

    def __init__(
        self, books: Codebooks, width: int = 96, layers: int = 3, *, heads: int = 4, dropout: float = 0.1
    ):
        super().__init__()
        length, words, depth = books.total.shape
        self.place = nn.Parameter(0.1 * torch.randn(length, 2, width))  # of a word, and of what is asked
        self.word = nn.Linear(depth, width)
        self.meaning = nn.Linear(width, 2 * width)  # of a word as read, and as an answer
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.answer = zeroed(nn.Linear(width, width))
        self.bias = nn.Parameter(torch.zeros(length, words))

    @torch.no_grad()
    def warm_start(self, books: Codebooks) -> None:
        """Begin with the words' frequencies, each place on its own."""
        self.bias.copy_((books.count / books.count.sum(1, keepdim=True)).log())

    @torch.enable_grad()
    def fit(self, tokens: Tensor, books: Codebooks, *, epochs: int, seed: int = 0) -> None:
        """Go on learning from texts (n, length), in words that move no more; one seed gives one result."""
        parameters, batch = list(self.parameters()), min(BATCH, len(tokens))
        steps = math.ceil(epochs * len(tokens) / batch)
        optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        rng = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # of the dropout
            self.train()
            for _ in range(steps):
                rows = torch.randint(len(tokens), (batch,), generator=rng)
                optimizer.zero_grad()
                (-self.log_prob(tokens[rows.to(tokens.device)], books).mean() / tokens.shape[1]).backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                schedule.step()
            self.eval()

    def logits(self, tokens: Tensor, books: Codebooks) -> Tensor:
        """Of each place's words (n, length, words), given those before it in texts (n, length)."""
        read, answers = self._table(books)
        asked, _ = self._read(self._inputs(tokens[:, :-1], read, 0))
        return torch.einsum("nlw,lkw->nlk", asked, answers) + self.bias

    def log_prob(self, tokens: Tensor, books: Codebooks) -> Tensor:
        """Log probability (n,) in nats of texts (n, length)."""
        log_p = torch.log_softmax(self.logits(tokens, books), dim=2)
        return log_p.gather(2, tokens[..., None])[..., 0].sum(1)

    @torch.no_grad()
    def sample(self, n: int, books: Codebooks, generator: torch.Generator | None = None) -> Tensor:
        """Texts (n, length), int64."""
        read, answers = self._table(books)
        tokens, past = torch.zeros(n, 0, dtype=torch.int64, device=self.bias.device), None
        for place in range(len(self.bias)):
            asked, past = self._read(self._inputs(tokens[:, place - 1 :][:, :place], read, place), past)
            share = torch.softmax(asked[:, -1] @ answers[place].T + self.bias[place], dim=1)
            drawn = torch.multinomial(share.cpu(), 1, generator=generator).to(tokens)
            tokens = torch.cat([tokens, drawn], 1)
        return tokens

    def _table(self, books: Codebooks) -> tuple[Tensor, Tensor]:
        """What each word means (length, words, width), as read and as an answer."""
        vectors, share = books.vectors, (books.count / books.count.sum(1, keepdim=True))[..., None]
        apart = vectors - (share * vectors).sum(1, keepdim=True)
        spread = (share * apart.square()).sum(1, keepdim=True).sqrt().clamp_min(1e-6)
        hidden = F.silu(self.word(apart / spread) + self.place[:, :1])
        read, answers = self.meaning(hidden).chunk(2, dim=2)
        return read, answers / answers.shape[2] ** 0.5

    def _inputs(self, before: Tensor, read: Tensor, start: int) -> Tensor:
        """What the transformer reads at places from `start` on: the word before, and the place asked for."""
        first = start - 1 if start else 0
        places = torch.arange(first, first + before.shape[1], device=before.device)
        found = read[places, before]
        if start == 0:
            found = torch.cat([found.new_zeros(len(before), 1, found.shape[2]), found], 1)
        return found + self.place[start : start + found.shape[1], 1]

    def _read(self, h: Tensor, past: list | None = None) -> tuple[Tensor, list]:
        """What is asked of the next word (n, place, width); and keys and values, to go on from."""
        kept = []
        for block, before in zip(self.blocks, past or [None] * len(self.blocks), strict=True):
            h, own = block(h, before)
            kept.append(own)
        return self.answer(self.norm(h)), kept


class _Block(nn.Module):
    """Causal attention and a small network, each added to what it reads."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        n, length, width = h.shape
        parts = self.look(self.first(h)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts  # (n, head, place, width of a head)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        found = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        h = h + self.drop(self.mix(found.transpose(1, 2).reshape(n, length, width)))
        return h + self.think(self.second(h)), (key, value)
