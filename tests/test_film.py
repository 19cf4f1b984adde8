"""Films: the way between two galaxies, and the files that keep it."""

import json
import stat

import numpy as np
import pytest
import torch

from galnb import film
from galnb.errors import BadInput, MissingPackage
from galnb.imagined import Imagined
from tests.imaginary import model

PICTURES = np.random.default_rng(0).integers(0, 255, (5, 9, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["pca", "vae", "cvae", "mvae"])
def test_a_walk_begins_and_ends_where_it_should_and_takes_even_steps(kind):
    a, b = Imagined(model(kind), n=2).z
    way = film.walk(model(kind), a, b, frames=21)
    assert torch.equal(way[0], a) and torch.equal(way[-1], b)
    steps = (way[1:] - way[:-1]).norm(dim=1)
    assert steps.max() < 2.5 * steps.min()  # a PCA has lengths of two to one


def test_a_walk_keeps_the_length_where_a_straight_line_would_cut_through_the_middle():
    a, b = torch.eye(12)[:2] * 3
    way = film.walk(model("vae"), a, b, frames=5)
    assert torch.allclose(way.norm(dim=1), torch.tensor(3.0), atol=1e-5)
    assert torch.allclose(film.walk(model("vae"), a, -a, frames=3)[1], torch.zeros(12), atol=1e-5)


@pytest.mark.parametrize("kind", ["cvae", "mvae"])
def test_conditions_change_evenly_on_the_way(kind):
    here = Imagined(model(kind), n=2)
    way = film.walk(model(kind), *here.z, frames=9)
    flux = model(kind).features(way)[:, 0].detach().log()
    assert torch.allclose(flux, torch.linspace(float(flux[0]), float(flux[-1]), 9), atol=1e-3)


def test_a_gif_keeps_its_pictures_its_pace_and_what_made_it(tmp_path):
    from PIL import Image

    here = Imagined(model("cvae"), n=2, seed=7)
    pictures = here.walk(*here.z, frames=6)
    path = film.save(pictures, tmp_path / "walk.gif", seconds=1.2, zoom=3, made=here.made())
    again = film.save(pictures, tmp_path / "again.gif", seconds=1.2, zoom=3, made=here.made())
    assert path.read_bytes() == again.read_bytes()
    with Image.open(path) as shown:
        assert shown.n_frames == 6 and shown.size == (96, 96) and shown.info["duration"] == 200
        shown.seek(5)
        last = np.asarray(shown.convert("RGB").resize((32, 32), Image.Resampling.BOX)).astype(int)
    assert np.abs(last - pictures[5]).mean() < 4
    made = film.made_by(path)
    assert made["seed"] == 7 and made["model"] == "CVAE" and len(made["weights"]["sha256"]) == 64


def test_what_cannot_be_a_film_is_refused(tmp_path):
    for pictures, name, words in [
        (PICTURES, "walk.avi", "wanted a name that ends in .gif or .mp4"),
        (PICTURES[0], "walk.gif", "wanted \\(n, y, x, 3\\), uint8"),
        (PICTURES / 255, "walk.gif", "wanted \\(n, y, x, 3\\), uint8"),
    ]:
        with pytest.raises(BadInput, match=words):
            film.save(pictures, tmp_path / name)
    with pytest.raises(BadInput, match="1 frames, wanted at least 2"):
        film.walk(model("pca"), torch.zeros(12), torch.ones(12), frames=1)
    with pytest.raises(BadInput, match="all finite"):
        film.walk(model("pca"), torch.zeros(12), torch.full((12,), torch.nan))
    assert not list(tmp_path.iterdir())


def test_an_mp4_without_ffmpeg_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingPackage, match="save a .gif, install ffmpeg"):
        film.save(PICTURES, tmp_path / "walk.mp4")


def test_an_mp4_gets_all_pixels_in_even_numbers_and_what_made_it(tmp_path, monkeypatch):
    """A stand-in for ffmpeg that keeps what it is told and given."""
    tool = tmp_path / "bin" / "ffmpeg"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\nfor last; do :; done\nprintf "%s\\n" "$@" > "$0.told"\n/bin/cat > "$last"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    path = film.save(PICTURES, tmp_path / "walk.mp4", zoom=3, seconds=1, made={"seed": 3})
    told = (tmp_path / "bin" / "ffmpeg.told").read_text().split("\n")
    assert told[told.index("-s") + 1] == "28x28" and told[told.index("-r") + 1] == "5.000"
    assert json.loads(told[told.index("-metadata") + 1].removeprefix("comment=")) == {"seed": 3}
    frames = np.frombuffer(path.read_bytes(), dtype=np.uint8).reshape(5, 28, 28, 3)
    assert not frames[:, 27].any() and frames[:, :27, :27].any()
    tool.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    with pytest.raises(BadInput, match="no such codec"):
        film.save(PICTURES, tmp_path / "other.mp4")
    assert not (tmp_path / "other.mp4").exists()


@pytest.mark.parametrize("data", [b"", b"no GIF", b"GIF89a"])
def test_a_film_that_is_none_is_named(tmp_path, data):
    (tmp_path / "walk.gif").write_bytes(data)
    with pytest.raises(BadInput, match="walk.gif: not readable"):
        film.made_by(tmp_path / "walk.gif")
