"""Exercises of notebook 07, Asking for a galaxy."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import alike, array, pictures


@cache
def network():
    """The conditional network of SDSS galaxies."""
    from .. import weights

    return weights.load("cvae32-sdss")


@exercise(
    "07.1",
    "six pictures (6, 3, 64, 64)",
    "cvae.change(galaxy.expand(6, -1), {name: values}) has six latents; `decode` or `imagine` draws them.",
    "an axis comes back to itself after 180 degrees; ask for an angle and an ellipticity together, "
    "and look at measure(galnb.Images(pictures, bands=cvae.bands)).",
    why="A style stays while one condition moves: the network knows which is which.",
)
def turning(answer):
    from .. import Images
    from ..conditions import measure

    shown = pictures(answer, 3, 64, 64)
    if len(shown) != 6:
        return f"these are {len(shown)} pictures, wanted six."
    found = measure(Images(shown))
    angle, ellipticity, flux = (np.asarray(found[n]) for n in ("position_angle", "ellipticity", "flux"))
    if not np.isfinite(angle).all():
        return "in one of them no galaxy is found, whose angle could be measured."
    if ellipticity.min() < 0.25:
        return "a round galaxy has no angle: wanted an ellipticity of 0.25 at least, in each of them."
    steps = (np.diff(angle) + 90) % 180 - 90
    if (abs(steps + 30) < 15).all():
        return "it turns by 30 degrees a picture, but the other way round."
    if np.ptp(ellipticity) > 0.3 or flux.max() > 2 * flux.min():
        return "more changes than the angle: ellipticity and flux are to stay."
    return bool((abs(steps - 30) < 15).all())


@exercise(
    "07.2",
    "a function: apart(a, b) -> degrees, of two arrays of position angles",
    "the axes at 179 and at 1 degree are nearly the same one.",
    "no two axes are more than 90 degrees apart; take a difference modulo 180, with 0 in the middle of it.",
    why="What comes round again has no mean and no correlation like other numbers: ask how far apart it is.",
)
def apart(answer):
    a, b = np.random.default_rng(0).uniform(0, 180, (2, 200))
    a[:2], b[:2] = (179, 1), (1, 179)
    found, plain = array(answer(a, b)), abs(a - b)
    truth = np.minimum(plain, 180 - plain)
    if alike(found, truth):
        return True
    if alike(found, plain):
        return "of 179 and 1 it says 178 degrees, but an axis comes back to itself after 180."
    if alike(abs(found), truth):
        return "some of these are negative, wanted how far apart they are, whichever comes first."
    return False


@exercise(
    "07.3",
    "a dictionary: a number for each of the six conditions",
    "each condition may be usual where all of them together are not; which ones go together in galaxies?",
    "cvae.prior.log_prob(cvae.codes(y), of=slice(cvae.style, None)) is the log density (n,) of conditions "
    "y (n, 6), such as cvae.features(cvae.draw(1000)); codes.low and codes.high are the ends.",
    why="A range of each condition says nothing of combinations; the density of all of them does.",
)
def unheard_of(answer):
    import torch

    cvae = network()
    if not isinstance(answer, dict):
        return f"this is a {type(answer).__name__}, wanted a dictionary of the six conditions."
    if missing := [name for name in cvae.codes.names if name not in answer]:
        return f"it says nothing of {', '.join(missing)}, wanted all six conditions."
    wish = torch.tensor([[float(array(answer[name]).reshape(())) for name in cvae.codes.names]])
    with torch.inference_mode():
        density = lambda y: cvae.prior.log_prob(cvae.codes(y), of=slice(cvae.style, None))  # noqa: E731
        if not torch.isfinite(wish).all():
            return "a number is not finite."
        beyond = cvae.codes.outside(wish)[0] > 1e-5
        if beyond.any():
            outside = ", ".join(name for name, out in zip(cvae.codes.names, beyond, strict=True) if out)
            return f"the panel would warn of {outside}, beyond the training range."
        usual = cvae.features(cvae.draw(1000, torch.Generator().manual_seed(0)))
        return bool(density(wish)[0] < density(usual).min())


@exercise(
    "07.4",
    "a function: together(means, deviations) -> mean, deviation",
    "a product of Gaussians is one, whose precision, 1 / deviation**2, is the sum of theirs.",
    "its mean is theirs, each weighed by its precision; and p(z) is one of them, of mean 0 and deviation 1.",
    why="Nothing else happens in the network where pictures, numbers or both are known.",
)
def together(answer):
    rng = np.random.default_rng(0)
    verdicts = []
    for experts in (1, 2, 3):
        means, deviations = rng.normal(size=(experts, 16)), rng.uniform(0.3, 2.0, (experts, 16))
        mean, deviation = answer(means, deviations)
        verdicts.append(_judged(means, deviations, array(mean), array(deviation)))
    wrong = [verdict for verdict in verdicts if verdict is not True]
    return wrong[-1] if wrong else True


def _judged(means, deviations, mean, deviation) -> bool | str:
    """Whether this is the product of some experts and p(z), or a hint."""
    weight = deviations**-2.0
    precision = 1 + weight.sum(0)
    truth = (weight * means).sum(0) / precision
    if alike(mean, truth) and alike(deviation, precision**-0.5):
        return True
    if alike(mean, truth) and alike(deviation, 1 / precision):
        return "the mean is right; the second is a variance, wanted its square root."
    if alike(mean, truth) and alike(deviation, precision):
        return "the mean is right; the second is a precision, wanted a standard deviation."
    if alike(mean, (weight * means).sum(0) / weight.sum(0)):
        return "one expert is missing, who always has a say: p(z)."
    softer = 1 / deviations
    if alike(mean, (softer * means).sum(0) / (1 + softer.sum(0))):
        return "the weights are 1 / deviation, wanted 1 / variance."
    return False
