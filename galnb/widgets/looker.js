// One galaxy pixel by pixel: its picture, what surprises in it, what was expected of a pixel; completions and draws.

const MAPS = {
  log_p: ["log p", "−log p of each pixel: bright is what the network of galaxies did not expect"],
  ratio: ["log p − log p as sky", "The network of sky against that of galaxies: above 0 a pixel is more like sky, below 0 more like a galaxy"],
  log_p_background: ["log p as sky", "−log p of each pixel as sky: bright is what is no sky"],
};

function render({ model, el }) {
  el.classList.add("galnb-gallery", "galnb-looker");
  keepKeys(el);
  const send = (t, more = {}) => model.send({ t, ...more });
  const here = { state: null, look: null, cursor: null, inside: false, known: new Map(), under: null, wanted: null, what: {}, turn: 0, stopped: -1, open: "" };
  const button = (label, words, act, more = {}) => make("button", { type: "button", title: words, onclick: act, ...more }, label);
  const problem = make("button", { type: "button", class: "galnb-problem", title: "Dismiss", hidden: true, onclick: () => (problem.hidden = true) });
  problem.setAttribute("aria-live", "assertive");
  const missing = make("div", { class: "galnb-note galnb-missing", hidden: true });
  const acts = { pointed: (row, column) => point(row, column), left: () => ((here.inside = false), redraw()), taken: (row) => complete(row) };
  const face = new PixelView("The galaxy; arrow keys go from pixel to pixel, Enter completes it from this row on", acts);
  const surprise = new PixelView("Map of surprise; arrow keys go from pixel to pixel", { ...acts, taken: () => {} });
  const title = make("div", { class: "galnb-title" });
  const facts = make("div", { class: "galnb-facts", "aria-live": "polite" });
  const amount = make("span", { class: "galnb-amount" }, "nats");
  const kind = make("select", { "aria-label": "Map", onchange: () => paintMap() });
  const ramp = make("canvas", { class: "galnb-ramp", role: "img" });
  const plot = make("canvas", { class: "galnb-pmf", role: "img", "aria-label": "What is expected of a pixel" });
  const where = make("div", { class: "galnb-where", role: "status", "aria-live": "polite" });
  const whole = make("input", { type: "checkbox", onchange: () => redraw() });
  const hint = make("div", { class: "galnb-note" });
  const empty = make("div", { class: "galnb-note galnb-missing" }, "Click a galaxy above to see where it surprises.");
  const one = make("div", { class: "galnb-looked", hidden: true },
    make("section", { "aria-label": "Galaxy" }, title, face.canvas),
    make("section", { "aria-label": "Surprise" }, make("div", { class: "galnb-map-head" }, make("span", { class: "galnb-title" }, "Surprise"), kind, amount), make("div", { class: "galnb-mapped" }, surprise.canvas, ramp)),
    make("section", { "aria-label": "Expected levels", class: "galnb-expected" }, make("div", { class: "galnb-pmf-head" }, where, make("label", { class: "galnb-whole" }, whole, "all levels")), plot),
    facts, hint);
  const slider = make("input", { type: "range", min: 0, max: 31, value: 16, "aria-label": "First row that is hidden", oninput: () => cut() });
  const rows = make("output", { class: "galnb-rows" });
  const go = button("Complete", "Draw the hidden part anew, several times", () => complete(Number(slider.value)));
  const fresh = button("Draw", "Galaxies that do not exist, pixel by pixel", () => begin("sample"));
  const halts = ["complete", "sample"].map((what) => [what, button("Stop", "Draw no further", () => send("stop"), { hidden: true })]);
  const stops = Object.fromEntries(halts);
  const strips = { complete: new Strip("The galaxy, and completions of it", (k) => send("peek", { what: "complete", k })), sample: new Strip("Galaxies that do not exist", (k) => send("peek", { what: "sample", k })) };
  const notes = { complete: make("span", { class: "galnb-faint", role: "status" }), sample: make("span", { class: "galnb-faint", role: "status" }) };
  const completing = make("section", { "aria-label": "Completion", hidden: true }, make("div", { class: "galnb-studio-head" }, make("span", { class: "galnb-title" }, "Hide from row"), slider, rows, go, stops.complete), strips.complete.el, notes.complete);
  const studio = make("div", { class: "galnb-studio", hidden: true },
    completing,
    make("section", { "aria-label": "Draws" }, make("div", { class: "galnb-studio-head" }, make("span", { class: "galnb-title" }, "Galaxies that do not exist"), fresh, stops.sample), strips.sample.el, notes.sample));
  el.append(problem, missing, empty, one, studio);

  // the pixel under the pointer

  function point(row, column) {
    here.asked = performance.now();
    here.inside = true;
    here.cursor = [row, column];
    bring(row);
    redraw();
  }
  // Rows are asked for one after the other, the newest first; then those about it, so that the pointer finds them there.
  function bring(row) {
    if (!here.look?.read || here.known.has(row)) return;
    here.wanted = row;
    if (here.under !== null) return;
    here.wanted = null;
    here.under = row;
    send("pdf", { row, look: here.look.look });
    clearTimeout(here.watch);
    here.watch = setTimeout(() => ((here.under = null), here.wanted !== null && bring(here.wanted)), 3000);
  }
  function fetched() {
    clearTimeout(here.watch);
    here.under = null;
    if (here.wanted !== null && !here.known.has(here.wanted)) return bring(here.wanted);
    here.wanted = null;
    const [row] = here.cursor || [here.look.size >> 1];
    let next = null;
    for (let by = 0; by < here.look.size && next === null; by++) next = [row - by, row + by].find((one) => one >= 0 && one < here.look.size && !here.known.has(one)) ?? null;
    if (next !== null) bring(next);
  }

  function complete(row) {
    slider.value = row;
    cut();
    begin("complete", { row: Number(slider.value) });
  }
  function begin(what, more = {}) {
    if (!here.state || here.state.missing || (what === "complete" && !here.look?.read)) return;
    problem.hidden = true;
    for (const [name, stop] of Object.entries(stops)) stop.hidden = name !== what;
    notes[what].textContent = what === "complete" ? "reading the rows that are known …" : "drawing …";
    send(what, more);
  }
  function close(words) {
    strips[here.open].end(null, null);
    notes[here.open].textContent = words;
    here.open = "";
  }
  function cut() {
    const size = here.look?.size || here.state?.size || 32;
    rows.textContent = `${slider.value} of ${size}`;
    face.cut = Number(slider.value);
    redraw();
  }

  function redraw() {
    if (here.scheduled) return;
    here.scheduled = true;
    requestAnimationFrame(() => {
      here.scheduled = false;
      paint();
    });
  }
  function paint() {
    if (!here.look?.size) return;
    const theme = themeOf(el);
    face.veil = here.inside && here.look.read;
    face.cursor = surprise.cursor = here.look.read ? here.cursor : null;
    face.paint(theme);
    surprise.paint(theme);
    const { look } = here;
    if (here.cursor && look.maps.length) amount.textContent = `${(-look.values[kind.value][here.cursor[0] * look.size + here.cursor[1]]).toFixed(1).replace("-", "−")} nats here`;
    if (!look.read || !here.cursor || !here.known.has(here.cursor[0])) return;
    const [row, column] = here.cursor;
    const { levels, peaks } = here.known.get(row);
    const n = here.state.bands.length;
    const [count, area] = [here.state.levels, look.size * look.size];
    const at = here.state.bands.map((_, k) => k * area + row * look.size + column);
    const shares = at.map((_, k) => levels.subarray((column * n + k) * count, (column * n + k + 1) * count));
    const words = drawPmf(plot, { bands: here.state.bands, shares, peaks: at.map((_, k) => peaks[column * n + k]), truths: at.map((place) => look.levels[place]), logs: at.map((place) => look.logs[place]), whole: whole.checked }, theme);
    const before = row * look.size + column;
    where.replaceChildren(make("span", { class: "galnb-title" }, `Row ${row}, column ${column}`), make("span", { class: "galnb-faint" }, `after ${counted(before)} pixel${before === 1 ? "" : "s"}`));
    plot.setAttribute("aria-label", `Expected levels of the pixel in row ${row}, column ${column}. ${words}`);
    if (here.asked) {
      el.dataset.ms = (performance.now() - here.asked).toFixed(1);
      here.asked = 0;
    }
    el.dataset.pixel = `${row},${column}`;
  }

  function paintMap() {
    const { look } = here;
    if (!look?.maps.length) return;
    const theme = themeOf(el);
    const diverging = kind.value === "ratio";
    const values = look.values[kind.value].map((value) => -value);
    const sorted = [...values].map((value) => (diverging ? Math.abs(value) : value)).sort((a, b) => a - b);
    const high = Math.max(sorted[Math.floor(0.995 * (sorted.length - 1))], 1e-6);
    const low = diverging ? -high : Math.min(0, sorted[0]);
    surprise.fill(look.size, (k) => shade((values[k] - low) / (high - low), diverging, theme));
    drawRamp(ramp, low, high, diverging, theme);
    ramp.setAttribute("aria-label", `Colors from ${said(low)} to ${said(high)} nats`);
    kind.title = MAPS[kind.value][1];
    hint.textContent = MAPS[kind.value][1];
    redraw();
  }

  function floats(buffer) {
    return new Float32Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));
  }
  const shorts = (buffer) => new Uint16Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));

  function look(message, buffers) {
    const was = here.look?.title;
    here.look = message;
    here.known.clear();
    here.under = null;
    empty.hidden = true;
    one.hidden = false;
    title.replaceChildren(message.title, make("span", { class: "galnb-of" }, ` ${message.set}`));
    facts.replaceChildren(make("span", { class: "galnb-log-p" }, `log p = ${said(message.log_p)} nats`), make("span", {}, `${message.bits.toFixed(2)} bits per dimension`), ...message.words.map((words) => make("span", {}, words)), message.read ? make("span", { class: "galnb-faint" }, "Point at a pixel, or use the arrow keys; a click completes the galaxy from that row on.") : "");
    one.classList.toggle("galnb-pictured", message.size > 0);
    completing.hidden = true;
    if (!message.size) return;
    const bytes = new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength);
    face.fill(message.size, (k) => bytes.subarray(3 * k, 3 * k + 3));
    message.values = Object.fromEntries(message.maps.map((name, k) => [name, floats(buffers[1 + k])]));
    if (message.read) {
      message.logs = floats(buffers[1 + message.maps.length]);
      message.levels = shorts(buffers[2 + message.maps.length]);
    }
    const before = kind.value;
    kind.replaceChildren(...["log_p", "ratio", "log_p_background"].filter((name) => message.maps.includes(name)).map((name) => make("option", { value: name }, MAPS[name][0])));
    kind.value = message.maps.includes(before) ? before : message.maps[0] || "";
    one.classList.toggle("galnb-unread", !message.read);
    one.classList.toggle("galnb-unmapped", !message.maps.length);
    slider.max = message.size - 1;
    if (was === undefined) slider.value = message.size >> 1;
    if (message.read && !here.cursor) here.cursor = [message.size >> 1, message.size >> 1];
    completing.hidden = !message.read;
    cut();
    paintMap();
    if (message.read) bring(here.cursor[0]);
  }

  const hear = {
    state: (message) => {
      here.state = message;
      missing.textContent = message.missing;
      missing.hidden = !message.missing;
      empty.hidden = !!message.missing || !!here.look;
      studio.hidden = !!message.missing;
      slider.max = Math.max(message.size - 1, 0);
      slider.value = message.size >> 1;
      cut();
    },
    look,
    pdf: (message, buffers) => {
      if (message.look !== here.look?.look) return;
      const levels = new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength);
      const peaks = floats(buffers[1]);
      const wide = here.look.size * here.state.bands.length;
      for (let k = 0; k * wide < peaks.length; k++) {
        here.known.set(message.row + k, { levels: levels.subarray(k * wide * here.state.levels, (k + 1) * wide * here.state.levels), peaks: peaks.subarray(k * wide, (k + 1) * wide) });
      }
      if (here.cursor && Math.floor(here.cursor[0] / 4) === Math.floor(message.row / 4)) redraw();
      fetched();
    },
    point: ({ row, column }) => {
      here.cursor = [row, column];
      bring(row);
      redraw();
    },
    drawing: (message) => {
      if (message.turn <= here.stopped) return;
      if (here.open && here.open !== message.what) close("stopped");
      here.turn = message.turn;
      here.open = message.what;
      for (const [name, stop] of Object.entries(stops)) stop.hidden = name !== message.what;
      strips[message.what].begin(message.n, message.size, message.from_row, message.what === "complete" ? face.source : null);
    },
    rows: (message, buffers) => {
      if (message.turn !== here.turn) return;
      strips[here.open].rows(new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength), message.row, message.rows);
      notes[here.open].textContent = `row ${message.row + message.rows}`;
    },
    drawn: (message) => {
      if (message.turn !== here.turn) return;
      here.open = "";
      stops[message.what].hidden = true;
      strips[message.what].end(message.values, message.truth);
      notes[message.what].textContent = message.what === "complete" ? "log p of the hidden part in nats; click one to look into it" : "log p in nats; marked in the histogram; click one to look into it";
    },
    halted: (message) => {
      here.stopped = message.turn;
      here.turn = -1;
      for (const stop of Object.values(stops)) stop.hidden = true;
      for (const note of Object.values(notes)) if (note.textContent.endsWith("…")) note.textContent = "stopped";
      if (here.open) close("stopped");
    },
    problem: (message) => {
      here.under = null;
      for (const stop of Object.values(stops)) stop.hidden = true;
      for (const note of Object.values(notes)) if (note.textContent.endsWith("…")) note.textContent = "";
      if (here.open) close("stopped");
      problem.textContent = message.text;
      problem.hidden = false;
    },
  };
  const end = converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
  const sizes = new ResizeObserver(redraw);
  sizes.observe(el);
  const unthemed = onTheme(paintMap);
  return () => {
    end();
    sizes.disconnect();
    unthemed();
  };
}

export default { render };
