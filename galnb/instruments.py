"""Surveys as cameras: pixels, bands, point-spread functions and noise, from what each survey published.

    HST/ACS, COSMOS   single orbit, F814W       EUCLID   Wide Survey, VIS        DES   DR2, griz
    LSST              ten years, ugrizy         SDSS     DR7 to DR9, ugriz

Each number has its source beside it. `Instrument.depth` follows from them, and the tests hold it against the
depth that the survey published. `observing.observe` takes galaxies through them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import need, one_of

AB_NJY = 31.4  # AB magnitude of 1 nJy


@dataclass(frozen=True)
class Band:
    """One filter of a survey: its coadd is the sum of `exposures` exposures.

    Parameters
    ----------
    name : str
    zero_point : float
        AB magnitude that gives one electron a second, above the atmosphere where there is one.
    sky : float
        AB magnitudes per square arcsecond.
    exposure_s : float
        Seconds of one exposure.
    exposures : int
    fwhm_arcsec : float
        Full width at half maximum of a star in the survey's images.
    read_noise : float
        Electrons a pixel and exposure.
    gain : float
        Electrons per count; rounding to counts adds gain^2 / 12 to the variance of an exposure.
    """

    name: str
    zero_point: float
    sky: float
    exposure_s: float
    exposures: int
    fwhm_arcsec: float
    read_noise: float
    gain: float

    @property
    def electrons_per_njy(self) -> float:
        """Electrons in the coadd that 1 nJy gives."""
        return self.exposures * self.exposure_s * 10 ** (0.4 * (self.zero_point - AB_NJY))

    @property
    def sky_electrons(self) -> float:
        """Electrons in the coadd per square arcsecond of sky."""
        return self.exposures * self.exposure_s * 10 ** (0.4 * (self.zero_point - self.sky))

    @property
    def read_variance(self) -> float:
        """Electrons^2 in the coadd per pixel, of reading and of rounding to counts."""
        return self.exposures * (self.read_noise**2 + self.gain**2 / 12)


@dataclass(frozen=True)
class Telescope:
    """A pupil in space: an Airy pattern, blurred by a Gaussian (jitter, pixel, charge diffusion)."""

    diameter_m: float
    obscuration: float  # of the diameter
    wavelength_nm: float
    blur_arcsec: float  # FWHM of the Gaussian: with it a star is as wide as in the survey's images


@dataclass(frozen=True)
class Instrument:
    """A survey's camera and coadd.

    Parameters
    ----------
    name : str
    pixel_scale : float
        Arcseconds a pixel.
    filters : tuple of Band
    telescope : Telescope, optional
        In space. Where there is none, the point-spread function is that of the atmosphere (Kolmogorov).

    Examples
    --------
    >>> EUCLID.bands, round(EUCLID.depth("VIS", snr=10, aperture_arcsec=1.3), 1)
    (('VIS',), 25.5)
    """

    name: str
    pixel_scale: float
    filters: tuple[Band, ...]
    telescope: Telescope | None = None

    @property
    def bands(self) -> tuple[str, ...]:
        return tuple(band.name for band in self.filters)

    def __getitem__(self, band: str) -> Band:
        """A filter by name; ValueError for another name."""
        one_of("band", band, self.bands)
        return self.filters[self.bands.index(band)]

    def psf(self, band: str):
        """The point-spread function, pixel included, as a GalSim object: draw it with "no_pixel"."""
        galsim = need("galsim", extra="sim")
        if self.telescope is None:
            return galsim.Kolmogorov(fwhm=self[band].fwhm_arcsec)
        pupil = self.telescope
        optics = galsim.Airy(lam=pupil.wavelength_nm, diam=pupil.diameter_m, obscuration=pupil.obscuration)
        return galsim.Convolve(optics, galsim.Gaussian(fwhm=pupil.blur_arcsec))

    def noise_njy(self, band: str) -> float:
        """Standard deviation (nJy) of a pixel of blank sky."""
        seen = self[band]
        variance = seen.sky_electrons * self.pixel_scale**2 + seen.read_variance
        return variance**0.5 / seen.electrons_per_njy

    def depth(self, band: str, *, snr: float = 5.0, aperture_arcsec: float | None = None) -> float:
        """AB magnitude of the star that is seen at a signal-to-noise ratio.

        Parameters
        ----------
        aperture_arcsec : float, optional
            Diameter of the aperture; only light inside it is counted. With the best weights for the
            point-spread function, where not given.
        """
        seen = self[band]
        step = seen.fwhm_arcsec / 12
        star = self.psf(band).drawImage(nx=257, ny=257, scale=step, method="no_pixel").array.astype(float)
        if aperture_arcsec is None:
            share, area = 1.0, step**2 / np.square(star).sum()
        else:
            y, x = np.indices(star.shape) - 128
            share = star[np.hypot(x, y) * step <= aperture_arcsec / 2].sum()
            area = np.pi * aperture_arcsec**2 / 4
        variance = area * (seen.sky_electrons + seen.read_variance / self.pixel_scale**2)
        electrons = (snr**2 + np.sqrt(snr**4 + 4 * snr**2 * variance)) / 2 / share
        return float(AB_NJY - 2.5 * np.log10(electrons / seen.electrons_per_njy))


def _filters(names: str, **columns) -> tuple[Band, ...]:
    """Bands from columns of numbers; one number serves all."""
    names = names.split()
    full = {k: v if isinstance(v, tuple) else (v,) * len(names) for k, v in columns.items()}
    return tuple(Band(name, **{k: v[i] for k, v in full.items()}) for i, name in enumerate(names))


ACS = Instrument(
    "HST/ACS COSMOS",
    pixel_scale=0.03,  # of the drizzled images (Koekemoer+2007, section 4)
    filters=_filters(
        "F814W",
        zero_point=25.94,  # Koekemoer+2007; ACS zero points of 2003 to 2005
        # So that blank sky in an aperture of 0.24" is as noisy as in COSMOS itself, of which GalSim ships the
        # noise (getCOSMOSNoise); the field lies 9 degrees from the ecliptic, in bright zodiacal light.
        sky=21.5,
        exposure_s=507.0,
        exposures=4,  # together 2,028 s, one orbit (Koekemoer+2007, abstract)
        fwhm_arcsec=0.095,  # Koekemoer+2007, section 5
        read_noise=5.0 * 0.03 / 0.05,  # 5 electrons a native pixel of 0.05" (ACS Instrument Handbook)
        gain=1.0 * 0.03 / 0.05,  # 1 electron a count, native (Koekemoer+2007, section 2.1)
    ),
    # mirror: ACS Instrument Handbook, 0.33 of its diameter obscured; pivot wavelength of F814W
    telescope=Telescope(2.4, 0.33, 806.0, blur_arcsec=0.0705),
)
EUCLID = Instrument(
    "Euclid VIS",
    pixel_scale=0.1,  # Laureijs+2011; Cropper+2016
    filters=_filters(
        "VIS",
        zero_point=25.91,  # speclite's euclid-VIS response over the pupil, as galcheat 1.1.3 has it
        sky=22.35,  # average zodiacal light (Laureijs+2011; Refregier+2010, section 19.4)
        exposure_s=565.0,
        exposures=4,  # Euclid Wide Survey: four dithers (Euclid Consortium, "The VIS Instrument")
        fwhm_arcsec=0.16,  # Q1 images (Euclid Collaboration: McCracken+2025)
        read_noise=4.4,  # "less than 4.4 electrons in all channels" (Euclid Consortium)
        gain=3.4,  # electrons a count (Euclid Consortium)
    ),
    # 1.2 m (Laureijs+2011), 0.42 m obscured (GalSim-Euclid-Like, from the collecting area); 550 to 900 nm
    telescope=Telescope(1.2, 0.35, 725.0, blur_arcsec=0.114),
)
DES = Instrument(
    "DES",
    pixel_scale=0.263,  # NOIRLab, "DECam Characteristics"
    filters=_filters(
        "g r i z",
        zero_point=(
            26.72,
            26.99,
            26.86,
            26.58,
        ),  # speclite's decam2014 at airmass 1.3 over 3.934 m less 1.651 m
        sky=(22.01, 21.15, 19.89, 18.72),  # Abbott+2018 (DR1), table 1
        exposure_s=90.0,  # Abbott+2018, section 2.2
        # 76,217 exposures in five bands over 5,000 deg^2 (Abbott+2021), 2.7 deg^2 of live pixels each
        exposures=8,
        fwhm_arcsec=(1.11, 0.95, 0.88, 0.83),  # Abbott+2021 (DR2), abstract
        read_noise=7.0,  # NOIRLab, "DECam Characteristics"
        gain=4.0,
    ),
)
LSST = Instrument(
    "LSST",
    pixel_scale=0.2,  # SMTN-002
    filters=_filters(
        "u g r i z y",
        zero_point=(26.52, 28.51, 28.36, 28.17, 27.78, 26.82),  # SMTN-002, throughputs v1.9
        sky=(23.05, 22.25, 21.20, 20.46, 19.61, 18.60),  # SMTN-002, zenith, dark
        exposure_s=30.0,  # a visit
        exposures=(56, 80, 184, 184, 160, 160),  # visits in ten years (Ivezic+2019, table 1)
        # FWHM_geom = 0.822 FWHM_eff + 0.052 of FWHM_eff = 0.92, 0.87, 0.83, 0.80, 0.78, 0.76 (SMTN-002)
        fwhm_arcsec=(0.81, 0.77, 0.73, 0.71, 0.69, 0.68),
        read_noise=9.0,  # dark current included (LSE-59, by SMTN-002)
        gain=1.6,  # SMTN-002: 1.5 to 1.7
    ),
)
SDSS = Instrument(
    "SDSS",
    pixel_scale=0.396,  # DR9, "Imaging data statistics"
    filters=_filters(
        "u g r i z",
        zero_point=(23.65, 25.80, 25.69, 25.35, 23.37),  # speclite's sdss2010 (Doi+2010), 2.5 m less 1.17 m
        # r: median of DR7 ("Seeing and sky brightness"); the others by the colors of SMTN-002's dark sky
        sky=(22.71, 21.91, 20.86, 20.12, 19.27),
        exposure_s=53.9,  # DR9, "Imaging data statistics"
        exposures=1,
        # r: median of DR9, "Imaging data statistics"; the others by wavelength^-0.3 (Xin+2018)
        fwhm_arcsec=(1.53, 1.41, 1.30, 1.23, 1.16),
        # medians over the six camera columns of the gains and dark variances in the data model of "frame"
        read_noise=(4.9, 4.6, 5.2, 12.2, 5.1),
        gain=(1.60, 3.85, 4.72, 4.87, 4.76),
    ),
)
INSTRUMENTS = {"acs": ACS, "euclid": EUCLID, "des": DES, "lsst": LSST, "sdss": SDSS}


def named(instrument: str | Instrument) -> Instrument:
    """A survey by its short name: "acs", "euclid", "des", "lsst" or "sdss"; one of your own is given back.

    >>> named("lsst").pixel_scale
    0.2
    """
    if isinstance(instrument, Instrument):
        return instrument
    one_of("instrument", instrument, INSTRUMENTS)
    return INSTRUMENTS[instrument]
