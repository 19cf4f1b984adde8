"""Survey simulation: galaxies without noise, as a survey would have seen them.

Sky in, pixels out: `observe` convolves with the survey's point-spread function, resamples to its pixels and
adds the noise of its sky, its photons and its read-out, by GalSim (extra `sim`; Rowe+2015). `linear` undoes,
as far as that can be done, the display stretch in which models of survey pictures draw. Not simulated:
saturation, cosmic rays, neighbors, and noise that is correlated between the pixels of a resampled coadd.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from .errors import BadInput, BandMismatch, need, one_of
from .images import Images
from .instruments import AB_NJY, Band, Instrument, named
from .morphology import measure
from .stretch import Lupton, Stretch

# The curve of SDSS' color pictures (Lupton+2004, with Q = 8). Galaxy Zoo made its pictures 8.48 Petrosian R90
# wide; of 1,926 of them (their middle 207 of 424 pixels), inverted so, the median R90 comes out 5 % too
# large, without the inversion 38 % too large, with Q = 10 12 % too small.
SDSS_PICTURES = Lupton(low=0.0, stretch=1.0, q=8.0)


def linear(images: Images, *, stretch: Stretch = SDSS_PICTURES) -> Images:
    """Light, in an arbitrary linear unit and without the sky's pedestal, of pictures in a display stretch.

    Parameters
    ----------
    images : Images
        Pixels from 0 to 1; what lies outside is clipped. A model's samples should be noise-free.
    stretch : Stretch
        That the pictures were made with.

    Notes
    -----
    An approximation, fit for shapes and not for photometry. The default inverts the curve of SDSS' color
    pictures, not the weights of their bands, which are not known here: colors are those of the picture.
    Where a pixel is saturated (a band at 1) its light is a lower limit, so bright cores come out too faint.
    Steps of 8 bits and of JPEG are stretched along; what is fainter than 1/255 of the range is lost. The
    median of the corners is taken as sky in each band, so a galaxy that reaches them loses its outskirts.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> disk = np.exp(-np.hypot(x, y) / 4)[None, None].repeat(3, axis=1)
    >>> bool(np.allclose(linear(Images(SDSS_PICTURES(disk))).pixels, disk, atol=2e-4))
    True
    """
    _finite(images)
    light = stretch.inverse(np.clip(images.pixels, 0.0, 1.0))
    side = max(min(images.shape) // 8, 1)
    ends = np.r_[:side, -side:0]
    sky = np.median(light[:, :, ends[:, None], ends], axis=(2, 3), keepdims=True)
    return images.with_pixels(light - sky)


def observe(
    images: Images,
    instrument: Instrument | str,
    *,
    magnitude: float | np.ndarray | None = None,
    half_light_radius_arcsec: float | np.ndarray | None = None,
    bands: Mapping[str, str | tuple[str, ...]] | None = None,
    field_arcsec: float | None = None,
    psf_fwhm_arcsec: float = 0.0,
    sharpen: bool = False,
    noise: bool = True,
    seed: int = 0,
) -> Images:
    """Galaxies as a survey would have seen them, in nJy a pixel, sky subtracted.

    Parameters
    ----------
    images : Images
        Without noise and without sky, in a linear unit: nJy a pixel unless `magnitude` is given.
    instrument : Instrument or str
        Such as `LSST`, or its short name; `dataclasses.replace` makes one of your own.
    magnitude : float or array (n,), optional
        AB magnitude of the mean of all bands of a galaxy, summed over the image; colors stay as they are.
    half_light_radius_arcsec : float or array (n,), optional
        Puts each galaxy on the sky at this size (as `measure` finds it in the input, circularised), whatever
        the images' pixel scale.
    bands : mapping, optional
        From a band of the survey to that of the images, or to several whose mean is taken:
        ``{"VIS": ("r", "i")}``. Those that have the same name in both, where not given.
    field_arcsec : float, optional
        Width of the images that are made; the width of the largest input where not given.
    psf_fwhm_arcsec : float
        Of the point-spread function that the input holds already, a Kolmogorov profile on the sky where the
        galaxies are put; it is deconvolved. 0: the input is the sky itself.
    sharpen : bool
        Go on where the survey is sharper than the input; what is finer than the input is then interpolation.
    noise : bool
        False: what the survey would have seen in infinitely many exposures.
    seed : int
        The noise of a galaxy depends on (seed, id), survey and band alone.

    Returns
    -------
    Images
        In the survey's bands, pixels and field; ids, places and table as they were, and the columns
        magnitude_BAND and signal_to_noise_BAND (of the noise-free image, with the best weights).

    Raises
    ------
    BadInput
        For a pixel that is not finite, images without a scale, a galaxy without light, or a survey that is
        sharper than the input.
    BandMismatch
        If a band of the images is missing.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> galaxy = Images(np.exp(-np.hypot(x, y) / 6)[None, None], bands=("r",))
    >>> seen = observe(galaxy, "lsst", magnitude=22.0, half_light_radius_arcsec=1.0)
    >>> seen.bands, seen.pixel_scale, bool(seen.table["signal_to_noise_r"][0] > 100)
    (('r',), 0.2, True)
    """
    galsim = need("galsim", extra="sim")
    instrument = named(instrument)
    _finite(images)
    chosen = _chosen(images, instrument, bands)
    scales = _scales(images, half_light_radius_arcsec)
    flux = _flux(images, magnitude)
    if not sharpen:
        _resolved(images, instrument, chosen, np.maximum(scales, psf_fwhm_arcsec))
    field = field_arcsec or max(images.shape) * scales.max(initial=0.0)
    size = max(round(field / instrument.pixel_scale), 1)
    pixels = np.zeros((len(images), len(chosen), size, size))
    table = Table(images.table, copy=True)
    for k, (name, sources) in enumerate(chosen.items()):
        band, psf = instrument[name], instrument.psf(name)
        if psf_fwhm_arcsec:
            psf = galsim.Convolve(psf, galsim.Deconvolve(galsim.Kolmogorov(fwhm=psf_fwhm_arcsec)))
        planes = images[list(sources)].pixels.mean(axis=1, dtype=np.float64) * flux[:, None, None]
        snr = np.zeros(len(images))
        for row, plane in enumerate(planes):
            sky = galsim.InterpolatedImage(galsim.Image(plane, scale=scales[row]))
            image = galsim.ImageD(size, size, scale=instrument.pixel_scale)
            galsim.Convolve(sky, psf).drawImage(image, method="no_pixel")
            deviate = _deviate(seed, images.id[row], instrument.name, name)
            snr[row] = _expose(image, band, deviate if noise else None)
            pixels[row, k] = image.array
        with np.errstate(divide="ignore", invalid="ignore"):
            table[f"magnitude_{name}"] = AB_NJY - 2.5 * np.log10(planes.sum(axis=(1, 2)))
        table[f"signal_to_noise_{name}"] = snr
    return Images(pixels, images.id, tuple(chosen), images.ra, images.dec, instrument.pixel_scale, table)


def _expose(image, band: Band, deviate) -> float:
    """Add the coadd's noise to a GalSim image in nJy, where there is a deviate; its signal-to-noise ratio."""
    import galsim

    image *= band.electrons_per_njy
    sky = band.sky_electrons * image.scale**2
    variance = np.maximum(image.array, 0) + sky + band.read_variance
    snr = np.sqrt((image.array**2 / variance).sum())
    if deviate is not None:
        image.addNoise(galsim.CCDNoise(deviate, sky, gain=1.0, read_noise=band.read_variance**0.5))
    image /= band.electrons_per_njy
    return snr


