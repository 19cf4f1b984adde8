"""Stretches: survey pixels made fit for eyes and networks, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Asinh:
    """asinh((pixels - low) / softness) as a share of its value at `high`: linear when faint, logarithmic when bright.

    Parameters
    ----------
    low, high : float
        Pixels that become 0 and 1, in the pixels' unit; nothing is clipped.
    softness : float
        Where linear turns to logarithmic, in the pixels' unit (Lupton, Gunn & Szalay 1999).

    Examples
    --------
    >>> stretch = Asinh(low=0.0, high=100.0, softness=1.0)
    >>> pixels = np.array([0.0, 3.0, 100.0])
    >>> bool(np.allclose(stretch.inverse(stretch(pixels)), pixels))
    True
    """

    low: float = 0.0
    high: float = 1.0
    softness: float = 0.1

    def __post_init__(self):
        if not (self.high > self.low and self.softness > 0):
            raise ValueError(
                f"low={self.low}, high={self.high}, softness={self.softness}: wanted low < high, softness > 0"
            )

    @classmethod
    def of(
        cls, pixels: np.ndarray, *, faint: float = 50.0, bright: float = 99.8, softness: float = 0.02
    ) -> Asinh:
        """The stretch whose low and high are percentiles of finite `pixels`, softness a share of their distance."""
        low, high = _percentiles(pixels, faint, bright)
        return cls(low, high, softness * (high - low))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return np.arcsinh((_float(pixels) - self.low) / self.softness) / self._top

    def inverse(self, stretched: np.ndarray) -> np.ndarray:
        """Pixels, in their unit, of stretched ones."""
        return np.sinh(_float(stretched) * self._top) * self.softness + self.low

    @property
    def _top(self) -> float:
        return float(np.arcsinh((self.high - self.low) / self.softness))


@dataclass(frozen=True)
class Lupton:
    """Lupton+2004's color-preserving asinh: all bands of a pixel share the stretch of their mean.

    Parameters
    ----------
    low : float
        Pixels that become black, in the pixels' unit.
    stretch : float
        The linear range, in the pixels' unit; `q` is the asinh softening. As astropy's make_lupton_rgb,
        without its clipping, so that it can be undone.

    Examples
    --------
    >>> stretch = Lupton(stretch=5.0, q=8.0)
    >>> pixels = np.random.default_rng(0).random((2, 3, 4, 4)) * 20
    >>> bool(np.allclose(stretch.inverse(stretch(pixels)), pixels, rtol=1e-5))
    True
    """

    low: float = 0.0
    stretch: float = 5.0
    q: float = 8.0

    def __post_init__(self):
        if not (self.stretch > 0 and self.q > 0):
            raise ValueError(f"stretch={self.stretch}, q={self.q}: wanted both positive")

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Of pixels (n, band, y, x) or (band, y, x); a pixel whose bands sum to zero stays as it is times the linear slope."""
        pixels = _float(pixels) - self.low
        mean = pixels.mean(axis=-3, keepdims=True)
        return pixels * _ratio(
            np.arcsinh(mean * self.q / self.stretch) * self._slope, mean, self._slope * self.q / self.stretch
        )

    def inverse(self, stretched: np.ndarray) -> np.ndarray:
        """Pixels, in their unit, of stretched ones."""
        stretched = _float(stretched)
        mean = stretched.mean(axis=-3, keepdims=True)
        back = np.sinh(mean / self._slope) * self.stretch / self.q
        return stretched * _ratio(back, mean, self.stretch / self.q / self._slope) + self.low

    @property
    def _slope(self) -> float:
        # astropy's: 0.1 is the share of the range that the linear part takes.
        return 0.1 / float(np.arcsinh(0.1 * self.q))


@dataclass(frozen=True)
class Linear:
    """(pixels - low) / (high - low), nothing clipped.

    Examples
    --------
    >>> Linear.of(np.arange(101.0), faint=0, bright=100)(np.array([50.0]))
    array([0.5])
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self):
        if not self.high > self.low:
            raise ValueError(f"low={self.low}, high={self.high}: wanted low < high")

    @classmethod
    def of(cls, pixels: np.ndarray, *, faint: float = 1.0, bright: float = 99.5) -> Linear:
        """The stretch between two percentiles of finite `pixels`."""
        return cls(*_percentiles(pixels, faint, bright))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return (_float(pixels) - self.low) / (self.high - self.low)

    def inverse(self, stretched: np.ndarray) -> np.ndarray:
        """Pixels, in their unit, of stretched ones."""
        return _float(stretched) * (self.high - self.low) + self.low


def _percentiles(pixels: np.ndarray, faint: float, bright: float) -> tuple[float, float]:
    finite = np.asarray(pixels)[np.isfinite(pixels)]
    if not finite.size:
        raise ValueError("no finite pixel, wanted some to take percentiles of")
    low, high = (float(value) for value in np.percentile(finite, (faint, bright)))
    return low, high if high > low else low + 1.0  # a constant image becomes zero


def _ratio(above: np.ndarray, below: np.ndarray, limit: float) -> np.ndarray:
    """above / below, with its limit where both vanish."""
    small = np.abs(below) < 1e-12
    return np.where(small, limit, above / np.where(small, 1.0, below))


def _float(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels, dtype=np.float64)
