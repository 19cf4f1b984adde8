"""PixelCNN: what it sees, that its probabilities are some, and that it draws what it says."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from astropy.table import Table
from scipy.stats import chisquare

from galnb import weights
from galnb.errors import BadInput
from galnb.images import Images
from galnb.models import PixelCNN
from galnb.models.logistics import Logistics
from galnb.models.stacks import Gated, Level, Window
from galnb.train import Settings, fit

SMALL = {
    "bands": ("r",),
    "size": 7,
    "levels": 8,
    "width": 8,
    "vertical": (1,),
    "horizontal": 1,
    "mixtures": 3,
}
SHAPES = {
    "one level": {},
    "down and up": {"vertical": (1, 1)},
    "down and up twice": {"vertical": (1, 0, 1), "horizontal": 2},
    "three bands": {"bands": ("i", "r", "g"), "vertical": (1, 1)},
    "opposite": {"opposite": 1, "vertical": (1, 1)},
    "opposite, leaning": {"opposite": 1, "lean": True, "bands": ("r", "g")},
    "opposite, told": {"opposite": 1, "conditions": ("mass",)},
    "masked": {"blind_spot": True, "horizontal": 2},
    "told": {"conditions": ("mass", "color"), "vertical": (1, 1)},
    "anywhere": {"place": False, "holes": True},
}


def build(by=0.3, **options):
    """A model with weights that are not zero anywhere."""
    torch.manual_seed(0)
    model = PixelCNN(**SMALL | options).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn_like(parameter)
        for name in ("sky", "scatter", "unit"):
            getattr(model, name).add_(0.1 * torch.rand_like(getattr(model, name)))
    return model


def levels(model, n=2, seed=0):
    """Random levels u (n, band, size, size), and that all are known."""
    torch.manual_seed(seed)
    x = torch.rand(n, len(model.bands), model.size, model.size).double()
    return model.quantised(x)


# what it sees


def reach(model, seen_by):
    """Which pixels (size, size) a pixel's numbers hang on, by gradients."""
    u, known = levels(model, n=1)
    u.requires_grad_()
    model.numbers(u, known)[:, :, *seen_by].square().sum().backward()
    return u.grad.abs().amax((0, 1)) > 0


def before(size, row, column):
    return torch.arange(size * size).view(size, size) < row * size + column


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_a_pixel_hangs_on_those_before_it_only(options):
    model = build(**options)
    for place in itertools.product(range(7), range(7)):
        seen = reach(model, place)
        assert not seen[~before(7, *place)].any()
        assert place == (0, 0) or seen.any()


@pytest.mark.parametrize("width", [6, 7])
def test_every_layer_looks_up_and_left(width):
    torch.manual_seed(0)
    own = {
        "row above": (Window(2, 2, top=2, bottom=-1, left=1, right=1), False, True),
        "columns left": (Window(2, 2, top=0, left=3, right=-1), False, False),
        "masked without its own": (Window(2, 2, top=1, left=2, right=2, last=2), False, False),
        "masked with its own": (Window(2, 2, top=1, left=1, right=1, last=2), True, False),
        "gated up": (Gated(2, top=1, left=1, right=1), True, True),
        "gated left": (Gated(2, top=0, left=2, right=0), True, False),
        "levels": (Level(2, (1, 1, 1)), True, True),
    }
    for layer, sees_itself, sees_its_row in own.values():
        for parameter in layer.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        for row, column in itertools.product(range(5), range(width)):
            x = torch.randn(1, 2, 5, width, requires_grad=True)
            layer(x)[:, :, row, column].square().sum().backward()
            seen = x.grad.abs().amax((0, 1)) > 0
            raster = torch.arange(5 * width).view(5, width)
            last = raster[row, -1] if sees_its_row and sees_itself else raster[row, column]
            last = raster[row, 0] if sees_its_row and not sees_itself else last
            assert not seen[raster > last if sees_itself else raster >= last].any()


