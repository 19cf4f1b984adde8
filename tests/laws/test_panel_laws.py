"""The laws of the panel family: every member of the list keeps them, a newcomer too."""

import html.parser
import re
from pathlib import Path

import ipywidgets
import numpy as np
import pytest
import traitlets
from astropy.table import Table

from galnb import widgets
from galnb.latents import Latents

MARKUP = "<img src=x onerror=alert(1)>"
FOLDER = Path(widgets.__file__).parent


@pytest.fixture(params=sorted(widgets.MEMBERS))
def name(request):
    return request.param


def build(name, **options):
    rng = np.random.default_rng(2)
    z = rng.normal(size=(300, 5)) * (3, 2, 1, 1, 1)
    ids = np.array([f"g{k}" for k in range(299)] + [MARKUP])
    table = Table({"redshift": rng.random(300), MARKUP: np.where(z[:, 0] > 0, MARKUP, "$x^2$ <b>near</b>")})
    return widgets.member(name)(Latents(ids, z, table), **options)


def test_it_builds_without_a_browser(name):
    panel = build(name)
    assert isinstance(panel, ipywidgets.DOMWidget)
    assert panel.selection == () and panel.problem == ""


def test_the_selection_is_a_tuple_of_ids_that_python_can_set(name):
    panel = build(name)
    panel.selection = ["g3", MARKUP]
    assert panel.selection == ("g3", MARKUP) == panel.session.selection
    panel.session.undo()
    assert panel.selection == ()


def test_an_unknown_id_is_refused_and_changes_nothing(name):
    panel = build(name)
    panel.selection = ("g1",)
    with pytest.raises(KeyError, match="nowhere"):
        panel.selection = ("nowhere",)
    assert panel.selection == ("g1",) == panel.session.selection


def test_a_misspelt_option_is_refused(name):
    with pytest.raises((TypeError, ValueError)):
        build(name, planne="pca")
    with pytest.raises(ValueError, match="did you mean 'pca'"):
        build(name, plane="pcaa")


def test_an_exception_in_a_callback_is_shown_and_not_lost(name, monkeypatch):
    panel = build(name)

    def broken(changed):
        raise RuntimeError("the sky fell")

    monkeypatch.setattr(panel, "draw", broken)
    panel.session.select_ids(["g2"])
    assert panel.problem == "the sky fell"
    assert panel.selection == ("g2",)


def test_two_panels_link_by_their_selection(name):
    one, two = build(name), build(name)
    link = traitlets.link((one, "selection"), (two, "selection"))
    one.session.select_ids(["g5", "g4"])
    assert two.session.selection == ("g5", "g4")
    two.selection = ("g1",)
    assert one.session.selection == ("g1",)
    link.unlink()


def test_without_a_kernel_there_is_a_figure_with_words_and_no_markup_from_the_catalogue(name):
    panel = build(name)
    panel.session.color_by(MARKUP)
    data = panel._repr_mimebundle_()[0]
    tags = []
    reader = html.parser.HTMLParser()
    reader.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    reader.feed(data["text/html"])
    assert [tag for tag, _ in tags] == ["style", "figure", "img", "figcaption"]
    assert "300 galaxies" in tags[2][1]["alt"] and "onerror" not in tags[2][1]
    assert "300 galaxies" in data["text/plain"] and len(data["image/png"]) > 1000
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_notebook_has_the_live_view_first_then_a_picture_and_keeps_the_view_where_drawing_fails(
    name, monkeypatch
):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append((data, options)))
    panel = build(name)
    panel._ipython_display_()
    (live, _), (still, about) = shown
    assert set(live) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert set(still) == {"text/plain", "text/html", "image/png"} and "300" in live["text/plain"]
    assert about["metadata"]["image/png"]["alt"] == still["text/plain"]

    def broken():
        raise RuntimeError("the sky fell")

    monkeypatch.setattr(panel, "pictured", broken)
    panel._ipython_display_()
    assert len(shown) == 3 and set(shown[2][0]) == set(live)
    assert panel.problem == "the sky fell"


def test_closing_a_panel_lets_go_of_the_session(name):
    panel = build(name)
    panel.close()
    panel.session.select_ids(["g2"])
    assert panel.selection == ()


def test_no_file_of_the_family_can_turn_a_string_into_markup_or_code():
    for path in [*FOLDER.glob("*.py"), *FOLDER.glob("*.js")]:
        text = path.read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|(?<!\.)\beval\(|new Function", text
        ), path
        assert not re.search(r"widgets\.HTML|HTMLMath|pyplot|https?://", text), path
        assert text.count("\n") < 400, path
