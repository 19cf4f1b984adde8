import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from galnb.models import WGAN
from galnb.train import Settings, fit, train

SMALL = {"widths": (16, 16, 16), "critic_widths": (16, 32), "linear": 4}


def blobs(n=200, size=28, *, seed=0, noise=0.02):
    """Round blobs of many widths with noise, float32 (n, 1, size, size)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    width, flux = rng.uniform(2, 5, (n, 1, 1)), rng.uniform(0.3, 0.9, (n, 1, 1))
    blob = flux * np.exp(-(x**2 + y**2) / (2 * width**2))
    return (blob + noise * rng.normal(size=blob.shape)).astype(np.float32)[:, None]


def build(**options):
    torch.manual_seed(0)
    return WGAN(("r",), 28, 8, **SMALL | options)


@pytest.fixture(scope="module")
def trained():
    model = build()
    fit(
        model, blobs(), settings=Settings(epochs=30, batch=50, learning_rate=1e-3, warm_up=10), progress=False
    )
    return model


def test_the_critic_has_a_slope_of_one_between_real_and_drawn(trained):
    x = torch.from_numpy(blobs(100, seed=1))
    drawn = trained.sample(100, torch.Generator().manual_seed(0))
    between = torch.lerp(x, drawn, torch.rand(100, 1, 1, 1, generator=torch.Generator().manual_seed(1)))
    between.requires_grad_()
    (slope,) = torch.autograd.grad(trained.critic(between)[0].sum(), between)
    assert abs(float(slope.flatten(1).norm(dim=1).mean()) - 1) < 0.3


def test_the_critics_difference_is_a_wasserstein_distance():
    """Of two clouds that lie a known way apart, in pixels' unit: the dual problem's value is that way."""
    model = build(linear=0)
    near = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 1e-3
    far = near.clone()
    far[:, :, 10, 10] += 0.5
    critic = model.critic
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=WGAN.betas)
    for _ in range(200):
        optimizer.zero_grad()
        loss = critic(far)[0].mean() - critic(near)[0].mean() + model._penalty(near, far, None)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = critic(near)[0].mean() - critic(far)[0].mean()
    assert float(found) == pytest.approx(0.5, rel=0.1)


def test_the_encoder_finds_what_the_generator_drew(trained):
    with torch.no_grad():
        z = trained.draw(200, torch.Generator().manual_seed(3))
        drawn = trained.imagine(z, torch.Generator().manual_seed(4))
        again = trained.decode(trained.encode(drawn))
        truth = trained.decode(z)
    assert float((again - truth).square().mean()) < 0.5 * float(truth.var(0).mean())


@torch.no_grad()
def test_what_it_cannot_draw_has_a_larger_misfit(trained):
    usual = torch.from_numpy(blobs(100, seed=5))
    odd = usual.clone()
    odd[:, :, 4:8, 4:20] += 0.5
    for plain, spoilt in zip(trained.misfit(usual), trained.misfit(odd), strict=True):
        assert float((spoilt > plain).float().mean()) > 0.95


def test_refining_lowers_the_misfit_and_orders_galaxies_alike(trained):
    x = torch.from_numpy(blobs(60, seed=6))
    with torch.no_grad():
        before = trained.misfit(x)[0]
        after = trained.misfit(x, trained.refined(x, steps=60))[0]
        slow = trained.misfit(x, trained.refined(x, steps=300, start="mean"))[0]
    assert float(after.mean()) <= float(before.mean()) and spearmanr(after, slow).statistic > 0.5


def test_the_last_weights_are_kept_for_no_number_judges_them():
    x, models = blobs(100), []
    for held_out in (None, x[:20]):
        model = build()
        fit(model, x, held_out=held_out, settings=Settings(epochs=2, batch=50), progress=False)
        models.append(model.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_stopped_after_any_step_it_goes_on_to_the_same_bits(tmp_path):
    x, settings = blobs(100), Settings(epochs=3, batch=25)
    whole = build()
    fit(whole, x, settings=settings, progress=False)
    model, path = build(), tmp_path / "run.checkpoint"
    steps = train(model, x, settings=settings, checkpoint=path)
    for _ in range(5):
        next(steps)
    steps.close()
    again = build()
    fit(again, x, settings=settings, checkpoint=path, progress=False)
    assert all(torch.equal(whole.state_dict()[k], again.state_dict()[k]) for k in whole.state_dict())


def test_a_misfit_hangs_on_its_galaxy_alone(trained):
    x = torch.from_numpy(blobs(20))
    with torch.no_grad():
        for whole, part in zip(trained.misfit(x), trained.misfit(x[:3]), strict=True):
            torch.testing.assert_close(whole[:3], part, rtol=1e-4, atol=1e-6)


def test_bad_options_are_refused(trained):
    with pytest.raises(ValueError, match="critic_widths"):
        build(critic_widths=(8,) * 6)
    with pytest.raises(ValueError, match="start"):
        trained.refined(torch.zeros(1, 1, 28, 28), start="noise")