def test_two_stacks_see_all_that_is_before_and_masks_are_blind_on_the_right():
    whole = build(size=9, vertical=(5,), horizontal=2)
    masked = build(size=9, horizontal=9, blind_spot=True)
    y, x = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    blind = 0
    for row, column in itertools.product(range(9), range(9)):
        past = before(9, row, column)
        assert torch.equal(reach(whole, (row, column)), past)
        hidden = past & (
            x - column > (row - y) + 2
        )  # one column to the right for each row up, and the first's
        assert torch.equal(reach(masked, (row, column)), past & ~hidden)
        blind += int(hidden.sum())
    assert blind > 200


def test_a_band_hangs_on_the_bands_before_it_only():
    pixel = Logistics(n_bands=3, mixtures=2, levels=16)
    torch.manual_seed(0)
    numbers, u = torch.randn(1, pixel.numbers), (2 * torch.rand(1, 3) - 1).requires_grad_()
    each = pixel.log_prob(numbers, u, each=True)
    for band in range(3):
        (grad,) = torch.autograd.grad(each[0, band], u, retain_graph=True)
        assert (grad[0, : band + 1] != 0).all() and (grad[0, band + 1 :] == 0).all()
    torch.testing.assert_close(each.sum(1), pixel.log_prob(numbers, u))


# that its probabilities are some


@pytest.fixture(scope="module", params=[(("r",), 4, False), (("g", "r"), 3, False), (("r",), 4, True)])
def tiny(request):
    """A model of 2 x 2 pixels, all pictures that there are, and their log probabilities."""
    bands, count, blind = request.param
    model = build(bands=bands, size=2, levels=count, blind_spot=blind, by=0.2)
    grid = itertools.product(range(count), repeat=4 * len(bands))
    x = torch.tensor(list(grid)).view(-1, len(bands), 2, 2).double() / (count - 1)
    with torch.no_grad():
        return model, x, model.log_prob(x)


def test_the_probabilities_of_all_pictures_sum_to_one(tiny):
    model, x, log_p = tiny
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert log_p.std() > 0.5  # and are not all alike
    single = copy.deepcopy(model).float().log_prob(x.float()).detach()
    assert float(single.exp().sum()) == pytest.approx(1, abs=1e-4)


def drawn_as_often_as_is_said(model, x, log_p):
    """Whether the model draws each picture x (n, band, y, x), of all there are, as often as it says."""
    drawn = model.sample(20_000, torch.Generator().manual_seed(0))
    count = model.pixel.levels
    index = (drawn * (count - 1)).round().long().flatten(1) @ count ** torch.arange(x[0].numel()).flip(0)
    found, p = torch.bincount(index, minlength=len(x)).numpy(), log_p.exp().numpy()
    often = 20_000 * p > 5
    found, wanted = (np.append(a[often], a[~often].sum()) for a in (found, 20_000 * p))
    return chisquare(found, wanted * found.sum() / wanted.sum()).pvalue > 1e-3


def test_pictures_are_drawn_as_often_as_is_said(tiny):
    assert drawn_as_often_as_is_said(*tiny)


def test_a_pixels_pmf_is_what_enumeration_gives(tiny):
    model, x, log_p = tiny
    band, place = len(model.bands) - 1, (1, 0)
    given = x[1::97][:3]
    found = model.pmf(given, *place, band)
    for picture, share in zip(given, found, strict=True):
        same = (x[:, :, 0] == picture[:, 0]).all(2).all(1)  # the row above, and bands before
        same &= (x[:, :band, 1, 0] == picture[:band, 1, 0]).all(1)
        level = (x[:, band, 1, 0] * (model.pixel.levels - 1)).round().long()
        p = torch.zeros(model.pixel.levels).double().index_add_(0, level[same], log_p.exp()[same])
        torch.testing.assert_close(share, p / p.sum(), rtol=1e-6, atol=1e-9)


