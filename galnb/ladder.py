"""The realism ladder: simulations without noise made to look like a survey's pictures, step by step.

`like_survey` takes galaxies through a survey's camera, its sky and its way of making pictures; `ladder` does
so with one step more from rung to rung; `looks.GALAXY_ZOO` is how Galaxy Zoo 2 made its pictures of SDSS. Not
simulated: other objects in the field, saturation, cosmic rays, and a sky or seeing that varies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .errors import BadInput, BandMismatch
from .images import Images
from .instruments import AB_NJY, Instrument, named
from .looks import FIELD_R90, GALAXY_ZOO, QUALITY, Look, Steps, column
from .morphology import ETA
from .observing import observe
from .sky import SkyStock
from .sources.simulator import Galaxy, Simulator

MARGIN = 4  # survey pixels around a field, for the resampling


def like_survey(
    images: Images,
    look: Look = GALAXY_ZOO,
    *,
    magnitude: float | np.ndarray | None = None,
    half_light_radius_arcsec: float | np.ndarray | None = None,
    bands: Mapping[str, str | tuple[str, ...]] | None = None,
    psf: bool = True,
    noise: bool = True,
    sky: Images | SkyStock | None = None,
    stretch: bool = True,
    bits: bool = True,
    jpeg: int | None = QUALITY,
    field_r90: float | None = FIELD_R90,
    r90_arcsec: float | np.ndarray | None = None,
    field_arcsec: float | None = None,
    size: int = 69,
    sharpen: bool = False,
    seed: int = 0,
) -> Images:
    """Galaxies as they would be in the pictures of a survey.

    Parameters
    ----------
    images, magnitude, half_light_radius_arcsec, bands, sharpen
        As of `observe`: galaxies without noise, in nJy a pixel or of a magnitude, on their own pixel scale or
        at a size on the sky.
    psf : bool
        False: the survey's pixels, but not its point-spread function.
    noise : bool
        Of the galaxy's photons, of the sky and of the read-out.
    sky : Images or SkyStock, optional
        Real sky, in place of simulated noise of sky and read-out: pictures of the survey in its stretch; or
        with its pixel scale, in nJy a pixel. A stock that is made once saves time.
    stretch : bool
        False: linear light, in nJy a survey pixel; there are then no 8 bits and no JPEG.
    bits : bool
        Round to 8 bits wherever a picture is stored. False: there is then no JPEG.
    jpeg : int, optional
        Quality, 1 to 95, of the survey's pictures and again of the resampled ones, chroma at half resolution
        (4:2:0). None: no JPEG.
    field_r90 : float, optional
        Width of a picture in Petrosian R90, measured with the PSF and without noise.
    r90_arcsec : float or array (n,), optional
        R90, where it is known.
    field_arcsec : float, optional
        Width of all pictures, in place of `field_r90`; pixels are then resampled once.
    size : int
        Pixels of a picture.
    seed : int
        Noise and sky of a galaxy depend on (seed, id), not on the other galaxies.

    Returns
    -------
    Images (n, band, size, size)
        In the bands of `look`, 0 to 1; the table with a column r90_arcsec where the field has its unit.

    Raises
    ------
    BadInput
        As `observe`; for a band without light, a galaxy without an R90 inside its image, or skies of another
        pixel scale or without empty sky.
    BandMismatch
        If a band is missing, of the images or of the skies.
    ValueError
        For a step that is out of its range.

    Notes
    -----
    Display pictures of sky do not know their scale any more: their sky is added in the pixels of the finished
    picture, by the inverse of the stretch and back. Its smoothness follows the galaxy (a sky begins with one
    of the pictures whose neighboring pixels are as correlated as those of noise made in this field), its
    scatter is that of the pictures. The unit of the stretch is tied to nJy once for the whole survey, though
    its sky varies by some 10 %. Black clips the noise of blank sky, so that its mean rises and its scatter
    falls; where a galaxy lifts it off the black this ends, so real sky is scaled and shifted there as clipped
    Gaussian noise would be.

    Examples
    --------
    >>> galaxies = sdss_like(2)
    >>> radius = galaxies.table["half_light_radius_arcsec"]
    >>> pictures = like_survey(galaxies, half_light_radius_arcsec=radius)
    >>> pictures.bands, pictures.pixels.shape
    (('i', 'r', 'g'), (2, 3, 69, 69))
    """
    if not isinstance(images, Images):
        raise TypeError(f"images is a {type(images).__name__}, wanted Images; make them with Images(pixels)")
    images.demand_finite()
    steps, stock = Steps(look, size, stretch, bits, jpeg, field_r90, field_arcsec), _stock(sky, look)
    camera = _camera(look.instrument, psf=psf, dark=stock is not None)
    chosen = {band: (bands or {}).get(band, band) for band in look.bands}
    _lit(images, chosen)
    values = {"magnitude": magnitude, "half_light_radius_arcsec": half_light_radius_arcsec}
    values["r90_arcsec"] = None if field_arcsec else r90_arcsec
    values = {name: _each(name, value, len(images)) for name, value in values.items() if value is not None}
    pixels = np.zeros((len(images), len(look.bands), size, size), dtype=np.float32)
    radii, step = np.full(len(images), np.nan), look.instrument.pixel_scale
    for row, name in enumerate(images.id):
        one = images[[row]]
        own = {"bands": chosen} | {key: value[row] for key, value in values.items()}
        radius = own.pop("r90_arcsec", None)
        if radius is None and not field_arcsec:
            radius = _r90(observe(one, look.instrument, noise=False, sharpen=sharpen, **own), look.r90_band)
        across = field_arcsec or field_r90 * radius
        own |= {"field_arcsec": across + MARGIN * step, "sharpen": sharpen or not psf, "seed": seed}
        light = observe(one, camera, noise=noise, **own).pixels[0] / column(look.unit_njy)
        if stock is None:
            pixels[row] = steps(light + noise * steps.level, across / step)
        else:
            pixels[row] = steps.on(stock, light, across / step, seed, name)
        radii[row] = radius or np.nan
    if not stretch:
        pixels *= column(look.unit_njy)
    table, scale = images.table.copy(), field_arcsec and field_arcsec / size
    if not field_arcsec:
        table["r90_arcsec"] = radii
    return replace(images, pixels=pixels, bands=look.bands, pixel_scale=scale, table=table)


def ladder(
    images: Images, look: Look = GALAXY_ZOO, *, sky: Images | SkyStock | None = None, **options
) -> dict[str, Images]:
    """The same galaxies with ever more of a survey in them.

    Parameters
    ----------
    images, look, sky
        As of `like_survey`.
    **options
        Its other arguments, but psf and noise.

    Returns
    -------
    dict of str to Images
        "profiles", "+ PSF", "+ noise" and, where sky is given, "+ real sky", which has it in place of the
        simulated noise of sky and read-out. Field, stretch, 8 bits, JPEG and size are those of every rung.

    Examples
    --------
    >>> galaxies = sdss_like(1)
    >>> rungs = ladder(galaxies, half_light_radius_arcsec=galaxies.table["half_light_radius_arcsec"])
    >>> {name: bool(images.pixels[0, :, :9, :9].std() > 0.005) for name, images in rungs.items()}  # the sky
    {'profiles': False, '+ PSF': False, '+ noise': True}
    """
    rungs = {
        "profiles": {"psf": False, "noise": False},
        "+ PSF": {"noise": False},
        "+ noise": {},
        "+ real sky": {"sky": _stock(sky, look)},
    }
    if sky is None:
        del rungs["+ real sky"]
    found = {}
    for name, steps in rungs.items():
        found[name] = like_survey(images, look, **options, **steps)
        if "r90_arcsec" in found[name].table.colnames:
            options["r90_arcsec"] = np.asarray(found[name].table["r90_arcsec"])
    return found


def njy(images: Images, instrument: Instrument | str, *, bands: Mapping[str, str] | None = None) -> Images:
    """nJy a pixel, of images in electrons a second: of simulations whose FITS cubes are in a camera's counts.

    Parameters
    ----------
    images : Images
    instrument : Instrument or str
        Whose zero points the counts have, above the atmosphere.
    bands : mapping, optional
        From a band of the survey to that of the images; those of the same name, where not given.

    Returns
    -------
    Images
        The bands that are named, in the survey's names.

    Raises
    ------
    BandMismatch
        If a band of the images is missing.

    Examples
    --------
    >>> counts = Images(np.ones((1, 1, 2, 2)), bands=("sloan/sdss_r",))
    >>> light = njy(counts, "sdss", bands={"r": "sloan/sdss_r"})
    >>> light.bands, round(float(light.pixels[0, 0, 0, 0]))
    (('r',), 192)
    """
    instrument = named(instrument)
    chosen = bands or {band: band for band in images.bands}
    factors = [10 ** (0.4 * (AB_NJY - instrument[band].zero_point)) for band in chosen]
    images = images[tuple(chosen.values())]
    return replace(images, pixels=images.pixels * column(factors), bands=tuple(chosen))


def sdss_like(n: int, seed: int = 0) -> Images:
    """Bulges and discs without PSF and noise, as large, bright and red as Galaxy Zoo's galaxies.

    For `like_survey`, with half_light_radius_arcsec of their table. Sizes and surface brightness are such
    that pictures are as smooth and as bright as those of Galaxy Zoo; what is fainter than r = 17 is drawn
    again. Color goes with the bulge, from that of blue spirals to that of ellipticals.

    Parameters
    ----------
    n : int
        Galaxies; galaxy i depends on (seed, i) alone.

    Returns
    -------
    Images (n, 3, 256, 256)
        Bands g, r and i, in nJy a pixel, without a pixel scale. The table is that of `Simulator`, with
        flux_BAND in nJy, half_light_radius_arcsec on the sky, and magnitude_r.

    Raises
    ------
    MissingPackage
        Without GalSim.

    Examples
    --------
    >>> galaxies = sdss_like(2)
    >>> galaxies.bands, bool((galaxies.table["magnitude_r"] < 17).all())
    (('g', 'r', 'i'), True)
    """
    drawn = _Main(n, size=256, bands=("g", "r", "i"), psf_fwhm_arcsec=0.0, seed=seed).read()
    sky = np.array([_on_the_sky(np.random.default_rng([seed, row, 1])) for row in range(n)])
    magnitude, radius, deviation = sky.T
    red = 0.55 + 0.62 * np.asarray(drawn.table["bulge_fraction"]) + 0.1 * deviation  # g-r
    colors = np.stack([red, np.zeros(n), -0.14 - 0.31 * red], axis=1)  # to r; r-i as of SDSS' galaxies
    flux_njy = 10 ** (0.4 * (AB_NJY - magnitude[:, None] - colors))
    flux = np.stack([drawn.table[f"flux_{band}"] for band in drawn.bands], axis=1)
    table = drawn.table
    for band, values in zip(drawn.bands, flux_njy.T, strict=True):
        table[f"flux_{band}"] = values
    table["half_light_radius_arcsec"], table["magnitude_r"] = radius, magnitude
    return replace(drawn, pixels=drawn.pixels * (flux_njy / flux)[:, :, None, None], pixel_scale=None)


def _on_the_sky(rng: np.random.Generator) -> tuple[float, float, float]:
    """Magnitude in r, half-light radius in arcsec, and a normal deviate, of a galaxy with r < 17."""
    while True:
        radius = max(2.3 * np.exp(0.4 * rng.normal()), 1.2)
        magnitude = 19.95 + 0.75 * rng.normal() - 2.5 * np.log10(2 * np.pi * radius**2)
        if magnitude < 17:
            return magnitude, radius, rng.normal()


class _Main(Simulator):
    """Galaxies in images of 22 half-light radii, which hold all that is seen of a bulge's wings."""

    def _galaxy(self, rng: np.random.Generator) -> Galaxy:
        return replace(super()._galaxy(rng), radius=self.size * self.pixel_scale / 22)

    def _light(self, galaxy: Galaxy, band: int):
        # coarser still: six times as quick, and a bulge's peak moves by another 2 %
        return super()._light(galaxy, band).withGSParams(maxk_threshold=2e-2)


