"""Four panels for every eye and hand: axe-core in a real JupyterLab, contrast, Tab, simulated color vision.

Of a panel within JupyterLab axe-core's own rule of contrast looks at two or three texts only, so that all are
looked at here. What is written on a canvas, or in white over a picture, is beyond both.
"""

import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from skimage.color import rgb2lab

from galnb.figures import DENSITY
from galnb.journals import OKABE_ITO
from tests.test_browser import ROOT, Explorer, browser, panel, server

assert browser and server  # the fixtures of the other file
WIDGETS = ROOT / "galnb" / "widgets"
PANELS = ("explore", "imagine", "hunt", "confront")
CELL = f"""import sys, tempfile
sys.path.insert(0, {str(ROOT)!r})
import galnb
from galnb.encoding import encode
from tests.imaginary import model, survey
from tests.test_anomalies import IMAGES, LATENTS, MODEL, SCORES
from tests.test_likelihood_panel import comparison

images, network, votes = survey(60), model("mvae"), tempfile.mkdtemp() + "/votes.jsonl"
explorer = galnb.explore(encode(images, network), images, network, height=460)
explorer.selection = ("g001", "g002", "g003")
sampler = galnb.imagine(network, images, n=4)
hunt = galnb.hunt(LATENTS, IMAGES, MODEL, scores=SCORES, votes=votes, per_page=10)
likelihood = galnb.confront(comparison(), seed=1)
for one in (explorer, sampler, hunt, likelihood):
    display(one)"""
AXE = """async (panel) => {
    const rules = { runOnly: ["wcag2a", "wcag2aa"] };
    const found = await axe.run(document.querySelectorAll(".galnb-panel")[panel], rules);
    const words = ({ id, impact, nodes }) => nodes.map((one) => `${impact} ${id}: ${one.failureSummary}`);
    return { violations: found.violations.flatMap(words), passes: found.passes.map((one) => one.id) };
}"""
# texts whose color is too near to that of what lies under them (WCAG 2.1, 1.4.3), and how many there are
CONTRAST = """(panel) => {
    const parse = (color) => (color.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const alpha = (c) => c[3] ?? 1;
    const over = (c, under, a = alpha(c)) => under.map((v, k) => a * c[k] + (1 - a) * v);
    const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
    const up = (e) => (e ? [e, ...up(e.parentElement)] : []);
    const ground = (e) => up(e).map((one) => parse(getComputedStyle(one).backgroundColor))
        .reverse().reduce((under, c) => over(c, under), [255, 255, 255]);
    const root = document.querySelectorAll(".galnb-panel")[panel];
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const low = [];
    let n = 0;
    while (texts.nextNode()) {
        const e = texts.currentNode.parentElement, style = getComputedStyle(e);
        const text = texts.currentNode.textContent.trim();
        if (!text || !e.checkVisibility({ visibilityProperty: true })) continue;
        if (e.closest(":disabled, option, style, svg, .galnb-sr") || style.textShadow !== "none") continue;
        const under = ground(e), size = parseFloat(style.fontSize);
        const faded = up(e).reduce((a, one) => a * Number(getComputedStyle(one).opacity), 1);
        const color = parse(style.color);
        const [a, b] = [light(over(color, under, alpha(color) * faded)), light(under)].sort((x, y) => y - x);
        const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
        const ratio = (a + 0.05) / (b + 0.05);
        n += 1;
        if (ratio < wanted) low.push(`${ratio.toFixed(2)} ${e.className}: ${text}`);
    }
    return { low, n };
}"""
# what a hand can act on, and how each looks without the focus
CONTROLS = """(panel) => {
    const all = "button, select, input, textarea, a[href], [role=application], [role=slider], [tabindex]";
    document.activeElement.blur();
    const style = getComputedStyle;
    window.look = (e) => `${style(e).outline} ${style(e).boxShadow}`;
    window.controls = [...document.querySelectorAll(".galnb-panel")[panel].querySelectorAll(all)].filter(
        (e) => !e.disabled && e.checkVisibility({ visibilityProperty: true }));
    window.plain = controls.map(look);
    return controls.map((e) => e.outerHTML.slice(0, 200));
}"""
# which of them has the focus (-1: none), and whether one sees it
FOCUS = """() => {
    const [e, k] = [document.activeElement, controls.indexOf(document.activeElement)];
    return [k, k >= 0 && e.matches(":focus-visible") && look(e) !== plain[k]];
}"""


class Page(Explorer):
    def ready(self):
        """All four panels stand, each with one galaxy looked at."""
        for wall in (".galnb-wall", ".galnb-samples", ".galnb-rank", ".galnb-stamps"):
            self.page.locator(f"{wall} button").first.click()
        self.page.wait_for_selector(".galnb-decoder img, .galnb-decoder canvas")
        self.page.wait_for_selector(".galnb-pictured")
        self.page.wait_for_selector(".galnb-heat td")
        self.page.wait_for_function("() => !document.querySelector('.galnb-panel .galnb-dim')")
        self.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))

    def press(self, key):
        """What `FOCUS` tells after a key."""
        self.page.keyboard.press(key)
        return self.page.evaluate(FOCUS)


