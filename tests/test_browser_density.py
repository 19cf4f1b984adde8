"""The density's map and the bent Gaussian in a real browser: by mouse and by keyboard."""

import pytest

from tests.test_browser import ROOT, Explorer, browser, panel, server

pytestmark = pytest.mark.browser
assert browser and server  # the fixtures of the other file
CELLS = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
import galnb
from IPython.display import display
from tests.imaginary import model, survey

images = survey()
panel = galnb.weigh(galnb.encode(images, model("pca")), images, model("pca"), learning={{"components": 2}})
bent = galnb.bend(panel.session.latents)
display(bent)
panel"""


class Page(Explorer):
    def ready(self):
        self.page.wait_for_selector(".galnb-map canvas")
        words = "() => /^mean/.test(document.querySelector('.galnb-weigher [role=status]')?.textContent)"
        self.page.wait_for_function(words)
        self.page.wait_for_function("() => /nats/.test(document.querySelector('.galnb-big')?.textContent)")


@pytest.fixture(scope="module")
def page(browser, server):
    with panel(Page, browser, server, CELLS) as opened:
        yield opened
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_galaxy_is_said_to_be_rare_in_words_and_draws_stand_beside_real_ones(page):
    page.ask("panel.session.pick_id('g011')")
    page.page.get_by_text("Galaxy g011").wait_for()
    assert page.page.locator(".galnb-rare").inner_text() == page.ask("panel.standing('g011')['rare']")
    page.page.get_by_role("button", name="Draw from here").press("Enter")
    page.page.wait_for_selector(".galnb-drawn figure img")
    assert page.page.get_by_text("Drawn: these do not exist").is_visible()
    assert page.ask("len(panel.drawn)") == page.page.locator(".galnb-drawn figure").count() == 6
    page.page.locator(".galnb-drawn button").last.click()
    page.until("panel.session.picked", lambda id: id is not None)


def test_contours_are_drawn_and_taken_away_by_a_key(page):
    picture = lambda: page.canvas.evaluate("e => e.toDataURL()")  # noqa: E731
    page.page.wait_for_timeout(800)
    page.canvas.focus()
    page.page.wait_for_timeout(300)
    with_lines = picture()
    page.canvas.press("r")
    page.page.wait_for_timeout(300)
    assert picture() != with_lines
    assert page.page.get_by_role("button", name="Contours").get_attribute("aria-pressed") == "false"
    page.canvas.press("r")


def test_a_slider_bends_by_the_arrow_keys_and_the_morph_goes_part_of_the_way(page):
    slider = page.page.get_by_role("slider", name="Layer 1: shift")
    slider.press("ArrowRight")
    assert page.until("bent.bender.layers[0].shift", lambda value: value > 1) == pytest.approx(1.01)
    morph = page.page.get_by_role("slider", name="How many layers are applied")
    morph.fill("0.5")
    assert page.until("bent.depth", lambda depth: depth < 1) == 0.5
    page.page.get_by_text("x: after 0.5 layers").wait_for()
    small = page.page.get_by_label("u: a Gaussian")
    before = page.page.locator(".galnb-logs").inner_text()
    for _ in range(5):
        small.press("ArrowRight")
    page.page.wait_for_function("was => document.querySelector('.galnb-logs').innerText !== was", arg=before)


def test_it_learns_stops_and_is_reset(page):
    page.page.get_by_role("button", name="Let it learn").click()
    page.page.get_by_text("Learning: step").wait_for()
    page.page.get_by_role("button", name="Stop").click()
    page.page.get_by_text("4 learned layers").wait_for()
    page.page.wait_for_function("() => !/Learning/.test(document.querySelector('.galnb-doing').textContent)")
    page.page.get_by_role("button", name="Reset").click()
    page.page.get_by_role("slider", name="Layer 2: wiggle").wait_for()
    assert page.ask("bent.bender.learned is None")
