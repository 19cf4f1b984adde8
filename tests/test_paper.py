"""Figures for a paper: the same bytes each time, fonts in them, and what made them inside."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

import holoviews as hv
import numpy as np
import pytest
from astropy.table import Table

from galnb import figures, weights
from galnb.errors import BadInput
from galnb.figures import provenance_of, save
from galnb.imprint import KINDS
from galnb.journals import WIDTHS
from galnb.latents import Latents
from galnb.pedigree import pedigree
from galnb.selection import Selection
from galnb.session import Session

ROOT = Path(__file__).parents[1]
SCRIPT = r"""
import sys
import numpy as np
from galnb import figures
from matplotlib.figure import Figure

with figures.journal("mnras", columns=2, aspect=0.4):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    values = np.random.default_rng(0).normal(size=(40, 40))
    figure.colorbar(left.imshow(values), label=r"$\log_{10}\, p(z)$ – é")
    right.scatter(*values[:2], c=values[3], rasterized=True, label="galaxies")
    right.fill_between([0, 1], [0, 1], hatch="//", alpha=0.3)
    right.legend()
    figures.letter([left, right])
    for kind in (".pdf", ".png", ".svg"):
        figures.save(figure, sys.argv[1] + kind, seed=0)
"""


def latents(n=60):
    rng = np.random.default_rng(1)
    table = Table({"flux": rng.random(n), "kind": rng.choice(["disc", "bulge"], n)})
    return Latents(np.arange(n) + 100, rng.normal(size=(n, 4)), table)


def small():
    figure = figures.blank(2, 1.5)
    figure.add_subplot().plot([1, 4, 9])
    return figure


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """The same script run in two processes that differ in all that should not matter."""
    folders = []
    for seed, epoch, zone in (("1", "0", "UTC"), ("2", "1700000000", "Asia/Tokyo")):
        folder = tmp_path_factory.mktemp("run")
        (folder / "fig.py").write_text(SCRIPT, encoding="utf-8")
        more = {"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": epoch, "TZ": zone, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "fig.py", "fig"]
        subprocess.run(command, cwd=folder, env={**os.environ, **more}, check=True)
        folders.append(folder)
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_write_the_same_bytes(twice, kind):
    for name in (f"fig{kind}", f"fig{kind}.json"):
        assert (twice[0] / name).read_bytes() == (twice[1] / name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_what_made_it_is_inside_and_beside_it(twice, kind, tmp_path):
    alone = shutil.copy(twice[0] / f"fig{kind}", tmp_path)
    told = provenance_of(alone)
    assert told["code"] == SCRIPT and told["arguments"] == ["fig"] and told["seed"] == 0
    assert {"python", "galnb", "numpy", "torch", "matplotlib"} <= set(told["versions"])
    beside = json.loads((twice[0] / f"fig{kind}.json").read_text())
    assert beside["file"]["sha256"] == hashlib.sha256(Path(alone).read_bytes()).hexdigest()
    assert {**told, "file": beside["file"]} == {k: v for k, v in beside.items() if k != "seal"}
    assert str(time.gmtime().tm_year) not in str({**told, "versions": ""})


def test_fonts_are_embedded_as_truetype_and_the_page_is_as_wide_as_the_journals(twice):
    pdf = (twice[0] / "fig.pdf").read_bytes()
    fonts = set(re.findall(rb"/BaseFont /[A-Z]{6}\+(\S+)", pdf))
    assert fonts and all(font.startswith(b"STIX") for font in fonts)
    assert b"/Type3" not in pdf and pdf.count(b"/FontFile2") >= len(fonts)
    width = float(re.search(rb"/MediaBox \[ *0 0 ([\d.]+)", pdf)[1])
    assert width / 72 * 25.4 == pytest.approx(177.1, abs=0.01)


def test_the_map_is_a_raster_of_300_pixels_an_inch_under_axes_of_lines(twice):
    pdf = (twice[0] / "fig.pdf").read_bytes()
    widths = [int(w) for w in re.findall(rb"/Subtype /Image\s+/Width (\d+)", pdf)]
    assert max(widths) > 1.5 * 300  # a panel is more than 1.5 inches wide
    page = max((zlib.decompress(part) for part in _streams(pdf)), key=lambda part: part.count(b" l\n"))
    assert page.count(b" l\n") > 40 and page.count(b"Tj") + page.count(b"TJ") > 10


def _streams(pdf: bytes):
    for part in re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\nendstream", pdf, re.S):
        try:
            zlib.decompress(part)
            yield part
        except zlib.error:
            pass


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_that_was_shown_before_is_saved_the_same(tmp_path, kind):
    frame = Session(latents()).frame(120, 100)
    fresh, seen = (figures.map_figure(frame, axes=("a long label", "y")) for _ in range(2))
    figures.to_png(seen, dpi=83)
    figures.to_png(seen, dpi=200)
    first, second = (save(f, tmp_path / n / f"map{kind}", code="") for f, n in ((fresh, "a"), (seen, "b")))
    assert first.read_bytes() == second.read_bytes() == save(fresh, first, code="").read_bytes()


@pytest.mark.parametrize("name", WIDTHS)
@pytest.mark.parametrize("columns", [1, 2])
def test_a_journal_gets_its_width_and_no_small_print(name, columns):
    preset = figures.journal(name, columns=columns, aspect=0.5)
    assert preset.width * 25.4 == pytest.approx(WIDTHS[name][columns - 1])
    assert preset.height == pytest.approx(preset.width / 2)
    sizes = [
        preset[f"{of}.{what}size"] for of, what in (("legend", "font"), ("xtick", "label"), ("axes", "label"))
    ]
    assert min(sizes) >= 7
    assert preset["pdf.fonttype"] == 42 and preset["savefig.dpi"] >= 300


def test_a_preset_holds_within_its_context_only():
    from matplotlib import rcParams

    before = rcParams["font.family"]
    with figures.journal("aanda"):
        assert rcParams["font.family"] == ["STIXGeneral"]
    assert rcParams["font.family"] == before
    with pytest.raises(ValueError, match="did you mean 'mnras'"):
        figures.journal("mnars")
    with pytest.raises(ValueError, match="aspect"):
        figures.journal("apj", aspect=0)


def deuteranope(color: str) -> np.ndarray:
    """A color as somebody without green cones sees it, in CIELAB (Machado+2009, severity 1)."""
    from matplotlib.colors import to_rgb
    from skimage.color import rgb2lab

    rgb = np.array(to_rgb(color))
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    machado = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    seen = np.clip(machado @ linear, 0, 1)
    return rgb2lab(np.where(seen > 0.0031308, 1.055 * seen ** (1 / 2.4) - 0.055, 12.92 * seen))


def test_the_first_colors_are_told_apart_without_green_cones():
    seen = [deuteranope(color) for color in figures.OKABE_ITO[:5]]
    apart = [np.linalg.norm(a - b) for k, a in enumerate(seen) for b in seen[:k]]
    assert min(apart) > 10  # of CIELAB's units, of which one or two are just seen
    red, green = deuteranope("#d62728"), deuteranope("#2ca02c")  # matplotlib's own
    assert np.linalg.norm((red - green)[1:]) < min(40, np.linalg.norm((seen[0] - seen[3])[1:]))


@pytest.mark.parametrize("layout", [False, True])
def test_holoviews_figures_are_saved_alike_and_in_the_journals_width(tmp_path, layout):
    element = latents().to_holoviews(dynamic=False)
    if layout:
        element = element + hv.Histogram(np.histogram(latents()["flux"], 8))
    with figures.journal("aanda", columns=1 + layout):
        paths = [save(element, tmp_path / n / "hv.pdf", of=latents(), code="") for n in "ab"]
    pdf = paths[0].read_bytes()
    assert pdf == paths[1].read_bytes() and b"/Type3" not in pdf
    width = float(re.search(rb"/MediaBox \[ *0 0 ([\d.]+)", pdf)[1])
    assert width / 72 * 25.4 == pytest.approx((88, 180)[layout], abs=0.01)
    assert provenance_of(paths[0])["data"][0]["sha256"] == latents().hash()
    assert save(element, tmp_path / "hv.svg", code="").stat().st_size > 1000


def test_a_session_is_told_and_comes_back(tmp_path):
    session = Session(latents(), seed=3)
    session.color_by("flux")
    session.select_box(-1, 1, -1, 1)
    session.pick_id(107)
    session.set_view((-2, 2, -1, 1))
    path = save(figures.map_figure(session.frame(60, 50)), tmp_path / "map.png", of=session, code="")
    told = provenance_of(path)
    entry = told["sessions"][0]
    assert told["seed"] == 3 and entry["view"] == [-2, 2, -1, 1] and entry["color"] == "flux"
    assert tuple(entry["selected"]) == session.selection and entry["n_selected"] > 5
    again = figures.restored(told, latents())
    for name in ("plane", "view", "color", "selection", "picked"):
        assert getattr(again, name) == getattr(session, name)
    with pytest.raises(BadInput, match="no session of these latents"):
        figures.restored(told, latents(30))


def test_a_large_selection_is_told_by_its_number_and_hash_and_comes_back(tmp_path):
    many = Latents(np.arange(5000), np.random.default_rng(0).normal(size=(5000, 3)))
    session = Session(many)
    session.select_box(-2, 2, -2, 2)
    told = provenance_of(save(small(), tmp_path / "a.pdf", of=session, code=""))
    assert "selected" not in told["sessions"][0] and told["sessions"][0]["n_selected"] > 4000
    assert figures.restored(told, many).selection == session.selection


def test_a_selection_that_claims_too_much_is_refused_before_it_is_unpacked(tmp_path):
    session = Session(latents())
    session.select_ids([101])
    told = provenance_of(save(small(), tmp_path / "a.png", of=session, code=""))
    bomb = base64.b64encode(zlib.compress(bytes(1 << 26))).decode()
    bits = Selection.of([3, 7]).bits(60).packed
    packed = {"of": 60, "bits": base64.b64encode(zlib.compress(bits)).decode()}
    log = told["sessions"][0]["record"]["log"] = [{"do": "select_rows", "rows": packed, "mode": "replace"}]
    assert figures.restored(told, latents()).selection == (103, 107)
    for rows in ({"of": 1 << 40, "bits": bomb}, {"of": 60, "bits": bomb}, {"rows": [60]}, {"rows": "x"}, 3):
        log[0]["rows"] = rows
        with pytest.raises(BadInput, match="wanted what galnb.figures.save wrote"):
            figures.restored(told, latents())


def test_weights_and_data_are_found_in_whatever_is_given(tmp_path):
    model = weights.load("ae16-hubble")
    some = latents()
    some.meta["weights"] = weights.made_of(model)
    (tmp_path / "notes.txt").write_text("x")
    told = pedigree(Session(some), some, model, some.table, some.z, tmp_path / "notes.txt")
    assert [entry["kind"] for entry in told["data"]] == ["Latents", "Table", "ndarray", "file"]
    assert {entry["file_sha256"] for entry in told["weights"]} == {weights.card("ae16-hubble")["sha256"]}
    other = latents()
    other.table["flux"][0] = 9
    assert pedigree(other)["data"][0]["sha256"] == told["data"][0]["sha256"]
    assert pedigree(other)["data"][0]["columns_sha256"] != told["data"][0]["columns_sha256"]
    with pytest.raises(TypeError, match="of= has a set"):
        pedigree({1})


def test_a_panel_saves_itself_with_its_session(tmp_path):
    class Panel:
        session = Session(latents())

        def figure(self):
            return small()

    told = provenance_of(save(Panel(), tmp_path / "panel.svg", code=""))
    assert told["sessions"][0]["latents"] == latents().hash()
    assert save(small().axes[0], tmp_path / "axes.svg", code="").exists()
    with pytest.raises(TypeError, match="wanted a matplotlib Figure"):
        save("figure", tmp_path / "a.pdf", code="")


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(BadInput, match=".pdf, .png, .svg; give it such an ending"):
        save(small(), tmp_path / "figure.eps", code="")


def test_code_that_cannot_run_again_is_said_so_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)
    with pytest.warns(UserWarning, match="no code was found"):
        path = save(small(), tmp_path / "a.png")  # pytest runs, and is nobody's script
    assert provenance_of(path)["code"] is None
    with pytest.warns(UserWarning, match="cannot be replayed: its code has"):
        save(small(), tmp_path / "b.png", code="x = !ls")


def test_a_figure_that_was_stripped_is_known_by_the_json_beside_it(tmp_path):
    from PIL import Image

    path = save(small(), tmp_path / "a.png", code="1", seed=5)
    Image.open(path).convert("RGB").save(path)
    assert provenance_of(path)["seed"] == 5
    path.unlink()
    assert provenance_of(path)["seed"] == 5


@pytest.mark.parametrize("name", ["a.pdf", "a.png", "a.svg", "a.json"])
@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.4\n", b"\x89PNG\r\n\x1a\n", b"<svg></svg>", b"{}", b"\x80\x04K."]
)
def test_a_file_that_is_none_of_ours_is_one_clear_error(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match="wanted a figure that galnb.figures.save wrote"):
        provenance_of(tmp_path / name)


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        provenance_of(tmp_path / "nowhere.pdf")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../../evil.pdf"},
        {"name": "evil.sh"},
        {"code": 3},
        {"arguments": [1]},
        {"sessions": [{}]},
        {"data": [1]},
        {"versions": []},
        {"galnb": "session"},
    ],
    ids=str,
)
def test_a_sealed_document_with_other_things_in_it_is_refused(tmp_path, wrong):
    from galnb.imprint import sealed

    told = provenance_of(save(small(), tmp_path / "a.png", code="1"))
    (tmp_path / "b.json").write_bytes(sealed({**told, **wrong}))
    with pytest.raises(BadInput, match="its document"):
        provenance_of(tmp_path / "b.json")
