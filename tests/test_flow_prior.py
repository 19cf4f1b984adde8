"""The flow as a prior of latents: a density, drawn from and weighed alike, that follows what is bent."""

import math

import pytest
import torch

from galnb import weights
from galnb.models import VAE
from galnb.models.flow_prior import FlowPrior
from galnb.models.mixture import Mixture


def ring(n, seed):
    rng = torch.Generator().manual_seed(seed)
    angle, radius = 2 * math.pi * torch.rand(n, generator=rng), 2 + 0.1 * torch.randn(n, generator=rng)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def log_density(z):
    radius = z.norm(dim=1)
    return -50 * (radius - 2) ** 2 - math.log(0.1 * math.sqrt(2 * math.pi)) - (2 * math.pi * radius).log()


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    prior = FlowPrior(2)
    prior.fit(ring(4000, 0), steps=700)
    return prior


def test_it_comes_near_the_truth_where_one_gaussian_cannot(fitted):
    z = ring(4000, 1)
    truth, one = float(log_density(z).mean()), Mixture(2, components=1)
    one.fit(ring(4000, 0))
    assert truth - 0.1 < float(fitted.log_prob(z).mean()) < truth + 0.02
    assert float(one.log_prob(z).mean()) < truth - 0.5


def test_its_density_adds_up_to_one(fitted):
    u = torch.linspace(-4, 4, 401)
    z = torch.stack(torch.meshgrid(u, u, indexing="ij"), -1).view(-1, 2)
    assert float(fitted.log_prob(z).exp().sum()) * 0.02**2 == pytest.approx(1, abs=0.02)


def test_what_is_drawn_is_distributed_as_it_is_weighed(fitted):
    z = fitted.sample(4000, torch.Generator().manual_seed(0))
    inside = (z.norm(dim=1) - 2).abs() < 0.2
    assert float(inside.float().mean()) > 0.9  # of the truth 0.95
    u = torch.linspace(-4, 4, 401)
    grid = torch.stack(torch.meshgrid(u, u, indexing="ij"), -1).view(-1, 2)
    weight = fitted.log_prob(grid).exp() * 0.02**2
    right = (grid[:, 0] > 0.5) * weight
    assert float((z[:, 0] > 0.5).float().mean()) == pytest.approx(float(right.sum()), abs=0.03)


def test_one_seed_gives_one_fit_and_one_draw():
    draws = []
    for elsewhere in (1, 2):
        torch.manual_seed(0)
        prior = FlowPrior(2)
        torch.manual_seed(elsewhere)  # which changes nothing
        prior.fit(ring(500, 0), steps=20)
        draws.append(prior.sample(5, torch.Generator().manual_seed(3)))
    assert torch.equal(*draws)


def test_a_vae_with_a_flow_draws_from_it_and_is_saved_with_it(tmp_path):
    torch.manual_seed(0)
    x = torch.rand(60, 1, 28, 28)
    model = VAE(("r",), 28, 3, (), noise="one", prior="flow")
    model.warm_start([x])
    before = model.prior.log_prob(torch.zeros(1, 3))
    assert float(before) == pytest.approx(-1.5 * math.log(2 * math.pi), rel=1e-5)
    model.prior.fit(model.encode(x), steps=20)
    assert not torch.equal(model.prior.log_prob(torch.zeros(1, 3)), before)
    assert not [name for name, p in model.named_parameters() if "prior" in name and p.requires_grad]
    again = weights.load(weights.save(model.eval(), tmp_path / "flow"))
    drawn = [m.sample(2, torch.Generator().manual_seed(1), noise=False) for m in (model, again)]
    assert torch.equal(*drawn)