class _Pinhole(Instrument):
    """A survey's camera without a point-spread function: light is summed over a pixel."""

    def psf(self, band: str):
        import galsim

        return galsim.Pixel(self.pixel_scale)


def _camera(instrument: Instrument, *, psf: bool, dark: bool) -> Instrument:
    """The camera, if wanted without its point-spread function, or noisy by a galaxy's photons alone."""
    filters = instrument.filters
    if dark:
        filters = tuple(replace(band, sky=99.0, read_noise=0.0, gain=0.0) for band in filters)
    if psf:
        return replace(instrument, filters=filters)
    return _Pinhole(instrument.name, instrument.pixel_scale, filters)


def _r90(seen: Images, band: str) -> float:
    """Arcseconds around the middle that hold 90 % of the light within two Petrosian radii (Blanton+2001)."""
    plane = seen[band].pixels[0, 0].astype(np.float64)
    y, x = np.indices(plane.shape) - (len(plane) - 1) / 2
    order = np.argsort(np.hypot(y, x), axis=None)
    radii = np.arange(1.0, len(plane) / 2, 0.25)
    light = np.interp(radii, np.hypot(y, x).ravel()[order], plane.ravel()[order].cumsum())
    ring = np.interp(1.25 * radii, radii, light) - np.interp(0.8 * radii, radii, light)
    local = ring / (1.25**2 - 0.8**2)  # both this and light are to be divided by pi r^2
    faint = (local < ETA * light) & (1.25 * radii <= radii[-1]) & (0.8 * radii >= radii[0])
    if not faint.any():
        raise BadInput(
            f"Images, id {seen.id[0]}",
            f"no Petrosian radius in band {band!r} inside its image, wanted a galaxy in the middle with some "
            "sky around it; give r90_arcsec",
        )
    aperture = min(2 * radii[faint][0], radii[-1])
    wanted = 0.9 * np.interp(aperture, radii, light)
    return float(np.interp(wanted, np.maximum.accumulate(light), radii)) * seen.pixel_scale


