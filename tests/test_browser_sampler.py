"""The sampler in a real browser: by mouse and by keyboard alone, with warnings and errors in place."""

import pytest

from tests.test_browser import ROOT, Explorer, browser, panel, server

pytestmark = pytest.mark.browser
assert browser and server  # the fixtures of the other file
CELLS = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
import galnb
from tests.imaginary import model, survey

panel = galnb.imagine(model("mvae"), survey(), n=9)
panel"""


class Page(Explorer):
    def ready(self):
        self.page.wait_for_selector(".galnb-samples button")
        self.page.wait_for_function("() => document.querySelector('.galnb-inset')?.hidden === false")

    def scale(self, name):
        return self.page.get_by_role("slider", name=name, exact=True)

    def turn(self):
        return int(self.page.locator(".galnb-sampler").get_attribute("data-turn"))

    def next(self, act):
        """Do something, and wait until the wall has answered."""
        before = self.turn()
        act()
        self.page.wait_for_function(
            "was => Number(document.querySelector('.galnb-sampler').dataset.turn) > was", arg=before
        )

    def pixels(self, k=0):
        """Of a galaxy, once it is measured and corrected."""
        self.page.wait_for_function("() => !document.querySelector('.galnb-sampler .galnb-stale')")
        return self.page.locator(".galnb-samples canvas:first-child").nth(k).evaluate("e => e.toDataURL()")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)


@pytest.fixture(scope="module")
def page(browser, server):
    with panel(Page, browser, server, CELLS) as opened:
        yield opened
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_slider_changes_the_galaxies_and_leaving_it_brings_them_back(page):
    before = page.pixels()
    page.next(lambda: page.scale("flux").fill("700"))
    flux = page.until("panel.imagined.asked.get('flux')", lambda value: value is not None)
    assert page.pixels() != before
    assert page.scale("flux").get_attribute("aria-valuetext").startswith(f"{flux:.3g}")
    page.next(lambda: page.page.get_by_role("checkbox").first.uncheck())
    assert page.ask("panel.imagined.asked") == {} and page.pixels() == before
    assert "free" in page.scale("flux").get_attribute("aria-valuetext")


def test_beyond_the_training_range_stands_a_warning_until_one_is_back(page):
    page.next(lambda: page.scale("flux").press("End"))
    words = page.page.locator(".galnb-ask .galnb-warning:visible")
    assert words.inner_text() == page.ask("panel.imagined.warnings['flux']")
    assert "by 0.3 of that range" in words.inner_text()
    assert page.scale("flux").get_attribute("aria-invalid") == "true"
    page.next(lambda: page.scale("flux").press("Delete"))
    assert words.count() == 0 and page.ask("panel.imagined.asked") == {}


def test_a_number_is_typed_and_what_is_none_is_an_error_in_place(page):
    box = page.page.get_by_label("color in mag, as a number")
    page.next(lambda: (box.fill("0.55"), box.press("Enter")))
    assert page.ask("panel.imagined.asked") == {"color": 0.55}
    box.fill("red")
    box.press("Enter")
    problem = page.page.locator(".galnb-sampler .galnb-problem:visible")
    problem.wait_for()
    assert problem.inner_text() == "condition 'color': red came, wanted a finite number; or leave it out"
    assert page.ask("panel.imagined.asked") == {"color": 0.55}
    page.next(lambda: (box.fill(""), box.press("Enter")))
    assert page.ask("panel.imagined.asked") == {} and not problem.is_visible()


def test_all_of_it_is_reached_by_keyboard_alone(page):
    page.page.get_by_label("Model", exact=True).focus()
    seen = set()
    for _ in range(60):
        page.press("Tab")
        label = (
            "() => (e => e.getAttribute('aria-label') || e.title || e.textContent)(document.activeElement)"
        )
        seen.add(page.page.evaluate(label).split(":")[0])
    wanted = {"New draw", "Sample 1", "flux", "color in mag", "axis 1 in σ", "Walk from here", "Keys"}
    wanted |= {"Other galaxies, drawn under what is asked (D)", "Pixel noise (N)"} - {"New draw"}
    missing = {word for word in wanted - {"New draw", "Walk from here"} if word not in seen}
    assert not missing, seen
    assert any("A film from this galaxy" in word for word in seen)

    page.page.locator(".galnb-samples button").first.focus()
    page.press("ArrowRight", "ArrowDown", "Enter")
    assert page.until("panel.sheet.picked", lambda k: k == 4) == 4
    assert page.page.locator(".galnb-picked .galnb-title").inner_text() == "Sample 5"
    page.next(lambda: page.press("n"))
    assert page.ask("panel.imagined.noise") is False
    page.next(lambda: page.press("n"))
    seed = page.ask("panel.imagined.seed")
    page.next(lambda: page.press("d"))
    assert page.ask("panel.imagined.seed") == seed + 1
    page.press("t")
    assert page.page.locator(".galnb-inset:visible").count() == 0
    page.press("t", "?")
    assert page.page.get_by_role("dialog", name="Keys").is_visible()
    page.press("Escape")
    assert not page.page.get_by_role("dialog", name="Keys").is_visible()


def test_a_walk_plays_in_place_and_is_saved(page):
    page.page.locator(".galnb-samples button").first.focus()
    page.press("Enter", "w")
    page.page.get_by_role("button", name="Walk to here").wait_for()
    page.press("ArrowRight", "Enter", "w")
    page.page.wait_for_selector(".galnb-film canvas:visible")
    place = page.page.get_by_label("Place on the way")
    page.page.wait_for_function("e => Number(e.value) > 2", arg=place.element_handle())  # it plays
    place.press("Home")
    still = page.page.locator(".galnb-film canvas").evaluate("e => e.toDataURL()")
    place.press("End")
    assert page.page.locator(".galnb-film canvas").evaluate("e => e.toDataURL()") != still
    with page.page.expect_download() as waiting:
        page.page.get_by_role("button", name="GIF").click()
    with open(waiting.value.path(), "rb") as file:
        assert waiting.value.suggested_filename == "walk.gif" and file.read(6) == b"GIF89a"


def test_a_real_galaxy_is_taken_and_known_by_its_numbers(page):
    page.next(lambda: page.page.locator(".galnb-strip .galnb-wall button").nth(2).click())
    name = page.ask("panel.imagined.origin")
    assert page.page.locator(".galnb-picked .galnb-title").inner_text() == f"{name}, draw 1"
    page.page.wait_for_selector(".galnb-truth")
    captions = page.page.locator(".galnb-picked figcaption")
    assert captions.nth(0).inner_text() == "Real" and captions.nth(1).inner_text() == "Imagined"
    page.next(lambda: page.page.get_by_role("button", name="Numbers").click())
    assert page.ask("panel.sheet.given") == "numbers" and page.ask("panel.imagined.origin") == name


def test_python_moves_the_sliders_and_a_page_that_is_loaded_anew_shows_the_same(page):
    page.next(lambda: page.ask("panel.ask(flux=31.0)"))
    page.page.wait_for_function(
        "() => document.querySelector('.galnb-ask input[type=checkbox]').checked", timeout=10_000
    )
    assert page.scale("flux").get_attribute("aria-valuetext").strip() == "31"
    page.page.wait_for_timeout(500)
    shown = page.pixels(1)
    page.page.keyboard.press("Control+s")
    page.page.wait_for_timeout(1500)
    page.page.reload()
    page.ready()
    assert page.pixels(1) == shown
    assert page.scale("flux").get_attribute("aria-valuetext").strip() == "31"
