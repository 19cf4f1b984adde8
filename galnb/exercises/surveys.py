"""Exercises of notebook 10, Survey simulation."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache

import numpy as np

from . import exercise
from .answers import array, close, number

SIZE, SCALE = 65, 0.07  # pixels of a drawn galaxy, and arcseconds of one


def _exposures(survey, band: str, n: float):
    """A survey with other exposures in one band, and no other bands."""
    return replace(survey, filters=(replace(survey[band], exposures=n),))


@exercise(
    "10.1",
    "a number of exposures",
    "replace(SDSS, filters=(replace(SDSS['r'], exposures=n),)) is a survey: ask it for its depth('r').",
    "noise grows with the root of the exposures and light with their number: try ten times as many, and a "
    "hundred times, and go on from what that gives.",
    why="Under a bright sky a magnitude more takes 6.3 times the light, by more nights or a larger mirror.",
)
def exposures(answer):
    from ..instruments import LSST, SDSS

    n, wanted = number(answer), LSST.depth("r")
    if not 1 <= n < 1e9:
        return "wanted a number of at least one."
    if abs(_exposures(SDSS, "r", n).depth("r") - wanted) < 0.03:
        return True
    share = 10 ** (0.4 * (wanted - SDSS.depth("r")))
    if close(n, share, 0.05):
        return "so many times fainter is the limit; but the noise grows, too, with the root of the exposures."
    if abs(_exposures(SDSS, "r", n / SDSS["r"].exposure_s).depth("r") - wanted) < 0.03:
        return "these are seconds, wanted exposures."
    return False


def _pattern(m: int, phase: float) -> np.ndarray:
    """m arms (SIZE, SIZE), bright and dark alike, around the middle."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius = np.hypot(x, y)
    return (radius / 12) ** 2 * np.exp(-((radius / 12) ** 2)) * np.cos(m * np.arctan2(y, x) + phase)


@exercise(
    "10.2",
    "a function: folded(plane, m) -> plane",
    "after half a turn two arms look the same; after which turns do m arms?",
    "it is the mean of the plane turned by 0, 1, ... m - 1 times 360 / m degrees; scipy.ndimage.rotate turns "
    "about the middle, with reshape=False in the same frame.",
    why="To take the mean over turns keeps what they do not change: so arms are counted.",
)
def folded(answer):
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    inside = np.hypot(x, y) < 0.45 * SIZE
    for m, arms in ((2, 2), (3, 3), (2, 3), (3, 2), (3, 1), (2, 4)):
        plane = _pattern(arms, 0.7)
        found = array(answer(plane.copy(), m))
        if found.shape != plane.shape:
            return f"it makes planes of shape {found.shape} of such of shape {plane.shape}."
        found, plane = found[inside], plane[inside]
        left = np.linalg.norm(found) / np.linalg.norm(plane)
        if arms % m:
            if left > 0.2:
                return f"of {arms} arms nothing is to be left for m = {m}, but {left:.0%} is."
        elif np.linalg.norm(found - m * plane) < 0.2 * m * np.linalg.norm(plane):
            return f"this is a sum, {m} times too bright: wanted the mean."
        elif np.linalg.norm(found - plane) > 0.2 * np.linalg.norm(plane):
            return f"{arms} arms are to stay as they are for m = {m}, and do not."
    return True


@cache
def spiral():
    """A galaxy with two arms, and the same without, drawn like those of the notebook."""
    from .. import Images

    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    radius = np.hypot(x, y)
    disc = np.exp(-radius / 4)
    waves = np.cos(2 * np.arctan2(y, x) - 3 * np.log(radius + 1)) * np.minimum(radius / 4, 1)
    arms = disc * (1 + 0.5 * waves)
    return Images([[arms], [disc * arms.sum() / disc.sum()]], bands=("r",), pixel_scale=SCALE)


