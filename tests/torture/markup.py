"""Three hundred payloads of markup in every string that a widget is sent, and in every page that is kept.

What panels truly send is recorded, and sent again to a real browser with its strings replaced. Nothing may
run, no element may come of it, and no request may leave the page.
"""

from __future__ import annotations

import base64
import html
import itertools
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from .workers import Row

VECTORS = (
    "<script>{hit}</script>",
    "<img src=x onerror={hit}>",
    '<img src="{away}">',
    "<svg onload={hit}></svg>",
    "<svg><script>{hit}</script></svg>",
    "<svg><animate onbegin={hit} attributeName=x dur=1s></svg>",
    "<iframe srcdoc='<script>parent.{hit}</script>'></iframe>",
    "<iframe src='javascript:parent.{hit}'></iframe>",
    "<a href='javascript:{hit}' autofocus onfocus={hit}>x</a>",
    "<input autofocus onfocus={hit}>",
    "<details open ontoggle={hit}>x</details>",
    "<video src=x onerror={hit}></video>",
    "<body onload={hit}>",
    "<style>@import '{away}';</style>",
    "<link rel=stylesheet href='{away}'>",
    "<meta http-equiv=refresh content='0;url={away}'>",
    "<base href='{away}'>",
    "<object data='{away}'></object>",
    "<form action='{away}'><button autofocus>x</button></form>",
    "<math><mtext><img src=x onerror={hit}></mtext></math>",
    "<template><img src=x onerror={hit}></template>",
    "<x style='background:url({away})'>x</x>",
    "javascript:{hit}",
    "data:text/html,<script>{hit}</script>",
    "${{{hit}}}`${{{hit}}}`",
    "{{{{constructor.constructor('{hit}')()}}}}",
    "$$\\href{{javascript:{hit}}}{{x}}$$",
    "[x](javascript:{hit})",
    "');{hit};//",
    "url({away})",
)
WRAPS = (
    "{}",
    '">{}',
    "'>{}",
    "--></style></script></title></textarea>{}",
    "]]>{}",
    "a\x00{}\u2028\u202e",
    "\ufeff{}\n",
    "&lt;{}&#62;",
    "<<b>{}",
    "<!--{}",
)
PAYLOADS = [
    wrap.format(vector.format(hit=f"hit({k})", away="http://192.0.2.1/x"))
    for k, (vector, wrap) in enumerate(itertools.product(VECTORS, WRAPS))
]
COUNTS = {"widgets": 300, "pages": 300}
PAGES = "pages that are kept"
OWN = {"t", "maps"}  # a message's kind, and which maps it brings: no survey has a say in them
# the front end of one widget, as in Jupyter, and what stands in its place afterwards
DRAW = """async ([esm, state, heard]) => {
    const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
    window.known ??= {};
    const widget = (await (known[esm] ??= import(url))).default;
    const listeners = [], el = document.body.appendChild(document.createElement("div"));
    const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
    const model = { get: (name) => state[name], set() {}, save_changes() {}, send() {}, off() {},
                    on: (name, listener) => name === "msg:custom" && listeners.push(listener) };
    let broken = 0;
    const tryTo = async (what) => { try { await what(); } catch { broken += 1; } };
    await tryTo(() => widget.render({ model, el }));
    for (const [message, buffers] of heard)
        for (const hear of listeners) await tryTo(() => hear(message, buffers.map(bytes)));
    await new Promise((done) => setTimeout(done, 5));
    return [el.textContent.length, broken];
}"""
LIVE = """() => {
    const bad = [], never = "script, iframe, object, embed, base, meta, link, form, math, template, animate";
    for (const e of document.body.querySelectorAll("*")) {
        if (e.matches(never)) bad.push(`<${e.localName}>`);
        for (const { name, value } of e.attributes)
            if (name.startsWith("on") || (/^\\s*javascript:/i.test(value) && !["title", "alt"].includes(name)
                && !name.startsWith("aria-") && !name.startsWith("data-") && name !== "value"))
                bad.push(`${e.localName} ${name}=${value}`);
    }
    return [bad.slice(0, 3), window.hits.splice(0)];
}"""


def recorded() -> list[tuple[str, str, list]]:
    """Each part of each panel: its name, its module, and messages with their buffers, as it sent them."""
    import ipywidgets.widgets.widget as widgets

    import galnb
    from galnb.encoding import encode
    from tests.imaginary import model, survey
    from tests.test_anomalies import IMAGES, LATENTS, MODEL, SCORES
    from tests.test_likelihood_panel import comparison

    before, images, network = set(widgets._instances), survey(30), model("mvae")
    latents = encode(images, network)
    votes = f"{tempfile.mkdtemp()}/votes.jsonl"
    panels = [
        galnb.explore(latents, images, network),
        galnb.widgets.Similarity(latents, images, network, k=4),
        galnb.imagine(network, images, n=4),
        galnb.hunt(LATENTS, IMAGES, MODEL, scores=SCORES, votes=votes, per_page=5),
        galnb.weigh(latents, images, network),
        galnb.bend(latents),
        galnb.confront(comparison(), seed=1),
    ]
    made = [one for key, one in widgets._instances.items() if key not in before and getattr(one, "hears", ())]
    heard = {part.model_id: [] for part in made}
    for part in made:
        part.send = lambda message, buffers=None, key=part.model_id: heard[key].append(
            [message, [base64.b64encode(bytes(data)).decode() for data in buffers or []]]
        )
    view = {"t": "view", "seq": 1, "client": "a", "view": None, "w": 120, "h": 90, "dpr": 1}
    for part in made:
        for message in ({"t": "hello"}, view, {"t": "no such thing"}):  # the last is answered with a problem
            part._handle_custom_msg(message, [])
    for panel in panels:
        panel.session.pick_row(0)
        panel.selection = panel.session.latents.id[:3]
        panel.worker.wait()
    return [(type(part).__name__, part._esm, heard[part.model_id]) for part in made]


