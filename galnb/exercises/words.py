"""Exercises of notebook 08, Galaxies in words."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import alike, array, close, number, survey


@exercise(
    "08.1",
    "a function: nearest_words(pairs, words) -> whole numbers (n,)",
    "distances of all pairs (n, 2) from all words (k, 2) are an array (n, k), such as scipy's cdist makes.",
    "the place of the least in each row is the word: .argmin(axis=1).",
    why="To write a vector down as a word is to look for the nearest one; there is no more to it.",
)
def nearest_words(answer):
    rng = np.random.default_rng(0)
    pairs, words = rng.normal(size=(200, 2)), rng.normal(size=(32, 2))
    apart = np.linalg.norm(pairs[:, None] - words, axis=2)
    found = array(answer(pairs, words))
    if found.shape == (200,) and (found == apart.argmin(1)).all():
        return True
    if found.shape == (32,) and (found == apart.argmin(0)).all():
        return "this is the nearest pair of each word, wanted the nearest word of each pair."
    if found.shape == (200,) and (found == apart.argmax(1)).all():
        return "these are the words that are farthest away."
    if found.shape == (200, 2) and alike(found, words[apart.argmin(1)]):
        return "these are the words' vectors, wanted their places in the dictionary."
    return False


@cache
def unseen():
    """The galaxies on which dictionaries are judged, and the error of 8 dictionaries of 4 words there."""
    import torch

    from ..models import VQVAE

    images = survey().images
    x = torch.from_numpy(images.pixels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VQVAE(images.bands, images.shape[0], 16, (24, 32, 48), depth=2, words=4)
        model.warm_start([x[::2]])
    return x[1::2], _error(model.eval(), x[1::2])


def _error(model, x) -> float:
    import torch

    with torch.no_grad():
        return float((x - model.decode(model.encode(x))).square().mean())


@exercise(
    "08.2",
    "a VQVAE, such as with_words(...) makes",
    "16 bits are 8 dictionaries of 4 words, or 16 of 2: `depth` is of how many numbers a word is made.",
    "words for more numbers at once: fewer dictionaries, of more words each, until bits are 16 again.",
    why="Words for more numbers at once do better with the same bits; but one dictionary for all sixteen "
    "would have 65,536 words, more than there are galaxies to learn them from.",
)
def sixteen_bits(answer):
    bits = float(answer.bits)
    if not 0 < bits <= 16.01:
        return f"it takes {bits:.1f} bits a galaxy, wanted 16 at most."
    x, eight = unseen()
    return _error(answer, x) < 0.95 * eight


def _entropies(tokens: np.ndarray) -> np.ndarray:
    """Bits (length,) of the words at each place, when it is known how often each is used there."""
    found = []
    for column in tokens.T:
        _, count = np.unique(column, return_counts=True)
        share = count / count.sum()
        found.append(-(share * np.log2(share)).sum())
    return np.array(found)


@exercise(
    "08.3",
    "a function: used_bits(tokens) -> bits a galaxy",
    "a word that makes up the share p of all words at its place takes -log2(p) bits there (Shannon 1948).",
    "the mean of that over galaxies, at one place, is -sum(p * log2(p)); places add up.",
    why="What is left between this and the transformer's number is what words know of each other.",
)
def used_bits(answer):
    import torch

    rng = np.random.default_rng(0)
    for length, words in ((8, 64), (3, 10)):
        tokens = np.minimum(rng.geometric(0.1, (400, length)) - 1, words - 1)
        each = _entropies(tokens)
        found, truth = number(_plain(answer(torch.from_numpy(tokens)))), each.sum()
        if close(found, truth):
            continue
        if close(found, truth * np.log(2)):
            return "this is in nats, wanted bits."
        if close(found, truth * np.log10(2)):
            return "these are decimal digits, wanted bits: log2."
        if close(found, -truth):
            return "this is negative: a share is less than 1, and its logarithm below 0."
        if close(found, each.mean()):
            return "this is for one word, wanted for all words of a galaxy."
        if close(found, length * np.log2(words)):
            return "this is as if all words were used equally often."
        if close(found, _entropies(tokens.reshape(-1, 1)).sum() * length):
            return "each place has a dictionary of its own: count the words of each place apart."
        if close(found, np.log2(len(tokens))):
            return "this is of whole texts, of which each galaxy has its own."
        return False
    return True


def _plain(value):
    """A number, also out of a tensor."""
    return value.item() if hasattr(value, "item") else value


@cache
def sloan():
    """The dictionaries of SDSS galaxies, and the least bits of a thousand texts that their prior writes."""
    import torch

    from .. import weights

    model = weights.load("vqvae-sdss")
    texts = model.prior.sample(1000, model.books, torch.Generator().manual_seed(0))
    return model, float(model.text_bits(texts).min())


@exercise(
    "08.4",
    "a text: 18 whole numbers from 0 to 255",
    "words that are frequent do not do, each for itself: take the first, then what most likely follows it.",
    "sloan.prior.logits(tokens, sloan.books)[:, k] are the logits (n, 256) of word k given those before it, "
    "for tokens (n, 18) of which those from k on do not matter.",
    why="The most probable text is no typical one: it is drawn round and smooth, no arms, no neighbors.",
)
def fewest_bits(answer):
    model, least = sloan()
    text = array(list(answer) if isinstance(answer, bytes) else answer)
    text = text.reshape(1, -1) if text.ndim == 1 else text
    if text.shape != (1, 18) or (text % 1).any() or text.min() < 0 or text.max() > 255:
        return "this is no text of 18 words: wanted so many whole numbers from 0 to 255."
    bits = float(model.text_bits(text.astype(np.int64))[0])
    if bits > model.bits:
        return f"it takes {bits:.0f} bits, more than {model.bits:.0f}, those of words chosen without looking."
    return bits < least
