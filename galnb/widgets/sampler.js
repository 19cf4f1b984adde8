// The sampler: scales at the left, a wall of imagined galaxies, and the one that is picked with the nearest real one.

const KEYS = [
  ["Tab, arrow keys", "to every slider; then change it (Page Up, Page Down: faster)"],
  ["Space on a checkbox", "ask for a condition, or leave it to each galaxy"],
  ["Delete on a slider", "the same, or an axis back to 0"],
  ["Arrow keys, Enter in the wall", "go to a galaxy, look at it"],
  ["D", "new galaxies"],
  ["N", "pixel noise"],
  ["T", "the nearest real galaxies"],
  ["W", "walk: set where it starts, then where it ends"],
  ["Space on Play", "run or stop the film"],
  ["?", "these keys"],
];

function paint(canvas, bytes, k, size) {
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const data = new ImageData(size, size);
  for (let i = 0, from = 3 * k * size * size; i < data.data.length; i += 4, from += 3) {
    data.data[i] = bytes[from];
    data.data[i + 1] = bytes[from + 1];
    data.data[i + 2] = bytes[from + 2];
    data.data[i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
}
const plain = (buffer) => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);

function render({ model, el }) {
  el.classList.add("galnb-gallery", "galnb-sampler");
  keepKeys(el);
  const send = (t, more = {}) => model.send({ t, ...more });
  const button = (label, words, act, more = {}) => make("button", { type: "button", title: words, onclick: act, ...more }, label);
  const group = (...children) => make("span", { class: "galnb-group" }, ...children);
  const here = { state: {}, wall: null, found: null, near: null, picked: 0, start: null, seq: 0, wanted: false, under: 0 };
  const film = { bytes: null, at: 0, timer: null };
  let scales = [];
  let axes = [];
  let showNear = true;

  // above: what is drawn
  const chooser = make("select", { "aria-label": "Model", title: "Model", onchange: () => choose() });
  const fresh = button("New draw", "Other galaxies, drawn under what is asked (D)", () => send("draw"));
  const noise = button("Noise", "Pixel noise (N)", () => send("noise", { on: noise.getAttribute("aria-pressed") !== "true" }));
  const near = button("Nearest", "The nearest real galaxy in the corner of each (T)", () => showNearest(!showNear), { "aria-pressed": "true" });
  const given = ["picture", "numbers", "both"].map((name) =>
    button(name[0].toUpperCase() + name.slice(1), `Know the real galaxy by its ${name === "both" ? "picture and its numbers" : name}`, () => send("given", { given: name }), { "data-given": name }));
  const known = make("span", { class: "galnb-known", hidden: true }, make("span", { class: "galnb-faint" }, "Known by"), group(...given));
  const save = (kind, words) => button(kind.slice(1).toUpperCase(), words, () => send("save", { kind }));
  const help = button("?", "Keys (?)", () => showKeys(), { "aria-label": "Keys" });
  const status = make("span", { class: "galnb-faint", role: "status", "aria-live": "polite" });
  const bar = make("div", { class: "galnb-toolbar", role: "toolbar", "aria-label": "Sampler tools" },
    make("label", {}, make("span", {}, "Model"), chooser), group(fresh), group(noise, near), known,
    make("span", { class: "galnb-known" }, make("span", { class: "galnb-faint" }, "Save"), group(save(".png", "The wall as a figure"), save(".csv", "What was asked and measured, as CSV"), save(".vot", "As VOTable"))),
    group(help), status);
  // left, middle, right
  const asks = make("div", { class: "galnb-asks", role: "group", "aria-label": "Conditions and axes" });
  const legend = make("span", {});
  const wall = make("div", { class: "galnb-samples", role: "group", "aria-label": "Galaxies that do not exist" });
  const title = make("div", { class: "galnb-title" });
  const faces = make("div", { class: "galnb-row" });
  const table = make("table", { class: "galnb-numbers" });
  const copy = make("div", { class: "galnb-note", role: "status" });
  const walking = button("Walk from here", "A film from this galaxy to another one (W)", () => walk());
  const frame = make("canvas", { role: "img", "aria-label": "A walk between two galaxies" });
  const play = button("Play", "Run the film", () => run(!film.timer));
  const place = make("input", { type: "range", min: 0, max: 1, value: 0, "aria-label": "Place on the way", oninput: () => { run(false); still(Number(place.value)); } });
  const strip = make("div", { class: "galnb-film", hidden: true }, frame, make("div", { class: "galnb-actions" }, play, place),
    make("div", { class: "galnb-actions" }, make("span", {}, "Save the film"), group(save(".gif", "Save the walk as GIF"), save(".mp4", "Save the walk as MP4"))));
  const detail = make("div", { class: "galnb-picked" }, title, faces, table, copy, make("div", { class: "galnb-actions" }, walking), strip);
  const empty = make("div", { class: "galnb-note galnb-empty" }, "Choose a model above: its galaxies, and sliders for what it knows, appear here.");
  const problem = button("", "Dismiss", () => (problem.hidden = true), { class: "galnb-problem", hidden: true, "aria-live": "assertive" });
  const keys = make("div", { class: "galnb-keys", role: "dialog", "aria-label": "Keys", hidden: true },
    make("dl", {}, ...KEYS.flatMap(([name, what]) => [make("dt", {}, name), make("dd", {}, what)])), button("Close", "Close (Esc)", () => showKeys(false)));
  const body = make("div", { class: "galnb-sampled", hidden: true }, asks, wall, detail, keys);
  el.append(bar, problem, empty, body);

  function choose() {
    status.textContent = `Loading ${chooser.value} …`;
    send("model", { name: chooser.value });
  }
  function showKeys(on = keys.hidden) {
    keys.hidden = !on;
    (on ? keys.querySelector("button") : help).focus({ preventScroll: true });
  }
  function showNearest(on) {
    showNear = on;
    near.setAttribute("aria-pressed", String(on));
    wall.classList.toggle("galnb-alone", !on);
  }

  // One question under way, the newest wins.
  function ask() {
    here.wanted = true;
    here.movedAt ??= performance.now();
    if (here.under) return;
    here.wanted = false;
    here.under = ++here.seq;
    here.askedAt = here.movedAt;
    here.movedAt = null;
    const asked = Object.fromEntries(scales.filter((scale) => scale.asked).map((scale) => [scale.name, scale.value]));
    send("ask", { seq: here.seq, asked, sigmas: axes.map((axis) => axis.value ?? 0) });
    clearTimeout(here.watch);
    here.watch = setTimeout(() => {
      status.textContent = "The kernel is busy …";
      here.under = 0;
      if (here.wanted) ask();
    }, 5000);
  }
  function answered() { // by any wall: what was asked before a newer change is never drawn
    clearTimeout(here.watch);
    here.under = 0;
  }

  function state(message) {
    here.state = message;
    chooser.replaceChildren(...(message.model ? [] : [make("option", { value: "" }, "choose …")]), ...message.models.map((name) => make("option", { value: name }, name)));
    chooser.value = message.model ?? "";
    empty.hidden = !!message.model;
    body.hidden = fresh.disabled = !message.model;
    for (const one of bar.querySelectorAll(".galnb-group button")) if (one !== help) one.disabled = !message.model;
    near.hidden = !message.real;
    if (!message.model) return;
    noise.hidden = !message.noisy;
    scales = message.conditions.map((about) => new Scale(about, ask));
    axes = message.shares.map((share, k) => new Scale({ name: `axis ${k + 1}`, unit: "σ", scale: [-3, 3], range: [-3, 3], plain: true, note: `${Math.round(100 * share)} %` }, ask));
    const heading = (words, note) => make("div", { class: "galnb-heading" }, make("span", { class: "galnb-title" }, words), make("span", { class: "galnb-faint" }, note));
    asks.replaceChildren(...(scales.length ? [heading("Conditions", legend), ...scales.map((one) => one.el)] : []),
      ...(axes.length ? [heading(scales.length ? "Style" : "Latent axes", "axes, share of variance"), ...axes.map((one) => one.el)] : []));
    here.under = 0;
    run(false);
    strip.hidden = true;
    here.start = null;
  }

  function tile(k) {
    const inset = make("canvas", { class: "galnb-inset", hidden: true });
    const face = make("button", { type: "button", tabindex: k ? "-1" : "0", "data-k": k, onclick: () => pick(k, true),
      onmouseenter: () => light(k), onmouseleave: () => light(here.picked), onfocus: () => light(k), onblur: () => light(here.picked) },
    make("canvas"), inset);
    return face;
  }
  const light = (k) => scales.forEach((scale) => scale.light(k));

  function show(message, buffers) {
    answered();
    const before = here.wall;
    here.wall = message;
    here.bytes = plain(buffers[0]);
    here.real = buffers[1] ? plain(buffers[1]) : null;
    here.found = here.near = null;
    asks.classList.add("galnb-stale");
    if (wall.children.length !== message.n) {
      wall.replaceChildren(...Array.from({ length: message.n }, (_, k) => tile(k)));
      wall.style.setProperty("--across", Math.ceil(Math.sqrt(message.n)));
    }
    [...wall.children].forEach((face, k) => paint(face.firstChild, here.bytes, k, message.size));
    if (!here.wanted) {
      scales.forEach((scale) => scale.told(message.asked[scale.name], message.own[scale.name], message.warnings[scale.name]));
      axes.forEach((axis, k) => axis.told(message.sigmas[k]));
    }
    noise.setAttribute("aria-pressed", String(message.noise));
    known.hidden = !message.origin || !here.state.impute || !here.state.real;
    for (const one of given) one.setAttribute("aria-pressed", String(one.dataset.given === message.given));
    const what = message.origin
      ? message.n > 1 ? `${message.n} draws for ${message.origin}` : `${message.origin}, as decoded`
      : `${message.n} galaxies that do not exist, seed ${message.seed}`;
    const took = here.askedAt ? performance.now() - here.askedAt : null;
    status.textContent = status.title = what + (took && message.seq ? `; ${Math.round(took)} ms` : "");
    legend.textContent = here.real ? "ticks: measured, ◇ real" : "ticks: measured";
    el.dataset.turn = message.turn;
    if (took && message.seq) el.dataset.ms = took.toFixed(1);
    problem.hidden = true;
    pick(message.picked ?? here.picked, false, before?.origin !== message.origin);
    if (here.wanted) ask();
  }

  function pick(k, tell) {
    here.picked = Math.min(k, here.wall.n - 1);
    for (const face of wall.children) {
      const own = Number(face.dataset.k) === here.picked;
      face.toggleAttribute("aria-current", own);
      if (own) face.setAttribute("aria-current", "true");
    }
    if (tell) send("pick", { k: here.picked });
    light(here.picked);
    about();
  }

  // The galaxy that is picked: pictures and numbers.
  function about() {
    const { wall: now, near: close, found, picked: k } = here;
    const words = (name, bytes, at) => {
      const canvas = make("canvas", { role: "img", "aria-label": name });
      paint(canvas, bytes, at, now.size);
      return make("figure", {}, make("div", {}, canvas), make("figcaption", {}, name));
    };
    title.textContent = now.origin ? `${now.origin}, draw ${k + 1}` : `Sample ${k + 1}`;
    faces.replaceChildren(...[
      here.real ? words("Real", here.real, 0) : null, words("Imagined", here.bytes, k),
      close ? words("Nearest real", close.bytes, k) : null].filter(Boolean));
    const names = found ? Object.keys(found.values).filter((name) => !scales.length || scales.some((scale) => scale.name === name)) : scales.map((scale) => scale.name);
    const real = found && Object.keys(found.truth).length;
    const unit = (name) => here.state.units[name];
    const cells = (tag, ...texts) => make("tr", {}, ...texts.map((text, i) => make(i ? tag : "th", i ? (text === "free" ? { class: "galnb-faint" } : {}) : { scope: "row" }, text)));
      table.replaceChildren(cells("th", "", ...(scales.length ? ["asked"] : []), "measured", ...(real ? ["real"] : [])), ...names.map((name) =>
      cells("td", name.replaceAll("_", " ") + (unit(name) ? ` (${unit(name)})` : ""), ...(scales.length ? [name in now.asked ? brief(now.asked[name]) : "free"] : []),
        found ? brief(found.values[name][k] ?? NaN) : "…", ...(real ? [brief(found.truth[name] ?? NaN)] : []))));
    copy.textContent = close
      ? `Nearest of ${counted(close.of)} real galaxies: ${close.names[k]}, ${close.distances[k].toFixed(3)} away (rms of pixels, 0 to 1). Real ones lie ${close.usual?.toFixed(3) ?? "–"} from their own nearest (median).` +
        (close.distances[k] < 0.5 * close.usual ? " That is close: it may be a copy." : "")
      : here.state.real ? "Looking for the nearest real galaxy …" : "Give images=… to see the nearest real galaxy.";
    copy.classList.toggle("galnb-warning", !!close && close.distances[k] < 0.5 * close.usual);
    walking.textContent = here.start === null ? "Walk from here" : "Walk to here";
    [...wall.children].forEach((face, i) => {
      const numbers = found ? names.map((name) => `${name.replaceAll("_", " ")} ${brief(found.values[name][i] ?? NaN)}${name in now.asked ? ` (asked ${brief(now.asked[name])})` : ""}`).join(", ") : "";
      face.title = `Sample ${i + 1}${numbers ? `: ${numbers}` : ""}`;
      face.setAttribute("aria-label", face.title);
    });
  }

  // The walk.
  function walk() {
    if (here.start === null) return send("start");
    here.start = null;
    send("walk");
  }
  function still(k) {
    film.at = k;
    paint(frame, film.bytes, k, film.size);
    place.value = k;
    place.setAttribute("aria-valuetext", `${Math.round((100 * k) / (film.frames - 1))} % of the way`);
  }
  function run(on) {
    clearInterval(film.timer);
    film.timer = on ? setInterval(() => (el.isConnected ? still((film.at + 1) % film.frames) : run(false)), 80) : null;
    play.textContent = on ? "Stop" : "Play";
  }

  wall.addEventListener("keydown", (event) => {
    const at = [...wall.children].indexOf(document.activeElement);
    const across = Math.ceil(Math.sqrt(wall.children.length));
    const to = at + ({ ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key] ?? NaN);
    if (at < 0 || !wall.children[to]) return;
    wall.children[at].tabIndex = -1;
    wall.children[to].tabIndex = 0;
    wall.children[to].focus();
    event.preventDefault();
    event.stopPropagation();
  });
  el.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !keys.hidden) showKeys(false);
    else if (event.ctrlKey || event.metaKey || event.altKey || event.target.type === "text" || event.target === chooser) return;
    else if (event.key === "?") showKeys();
    else if (!here.wall) return;
    else if (event.key === "d") fresh.click();
    else if (event.key === "n" && !noise.hidden) noise.click();
    else if (event.key === "t") near.click();
    else if (event.key === "w") walking.click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const hear = {
    state,
    wall: show,
    measured: (message, buffers) => { // with the pictures as they were measured: corrected, where the model does
      if (message.turn !== here.wall?.turn) return;
      here.found = message;
      here.bytes = plain(buffers[0]);
      [...wall.children].forEach((face, k) => paint(face.firstChild, here.bytes, k, here.wall.size));
      asks.classList.remove("galnb-stale");
      scales.forEach((scale) => scale.measured(message.values[scale.name] ?? [], message.truth[scale.name]));
      light(here.picked);
      about();
    },
    nearest: (message, buffers) => {
      if (message.turn !== here.wall?.turn) return;
      here.near = { ...message, bytes: plain(buffers[0]) };
      [...wall.children].forEach((face, k) => {
        face.lastChild.hidden = false;
        paint(face.lastChild, here.near.bytes, k, here.wall.size);
      });
      about();
    },
    picked: (message) => here.wall && message.k !== here.picked && pick(message.k, false),
    start: (message) => {
      here.start = message.k;
      walking.textContent = "Walk to here";
      status.textContent = `The walk starts at sample ${message.k + 1}: pick where it ends, then press Walk to here (W)`;
    },
    film: (message, buffers) => {
      Object.assign(film, { bytes: plain(buffers[0]), frames: message.frames, size: message.size });
      strip.hidden = false;
      place.max = message.frames - 1;
      still(0);
      run(!matchMedia("(prefers-reduced-motion: reduce)").matches);
      about();
    },
    file: (message, buffers) => {
      const url = URL.createObjectURL(new Blob([buffers[0]]));
      make("a", { href: url, download: message.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    },
    problem: (message) => {
      answered();
      problem.textContent = message.text;
      problem.hidden = false;
      status.textContent = "";
      chooser.value = here.state.model ?? "";
      if (here.wall) {
        scales.forEach((scale) => scale.told(here.wall.asked[scale.name], here.wall.own[scale.name], here.wall.warnings[scale.name]));
        axes.forEach((axis, k) => axis.told(here.wall.sigmas[k]));
      }
      if (here.wanted) ask();
    },
  };
  const stop = converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
  return () => {
    stop();
    run(false);
    clearTimeout(here.watch);
  };
}

export default { render };
