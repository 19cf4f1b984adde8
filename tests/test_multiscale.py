"""Multiscale: what each pixel hangs on, that probabilities are some, and that it draws what it says."""

import itertools

import numpy as np
import pytest
import torch

from galnb.errors import BadInput
from galnb.models import Multiscale, PixelCNN
from galnb.models.means import halved, left
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


def test_what_a_mean_leaves_open_is_what_can_be():
    """Of all 81 fours of three levels: those that are found after the same ones, with the same mean."""
    fours = torch.tensor(list(itertools.product(range(3), repeat=4))).double()
    pictures = fours.view(-1, 1, 2, 2)
    mean = halved(pictures).flatten()
    low, high = (edge.flatten(1) for edge in left(halved(pictures), pictures, 2))
    for k, four in itertools.product(range(4), range(81)):
        alike = (mean == mean[four]) & (fours[:, :k] == fours[four, :k]).all(1)
        wanted = list(range(int(low[four, k]), int(high[four, k]) + 1))
        assert fours[alike, k].unique().tolist() == wanted


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_a_pixel_hangs_on_all_means_and_on_those_before_it_only(options):
    model = build(**options)
    u, _ = model.quantised(torch.rand(1, len(model.bands), model.size, model.size).double())
    for scale, part in zip(model.scales, model.pyramid(u), strict=True):
        means = scale.means(part).requires_grad_() if scale.coarser is not None else None
        part = part.clone().requires_grad_()
        numbers = scale.numbers(part, torch.ones_like(part[:, :1]), means=means)
        for i, (row, column) in enumerate(itertools.product(range(scale.size), repeat=2)):
            asked = [part] if means is None else [part, means]
            found = torch.autograd.grad(numbers[:, :, row, column].square().sum(), asked, retain_graph=True)
            seen, *around = (grad.abs().amax((0, 1)).flatten() > 0 for grad in found)
            assert not seen[i:].any()
            assert i == 0 or seen.any()
            for means_seen in around:
                assert means_seen.sum() >= min(4, len(means_seen))


@torch.no_grad()
@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_cached_and_naive_sampling_draw_the_same(options):
    model = build(**options)
    n, bands, size, most = 4, len(model.bands), model.size, model.pixel.levels - 1
    y = torch.randn(n, len(model.conditions)).double() if model.conditions else None
    x = torch.rand(n, bands, size, size).double()
    for mask in (torch.zeros(size, size, dtype=torch.bool), torch.rand(size, size) < 0.4):
        rng, known = torch.Generator().manual_seed(5), (x * most).round()
        edges = [(torch.where(mask, known, 0), torch.where(mask, known, most))]
        while len(edges) < len(model.scales):
            edges.insert(0, tuple(halved(edge) for edge in edges[0]))
        means = None
        for scale, (low, high) in zip(model.scales, edges, strict=True):
            u, seen = torch.zeros_like(low), torch.ones_like(low[:, :1])
            for row in range(scale.size):
                chance = torch.rand(scale.size, n, 1 + bands, generator=rng, dtype=torch.float64)
                for column in range(scale.size):
                    here = (..., row, column)
                    least, greatest = low[here], high[here]
                    if means is not None:
                        four = (
                            ...,
                            slice(row // 2 * 2, row // 2 * 2 + 2),
                            slice(column // 2 * 2, column // 2 * 2 + 2),
                        )
                        mean = 4 * means[..., row // 2, column // 2]
                        least = torch.maximum(least, mean - high[four].sum((2, 3)) + high[here])
                        greatest = torch.minimum(greatest, mean + 3 - low[four].sum((2, 3)) + low[here])
                    given = None if means is None else model.pixel.level(means)
                    numbers = scale.numbers(u, seen, y, given)[here]
                    within = model.pixel.level(least), model.pixel.level(greatest)
                    u[here] = model.pixel.draw(numbers, chance[column], within)
                    low[here] = high[here] = model.pixel.index(u[here])
            means = model.pixel.index(u)
        given = torch.where(mask, x, torch.nan)
        drawn = model.complete(given, mask, torch.Generator().manual_seed(5), y=y)
        torch.testing.assert_close(drawn, (u + 1) / 2, rtol=0, atol=1e-12)
        assert ((drawn - known / most).abs()[..., mask] < 1e-12).all()


TINY = {
    "one band": {"levels": 4},
    "two bands": {"levels": 2, "bands": ("r", "g")},
    "one mean": {"levels": 6, "mixtures": 1},
}


@pytest.fixture(scope="module", params=TINY.values(), ids=TINY)
def tiny(request):
    """A model of 2 x 2 pixels and their mean, all pictures that there are, and their log probabilities."""
    model = build(size=2, width=(8, 8), vertical=(1,), by=0.3, **request.param)
    places = torch.linspace(0, 1, model.pixel.levels).tolist()
    x = torch.tensor(list(itertools.product(places, repeat=4 * len(model.bands)))).double()
    x = x.view(-1, len(model.bands), 2, 2)
    with torch.no_grad():
        return model, x, model.log_prob(x)


def test_the_probabilities_of_all_pictures_sum_to_one(tiny):
    _, _, log_p = tiny
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert log_p.std() > 0.5  # and are not all alike


@torch.no_grad()
def test_and_over_three_scales():
    model = build(size=4, levels=2, width=(8, 8, 8), vertical=(1,))
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=16))).view(-1, 1, 4, 4).double()
    assert float(model.log_prob(x).exp().sum()) == pytest.approx(1, abs=1e-9)