def spoiled(value, payloads: Iterator[str], rng: np.random.Generator, put: dict[str, str], name: str = ""):
    """A message with most of its strings replaced, but not those that galnb alone chooses.

    `put` keeps what stands for each, so that a set, a band or a galaxy has one name in all messages, as a
    hostile survey would give it: a panel that could not find a name again would draw nothing.
    """
    if isinstance(value, dict):
        return {key: spoiled(inner, payloads, rng, put, key) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [spoiled(inner, payloads, rng, put, name) for inner in value]
    if not isinstance(value, str) or name in OWN:
        return value
    if value not in put:  # where no word is, one may hide all else, such as what is missing
        put[value] = next(payloads) if rng.random() < (0.7 if value else 0.1) else value
    return put[value]


class Watched:
    """A page in a real browser that notes what runs and what it asks for."""

    def __init__(self, playwright, chromium: str):
        self.page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        self.asked, self.dialogs = [], []
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.route("**/*", self._route)
        self.page.add_init_script("window.hits = []; window.hit = (k) => hits.push(k);")
        self.page.goto("about:blank")

    def _route(self, route) -> None:
        if not route.request.url.startswith(("data:", "blob:", "about:")):
            self.asked.append(route.request.url)
        route.abort()

    def faults(self, where: str) -> list[str]:
        """What ran, became an element, or was asked for since the last time."""
        bad, hits = self.page.evaluate(LIVE)
        found = [f"{where}: {what}" for what in [*bad, *(f"ran: {PAYLOADS[k]}" for k in hits)]]
        found += [f"{where}: {what}" for what in [*self.asked, *self.dialogs]]
        self.asked.clear(), self.dialogs.clear()
        return found


def tortured(chosen) -> Iterator[Row]:
    """A row a part of a panel, and one of kept pages."""
    import shutil

    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no chromium on this machine: apt-get install chromium")
    rounds = min(chosen.count or COUNTS["widgets"], COUNTS["widgets"])
    with sync_playwright() as playwright:
        watched = Watched(playwright, chromium)
        for name, esm, heard in recorded():
            if not chosen.kind or chosen.kind in f"widget: {name}":
                yield widget_row(watched, name, esm, heard, rounds, chosen.seed)
        if not chosen.kind or chosen.kind in PAGES:
            yield page_row(watched)


def widget_row(watched: Watched, name: str, esm: str, heard: list, rounds: int, seed: int) -> Row:
    row, rng, begun = Row(f"widget: {name}"), np.random.default_rng(seed), time.perf_counter()
    payloads = itertools.cycle(PAYLOADS)
    for _ in range(rounds):
        put: dict[str, str] = {}
        message = [[spoiled(one, payloads, rng, put), buffers] for one, buffers in heard]
        text, broken = watched.page.evaluate(DRAW, [esm, {"height": 300}, message])
        row.tried += 1
        row.clean += text > 0 and not broken
        row.by["front end gave up on"] += bool(broken)
        row.faults += watched.faults(row.kind)
        watched.page.evaluate("() => document.body.replaceChildren()")
    row.seconds = time.perf_counter() - begun
    return row


def page_row(watched: Watched) -> Row:
    """The still view of an explorer, its table and its reports, of a survey made of payloads alone."""
    from astropy.table import Table

    import galnb
    from tests.imaginary import model, survey

    row, begun = Row(PAGES), time.perf_counter()
    images, network = survey(len(PAYLOADS)), model("mvae")
    latents = galnb.encode(images, network)
    columns = {text: latents.z[:, 0] for text in PAYLOADS[::30]} | {"note": PAYLOADS}
    named = galnb.Latents([f"{text} {k}" for k, text in enumerate(PAYLOADS)], latents.z, Table(columns))
    pictures = galnb.Images(images.pixels, named.id, images.bands)
    explorer = galnb.explore(named, pictures, network, color=PAYLOADS[30])
    for start in range(0, len(PAYLOADS), 10):
        explorer.selection = named.id[start : start + 10]
        pages = [explorer.still_bundle()[0].get("text/html", ""), explorer.selection_table()._repr_html_()]
        pages.append(f"<pre>{html.escape(repr(explorer.selection))}</pre>")
        for page in pages:
            watched.page.set_content(page)
            row.tried += 1
            row.clean += bool(page)
            row.faults += watched.faults(row.kind)
    row.seconds = time.perf_counter() - begun
    return row