def _finite(images: Images) -> None:
    if not isinstance(images, Images):
        raise TypeError(
            f"images is a {type(images).__name__}, wanted Images; make them with galnb.Images(pixels)"
        )
    images.demand_finite()


def _chosen(images: Images, instrument: Instrument, bands: Mapping | None) -> dict[str, tuple[str, ...]]:
    """Of each band of the survey that is to be made, the bands of the images that it is the mean of."""
    if bands is None:
        shared = {band: (band,) for band in instrument.bands if band in images.bands}
        if not shared:
            todo = f"say which is which, such as bands={{{instrument.bands[0]!r}: {images.bands[0]!r}}}"
            raise BandMismatch(images.bands, instrument.bands, todo)
        return shared
    for band in bands:
        one_of("band", band, instrument.bands)
    chosen = {band: (given,) if isinstance(given, str) else tuple(given) for band, given in bands.items()}
    images[
        [band for sources in chosen.values() for band in dict.fromkeys(sources)]
    ]  # raises for a missing one
    return chosen


def _each(name: str, given: float | np.ndarray, n: int) -> np.ndarray:
    """One finite number a galaxy (n,)."""
    values = np.asarray(given, dtype=np.float64)
    if values.shape not in ((), (n,)) or not np.isfinite(values).all():
        raise ValueError(
            f"{name} has shape {values.shape}, wanted one finite number, or one for each of {n} galaxies"
        )
    return np.broadcast_to(values, n)


