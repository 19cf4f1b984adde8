"""Exercises of notebook 06, PixelCNN: simulations against observations."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import close, number, pictures


@cache
def network():
    """The network of SDSS galaxies."""
    from .. import weights

    return weights.load("pixelcnn32-sdss")


@cache
def known():
    """The numbers of galaxies that were seen beforehand."""
    from .. import Comparison, weights

    return Comparison.read(weights.ASSETS / "sdss-likelihoods.parquet")


@exercise(
    "06.1",
    "a picture: pixels (3, 32, 32) from 0 to 1",
    "log p is a sum over pixels: when is the next pixel easy to foretell, given all before it?",
    "noise cannot be foretold, so each noisy pixel costs nats; make a picture that has none.",
    why="The most probable picture is no galaxy: galaxies are usual since there are many, each improbable.",
)
def most_probable(answer):
    import torch

    picture = pictures(answer, 3, 32, 32)
    if len(picture) != 1:
        return f"these are {len(picture)} pictures, wanted one."
    if not (0 <= picture.min() and picture.max() <= 1):
        return f"its pixels go from {picture.min():.3g} to {picture.max():.3g}, wanted 0 to 1."
    with torch.inference_mode():
        log_p = float(network().log_prob(torch.from_numpy(picture).float()))
    return bool(log_p > known().values("SDSS", "log_p").max())


class Straight:
    """Stands in for a network: each pixel is expected to be as others are, by weights in raster order."""

    def __init__(self, size: int, places: tuple[int, ...]):
        self.size, self.places = size, places

    def log_prob_map(self, x):
        import torch

        levels = torch.round(x * 255) / 255
        flat = levels.flatten(2)
        usual = torch.zeros_like(flat)
        for place in self.places:  # so many pixels later; negative: before
            usual = usual + torch.roll(flat, -place, dims=2) / len(self.places)
        usual = usual if self.places else flat.mean(1, keepdim=True)
        return -50 * (flat - usual).square().view_as(x) - 1


@exercise(
    "06.2",
    "a function: peeks(model, x, row, column) -> bool",
    "change the pixel in a copy of x, by many levels, and ask for both maps: where do they differ?",
    "before (row, column) are all rows above, and of its row what is on the left: there nothing may change.",
    why="That no pixel knows what comes after it is what makes the product of their chances a probability.",
)
def peeks(answer):
    import torch

    size, rng = 8, torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, size, size, generator=rng)
    honest = {"back": (-1,), "above": (-size, -1), "own": ()}
    for places in honest.values():
        if answer(Straight(size, places), x.clone(), 4, 3):
            return "it accuses a network that is honest: at the pixel itself, and after it, log p may change."
    for places, where in (
        ((1,), "the next pixel on the right"),
        ((size,), "the pixel below"),
        ((size - 2,), "a pixel one row below and two to the left"),
    ):
        if not answer(Straight(size, places), x.clone(), 4, 3):
            return f"it trusts a network that looks at {where}, which comes after."
    return True


@exercise(
    "06.3",
    "a share, from 0 to 1",
    "known.values(name, 'log_p') has the numbers of a set; np.quantile(..., 0.05) is where a twentieth ends.",
    "the mean of `values < limit` is a share: the limit is that of one set, the values are those of another.",
    why="Whoever takes improbable for unreal throws real galaxies away, because of how pictures were made.",
)
def thrown_away(answer):
    limit = np.quantile(known().values("SDSS", "log_p"), 0.05)
    lost = lambda name: (known().values(name, "log_p") < limit).mean()  # noqa: E731
    truth = lost("SDSS, other pictures")
    if close(answer, truth):
        return True
    if close(answer, 100 * truth):
        return "this is in percent, wanted a share from 0 to 1."
    if close(answer, 1 - truth):
        return "this is the share that is kept."
    if close(answer, lost("Illustris mocks")):
        return "this is the share of the mocks; asked is for real galaxies."
    return False


@cache
def by_ratio(*names: str) -> float:
    """How well the ratio tells the mocks from SDSS galaxies that are alike in these confounders."""
    pair = known().against("SDSS", "Illustris mocks")
    pair = pair.matched(names=names) if names else pair
    return float(pair.tests("ratio", joint=False)["auroc"][0])


@cache
def closest() -> str:
    """The confounder that the ratio of SDSS galaxies goes with most closely."""
    from scipy.stats import spearmanr

    from ..confounders import CONFOUNDERS

    rows = known().rows("SDSS")
    related = [spearmanr(rows[name], rows["ratio"], nan_policy="omit").statistic for name in CONFOUNDERS]
    return list(CONFOUNDERS)[int(np.abs(related).argmax())]


@exercise(
    "06.4",
    "a number: the AUROC of the ratio",
    "scipy.stats.spearmanr(rows[name], rows['ratio']).statistic is a rank correlation, for rows = "
    "known.rows('SDSS') and each name of galnb.confounders.CONFOUNDERS; the sign does not matter.",
    "pair.matched(names=...) takes one name, too; its .tests('ratio', joint=False) have the AUROC.",
    why="What a ratio says of two sets hangs on what they differ in besides: that is to be held fixed first.",
)
def matched_in_one(answer):
    from ..confounders import CONFOUNDERS

    found, truth = number(answer), by_ratio(closest())
    if close(found, truth, 0.002):
        return True
    if close(found, 1 - truth, 0.002):
        return "this is the chance that a mock has more of the ratio; the AUROC is that it has less."
    if close(found, by_ratio(), 0.002):
        return "this is of all of them, with nothing held fixed."
    if close(found, by_ratio(*CONFOUNDERS), 0.002):
        return "this is with all confounders held fixed, wanted one of them."
    return False