def arms_seen(survey) -> float:
    """How like the true arms those are that a survey sees in its band r, without noise."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    from ..observing import observe

    galaxies = spiral()
    seen = observe(galaxies, survey, magnitude=18.0, field_arcsec=SIZE * SCALE, sharpen=True, noise=False)
    grid = np.mgrid[-28:28:65j, -28:28:65j]
    maps = []
    for images in (galaxies, seen):
        step = SCALE / images.pixel_scale
        planes = [gaussian_filter(plane, 1.5 * step) for plane in images.pixels[:, 0]]
        places = grid * step + (images.shape[0] - 1) / 2
        armed, smooth = (map_coordinates(plane, places, order=1, mode="nearest") for plane in planes)
        maps.append(armed - smooth)
    radius = np.hypot(*grid) / 7  # half-light radii
    ring = (radius > 0.4) & (radius < 2)
    return float(np.corrcoef(maps[0][ring], maps[1][ring])[0, 1])


@exercise(
    "10.3",
    "a survey: LSST but for one number of its band r",
    "replace(LSST, filters=(replace(LSST['r'], name=value),)) is a survey; see LSST['r'] for the names.",
    "at magnitude 18 there is light enough: what else takes the arms away?",
    why="Bright arms are lost to blur alone; no time and no mirror brings them back, a better site does.",
)
def better(answer):
    from ..instruments import LSST, Instrument

    if not isinstance(answer, Instrument):
        return f"this is a {type(answer).__name__}, wanted an Instrument, such as replace(LSST, ...) gives."
    if "r" not in answer.bands:
        return "it has no band r."
    if answer.pixel_scale != LSST.pixel_scale or answer.telescope:
        return "its camera or its place is another, wanted LSST but for one number of its band r."
    band, usual = answer["r"], LSST["r"]
    changed = [each.name for each in fields(band) if getattr(band, each.name) != getattr(usual, each.name)]
    if not changed:
        return "its band r is that of LSST."
    if len(changed) > 1:
        return f"{len(changed)} numbers are other ones ({', '.join(changed)}), wanted one."
    if changed != ["fwhm_arcsec"]:
        return f"{changed[0]} is a matter of noise, of which there is next to none at magnitude 18."
    if not 0 < band.fwhm_arcsec < 10:
        return "no star is as wide as that."
    now, then = arms_seen(answer), arms_seen(LSST)
    if now <= then:
        return "this makes it worse: the arms are blurred more."
    if 1 - now > 0.6 * (1 - then):
        return "it helps, but not yet enough: measure the median likeness with arms_seen."
    return True


@cache
def sizes() -> tuple[tuple[str, float, float, float], ...]:
    """Of discs in two surveys: its name, the width of a star, the radius seen and the true one (arcsec)."""
    from .. import Images, measure
    from ..instruments import DES, LSST
    from ..observing import observe

    y, x = np.mgrid[:97, :97] - 48
    found = []
    for length in (3.6, 4.8, 6.0):
        disc = Images(np.exp(-np.hypot(x, y) / length)[None, None], bands=("r",), pixel_scale=0.1)
        true = float(measure(disc, background=0.0)["half_light_radius"][0]) * 0.1
        for survey in (LSST, DES):
            seen = observe(disc, survey, magnitude=18.0, noise=False, sharpen=True)
            radius = float(measure(seen, background=0.0)["half_light_radius"][0]) * survey.pixel_scale
            found.append((survey.name, survey["r"].fwhm_arcsec, radius, true))
    return tuple(found)


@exercise(
    "10.4",
    "a function: true_radius(seen, fwhm) -> arcseconds",
    "for Gaussians squares of radii add up: seen**2 is true**2 + (k * fwhm)**2, and k is 1/2.",
    "discs and stars are no Gaussians: find the k with which discs of known size come out right, made by "
    "np.exp(-radius / length), taken through `observe` with noise=False, and measured.",
    why="What a survey does to a measurement is found, and undone, by doing it to galaxies that are known.",
)
def true_radius(answer):
    worst = (0.0, "", 0.0)
    for name, fwhm, seen, true in sizes():
        found = number(array(answer(seen, fwhm)))
        if not np.isfinite(found):
            return f'of a disc of {seen:.2f}" in {name} it makes no number.'
        if abs(found - seen) < 1e-6:
            return "this is the radius as it was seen: the seeing is still in it."
        worst = max(worst, (abs(found / true - 1), name, found / true - 1))
    off, name, signed = worst
    if off < 0.08:
        return True
    if off < 0.25:
        return (
            f"nearly: a disc in {name} comes out {abs(signed):.0%} too {'large' if signed > 0 else 'small'}, "
            "wanted 8 % at most, from 0.6 to 1 arcsecond; calibrate it with discs of known size."
        )
    return False
