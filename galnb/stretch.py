"""Stretches: survey pixels made fit for eyes and networks, and back.

Each is called on Images, or on an array (..., band, y, x) of any unit, and gives the same kind back: an
array as float64, Images as their float32. Nothing is clipped, so `inverse` undoes it to 1e-5, even
through float32; pixels outside low to high fall outside 0 to 1. NaN pixels stay NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .images import Images


class Stretch:
    """What stretches share: `stretch(pixels)` and `stretch.inverse(stretched)`, of Images or arrays."""

    def __call__(self, pixels: Images | np.ndarray) -> Images | np.ndarray:
        """Pixels, stretched."""
        return _on(self._forward, pixels)

    def inverse(self, stretched: Images | np.ndarray) -> Images | np.ndarray:
        """Pixels, in their unit, of stretched ones."""
        return _on(self._backward, stretched)


@dataclass(frozen=True)
class Asinh(Stretch):
    """asinh((pixels - low) / softness) over its value at `high`: linear when faint, logarithmic when bright.

    Parameters
    ----------
    low, high : float
        Pixels that become 0 and 1, in the pixels' unit.
    softness : float
        Where linear turns to logarithmic, in the pixels' unit (Lupton, Gunn & Szalay 1999).

    Raises
    ------
    ValueError
        Unless low < high and softness > 0.

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
        cls,
        pixels: Images | np.ndarray,
        *,
        faint: float = 50.0,
        bright: float = 99.8,
        softness: float = 0.02,
    ) -> Asinh:
        """The stretch between two percentiles of finite `pixels`; `softness` is a share of their distance.

        A constant image becomes zero. Raises ValueError where no pixel is finite.
        """
        low, high = _percentiles(pixels, faint, bright)
        return cls(low, high, softness * (high - low))

    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        return np.arcsinh((pixels - self.low) / self.softness) / self._top

    def _backward(self, stretched: np.ndarray) -> np.ndarray:
        return np.sinh(stretched * self._top) * self.softness + self.low

    @property
    def _top(self) -> float:
        return float(np.arcsinh((self.high - self.low) / self.softness))


@dataclass(frozen=True)
class Lupton(Stretch):
    """Lupton+2004's color-preserving asinh: all bands of a pixel share the stretch of their mean.

    Parameters
    ----------
    low : float
        Pixels that become black, in the pixels' unit.
    stretch : float
        The linear range, in the pixels' unit.
    q : float
        The asinh softening. Both as in astropy's make_lupton_rgb, of which this lacks the clipping.

    Raises
    ------
    ValueError
        Unless stretch and q are positive.

    Notes
    -----
    A pixel is as its mean is: where one band is NaN, all are. Where bands differ in sign and nearly cancel,
    their rounding errors do not, and the inverse loses digits.

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

    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        scaled = (pixels - self.low) * self.q / self.stretch
        mean = scaled.mean(axis=-3, keepdims=True)
        return scaled * self._slope * _ratio(np.arcsinh(mean), mean)

    def _backward(self, stretched: np.ndarray) -> np.ndarray:
        scaled = stretched / self._slope
        mean = scaled.mean(axis=-3, keepdims=True)
        return scaled * _ratio(np.sinh(mean), mean) * self.stretch / self.q + self.low

    @property
    def _slope(self) -> float:
        # astropy's: 0.1 is the share of the range that the linear part takes.
        return 0.1 / float(np.arcsinh(0.1 * self.q))


@dataclass(frozen=True)
class Linear(Stretch):
    """(pixels - low) / (high - low).

    Parameters
    ----------
    low, high : float
        Pixels that become 0 and 1, in the pixels' unit.

    Raises
    ------
    ValueError
        Unless low < high.

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
    def of(cls, pixels: Images | np.ndarray, *, faint: float = 1.0, bright: float = 99.5) -> Linear:
        """The stretch between two percentiles of finite `pixels`.

        A constant image becomes zero. Raises ValueError where no pixel is finite.
        """
        return cls(*_percentiles(pixels, faint, bright))

    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        return (pixels - self.low) / (self.high - self.low)

    def _backward(self, stretched: np.ndarray) -> np.ndarray:
        return stretched * (self.high - self.low) + self.low


def _on(stretch, pixels: Images | np.ndarray) -> Images | np.ndarray:
    if isinstance(pixels, Images):
        return pixels.with_pixels(_on(stretch, pixels.pixels))
    return stretch(np.asarray(pixels, dtype=np.float64))


def _percentiles(pixels: Images | np.ndarray, faint: float, bright: float) -> tuple[float, float]:
    values = pixels.pixels if isinstance(pixels, Images) else np.asarray(pixels)
    if not 0 <= faint < bright <= 100:
        raise ValueError(
            f"faint={faint}, bright={bright}: wanted percentiles, the faint one below the bright"
        )
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("no finite pixel, wanted some to take percentiles of; drop such images first")
    low, high = (float(value) for value in np.percentile(finite, (faint, bright)))
    return low, high if high > low else low + 1.0


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, with its limit of one where both vanish."""
    zero = below == 0
    return np.where(zero, 1.0, above / np.where(zero, 1.0, below))
