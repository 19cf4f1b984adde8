"""Measured shapes: flux, half-light radius, concentration, ellipticity, angle, area, asymmetry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from astropy.table import Table
from numba import njit

from .engines import cores
from .images import Images

COLUMNS = {
    "flux": "",
    "half_light_radius": "pix",
    "concentration": "",
    "ellipticity": "",
    "position_angle": "deg",
    "area": "pix2",
    "asymmetry": "",
    "petrosian_radius": "pix",
    "x": "pix",
    "y": "pix",
}
BIN = 0.5  # pixels, of the growth curve
ETA = 0.2  # local over mean surface brightness at the Petrosian radius (as SDSS)


def measure(
    galaxies: Images | np.ndarray, *, background: float | str = "corners", threshold: float = 1.5
) -> Table:
    """Morphology of the object at the centre of each image, on the mean of its bands.

    Parameters
    ----------
    galaxies : Images, or ndarray (n, band, y, x) or (n, y, x)
    background : "corners" or float
        Sky to subtract, in the pixels' unit; "corners" takes the clipped median of each image's four corners.
    threshold : float
        Lower limit of the object, in standard deviations of the corners.

    Returns
    -------
    Table, one row a galaxy
        flux (sum of pixels, total); half_light_radius (pixels, circularised: the root of the axes'
        product); concentration C = 5 log10(r80 / r20) within twice the Petrosian radius (Conselice
        2003); ellipticity 1 - b/a and position_angle (degrees in [0, 180), counter-clockwise from +x)
        from adaptively weighted moments (Bernstein & Jarvis 2002), which are unbiased for elliptical
        isophotes; area above the threshold (pixels); asymmetry under half a turn about the centroid
        (as Conselice, Bershady & Jangren 2000, who move the centre to the least), less that expected of
        the noise; petrosian_radius; centroid x and y (pixels).
        Flux and half-light radius are corrected for the light outside the aperture by the Sersic
        profile with the same r80 / r50 (as Graham+2005). NaN where nothing rises above the threshold
        or a pixel is not finite.

    Notes
    -----
    Other objects above the threshold are masked; the growth curve fills them by the mean of their
    ellipse. No correction is made for the point-spread function.

    Examples
    --------
    >>> y, x = np.mgrid[:65, :65] - 32
    >>> table = measure(np.exp(-(x**2 + (y / 0.5) ** 2) / 72.0)[None], background=0.0)
    >>> round(float(table["ellipticity"][0]), 2), round(float(table["half_light_radius"][0]), 1)
    (0.5, 5.0)
    """
    planes = galaxies.pixels if isinstance(galaxies, Images) else np.asarray(galaxies)
    if planes.ndim not in (3, 4):
        raise ValueError(f"images have shape {planes.shape}, wanted (n, band, y, x) or (n, y, x)")
    planes = (planes.mean(axis=1) if planes.ndim == 4 else planes).astype(np.float64)
    if not (background == "corners" or np.isscalar(background) and not isinstance(background, str)):
        raise ValueError(f"background={background!r}, wanted 'corners' or a number")
    finite = np.isfinite(planes).all(axis=(1, 2))
    planes = np.where(finite[:, None, None], planes, 0.0)
    sky, noise = _corners(planes)
    planes = planes - (sky[:, None, None] if background == "corners" else float(background))
    own, others, area = _segments(planes, threshold * noise)
    raw = _measure_all(planes, others, own, noise)
    flux, radius, index = _beyond_the_aperture(*raw[:, :4].T)
    if background == "corners":  # which have a little of the galaxy's own light
        planes = planes + _sersic(flux, radius, index, np.hypot(*planes.shape[1:]) * 7 / 16)[:, None, None]
        raw = _measure_all(planes, others, own, noise)
        flux, radius, _ = _beyond_the_aperture(*raw[:, :4].T)
    raw[~finite | (area == 0)] = np.nan
    flux, radius = (np.where(finite & (area > 0), value, np.nan) for value in (flux, radius))
    values = [
        flux,
        radius,
        raw[:, 4],
        raw[:, 5],
        raw[:, 6],
        np.where(area > 0, area, np.nan),
        raw[:, 7],
        raw[:, 8],
    ]
    table = Table(dict(zip(COLUMNS, [*values, raw[:, 9], raw[:, 10]], strict=True)))
    for name, unit in COLUMNS.items():
        table[name].unit = unit or None
    return table


def _corners(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clipped median (n,) and standard deviation (n,) of the four corners of each plane."""
    from astropy.stats import sigma_clipped_stats

    if not len(planes):
        return np.zeros(0), np.zeros(0)
    side = max(planes.shape[1] // 8, 3)
    cut = [
        planes[:, ys, xs]
        for ys in (slice(side), slice(-side, None))
        for xs in (slice(side), slice(-side, None))
    ]
    pixels = np.concatenate([part.reshape(len(planes), -1) for part in cut], axis=1)
    _, median, deviation = sigma_clipped_stats(pixels, sigma=3, maxiters=5, axis=1, stdfunc="mad_std")
    return np.atleast_1d(median), np.atleast_1d(deviation)


def _segments(planes: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The central object's mask (n, y, x), that of all other objects, and its area in pixels (n,)."""
    from scipy.ndimage import gaussian_filter, label

    own = np.zeros(planes.shape, dtype=bool)
    others = np.zeros(planes.shape, dtype=bool)
    height, width = planes.shape[1:]
    middle = (slice(3 * height // 8, height - 3 * height // 8), slice(3 * width // 8, width - 3 * width // 8))
    for i, plane in enumerate(planes):
        smooth = gaussian_filter(plane, 1.0)
        peak = smooth[middle].max()
        if peak <= max(limit[i], 0.0):
            continue
        # In an image without noise the limit is zero: a thousandth of the peak ends the object there.
        objects, _ = label(smooth > max(limit[i], 1e-3 * peak))
        place = np.unravel_index(smooth[middle].argmax(), smooth[middle].shape)
        central = objects[place[0] + middle[0].start, place[1] + middle[1].start]
        own[i] = objects == central
        others[i] = (objects > 0) & ~own[i]
    return own, others, own.sum(axis=(1, 2)).astype(float)


def _measure_all(planes, others, own, noise):
    """(n, 11): aperture flux, r50, r80, aperture, C, ellipticity, angle, asymmetry, r_P, x, y."""
    out = np.full((len(planes), 11), np.nan)
    # Threads, for numba's prange would change torch's number of threads, and with it the bits of training.
    with ThreadPoolExecutor(cores()) as pool:
        seen = np.flatnonzero(own.any(axis=(1, 2)))
        list(pool.map(lambda i: _measure_one(planes[i], others[i], own[i], noise[i], out[i]), seen))
    return out


@njit(cache=True, nogil=True)
def _measure_one(plane, others, own, noise, out):
    x0, y0, xx, yy, xy = _adaptive_moments(plane, others, own)
    if not xx > 0:
        return
    q, angle = _axes(xx, yy, xy)
    growth, radii = _growth(plane, others, x0, y0, q, angle)
    if growth[-1] > 0:
        scale = np.interp(0.5, _rising(growth / growth[-1]), radii)
        q, angle = _shape(plane, others, x0, y0, xx, yy, xy, scale)
        growth, radii = _growth(plane, others, x0, y0, q, angle)
    petrosian = _petrosian(growth, radii)
    aperture = min(2 * petrosian, radii[-1])
    total = np.interp(aperture, radii, growth)
    if not total > 0:
        return
    last = np.searchsorted(radii, aperture) + 1
    rise = _rising(growth[:last] / total)
    r20, r50, r80 = (
        np.interp(0.2, rise, radii[:last]),
        np.interp(0.5, rise, radii[:last]),
        np.interp(0.8, rise, radii[:last]),
    )
    out[0], out[1], out[2], out[3] = total, r50, r80, aperture
    out[4] = 5 * np.log10(r80 / r20)
    out[5], out[6] = 1 - q, np.degrees(angle) % 180.0
    out[7] = _asymmetry(plane, others, x0, y0, 1.5 * petrosian, noise)
    out[8], out[9], out[10] = petrosian, x0, y0


@njit(cache=True, nogil=True)
def _rising(values):
    out = values.copy()
    for k in range(1, len(out)):
        out[k] = max(out[k], out[k - 1] + 1e-12)
    return out


@njit(cache=True, nogil=True)
def _adaptive_moments(plane, others, own):
    """Centroid and second moments under the elliptical Gaussian weight that they themselves give."""
    height, width = plane.shape
    x0 = y0 = weight = 0.0
    for y in range(height):
        for x in range(width):
            if own[y, x] and plane[y, x] > 0:
                weight += plane[y, x]
                x0 += plane[y, x] * x
                y0 += plane[y, x] * y
    x0, y0 = x0 / weight, y0 / weight
    xx = yy = max(own.sum() / 40.0, 1.0)
    xy = 0.0
    for _ in range(100):
        determinant = xx * yy - xy * xy
        if not determinant > 1.0:  # on a cusp the weight would shrink for ever: it ends at a pixel
            xx, yy, xy, determinant = 1.0, 1.0, 0.0, 1.0
        total = sx = sy = sxx = syy = sxy = 0.0
        for y in _near(y0, 5 * np.sqrt(yy), height):
            for x in _near(x0, 5 * np.sqrt(xx), width):
                if others[y, x]:
                    continue
                dx, dy = x - x0, y - y0
                rho = (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / determinant
                if rho > 25:
                    continue
                light = plane[y, x] * np.exp(-0.5 * rho)
                total += light
                sx += light * dx
                sy += light * dy
                sxx += light * dx * dx
                syy += light * dy * dy
                sxy += light * dx * dy
        if not total > 0:
            return x0, y0, np.nan, np.nan, np.nan
        x0, y0 = x0 + sx / total, y0 + sy / total
        # A Gaussian seen through its own Gaussian has half its moments.
        nxx, nyy, nxy = 2 * sxx / total, 2 * syy / total, 2 * sxy / total
        change = abs(nxx - xx) + abs(nyy - yy) + abs(nxy - xy)
        xx, yy, xy = nxx, nyy, nxy
        if change < 1e-5 * (xx + yy):
            break
    if abs(x0 - width / 2) > width / 2 or abs(y0 - height / 2) > height / 2:
        return x0, y0, np.nan, np.nan, np.nan
    return x0, y0, xx, yy, xy


@njit(cache=True, nogil=True)
def _near(middle, reach, size):
    """The pixels of a row of `size` that are within `reach` of `middle`."""
    return range(max(int(middle - reach), 0), min(int(middle + reach) + 2, size))


@njit(cache=True, nogil=True)
def _axes(xx, yy, xy):
    """Axis ratio, and angle in radians, of second moments."""
    half, apart = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return np.sqrt(max(half - apart, 1e-4 * half) / (half + apart)), 0.5 * np.arctan2(2 * xy, xx - yy)


@njit(cache=True, nogil=True)
def _shape(plane, others, x0, y0, xx, yy, xy, scale):
    """Axis ratio and angle at about 1.5 half-light radii, where pixels do not round the isophotes.

    The weight rho exp(-rho / 2) leaves out the core; its ellipse has a fixed size and takes the shape
    that it measures, so elliptical isophotes of any profile are a fixed point.
    """
    height, width = plane.shape
    for _ in range(60):
        size = max(scale, 1.5) ** 2 / np.sqrt(max(xx * yy - xy * xy, 1e-12))
        xx, yy, xy = xx * size, yy * size, xy * size
        determinant = xx * yy - xy * xy
        sxx = syy = sxy = 0.0
        for y in _near(y0, 4 * np.sqrt(yy), height):
            for x in _near(x0, 4 * np.sqrt(xx), width):
                dx, dy = x - x0, y - y0
                rho = (yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy) / determinant
                if others[y, x] or rho > 16:
                    continue
                light = plane[y, x] * rho * np.exp(-0.5 * rho)
                sxx += light * dx * dx
                syy += light * dy * dy
                sxy += light * dx * dy
        if not sxx * syy - sxy * sxy > 0 or sxx <= 0:
            break
        before, _ = _axes(xx, yy, xy)
        xx, yy, xy = sxx, syy, sxy
        if abs(_axes(xx, yy, xy)[0] - before) < 1e-5:
            break
    return _axes(xx, yy, xy)


@njit(cache=True, nogil=True)
def _growth(plane, others, x0, y0, q, angle):
    """Flux within ellipses, by their circularised radius; masked pixels count as their ellipse's mean."""
    height, width = plane.shape
    reach = min(min(x0, width - 1 - x0), min(y0, height - 1 - y0)) + 0.5
    n = max(int(reach * np.sqrt(q) / BIN), 4)
    light, count = np.zeros(n), np.zeros(n)
    cos, sin = np.cos(angle), np.sin(angle)
    for y in range(height):
        for x in range(width):
            if others[y, x]:
                continue
            u, v = cos * (x - x0) + sin * (y - y0), (cos * (y - y0) - sin * (x - x0)) / q
            if np.sqrt((u * u + v * v) * q) > n * BIN + 0.75 / np.sqrt(q):
                continue
            fine = 7 if abs(x - x0) < 8 and abs(y - y0) < 8 else 3
            share = 1.0 / (fine * fine)
            for j in range(fine):
                for i in range(fine):
                    dx, dy = x - x0 + (i + 0.5) / fine - 0.5, y - y0 + (j + 0.5) / fine - 0.5
                    u, v = cos * dx + sin * dy, (cos * dy - sin * dx) / q
                    k = int(np.sqrt((u * u + v * v) * q) / BIN)
                    if k < n:
                        light[k] += share * plane[y, x]
                        count[k] += share
    growth, radii = np.zeros(n + 1), np.arange(n + 1) * BIN
    for k in range(n):
        mean = light[k] / count[k] if count[k] > 0 else 0.0
        growth[k + 1] = growth[k] + mean * np.pi * (radii[k + 1] ** 2 - radii[k] ** 2)
    return growth, radii


@njit(cache=True, nogil=True)
def _petrosian(growth, radii):
    """Radius at which the brightness of the ring 0.8 to 1.25 r falls to ETA of the mean inside."""
    for k in range(3, len(radii)):
        r = radii[k]
        low, high = 0.8 * r, min(1.25 * r, radii[-1])
        ring = (np.interp(high, radii, growth) - np.interp(low, radii, growth)) / (high**2 - low**2)
        if ring < ETA * growth[k] / r**2:
            return r
    return radii[-1]


@njit(cache=True, nogil=True)
def _asymmetry(plane, others, x0, y0, radius, noise):
    height, width = plane.shape
    difference = light = pixels = 0.0
    for y in range(height):
        for x in range(width):
            if (x - x0) ** 2 + (y - y0) ** 2 > radius**2 or others[y, x]:
                continue
            u, v = 2 * x0 - x, 2 * y0 - y
            i, j = int(np.floor(u)), int(np.floor(v))
            if i < 0 or j < 0 or i + 1 >= width or j + 1 >= height or others[j, i] or others[j + 1, i + 1]:
                continue
            a, b = u - i, v - j
            turned = (1 - b) * ((1 - a) * plane[j, i] + a * plane[j, i + 1]) + b * (
                (1 - a) * plane[j + 1, i] + a * plane[j + 1, i + 1]
            )
            difference += abs(plane[y, x] - turned)
            light += abs(plane[y, x])
            pixels += 1
    if light == 0:
        return np.nan
    return (difference - pixels * noise * 2 / np.sqrt(np.pi)) / light


@cache
def _sersic_table():
    """From (log r80/r50, log aperture/r50) in an aperture to (log flux, log radius, index) of the whole."""
    from scipy.interpolate import LinearNDInterpolator
    from scipy.special import gammainc, gammaincinv

    seen, truth = [], []
    for n in np.geomspace(0.3, 8, 40):
        b = gammaincinv(2 * n, 0.5)
        for aperture in np.geomspace(1.2, 40, 60):  # in true half-light radii
            inside = gammainc(2 * n, b * aperture ** (1 / n))
            r50, r80 = ((gammaincinv(2 * n, part * inside) / b) ** n for part in (0.5, 0.8))
            seen.append((np.log(r80 / r50), np.log(aperture / r50)))
            truth.append((-np.log(inside), -np.log(r50), n))
    return LinearNDInterpolator(seen, truth, rescale=True)


def _beyond_the_aperture(flux, r50, r80, aperture):
    """Total flux, half-light radius and index of the Sersic profile that looks like this in its aperture."""
    good = np.isfinite(flux) & (r80 > r50) & (r50 > 0)
    whole = np.zeros((len(flux), 3))
    if good.any():
        looked_up = _sersic_table()(np.log(r80[good] / r50[good]), np.log(aperture[good] / r50[good]))
        whole[good] = np.nan_to_num(looked_up)
    more = np.exp(np.clip(whole[:, :2], 0, np.log(2)))
    return flux * more[:, 0], r50 * more[:, 1], whole[:, 2]


def _sersic(flux, radius, index, r):
    """Surface brightness (n,) at radius r of Sersic profiles, else 0 (Graham & Driver 2005)."""
    from scipy.special import gamma, gammaincinv

    n = np.where((index > 0) & (radius > 0), index, 1.0)
    b = gammaincinv(2 * n, 0.5)
    radius, flux = np.where(radius > 0, radius, 1.0), np.where(index > 0, np.nan_to_num(flux), 0.0)
    norm = 2 * np.pi * n * radius**2 * np.exp(b) * b ** (-2 * n) * gamma(2 * n)
    return flux / norm * np.exp(-b * ((r / radius) ** (1 / n) - 1))
