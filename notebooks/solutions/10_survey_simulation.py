# %% 10.1
def stacked(n):
    return replace(SDSS, filters=(replace(SDSS["r"], exposures=n),))


missing = LSST.depth("r") - SDSS.depth("r")
answer = 10 ** (2 * 0.4 * missing)  # light grows with the exposures, noise with their root
nights = answer * SDSS["r"].exposure_s / 3600 / 8
print(
    f"{answer:,.0f} exposures, {nights:.0f} nights: {stacked(answer).depth('r'):.2f} of {LSST.depth('r'):.2f}"
)

# %% 10.2
from scipy.ndimage import rotate


def folded(plane, m):
    return np.mean([rotate(plane, 360 * k / m, reshape=False, order=1) for k in range(m)], axis=0)


structures = []
for i, row in zip(chosen, shape, strict=True):
    plane = light.pixels[i].mean(0)
    structures.append(plane - smoothed(plane, row))
for m in (2, 3, 4):
    left = [np.square(folded(each, m)).sum() / np.square(each).sum() for each in structures]
    print(f"m = {m}: {np.median(left):.0%} of the structure's power is left")
answer = folded

# %% 10.3
for fwhm in (0.73, 0.6, 0.5, 0.4, 0.3):
    sharper = replace(LSST, filters=(replace(LSST["r"], fwhm_arcsec=fwhm),))
    likeness = np.median(arms_seen(sharper, "r", "r", 18.0)[1])
    print(f'stars of {fwhm}": r = {likeness:.2f}')
    if likeness > 0.9:
        break
answer = sharper

# %% 10.4
y, x = np.mgrid[:97, :97] - 48
cases = []  # what is seen, the width of a star, and the truth
for length in (3.6, 4.2, 4.8, 5.4, 6.0):
    disc = galnb.Images(np.exp(-np.hypot(x, y) / length)[None, None], bands=("r",), pixel_scale=0.1)
    truth = galnb.measure(disc, background=0.0)["half_light_radius"][0] * disc.pixel_scale
    for survey in (LSST, DES):
        seen = observe(disc, survey, magnitude=18.0, noise=False, sharpen=True)
        cases.append(
            (galnb.measure(seen)["half_light_radius"][0] * survey.pixel_scale, survey["r"].fwhm_arcsec, truth)
        )
sizes_seen, stars, sizes_true = np.array(cases).T
ks = np.linspace(0.4, 0.75, 36)
errors = [np.abs(np.sqrt(sizes_seen**2 - (k * stars) ** 2) / sizes_true - 1).max() for k in ks]
best_k = ks[np.argmin(errors)]
print(f"k = {best_k:.2f}: right within {min(errors):.0%}")


def true_radius(seen, fwhm):
    return np.sqrt(seen**2 - (best_k * fwhm) ** 2)


answer = true_radius
