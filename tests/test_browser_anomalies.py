"""The anomaly workbench in a real browser: votes by key, lambda, a kernel that restarts, files out and in."""

import csv
import io
import os

import pytest

from tests.test_browser import ROOT, Explorer, browser, panel, server

pytestmark = pytest.mark.browser
assert browser and server  # the fixtures of the other file
CELLS = """import os
os.environ["GALNB_VOTES"] = {folder!r}
import galnb
import numpy as np
from galnb import anomaly

images, latents, model = galnb.default_survey(progress=False)
scores = anomaly.table(latents, images, model, kinds=("mahalanobis", "forest"))
misses = anomaly.residual_maps(images, model)
scores["G"] = np.sqrt(misses.mean(axis=(1, 2, 3)))
scores["C"] = np.sqrt(misses.max(axis=(1, 2, 3)))
scores.remove_column("ensemble")
panel = galnb.hunt(latents, images, model, scores=scores)
panel"""
STATUS = ".galnb-hunt [role=toolbar] > [role=status]"


class Hunt(Explorer):
    def ready(self):
        self.page.wait_for_selector(".galnb-hunt .galnb-rank img")
        self.page.wait_for_function(f"() => document.querySelector('{STATUS}').textContent === ''")
        self.page.wait_for_selector(".galnb-heat td")

    def wall(self):
        """Ids of the page, as they are shown."""
        titles = self.page.locator(".galnb-face").evaluate_all("all => all.map(e => e.title)")
        return [title.split(",")[0] for title in titles]

    def first(self):
        self.page.locator(".galnb-face").first.click()
        self.page.wait_for_function("() => document.querySelector('.galnb-rank').dataset.current === ''")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def order(self, name):
        """Order the wall by a score, and wait for it."""
        before = self.page.locator(".galnb-hunt").get_attribute("data-pages")
        self.page.get_by_label("Order the wall by", exact=True).select_option(name)
        self.page.wait_for_function(
            "was => document.querySelector('.galnb-hunt').dataset.pages > Number(was)", arg=before
        )

    def votes(self, good):
        """All votes by id, once they are as they should be."""
        return self.until("{id: panel.votes.get(id) for id in panel.votes}", good)


@pytest.fixture(scope="module")
def page(browser, server, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("votes"))
    with panel(Hunt, browser, server, CELLS.format(folder=folder)) as opened:
        opened.folder = folder
        yield opened
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_one_key_votes_and_the_next_galaxy_is_picked(page):
    wall = page.wall()
    assert wall == page.ask("[str(id) for id in panel.ranked['id'][:24]]")
    page.first()
    page.press("i", "o", "a", "i")  # as quick as keys can be
    voted = page.votes(lambda votes: len(votes) == 4)
    assert voted == dict(zip(wall, ("interesting", "ordinary", "artefact", "interesting"), strict=False))
    assert page.until("panel.session.picked", lambda id: id == wall[4])
    assert page.wall() == wall
    badges = page.page.locator(".galnb-badge")
    assert badges.all_inner_texts() == ["★", "○", "✕", "★"]
    words = page.page.locator(".galnb-clean [role=status]")
    count = page.ask("panel.bench.in_top(50)")
    page.page.wait_for_function(
        "() => /of the first 50/.test(document.querySelector('.galnb-clean').textContent)"
    )
    assert words.inner_text().startswith(f"{count} of the first 50")


def test_undo_and_redo_by_key_and_by_button(page):
    page.press("u")
    assert len(page.votes(lambda votes: len(votes) == 3)) == 3
    assert page.until("panel.session.picked", lambda id: id == page.wall()[3])
    page.press("y")
    page.votes(lambda votes: len(votes) == 4)
    page.page.get_by_role("button", name="Undo").click()
    page.votes(lambda votes: len(votes) == 3)
    page.page.get_by_role("button", name="Redo").click()
    page.votes(lambda votes: len(votes) == 4)


