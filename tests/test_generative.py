"""The variational family against what is known exactly."""

import math

import numpy as np
import pytest
import torch
from astropy.table import Table
from sklearn.mixture import GaussianMixture

from galnb import conditions, models
from galnb.errors import BadInput
from galnb.images import Images
from galnb.models import CVAE, MVAE, VAE
from galnb.models.codes import Codes
from galnb.models.likelihoods import LIKELIHOODS, log_likelihood
from galnb.models.mixture import Mixture
from galnb.models.texture import Texture
from galnb.models.vae import frozen
from galnb.train import Settings, fit
from tests.imaginary import BANDS, SIZE, blobs, labels, survey
from tests.imaginary import NAMES as OF_DISCS

SMALL = {"bands": ("r",), "size": 28, "widths": (16, 16, 16)}


# Gaussian mixtures


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 3, 3))
    z = np.concatenate([rng.normal(size=(800, 3)) @ root[k] + 4 * k for k in range(2)])
    mixture = Mixture(3, components=2)
    mixture.fit(torch.from_numpy(z))
    return mixture, GaussianMixture(2, reg_covar=1e-4, max_iter=200, random_state=0).fit(z), z


def test_a_mixtures_density_is_scikit_learns(fitted):
    mixture, truth, z = fitted
    np.testing.assert_allclose(
        mixture.log_prob(torch.from_numpy(z).float()), truth.score_samples(z), atol=2e-3
    )


def test_a_marginal_density_is_the_whole_integrated(fitted):
    mixture, _, _ = fitted
    grid = torch.linspace(-15, 20, 1500)
    point = torch.tensor([0.3, 1.2])
    whole = torch.cat([point.expand(1500, 2), grid[:, None]], 1)
    summed = torch.trapezoid(mixture.log_prob(whole).exp(), grid)
    found = mixture.log_prob(point[None], of=slice(0, 2)).exp()
    torch.testing.assert_close(found, summed[None], rtol=1e-3, atol=0)


def test_what_is_drawn_under_a_condition_has_its_exact_density(fitted):
    mixture, _, _ = fitted
    known = torch.tensor([0.5, math.nan, 1.0]).expand(40_000, 3)
    drawn = mixture.given(known, torch.Generator().manual_seed(0))
    assert (drawn[:, 0] == 0.5).all() and (drawn[:, 2] == 1.0).all()
    grid = torch.linspace(-20, 20, 4001)
    points = torch.stack([torch.full_like(grid, 0.5), grid, torch.ones_like(grid)], 1)
    density = mixture.log_prob(points).exp()
    density = density / torch.trapezoid(density, grid)
    mean = torch.trapezoid(grid * density, grid)
    spread = torch.trapezoid((grid - mean) ** 2 * density, grid).sqrt()
    assert float(drawn[:, 1].mean() - mean) == pytest.approx(0, abs=0.02 * float(spread))
    assert float(drawn[:, 1].std() / spread) == pytest.approx(1, abs=0.02)


def test_rows_may_know_different_things_and_one_seed_draws_one_result(fitted):
    mixture, _, _ = fitted
    nan = math.nan
    known = torch.tensor([[nan, nan, nan], [1.0, 2.0, 3.0], [nan, 2.0, nan], [1.0, nan, nan]])
    a, b = (mixture.given(known, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(a, b) and torch.isfinite(a).all()
    assert torch.equal(torch.where(known.isnan(), a, known), a)


# likelihoods and noise


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_a_likelihood_is_a_distribution_of_the_said_spread(kind):
    mean, log_scale = torch.tensor(0.47).view(1, 1, 1, 1), torch.tensor(0.04).log().view(1, 1, 1, 1)
    if kind == "logistic":
        x = torch.arange(256) / 255
        p = torch.stack([log_likelihood(kind, v.view(1, 1, 1, 1), mean, log_scale)[0] for v in x]).exp()
    else:
        x = torch.linspace(-0.5, 1.5, 20_001)
        step = float(x[1] - x[0])
        p = log_likelihood(kind, x.view(-1, 1, 1, 1), mean, log_scale).exp() * step
    center = (p * x).sum()
    assert float(p.sum()) == pytest.approx(1, abs=1e-3)
    assert float(center) == pytest.approx(0.47, abs=1e-3)
    assert float((p * (x - center) ** 2).sum().sqrt()) == pytest.approx(0.04, rel=0.02)


def test_the_texture_of_noise_is_measured_and_drawn():
    rng = torch.Generator().manual_seed(0)
    white = torch.randn(3000, 2, 20, 20, generator=rng)
    made = white + 0.8 * white.roll(1, 3)
    made[:, 1] = 0.6 * made[:, 0] + 0.5 * made[:, 1]
    flat = torch.full_like(made, 0.2)
    texture = Texture(2, 20)
    texture.fit(zip(flat.split(500), made.split(500), strict=True))
    drawn = texture.draw(flat, rng)

    def moments(x):
        pairs = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 1, 0), (1, 1, 1), (0, 0, 3)]
        return torch.stack([(x[:, a] * x[:, b].roll(d, 2)).mean() for a, b, d in pairs])

    torch.testing.assert_close(moments(drawn), moments(made), rtol=0, atol=0.03)
    followed = Texture(2, 20)
    for _ in range(10):
        for part in made.split(100):
            followed.follow(torch.full_like(part, 0.2), part)
    torch.testing.assert_close(moments(followed.draw(flat, rng)), moments(made), rtol=0, atol=0.05)


