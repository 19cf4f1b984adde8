"""The square's eight symmetries, on each bit of which shipped weights hang, and turns by any angle."""

import numpy as np
import pytest
import torch

from galnb.augment import TRAINING, dihedral, rotation

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
def test_shape_and_type_are_kept_and_the_images_left_as_they_were(name, shape):
    x = torch.rand(shape)
    before = x.clone()
    out = TRAINING[name](x, np.random.default_rng(0))
    assert out.shape == x.shape and out.dtype == x.dtype and torch.equal(x, before)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 1, 8, 8), (5, 3, 7, 7)])
def test_the_eight_views_keep_all_light(shape):
    x = torch.rand(shape)
    torch.testing.assert_close(dihedral(x, np.random.default_rng(0)).sum((2, 3)), x.sum((2, 3)))


# turns by any angle


def galaxy(angle=0.0, size=64, n=1):
    """An elongated Gaussian off the middle, turned counter-clockwise by `angle` degrees about the middle."""
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2)[:, None] * np.array([-1, 1])[:, None, None, None]
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    u, v = c * x + s * y, c * y - s * x
    light = np.exp(-((u - 6) ** 2) / 60 - (v + 4) ** 2 / 15)
    return torch.from_numpy(light.astype(np.float32)).expand(n, 1, size, size)


@pytest.mark.parametrize("size", [64, 69])
def test_a_galaxy_is_turned_by_the_angle_that_is_told(size):
    angle = torch.full((6,), 20.0)
    turned = rotation(galaxy(size=size, n=6), np.random.default_rng(0), angle)
    assert angle.sub(20).abs().max() > 5 and (angle >= 0).all() and (angle < 180).all()
    for image, now in zip(turned, angle, strict=True):
        by = (float(now) - 20 + 90) % 180 - 90
        assert abs(by) <= 45
        torch.testing.assert_close(image, galaxy(by, size)[0], rtol=0, atol=0.005)


def test_a_quarter_turn_of_both_is_the_same():
    """The axis is told alike by `dihedral` and `rotation`: two turns of 45 degrees are one of its own."""

    class Always:
        def uniform(self, low, high, n):
            return np.full(n, high)

    twice = rotation(rotation(galaxy(), Always()), Always())
    torch.testing.assert_close(twice, torch.rot90(galaxy(), 1, (2, 3)), rtol=0, atol=0.005)


def test_noise_stays_as_it_is_and_so_do_the_corners():
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(100, 2, 48, 48)).astype(np.float32))
    out = rotation(x, np.random.default_rng(0))
    middle = out[..., 12:36, 12:36]
    assert float(middle.std()) == pytest.approx(1, abs=0.02)
    assert abs(float((middle[..., 1:] * middle[..., :-1]).mean())) < 0.02
    assert torch.equal(out[..., :5, :5], x[..., :5, :5]) and not torch.equal(out, x)
