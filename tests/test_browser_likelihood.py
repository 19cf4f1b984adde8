"""The likelihood panel in a real browser: by mouse and by keyboard."""

import pytest

from tests.test_browser import ROOT, Explorer, browser, panel, server

pytestmark = pytest.mark.browser
assert browser and server  # the fixtures of the other file
CELL = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
import galnb
from tests.test_likelihood_panel import comparison

panel = galnb.confront(comparison(), seed=1)
panel"""
PIXEL = "document.querySelector('.galnb-looker').dataset.pixel"


class Page(Explorer):
    def ready(self):
        self.page.wait_for_selector(".galnb-stamps img")
        self.page.wait_for_function(
            "() => /Distributions/.test(document.querySelector('.galnb-histogram').ariaLabel)"
        )

    def brushed(self):
        """The range, once Python has all that the hand did: it is told while the hand moves."""
        told = []
        same = lambda brush: told.append(brush) or (brush is not None and told[-2:-1] == [brush])  # noqa: E731
        return self.until("panel.brush", same)

    def part(self, name, k=0):
        """The box of a part, in view."""
        found = self.page.locator(name).nth(k)
        found.scroll_into_view_if_needed()
        return found.bounding_box()


@pytest.fixture(scope="module")
def page(browser, server):
    with panel(Page, browser, server, CELL) as opened:
        yield opened
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_range_is_brushed_by_the_mouse_and_its_galaxies_are_selected(page):
    box, mouse = page.part(".galnb-histogram"), page.page.mouse
    mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 120)
    mouse.down()
    mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 130, steps=6)
    mouse.up()
    low, high = page.brushed()
    chosen = page.until("panel.selection", len)
    assert low < high and 4 < len(chosen) < 80
    page.page.get_by_text(" of 40 (").first.wait_for()
    mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 120)  # within: the range is moved
    mouse.down()
    mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 120, steps=3)
    mouse.up()
    page.until("panel.brush", lambda brush: brush[0] != low)
    moved = page.brushed()
    assert moved[1] - moved[0] == pytest.approx(high - low, rel=1e-3)


def test_a_range_is_moved_widened_and_cleared_by_keys(page):
    histogram = page.page.get_by_role("application", name="Distributions")
    histogram.press("Home")
    page.until("panel.brush is not None and panel.brush[0] == -float('inf')", bool)  # all below are in it
    high = page.ask("panel.brush[1]")
    histogram.press("ArrowRight")
    page.until(f"panel.brush[0] > -float('inf') and panel.brush[1] > {high}", bool)
    wide = page.ask("panel.brush[1] - panel.brush[0]")
    histogram.press("Shift+ArrowRight")
    page.until(f"panel.brush[1] - panel.brush[0] > {wide * 1.2}", bool)
    histogram.press("Escape")
    page.until("panel.brush is None and panel.selection == ()", bool)
    page.page.get_by_text("least", exact=True).nth(1).wait_for()


def test_a_pixel_under_the_pointer_or_the_arrow_keys_shows_what_was_expected_of_it(page):
    stamp = page.page.locator(".galnb-stamps button").nth(3)
    stamp.click()
    page.until("panel.session.picked", bool)
    page.page.wait_for_selector(".galnb-pictured")
    box = page.part(".galnb-pixels")
    page.page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.7 * box["height"])
    page.page.wait_for_function(f"() => {PIXEL} === '5,3'")
    words = page.page.get_by_label("Expected levels of the pixel").get_attribute("aria-label")
    true = page.ask("int(panel.looker.reading.levels[1, 5, 3])")
    chance = page.ask(f"float(panel.pdf(5, 3, 'g')[{true}])")
    assert f"g: true level {true}: p = {chance:.3f}" in words
    page.page.locator(".galnb-pixels").nth(1).press("ArrowDown")
    page.page.wait_for_function(f"() => {PIXEL} === '6,3'")
    assert page.page.get_by_text("after 51 pixels").is_visible()
    assert stamp.get_attribute("aria-current") == "true"


def test_a_half_hidden_galaxy_is_completed_by_a_click_and_by_enter_row_by_row(page):
    box = page.part(".galnb-pixels")
    page.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.4 * box["height"])
    page.until("panel.completions is not None", bool)
    page.page.wait_for_selector(".galnb-tiles[data-rows='8'] .galnb-true")
    assert page.page.get_by_role("slider", name="First row that is hidden").input_value() == "3"
    assert page.page.locator(".galnb-tiles >> nth=0 >> button:enabled").count() == 4
    before = page.ask("panel.completions.pixels[:, :, 6].tobytes().hex()")
    page.page.locator(".galnb-pixels").first.press("Enter")
    page.until("panel.completions.pixels[:, :, 6].tobytes().hex()", lambda now: now != before)
    page.page.get_by_role("button", name="completion 2").click()
    page.page.get_by_text("completion 2", exact=False).first.wait_for()


def test_draws_appear_and_a_python_twin_moves_the_panel_in_a_dark_page_too(page):
    picture = lambda: page.page.locator(".galnb-histogram").evaluate("e => e.toDataURL()")  # noqa: E731
    before = picture()
    page.page.get_by_role("button", name="Draw", exact=True).click()
    page.until("panel.samples is not None", bool)
    page.page.get_by_text("marked in the histogram").wait_for()
    assert picture() != before
    page.page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.ask("[setattr(panel, 'statistic', 'log_p'), panel.pick('SDSS/g04'), panel.pdf(2, 6).shape]")
    page.page.wait_for_function(f"() => {PIXEL} === '2,6'")
    assert page.page.get_by_label("Statistic").input_value() == "log_p"
    assert not page.page.locator(".galnb-problem:visible").count()
