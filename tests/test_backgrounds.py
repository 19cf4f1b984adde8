"""What is kept of a picture that is stirred or scrambled, and what is not."""

import numpy as np
import pytest

from galnb import backgrounds


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:20, :24]
    blob = np.exp(-((x - 12) ** 2 + (y - 10) ** 2) / 18)
    return (blob * rng.uniform(0.5, 1, (5, 2, 1, 1)) + 0.01 * rng.normal(size=(5, 2, 20, 24))).astype(
        np.float32
    )


def test_stirring_moves_whole_pixels_and_as_many_as_was_said(pictures):
    found = backgrounds.stirred(pictures, 0.3, seed=1)
    moved = found != pictures
    assert moved.mean() == pytest.approx(0.3, abs=0.02) and (moved[:, 0] == moved[:, 1]).all()
    assert np.array_equal(backgrounds.stirred(pictures, 0.0), pictures)
    colors = {tuple(c) for c in np.moveaxis(pictures, 1, -1).reshape(-1, 2).tolist()}
    assert {tuple(c) for c in np.moveaxis(found, 1, -1).reshape(-1, 2).tolist()} <= colors
    with pytest.raises(ValueError, match="share=1.5"):
        backgrounds.stirred(pictures, 1.5)


def test_scrambling_keeps_mean_power_and_color_and_nothing_of_the_place(pictures):
    found = backgrounds.scrambled(pictures, seed=1)
    power = lambda x: np.abs(np.fft.fft2(x)) ** 2  # noqa: E731
    assert found.dtype == pictures.dtype and np.allclose(power(found), power(pictures), rtol=1e-3, atol=1e-3)
    assert found.mean((2, 3)) == pytest.approx(pictures.mean((2, 3)), abs=1e-5)
    cross = lambda x: (np.fft.fft2(x[:, 0]) * np.fft.fft2(x[:, 1]).conj()).real  # noqa: E731
    assert np.allclose(cross(found), cross(pictures), rtol=1e-3, atol=1e-2)
    center = lambda x: x[:, :, 7:13, 9:15].mean() / x.mean()  # noqa: E731
    assert center(pictures) > 5 and center(found) < 3


def test_one_seed_one_result(pictures):
    for work in (backgrounds.stirred, backgrounds.scrambled):
        assert np.array_equal(work(pictures, seed=3), work(pictures, seed=3))
        assert not np.array_equal(work(pictures, seed=3), work(pictures, seed=4))
