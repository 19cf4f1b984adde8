"""A figure is made again from its file, byte for byte, and says what differs; nobody runs it unasked."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from galnb import figures, imprint, listing
from galnb.cli import main
from galnb.errors import BadInput, GalnbError
from galnb.figures import provenance_of, save
from galnb.replay import replay, shown

ROOT = Path(__file__).parents[1]
CODE = """
import numpy as np
from galnb import figures
figure = figures.blank(2, 1.5)
figure.add_subplot().plot(np.random.default_rng(1).random(9))
figures.save(figure, {path!r}, seed=1)
"""


def made(path, code=CODE):
    """A figure as a script of its own makes it."""
    script = path.with_name("fig.py")
    script.write_text(code.format(path=str(path)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, script.name], cwd=path.parent, env=environment, check=True)
    script.unlink()
    return path


def told_otherwise(path, **other):
    """The same picture, telling something else, with a seal that is right."""
    picture, _ = imprint.take(path.read_bytes())
    path.write_bytes(imprint.put(picture, imprint.sealed({**provenance_of(path), **other})))
    return path


@pytest.mark.parametrize("kind", [".pdf", ".svg"])
def test_the_same_bytes_come_again_from_the_file_alone(tmp_path, kind):
    path = made(tmp_path / f"fig{kind}")
    path.with_name(f"fig{kind}.json").unlink()
    before = path.read_bytes()
    done = replay(path, yes=True, out=tmp_path / "new" / "again.pdf")
    assert done.same and done.drawing and not done.differs and "byte for byte" in str(done)
    assert (tmp_path / "new" / "again.pdf").read_bytes() == before == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"fig{kind}", "new"]  # nothing else was touched


def test_another_version_is_named_and_the_drawing_still_the_same(tmp_path):
    path = made(tmp_path / "fig.png")
    versions = {**provenance_of(path)["versions"], "numpy": "1.0"}
    done = replay(told_otherwise(path, versions=versions), yes=True)
    assert not done.same and done.drawing
    assert done.differs == (f"numpy: 1.0 then, {np.__version__} now",)
    assert "the drawing is the same" in str(done)


def test_other_data_are_named_by_their_hash(tmp_path):
    code = CODE.replace("np.random.default_rng(1).random(9)", "np.loadtxt('x.txt')")
    code = code.replace("seed=1", "of='x.txt'")
    np.savetxt(tmp_path / "x.txt", [1, 2, 3])
    path = made(tmp_path / "fig.png", code)
    assert replay(path, yes=True, where=tmp_path).same
    with pytest.raises(BadInput, match="made no figure 'fig.png' again: FileNotFoundError"):
        replay(path, yes=True)
    np.savetxt(tmp_path / "x.txt", [1, 2, 4])
    done = replay(path, yes=True, where=tmp_path)
    assert not done.same and not done.drawing
    assert len(done.differs) == 1 and done.differs[0].startswith("data, x.txt, sha256: ")


def test_a_number_without_a_seed_is_found_out(tmp_path):
    done = replay(made(tmp_path / "fig.png", CODE.replace("default_rng(1)", "default_rng()")), yes=True)
    assert not done.drawing and "a random number without a seed" in done.differs[0]


def test_without_a_yes_nothing_runs_and_the_code_is_shown(tmp_path, capsys, monkeypatch):
    mark = tmp_path / "ran"
    path = save(figures.blank(1, 1), tmp_path / "fig.pdf", code=f"open({str(mark)!r}, 'w')  # \x1b[8m\u202e")
    with pytest.raises(GalnbError, match="nothing was run"):
        replay(path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # no terminal: a pipe is no consent
    assert main(["figure", "replay", str(path)]) == 2
    said = capsys.readouterr()
    assert f"open({str(mark)!r}, 'w')  # \\x1b[8m\\u202e" in said.out and "\x1b" not in said.out
    assert "with all your rights" in said.out and "--yes" in said.err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["figure", "replay", str(path)]) == 2
    assert main(["figure", "show", str(path)]) == 0
    assert not mark.exists()


def test_the_command_answers_with_its_exit_code(tmp_path, capsys):
    path = made(tmp_path / "fig.svg")
    assert main(["figure", "replay", str(path), "--yes", "--out", str(tmp_path / "b.svg")]) == 0
    assert "the same, byte for byte" in capsys.readouterr().out
    assert (tmp_path / "b.svg").read_bytes() == path.read_bytes()
    assert main(["figure", "replay", str(told_otherwise(path, seed=2)), "--yes"]) == 1
    assert "seed: 2 then, 1 now" in capsys.readouterr().out
    assert main(["figure", "repaly", str(path)]) == 2
    assert "did you mean 'replay'" in capsys.readouterr().err
    (tmp_path / "cut.svg").write_bytes(path.read_bytes()[:3000])
    assert main(["figure", "show", str(tmp_path / "cut.svg")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_code_that_fails_or_was_not_kept_is_one_clear_error(tmp_path):
    path = save(figures.blank(1, 1), tmp_path / "fig.png", code="1 / 0")
    with pytest.raises(BadInput, match="made no figure 'fig.png' again: ZeroDivisionError"):
        replay(path, yes=True)
    with pytest.warns(UserWarning):
        save(figures.blank(1, 1), path)
    with pytest.raises(BadInput, match="without its code"):
        replay(path, yes=True)


def test_what_is_replayed_replays_nothing(tmp_path, monkeypatch):
    path = made(tmp_path / "fig.png")
    monkeypatch.setattr(listing, "recorded", listing.Recorded("", [], tmp_path))
    with pytest.raises(GalnbError, match="one at a time"):
        replay(path, yes=True)


def test_code_is_shown_without_what_would_hide_it():
    assert shown("a\r\x1b[2Kb\tc\n\u202e\u2066é") == "a\\r\\x1b[2Kb\tc\n\\u202e\\u2066é"


SCRIPT = """
import sys
from galnb import figures
figure = figures.blank(2, 1.5)
figure.add_subplot().set_title(" ".join(sys.argv[1:]))
figures.save(figure, "plots/fig3.pdf")
"""


def test_a_script_with_arguments_is_replayed_on_a_fresh_clone_with_other_settings(tmp_path):
    (tmp_path / "fig.py").write_text(SCRIPT)
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 4\nfont.size: 13\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "fig.py", "two", "words"], cwd=tmp_path, env=environment, check=True)
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns("*.safetensors", "__pycache__")
    shutil.copytree(ROOT / "galnb", clone / "galnb", ignore=ignored)
    shutil.move(tmp_path / "plots" / "fig3.pdf", clone / "fig3.pdf")
    command = [sys.executable, "-m", "galnb", "figure", "replay", "fig3.pdf", "--yes"]
    environment |= {
        "PYTHONPATH": str(clone),
        "OMP_NUM_THREADS": "2",
        "HOME": str(clone),
        "PYTHONHASHSEED": "7",
    }
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "the same, byte for byte" in done.stdout, done.stdout + done.stderr


CELLS = (
    "%matplotlib inline\nimport numpy as np\nfrom galnb import figures\nfrom galnb.latents import Latents\n"
    "from galnb.session import Session",
    "%%time\nlatents = Latents(np.arange(300), np.random.default_rng(0).normal(size=(300, 4)))\n"
    "session = Session(latents)",
    "broken = 1\n1 / 0",
    "!echo hello\ndisplay(latents.columns)\nsession",
    "session = figures.by_hand(session)\nfigure = figures.map_figure(session.frame(100, 100))\n"
    "figures.save(figure, {path!r}, of=session)\nfigure",
)


def test_a_kernels_cells_and_what_a_hand_did_are_replayed(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    path = tmp_path / "fig.png"
    cells = [nbformat.v4.new_code_cell(cell.format(path=str(path))) for cell in CELLS]
    cells[2].metadata["tags"] = ["raises-exception"]
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(cells=cells), timeout=300, kernel_name="python3"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path / "ipython")}
    with client.setup_kernel(env=env):
        for k, cell in enumerate(cells):
            if k == 4:  # no cell says it
                client.kc.execute("session.select_ids([5, 6])", silent=True, store_history=False)
            client.execute_cell(cell, k)
        first = path.read_bytes()
        client.execute_cell(cells[4], 4)
    assert path.read_bytes() == first, "the cell was run again"
    told = provenance_of(path)
    assert told["sessions"][0]["selected"] == [5, 6]
    for word in ("matplotlib", "echo", "broken", "time", "get_ipython"):
        assert word not in told["code"]
    assert told["code"].count("# %%") == 4
    assert replay(path, yes=True).same
