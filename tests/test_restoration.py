"""Corruptions are what they say, and what undoes them is measured against exact answers."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from galnb import restoration, weights
from galnb.augment import Corruption, blur, noise_level, waves
from galnb.errors import BadInput, BandMismatch, CannotDo
from galnb.images import Images
from galnb.models import AE, PCA
from galnb.sources.hubble import Hubble
from galnb.train import Settings, fit, train

SMALL = {"bands": ("r",), "size": 28, "latent_dim": 6, "widths": (16, 16, 16)}
FWHM = math.sqrt(8 * math.log(2))  # of a Gaussian, in standard deviations


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def moments(pixels):
    """Flux, and variances along y and x, of each image (n, band, y, x)."""
    y, x = np.mgrid[: pixels.shape[2], : pixels.shape[3]].astype(float)
    flux = pixels.sum(axis=(2, 3))
    middle = [(pixels * axis).sum(axis=(2, 3)) / flux for axis in (y, x)]
    spread = [
        (pixels * (axis - m[..., None, None]) ** 2).sum(axis=(2, 3)) / flux
        for axis, m in zip((y, x), middle, strict=True)
    ]
    return flux, *spread


# Corruptions


@pytest.mark.parametrize("fwhm", [1.0, 2.0, 3.7])
def test_a_blur_adds_the_gaussians_second_moments_and_keeps_the_flux(fwhm):
    y, x = np.mgrid[:65, :65] - 32.0
    galaxy = np.exp(-0.5 * (x**2 / 16 + y**2 / 4)).reshape(1, 1, 65, 65)
    flux, yy, xx = moments(galaxy)
    blurred_flux, blurred_yy, blurred_xx = moments(blur(torch.from_numpy(galaxy), fwhm).numpy())
    np.testing.assert_allclose(blurred_flux, flux, rtol=1e-12)
    np.testing.assert_allclose(blurred_yy - yy, (fwhm / FWHM) ** 2, rtol=1e-6)
    np.testing.assert_allclose(blurred_xx - xx, (fwhm / FWHM) ** 2, rtol=1e-6)


@pytest.mark.parametrize("size", [(28, 28), (31, 45)])
def test_a_blur_is_scipys_mirrored_at_the_edges_too(size):
    x = np.random.default_rng(0).random((2, 3, *size))
    sigma = np.array([1.3, 2.0])
    found = blur(torch.from_numpy(x), torch.from_numpy(sigma * FWHM)).numpy()
    for image, width, wanted in zip(found, sigma, x, strict=True):
        truth = gaussian_filter(wanted, width, mode="reflect", truncate=8, axes=(1, 2))
        np.testing.assert_allclose(image, truth, atol=2e-4)


def test_no_blur_and_no_noise_change_nothing():
    x = torch.rand(3, 2, 28, 28)
    torch.testing.assert_close(blur(x, 0.0), x, atol=1e-6, rtol=0)
    assert not Corruption() and torch.equal(Corruption()(x), x)
    assert Corruption(psf_fwhm=(0, 1)) and Corruption(missing=0.1)


def test_noise_has_the_standard_deviation_that_was_asked_for():
    x = torch.zeros(4000, 1, 28, 28)
    fixed = Corruption(noise=0.1)(x, seeded()).std(dim=(1, 2, 3))
    assert abs(float(fixed.mean()) - 0.1) < 1e-3
    drawn = Corruption(noise=(0.05, 0.2))(x, seeded()).std(dim=(1, 2, 3))
    wanted = torch.linspace(0.05, 0.2, 4001)[1:]
    assert (drawn.sort().values - wanted).abs().max() < 0.012  # uniform: 0.15 / sqrt(4000), and its own error


def test_a_blur_is_drawn_from_its_range():
    x = torch.zeros(2000, 1, 65, 65)
    x[..., 32, 32] = 1
    _, yy, _ = moments(Corruption(psf_fwhm=(1.0, 4.0))(x, seeded()).numpy().astype(float))
    widths = np.sort(np.sqrt(yy[:, 0]) * FWHM)
    np.testing.assert_allclose(widths, np.linspace(1, 4, 2000), atol=0.12)


def test_bands_are_missing_as_often_as_asked_and_each_as_often():
    gone = Corruption(missing=0.3)(torch.zeros(6000, 3, 4, 4), seeded()).isnan()
    planes = gone.all(dim=(2, 3))
    assert torch.equal(planes, gone.any(dim=(2, 3))) and planes.sum(1).max() == 1
    assert (planes.float().mean(0) - 0.1).abs().max() < 0.012  # three standard deviations


def test_the_generator_alone_decides_and_the_images_are_left_as_they_were():
    x = torch.rand(5, 3, 28, 28)
    before, corrupt = x.clone(), Corruption((0.0, 0.1), (0.0, 3.0), 0.5)
    views = [corrupt(x, seeded(seed)) for seed in (1, 1, 2)]
    torch.manual_seed(1)
    views.append(corrupt(x))
    assert torch.equal(views[0].nan_to_num(9), views[1].nan_to_num(9))
    assert not torch.equal(views[0].nan_to_num(9), views[2].nan_to_num(9))
    assert torch.equal(views[0].nan_to_num(9), views[3].nan_to_num(9))
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    "wrong", [{"noise": -0.1}, {"noise": (0.2, 0.1)}, {"psf_fwhm": (1, 2, 3)}, {"noise": math.nan}]
)
def test_a_range_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"wanted a number of at least 0, or \(low, high\)"):
        Corruption(**wrong)


def test_what_the_network_cannot_be_is_refused():
    with pytest.raises(ValueError, match="missing=1.5, wanted a probability"):
        Corruption(missing=1.5)
    with pytest.raises(ValueError, match="wanted two bands or more"):
        AE(**SMALL, missing=0.5)
    with pytest.raises(ValueError, match="detail=12 channels, wanted a multiple of 8"):
        AE(**SMALL, detail=12)


@pytest.mark.parametrize("level", [0.02, 0.1, 0.3])
def test_noise_is_seen_through_galaxies(level):
    galaxies = torch.from_numpy(Hubble(size=64).read(slice(0, 40)).pixels)
    own = noise_level(galaxies)
    seen = noise_level(galaxies + level * torch.randn(galaxies.shape, generator=seeded()))
    wanted = (own**2 + level**2).sqrt()
    assert (seen / wanted - 1).abs().median() < 0.05 and (seen / wanted - 1).abs().max() < 0.25


# The network


def gaussian(n=1500, k=6, size=28):
    """Images of a Gaussian with k known variances and orthonormal directions, and the variances."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(size**2, k)))[0].T
    variances = np.geomspace(4.0, 0.25, k)
    x = (rng.normal(size=(n, k)) * np.sqrt(variances)) @ directions
    return torch.from_numpy(x.astype(np.float32)).view(n, 1, size, size), variances


