import numpy as np
import pytest
import torch
from astropy.table import Table

from galnb.encoding import decode, encode, reconstruct
from galnb.errors import BadInput, BandMismatch, CannotDo
from galnb.images import Images
from galnb.models import AE, PCA
from galnb.models.base import Model
from galnb.sources import Folder

BANDS = ("g", "r")


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).random((23, 2, 28, 28), dtype=np.float32)
    table = Table({"radius": np.arange(23.0)}, units={"radius": "arcsec"})
    ra, dec = np.linspace(10, 20, 23), np.linspace(-5, 5, 23)
    return Images(pixels, [f"galaxy{i}" for i in range(23)], BANDS, ra, dec, table=table)


@pytest.fixture(scope="module", params=["pca", "ae"])
def model(request, images):
    torch.manual_seed(0)
    model = PCA(BANDS, 28, 6) if request.param == "pca" else AE(BANDS, 28, 6, (16, 16, 16))
    model.warm_start([torch.from_numpy(images.pixels)])
    return model


@pytest.mark.parametrize("batch", [1, 5, 23])
def test_the_batch_size_changes_nothing(model, images, batch):
    whole, parts = encode(images, model, batch=256), encode(images, model, batch=batch)
    np.testing.assert_allclose(parts.z, whole.z, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        decode(whole.z, model, batch=batch), decode(whole.z, model), rtol=1e-6, atol=1e-6
    )
    assert list(parts.id) == list(whole.id) == list(images.id)


def test_ids_columns_places_and_provenance_come_along(model, images):
    latents = encode(images, model)
    assert latents.z.shape == (23, 6) and list(latents.id) == list(images.id)
    assert set(latents.columns) == {"radius", "ra", "dec"} and latents.table["radius"].unit == "arcsec"
    assert latents.table["ra"].unit == "deg" and np.array_equal(latents["dec"], images.dec)
    assert latents.meta["model"] == type(model).__name__ and latents.meta["config"] == model.config
    assert {"galnb", "torch", "python"} <= set(latents.meta["versions"])
    assert images.table.colnames == ["radius"]  # the caller's table is not changed


def test_latents_are_the_models_own_whatever_its_mode(model, images):
    with torch.no_grad():
        wanted = model.eval().encode(torch.from_numpy(images.pixels)).numpy()
    model.train()
    np.testing.assert_allclose(encode(images, model).z, wanted, rtol=1e-6, atol=1e-6)
    assert not torch.is_inference_mode_enabled()


def test_a_reconstruction_is_decoded_latents_of_the_same_galaxies(model, images):
    found = reconstruct(images, model)
    assert np.array_equal(found.pixels, decode(encode(images, model).z, model))
    assert found.pixels.shape == images.pixels.shape and list(found.id) == list(images.id)
    assert found.bands == BANDS and found.table is images.table


def test_components_as_many_as_galaxies_give_the_pixels_back(images):
    model = PCA(BANDS, 28, 22)
    model.fit([torch.from_numpy(images.pixels)])
    np.testing.assert_allclose(reconstruct(images, model).pixels, images.pixels, atol=1e-4)


def test_bands_are_taken_by_name_and_the_superfluous_left_out(model, images):
    order = Images(
        np.concatenate([images.pixels[:, ::-1], images.pixels[:, :1]], 1), images.id, ("r", "g", "z")
    )
    np.testing.assert_allclose(encode(order, model).z, encode(images, model).z, rtol=1e-6, atol=1e-6)
    assert reconstruct(order, model).bands == BANDS


def test_a_band_that_the_images_lack_is_told(model, images):
    with pytest.raises(BandMismatch, match="g, u.*wanted are 2 .g, r.*rename") as caught:
        encode(images.rename("g", "u"), model)
    assert caught.value.have == ("g", "u") and caught.value.want == BANDS


def test_another_size_is_told_with_what_to_do(model, images):
    with pytest.raises(BadInput, match=r"24 x 24 px.*28 x 28.*images.resize\(28\)"):
        encode(images.crop(24), model)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_images_that_are_not_finite_are_one_error_that_names_the_first(model, images, bad):
    pixels = images.pixels.copy()
    pixels[[4, 9], 0, 3, 3] = bad
    spoilt = images.with_pixels(pixels)
    with pytest.raises(BadInput, match=r"id galaxy4: 2 of 23 images.*images.finite\(\)"):
        encode(spoilt, model)
    kept = encode(spoilt[spoilt.finite()], model)
    assert len(kept) == 21 and "galaxy4" not in kept.id


@pytest.fixture
def folder(tmp_path, images):
    """The images as a source, float pixels in an npz."""
    np.savez(tmp_path / "galaxies.npz", images=images.pixels, id=images.id)
    return Folder(tmp_path / "galaxies.npz", bands=BANDS)


def test_a_source_encodes_as_its_images_do(model, folder):
    one, other = encode(folder, model, batch=7), encode(folder.read(), model)
    np.testing.assert_allclose(one.z, other.z, rtol=1e-6, atol=1e-6)
    assert np.array_equal(one.id, other.id) and one.columns == other.columns


def test_a_column_with_the_name_of_the_latents_is_refused_in_the_first_batch(model, images):
    table = Table({"z": np.linspace(0, 1, 23)})
    with pytest.raises(BadInput, match="column 'z'.*rename"):
        encode(Images(images.pixels, bands=BANDS, table=table), model, batch=4)


def test_no_galaxies_give_no_latents_and_no_images(model, images):
    assert encode(images[:0], model).z.shape == (0, 6)
    assert decode(np.zeros((0, 6)), model).shape == (0, 2, 28, 28)
    assert len(reconstruct(images[:0], model)) == 0


def test_one_latent_decodes_to_one_image_and_another_length_is_refused(model):
    found = decode(np.zeros(6), model)
    assert found.shape == (1, 2, 28, 28) and found.dtype == np.float32 and found.flags.c_contiguous
    with pytest.raises(ValueError, match="latents have 5 numbers, the model wants 6"):
        decode(np.zeros((3, 5)), model)


def test_a_model_without_the_ability_says_what_it_can():
    class Deaf(Model):
        def __init__(self, bands=BANDS, size=28):
            super().__init__(bands, size)

    with pytest.raises(CannotDo, match="Deaf cannot encode"):
        encode(Images(np.zeros((1, 2, 28, 28)), bands=BANDS), Deaf())
    with pytest.raises(CannotDo, match="Deaf cannot decode"):
        decode(np.zeros((1, 6)), Deaf())