def test_noise_has_another_texture_and_other_tails_where_it_is_bright():
    rng, n = torch.Generator().manual_seed(0), 2000
    mean = torch.zeros(n, 1, 32, 32)
    mean[:, :, 8:24, 8:24] = 0.7
    sky = torch.distributions.Laplace(0.0, 0.5**0.5).icdf(torch.rand(mean.shape, generator=rng))
    smooth = torch.randn(mean.shape, generator=rng)
    smooth = 0.3 * (smooth + smooth.roll(1, 3)) / 2**0.5
    made = torch.where(mean > 0.5, smooth, sky)
    texture = Texture(1, 32, levels=2)
    texture.fit(zip(mean.split(500), made.split(500), strict=True))
    drawn = texture.draw(mean, rng)
    torch.testing.assert_close(texture.levels, torch.tensor([0.0, 0.7]))

    def shape(x):
        return [x.std(), (x.abs().mean() / x.std()), (x[..., 1:] * x[..., :-1]).mean() / x.square().mean()]

    for part in ((..., slice(8), slice(32)), (..., slice(9, 23), slice(9, 23))):
        torch.testing.assert_close(shape(drawn[part]), shape(made[part]), rtol=0, atol=0.08)
    white = [torch.tensor(v) for v in (1.0, (2 / np.pi) ** 0.5, 0.0)]
    torch.testing.assert_close(shape(Texture(1, 32).draw(mean, rng)), white, rtol=0, atol=0.02)


def test_what_is_frozen_learns_nothing_and_is_as_it_was_afterwards():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2, requires_grad=True)
    with frozen(*layer.parameters()):
        out = layer(x).sum()
    out.backward()
    assert layer.weight.grad is None and x.grad is not None and layer.weight.requires_grad


# conditions as codes

NAMES = ("flux", "area", "concentration", "ellipticity", "position_angle", "color")


def some_conditions(n=500, seed=0):
    rng = np.random.default_rng(seed)
    columns = [
        rng.lognormal(5, 0.5, n), rng.lognormal(7, 0.3, n), rng.normal(2.2, 0.3, n), rng.uniform(0, 0.8, n),
        rng.uniform(0, 180, n), rng.normal(0.5, 0.3, n),
    ]  # fmt: skip
    return torch.from_numpy(np.stack(columns, 1)).float()


def test_codes_are_standard_and_lead_back():
    codes, y = Codes(NAMES), some_conditions()
    codes.fit(y)
    coded = codes(y)
    assert coded.mean(0).abs().max() < 0.1 and (coded.std(0) - 1).abs().max() < 0.1
    torch.testing.assert_close(codes.back(coded), y, rtol=1e-3, atol=1e-2)


def test_an_angle_of_180_degrees_is_one_of_0_and_a_round_galaxy_has_none():
    codes = Codes(("ellipticity", "position_angle"))
    a, b = codes(torch.tensor([[0.4, 0.0], [0.4, 180.0]]))
    torch.testing.assert_close(a, b)
    assert codes(torch.tensor([[0.0, 77.0]])).abs().max() == 0