def test_a_linear_network_becomes_the_wiener_filter():
    x, variance = gaussian()
    noise = 1.0
    torch.manual_seed(0)
    model = AE(**SMALL, noise=noise)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in ("basis", "mean"))  # the convolutions start at zero, and stay there
    model.warm_start([x])
    pixels, projection = 28**2, len(variance) * noise**2  # a projection keeps the noise in its directions
    wiener = (variance * noise**2 / (variance + noise**2)).sum()
    before = float(model.eval().loss(x)["mse"].detach()) * pixels
    settings = Settings(
        epochs=10, batch=50, learning_rate=5e-3, weight_decay=0.0, augment=(), warm_up=1, average=0.95
    )
    fit(model, x.numpy(), settings=settings, warm_start=False, progress=False)
    fresh = model.restore(x + noise * torch.randn(x.shape, generator=seeded(5)))
    after = float((fresh - x).square().sum((1, 2, 3)).mean().detach())
    assert abs(before / projection - 1) < 0.05
    assert wiener * 0.97 < after < wiener * 1.06 and wiener < 0.6 * projection


@pytest.mark.parametrize("louder", [1.0, 4.0])
def test_beside_the_latents_it_starts_as_each_galaxys_own_wiener_filter(louder):
    rng, size, noise, k = np.random.default_rng(0), 28, 0.1, SMALL["latent_dim"]
    steps = np.arange(size)
    power = 1.0 / (1 + steps[:, None] ** 2 + steps**2) ** 2.0
    wave = waves(size).numpy()
    drawn = rng.normal(size=(1000, size, size)) * np.sqrt(power)
    x = torch.from_numpy(np.einsum("py,nyx,qx->npq", wave, drawn, wave)[:, None].astype(np.float32))
    model = AE(**SMALL, noise=noise, detail=8)
    model.warm_start([x])
    x = louder * x
    with torch.no_grad():
        fresh = model.eval().restore(x + noise * torch.randn(x.shape, generator=seeded()))
    risk = float((fresh - x).square().sum((1, 2, 3)).mean())
    signal, variance = louder**2 * np.sort(power.ravel())[:-k], noise**2
    wiener = (signal * variance / (signal + variance)).sum() + k * variance  # latents keep their waves' noise
    assert 0.95 < risk / wiener < 1.2  # to ask each galaxy for its own power has a price
    assert wiener < 0.15 * size**2 * variance


