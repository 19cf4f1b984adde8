"""The command line, called as a user calls it: what it does, and the one line it says where it cannot."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from galnb import cli, demo, weights
from galnb.cli import NO_UPDATES, main
from galnb.latents import Latents
from galnb.models import PCA

RECIPE = """
name = "tiny"
[data]
source = "folder"
path = "galaxies.npz"
bands = ["r"]
held_out = 0.25
[model]
kind = "pca"
bands = ["r"]
size = 16
latent_dim = 3
[train]
epochs = 1
batch = 8
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An own working directory with galaxies as an npz, and weights for them."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).random((24, 16, 16, 1)).astype(np.float32)
    np.savez(tmp_path / "galaxies.npz", images=pixels, id=np.arange(24) + 500, redshift=np.linspace(0, 1, 24))
    weights.save(PCA(("r",), 16, 3), tmp_path / "model")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def refused(capsys):
    """Run a command that must fail; returns its error: one line, without a traceback."""

    def run(*words):
        assert main([str(word) for word in words]) == 2
        said = capsys.readouterr()
        lines = said.err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("galnb: ") and "Traceback" not in said.out
        return lines[0]

    return run


def pictures(folder, *names, bands=3):
    folder.mkdir()
    shape = (16, 16, 3) if bands == 3 else (16, 16)
    for i, name in enumerate(names):
        Image.fromarray(np.full(shape, 40 * i, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def test_the_module_runs_and_its_help_tells_every_command():
    command = [sys.executable, "-m", "galnb", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(cli.__file__).parents[1])
    assert done.returncode == 0 and not done.stderr
    assert all(
        f"\n    {name}  " in done.stdout
        for name in ("lab", "app", "demo", "train", "encode", "similar", "mock", "figure", "doctor")
    )


def test_no_command_at_all_asks_for_help(capsys):
    assert main([]) == 0
    assert "Start with `galnb lab`" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["lab", "app", "demo", "train", "encode", "similar", "mock", "figure", "doctor"]
)
def test_each_command_explains_each_of_its_words(capsys, command):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    for action in cli._parser()[1][command]._actions:
        assert action.help, action.dest
    assert f"usage: galnb {command}" in capsys.readouterr().out


def test_the_doctor_is_content_with_this_environment(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("all is well\n")


def test_the_doctor_prints_how_to_mend_and_fails(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GALNB_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "mend: export GALNB_CACHE=" in said and said.endswith("1 to mend: cache folder\n")


def test_a_recipe_becomes_weights_with_a_card(here, capsys):
    assert main(["train", "tiny.toml"]) == 0
    assert capsys.readouterr().out.strip() == os.path.join("runs", "tiny.safetensors")
    card = weights.card(here / "runs" / "tiny.safetensors")
    assert card["n_train"] + card["n_held_out"] == 24 and card["recipe"]["name"] == "tiny"
    assert weights.load(here / "runs" / "tiny.safetensors").bands == ("r",)


def test_an_npz_becomes_a_catalogue_with_its_ids_and_columns(here):
    assert main("encode galaxies.npz --model model.safetensors --bands r --out new/z.parquet".split()) == 0
    latents = Latents.read(here / "new" / "z.parquet")
    assert latents.z.shape == (24, 3) and list(latents.id[:2]) == [500, 501]
    assert latents["redshift"][-1] == 1 and latents.meta["model"] == "PCA"


def test_a_folder_of_pictures_becomes_a_catalogue_and_the_bad_one_is_named(here, capsys):
    folder = pictures(here / "sky", "a", "b", "c", bands=1)
    (folder / "b.png").write_bytes(b"")
    (here / "table.csv").write_text("id,kind\nc,disc\na,bulge\n")
    words = ["encode", "sky", "--model", "model.safetensors", "--bands=r", "--out", "z.parquet"]
    assert main([*words, "--table", "table.csv"]) == 0
    said = capsys.readouterr()
    assert "left out:" in said.err and "b.png" in said.err and said.out == "2 galaxies in z.parquet\n"
    latents = Latents.read(here / "z.parquet")
    assert list(latents.id) == ["a", "c"] and list(latents["kind"]) == ["bulge", "disc"]


def test_a_folder_with_nothing_to_use_is_an_error_and_leaves_no_catalogue(here, capsys):
    folder = pictures(here / "sky", "a", bands=1)
    (folder / "a.png").write_bytes(b"")
    assert main("encode sky --model model.safetensors --bands=r --out z.parquet".split()) == 2
    assert "none of its 1 galaxies" in capsys.readouterr().err
    assert not (here / "z.parquet").exists()


def test_the_demo_is_asked_for_and_its_page_is_named(here, capsys, monkeypatch):
    monkeypatch.setattr(demo, "report", lambda out: out / "index.html")  # the report itself: test_demo
    assert main(["demo", "--out", "page"]) == 0
    assert capsys.readouterr().out == f"open {here / 'page' / 'index.html'}\n"


@pytest.mark.parametrize("user, more", [(0, ["--allow-root"]), (1000, [])])
def test_lab_prepares_the_survey_and_hands_all_other_options_to_jupyterlab(here, monkeypatch, user, more):
    done = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(demo, "default_survey", lambda: done.append("survey"))
    monkeypatch.setattr(subprocess, "call", lambda command, env: done.append(command) or 7)
    (here / "mine").mkdir()
    assert main(["lab", "--notebooks", "mine", "--port", "9999", "--no-browser"]) == 7
    jupyter = [sys.executable, "-m", "jupyterlab", "mine", f"--LabApp.check_for_updates_class={NO_UPDATES}"]
    assert done == ["survey", [*jupyter, *more, "--port", "9999", "--no-browser"]]


def test_lab_opens_the_notebooks(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "galnb",
        "lab",
        "--no-browser",
        f"--port={port}",
        "--IdentityProvider.token=",
    ]
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("RUNTIME", "CONFIG", "DATA")}
    environment = {**os.environ, **places}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(120):
            try:
                found = json.load(urlopen(f"http://127.0.0.1:{port}/api/contents", timeout=5))
                break
            except OSError:
                time.sleep(0.5)
        assert "00_start_here.ipynb" in [entry["name"] for entry in found["content"]]
        page = urlopen(f"http://127.0.0.1:{port}/lab", timeout=30).read().decode()
        assert "apputils-extension:announcements" in page  # among what is switched off: no news from outside
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)


def test_lab_without_jupyterlab_says_how_to_install_it(refused, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    assert f"{sys.executable} -m pip install jupyterlab" in refused("lab")


def test_lab_without_its_folder_says_how_to_name_another(refused):
    said = refused("lab", "--notebooks", "/nowhere")
    assert "there is no folder /nowhere" in said and "--notebooks=" in said


@pytest.mark.parametrize(
    "words, told",
    [
        ("trian tiny.toml", "did you mean 'train'?"),
        ("encode sky --modle ae50-sdss", "did you mean '--model'?"),
        ("encode sky --model=ae50-sdss --bnads=r", "did you mean '--bands'?"),
        ("demo --ou page", "did you mean '--out'?"),
        ("demo page", "'page' is more than 'demo' wants"),
        ("encode sky", "required: --model, --out; see galnb encode --help"),
        ("encode sky --model m --out z.parquet --size big", "--size: invalid int value: 'big'"),
        ("encode galaxies.npz --model ae50-sds --out z.parquet", "did you mean 'ae50-sdss'?"),
        ("encode nowhere --model model.safetensors --out z.parquet", "nowhere: there is no such file"),
        ("encode galaxies.npz --model model.safetensors --out z.parquet", "wanted are 1 (r); name the"),
        (
            "encode galaxies.npz --model model.safetensors --bands r --out z.csv",
            "wanted a folder.hats or a file.parquet",
        ),
        ("encode galaxies.npz --model ae50-sdss --bands i,r,g --out z.parquet", "1 bands, bands= names 3"),
        ("train nowhere.toml", "nowhere.toml: No such file"),
        ("train tiny.toml --device cdua", "did you mean 'cuda'?"),
        ("demo --out tiny.toml", "tiny.toml"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_with_what_to_do(here, refused, words, told):
    assert told in refused(*words.split())


@pytest.mark.parametrize(
    "right, wrong, told",
    [
        ('kind = "pca"', 'kind = "pcb"', "did you mean 'pca'?"),
        ("epochs = 1", "epohcs = 1", "did you mean 'epochs'?"),
        ("latent_dim", "latent_dims", "did you mean 'latent_dim'?"),
        ("held_out", "heldout", "option of source"),
        ("[train]", "[training]", "'train'"),
        ("[data]", "[data", "tiny.toml"),
    ],
)
def test_a_mistyped_recipe_is_one_line_too(here, refused, right, wrong, told):
    (here / "tiny.toml").write_text(RECIPE.replace(right, wrong))
    assert told in refused("train", "tiny.toml")


def test_a_training_that_is_interrupted_says_so_without_a_traceback(here, capsys, monkeypatch):
    from galnb import recipe

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "cook", interrupted)
    assert main(["train", "tiny.toml"]) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
