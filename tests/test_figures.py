import io
import subprocess
import sys

import numpy as np
from PIL import Image

from galnb.figures import map_figure, wall_figure
from galnb.render import render
from galnb.store import Store

STORE = Store.build(*np.random.default_rng(0).normal(size=(2, 500)))


def picture(figure):
    return np.asarray(Image.open(io.BytesIO(figure._repr_png_())).convert("RGB"))


def test_a_map_and_an_empty_map_are_pictures_with_labels_as_they_came():
    frame = render(STORE, (-3, 3, -3, 3), 90, 60)
    full = map_figure(frame, axes=("$x$", "y (mag)"), title="all")
    ax = full.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == (r"\$x\$", "y (mag)", "all")
    empty = map_figure(render(STORE, (8, 9, 8, 9), 90, 60))
    assert [text.get_text() for text in empty.axes[0].texts] == ["no galaxy in view"]
    assert len(np.unique(picture(full))) > len(np.unique(picture(empty))) > 1


def test_a_wall_frames_the_galaxies_that_were_asked_for():
    tile = np.full((8, 8, 3), 200, dtype=np.uint8)
    figure = wall_figure([tile, None, tile], ["a", "$b", "c"], first=1, columns=2)
    assert [ax.get_xlabel() for ax in figure.axes] == ["a", r"\$b", "c"]
    assert [ax.spines["top"].get_visible() for ax in figure.axes] == [True, False, False]


def test_a_notebook_shows_a_figure_where_nobody_has_imported_pyplot():
    code = """if True:
    import sys
    from IPython.core.formatters import DisplayFormatter
    from galnb.figures import wall_figure
    data, _ = DisplayFormatter().format(wall_figure([None], ["nothing"]))
    print(data["image/png"][:4], "matplotlib.pyplot" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == r"b'\x89PNG' False"
