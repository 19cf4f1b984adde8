"""What figures say in words, and that a notebook has these words with them."""

import subprocess
import sys

import holoviews as hv
import numpy as np
import pytest
from matplotlib.figure import Figure

from galnb import notebook
from galnb.alt import bundle, describe, described
from galnb.figures import blank, draw_tiles, map_figure, wall_figure
from galnb.render import render
from galnb.store import Store

STORE = Store.build(*np.random.default_rng(0).normal(size=(2, 500)))


def test_points_lines_bars_pictures_and_legends_are_told():
    figure = Figure()
    figure.suptitle("Two $\\alpha$")
    left, right = figure.subplots(1, 2)
    left.scatter([0, 1], [0, 2], label="seen")
    left.plot([0, 1], [5, 5], "o")
    left.plot([0, 1, 2], [0, 1, 2], label="fit")
    left.axvline(1)
    left.legend()
    left.set(xlabel=r"radius $r_{\rm e}$ (\$)", yscale="log", xlim=(0, 2), ylim=(1, 1000))
    right.bar(["E", "S"], [1, 2])
    right.set(title="kinds", ylim=(0, 2))
    assert described(figure) == (
        "Figure of 2 panels, Two α: (1) 4 points, 1 line of 3 points; radius r_e ($) from 0 to 2, "
        "y from 1 to 1,000 on a logarithmic scale; legend: seen, fit. "
        "(2) kinds: 2 bars; x with E, S, y from 0 to 2."
    )


def test_a_wall_of_pictures_and_a_map_are_told_by_their_names():
    tile = np.zeros((4, 4, 3), dtype=np.uint8)
    assert described(wall_figure([tile, tile], ["a", "$b"])) == (
        "Figure of 2 panels: (1) a: 1 picture. (2) $b: 1 picture."
    )
    assert described(wall_figure([tile] * 9, ["a"] * 9)).endswith("(6) a: 1 picture. 3 more panels.")
    figure = blank(3, 3)
    draw_tiles(figure.add_subplot(), [tile, None], title="some", bar=(0.4, '2"'))
    assert described(figure) == 'Figure: some: 1 picture; with the text 2".'
    words = described(map_figure(render(STORE, (-3, 3, -3, 3), 90, 60), axes=("x (mag)", "y")))
    assert words.startswith(
        "Figure: 1 picture; x (mag) from -3 to 3, y from -3 to 3; colors show galaxies per pixel"
    )


def test_holoviews_is_told_as_it_would_be_drawn_and_an_author_knows_better():
    points = hv.Points([(0, 1), (2, 3), (4, 5)], ["mass", "light"])
    assert described(points).startswith("Figure: 3 points; mass from ")
    for figure in (points, Figure()):
        assert described(describe(figure, " Massive\n ones shine. ")) == "Massive ones shine."
    with pytest.raises(ValueError, match="wanted a sentence"):
        describe(Figure(), " ")


def test_words_are_escaped_where_they_are_html():
    data, about = bundle('<b> "x" & y', b"png", kind="still", note="a < b")
    assert 'alt="&lt;b&gt; &quot;x&quot; &amp; y"' in data["text/html"] and "a &lt; b" in data["text/html"]
    assert about["image/png"]["alt"] == data["text/plain"] == '<b> "x" & y'


def test_a_figure_is_drawn_once_for_both_its_html_and_its_png():
    drawn = []
    once = notebook.Once(lambda figure: drawn.append(figure) or ("cG5n", {"width": 7}))
    figure = Figure()
    assert once.ahead(figure) == ("cG5n", {"width": 7}) and len(drawn) == 1
    assert once(figure) == ("cG5n", {"width": 7, "alt": "Figure: empty."}) and len(drawn) == 1
    once(figure)
    assert len(drawn) == 2


def test_outside_a_kernel_nothing_is_changed():
    assert not notebook.tell()
    code = "import galnb, sys; print('IPython' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