@torch.no_grad()
def test_those_of_the_pixels_of_each_mean_sum_to_one(tiny):
    model, x, _ = tiny
    finest = model.scales[-1]
    p = finest.log_prob(x).exp()
    means = (model.pixel.index(finest.means(2 * x - 1))).flatten(1)
    for mean in means.unique(dim=0):
        assert float(p[(means == mean).all(1)].sum()) == pytest.approx(1, abs=1e-9)


def test_pictures_are_drawn_as_often_as_is_said(tiny):
    assert drawn_as_often_as_is_said(*tiny)


@torch.no_grad()
def test_a_pixels_pmf_is_what_enumeration_gives(tiny):
    model, x, log_p = tiny
    means = model.pixel.index(model.scales[-1].means(2 * x - 1)).flatten(1)
    for i in (3, 17, len(x) // 2, len(x) - 2):
        same = (means == means[i]).all(1) & (x[:, :, 0] == x[i, :, 0]).flatten(1).all(1)
        level = model.pixel.index(2 * x[:, 0, 1, 0] - 1).long()
        p = torch.zeros(model.pixel.levels).double().index_add_(0, level[same], log_p.exp()[same])
        torch.testing.assert_close(model.pmf(x[i : i + 1], 1, 0)[0], p / p.sum(), rtol=1e-6, atol=1e-9)


@torch.no_grad()
def test_the_map_sums_to_the_likelihood_and_that_to_the_scales():
    model = build(bands=("i", "r", "g"))
    x = torch.rand(4, 3, 8, 8).double()
    torch.testing.assert_close(model.log_prob_map(x).sum((1, 2, 3)), model.log_prob(x))
    pyramid = model.pyramid(model.quantised(x)[0])
    parts = [scale.log_prob((u + 1) / 2) for scale, u in zip(model.scales, pyramid, strict=True)]
    torch.testing.assert_close(sum(parts), model.log_prob(x))


def test_a_drawing_goes_from_coarse_to_fine_and_keeps_what_is_known():
    model = build()
    x, masks = torch.rand(5, 1, 8, 8).double(), torch.rand(5, 8, 8) < 0.5
    steps = list(model.drawing(x, masks, torch.Generator().manual_seed(0)))
    assert len(steps) == 2 + 4 + 8
    counts = [int(torch.isfinite(step).sum()) for step in steps]
    assert counts == sorted(counts) and torch.isfinite(steps[1]).all()
    at = masks[:, None]
    for step in steps:
        torch.testing.assert_close(step[at], ((x[at] * 7).round() / 7))
    (drawn,) = itertools.islice(model.drawing(x, masks & False, torch.Generator().manual_seed(0)), 5, 6)
    *_, last = model.drawing(x, masks & False, torch.Generator().manual_seed(0))
    torch.testing.assert_close(halved((last * 7).round()), halved((drawn * 7).round()))


@torch.no_grad()
def test_before_training_it_is_linear_around_the_means():
    """Of a smooth field: a pixel is near what the means around it and the pixels before let expect."""
    y, x = np.mgrid[:16, :16] / 16
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (200, 2, 1, 1))
    field = 0.5 + 0.2 * np.sin(5 * x + phase[:, 0]) + 0.2 * np.sin(4 * y + phase[:, 1])
    field = torch.from_numpy(field[:, None]).float()
    model = Multiscale(("r",), 16, width=(8, 8), vertical=(1,), horizontal=1).eval()
    model.warm_start([field])
    u, known = model.quantised(field)
    off = (model.numbers(u, known)[:, -1] - u[:, 0]).abs()
    assert float(off[:, 2:-2, 2:-2].mean()) < 0.006


def test_a_finer_scale_alone_draws_nothing():
    model = PixelCNN(("r",), 6, levels=4, width=8, vertical=(1,), horizontal=1, coarser=1).eval()
    x = torch.rand(2, 1, 6, 6)
    assert torch.allclose(model.bits(x).mean(), model.loss(x)["loss"])
    with pytest.raises(BadInput, match="PixelCNN: it draws pixels given their means, wanted Multiscale"):
        model.complete(x, torch.zeros(6, 6, dtype=torch.bool))


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