def test_a_missing_band_starts_as_the_likeliest_given_the_others_and_their_noise():
    rng, covariance = np.random.default_rng(0), np.array([[1.0, 0.6, 0.5], [0.6, 0.8, 0.3], [0.5, 0.3, 0.9]])
    smooth = rng.normal(size=(400, 3, 7, 7)).repeat(4, axis=2).repeat(4, axis=3)  # in which noise shows
    x = torch.from_numpy(np.einsum("ij,njyx->niyx", np.linalg.cholesky(covariance), smooth)).float() + 2
    model = AE(**{**SMALL, "bands": ("g", "r", "i")}, missing=0.5)
    model.warm_start([x])
    noise, o = 0.5, [0, 2]
    seen = x + noise * torch.randn(x.shape, generator=seeded())
    seen[:, 1] = math.nan
    filled, known = model._filled(seen)
    error = float((filled - x)[:, 1].square().mean())
    cross, among = covariance[1, o], covariance[np.ix_(o, o)] + noise**2 * np.eye(2)
    assert abs(error / (covariance[1, 1] - cross @ np.linalg.solve(among, cross)) - 1) < 0.03
    assert known[:, :, 0, 0].tolist()[0] == [True, False, True] and torch.equal(filled[:, o], seen[:, o])


def blobs(n=48, size=28, bands=1):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    width = rng.uniform(2, 5, (n, bands, 1, 1))
    return np.exp(-(x**2 + y**2) / (2 * width**2)).astype(np.float32)


def trained(**options):
    torch.manual_seed(0)
    model = AE(**{**SMALL, "bands": ("g", "r"), "detail": 8, **options})
    settings = Settings(epochs=12, batch=12, learning_rate=3e-3, warm_up=5, average=0.9)
    fit(model, blobs(bands=2), settings=settings, progress=False)
    return model


def test_it_restores_galaxies_that_it_has_not_seen():
    model = trained(noise=(0.05, 0.2), psf_fwhm=(0.0, 3.0))
    truth = torch.from_numpy(blobs(80, bands=2)[48:])
    worse = model.corruption(truth, seeded())
    with torch.no_grad():
        after = (model.restore(worse) - truth).square().mean()
    assert after < 0.3 * (worse - truth).square().mean()