def test_the_map_sums_to_the_likelihood_and_agrees_with_the_pmf():
    model = build(bands=("i", "r", "g"))
    x = torch.rand(4, 3, 7, 7).double()
    found = model.log_prob_map(x)
    torch.testing.assert_close(found.sum((1, 2, 3)), model.log_prob(x))
    level = (x[:, 1, 3, 5] * 7).round().long()
    share = model.pmf(x, 3, 5, band=1)
    torch.testing.assert_close(share.gather(1, level[:, None])[:, 0].log(), found[:, 1, 3, 5])
    torch.testing.assert_close(model.bits(x), -model.log_prob(x) / (147 * math.log(2)))
    torch.testing.assert_close(model.loss(x)["loss"], model.bits(x).mean())


@pytest.mark.parametrize("log_scale", [-20.0, -5.0, 0.0, 12.0])
def test_levels_sum_to_one_however_sharp_or_wide(log_scale):
    pixel = Logistics(n_bands=1, mixtures=1, levels=256)
    for mean in (-3.0, -1.0, 0.3, 1.0):
        numbers = torch.tensor([[0.0, 0.0, log_scale, mean]])
        share = pixel.pmf(numbers, torch.zeros(1, 0))
        assert float(share.sum()) == pytest.approx(1, abs=1e-4) and (share >= 0).all()


def test_pixels_between_levels_and_beyond_the_ends_are_rounded():
    model = build()
    x = torch.randint(8, (3, 1, 7, 7)).double() / 7
    near = torch.where(x == 0, -0.4, torch.where(x == 1, 1.7, x + 0.4 / 7))
    torch.testing.assert_close(model.log_prob(near), model.log_prob(x))


# what is drawn


def naive(model, x, mask, generator, y=None):
    """Pictures drawn by a pass over the whole for every pixel."""
    n, bands, height, width = x.shape
    u, known = model.quantised(torch.where(mask, x, 0.5))
    known, drawn = torch.ones_like(known), torch.where(mask, u, 0.0)
    for row in range(height):
        chance = torch.rand(width, n, 1 + bands, generator=generator, dtype=torch.float64)
        for column in range(width):
            if not mask[row, column]:
                numbers = model.numbers(drawn, known, y)[:, :, row, column]
                drawn[:, :, row, column] = model.pixel.draw(numbers, chance[column])
    return (drawn + 1) / 2


@torch.no_grad()
@pytest.mark.parametrize("size", [7, 10])
@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_cached_and_naive_sampling_draw_the_same(options, size):
    model = build(size=size, **options)
    y = torch.randn(4, len(model.conditions)).double() if model.conditions else None
    rng = lambda: torch.Generator().manual_seed(5)  # noqa: E731
    nothing = torch.zeros(size, size, dtype=torch.bool)
    x = torch.rand(4, len(model.bands), size, size).double()
    drawn = model.sample(4, rng(), y=y)
    torch.testing.assert_close(drawn, naive(model, x, nothing, rng(), y), rtol=0, atol=1e-12)
    assert drawn.std() > 0.03 and torch.equal(drawn, model.sample(4, rng(), y=y))
    mask = torch.rand(size, size) < 0.4
    completed = model.complete(torch.where(mask, x, torch.nan), mask, rng(), y=y)
    torch.testing.assert_close(completed, naive(model, x, mask, rng(), y), rtol=0, atol=1e-12)


def test_completion_keeps_what_is_known_of_each_galaxy():
    model = build(bands=("i", "r", "g"))
    x, masks = torch.rand(5, 3, 7, 7).double(), torch.rand(5, 7, 7) < 0.5
    masks[0], masks[1] = True, False
    found = model.complete(x, masks, torch.Generator().manual_seed(0))
    rounded = (x * 7).round() / 7
    at = masks[:, None].expand_as(x)
    torch.testing.assert_close(found[at], rounded[at])
    assert not torch.allclose(found[1], rounded[1])
    steps = list(model.drawing(x, masks, torch.Generator().manual_seed(0)))
    assert len(steps) == 7 and torch.equal(steps[-1], found)


