// The anomaly workbench: a ranked wall at the left, the galaxy that is picked at the right, votes by one key each.

const KEYS = [
  ["I, O, A", "vote interesting, ordinary or artefact; then the next galaxy"],
  ["C", "take the vote on this galaxy away"],
  ["N", "to the note on this galaxy: Enter stores it, Escape leaves it as it was"],
  ["U, Y", "undo, redo a vote"],
  ["Arrow keys", "to another galaxy of the wall"],
  ["Page Up, Page Down", "to another page of the wall"],
  ["R", "rank anew, with all votes"],
  ["G", "go to the picked galaxy's place in the wall"],
  ["L", "to the slider of λ, where galaxies are ordered by AS"],
  ["?", "these keys"],
];
const CHOICES = [["interesting", "I"], ["ordinary", "O"], ["artefact", "A"]];
const BY_VOTES = new Set(["not voted", "interesting", "ordinary", "artefact"]);
const TILES = 600;

function render({ model, el }) {
  el.classList.add("galnb-gallery", "galnb-hunt");
  keepKeys(el);
  const here = { page: null, picked: -1, seq: 0, marks: {}, flags: {}, tiles: new Map(), share: { seq: 0, under: 0, wanted: false }, state: {} };
  const send = (t, more = {}, buffers) => model.send({ t, ...more }, undefined, buffers);
  const button = (label, words, act, more = {}) => make("button", { type: "button", title: words, onclick: act, ...more }, label);
  const group = (...children) => make("span", { class: "galnb-group" }, ...children);
  const select = (words, act, ...options) => make("select", { "aria-label": words, title: words, onchange: (event) => act(event.target.value) }, ...options);
  const option = (name, words = name) => make("option", { value: name }, words);
  const choose = (element, names, value, words = {}) => {
    if ([...element.options].map((one) => one.value).join("\n") !== names.join("\n")) element.replaceChildren(...names.map((name) => option(name, words[name])));
    element.value = value;
  };

  // above
  const order = select("Order the wall by", (name) => send("order", { order: name, first: true }));
  const lambda = make("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "λ, the weight of G in AS", oninput: () => blend() });
  const value = make("output", {});
  const tip = "AS = λ G + (1 − λ) C, each in σ: 1 is pixels alone, 0 features alone. The λ of Storey-Fisher+2021 is the mirror image: their 0.3 is 0.7 here.";
  const slider = make("label", { class: "galnb-lambda", title: tip, hidden: true }, make("span", {}, "features"), lambda, make("span", {}, "pixels"), value);
  const show = select("Show", (name) => send("show", { show: name }));
  const again = button("Re-rank", "Put the wall in order anew, with all votes (R)", () => send("rerank"));
  const help = button("?", "Keys (?)", () => showKeys(), { "aria-label": "Keys" });
  const status = make("span", { class: "galnb-faint", role: "status", "aria-live": "polite" });
  const bar = make("div", { class: "galnb-toolbar", role: "toolbar", "aria-label": "Anomaly tools" },
    make("label", {}, "Order by", order), slider, make("label", {}, "Show", show), group(again), group(help), status);
  // left
  const first = make("span", { class: "galnb-title" });
  const place = make("span", { class: "galnb-faint" });
  const before = button("‹", "Previous page (Page Up)", () => turn(-1), { "aria-label": "Previous page" });
  const after = button("›", "Next page (Page Down)", () => turn(1), { "aria-label": "Next page" });
  const wall = make("div", { class: "galnb-ranks", role: "group", "aria-label": "Galaxies in order" });
  const rule = make("div", { class: "galnb-note" });
  const top = select("How many of the first", (k) => send("top", { k: Number(k) }), ...[20, 50, 100, 500, 1000].map((k) => option(k)));
  const clean = make("span", { role: "status" });
  const tally = make("div", { class: "galnb-tally" });
  const left = make("div", { class: "galnb-left" }, make("div", { class: "galnb-head" }, first, place, before, after), wall, rule,
    tally, make("div", { class: "galnb-clean" }, clean, make("label", { class: "galnb-faint" }, "first", top)));
  // right
  const title = make("span", { class: "galnb-title" });
  const ranked = make("button", { type: "button", class: "galnb-link", title: "Go to its place in the wall (G)", onclick: () => send("bring", { row: here.picked }) });
  const about = make("div", { class: "galnb-note galnb-about" });
  const faces = make("div", { class: "galnb-row" });
  const words = make("div", { class: "galnb-note" });
  const flagged = make("div", { class: "galnb-flagged" });
  const because = make("div", { class: "galnb-because", hidden: true });
  const votes = CHOICES.map(([name, key]) => button(`${SIGNS[name]} ${name[0].toUpperCase()}${name.slice(1)} (${key})`, `Vote ${name} (${key}), then the next galaxy`, () => vote(name), { "data-choice": name, "aria-pressed": "false", "aria-keyshortcuts": key }));
  const undo = button("Undo", "Take the last vote back (U)", () => send("undo"));
  const redo = button("Redo", "Do it again (Y)", () => send("redo"));
  const voting = make("div", { class: "galnb-voting", role: "group", "aria-label": "Vote" }, group(...votes), group(undo, redo));
  const note = make("input", { type: "text", class: "galnb-own-note", maxlength: 500, placeholder: "Note (N)", disabled: true, "aria-label": "Note on this galaxy", "aria-keyshortcuts": "N", title: "A note on this galaxy, kept and saved with your vote on it (N; Enter stores, Escape leaves)", onblur: () => keepNote() });
  const scores = make("table", { class: "galnb-scores" });
  const plot = make("div", { class: "galnb-distribution" });
  const heat = make("table", { class: "galnb-heat" });
  const heatWords = make("span", { class: "galnb-faint" });
  const agreeing = make("div", { class: "galnb-agreement", hidden: true }, make("div", { class: "galnb-head" }, make("span", { class: "galnb-title" }, "Do scores agree?"), heatWords), heat);
  const right = make("div", { class: "galnb-detail" }, make("div", { class: "galnb-head" }, title, ranked), faces, words, about, voting, note, flagged, because,
    make("div", { class: "galnb-stands" }, scores, plot));
  // below
  const what = select("What to save", () => kinds(), option("ranked", "ranked list"), option("votes"), option("wall", "wall as figure"));
  const files = [".csv", ".vot", ".parquet", ".png"].map((kind) => button(kind.slice(1).toUpperCase(), `Save as ${kind.slice(1)}`, () => send("save", { what: what.value, kind }), { "data-kind": kind }));
  const file = make("input", { type: "file", accept: ".csv,.vot,.parquet", "aria-label": "A file of votes", hidden: true });
  const kept = make("span", { class: "galnb-faint galnb-kept" });
  const actions = make("div", { class: "galnb-actions" }, make("label", {}, "Save", what), group(...files),
    button("Import votes", "Take over votes that were saved here, by you or by others", () => file.click()), file,
    button("Select on the map", "Select these galaxies on the map", () => send("select")), kept);
  const problem = button("", "Dismiss", () => (problem.hidden = true), { class: "galnb-problem", hidden: true, "aria-live": "assertive" });
  const empty = make("div", { class: "galnb-note galnb-empty", role: "status" }, "Scoring galaxies …");
  const missing = make("div", { class: "galnb-note", hidden: true });
  const keys = make("div", { class: "galnb-keys", role: "dialog", "aria-label": "Keys", hidden: true },
    make("dl", {}, ...KEYS.flatMap(([name, does]) => [make("dt", {}, name), make("dd", {}, does)])), button("Close", "Close (Esc)", () => showKeys(false)));
  const body = make("div", { class: "galnb-hunted", hidden: true }, left, right, agreeing, keys);
  el.append(bar, problem, empty, body, actions, missing);

  function kinds() {
    for (const one of files) one.hidden = (one.dataset.kind === ".png") !== (what.value === "wall");
  }
  kinds();
  function showKeys(on = keys.hidden) {
    keys.hidden = !on;
    (on ? keys.querySelector("button") : help).focus({ preventScroll: true });
  }
  const turn = (by) => here.page && send("page", { start: here.page.start + by * here.page.per_page, first: true });
  file.addEventListener("change", async () => {
    const [given] = file.files;
    if (!given) return;
    const kind = given.name.slice(given.name.lastIndexOf(".")).toLowerCase();
    send("import", { kind }, [await given.arrayBuffer()]);
    file.value = "";
  });

  // λ: one question under way, the newest wins.
  function blend() {
    value.textContent = `λ ${Number(lambda.value).toFixed(2)}`;
    here.share.wanted = true;
    if (here.share.under) return;
    Object.assign(here.share, { wanted: false, under: ++here.share.seq, at: performance.now() });
    send("share", { share: Number(lambda.value), seq: here.share.under });
    clearTimeout(here.share.watch);
    here.share.watch = setTimeout(() => answered(here.share.seq), 5000);
  }
  function answered(seq) {
    if (seq < here.share.under || !here.share.under) return;
    clearTimeout(here.share.watch);
    el.dataset.ms = (performance.now() - here.share.at).toFixed(1);
    here.share.under = 0;
    if (here.share.wanted) blend();
  }

  function state(message) {
    here.state = message;
    empty.hidden = message.ready;
    body.hidden = actions.hidden = !message.ready;
    choose(order, message.orders.map((one) => one.name), message.order);
    const why = message.orders.find((one) => one.name === message.order)?.words ?? "";
    slider.hidden = !(message.blends && message.order === "AS");
    if (!here.share.under && !here.share.wanted) lambda.value = message.share;
    value.textContent = `λ ${Number(lambda.value).toFixed(2)}`;
    choose(show, message.shows, message.show, { interesting: "★ interesting", ordinary: "○ ordinary", artefact: "✕ artefact", flagged: "⚑ flagged", selected: "selected on the map" });
    top.value = message.top;
    if (message.busy !== here.busy) status.textContent = message.busy ? `${message.busy} …` : "";
    here.busy = message.busy;
    empty.textContent = message.busy ? `${message.busy} …` : "No scores yet";
    bar.classList.toggle("galnb-working", !!message.busy);
    kept.textContent = `Votes are kept in ${message.file}`;
    kept.title = message.path;
    missing.textContent = `Not given: ${message.missing.join("; ")}.`;
    missing.hidden = !message.missing.length;
    rule.textContent = message.order === VOTED
      ? "The wall stays while you vote. New votes count when you press Re-rank (R), and after the last galaxy of the page."
      : why ? `${message.order}: ${why}.` : "";
  }

  // The wall. Pictures that are there already are not drawn anew, so that nothing flickers.
  function tile(item) {
    const face = make("button", { type: "button", class: "galnb-face", tabindex: "-1", onclick: () => pick(item.row, true) });
    const under = make("div", { class: "galnb-under" }, make("span", {}), make("span", {}));
    const found = { el: make("div", { class: "galnb-rank", "data-row": item.row }, face, under), face, under, bytes: 0 };
    here.tiles.set(item.row, found);
    return found;
  }
  function draw(item, bytes, bar) {
    const one = here.tiles.get(item.row) ?? tile(item);
    one.item = item;
    if (!one.inner || (bytes?.byteLength && !one.bytes)) {
      one.bytes = bytes?.byteLength ?? 0;
      one.inner = one.bytes ? picture(bytes, "") : make("span", {}, item.name);
    }
    one.face.replaceChildren(...[one.inner, bar ? scaleBar(bar) : null].filter(Boolean));
    one.under.firstChild.textContent = counted(item.rank);
    one.under.lastChild.textContent = measured(here.page.order, item.value);
    return one;
  }
  function badge(one) {
    const choice = here.marks[one.item.row] ?? "";
    const flags = here.flags[one.item.row];
    for (const old of one.face.querySelectorAll(".galnb-badge, .galnb-flag")) old.remove();
    if (choice) one.face.append(make("span", { class: "galnb-badge", "data-choice": choice, "aria-hidden": "true" }, SIGNS[choice]));
    if (flags) one.face.append(make("span", { class: "galnb-flag", "aria-hidden": "true" }, "⚑"));
    const said = [`${one.item.name}, rank ${one.item.rank}, ${measured(here.page.order, one.item.value)}`, choice && `voted ${choice}`, flags && `flagged: ${flags.join(", ")}`].filter(Boolean).join("; ");
    one.face.title = said;
    one.face.setAttribute("aria-label", said);
  }
  const shown = () => (here.page?.items ?? []).map((item) => here.tiles.get(item.row));

  function page(message, buffers) {
    const focused = wall.contains(document.activeElement);
    here.page = message;
    if (here.tiles.size > TILES) here.tiles.clear();
    wall.classList.toggle("galnb-names", !buffers.some((bytes) => bytes.byteLength));
    wall.replaceChildren(...message.items.map((item, k) => draw(item, buffers[k], k ? null : message.bar).el));
    shown().forEach(badge);
    const { start, items, total } = message;
    first.textContent = message.order === VOTED ? "Most wanted first" : "Most anomalous first";
    place.textContent = total ? `${counted(start + 1)}–${counted(start + items.length)} of ${counted(total)}` : "";
    if (!total) wall.append(make("div", { class: "galnb-note" }, "No galaxy to show here: choose another one of Show above."));
    before.disabled = start === 0;
    after.disabled = start + items.length >= total;
    if (message.picked >= 0 && here.waiting !== "page") mark(message.picked);
    here.waiting = null;
    if (focused) focus();
    answered(message.share_seq);
    el.dataset.pages = Number(el.dataset.pages ?? 0) + 1;
  }
  function mark(row) {
    here.picked = row;
    const tiles = shown();
    const own = tiles.find((one) => one.item.row === row);
    for (const one of tiles) {
      one.el.toggleAttribute("data-current", one === own);
      one.face.tabIndex = one === (own ?? tiles[0]) ? 0 : -1;
    }
    sayVote(here.marks[row] ?? "");
  }
  function focus() {
    (shown().find((one) => one.item.row === here.picked) ?? shown()[0])?.face.focus({ preventScroll: true });
  }
  function pick(row, tell) {
    mark(row);
    right.classList.add("galnb-dim");
    if (tell) send("pick", { row, seq: ++here.seq });
  }
  function move(by) {
    const tiles = shown();
    const at = tiles.findIndex((one) => one.item.row === here.picked);
    const to = tiles[at < 0 ? 0 : at + by];
    if (!to) return;
    pick(to.item.row, true);
    focus();
  }
  function across() {
    const first = wall.firstChild?.offsetWidth ?? 1;
    return Math.max(1, Math.round(wall.clientWidth / (first + 6)));
  }

  // Votes. What comes next is decided here, so that a quick hand votes on what it sees.
  function vote(choice) {
    const row = here.picked;
    if (row < 0 || here.waiting) return;
    keepNote();
    const tiles = shown();
    const at = tiles.findIndex((one) => one.item.row === row);
    const next = choice === "none" || at < 0 ? null : tiles[at + 1];
    const end = choice !== "none" && at >= 0 && !next && (here.state.order === VOTED || !after.disabled);
    send("vote", { row, choice, seq: ++here.seq, end, next: next ? next.item.row : null });
    here.marks[row] = choice === "none" ? "" : choice;
    if (at >= 0) badge(tiles[at]);
    const held = wall.contains(document.activeElement);
    if (next) pick(next.item.row, false);
    else if (end) here.waiting = "page";
    else sayVote(here.marks[row]);
    if (held) focus();
  }
  // The note belongs to the galaxy that it was begun on, even where another one is picked meanwhile.
  function keepNote() {
    if (here.noted === undefined || note.value === here.noted.text) return;
    here.noted.text = note.value;
    send("note", { row: here.noted.row, text: note.value });
  }
  function sayNote(row, text) {
    if (here.noted?.row === row && note === document.activeElement) return;
    keepNote();
    here.noted = { row, text };
    note.value = text;
    note.disabled = false;
  }
  function sayVote(choice) {
    for (const one of votes) one.setAttribute("aria-pressed", String(one.dataset.choice === choice));
  }
  function voted(message) {
    Object.assign(here.marks, message.marks);
    here.flags = message.flags;
    shown().forEach(badge);
    if (message.picked === here.picked) {
      sayVote(message.vote);
      if (here.noted?.row === here.picked) sayNote(here.picked, message.note);
    }
    undo.disabled = !message.undo;
    redo.disabled = !message.redo;
    const waiting = message.fresh && (here.state.order === VOTED || BY_VOTES.has(here.state.show));
    again.disabled = !waiting;
    again.textContent = waiting ? `Re-rank · ${message.fresh} new` : "Re-rank";
    tally.replaceChildren(...CHOICES.map(([name]) => make("span", {}, make("span", { class: "galnb-sample", "data-choice": name, "aria-hidden": "true" }, SIGNS[name]), ` ${counted(message.counts[name])} ${name}`)));
    const { artefacts: k, top: n } = message;
    clean.textContent = `${counted(k)} of the first ${counted(n)} ${k === 1 ? "is a" : "are"} ${message.flagging ? "flagged or voted" : "voted"} artefact${k === 1 ? "" : "s"}`;
  }

  function galaxy(message, buffers) {
    if (message.seq < here.seq) return;
    if (message.row !== here.picked) {
      mark(message.row);
      if (wall.contains(document.activeElement)) focus(); // else a key would vote on another one than is lit
    }
    here.marks[message.row] = message.vote;
    sayVote(message.vote);
    sayNote(message.row, message.note);
    right.classList.remove("galnb-dim");
    title.textContent = message.name;
    const own = message.scores.find((score) => score.name === message.order);
    ranked.textContent = own?.rank ? `rank ${counted(own.rank)} of ${counted(own.of)} by ${message.order}` : "";
    about.textContent = message.about;
    flagged.textContent = !message.flagging ? "" : message.flags.length ? `⚑ Looks like an artefact: ${message.flags.join(", ")}` : "Not flagged as an artefact";
    flagged.toggleAttribute("data-on", message.flags.length > 0);
    because.hidden = !message.because.length;
    because.replaceChildren(make("div", { class: "galnb-note" }, message.why), ...message.because.map((one, k) =>
      make("button", { type: "button", class: "galnb-link", title: `${one.name}, voted ${one.vote}, ${one.far} standard deviations away`, onclick: () => pick(one.row, true) },
        buffers[k]?.byteLength ? picture(buffers[k], "") : null, make("span", {}, `${SIGNS[one.vote] ?? ""} ${one.name}`, make("br"), make("span", { class: "galnb-faint" }, `${one.far} away`)))));
    scores.replaceChildren(...bars(message.scores, message.order, (name) => send("order", { order: name })));
    plot.replaceChildren(...histogram(message.histogram, message.at, message.order));
    el.dataset.galaxy = message.row;
  }
  const colors = (top) => make("span", { class: "galnb-scale", title: "Share of the score that a pixel has" }, "0", make("i"), `${(100 * top).toPrecision(2)} % / pixel`);
  function pictures(message, buffers) {
    if (message.row !== here.picked) return;
    faces.replaceChildren(...message.labels.map((label, k) => make("figure", {}, make("div", {}, picture(buffers[k], `${label} of ${title.textContent}`), k ? null : scaleBar(message.bar)),
      make("figcaption", {}, label, label.startsWith("Where") ? colors(message.top) : null))));
    words.textContent = message.words.join(" ");
    el.dataset.faces = message.row;
  }

  el.addEventListener("keydown", (event) => {
    if (event.target === note) {
      event.stopPropagation(); // a letter is a letter here, and no vote
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      if (event.key === "Escape") note.value = here.noted.text;
      event.preventDefault();
      focus(); // which stores what was written
      if (note === document.activeElement) note.blur();
      return;
    }
    const typing = ["SELECT", "INPUT"].includes(event.target.tagName);
    const sliding = typing && event.key.length > 1 && event.key !== "Escape";
    if (sliding || event.target.tagName === "SELECT") return event.stopPropagation(); // JupyterLab would take arrow keys
    if (event.key === "Escape" && !keys.hidden) showKeys(false);
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "?") showKeys();
    else if (!here.page) return;
    else {
      const act = {
        i: () => vote("interesting"), o: () => vote("ordinary"), a: () => vote("artefact"), c: () => vote("none"),
        u: () => send("undo"), y: () => send("redo"), r: () => again.click(), n: () => note.focus(), g: () => ranked.click(),
        l: () => !slider.hidden && lambda.focus(), PageDown: () => after.disabled || turn(1), PageUp: () => before.disabled || turn(-1),
        ArrowRight: () => move(1), ArrowLeft: () => move(-1), ArrowDown: () => move(across()), ArrowUp: () => move(-across()),
      }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act) return;
      act();
    }
    event.preventDefault();
    event.stopPropagation();
  });

  const hear = {
    state,
    page,
    votes: voted,
    galaxy,
    faces: pictures,
    agreement: (message) => {
      agreeing.hidden = message.names.length < 2;
      heat.replaceChildren(...agreementTable(message));
      heatWords.textContent = `Spearman's rank correlation, ${counted(message.of)} galaxies`;
    },
    imported: (message) => (status.textContent = message.text),
    file: (message, buffers) => {
      const url = URL.createObjectURL(new Blob([buffers[0]]));
      make("a", { href: url, download: message.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    },
    problem: (message) => {
      problem.textContent = message.text;
      problem.hidden = false;
      order.value = here.state.order ?? "";
      here.waiting = null;
      right.classList.remove("galnb-dim");
      answered(here.share.seq);
    },
  };
  const stop = converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
  return () => {
    stop();
    clearTimeout(here.share.watch);
  };
}

export default { render };