def test_a_note_is_typed_without_voting_and_goes_out_with_the_votes(page):
    wall, before = page.wall(), page.votes(lambda votes: len(votes) == 4)
    page.first()
    note = page.page.get_by_label("Note on this galaxy")
    stored = f"panel.votes.note({wall[0]!r})"
    page.page.wait_for_function("() => !document.querySelector('.galnb-own-note').disabled")
    page.press("n")
    page.page.keyboard.type("a <b>bio</b> nucleus? o, i, a")
    page.press("Escape")
    assert note.input_value() == "" and page.ask(stored) == ""
    page.press("n")
    page.page.keyboard.type("two nuclei, or a tail of its own")
    page.press("Enter")
    assert page.until(stored, lambda text: text != "") == "two nuclei, or a tail of its own"
    assert page.votes(lambda votes: True) == before and page.wall() == wall
    page.press("a")  # the wall has the keys again, and another vote leaves the note
    page.votes(lambda votes: votes[wall[0]] == "artefact")
    assert page.ask(stored).startswith("two nuclei")
    page.press("u")
    page.votes(lambda votes: votes == before)
    page.page.wait_for_function(
        "() => document.querySelector('.galnb-own-note').value.startsWith('two nuclei')"
    )
    page.page.get_by_label("What to save").select_option("votes")
    for kind in ("CSV", "VOT"):
        with page.page.expect_download() as waiting:
            page.page.get_by_role("button", name=kind, exact=True).click()
        with open(waiting.value.path(), "rb") as file:
            assert b"two nuclei, or a tail of its own" in file.read()


def test_a_note_before_the_vote_is_kept_with_it(page):
    wall = page.wall()
    page.page.locator(".galnb-face").nth(6).click()
    page.page.wait_for_function(
        "row => document.querySelector('.galnb-hunt').dataset.galaxy === row",
        arg=page.page.locator(".galnb-rank").nth(6).get_attribute("data-row"),
    )
    page.press("n")
    page.page.keyboard.type("a ring")
    page.press("Enter", "o")
    assert page.votes(lambda votes: votes.get(wall[6]) == "ordinary")
    assert page.ask(f"panel.votes.note({wall[6]!r})") == "a ring"
    page.press("u")
    page.votes(lambda votes: len(votes) == 4)


def test_arrows_move_and_pages_turn(page):
    wall = page.wall()
    page.first()
    page.press("ArrowRight", "ArrowDown")
    assert page.until("panel.session.picked", lambda id: id == wall[7])
    page.page.wait_for_function(
        "() => document.querySelector('.galnb-detail .galnb-title').textContent !== ''"
    )
    page.press("PageDown")
    second = page.ask("[str(id) for id in panel.ranked['id'][24:48]]")
    page.page.wait_for_function(
        "id => document.querySelector('.galnb-face').title.startsWith(id)", arg=second[0]
    )
    assert page.wall() == second
    assert page.until("panel.session.picked", lambda id: id == second[0])
    page.press("PageUp")
    page.page.wait_for_function(
        "id => document.querySelector('.galnb-face').title.startsWith(id)", arg=wall[0]
    )


def test_the_slider_of_lambda_ranks_the_wall_anew(page):
    page.order("AS")
    slider = page.page.get_by_label("λ, the weight of G in AS")
    walls, took = {}, []
    for key, share in (("Home", 0.0), ("End", 1.0)):
        slider.press(key)
        page.until("panel.share", lambda value, share=share: value == share)
        page.page.wait_for_timeout(700)
        walls[share] = page.wall()
        took.append(float(page.page.locator(".galnb-hunt").get_attribute("data-ms")))
        assert walls[share] == page.ask("[str(id) for id in panel.ranked['id'][:24]]")
    assert walls[0.0] != walls[1.0]
    by_g = page.ask(
        "[str(id) for id in np.asarray(latents.id)[np.argsort(-panel.scores['G'], kind='stable')[:24]]]"
    )
    assert walls[1.0] == by_g
    assert min(took) < 2000
    page.page.keyboard.press("Home")
    for _ in range(70):
        page.press("ArrowRight")
    assert abs(page.until("panel.share", lambda value: abs(value - 0.7) < 1e-9) - 0.7) < 1e-9


def test_the_map_says_where_a_score_comes_from(page):
    page.order("reconstruction")
    page.page.get_by_text("Where reconstruction comes from").wait_for()
    labels = page.page.locator(".galnb-detail figcaption").all_inner_texts()
    assert [label.split("\n")[0] for label in labels][:3] == ["Galaxy", "Reconstruction", "Residual"]
    page.page.wait_for_timeout(1000)
    if os.environ.get("GALNB_PICTURES"):
        page.page.locator(".galnb-hunt").evaluate("e => e.closest('.jp-OutputArea-child').scrollIntoView()")
        page.page.wait_for_timeout(500)
        page.page.locator(".galnb-panel").first.screenshot(path=ROOT / "docs" / "anomalies.png")
    page.order("mahalanobis")
    page.page.get_by_text("No map for this score: mahalanobis").wait_for()