def _scales(images: Images, radius_arcsec: float | np.ndarray | None) -> np.ndarray:
    """Arcseconds of a pixel of each image (n,)."""
    if radius_arcsec is None:
        if not images.pixel_scale:
            raise BadInput(
                "Images",
                "they have no pixel_scale, wanted arcseconds a pixel; give half_light_radius_arcsec, or "
                "dataclasses.replace(images, pixel_scale=...)",
            )
        return np.full(len(images), float(images.pixel_scale))
    radius = _each("half_light_radius_arcsec", radius_arcsec, len(images))
    if (radius <= 0).any():
        raise ValueError(f"half_light_radius_arcsec={radius.min()}, wanted more than 0")
    found = np.asarray(measure(images, background=0.0)["half_light_radius"])
    lost = ~(found > 0)
    if lost.any():
        raise BadInput(
            f"Images, id {images.id[lost][0]}", "no galaxy at its center to measure, wanted one; leave it out"
        )
    return radius / found


def _flux(images: Images, magnitude: float | np.ndarray | None) -> np.ndarray:
    """nJy that a unit of each image is (n,)."""
    if magnitude is None:
        return np.ones(len(images))
    wanted = 10 ** (0.4 * (AB_NJY - _each("magnitude", magnitude, len(images))))
    light = images.pixels.mean(axis=1, dtype=np.float64).sum(axis=(1, 2))
    dark = light <= 0
    if dark.any():
        raise BadInput(
            f"Images, id {images.id[dark][0]}",
            f"its pixels add up to {light[dark][0]:.3g}, wanted light to give a magnitude to; leave it out",
        )
    return wanted / light


def _resolved(images: Images, instrument: Instrument, chosen: Mapping, held: np.ndarray) -> None:
    """Refuse a survey that is sharper than what the images hold (n,), in arcseconds."""
    sharpest = min(instrument[band].fwhm_arcsec for band in chosen)
    coarse = held > sharpest * (1 + 1e-6)
    if coarse.any():
        raise BadInput(
            f"Images, id {images.id[coarse][0]}",
            f'it holds nothing finer than {held[coarse][0]:.3g}" (its point-spread function, or its pixel), '
            f'wanted the {sharpest:.3g}" of {instrument.name}; make the galaxy smaller, or give sharpen=True',
        )


def _deviate(seed: int, *names):
    """GalSim's random numbers that depend on seed and names alone."""
    import galsim

    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return galsim.BaseDeviate(int.from_bytes(digest[:4], "big") % (2**31 - 2) + 1)  # 0 would be the clock
