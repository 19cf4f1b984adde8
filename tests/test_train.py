import numpy as np
import pytest
import torch

from galnb.errors import BadWeights
from galnb.models import AE, PCA
from galnb.train import Settings, fit, train

SETTINGS = Settings(epochs=3, batch=16, warm_up=2, seed=3)


def galaxies(n=48, size=28):
    """Round blobs of different sizes and places, float32 (n, 1, size, size)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    place = rng.normal(size / 2, 1, (n, 2, 1, 1))
    width = rng.uniform(2, 5, (n, 1, 1))
    square = (x - place[:, 0]) ** 2 + (y - place[:, 1]) ** 2
    return np.exp(-square / (2 * width**2))[:, None].astype(np.float32)


def small(**options):
    torch.manual_seed(0)
    return AE(("r",), 28, 4, (16, 16, 16), **options)


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "options", [{}, {"noise": 0.1, "contraction": 1e-3, "sparsity": "kl", "sparsity_weight": 0.1}]
)
def test_a_run_stopped_at_any_step_resumes_to_the_same_bits(tmp_path, options):
    x = galaxies()
    whole = small(**options)
    fit(whole, x, held_out=x[:8], settings=SETTINGS, progress=False)
    for stop in (1, 3, 5, 8):
        path = tmp_path / f"{stop}.checkpoint"
        interrupted = small(**options)
        run = train(interrupted, x, held_out=x[:8], settings=SETTINGS, checkpoint=path)
        for _ in range(stop):
            next(run)
        run.close()
        resumed = small(**options)
        torch.manual_seed(stop)  # the state outside must not matter
        fit(resumed, x, held_out=x[:8], settings=SETTINGS, checkpoint=path, progress=False)
        assert same(whole, resumed), f"stopped after {stop}"


def test_another_seed_gives_other_weights():
    x = galaxies()
    one, other = small(), small()
    fit(one, x, settings=SETTINGS, progress=False)
    fit(other, x, settings=Settings(epochs=3, batch=16, warm_up=2, seed=4), progress=False)
    assert not same(one, other)


def test_training_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    model = PCA(("r",), 28, 4)
    fit(model, galaxies(), settings=SETTINGS, progress=False)
    assert torch.equal(torch.rand(3), wanted)


def test_early_stopping_keeps_the_best_weights_and_ends():
    x = galaxies()
    settings = Settings(epochs=50, batch=16, learning_rate=0.0, warm_up=0, patience=2, seed=0)
    history = fit(small(), x, held_out=x[:8], settings=settings, progress=False)
    assert len(history) == 3  # the first is the best, two more are no better


@pytest.mark.parametrize("damage", ["truncated", "other settings"])
def test_a_checkpoint_that_does_not_belong_is_refused(tmp_path, damage):
    path, x = tmp_path / "run", galaxies()
    run = train(small(), x, settings=SETTINGS, checkpoint=path)
    next(run)
    run.close()
    settings = SETTINGS
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    else:
        settings = Settings(epochs=4)
    with pytest.raises(BadWeights, match="checkpoint|settings"):
        next(train(small(), x, settings=settings, checkpoint=path))


def test_uint8_images_train_as_their_floats_do():
    x = (galaxies() * 255).round().astype(np.uint8)
    one, other = small(), small()
    fit(one, x, settings=SETTINGS, progress=False)
    fit(other, x.astype(np.float32) / 255, settings=SETTINGS, progress=False)
    assert same(one, other)


def test_a_misspelt_augmentation_is_refused():
    with pytest.raises(ValueError, match="dihedral"):
        next(train(small(), galaxies(), settings=Settings(augment=("dihedrel",))))
