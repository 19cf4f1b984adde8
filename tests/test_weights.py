import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from galnb import weights
from galnb.errors import BadWeights
from galnb.models import PCA
from tests.often import often


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = PCA(("r",), 28, 3)
    model.fit([torch.rand(20, 1, 28, 28)])
    return weights.save(model, tmp_path / "toy", card={"credit": "nobody"})


def test_the_card_says_what_was_given_and_what_it_is(saved):
    card = weights.card(saved)
    assert card["credit"] == "nobody" and card["model"] == "pca" and card["config"]["latent_dim"] == 3


@pytest.mark.parametrize("place", [0, 9, 200, -1])
def test_a_flipped_byte_is_found(saved, place):
    data = bytearray(saved.read_bytes())
    data[place] ^= 1
    saved.write_bytes(data)
    with pytest.raises(BadWeights, match="sha256"):
        weights.load(saved)


def test_a_truncated_file_is_found(saved):
    saved.write_bytes(saved.read_bytes()[:-5])
    with pytest.raises(BadWeights, match="sha256"):
        weights.load(saved)


def test_a_truncated_file_with_a_matching_card_is_found(saved):
    saved.write_bytes(saved.read_bytes()[:-5])
    change_card(saved, sha256=weights.sha256(saved))
    with pytest.raises(BadWeights, match="not readable"):
        weights.load(saved)


def test_a_wrong_shape_is_found(saved):
    config = weights.card(saved)["config"]
    change_card(saved, config=config | {"latent_dim": 4})
    with pytest.raises(BadWeights, match="do not fit"):
        weights.load(saved)


@pytest.mark.parametrize("place", [3, 40, 200, -3])
def test_a_flipped_byte_of_the_card_is_found(saved, place):
    path = saved.with_suffix(".json")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadWeights, match="toy.json: no readable card"):
        weights.card(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "pca"}'])
def test_a_card_that_is_none_is_found(saved, text):
    saved.with_suffix(".json").write_text(text)
    with pytest.raises(BadWeights, match="card"):
        weights.load(saved)


def test_half_the_bytes_and_rows_of_thousands_in_a_quarter_cost_next_to_nothing(tmp_path):
    torch.manual_seed(0)
    model, x = PCA(("g", "r"), 64, 5), torch.rand(40, 2, 64, 64)
    model.fit([x])
    whole, small = (weights.save(model, tmp_path / f"half{half}", half=half) for half in (False, True))
    assert small.stat().st_size < 0.3 * whole.stat().st_size
    there, back = weights.load(whole), weights.load(small)
    error = (back.decode(back.encode(x)) - there.decode(there.encode(x))).std()
    assert error < 1e-2 * there.decode(there.encode(x)).std()
    again = weights.load(weights.save(back, tmp_path / "again", half=True))
    assert all(torch.allclose(a, b, rtol=1e-6) for a, b in zip(again.buffers(), back.buffers(), strict=True))


def test_a_scale_without_its_rows_is_found(tmp_path):
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    model = PCA(("r",), 80, 2)
    model.fit([torch.rand(9, 1, 80, 80)])
    path = weights.save(model, tmp_path / "toy", half=True)
    tensors = load_file(path)
    del tensors[next(name for name in tensors if name + weights.SCALE in tensors)]
    save_file(tensors, path)
    change_card(path, sha256=weights.sha256(path))
    with pytest.raises(BadWeights, match="do not fit"):
        weights.load(path)


def test_a_misspelt_name_names_the_right_one():
    if not weights.names():
        pytest.skip("no weights are shipped yet")
    name = weights.names()[0]
    with pytest.raises(ValueError, match=name):
        weights.load(name[:-1])


@often(40)
@given(
    st.integers(1, 3),
    st.floats(1e-4, 1e4),
    st.integers(0, 2**32 - 1),
)
def test_long_rows_come_back_within_a_254th_of_their_largest_and_short_ones_within_a_half(rows, scale, seed):
    draw = torch.Generator().manual_seed(seed)
    long = scale * torch.randn(rows, weights.LONG + 1, generator=draw)
    short = scale * torch.randn(rows, 7, generator=draw)
    back = weights._whole(weights._small({"long": long, "short": short, "steps": torch.tensor([2**40])}))
    assert back["steps"].tolist() == [2**40]
    assert ((back["long"] - long).abs() <= long.abs().amax(1, keepdim=True) / 254 * 1.001).all()
    assert ((back["short"] - short).abs() <= (short.abs() * 2.0**-11).clamp_min(2.0**-25)).all()


BITS = "bits_per_dimension"
SCORES = {"pixelcnn": BITS, "multiscale": BITS, "realnvp": "nats"}


@pytest.mark.parametrize("name", weights.names())
def test_shipped_weights_load_and_are_small(name):
    card = weights.card(name)
    assert set(card["config"]) <= set(weights.load(name).config)  # what came later has its default
    assert card["bytes"] < 4_000_000 and card["credit"]
    assert np.isfinite(card["held_out"][SCORES.get(card["model"], "mse")])


def test_all_shipped_weights_together_stay_under_25_mb():
    assert sum(weights.card(name)["bytes"] for name in weights.names()) < 25_000_000


def change_card(path, **values):
    path.with_suffix(".json").write_bytes(weights.sealed(weights.card(path) | values))


def test_names_with_a_point_do_not_overwrite_each_other(tmp_path):
    model = PCA(("r",), 28, 3)
    one, other = (weights.save(model, tmp_path / name) for name in ("gal-v1.5", "gal-v1.6"))
    assert one != other and weights.card(tmp_path / "gal-v1.5")["name"] == "gal-v1.5"
    assert weights.load(one).config == weights.load(other).config


def test_a_model_that_could_not_be_loaded_again_is_not_saved(tmp_path):
    class Mine(PCA):
        pass

    with pytest.raises(ValueError, match="Mine is no member of galnb.models"):
        weights.save(Mine(("r",), 28, 3), tmp_path / "mine")
    assert not list(tmp_path.iterdir())
