"""The similarity panel in a real browser: ask, refine by plus and minus, jump, select, search by id, save."""

import csv
import io
import os

import pytest

from tests.test_browser import ROOT, Explorer, browser, panel, server

pytestmark = pytest.mark.browser
assert browser and server  # the fixtures of the other file
CELLS = """import galnb
from galnb.widgets import Similarity

images, latents, model = galnb.default_survey()
panel = Similarity(latents, images, model, k=16, height=620)
panel"""


@pytest.fixture(scope="module")
def page(browser, server):
    with panel(Explorer, browser, server, CELLS) as opened:
        yield opened


def names(page):
    return page.page.locator(".galnb-asked figcaption").all_inner_texts()


def test_a_galaxy_that_is_asked_for_gets_a_wall_and_plus_and_minus_refine_the_question(page):
    page.page.locator(".galnb-similar input").fill("hxdf-0031")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".galnb-card")
    first = page.until("[str(name) for name in panel.found['id']]", lambda ids: len(ids) == 16)
    assert names(page) == ["hxdf-0031"] and "hxdf-0031" not in first
    assert page.page.locator(".galnb-card").count() == 16
    words = page.page.locator(".galnb-face").first.get_attribute("title")
    assert words.startswith(f"{first[0]}, at distance ")
    page.page.get_by_label(f"More like {first[1]}", exact=True).click()
    page.until("len(panel.wall.more)", lambda n: n == 2)
    page.page.get_by_label(f"Less like {first[3]}", exact=True).click()
    assert page.until("panel.wall.less", lambda ids: len(ids) == 1) == (first[3],)
    page.page.wait_for_function("() => document.querySelectorAll('.galnb-asked figure').length === 3")
    assert names(page) == ["hxdf-0031", first[1], first[3]]
    page.page.wait_for_timeout(500)
    if os.environ.get("GALNB_PICTURES"):
        page.box()
        page.page.locator(".galnb-panel").first.screenshot(path=ROOT / "docs" / "similarity.png")
    page.page.get_by_label(f"Leave {first[3]} out of the question").click()
    page.until("panel.wall.less", lambda ids: ids == ())


def test_a_neighbor_is_shown_on_the_map_and_all_can_be_selected(page):
    asked = page.ask("panel.wall.more")
    second = page.ask("str(panel.found['id'][2])")
    page.page.locator(".galnb-face").nth(2).click()
    assert (
        page.until("panel.session.picked", lambda name: name == second)
        and page.ask("panel.wall.more") == asked
    )
    page.page.get_by_label("Select these galaxies on the map").click()
    found = page.ask("tuple(str(name) for name in panel.found['id'])")
    assert page.until("panel.selection", lambda ids: len(ids) == 16) == found


def test_the_keyboard_walks_the_wall_and_votes(page):
    page.page.locator(".galnb-face").first.focus()
    page.page.keyboard.press("ArrowRight")
    second = page.ask("str(panel.found['id'][1])")
    page.page.keyboard.press("+")
    assert page.until("panel.wall.more[-1]", lambda name: name == second)


def test_what_is_saved_is_what_is_shown(page):
    for kind, start in (
        (".csv", b"id,distance"),
        (".parquet", b"PAR1"),
        (".png", b"\x89PNG"),
        (".vot", b"<?xml"),
    ):
        with page.page.expect_download() as waiting:
            page.page.locator(".galnb-actions").get_by_text(kind[1:].upper(), exact=True).click()
        with open(waiting.value.path(), "rb") as file:
            data = file.read()
        assert waiting.value.suggested_filename == f"similar{kind}" and data.startswith(start)
        if kind == ".csv":
            rows = list(csv.DictReader(io.StringIO(data.decode())))
            assert [row["id"] for row in rows] == page.ask("[str(name) for name in panel.found['id']]")


def test_an_unknown_id_is_an_error_in_place(page):
    page.page.locator(".galnb-similar input").fill("<b>nobody</b>")
    page.page.keyboard.press("Enter")
    problem = page.page.locator(".galnb-similar .galnb-problem")
    problem.wait_for(state="visible")
    assert "no object has the id '<b>nobody</b>'" in problem.inner_text()
