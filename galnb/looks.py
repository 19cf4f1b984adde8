"""Looks: how a survey makes pictures of its light, as far as what was stored of them tells.

From light in survey pixels to the picture that people see: `Steps` stretches, rounds, compresses and
resamples as the survey did, and lays light on sky of which only such pictures are left.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace

import numpy as np

from .instruments import SDSS, Instrument
from .observing import SDSS_PICTURES
from .sky import SkyStock, smoothness
from .stretch import Stretch

QUALITY = 80  # of JPEGs, see GALAXY_ZOO


@dataclass(frozen=True)
class Look:
    """How a survey makes pictures of its light.

    Parameters
    ----------
    instrument : Instrument
    bands : tuple of str
        Of the pictures, in their order.
    unit_njy : tuple of float
        Of each band, the nJy a survey pixel that the stretch takes for 1.
    pedestal : tuple of float
        Of each band, the level of the sky in that unit, before what is below 0 becomes black.
    stretch : Stretch
    pixel_r90 : float
        Petrosian R90 a pixel of the pictures that the survey's are resampled to, and stored, before they
        are brought to their size.
    r90_band : str
        The band that R90 is measured in.

    Raises
    ------
    ValueError
        Unless there are a unit above 0 and a pedestal for each band.
    """

    instrument: Instrument
    bands: tuple[str, ...]
    unit_njy: tuple[float, ...]
    pedestal: tuple[float, ...]
    stretch: Stretch
    pixel_r90: float
    r90_band: str

    def __post_init__(self):
        n = len(self.bands)
        if not len(self.unit_njy) == len(self.pedestal) == n or min(self.unit_njy, default=0) <= 0:
            raise ValueError(
                f"unit_njy={self.unit_njy}, pedestal={self.pedestal}: wanted a unit above 0 and a pedestal "
                f"for each of {n} bands"
            )

    @property
    def noise(self) -> np.ndarray:
        """Deviation (band, 1, 1) of a survey pixel of blank sky, in the unit of the stretch."""
        return column([self.instrument.noise_njy(band) for band in self.bands]) / column(self.unit_njy)


# How Galaxy Zoo 2 made its pictures of SDSS (Willett+2013): i, r and g as red, green and blue, 424 px of 0.02
# Petrosian R90. What is not written down was fitted to 1,500 of them. The units' ratios make of SDSS' median
# colors (r < 17: g-r 0.82, r-i 0.40) those in the pictures' linear light, 0.30 and 0.19; the unit gives
# blank sky the scatter of theirs, with the noise of `instruments.SDSS`, a median R90 of 7" and two JPEGs of
# QUALITY; the pedestals give its mean. The correlations between neighboring pixels and between bands, which
# change quickly with that quality, then come out right without more ado.
GALAXY_ZOO = Look(
    SDSS,
    bands=("i", "r", "g"),
    unit_njy=(2420.0, 2000.0, 1240.0),
    pedestal=(-0.0255, -0.0047, -0.0191),
    stretch=SDSS_PICTURES,
    pixel_r90=0.02,
    r90_band="r",
)
# Width of the pictures of 69 px that galnb's models learnt from: the middle 207 of Galaxy Zoo's 424. Of 1,500
# of them the median R90 is 17.1 px, and 69 / 4.14 = 16.7; were they the whole 424 px, it would be 8.1.
FIELD_R90 = 4.14


@dataclass(frozen=True)
class Steps:
    """From light, in the unit of the stretch, in survey pixels (band, y, x), to the picture.

    Its arguments are those of `ladder.like_survey`.
    """

    look: Look
    size: int
    stretch: bool
    bits: bool
    jpeg: int | None
    field_r90: float | None
    field_arcsec: float | None

    def __post_init__(self):
        for name in ("field_r90", "field_arcsec"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name}={value}, wanted more than 0")
        if self.field_r90 is None and self.field_arcsec is None:
            raise ValueError(
                "neither field_r90 nor field_arcsec came, wanted one of them; such as field_r90=4.14"
            )
        if self.size < 1:
            raise ValueError(f"size={self.size} pixels, wanted at least 1")
        if self.jpeg is not None and not 1 <= self.jpeg <= 95:
            raise ValueError(f"jpeg={self.jpeg}, wanted a quality from 1 to 95, or None")
        if self.jpeg is not None and len(self.look.bands) not in (1, 3):
            raise ValueError(f"a JPEG has 1 or 3 bands, not {len(self.look.bands)}; give jpeg=None")

    def __call__(self, light: np.ndarray, across: float) -> np.ndarray:
        """The picture of the middle `across` survey pixels."""
        picture = self._stored(self._shown(light))
        if self.field_arcsec is None:
            across, was = max(round(self.field_r90 / self.look.pixel_r90), 1), across
            picture = self._stored(_resampled(picture, across, was))
        return self._rounded(_resampled(picture, self.size, across))

    @property
    def level(self) -> np.ndarray | float:
        """Of sky, in the unit of the stretch (band, 1, 1); 0 in linear light, where nothing is clipped."""
        return column(self.look.pedestal) if self.stretch else 0.0

    def on(self, stock: SkyStock, light: np.ndarray, across: float, seed: int, name) -> np.ndarray:
        """The picture of light on real sky, which (seed, name) choose."""
        if not stock.display:
            sky = stock.compose([name], size=light.shape[-1], seed=seed).pixels[0]
            return self(light + sky / column(self.look.unit_njy) + self.level, across)
        look, pedestal = self.look, column(self.look.pedestal)
        digest = hashlib.sha256(f"{seed}/{name}/blank".encode()).digest()
        blank = np.random.default_rng(list(digest[:16])).normal(size=light.shape) * look.noise + pedestal
        stored = QUALITY if len(look.bands) in (1, 3) else None
        made = replace(self, stretch=True, bits=True, jpeg=stored)  # as the sky's pictures were
        like = float(smoothness(made(blank, across)[None])[0])
        sky = stock.compose([name], size=self.size, seed=seed, smoothness=like).pixels[0]
        picture = self(light, across)
        light = look.stretch.inverse(picture) if self.stretch else picture
        mean, scatter = clipped(light + pedestal, look.noise)
        black, least = clipped(pedestal, look.noise)
        return self._rounded(self._shown(mean + (sky - black) * scatter / least))

    def _shown(self, light: np.ndarray) -> np.ndarray:
        """Stretched; below 0 is black, and a band above 1 dims the others too, as in Lupton+2004."""
        if not self.stretch:
            return light
        picture = np.maximum(self.look.stretch(light), 0)
        return picture / np.maximum(picture.max(axis=0), 1)

    def _rounded(self, picture: np.ndarray) -> np.ndarray:
        if not self.stretch:
            return picture
        picture = picture.clip(0, 1)
        return np.rint(picture * 255) / 255 if self.bits else picture

    def _stored(self, picture: np.ndarray) -> np.ndarray:
        """In 8 bits, and through a JPEG."""
        from PIL import Image

        picture = self._rounded(picture)
        if not (self.stretch and self.bits and self.jpeg):
            return picture
        levels = np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)
        file = io.BytesIO()
        Image.fromarray(levels.squeeze()).save(file, "JPEG", quality=self.jpeg, subsampling="4:2:0")
        levels = np.asarray(Image.open(file)).reshape(levels.shape)
        return levels.transpose(2, 0, 1) / 255.0


def _resampled(picture: np.ndarray, size: int, across: float) -> np.ndarray:
    """The middle `across` pixels (band, y, x) in `size` pixels: means, or bicubic where these are smaller."""
    corner = (picture.shape[-1] - across) / 2
    if size > across:
        from PIL import Image

        box = (corner, corner, corner + across, corner + across)
        planes = [Image.fromarray(plane.astype(np.float32)) for plane in picture]
        return np.array([plane.resize((size, size), Image.Resampling.BICUBIC, box=box) for plane in planes])
    edges = corner + np.arange(size + 1)[:, None] * across / size
    share = np.diff(np.clip(edges - np.arange(picture.shape[-1]), 0, 1), axis=0) * size / across
    return share @ picture @ share.T  # not PIL's box, which takes whole pixels and leaves some out


def clipped(mean: np.ndarray, scatter: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of Gaussian noise of which all below 0 became 0."""
    from scipy.stats import norm

    share, density = norm.cdf(mean / scatter), scatter * norm.pdf(mean / scatter)
    first = mean * share + density
    second = (mean**2 + scatter**2) * share + mean * density
    return first, np.sqrt(np.maximum(second - first**2, 0))


def column(values) -> np.ndarray:
    """Numbers of the bands as (band, 1, 1)."""
    return np.asarray(values, dtype=np.float64)[:, None, None]