def _stock(sky: Images | SkyStock | None, look: Look) -> SkyStock | None:
    """A stock in the bands of the look."""
    if sky is None:
        return None
    scale = look.instrument.pixel_scale
    stock = sky
    if not isinstance(sky, SkyStock):
        stock = SkyStock(sky[look.bands], stretch=look.stretch if sky.pixel_scale is None else None)
    if not stock.display and not np.isclose(stock.images.pixel_scale or 0.0, scale, rtol=1e-3):
        raise BadInput(
            "sky",
            f"its linear pictures have pixel_scale={stock.images.pixel_scale}, wanted the survey's {scale}; "
            "give such, or display pictures without a pixel_scale",
        )
    if stock.images.bands != look.bands:
        stock.images[look.bands]  # says which is missing
        raise BandMismatch(stock.images.bands, look.bands, "make the stock of pictures[look.bands]")
    return stock


def _lit(images: Images, chosen: Mapping[str, str | tuple[str, ...]]) -> None:
    """Refuse images without any light in one of the bands that are to be seen."""
    for given in chosen.values():
        dark = ~images[given].pixels.any(axis=(1, 2, 3))
        if dark.any():
            raise BadInput(
                f"Images, id {images.id[dark][0]}", f"no light in band {given!r}, wanted some; leave it out"
            )


def _each(name: str, given: float | np.ndarray, n: int) -> np.ndarray:
    """One number a galaxy (n,)."""
    values = np.asarray(given, dtype=np.float64)
    if values.shape not in ((), (n,)) or not np.isfinite(values).all():
        raise ValueError(
            f"{name} has shape {values.shape}, wanted one finite number, or one for each of {n} galaxies"
        )
    if name == "r90_arcsec" and (values <= 0).any():
        raise ValueError(f"r90_arcsec={values.min()}, wanted more than 0")
    return np.broadcast_to(values, n)
