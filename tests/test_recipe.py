import json

import numpy as np
import pytest
import torch

from galnb import recipe, weights
from galnb.errors import BadInput, BandMismatch
from galnb.provenance import held_out, sha256
from galnb.train import train

RECIPE = """
name = "toy"
credit = "nobody, 2026"

[data]
source = "folder"
path = "galaxies.npz"
bands = ["r"]
crop = 28
held_out = 0.25

[model]
kind = "ae"
bands = ["r"]
size = 28
latent_dim = 3
widths = [8, 8, 8]

[train]
epochs = 2
batch = 8
warm_up = 2
seed = 3
"""


@pytest.fixture
def kitchen(tmp_path):
    """Beside 40 galaxies of 32 pixels: writes the recipe with (old, new) changes, and gives its path."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] - 15.5
    width = rng.uniform(2, 4, (40, 1, 1))
    pixels = np.exp(-(x**2 + y**2) / (2 * width**2))[:, None] + 0.01 * rng.normal(size=(40, 1, 32, 32))
    np.savez(tmp_path / "galaxies.npz", images=pixels.astype(np.float32), id=np.arange(40) + 100)

    def write(*changes, name="toy.toml"):
        text = RECIPE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def cook(path, out="runs"):
    return recipe.cook(path, path.parent / out, progress=False)


def test_a_recipe_becomes_weights_with_a_card(kitchen):
    saved = cook(kitchen())
    card = json.loads(saved.with_suffix(".json").read_text())
    assert saved.name == "toy.safetensors" and card["sha256"] == sha256(saved)
    assert card["credit"] == "nobody, 2026" and card["seed"] == 3 and card["steps"] == 6
    assert card["n_train"] == 30 and card["n_held_out"] == 10 and len(card["data_sha256"]) == 64
    assert card["recipe"]["data"]["source"] == "folder" and card["recipe"]["train"]["epochs"] == 2
    assert card["compression"]["count"] == pytest.approx(28 * 28 / 3)
    assert 0 < card["held_out"]["mse"] < 1e-2 and card["held_out"]["measured"] == 1
    assert weights.load(saved).config["widths"] == (8, 8, 8)


def test_the_held_out_galaxies_are_the_last_ids_by_sha1_and_images_are_cropped(kitchen):
    path = kitchen()
    images, mask = recipe.load_data(recipe.read(path), path.parent)
    assert images.shape == (28, 28) and np.array_equal(mask, held_out(images.id, share=0.25))


def test_a_recipe_can_crop_about_where_the_galaxies_are(kitchen):
    path = kitchen(("crop = 28", "crop = 28\ncenter = true"))
    with np.load(path.parent / "galaxies.npz") as file:
        moved = np.roll(file["images"], (2, -1), axis=(2, 3))
        np.savez(path.parent / "galaxies.npz", images=moved, id=file["id"])
    images, _ = recipe.load_data(recipe.read(path), path.parent)
    assert np.array_equal(images.pixels, moved[:, :, 4:32, 1:29])


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others(kitchen):
    one, again = cook(kitchen(), "a"), cook(kitchen(), "b")
    other = cook(kitchen(("seed = 3", "seed = 4")), "c")
    assert sha256(one) == sha256(again) != sha256(other)


def test_a_recipe_stopped_on_the_way_goes_on_to_the_same_bytes(kitchen):
    path = kitchen()
    whole = cook(path, "whole")
    described = recipe.read(path)
    images, mask = recipe.load_data(described, path.parent)
    settings = recipe.Settings(**described["train"])
    part = path.parent / "part" / "toy.checkpoint"
    run = train(
        recipe.build(described), images[~mask].pixels, held_out=images[mask].pixels, settings=settings,
        checkpoint=part,
    )  # fmt: skip
    for _ in range(4):
        next(run)
    run.close()
    assert part.exists() and sha256(cook(path, "part")) == sha256(whole)


def test_cooking_what_is_done_changes_nothing(kitchen):
    path = kitchen()
    before = cook(path).read_bytes(), weights.card(cook(path))
    assert (cook(path).read_bytes(), weights.card(cook(path))) == before


def test_a_recipe_starts_from_anothers_weights(kitchen):
    first = kitchen()
    second = kitchen(
        ('name = "toy"', 'name = "more"\nstart = "toy.toml"'),
        ("epochs = 2", "epochs = 1\nlearning_rate = 0.0"),
        name="b.toml",
    )
    saved = cook(second)
    assert saved.name == "more.safetensors" and (saved.parent / "toy.safetensors").exists()
    start, end = (weights.load(path).state_dict() for path in (cook(first), saved))
    # Without learning all stays; weights are halved to float16 in between.
    assert all(np.allclose(start[name], end[name], atol=1e-3) for name in start)


def test_a_start_of_another_shape_is_refused(kitchen):
    kitchen()
    path = kitchen(
        ('name = "toy"', 'name = "more"\nstart = "toy.toml"'),
        ("latent_dim = 3", "latent_dim = 4"),
        name="b.toml",
    )
    with pytest.raises(BadInput, match="b.toml.*other weights than that of toy.toml"):
        cook(path)


def test_without_held_out_galaxies_there_are_no_scores(kitchen):
    card = weights.card(cook(kitchen(("held_out = 0.25", "held_out = 0.0"))))
    assert card["n_held_out"] == 0 and card["n_train"] == 40 and "held_out" not in card


def test_the_embedded_survey_cooks_a_pca(kitchen):
    changes = [('"folder"\npath = "galaxies.npz"\nbands = ["r"]\ncrop = 28', '"hubble"'), ('"ae"', '"pca"')]
    changes += [
        ('bands = ["r"]', 'bands = ["red"]'),
        ("widths = [8, 8, 8]\n", ""),
        ("size = 28", "size = 32"),
    ]
    card = weights.card(cook(kitchen(*changes)))
    assert card["model"] == "pca" and card["n_train"] + card["n_held_out"] >= 800 and card["steps"] == 0


@pytest.mark.parametrize(
    "change, reason",
    [
        (("credit =", "credits ="), "did you mean 'credit'"),
        (("[train]", "[trian]"), "did you mean 'train'"),
        (('kind = "ae"', 'kind = "ea"'), "model='ea'.*'ae'"),
        (('"folder"', '"foldr"'), "did you mean 'folder'"),
        (("epochs", "epoch"), "did you mean 'epochs'"),
        (('name = "toy"', ""), "no 'name' in the recipe"),
        (('name = "toy"', "name = toy"), "toy.toml"),
        (('name = "toy"', 'name = "toy"\nlong = 0'), "long=0, wanted a whole number of at least 1"),
    ],
)
def test_a_misspelt_recipe_is_one_error_that_names_the_file(kitchen, change, reason):
    with pytest.raises(BadInput, match=reason) as caught:
        recipe.read(kitchen(change))
    assert "toy.toml" in caught.value.where


@pytest.mark.parametrize(
    "change, kind, reason",
    [
        (("crop = 28", "crops = 28"), ValueError, "option of source 'folder'='crops'"),
        (("latent_dim", "latent_dims"), ValueError, "did you mean 'latent_dim'"),
        (("galaxies.npz", "galaxy.npz"), BadInput, "galaxy.npz"),
        (("crop = 28", "crop = 29"), BadInput, "29 x 29 px, the model was made for 28 x 28"),
        (('kind = "ae"\nbands = ["r"]', 'kind = "ae"\nbands = ["z"]'), BandMismatch, "1 bands .r.*z"),
    ],
)
def test_what_the_recipe_asks_for_and_is_not_there_is_said(kitchen, change, kind, reason):
    with pytest.raises(kind, match=reason):
        cook(kitchen(change))


def test_a_model_of_pixels_is_told_by_its_bits_and_has_no_ratio(kitchen):
    changes = [
        ("crop = 28", "crop = 28\nbin = 2\ngrey = true"),
        ('kind = "ae"\nbands = ["r"]\nsize = 28', 'kind = "pixelcnn"\nbands = ["grey"]\nsize = 14'),
        ("latent_dim = 3\nwidths = [8, 8, 8]", "width = 8\nvertical = [1]\nhorizontal = 1"),
    ]
    saved = cook(kitchen(*changes))
    card = weights.card(saved)
    assert "compression" not in card and 0 < card["held_out"]["bits_per_dimension"] < 8
    described = recipe.read(saved.parents[1] / "toy.toml")
    images, mask = recipe.load_data(described, saved.parents[1])
    bits = weights.load(saved).bits(torch.from_numpy(images[mask].pixels))
    assert card["held_out"]["bits_per_dimension"] == pytest.approx(float(bits.detach().mean()), rel=1e-5)


def test_trained_rows_longer_than_asked_take_a_byte_a_number_and_cost_little(kitchen):
    changes = [
        ('kind = "ae"', 'kind = "multiscale"'),
        ("latent_dim = 3\nwidths = [8, 8, 8]", "width = [24, 24]\nvertical = [1]\nhorizontal = 1"),
    ]
    whole, short = cook(kitchen(*changes)), kitchen(*changes, ('name = "toy"', 'name = "short"\nlong = 30'))
    short = cook(short)
    assert short.stat().st_size < 0.8 * whole.stat().st_size
    bits = [weights.card(path)["held_out"]["bits_per_dimension"] for path in (whole, short)]
    assert bits[0] != bits[1] == pytest.approx(bits[0], abs=1e-2)
    straight, other = (weights.load(path).scales[1].straight.weight for path in (whole, short))
    assert torch.equal(straight, other)  # found by least squares


def test_what_is_no_sky_can_be_left_out(kitchen):
    changes = [
        ("crop = 28", "crop = 28\nsky = true"),
        ('kind = "ae"', 'kind = "pixelcnn"'),
        ("latent_dim = 3\nwidths = [8, 8, 8]", "width = 8\nvertical = [1]\nhorizontal = 1\nholes = true"),
    ]
    path = kitchen(*changes)
    images, _ = recipe.load_data(recipe.read(path), path.parent)
    assert np.isnan(images.pixels[:, 0, 14, 14]).all() and 0.2 < np.isfinite(images.pixels).mean() < 0.8
    assert 0 < weights.card(cook(path))["held_out"]["bits_per_dimension"] < 8
    with pytest.raises(BadInput, match="NaN"):
        cook(kitchen(*changes[:1]))


def test_a_share_of_pixels_can_be_others_and_held_out_ones_stay_among_themselves(kitchen):
    path = kitchen(("crop = 28", "crop = 28\nstirred = 0.5"))
    images, mask = recipe.load_data(recipe.read(path), path.parent)
    plain = kitchen(("crop = 28", "crop = 28"))
    before, _ = recipe.load_data(recipe.read(plain), plain.parent)
    assert 0.3 < (images.pixels != before.pixels).mean() < 0.55
    for part in (mask, ~mask):
        assert np.isin(images.pixels[part], before.pixels[part]).all()


def test_galaxies_that_are_not_finite_are_refused_before_training(kitchen):
    path = kitchen()
    with np.load(path.parent / "galaxies.npz") as old:
        data = dict(old)
    data["images"][7, 0, 16, 16] = np.nan
    np.savez(path.parent / "galaxies.npz", **data)
    with pytest.raises(BadInput, match="id 107: 1 of 40 images have NaN"):
        cook(path)


def test_a_recipe_that_is_not_there_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="absent.toml"):
        recipe.read(tmp_path / "absent.toml")
