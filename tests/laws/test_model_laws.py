"""The laws of the model family: every member of the list keeps them, a newcomer too."""

import numpy as np
import pytest
import torch

from galnb import models, weights
from galnb.errors import BadInput, BandMismatch, CannotDo
from galnb.images import Images
from galnb.train import Settings, fit

ADVERSARIAL = ("wgan",)  # members whose loss need not fall, by name
LATENTLESS = ("pixelcnn", "multiscale")  # members that turn nothing into latents
SHAPES = [(28, ("r",)), (45, ("g", "r", "i", "z", "y")), (64, ("i", "r", "g"))]


@pytest.fixture(params=sorted(models.MEMBERS))
def name(request):
    return request.param


def build(name, size=28, bands=("r",), latent_dim=8):
    torch.manual_seed(0)
    options = {} if name in LATENTLESS else {"latent_dim": latent_dim}
    return models.load(name, size=size, bands=bands, **options)


def easy(n=40, size=28, n_bands=1):
    """Blobs whose place and width vary: float32 (n, n_bands, size, size)."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size] / size - 0.5
    place, width = rng.normal(0, 0.05, (n, 2, 1, 1)), rng.uniform(0.1, 0.25, (n, 1, 1))
    blob = np.exp(-((x - place[:, 0]) ** 2 + (y - place[:, 1]) ** 2) / (2 * width**2))
    return np.repeat(blob[:, None], n_bands, axis=1).astype(np.float32)


@pytest.mark.parametrize("size, bands", SHAPES)
def test_shapes_are_what_the_contract_says(name, size, bands):
    model = build(name, size, bands)
    x = torch.from_numpy(easy(12, size, len(bands)))
    model.warm_start([x])
    model.eval()
    terms = model.loss(x)
    assert terms["loss"].shape == ()
    if model.can("encode"):
        assert model.encode(x).shape == (12, 8)
    if model.can("decode"):
        assert model.decode(torch.zeros(4, 8)).shape == (4, len(bands), size, size)
    if model.can("sample"):
        assert model.sample(4, torch.Generator().manual_seed(0)).shape == (4, len(bands), size, size)
    if model.can("log_prob"):
        assert model.log_prob(x).shape == (12,)


def test_the_loss_falls_on_easy_images(name):
    if name in ADVERSARIAL:
        pytest.skip(f"{name} plays against itself: its loss need not fall")
    x, model = easy(), build(name)
    before = float(model.eval().loss(torch.from_numpy(x))["loss"].detach())
    fit(model, x, settings=Settings(epochs=4, batch=20, warm_up=1), progress=False)
    assert float(model.loss(torch.from_numpy(x))["loss"].detach()) < before - 0.1 * abs(before)


def test_saving_and_loading_changes_nothing(name, tmp_path):
    model, x = build(name), torch.from_numpy(easy())
    model.warm_start([x])
    again = weights.load(weights.save(model.eval(), tmp_path / "model"))
    assert again.config == model.config
    assert torch.equal(again.loss(x)["loss"], model.loss(x)["loss"])


def test_one_seed_gives_one_result(name):
    trained = []
    for _ in range(2):
        model = build(name)
        fit(model, easy(), settings=Settings(epochs=2, batch=20), progress=False)
        trained.append(model.state_dict())
    assert all(torch.equal(trained[0][key], trained[1][key]) for key in trained[0])


def test_encoding_one_galaxy_does_not_hang_on_its_neighbors(name):
    model, x = build(name).eval(), torch.from_numpy(easy())
    if not model.can("encode"):
        pytest.skip(f"{name} has no encode")
    model.warm_start([x])
    with torch.inference_mode():
        torch.testing.assert_close(model.encode(x)[:3], model.encode(x[:3]), rtol=1e-4, atol=1e-4)


def test_images_that_do_not_fit_are_refused_with_what_to_do(name):
    model = build(name, 28, ("g", "r"))
    good = np.zeros((3, 2, 28, 28))
    with pytest.raises(BandMismatch, match="g, r"):
        model.tensor(Images(good, bands=("g", "z")))
    with pytest.raises(BadInput, match=r"crop\(28\)"):
        model.tensor(Images(np.zeros((3, 2, 32, 32)), bands=("g", "r")))
    bad = good.copy()
    bad[1, 0, 5, 5] = np.nan
    with pytest.raises(BadInput, match="id 1.*NaN"):
        model.tensor(Images(bad, bands=("g", "r")))


def test_bands_are_taken_by_name_and_not_by_place(name):
    model = build(name, 28, ("g", "r"))
    pixels = np.random.default_rng(0).random((2, 3, 28, 28))
    given = model.tensor(Images(pixels, bands=("r", "z", "g")))
    assert np.array_equal(given.numpy(), pixels[:, [2, 0]].astype(np.float32))


def test_a_model_says_what_it_cannot_do(name):
    model = build(name)
    for ability in ("encode", "decode", "sample", "log_prob"):
        if not model.can(ability):
            with pytest.raises(CannotDo, match=f"cannot {ability}"):
                model.demand(ability)
    with pytest.raises(ValueError, match="no ability"):
        model.can("fly")
