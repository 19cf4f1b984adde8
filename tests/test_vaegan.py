"""The critic and the adversary: who learns from what, and that each does its work."""

import numpy as np
import pytest
import torch

from galnb.models import CVAE, VAEGAN
from galnb.models.critic import Critic
from galnb.train import Settings, fit
from tests.imaginary import blobs

SMALL = {"bands": ("r",), "size": 28, "latent_dim": 6, "widths": (16, 16, 16), "conditions": ("flux", "area")}


def numbers(table):
    return torch.from_numpy(np.stack([table["flux"], table["area"]], 1).astype(np.float32))


def test_a_critic_learns_to_tell_smooth_pictures_from_noisy_ones():
    pixels, _ = blobs(400)
    x = torch.from_numpy(pixels)
    smooth = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    torch.manual_seed(0)
    critic, codes = Critic(1, 28, 0), torch.zeros(len(x), 0)
    critic.shapes.fit([x])
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    for start in [*range(0, 300, 50)] * 8:
        optimizer.zero_grad()
        rows = slice(start, start + 50)
        critic.judge(x[rows], smooth[rows], codes[rows], codes[rows]).backward()
        optimizer.step()
    critic.eval()
    with torch.no_grad():
        real, fake = critic(x[300:], codes[300:]), critic(smooth[300:], codes[300:])
    assert (real > 0).float().mean() > 0.9 and (fake < 0).float().mean() > 0.9


def test_a_critic_sees_whether_conditions_are_anothers():
    pixels, table = blobs(400)
    x, y = torch.from_numpy(pixels), numbers(table)
    codes = (y.log() - y.log().mean(0)) / y.log().std(0)
    torch.manual_seed(0)
    critic = Critic(1, 28, 2)
    critic.shapes.fit([x])
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    for start in [*range(0, 300, 50)] * 12:
        optimizer.zero_grad()
        rows = slice(start, start + 50)
        critic.judge(x[rows], x[rows], codes[rows], codes[rows].roll(1, 0)).backward()
        optimizer.step()
    critic.eval()
    with torch.no_grad():
        own, other = critic(x[300:], codes[300:]), critic(x[300:], codes[300:].roll(1, 0))
    assert (own > other).float().mean() > 0.85


@pytest.mark.parametrize("term, learns", [("unlike", "decoder"), ("critic", "critic")])
def test_decoder_and_critic_each_learn_from_their_own_term(term, learns):
    pixels, table = blobs(40)
    model = VAEGAN(**SMALL, hide=0.1)
    model.warm_start([torch.from_numpy(pixels)], numbers(table))
    model.train().loss(torch.from_numpy(pixels), numbers(table))[term].backward()
    moved = {
        name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert learns in moved and len({"critic", "decoder"} & moved) == 1
    assert not {"gauge", "encoder", "head", "guess"} & moved


def test_in_evaluation_the_loss_is_that_of_the_cvae():
    pixels, table = blobs(40)
    x, y = torch.from_numpy(pixels), numbers(table)
    torch.manual_seed(0)
    model, plain = VAEGAN(**SMALL, hide=0.1), CVAE(**SMALL)
    model.warm_start([x], y)
    plain.load_state_dict(model.state_dict(), strict=False)
    for name, value in plain.eval().loss(x, y).items():
        assert torch.equal(value, model.eval().loss(x, y)[name])


def told_by_style(hide):
    """Share of the variance of flux that a quadratic fit finds in the style of unseen galaxies."""
    torch.manual_seed(0)
    model = VAEGAN(**SMALL, hide=hide, beta=0.02)  # at a low beta nothing else keeps the style clean
    pixels, table = blobs(400)
    fit(
        model, pixels, labels=table, progress=False,
        settings=Settings(epochs=18, batch=20, warm_up=20, learning_rate=2e-3, average=0.95),
    )  # fmt: skip
    pixels, table = blobs(600, seed=1)
    with torch.no_grad():
        z = model.encode(torch.from_numpy(pixels))[:, : model.style].numpy()
    design, flux = np.column_stack([z, z**2, np.ones(len(z))]), np.log(table["flux"])
    fitted = np.linalg.lstsq(design[:300], flux[:300], rcond=None)[0]
    return 1 - np.var(flux[300:] - design[300:] @ fitted) / np.var(flux[300:])


@pytest.mark.slow
def test_what_is_hidden_from_the_style_is_hard_to_read_there():
    assert told_by_style(0.02) < 0.7 * told_by_style(0.0)
