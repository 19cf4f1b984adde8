"""Exercises of notebook 09, Restoration."""

from __future__ import annotations

from functools import cache

import numpy as np

from . import exercise
from .answers import array, number, pictures

LOOKS, NOISE = 16, 0.1


@cache
def galaxies():
    """Those to tune methods on, and others to judge them by, as in the notebook."""
    from .. import Hubble

    images = Hubble(size=64).read().rename("i", "r", "g")
    images = images[images.table["field"] >= 24]
    return images[::2], images[1::2]


def _psnr(found: np.ndarray, truth) -> float:
    """The median peak signal-to-noise ratio of pixels, in dB."""
    error = np.square(found - truth.pixels).mean(axis=(1, 2, 3))
    return float(np.median(-10 * np.log10(np.maximum(error, 1e-12))))


@exercise(
    "09.1",
    "a full width at half maximum, in pixels",
    "a Gaussian convolved with a Gaussian is one: which numbers of the two add up?",
    "variances do, and with them squares of widths; corrupt twice, and once, and compare the pixels.",
    why="Widths of Gaussian blurs add in quadrature, so that the wider one nearly hides the other.",
)
def further_blur(answer):
    import torch

    from ..augment import blur

    fwhm = number(answer)
    if not 0 < fwhm < 20:
        return "wanted a width of more than 0, and less than the picture's."
    if abs(fwhm - 1) < 0.05:
        return "widths do not add up: this hardly changes a picture that is blurred already."
    if abs(fwhm - 7) < 0.05:
        return "this is a square of what is asked for."
    point = torch.zeros(1, 1, 65, 65, dtype=torch.float64)
    point[..., 32, 32] = 1
    twice, once = blur(blur(point, 3.0), fwhm), blur(point, 4.0)
    return bool((twice - once).abs().max() < 0.03 * once.max())


@cache
def louder():
    """Tuning galaxies with more noise, the best PSNR of Wiener's filter there, and its balance."""
    from .. import restoration
    from ..augment import Corruption

    tuning, _ = galaxies()
    seen = restoration.corrupt(tuning, Corruption(0.05, 4.0), seed=1)
    found = {balance: _filtered(seen, balance) for balance in np.geomspace(0.01, 10, 13)}
    best = max(found, key=found.get)
    return seen, found[best], best


def _filtered(seen, balance: float) -> float:
    from .. import restoration

    return _psnr(restoration.wiener(seen, psf_fwhm=4.0, balance=balance).pixels, galaxies()[0])


@exercise(
    "09.2",
    "a balance: one number",
    "the balance weighs the power of noise against that of galaxies: what becomes of it when noise grows?",
    "restoration.best tries any options; tuned_wiener has the call. Between its options are others.",
    why="The balance grows about as the power of the noise does: with the square of its deviation.",
)
def balance(answer):
    given = number(answer)
    if not 1e-6 < given < 1e6:
        return "wanted a number above 0, of the kind that tuned_wiener tries."
    seen, highest, best = louder()
    if _filtered(seen, given) > highest - 0.1:
        return True
    if given < best:
        return "so small a balance lets the noise through: look at what it makes of a galaxy."
    return "so large a balance smooths more than this noise asks for: look at what it makes of a galaxy."


@exercise(
    "09.3",
    "a function: noise_of(plane) -> standard deviation of the noise",
    "a galaxy changes slowly from pixel to pixel, noise does not: what do neighbors' differences hold?",
    "a difference of two noisy pixels scatters more than one of them, by a known factor; and the median of "
    "what is left cares less for bright pixels than the mean does: |difference| has 0.6745 sigma.",
    why="What changes from pixel to pixel as no galaxy does is noise: so one sees how much of it there is.",
)
def noise_of(answer):
    _, truth = galaxies()
    planes, rng = truth.pixels[:20, 0].astype(np.float64), np.random.default_rng(0)
    ratios = {}
    for noise in (0.05, 0.1, 0.2):
        seen = planes + rng.normal(0, noise, planes.shape)
        found = np.array([number(array(answer(plane))) for plane in seen])
        if np.allclose(found, seen.std(axis=(1, 2)), rtol=0.02):
            return "this is the scatter of all pixels, and counts the galaxy as noise."
        ratios[noise] = np.median(found) / noise
        if (abs(found / noise - 1) < 0.2).mean() < 0.75:
            break
    else:
        return True
    worst = list(ratios.values())[-1]
    if abs(worst / 2**0.5 - 1) < 0.1:
        return "it is too large by a root of two: of what are these differences?"
    noise = list(ratios)[-1]
    return f"of noise of {noise} it finds {worst:.2f} times as much in the median, wanted it within 20 %."


@cache
def looked_at() -> float:
    """The PSNR of galaxies restored from all looks together."""
    import torch

    from .. import restoration, weights
    from ..augment import Corruption

    _, truth = galaxies()
    looks = [restoration.corrupt(truth, Corruption(NOISE), seed=k).pixels for k in range(LOOKS)]
    with torch.inference_mode():
        found = restoration.restore(truth.with_pixels(np.mean(looks, axis=0)), weights.load("restore-sdss"))
    return _psnr(found.pixels, truth)


@exercise(
    "09.4",
    "the restored galaxies: Images, or pixels (n, 3, 64, 64) of all of them",
    "a mean takes away scatter and leaves bias: which of the two has the network added to each picture?",
    "there are two orders, to restore first or to take the mean first: a network that sees less noise makes "
    "less up.",
    why="Noise is best taken away by looking longer: what a network makes up of each look stays in the mean.",
)
def sixteen_looks(answer):
    _, truth = galaxies()
    found = pictures(answer, *truth.pixels.shape[1:])
    if len(found) != len(truth):
        return f"these are {len(found)} pictures, wanted all {len(truth)} galaxies."
    reached = _psnr(found, truth)
    if reached > looked_at() + 10:
        return "this is the truth itself, or nearly: wanted is what the looks tell."
    if reached > looked_at() - 0.5:
        return True
    if reached < 19:
        return f"the PSNR is {reached:.1f} dB, less than that of one look: are these all galaxies, in order?"
    return False