def test_what_is_outside_of_the_training_range_is_told_and_by_how_much():
    codes, y = Codes(NAMES), some_conditions()
    codes.fit(y)
    far = torch.stack([codes.low, codes.high, codes.high + 0.5 * (codes.high - codes.low)])
    torch.testing.assert_close(codes.outside(far), torch.tensor([0.0, 0.0, 0.5])[:, None].expand(3, 6))


@pytest.mark.parametrize(
    "y, reason",
    [
        ({"flax": 3.0}, "condition 'flax': the model does not know it; it knows flux, area"),
        ({"flux": math.nan}, "condition 'flux': nan came, wanted a finite number; or leave it out"),
        ([1.0, 2.0], r"shape \(2,\), wanted \(4, 6\): flux, area"),
        (np.ones((3, 6)), r"shape \(3, 6\), wanted \(4, 6\)"),
        (np.full(6, np.inf), "an infinite number came"),
    ],
)
def test_a_condition_that_cannot_be_is_one_clear_error(y, reason):
    for kind in (CVAE, MVAE):
        with pytest.raises(BadInput, match=reason):
            kind(**SMALL, latent_dim=8).sample(4, y=y)


@pytest.mark.parametrize("names", [("position_angle",), ("flux", "flux"), ("redshfit",)])
def test_conditions_that_make_no_sense_are_refused(names):
    with pytest.raises(ValueError, match="wanted both|each once|is not one of"):
        CVAE(**SMALL, latent_dim=8, conditions=names)


# the VAE


def low_rank(n=1500, rank=5, noise=0.08, size=28, seed=0):
    """Images whose law is exactly that of probabilistic PCA."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(size**2, rank)))[0].T * np.geomspace(2, 0.5, rank)[:, None]
    x = rng.normal(size=(n, rank)) @ basis + 0.4 + noise * rng.normal(size=(n, size**2))
    return torch.from_numpy(x.astype(np.float32)).view(n, 1, size, size)


def disturbed(model, seed=1):
    """The model's parameters moved by a tenth, so that it has something to learn."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * p.abs().mean() * torch.randn(p.shape, generator=rng))
    return model


def test_a_linear_vae_reaches_the_likelihood_of_probabilistic_pca():
    """Lucas+2019: its evidence bound has no gap at the optimum."""
    x = low_rank()
    truth = models.PCA(("r",), 28, 5)
    truth.fit([x])
    model = VAE(("r",), 28, 5, (), noise="one", prior="normal")
    model.warm_start([x])
    exact = float(truth.log_prob(x).mean())
    bound = float(model.bound(x, generator=torch.Generator().manual_seed(0)).mean())
    assert bound == pytest.approx(exact, abs=1.0)
    disturbed(model).train()
    started = float(model.bound(x, generator=torch.Generator().manual_seed(0)).mean())
    fit(
        model, x.numpy(), warm_start=False, progress=False,
        settings=Settings(epochs=40, batch=100, learning_rate=3e-3, augment=(), weight_decay=0.0),
    )  # fmt: skip
    bound = float(model.bound(x, generator=torch.Generator().manual_seed(0)).mean())
    assert started < exact - 100 and bound == pytest.approx(exact, abs=4.0)


def test_more_draws_only_raise_the_bound_and_never_above_the_truth():
    x = low_rank()
    model = VAE(("r",), 28, 5, (), noise="one", prior="normal")
    model.warm_start([x])
    truth = models.PCA(("r",), 28, 5)
    truth.fit([x])
    with torch.no_grad():
        model.log_std += 0.7  # a posterior that is too wide has a gap
    few, many = (
        float(model.bound(x[:300], k=k, generator=torch.Generator().manual_seed(0)).mean()) for k in (1, 100)
    )
    exact = float(truth.log_prob(x[:300]).mean())
    assert few < exact - 1 and few + 0.5 < many < exact + 0.1


def test_the_fitted_prior_fills_no_hole():
    rng = np.random.default_rng(0)
    x = low_rank(rank=2)
    z = torch.from_numpy(
        np.where(rng.random((1500, 1)) < 0.5, -1, 1) + 0.1 * rng.normal(size=(1500, 2))
    ).float()
    model = VAE(("r",), 28, 2, (), noise="one")
    model.warm_start([x])
    with torch.no_grad():
        x = model.decode(z) + 0.02 * torch.randn(1500, 1, 28, 28)
    model.finish([x])
    drawn = model.encode(model.sample(2000, torch.Generator().manual_seed(0), noise=False))
    assert (drawn[:, 0].abs() < 0.4).float().mean() < 0.02  # a standard normal has 31 % there


