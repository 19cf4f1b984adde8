"""Multiscale: what each pixel hangs on, that probabilities are some, and that it draws what it says."""

import itertools

import numpy as np
import pytest
import torch

from galnb.errors import BadInput
from galnb.models import Multiscale, PixelCNN
from tests.test_pixelcnn import drawn_as_often_as_is_said

SMALL = {"bands": ("r",), "size": 8, "levels": 8, "width": (8, 8, 8), "vertical": (1, 1), "horizontal": 1}
SHAPES = {
    "three scales": {},
    "one": {"width": (8,)},
    "odd, three bands": {"size": 7, "bands": ("i", "r", "g"), "width": (8, 12)},
    "told": {"conditions": ("mass",), "coarser": 1, "opposite": 1},
}


def build(by=0.2, **options):
    """A model with weights that are not zero anywhere."""
    torch.manual_seed(0)
    model = Multiscale(**SMALL | options).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn_like(parameter)
    return model


def order(model):
    """When each pixel (size, size) is drawn."""
    when = torch.full((model.size, model.size), -1)
    for every in model.every:
        for row, column in itertools.product(range(model.size)[every[1]], repeat=2):
            when[row, column] = when.max() + 1 if when[row, column] < 0 else when[row, column]
    return when


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_a_pixel_hangs_on_those_before_it_only(options):
    model = build(**options)
    when = order(model)
    assert sorted(when.flatten().tolist()) == list(range(model.size**2))
    u, known = model.quantised(torch.rand(1, len(model.bands), model.size, model.size).double())
    u.requires_grad_()
    numbers = model.numbers(u, known)
    for place in itertools.product(range(model.size), repeat=2):
        (grad,) = torch.autograd.grad(numbers[:, :, *place].square().sum(), u, retain_graph=True)
        seen = grad.abs().amax((0, 1)) > 0
        assert not seen[when >= when[place]].any()
        assert when[place] == 0 or seen.any()


def test_fine_pixels_see_given_ones_all_around_them():
    u, known = (model := build(coarser=4)).quantised(torch.rand(1, 1, 8, 8).double())
    u.requires_grad_()
    model.numbers(u, known)[:, :, 1, 1].square().sum().backward()
    assert (u.grad[0, 0][model.every[1]] != 0).all()


def test_given_pixels_lie_around_the_middle():
    middles = [list(range(32)[every[1]]) for every in build(size=32, width=(8, 8, 8)).every]
    assert [pixels[0] + pixels[-1] for pixels in middles] == [32, 30, 31]
    assert [len(pixels) for pixels in middles] == [8, 16, 32]


@torch.no_grad()
@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_cached_and_naive_sampling_draw_the_same(options):
    model = build(**options)
    n, bands, size = 4, len(model.bands), model.size
    y = torch.randn(n, len(model.conditions)).double() if model.conditions else None
    x = torch.rand(n, bands, size, size).double()
    for mask in (torch.zeros(size, size, dtype=torch.bool), torch.rand(size, size) < 0.4):
        rng, done = torch.Generator().manual_seed(5), mask.clone()
        u, known = model.quantised(torch.where(mask, x, 0.5))
        for every in model.every:
            for row in range(size)[every[1]]:
                columns = range(size)[every[2]]
                chance = torch.rand(len(columns), n, 1 + bands, generator=rng, dtype=torch.float64)
                for at, column in enumerate(columns):
                    if not done[row, column]:
                        numbers = model.numbers(u, known, y)[:, :, row, column]
                        u[:, :, row, column] = model.pixel.draw(numbers, chance[at])
                        done[row, column] = True
        given = torch.where(mask, x, torch.nan)
        drawn = model.complete(given, mask, torch.Generator().manual_seed(5), y=y)
        torch.testing.assert_close(drawn, (u + 1) / 2, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def tiny():
    """A model of 3 x 3 pixels of two levels, all pictures that there are, and their log probabilities."""
    model = build(size=3, levels=2, width=(8, 8), vertical=(1,), mixtures=2, by=0.4)
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=9))).view(-1, 1, 3, 3).double()
    with torch.no_grad():
        return model, x, model.log_prob(x)


