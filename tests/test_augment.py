"""The square's eight symmetries: shipped weights hang on each bit of `dihedral`."""

import numpy as np
import pytest
import torch

from galnb.augment import TRAINING, dihedral

EIGHT = [np.rot90(np.arange(9).reshape(3, 3), k)[:, ::s] for k in range(4) for s in (1, -1)]


def images(n=400, bands=2):
    """The same asymmetric image n times, its second band the first plus 100: float32 (n, bands, 3, 3)."""
    one = torch.arange(9.0).view(1, 1, 3, 3) + 100 * torch.arange(bands).view(1, bands, 1, 1)
    return one.expand(n, bands, 3, 3).clone()


def test_every_image_is_one_of_the_eight_views_and_all_eight_come():
    turned = dihedral(images(), np.random.default_rng(0)).numpy()
    seen = [next(k for k in range(8) if np.array_equal(image[0], EIGHT[k])) for image in turned]
    counts = np.bincount(seen, minlength=8)
    assert (counts > 25).all()  # 50 are expected of each, with a standard deviation of 6.6


def test_bands_of_an_image_turn_together():
    turned = dihedral(images(), np.random.default_rng(0))
    assert torch.equal(turned[:, 0] + 100, turned[:, 1])


def test_the_given_images_are_left_as_they_were():
    x = images()
    dihedral(x, np.random.default_rng(0))
    assert torch.equal(x, images())


def test_the_seed_alone_decides():
    views = [dihedral(images(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    torch.manual_seed(9)
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])


def test_the_views_are_those_that_the_shipped_weights_were_trained_on():
    which = np.random.default_rng([0, 2, 0]).integers(0, 8, 64)
    turned = dihedral(images(64), np.random.default_rng([0, 2, 0])).numpy()
    for k, view in zip(which, turned, strict=True):
        wanted = np.rot90(np.arange(9).reshape(3, 3), k % 4)
        assert np.array_equal(view[0], wanted[:, ::-1] if k >= 4 else wanted)


def test_one_draw_a_batch_is_taken_from_the_generator():
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    dihedral(images(64), rng)
    other.integers(0, 8, 64)
    assert rng.integers(2**62) == other.integers(2**62)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 1, 8, 8), (5, 3, 7, 7)])
@pytest.mark.parametrize("name", sorted(TRAINING))
def test_shape_type_and_light_are_kept(name, shape):
    x = torch.rand(shape)
    out = TRAINING[name](x, np.random.default_rng(0))
    assert out.shape == x.shape and out.dtype == x.dtype
    torch.testing.assert_close(out.sum((2, 3)), x.sum((2, 3)))