def test_the_loss_is_judged_on_the_same_corruption_each_time_and_trained_on_others():
    x = torch.from_numpy(blobs(bands=2))
    model = AE(**{**SMALL, "bands": ("g", "r")}, noise=(0.0, 0.2), psf_fwhm=(0.0, 3.0), missing=0.5, detail=8)
    model.warm_start([x])
    with torch.no_grad():
        judged = [float(model.eval().loss(x)["loss"]) for _ in range(2)]
        seen = [float(model.train().loss(x)["loss"]) for _ in range(2)]
        clean = float((model.eval().decode(model.encode(x)) - x).square().mean())
    assert judged[0] == judged[1] and seen[0] != seen[1]
    assert judged[0] > 2 * clean


def test_stopping_and_resuming_gives_the_same_bits(tmp_path):
    options = {"settings": Settings(epochs=3, batch=12, warm_up=2), "held_out": blobs(60, bands=2)[48:]}

    def fresh():
        torch.manual_seed(0)
        return AE(
            **{**SMALL, "bands": ("g", "r")}, noise=(0.0, 0.2), psf_fwhm=(0.0, 3.0), missing=0.5, detail=8
        )

    whole, part = fresh(), fresh()
    list(train(whole, blobs(bands=2), **options))
    for step in train(part, blobs(bands=2), checkpoint=tmp_path / "run", **options):
        if step.step == 5:
            break
    again = fresh()
    torch.manual_seed(77)
    list(train(again, blobs(bands=2), checkpoint=tmp_path / "run", **options))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_restorer_keeps_what_it_was_when_saved(tmp_path):
    model = AE(**{**SMALL, "bands": ("g", "r")}, noise=(0.0, 0.2), psf_fwhm=(0.0, 3.0), missing=0.5, detail=8)
    model.warm_start([torch.from_numpy(blobs(bands=2))])
    again = weights.load(weights.save(model.eval(), tmp_path / "model"))
    assert again.corruption == model.corruption
    x = torch.from_numpy(blobs(4, bands=2))
    x[0, 1] = math.nan
    assert torch.equal(again.restore(x), model.restore(x)) and model.restore(x).isfinite().all()


@pytest.mark.parametrize("name", ["ae50-sdss", "ae16-hubble", "similar-sdss"])
def test_weights_of_before_still_load(name):
    weights.load(name)


@pytest.mark.parametrize("size", [31, 45])
def test_odd_sizes_are_restored_too(size):
    model = AE(("g", "r"), size, 6, (16, 16, 16), noise=0.1, detail=8).eval()
    assert model.restore(torch.rand(2, 2, size, size)).shape == (2, 2, size, size)


# Images in, images out


def galaxies(**options):
    return Images(blobs(6, bands=2), bands=("g", "r"), **options)


@pytest.fixture(scope="module")
def filler():
    return trained(missing=1.0)


def test_a_missing_band_is_filled_whether_it_is_nan_or_not_there(filler):
    pixels = galaxies().pixels.copy()
    pixels[:, 1] = np.nan
    marked = restoration.restore(galaxies().with_pixels(pixels), filler)
    absent = restoration.restore(galaxies()["g",], filler)
    assert marked.bands == absent.bands == ("g", "r") and np.isfinite(marked.pixels).all()
    np.testing.assert_array_equal(marked.pixels, absent.pixels)


def test_ids_and_columns_stay_and_the_order_of_bands_is_the_models(filler):
    given = galaxies(id=np.arange(6) + 7, table={"redshift": np.arange(6.0)})
    found = restoration.restore(given["r", "g"], filler)
    np.testing.assert_allclose(found.pixels, restoration.restore(given, filler, batch=4).pixels, atol=1e-6)
    assert list(found.id) == list(given.id) and list(found.table["redshift"]) == list(range(6))
    assert len(restoration.restore(given[:0], filler)) == 0