def test_the_probabilities_of_all_pictures_sum_to_one(tiny):
    _, _, log_p = tiny
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert log_p.std() > 0.5  # and are not all alike


def test_pictures_are_drawn_as_often_as_is_said(tiny):
    assert drawn_as_often_as_is_said(*tiny)


def test_the_map_sums_to_the_likelihood_and_that_to_the_scales():
    model = build(bands=("i", "r", "g"))
    x = torch.rand(4, 3, 8, 8).double()
    torch.testing.assert_close(model.log_prob_map(x).sum((1, 2, 3)), model.log_prob(x))
    parts = [scale.log_prob(x[every]) for scale, every in zip(model.scales, model.every, strict=True)]
    torch.testing.assert_close(sum(parts), model.log_prob(x))


def test_a_drawing_goes_from_coarse_to_fine_and_keeps_what_is_known():
    model = build()
    x, masks = torch.rand(5, 1, 8, 8).double(), torch.rand(5, 8, 8) < 0.5
    steps = list(model.drawing(x, masks, torch.Generator().manual_seed(0)))
    assert len(steps) == 2 + 4 + 8
    counts = [int(torch.isfinite(step).sum()) for step in steps]
    assert counts == sorted(counts) and torch.isfinite(steps[1][model.every[0]]).all()
    at = masks[:, None]
    torch.testing.assert_close(steps[-1][at], (x[at] * 7).round() / 7)
    for step in steps:
        assert torch.isfinite(step[at]).all()


@torch.no_grad()
def test_before_training_it_is_linear_between_what_is_given():
    """Of a smooth field: a pixel between given ones is near their mean, from the first step on."""
    y, x = np.mgrid[:16, :16] / 16
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (200, 2, 1, 1))
    field = 0.5 + 0.2 * np.sin(5 * x + phase[:, 0]) + 0.2 * np.sin(4 * y + phase[:, 1])
    field = torch.from_numpy(field[:, None]).float()
    model = Multiscale(("r",), 16, width=(8, 8), vertical=(1,), horizontal=1).eval()
    model.warm_start([field])
    u, known = model.quantised(field)
    left = (model.numbers(u, known)[:, -1] - u[:, 0]).abs()
    left[model.every[0]] = 0
    assert float(left[:, 2:-2, 2:-2].mean()) < 0.006


def test_a_finer_scale_alone_wants_what_is_given_and_counts_the_rest():
    torch.manual_seed(0)
    model = PixelCNN(("r",), 6, levels=4, width=8, vertical=(1,), horizontal=1, coarser=1).eval()
    x, mask = torch.rand(2, 1, 6, 6), torch.zeros(6, 6, dtype=torch.bool)
    assert (model.log_prob_map(x)[:, :, ::2, ::2] == 0).all()
    assert torch.allclose(model.bits(x).mean(), model.loss(x)["loss"])
    with pytest.raises(BadInput, match="mask: wanted True for every second pixel"):
        model.complete(x, mask)
    mask[::2, ::2] = True
    assert torch.isfinite(model.complete(x, mask)).all()


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"width": ()}, r"width=\(\)"),
        ({"width": (8, 8, 8, 8, 8)}, "no more than 8 px allow"),
        ({"coarser": 0}, "coarser=0, wanted a whole number of at least 1"),
        ({"levels": 1}, "levels=1"),
    ],
)
def test_a_model_that_cannot_be_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        Multiscale(**SMALL | options)


def test_masks_and_images_that_do_not_fit_are_one_clear_error():
    model = build()
    with pytest.raises(BadInput, match=r"Multiscale: images have shape \(2, 1, 7, 7\)"):
        model.log_prob(torch.rand(2, 1, 7, 7))
    with pytest.raises(BadInput, match=r"mask.*wanted \(8, 8\) or \(2, 8, 8\)"):
        model.complete(torch.rand(2, 1, 8, 8), torch.ones(3, 8))