def test_votes_make_an_order_that_waits_for_the_hand(page):
    page.order("my votes")
    wall = page.wall()
    page.first()
    page.press("o", "o", "o", "o", "o")
    page.votes(lambda votes: len(votes) >= 5)
    again = page.page.get_by_role("button", name="Re-rank")
    page.page.wait_for_function("() => /new/.test(document.querySelector('.galnb-toolbar').textContent)")
    assert page.wall() == wall and again.is_enabled()
    page.press("r")
    page.page.wait_for_function("() => !/new/.test(document.querySelector('.galnb-toolbar').textContent)")
    assert page.wall() != wall
    assert page.wall()[:24] == page.ask(
        "[str(id) for id in panel.ranked['id'][panel.bench.start:panel.bench.start + 24]]"
    )
    assert "nearest" in page.page.locator(".galnb-because").inner_text()


def test_a_kernel_that_restarts_loses_no_vote(page):
    before = page.votes(lambda votes: len(votes) >= 5)
    page.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.page.get_by_text("Restart Kernel and Run All Cells…", exact=True).click()
    page.page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.page.wait_for_selector(".galnb-hunt", state="detached")
    page.ready()
    assert page.votes(lambda votes: bool(votes)) == before
    assert page.page.locator(".galnb-tally").inner_text().split()[1] == str(
        sum(vote == "interesting" for vote in before.values())
    )
    page.page.get_by_role("button", name="Undo").click()  # also what was voted before can be taken back
    page.votes(lambda votes: votes != before)
    page.page.get_by_role("button", name="Redo").click()
    assert page.votes(lambda votes: votes == before) == before


def test_votes_go_out_as_a_file_and_come_in_again(page):
    before = page.votes(lambda votes: len(votes) >= 5)
    page.page.get_by_label("What to save").select_option("votes")
    with page.page.expect_download() as waiting:
        page.page.get_by_role("button", name="CSV").click()
    with open(waiting.value.path(), newline="") as file:
        data = file.read()
    assert {row["id"]: row["vote"] for row in csv.DictReader(io.StringIO(data))} == before
    page.ask("[panel.votes.clear(id) for id in list(panel.votes)]")
    page.page.wait_for_function("() => !document.querySelector('.galnb-badge')")
    rows = list(csv.DictReader(io.StringIO(data)))
    newer = io.StringIO()  # as of somebody who voted later: of two votes the newer one counts
    writer = csv.DictWriter(newer, rows[0])
    writer.writeheader()
    writer.writerows([row | {"time": "2100-01-01T00:00:00Z"} for row in rows])
    page.page.get_by_label("A file of votes").set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": newer.getvalue().encode()}
    )
    assert page.votes(lambda votes: len(votes) == len(before)) == before
    page.page.wait_for_function(
        f"() => /votes taken over/.test(document.querySelector('{STATUS}').textContent)"
    )


def test_ranks_and_the_wall_are_saved(page):
    for what, name, start in (("ranked", "CSV", b"id,rank,score,sigma,vote"), ("wall", "PNG", b"\x89PNG")):
        page.page.get_by_label("What to save").select_option(what)
        with page.page.expect_download() as waiting:
            page.page.get_by_role("button", name=name).click()
        with open(waiting.value.path(), "rb") as file:
            assert file.read().startswith(start)


def test_keys_are_shown_and_an_error_is_in_place(page):
    page.page.locator(".galnb-face").first.press("?")
    assert page.page.get_by_role("dialog", name="Keys").is_visible()
    page.press("Escape")
    assert not page.page.get_by_role("dialog", name="Keys").is_visible()
    page.page.get_by_label("A file of votes").set_input_files(
        {"name": "<b>x</b>.csv", "mimeType": "text/csv", "buffer": b"colour\nred\n"}
    )
    problem = page.page.locator(".galnb-hunt .galnb-problem")
    problem.wait_for(state="visible")
    problem.click()
    assert not problem.is_visible()