def test_a_drawing_shows_what_is_there_and_nan_elsewhere():
    model = build()
    x, mask = torch.zeros(2, 1, 7, 7), torch.zeros(7, 7, dtype=torch.bool)
    for row, picture in enumerate(model.drawing(x, mask, torch.Generator().manual_seed(0))):
        assert torch.isfinite(picture[:, :, : row + 1]).all() and torch.isnan(picture[:, :, row + 1 :]).all()


# what it learns


def markov_field(n, size=10, seed=0):
    """Pictures (n, 1, size, size) of 0 and 1, each drawn given the one above and the one left, and the log
    probability (n,) of each in nats."""
    rng = np.random.default_rng(seed)
    table = np.array(
        [[0.05, 0.7, 0.4], [0.9, 0.15, 0.8], [0.3, 0.8, 0.5]]
    )  # of a 1; the last is off the edge
    field, log_p = np.full((n, size + 1, size + 1), 2), np.zeros(n)
    for y, x in itertools.product(range(1, size + 1), repeat=2):
        share = table[field[:, y - 1, x], field[:, y, x - 1]]
        field[:, y, x] = rng.random(n) < share
        log_p += np.log(np.where(field[:, y, x], share, 1 - share))
    return field[:, None, 1:, 1:].astype(np.float32), log_p


def test_it_comes_within_two_percent_of_a_known_entropy():
    x, _ = markov_field(400)
    held, log_p = markov_field(400, seed=1)
    torch.manual_seed(0)
    model = PixelCNN(("r",), 10, 2, width=16, vertical=(1,), horizontal=1, mixtures=2, place=False)
    settings = Settings(epochs=12, batch=20, warm_up=20, learning_rate=5e-3, average=0.95, augment=())
    fit(model, x, settings=settings, progress=False)
    with torch.no_grad():
        found, truth = -float(model.log_prob(torch.from_numpy(held)).mean()), -float(log_p.mean())
    assert 0.98 * truth < found < 1.02 * truth


def test_it_draws_what_it_is_told():
    y = torch.tensor(np.arange(80) % 2).float()[:, None]
    torch.manual_seed(0)
    x = (0.25 + 0.5 * y[..., None, None] + 0.05 * torch.randn(80, 1, 8, 8)).clip(0, 1)
    model = PixelCNN(("r",), 8, 16, width=16, vertical=(1,), horizontal=1, conditions=("bright",))
    settings = Settings(epochs=30, batch=20, warm_up=5, learning_rate=1e-2, average=0.9, augment=())
    fit(model, x.numpy(), labels=Table({"bright": y[:, 0].numpy()}), settings=settings, progress=False)
    with torch.no_grad():
        right, wrong, unknown = (model.log_prob(x, told).mean() for told in (y, 1 - y, None))
    assert right > unknown + 1 > wrong + 5
    drawn = model.sample(40, torch.Generator().manual_seed(0), y=y[:40]).mean((1, 2, 3))
    assert drawn[y[:40, 0] == 0].mean() < 0.35 and drawn[y[:40, 0] == 1].mean() > 0.65


@torch.no_grad()
def test_before_training_it_is_a_linear_autoregression():
    """Of a field whose pixels are the mean of left and above plus noise."""
    rng = np.random.default_rng(0)
    field = np.zeros((60, 25, 25))
    for y, x in itertools.product(range(1, 25), repeat=2):
        field[:, y, x] = 0.48 * (field[:, y - 1, x] + field[:, y, x - 1]) + 0.03 * rng.normal(size=60)
    x = torch.from_numpy(0.5 + field[:, None, 1:, 1:]).float()
    torch.manual_seed(0)
    model = PixelCNN(("r",), 24, width=8, vertical=(1,), horizontal=1).eval()
    model.warm_start([x])
    u, known = model.quantised(x)
    expected = (model.numbers(u, known)[:, -1, 1:, 1:] + 1) / 2
    truth = 0.5 + 0.48 * (x[:, 0, :-1, 1:] + x[:, 0, 1:, :-1] - 1)
    assert float((expected - truth).std()) < 0.1 * 0.03
    entropy = math.log2(0.03 * 255 * math.sqrt(2 * math.pi * math.e))
    assert float(model.bits(x).mean()) < entropy + 0.25


