"""The prior of an autoencoder's latents: galaxies that do not exist, drawn through its decoder."""

import sys
from inspect import signature
from pathlib import Path

import pytest
import torch

from galnb import Imagined, models, weights
from galnb.errors import BadInput, CannotDo
from galnb.models import AE
from galnb.models.flow_prior import FlowPrior

sys.path.insert(0, str(Path(__file__).parent / "laws"))
import test_model_laws as laws  # noqa: E402

LAWS = [law for name, law in vars(laws).items() if name.startswith("test_") and "shapes" not in name]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setitem(FlowPrior.fit.__wrapped__.__kwdefaults__, "steps", 20)


def small(prior=None):
    torch.manual_seed(0)
    return AE(("r",), 28, 4, (16, 16, 16), prior=prior)


@pytest.fixture(scope="module", params=["mixture", "flow"])
def trained(request):
    model, x = small(request.param), torch.from_numpy(laws.easy(400))
    model.warm_start([x])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FlowPrior.fit.__wrapped__.__kwdefaults__, "steps", 300)
        model.eval().finish([x])
    return model


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__.removeprefix("test_"))
def test_with_a_prior_it_keeps_the_laws(law, monkeypatch, tmp_path):
    always = {"prior": "flow", "widths": (16, 16, 16)}
    monkeypatch.setattr(models, "load", lambda name, **options: AE(**always | options))
    law(**{"name": "ae"} | ({"tmp_path": tmp_path} if "tmp_path" in signature(law).parameters else {}))


def test_what_is_drawn_is_like_what_it_learned_from(trained):
    x, rng = torch.from_numpy(laws.easy(400)), torch.Generator().manual_seed(0)
    drawn = trained.sample(400, rng, noise=False)
    assert drawn.shape == x.shape
    torch.testing.assert_close(drawn.mean(0), x.mean(0), atol=0.1, rtol=0)
    z, ours = trained.encode(x), trained.draw(4000, rng)
    torch.testing.assert_close(ours.mean(0) / z.std(0), z.mean(0) / z.std(0), atol=0.2, rtol=0)
    torch.testing.assert_close(ours.std(0) / z.std(0), torch.ones(4), atol=0.25, rtol=0)


@torch.no_grad()
def test_its_noise_is_as_large_as_what_it_leaves(trained):
    x = torch.from_numpy(laws.easy(400))
    left = (x - trained.decode(trained.encode(x))).square().mean().sqrt()
    z = trained.draw(200, torch.Generator().manual_seed(0))
    mean, log_scale = trained.picture(z)
    assert float((log_scale.exp() * trained.texture.draw(mean)).std()) == pytest.approx(float(left), rel=0.3)


def test_saved_and_loaded_it_draws_the_same(trained, tmp_path):
    again = weights.load(weights.save(trained, tmp_path / "ae"))
    drawn = [model.sample(3, torch.Generator().manual_seed(1)) for model in (trained, again)]
    assert torch.equal(*drawn)


def test_the_sampler_draws_from_it(trained):
    pictures = Imagined(trained, n=3, seed=5).pictures()
    assert pictures.pixels.shape == (3, 1, 28, 28)


def test_without_a_prior_it_says_that_it_cannot_draw():
    model = small()
    assert not any(hasattr(model, name) for name in ("sample", "draw", "imagine"))
    assert not model.can("sample") and small("flow").can("sample")
    with pytest.raises(CannotDo, match="AE cannot sample; it can encode, decode"):
        model.demand("sample")


@pytest.mark.parametrize("name", ["ae50-sdss", "ae16-hubble"])
def test_shipped_weights_have_no_prior(name):
    assert weights.load(name).prior is None


def test_a_misspelt_prior_names_the_right_one():
    with pytest.raises(ValueError, match="'flow'"):
        AE(prior="flwo")


def test_galaxies_without_latents_are_refused(trained):
    x = torch.from_numpy(laws.easy())
    x[3] = torch.nan
    with pytest.raises(BadInput, match="1 of 40 galaxies"):
        small("flow").finish([x])