@pytest.mark.parametrize("options", [{"likelihood": "laplace"}, {"likelihood": "logistic"}, {"noise": "one"}])
def test_every_likelihood_learns(options):
    x = low_rank(400).clamp(0, 1)
    model = VAE(**SMALL, latent_dim=5, **options)
    model.warm_start([x])
    before = float(disturbed(model).eval().loss(x)["loss"].detach())
    fit(model, x.numpy(), warm_start=False, settings=Settings(epochs=6, batch=50, warm_up=5), progress=False)
    assert float(model.loss(x)["loss"].detach()) < before


def test_beta_free_bits_and_annealing_do_what_they_say():
    x = low_rank(200)
    torch.manual_seed(0)
    model = VAE(**SMALL, latent_dim=5)
    model.warm_start([x])
    model.requires_grad_(False)
    plain = model.eval().loss(x)
    assert float(plain["loss"]) == pytest.approx(float(plain["nll"] + plain["kl"]))
    model.beta = 4.0
    heavy = model.loss(x)
    assert float(heavy["loss"]) == pytest.approx(float(heavy["nll"] + 4 * heavy["kl"]))
    model.free_bits = 50.0
    assert float(model.loss(x)["kl"]) == pytest.approx(5 * 50.0 / 28**2, rel=1e-5)
    model.anneal, model.beta = 10, 1.0
    model.train()
    assert model._weight() == pytest.approx(0.1)
    model.seen.fill_(20)
    assert model._weight() == 1.0


# galaxies under conditions


@pytest.fixture(scope="module", params=["cvae", "mvae", "vaegan"])
def told(request):
    torch.manual_seed(0)
    model = models.load(request.param, **SMALL, latent_dim=6, conditions=("flux", "area"))
    pixels, table = blobs()
    fit(
        model, pixels, labels=table, progress=False,
        settings=Settings(epochs=12, batch=50, warm_up=20, learning_rate=2e-3, average=0.95),
    )  # fmt: skip
    return model


def test_pictures_have_the_conditions_that_are_asked_for(told):
    flux = torch.linspace(15, 70, 12)
    drawn = told.sample(12, torch.Generator().manual_seed(0), y={"flux": flux}, noise=False, corrections=0)
    found = drawn.sum((1, 2, 3)).detach()
    assert (found / flux - 1).abs().max() < 0.15 and (found.diff() > 0).all()


@pytest.mark.parametrize("name", ["cvae", "mvae"])
def test_what_pictures_miss_is_corrected(name):
    pixels, _ = blobs()
    torch.manual_seed(0)
    model = models.load(name, **SMALL, latent_dim=6, conditions=("flux", "area"), noise="one")
    labels = conditions.measure(Images(pixels, bands=("r",)))[["flux", "area"]]
    settings = Settings(epochs=15, batch=50, warm_up=5, learning_rate=2e-3, average=0.9)
    fit(model, pixels, labels=labels, settings=settings, progress=False)
    other = conditions.measure(Images(blobs(60, seed=5)[0], bands=("r",)))[["flux", "area"]]
    asked = torch.from_numpy(np.stack([other["flux"], other["area"]], 1).astype(np.float32))
    missed = []
    for corrections in (0, 3):
        drawn = model.sample(60, torch.Generator().manual_seed(0), y=asked, corrections=corrections)
        found = conditions.measure(Images(drawn.detach().numpy(), bands=("r",)))
        missed.append([np.median(np.abs(found[k] / other[k] - 1)) for k in ("flux", "area")])
    assert sum(missed[1]) < 0.4 * sum(missed[0])


def test_what_is_not_asked_for_goes_with_what_is(told):
    small, large = (
        told.features(told.draw(300, torch.Generator().manual_seed(0), y={"area": area}))[:, 0].detach()
        for area in (60.0, 250.0)
    )
    _, table = blobs(5000)
    for drawn, area in ((small, 60.0), (large, 250.0)):
        true = table["flux"][abs(table["area"] - area) < 0.1 * area]
        assert float(drawn.median()) == pytest.approx(float(np.median(true)), rel=0.3)