# holes, and what is refused


def test_what_is_in_a_hole_is_neither_seen_nor_counted():
    model = build(bands=("g", "r"), place=False, holes=True, vertical=(1, 1))
    x = torch.rand(3, 2, 7, 7).double()
    hole = torch.rand(3, 1, 7, 7) < 0.3
    hole[0] = False
    part = torch.where(hole, torch.nan, x)
    part[:, 1] = torch.where(hole[:, 0], x[:, 1], part[:, 1])  # one band is enough
    found = model.log_prob_map(part)
    assert (found[hole.expand_as(x)] == 0).all() and (found[~hole.expand_as(x)] < 0).all()
    torch.testing.assert_close(found[0], model.log_prob_map(x)[0])
    torch.testing.assert_close(model.log_prob(part), found.sum((1, 2, 3)))
    count = 2 * (~hole).sum((1, 2, 3))
    torch.testing.assert_close(model.bits(part), -model.log_prob(part) / (count * math.log(2)))
    given = model.tensor(Images(part.numpy(), bands=("g", "r")))
    assert torch.equal(torch.isnan(given), torch.isnan(part))
    assert torch.isfinite(model.loss(part)["loss"])
    assert model.log_prob_map(x[:, :, :5, :6]).shape == (3, 2, 5, 6)


def test_images_that_do_not_fit_are_one_clear_error():
    model, x = build(), torch.rand(2, 1, 7, 7)
    for given, reason in (
        (x[0], r"shape \(1, 7, 7\), wanted \(n, 1, 7, 7\)"),
        (torch.rand(2, 1, 8, 8), "crop or resize"),
        (torch.rand(2, 3, 7, 7), r"wanted \(n, 1, 7, 7\)"),
        (torch.full_like(x, torch.nan), "NaN"),
    ):
        for ask in (model.log_prob, model.log_prob_map, model.loss):
            with pytest.raises(BadInput, match=reason):
                ask(given)
    with pytest.raises(BadInput, match=r"mask.*wanted \(7, 7\) or \(2, 7, 7\)"):
        model.complete(x, torch.ones(3, 7))
    with pytest.raises(BadInput, match=r"y: shape \(3, 2\), wanted \(2, 1\)"):
        build(conditions=("mass",)).log_prob(x, torch.zeros(3, 2))


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"levels": 1}, "levels=1, wanted a whole number of at least 2"),
        ({"mixtures": 0}, "mixtures=0"),
        ({"vertical": ()}, "wanted numbers of blocks"),
        ({"horizontal": 1.5}, "horizontal=1.5"),
        ({"opposite": -1}, "opposite=-1"),
        ({"opposite": 1, "blind_spot": True}, "wanted one of them"),
        ({"lean": True}, "lean=True with opposite=0"),
        ({"coarser": 1, "holes": True}, "coarser=1 with holes=True"),
    ],
)
def test_a_model_that_cannot_be_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        PixelCNN(**SMALL | options)


@pytest.mark.parametrize("name", weights.names())
def test_shipped_weights_need_less_than_half_of_the_levels_bits(name):
    card = weights.card(name)
    if card["model"] != "pixelcnn":
        pytest.skip(f"{name} is no PixelCNN")
    if "stirred" in card["recipe"]["data"]:
        pytest.skip("the pixels that it learned from are partly taken from anywhere")
    assert 0 < card["held_out"]["bits_per_dimension"] < math.log2(card["config"]["levels"]) / 2