def test_one_clear_error_for_what_cannot_be_restored(filler):
    with pytest.raises(CannotDo, match="AE has seen no corrupted pictures.*restore-sdss"):
        restoration.restore(galaxies(), AE(**{**SMALL, "bands": ("g", "r")}))
    with pytest.raises(CannotDo, match="PCA has seen no corrupted pictures"):
        restoration.restore(galaxies(), PCA(("g", "r"), 28, 4))
    with pytest.raises(CannotDo, match="6 images lack a band.*not learned to fill"):
        restoration.restore(galaxies()["g",], AE(**{**SMALL, "bands": ("g", "r")}, noise=0.1))
    with pytest.raises(BandMismatch, match="rename"):
        restoration.restore(galaxies().rename("u", "z"), filler)
    with pytest.raises(BadInput, match=r"crop\(28\)"):
        restoration.restore(Images(np.zeros((2, 2, 32, 32)), bands=("g", "r")), filler)
    pixels = galaxies().pixels.copy()
    pixels[3, 0, 5, 5] = np.nan
    with pytest.raises(BadInput, match="id 3.*NaN"):
        restoration.restore(galaxies().with_pixels(pixels), filler)
    pixels[2] = np.nan
    with pytest.raises(BadInput, match="id 2: 2 of its 2 bands are missing, wanted at most one"):
        restoration.restore(galaxies().with_pixels(pixels), filler)
    with pytest.raises(BadInput, match="lacks all of its bands"):
        restoration.regress(galaxies().with_pixels(pixels), galaxies())


def test_noise_beyond_what_it_learned_on_is_warned_of_and_noise_within_is_not(recwarn):
    model = AE(**{**SMALL, "bands": ("g", "r")}, noise=(0.0, 0.1))
    noisy = lambda level: galaxies().with_pixels(  # noqa: E731
        galaxies().pixels + level * np.random.default_rng(0).normal(size=(6, 2, 28, 28))
    )
    restoration.restore(noisy(0.09), model)
    assert not recwarn
    with pytest.warns(UserWarning, match="100% of the planes seem noisier.*up to 0.[34].*knows 0.1"):
        restoration.restore(noisy(0.3), model)


# The classics


def test_wiener_and_richardson_lucy_undo_a_known_blur():
    truth = Images(blobs(4), bands=("r",))
    seen = truth.with_pixels(blur(torch.from_numpy(truth.pixels), 4.0).numpy())
    before = restoration.scores(seen, truth)["psnr"]
    for found in (
        restoration.wiener(seen, psf_fwhm=4.0, balance=1e-4),
        restoration.richardson_lucy(seen, psf_fwhm=4.0, iterations=50),
    ):
        assert restoration.scores(found, truth)["psnr"] > before + 10
        np.testing.assert_allclose(found.pixels.sum((1, 2, 3)), truth.pixels.sum((1, 2, 3)), rtol=0.02)


def test_richardson_lucy_is_not_biased_by_a_sky_that_is_negative_half_of_the_time():
    sky = 0.1 * np.random.default_rng(0).normal(size=(4, 1, 48, 48))
    found = restoration.richardson_lucy(Images(sky), psf_fwhm=2.0, iterations=10)
    assert abs(found.pixels.mean() - sky.mean()) < 1e-3


def test_wiener_finds_the_noise_by_itself():
    truth = Images(blobs(4), bands=("r",))
    seen = blur(torch.from_numpy(truth.pixels), 2.0).numpy()
    seen = truth.with_pixels(seen + 0.05 * np.random.default_rng(0).normal(size=seen.shape))
    found = restoration.wiener(seen, psf_fwhm=2.0)
    assert restoration.scores(found, truth)["psnr"] > restoration.scores(seen, truth)["psnr"] + 3


@pytest.mark.parametrize("fwhm", [2.0, 3.0])
def test_the_kernel_is_the_blur(fwhm):
    x = np.random.default_rng(0).random((41, 41))
    found = convolve2d(x, restoration.psf(fwhm), mode="same", boundary="symm")
    np.testing.assert_allclose(found, blur(torch.from_numpy(x)[None, None], fwhm)[0, 0], atol=2e-3)


def test_scores_are_perfect_for_the_truth():
    truth = Images(blobs(3), bands=("r",))
    found = restoration.scores(truth, truth)
    assert found["psnr"] == 120 and found["flux"] == found["half_light_radius"] == found["ellipticity"] == 0