@pytest.fixture(scope="module")
def page(browser, server):
    with panel(Page, browser, server, CELL) as opened:
        yield opened


@pytest.fixture(scope="module")
def dark(page):
    page.page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.page.get_by_text("Theme", exact=True).hover()
    page.page.get_by_text("JupyterLab Dark", exact=True).click()
    page.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    page.page.wait_for_timeout(1500)
    return page


def check(page, name):
    found = page.page.evaluate(AXE, PANELS.index(name))
    assert {"button-name", "select-name"} <= set(found["passes"])
    assert found["violations"] == []
    told = page.page.evaluate(CONTRAST, PANELS.index(name))
    assert told["n"] > 10 and told["low"] == []


@pytest.mark.browser
@pytest.mark.parametrize("name", PANELS)
def test_axe_finds_no_violation(page, name):
    check(page, name)


@pytest.mark.browser
@pytest.mark.parametrize("name", PANELS)
def test_tab_and_arrow_keys_reach_every_control_and_one_sees_where_one_is(page, name):
    controls = page.page.evaluate(CONTROLS, PANELS.index(name))
    page.page.evaluate("controls[0].focus()")
    page.press("Shift+Tab")
    seen = {}
    for _ in range(2 * len(controls)):
        k, visible = page.press("Tab")
        if k < 0 and seen:
            break
        seen[k] = visible
    for k in range(1, len(controls)):  # of a wall, Tab reaches one galaxy, arrow keys the others
        if k not in seen and page.page.evaluate("k => controls[k].tabIndex === -1", k):
            page.page.evaluate("k => controls[k].focus()", k - 1)
            now, visible = page.press("ArrowRight")
            seen[now] = visible
    assert [controls[k] for k in range(len(controls)) if k not in seen] == []
    assert [controls[k] for k, visible in seen.items() if k >= 0 and not visible] == []


@pytest.mark.browser
def test_a_text_that_is_too_pale_is_found(page):
    style = page.page.add_style_tag(content=".galnb-panel .galnb-faint { color: #bbb !important; }")
    pale = page.page.evaluate(CONTRAST, PANELS.index("confront"))["low"]
    style.evaluate("(one) => one.remove()")
    assert len(pale) > 3 and all(1.5 < float(one.split()[0]) < 2.5 for one in pale)


@pytest.mark.browser
@pytest.mark.parametrize("name", PANELS)
def test_axe_finds_no_violation_in_the_dark_theme(dark, name):
    check(dark, name)


def test_no_panel_styles_what_another_one_styles_too():
    """Panels share a page: a class that two of them style is styled only within its panel."""
    owners = {}
    for file in WIDGETS.glob("*.css"):
        for selectors in re.findall(r"([^{}]+)\{", file.read_text(encoding="utf-8")):
            selectors = re.sub(r":not\([^()]*\)", "", selectors)
            for name in re.findall(r"(?:^|,)\s*(\.galnb-[\w-]+)(?![\w-])(?!:has)", selectors):
                owners.setdefault(name, set()).add(file.name)
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}


# Machado, Oliveira & Fernandes 2009, table 1, severity 1: on linear light
VISIONS = {
    "usual": np.eye(3),
    "protanopia": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deuteranopia": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
    "tritanopia": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ],
}


def seen(colors, vision):
    """Colors (#rrggbb) as CIELAB (n, 3), to an eye of this vision."""
    rgb = np.array([[int(color[k : k + 2], 16) for k in (1, 3, 5)] for color in colors]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(VISIONS[vision]), 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def palettes(file):
    """Lists of colors in a JavaScript file, by name."""
    text = (WIDGETS / file).read_text(encoding="utf-8")
    found = re.findall(r"(\w+)(?: =|:) \[([^\]]*#[^\]]*)\]", text)
    return {name: re.findall(r"#\w{6}\b", colors) for name, colors in found}


def test_both_languages_have_the_same_colors():
    found = palettes("palettes.js")
    assert tuple(found["OKABE_ITO"][: len(OKABE_ITO)]) == OKABE_ITO
    assert tuple(found["ink"]) == DENSITY


@pytest.mark.parametrize("vision", VISIONS)
def test_categories_are_told_apart_with_any_color_vision(vision):
    lab = seen(OKABE_ITO, vision)
    apart = [np.linalg.norm(a - b) for a, b in combinations(lab, 2)]
    assert min(apart) > 9  # 2.3 is just noticeable; green and grey in deuteranopia are 9.7 apart


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("name", ["ink", "glow", "cividis", "viridis", "magma"])
def test_more_is_darker_or_lighter_all_the_way_with_any_color_vision(name, vision):
    steps = np.diff(seen(palettes("palettes.js")[name], vision)[:, 0])
    assert (np.abs(steps) > 5).all() and len(set(np.sign(steps))) == 1


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_below_and_above_zero_are_told_apart_with_any_color_vision(theme, vision):
    lab = seen(palettes("pixels.js")[theme], vision)
    steps, half = np.diff(lab[:, 0]), len(lab) // 2
    assert len(set(np.sign(steps[: half - 1]))) == len(set(np.sign(steps[half:]))) == 1
    assert np.linalg.norm(lab[:half] - lab[::-1][:half], axis=1).min() > 9
