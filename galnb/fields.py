"""Density slices of a toy universe: lognormal fields, their power spectra, and covariances to be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import integrate, optimize

from .errors import BadInput

BLOCK = 250  # fields at a time
BOX = 250.0  # Mpc/h


def slice_power(
    k, *, sigma8: float = 0.8, shape: float = 0.21, tilt: float = 0.96, thickness: float = 50.0
) -> np.ndarray:
    """Power (Mpc/h)^2 of the matter in a slice, at wave numbers `k` in h/Mpc of any shape; 0 at k = 0.

    That of cold dark matter with the transfer function of Bardeen+1986, divided by the slice's thickness
    (Limber's approximation: along the line of sight only waves much longer than it is remain).

    Parameters
    ----------
    sigma8 : float
        Root mean square of the density in spheres of 8 Mpc/h.
    shape : float
        Gamma, about Omega_m h: the horizon at equality is at k = 0.07 Gamma / 0.21 h/Mpc or so.
    tilt : float
        Index of the primordial spectrum.
    thickness : float
        Of the slice, Mpc/h.

    Examples
    --------
    >>> slice_power(np.array([0.02, 0.2])).round()
    array([279.,  38.])
    """
    k = np.asarray(k, dtype=np.float64)
    waves = np.geomspace(1e-4, 10, 2000)
    x = 8 * waves
    sphere = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    variance = integrate.trapezoid(_cold(waves, shape, tilt) * (sphere * waves) ** 2 * waves, np.log(waves))
    return sigma8**2 / (variance / (2 * np.pi**2)) * _cold(k, shape, tilt) / thickness


def _cold(k: np.ndarray, shape: float, tilt: float) -> np.ndarray:
    """k^n T^2, not normalised (Bardeen+1986, equation G3)."""
    q = np.maximum(k, 1e-12) / shape
    slow = 1 + 3.89 * q + (16.1 * q) ** 2 + (5.46 * q) ** 3 + (6.71 * q) ** 4
    return np.where(k > 0, k**tilt * (np.log1p(2.34 * q) / (2.34 * q)) ** 2 / np.sqrt(slow), 0.0)


def simulate(
    n: int,
    size: int = 32,
    *,
    box: float = BOX,
    power: Callable[[np.ndarray], np.ndarray] = slice_power,
    layers: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """Density contrasts (n, size, size) float32 of periodic slices, delta = rho / mean - 1, at least -1.

    Lognormal (Coles & Jones 1991): 1 + delta = exp(g - variance / 2) of a Gaussian g whose correlation is
    log(1 + xi), so that delta's power is the wanted one, pixel by pixel of Fourier's plane.

    Parameters
    ----------
    size : int
        Pixels a side.
    box : float
        Side in Mpc/h.
    power : callable
        Wave numbers in h/Mpc to power in (Mpc/h)^2.
    layers : int
        The slice is the mean of so many independent lognormal ones, each of `layers` times the power: the sum
        has the same power and is not lognormal, as a projected density is not.
    seed : int
        The first fields are the same whatever n is.

    Raises
    ------
    BadInput
        Where no lognormal field has that power: log(1 + xi) would need negative power somewhere.

    Notes
    -----
    The mean of a field varies a little from one to the next. It must: a Gaussian without a mean wave (k = 0)
    has a lognormal with one, of a variance that is chosen here so that all other waves are as wanted.

    Examples
    --------
    >>> fields = simulate(3, seed=1)
    >>> fields.shape, bool(fields.min() > -1)
    ((3, 32, 32), True)
    """
    if size < 8 or size % 2:
        raise ValueError(f"size={size!r}, wanted an even number of at least 8")
    if layers < 1 or n < 0:
        raise ValueError(f"n={n!r}, layers={layers!r}, wanted n >= 0 and layers >= 1")
    gain, variance = _gaussian(size, box, lambda k: layers * power(k))
    rng, out = np.random.default_rng(seed), np.empty((n, size, size), dtype=np.float32)
    for start in range(0, n, BLOCK):
        white = rng.standard_normal((min(BLOCK, n - start), layers, size, size))
        g = np.fft.irfft2(np.fft.rfft2(white) * gain, s=(size, size))
        out[start : start + BLOCK] = np.expm1(g - variance / 2).mean(1)
    return out


def _gaussian(size: int, box: float, power: Callable) -> tuple[np.ndarray, float]:
    """What white noise's waves are multiplied by to give g, and g's variance."""
    pixel = box / size
    wanted = np.asarray(power(wave_numbers(size, box)), dtype=np.float64)
    wanted[0, 0] = 0
    xi = np.fft.ifft2(wanted).real / pixel**2
    least = -1 - xi.min() + 1e-9  # of the constants, one leaves g without a wave at k = 0
    waves = np.array([[-1.0]])  # should there be no such constant
    if np.log1p(xi + least).sum() < 0:
        mean = optimize.brentq(lambda a: np.log1p(xi + a).sum(), least, 10 + np.abs(xi).max())
        waves = np.fft.fft2(np.log1p(xi + mean)).real
    if waves.min() < -1e-3 * np.abs(waves).max():
        todo = "wanted a smoother spectrum, less power, or larger pixels"
        raise BadInput("power", f"a lognormal field of {size} pixels in {box:g} Mpc/h cannot have it; {todo}")
    waves = waves.clip(0)
    waves[0, 0] = 0
    return np.sqrt(waves)[:, : size // 2 + 1], float(waves.mean())


def wave_numbers(size: int, box: float = BOX) -> np.ndarray:
    """Length (size, size) of the wave vectors of numpy's fft2, in h/Mpc for a box in Mpc/h."""
    k = 2 * np.pi * np.fft.fftfreq(size, box / size)
    return np.hypot(k[:, None], k)


def power_spectrum(fields: np.ndarray, box: float = BOX) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power of each field in rings of Fourier's plane, one fundamental wave number wide, below Nyquist's.

    Parameters
    ----------
    fields : ndarray (n, size, size)
        Density contrasts of periodic squares.
    box : float
        Side in Mpc/h.

    Returns
    -------
    k : ndarray (bin,)
        Mean wave number of each ring, h/Mpc.
    power : ndarray (n, bin)
        (Mpc/h)^2. NaN in a field with NaN.
    modes : ndarray (bin,)
        Waves in each ring, k and -k counted both: of Gaussian fields the variance is 2 P^2 / modes.

    Examples
    --------
    >>> k, power, modes = power_spectrum(simulate(4))
    >>> power.shape, modes[:3]
    ((4, 15), array([ 8, 12, 16]))
    """
    fields = _squares(fields)
    size = fields.shape[-1]
    lengths = wave_numbers(size, box).ravel()
    ring = np.rint(lengths * box / (2 * np.pi)).astype(int)
    ring[ring >= size // 2] = 0  # as the mean: in no ring
    modes = np.bincount(ring)[1:]
    waves = np.flatnonzero(ring)
    sums = np.zeros((size * size, len(modes)))
    sums[waves, ring[waves] - 1] = 1 / modes[ring[waves] - 1]
    power = np.empty((len(fields), len(modes)))
    for start in range(0, len(fields), BLOCK):
        block = np.fft.fft2(fields[start : start + BLOCK]).reshape(-1, size * size)
        power[start : start + BLOCK] = (block.real**2 + block.imag**2) @ sums * (box / size**2) ** 2
    return lengths @ sums, power, modes


def _squares(fields) -> np.ndarray:
    fields = np.asarray(fields)
    if fields.ndim != 3 or fields.shape[1] != fields.shape[2]:
        raise BadInput("fields", f"they have shape {fields.shape}, wanted (n, size, size)")
    return fields


def statistics(fields: np.ndarray, *, above: float = 1.0) -> dict[str, np.ndarray]:
    """What a spectrum does not see: variance, skewness, kurtosis and peaks (each (n,)) of density contrasts.

    Peaks are pixels larger than their eight neighbors, over the edge too, and than `above`.

    Examples
    --------
    >>> {name: values.shape for name, values in statistics(simulate(2)).items()}
    {'variance': (2,), 'skewness': (2,), 'kurtosis': (2,), 'peaks': (2,)}
    """
    fields = _squares(fields)
    off = fields - fields.mean((1, 2), keepdims=True)
    square = off * off
    variance, third, fourth = (
        x.mean((1, 2), dtype=np.float64) for x in (square, square * off, square * square)
    )
    peak = fields > above
    for shift in [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]:
        peak &= fields > np.roll(fields, shift, (1, 2))
    moments = {"skewness": third / variance**1.5, "kurtosis": fourth / variance**2 - 3}
    return {"variance": variance, **moments, "peaks": peak.sum((1, 2))}


def covariance(spectra: np.ndarray) -> np.ndarray:
    """Covariance (bin, bin) of spectra (n, bin), unbiased; singular where n is not above bin."""
    spectra = np.asarray(spectra, dtype=np.float64)
    if spectra.ndim != 2 or len(spectra) < 2:
        raise BadInput("spectra", f"they have shape {spectra.shape}, wanted (n, bin) with n of at least 2")
    return np.atleast_2d(np.cov(spectra.T))


def shrunk(spectra: np.ndarray) -> np.ndarray:
    """Covariance (bin, bin) of spectra, its correlations shrunk to none (Ledoit & Wolf 2004).

    Spectra are divided by their standard deviations first, and those are kept: bins differ by magnitudes.
    """
    from sklearn.covariance import ledoit_wolf

    spread = np.sqrt(np.diag(covariance(spectra)))
    return ledoit_wolf(np.asarray(spectra) / spread)[0] * np.outer(spread, spread)


def blend(spectra: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Covariance (bin, bin) between few simulated spectra's and an emulator's, and the emulator's weight.

    Shrinkage (Ledoit & Wolf 2004) towards `target` (Pope & Szapudi 2008): spectra (n, bin) are made white by
    the target, and the weight, 0 to 1, is the sample covariance's expected squared error over its squared
    distance from 1. It needs no truth: where the emulator is wrong and n large, it is 0.

    >>> spectra = np.random.default_rng(0).normal(size=(50, 8))
    >>> blend(spectra, np.eye(8))[1] > 0.7, blend(spectra, 9 * np.eye(8))[1] < 0.1
    (True, True)
    """
    root = np.linalg.cholesky(target)
    white = np.linalg.solve(root, (spectra - np.mean(spectra, axis=0)).T).T
    n, bins = white.shape
    products = white[:, :, None] * white[:, None]
    own = products.sum(0) / (n - 1)
    scatter = ((products - products.mean(0)) ** 2).sum() * n / (n - 1) ** 3
    weight = float(min(scatter / ((own - np.eye(bins)) ** 2).sum(), 1.0))
    return root @ (weight * np.eye(bins) + (1 - weight) * own) @ root.T, weight


def error_curve(spectra: np.ndarray, true: np.ndarray, counts) -> tuple[np.ndarray, np.ndarray]:
    """`Difference.error` of covariances of `counts` (count,) of the spectra (n, bin): mean, scatter.

    Of at most 50 subsets that share no spectrum; the scatter of a single one is NaN.

    >>> spectra = np.random.default_rng(0).normal(size=(4000, 8))
    >>> error_curve(spectra, np.eye(8), [100, 400])[0].round(2)
    array([0.1 , 0.05])
    """
    found = []
    for n in counts:
        parts = [spectra[i : i + n] for i in range(0, len(spectra) - n + 1, n)][:50]
        errors = [difference(covariance(part), true).error for part in parts]
        found.append((np.mean(errors), np.std(errors, ddof=1) if len(errors) > 1 else np.nan))
    return tuple(np.transpose(found))


def simulations(error: float, counts: np.ndarray, errors: np.ndarray) -> float:
    """How many simulations a covariance needs for an error, of errors (count,) measured with counts (count,).

    Interpolated as powers; outside of what was measured as 1 / sqrt(n).

    >>> round(simulations(0.05, [100, 400], [0.1, 0.05])), round(simulations(0.01, [100, 400], [0.1, 0.05]))
    (400, 10000)
    """
    counts, errors = np.asarray(counts, dtype=float), np.asarray(errors, dtype=float)
    near = min(max(error, errors.min()), errors.max())
    found = np.exp(np.interp(-np.log(near), -np.log(errors), np.log(counts)))
    return float(found * (near / error) ** 2)


def correlation(covariance: np.ndarray) -> np.ndarray:
    """Correlations (bin, bin) of a covariance.

    >>> correlation(np.array([[4.0, 1.0], [1.0, 1.0]]))
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    spread = np.sqrt(np.diag(covariance))
    return covariance / np.outer(spread, spread)


def hartlap(n: int, bins: int) -> float:
    """What the inverse of a covariance of n simulations is multiplied by to be unbiased (Hartlap+2007).

    >>> round(hartlap(100, 15), 3)
    0.838
    """
    if n < bins + 3:
        raise ValueError(f"{n} simulations of {bins} bins, wanted at least {bins + 3}")
    return (n - bins - 2) / (n - 1)


@dataclass(frozen=True)
class Difference:
    """How far a covariance is from the true one.

    Attributes
    ----------
    error : float
        Frobenius norm of L^-1 C L^-T - 1, where L L^T is the true covariance, over sqrt(bin (bin + 1)). Of n
        Gaussian spectra it is 1 / sqrt(n) on average (Wishart 1928): the scale on which to count simulations.
    diagonal : float
        Root mean square of the variances' relative errors.
    correlation : float
        Frobenius norm of the difference of the correlation matrices.
    chi2 : float
        Relative error of the mean chi^2 of true spectra under C^-1, which is the number of bins.
    fisher : ndarray (parameter,)
        Relative errors of the standard deviations that Fisher's matrix promises.
    """

    error: float
    diagonal: float
    correlation: float
    chi2: float
    fisher: np.ndarray


def difference(
    found: np.ndarray, true: np.ndarray, *, n: int | None = None, gradient: np.ndarray | None = None
) -> Difference:
    """Compare a covariance (bin, bin) with the true one (bin, bin).

    Parameters
    ----------
    n : int, optional
        Spectra that `found` is the sample covariance of: inverses get Hartlap's factor. None: as it is.
    gradient : ndarray (parameter, bin), optional
        Of the mean spectrum, with respect to parameters, for `fisher`; none: it is empty.

    Raises
    ------
    BadInput
        Where one of the two is not positive definite.

    Examples
    --------
    >>> d = difference(1.1 * np.eye(3), np.eye(3))
    >>> round(d.diagonal, 3), d.correlation, round(d.chi2, 3)
    (0.1, 0.0, -0.091)
    """
    found, true = np.asarray(found, dtype=np.float64), np.asarray(true, dtype=np.float64)
    bins = len(true)
    for name, matrix in (("found", found), ("true", true)):
        good = matrix.shape == (bins, bins) and np.diag(matrix).min() > 0
        if not good or np.linalg.eigvalsh(correlation(matrix))[0] <= 0:
            wanted = f"wanted a positive definite one of {bins} bins, from more simulations than bins"
            raise BadInput(name, f"a covariance of shape {matrix.shape}; {wanted}")
    root = np.linalg.cholesky(true)
    white = np.linalg.solve(root, np.linalg.solve(root, found).T)
    inverse = np.linalg.inv(white) * (1.0 if n is None else hartlap(n, bins))
    fisher = np.empty(0)
    if gradient is not None:
        slope = np.linalg.solve(root, np.atleast_2d(gradient).T)
        promised, real = (np.diag(np.linalg.inv(slope.T @ m @ slope)) for m in (inverse, np.eye(bins)))
        fisher = np.sqrt(promised / real) - 1
    return Difference(
        float(np.linalg.norm(white - np.eye(bins)) / np.sqrt(bins * (bins + 1))),
        float(np.sqrt(np.mean((np.diag(found) / np.diag(true) - 1) ** 2))),
        float(np.linalg.norm(correlation(found) - correlation(true))),
        float(np.trace(inverse) / bins - 1),
        fisher,
    )
