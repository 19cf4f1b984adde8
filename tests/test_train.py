import operator
import signal

import numpy as np
import pytest
import torch

from galnb.errors import BadInput, BadWeights
from galnb.models import AE, PCA
from galnb.train import Settings, _uninterrupted, fit, train

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


def test_what_is_frozen_stays_and_can_be_trained_again(tmp_path):
    x, model, settings = galaxies(), small(), Settings(epochs=2, batch=16, freeze=("encoder",))
    before = {name: value.clone() for name, value in model.named_parameters()}
    run = train(model, x, settings=settings, checkpoint=tmp_path / "checkpoint")
    for _ in range(2):
        next(run)
    run.close()
    assert all(value.requires_grad for value in model.parameters())
    resumed = small()
    for end in (model, resumed):
        fit(end, x, settings=settings, checkpoint=tmp_path / "checkpoint", progress=False)
    assert same(model, resumed)
    still = {name for name, value in model.named_parameters() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("encoder")} <= still < set(before)
    with pytest.raises(BadInput, match="freeze.*no trained parameter's name begins with 'encodr'"):
        fit(small(), x, settings=Settings(freeze=("encodr",)), progress=False)


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


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", ["torch.nn.utils.clip_grad_norm_", "torch.optim.AdamW.step"])
@pytest.mark.parametrize(
    "how", [interrupt, lambda: signal.raise_signal(signal.SIGINT)], ids=["raised", "ctrl-c"]
)
def test_a_run_broken_off_within_a_step_resumes_to_the_same_bits(tmp_path, monkeypatch, place, how):
    x, path, whole, resumed = galaxies(), tmp_path / "checkpoint", small(), small()
    fit(whole, x, held_out=x[:8], settings=SETTINGS, progress=False)
    run = train(small(), x, held_out=x[:8], settings=SETTINGS, checkpoint=path)
    for _ in range(4):  # an epoch of three steps, and one
        next(run)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        real = operator.attrgetter(place.removeprefix("torch."))(torch)
        patch.setattr(place, lambda *a, **k: (real(*a, **k), how())[0])
        list(run)
    fit(resumed, x, held_out=x[:8], settings=SETTINGS, checkpoint=path, progress=False)
    assert same(whole, resumed)


def test_ctrl_c_waits_for_the_end_of_a_step(tmp_path):
    x = galaxies()
    run = train(small(), x, settings=SETTINGS)
    next(run)
    with pytest.raises(KeyboardInterrupt), _uninterrupted():
        signal.raise_signal(signal.SIGINT)
        step = next(run)
    assert step.step == 2 and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_checkpoint_of_other_images_is_refused(tmp_path):
    x, path = galaxies(), tmp_path / "checkpoint"
    fit(small(), x, settings=SETTINGS, checkpoint=path, progress=False)
    with pytest.raises(BadWeights, match="other data"):
        fit(small(), x[::-1], settings=SETTINGS, checkpoint=path, progress=False)


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 0},
        {"epochs": "3"},
        {"batch": 1.5},
        {"learning_rate": -1},
        {"augment": "dihedral"},
        {"freeze": "scales"},
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}=.* wanted"):
        Settings(**option)


@pytest.mark.parametrize("place", [9, 300, -1])
def test_no_checkpoint_with_a_flipped_byte_is_gone_on_from(tmp_path, place):
    path = tmp_path / "run.checkpoint"
    run = train(small(), galaxies(), settings=SETTINGS, checkpoint=path)
    next(run)
    run.close()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadWeights, match="run.checkpoint: .*delete it to start anew"):
        next(train(small(), galaxies(), settings=SETTINGS, checkpoint=path))