def test_one_condition_changes_and_the_rest_stays(told):
    pixels, _ = blobs(20, seed=3)
    z = told.encode(torch.from_numpy(pixels)).detach()
    before = told.features(z).detach()
    after = told.features(told.change(z, {"flux": 30.0})).detach()
    torch.testing.assert_close(after[:, 0], torch.full((20,), 30.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(after[:, 1], before[:, 1], rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["cvae", "mvae"])
def test_ellipticity_and_angle_change_one_without_the_other(name):
    torch.manual_seed(0)
    model = models.load(name, **SMALL, latent_dim=9)
    z = torch.randn(5, 9)
    if name == "mvae":
        model.loading.data.normal_()
    e, angle = (
        model.config["conditions"].index("ellipticity"),
        model.config["conditions"].index("position_angle"),
    )
    before, rng = model.features(z), torch.Generator().manual_seed(0)
    rounder = model.features(model.change(z, {"ellipticity": 0.05}))
    torch.testing.assert_close(rounder[:, e], torch.full((5,), 0.05), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(rounder[:, angle], before[:, angle], rtol=1e-3, atol=0.05)
    turned = model.features(model.change(z, {"position_angle": 30.0}))
    torch.testing.assert_close(turned[:, e], before[:, e], rtol=1e-3, atol=1e-4)
    for one in (turned, model.features(model.draw(5, rng, y={"position_angle": 30.0}))):
        torch.testing.assert_close(one[:, angle], torch.full((5,), 30.0), rtol=0, atol=0.1)


def test_a_galaxy_without_labels_is_read(told):
    pixels, table = blobs(200, seed=4)
    found = told.features(told.encode(torch.from_numpy(pixels))).detach().numpy()
    assert np.corrcoef(np.log(found[:, 0]), np.log(table["flux"]))[0, 1] > 0.96


def test_labels_may_be_missing_here_and_there():
    pixels, table = blobs(120)
    table["flux"][::2] = np.nan
    for name in ("cvae", "mvae", "vaegan"):
        model = models.load(name, **SMALL, latent_dim=6, conditions=("flux", "area"))
        steps = fit(model, pixels, labels=table, settings=Settings(epochs=1, batch=40), progress=False)
        assert all(math.isfinite(value) for value in steps[-1].terms.values())


def test_a_position_angle_turns_with_its_picture():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28] - 13.5
    angle = rng.uniform(0, 180, 64)
    c, s = np.cos(np.radians(angle))[:, None, None], np.sin(np.radians(angle))[:, None, None]
    pixels = np.exp(-((c * x + s * y) ** 2 / 40 + (c * y - s * x) ** 2 / 6)).astype(np.float32)[:, None]
    seen = {}

    class Spy(VAE):
        def loss(self, x, y=None):
            seen["x"], seen["y"] = x, y
            return super().loss(x, y)

    table = Table({"ellipticity": np.full(64, 0.6), "position_angle": angle})
    fit(Spy(**SMALL, latent_dim=4), pixels, labels=table, progress=False, settings=Settings(epochs=1))
    light = seen["x"][:, 0].detach()
    xs, ys = torch.from_numpy(x), torch.from_numpy(y)
    moments = ((light * (xs**2 - ys**2)).sum((1, 2)), (light * 2 * xs * ys).sum((1, 2)))
    found = torch.rad2deg(0.5 * torch.atan2(moments[1], moments[0])) % 180
    apart = (found - seen["y"][:, 1] + 90) % 180 - 90
    assert apart.abs().max() < 2


# the MVAE's experts


def test_an_mvae_begins_with_latents_that_say_the_features():
    x, y = torch.from_numpy(survey().pixels), labels()
    torch.manual_seed(0)
    model = MVAE(BANDS, SIZE, 12, (16, 16, 16), conditions=OF_DISCS)
    model.warm_start(x.split(64), y)
    model.eval()
    codes, z = model.codes(y), model.encode(x).detach()
    missed = (model._said(z) - codes).detach().square().mean()
    assert float(missed) < 0.1  # of 1: the gauge's regression on shapes
    torch.testing.assert_close(z.T.cov()[:4, :4], torch.eye(4), rtol=0, atol=0.35)
    assert float(z.T.corrcoef()[:4, 4:].abs().max()) < 0.35  # what is left goes with no feature
    with torch.no_grad():
        before, after = VAE(BANDS, SIZE, 12, (16, 16, 16)).eval().loss(x), model.loss(x, y)
    assert float(after["nll"]) < float(before["nll"]) - 0.5


@pytest.fixture(scope="module")
def linear():
    """A linear MVAE of three latents and two features, as it is exact."""
    torch.manual_seed(0)
    model = MVAE(("r",), 28, 3, (), conditions=("concentration", "color"), noise="one")
    with torch.no_grad():
        basis = torch.linalg.qr(torch.randn(784, 3))[0].T * torch.tensor([2.0, 1.0, 0.7])[:, None]
        variance = basis.square().sum(1)
        noise = 0.3**2
        model.basis.copy_(basis)
        model.log_scale.fill_(math.log(0.3))
        model.gain.copy_(1 / (variance + noise))
        model.log_std.copy_(0.5 * (noise / (variance + noise)).log())
        model.loading.copy_(torch.tensor([[0.9, -0.4, 0.2], [0.1, 0.8, 0.5]]))
        model.offset.copy_(torch.tensor([0.3, -0.1]))
        model.log_noise.copy_(torch.tensor([-1.0, -0.5]))
    return model.eval()


def exact(model, x, f, picture, features):
    """Mean and covariance of z given some of what is known, by Gaussian conditioning; and the evidence."""
    blocks, means, noises, values = [], [], [], []
    if picture:
        blocks.append(model.basis.T)
        means.append(model.mean)
        noises.append(torch.full((784,), 0.3**2))
        values.append(x.flatten(1))
    if any(features):
        blocks.append(model.loading[features])
        means.append(model.offset[features])
        noises.append((2 * model.log_noise[features]).exp())
        values.append(f[:, features])
    a, b, s, v = (
        torch.cat(part, -1 if k != 0 else 0).double()
        for k, part in enumerate([blocks, means, noises, values])
    )
    whole = a @ a.T + torch.diag(s)
    gain = torch.linalg.solve(whole, a).T
    evidence = torch.distributions.MultivariateNormal(b, whole).log_prob(v)
    return (v - b) @ gain.T, torch.eye(3).double() - gain @ a, evidence


@pytest.mark.parametrize("picture", [True, False])
@pytest.mark.parametrize("features", [[True, True], [True, False], [False, False]])
def test_the_product_of_experts_is_the_exact_posterior_where_all_is_linear(linear, picture, features):
    if not picture and not any(features):
        with pytest.raises(BadInput, match="neither a picture nor a feature"):
            linear.infer()
        return
    torch.manual_seed(1)
    with torch.no_grad():
        z = torch.randn(50, 3)
        x = (z @ linear.basis + linear.mean).view(-1, 1, 28, 28) + 0.3 * torch.randn(50, 1, 28, 28)
        f = z @ linear.loading.T + linear.offset + linear.log_noise.exp() * torch.randn(50, 2)
        y = torch.where(torch.tensor(features), linear.codes.back(f), torch.nan)
        mean, covariance = linear.infer(x if picture else None, y if any(features) else None, n=50)
        true_mean, true_covariance, _ = exact(linear, x, f, picture, features)
    torch.testing.assert_close(mean.double(), true_mean, rtol=0, atol=1e-4)
    torch.testing.assert_close(covariance[0].double(), true_covariance, rtol=0, atol=1e-5)


@pytest.mark.parametrize("features", [[True, True], [True, False]])
def test_the_objective_is_the_exact_evidence_where_all_is_linear(linear, features):
    torch.manual_seed(1)
    with torch.no_grad():
        z = torch.randn(4000, 3)
        x = (z @ linear.basis + linear.mean).view(-1, 1, 28, 28) + 0.3 * torch.randn(4000, 1, 28, 28)
        f = z @ linear.loading.T + linear.offset + linear.log_noise.exp() * torch.randn(4000, 2)
        f = torch.where(torch.tensor(features), f, torch.nan)
        mean, root = linear._product(linear.posterior(x), f, 4000)
        drawn = mean + torch.linalg.solve_triangular(root.mT, torch.randn(4000, 3, 1), upper=True)[..., 0]
        from galnb.models.mvae import _divergence

        nll = -log_likelihood("gaussian", x, *linear.picture(drawn)) + linear._miss_features(drawn, f)
        bound = -(nll + _divergence(mean, root)).mean()
        _, _, joint = exact(linear, x, f, True, features)
        _, _, alone = exact(linear, x, f, False, features)
        torch.testing.assert_close(linear._log_evidence(f).double(), alone, rtol=1e-4, atol=1e-4)
    assert float(bound) == pytest.approx(float(joint.mean()), abs=0.2)
