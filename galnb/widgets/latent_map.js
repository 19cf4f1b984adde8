// The map: asks the kernel for frames, draws them between axes, and turns hands into commands.

const PALETTES = { log: ["density", "viridis", "magma"], linear: ["cividis", "viridis", "magma"], category: ["okabe-ito"] };
const HINTS = {
  pan: "Drag to move, wheel to zoom, click a galaxy or empty space; ? for keys",
  lasso: "Draw around galaxies; Shift adds, Alt takes away",
  box: "Drag a box over galaxies; Shift adds, Alt takes away",
};

function render({ model, el }) {
  el.classList.add("galnb-map");
  keepKeys(el);
  const map = { view: null, box: null, tool: "pan", corners: [], cross: null, path: null, state: {}, palette: {}, pictures: [] };
  const send = (message) => model.send(message);
  const button = (label, title, action, more = {}) => make("button", { type: "button", title, onclick: action, ...more }, label);
  const chooser = (label, kind) => make("select", { "aria-label": label, title: label, onchange: (e) => map.command({ t: kind, name: e.target.value }) });

  const tools = {
    pan: button("Move", "Move the map (H)", () => map.use("pan")),
    lasso: button("Lasso", "Select by lasso (L)", () => map.use("lasso")),
    box: button("Box", "Select by box (B)", () => map.use("box")),
  };
  const undo = button("Undo", "Undo (Ctrl+Z)", () => map.command({ t: "undo" }));
  const redo = button("Redo", "Redo (Ctrl+Shift+Z)", () => map.command({ t: "redo" }));
  const clear = button("Clear", "Select and pick nothing (Esc)", () => map.command({ t: "clear" }));
  const fit = button("Fit", "Show all galaxies (0)", () => map.fit());
  const color = chooser("Color by", "color");
  const plane = chooser("Map", "plane");
  const pictures = button("Pictures", "Galaxies on the map (T)", () => map.togglePictures(), { "aria-pressed": "false" });
  const lines = button("Contours", "Regions that hold most galaxies (R)", () => map.toggleContours(), { "aria-pressed": "true", hidden: true });
  const help = button("?", "Keys (?)", () => map.showKeys(), { "aria-label": "Keys" });
  const group = (...children) => make("span", { class: "galnb-group" }, ...children);
  const toolbar = make("div", { class: "galnb-toolbar", role: "toolbar", "aria-label": "Map tools" },
    group(...Object.values(tools)), group(undo, redo, clear), group(fit),
    make("label", {}, make("span", {}, "Color"), color), make("label", {}, make("span", {}, "Map"), plane), group(pictures), group(lines), group(help));
  const canvas = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": "map", "aria-label": "Map of galaxies, loading" });
  const busy = make("div", { class: "galnb-busy", hidden: true });
  const veil = make("div", { class: "galnb-veil", hidden: true });
  const keys = make("div", { class: "galnb-keys", role: "dialog", "aria-label": "Keys", hidden: true },
    make("dl", {}, ...KEYS.flatMap(([name, what]) => [make("dt", {}, name), make("dd", {}, what)])),
    button("Close", "Close (Esc)", () => map.showKeys(false)));
  const stage = make("div", { class: "galnb-stage" }, canvas, busy, veil, keys);
  const status = make("span", { role: "status", "aria-live": "polite" });
  const timing = make("span", { class: "galnb-faint" });
  const hint = make("span", { class: "galnb-faint galnb-hint" });
  const problem = make("button", { type: "button", class: "galnb-problem", title: "Dismiss", hidden: true, onclick: () => (problem.hidden = true) });
  problem.setAttribute("aria-live", "assertive");
  el.append(toolbar, stage, problem, make("div", { class: "galnb-status" }, make("span", {}, status, timing), hint));
  el.style.setProperty("--galnb-height", `${model.get("height")}px`); // ipywidgets takes a plain height away

  const context = canvas.getContext("2d");
  let theme = themeOf(el);
  let scheduled = false;
  let busySince = null;
  let busyUntil = "plane"; // the change that ends a wait with a text
  map.toData = ([px, py]) => {
    const [x0, x1, y0, y1] = map.view;
    return [x0 + ((px - map.box.x) / map.box.width) * (x1 - x0), y1 - ((py - map.box.y) / map.box.height) * (y1 - y0)];
  };
  map.toPixel = ([x, y]) => {
    const [x0, x1, y0, y1] = map.view;
    return [map.box.x + ((x - x0) / (x1 - x0)) * map.box.width, map.box.y + (1 - (y - y0) / (y1 - y0)) * map.box.height];
  };
  map.inside = ([px, py]) => map.box && px >= map.box.x && py >= map.box.y && px <= map.box.x + map.box.width && py <= map.box.y + map.box.height;
  map.paletteOf = () => map.palette[map.frame.how] || PALETTES[map.frame.how][0];
  map.ground = () => (map.showPictures ? { ...theme, dark: true, ground: [4, 6, 10], text: "#e0e0e0" } : theme);
  map.say = (text) => (status.textContent = text);
  map.setCursor = () => (canvas.style.cursor = map.tool === "pan" ? "grab" : "crosshair");

  map.redraw = () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      drawMap(context, map, theme);
    });
  };
  map.repaint = () => {
    if (map.frame) map.bitmap = paint(map.frame, map.index, map.marked, map.paletteOf(), map.ground());
    map.redraw();
  };
  map.look = (view, pace) => {
    map.view = view;
    map.adopt = false;
    link.request(pace);
    map.redraw();
  };
  map.fit = () => {
    map.wantsFit = true;
    link.request();
  };
  map.command = (message) => {
    send(message);
    waiting();
  };
  map.use = (tool) => {
    map.tool = tool;
    map.corners = [];
    map.path = null;
    for (const [name, element] of Object.entries(tools)) element.setAttribute("aria-pressed", String(name === tool));
    hint.textContent = HINTS[tool];
    map.setCursor();
    map.redraw();
  };
  map.nextPalette = () => {
    if (!map.frame) return;
    const names = PALETTES[map.frame.how];
    map.palette[map.frame.how] = names[(names.indexOf(map.paletteOf()) + 1) % names.length];
    map.say(`color map ${map.paletteOf()}`);
    map.repaint();
  };
  map.onMargin = ([px]) => px > map.box.x + map.box.width && map.nextPalette();
  map.togglePictures = (on = !map.showPictures) => {
    map.showPictures = on && map.state.pictures;
    pictures.setAttribute("aria-pressed", String(Boolean(map.showPictures)));
    map.repaint();
    link.request();
  };
  map.toggleContours = () => {
    if (lines.hidden) return;
    map.hideContours = !map.hideContours;
    lines.setAttribute("aria-pressed", String(!map.hideContours));
    map.redraw();
  };
  map.showKeys = (on = keys.hidden) => {
    const was = !keys.hidden;
    keys.hidden = !on;
    (on ? keys.querySelector("button") : canvas).focus({ preventScroll: true });
    return was;
  };
  map.pictureAt = (at) => {
    if (!map.showPictures || !map.sheet) return null;
    let best = null;
    let near = map.sheet.shown / 2;
    for (const [x, y, row] of map.pictures) {
      const [px, py] = map.toPixel([x, y]);
      const far = Math.hypot(px - at[0], py - at[1]);
      if (far < near) [best, near] = [row, far];
    }
    return best;
  };

  // busy after 90 ms, "no answer" after 5 s
  function waiting(text = "") {
    busySince = busySince || performance.now();
    if (text) busy.textContent = text;
    setTimeout(() => (busy.hidden = !busySince), 90);
  }
  function settled() {
    busySince = null;
    busy.hidden = true;
    busy.textContent = "";
  }
  function silent() {
    map.say("The kernel does not answer; is it busy, or gone? Asking again with your next move; after a restart reload the page and run the cell");
  }

  const link = new FrameLink(model, () => {
    const edge = stage.getBoundingClientRect();
    if (edge.width < 160 || edge.height < 120) return null;
    resize(edge);
    const ratio = devicePixelRatio || 1;
    const size = { w: Math.round(map.box.width * ratio), h: Math.round(map.box.height * ratio), dpr: ratio };
    const fits = map.wantsFit || !map.view;
    const message = { ...size, view: fits ? null : map.view, fit: Boolean(map.wantsFit), keep: Boolean(map.adopt), pictures: Boolean(map.showPictures), plane: map.state.plane };
    map.wantsFit = false;
    waiting();
    return message;
  }, (frame, layers) => {
    if (map.state.plane && frame.plane !== map.state.plane) return; // asked for before the plane changed
    const moving = performance.now() - link.movedAt < REST && link.wanted;
    Object.assign(map, { frame, index: layers[0], marked: layers[1] || null });
    if (!moving || !map.view) map.view = frame.view;
    if (!busy.textContent) settled();
    timing.textContent = `; ${Math.round(frame.roundTrip)} ms`;
    describe();
    map.repaint();
    askPictures();
  }, silent);

  function describe() {
    const { n, n_selected } = map.state;
    if (n === undefined) return;
    const seen = map.frame ? `, ${counted(map.frame.n_visible)} in view` : "";
    map.say(n_selected ? `${counted(n_selected)} of ${counted(n)} selected` : `${counted(n)} galaxies${seen}`);
    if (!map.frame) return;
    const [x0, x1, y0, y1] = map.frame.view;
    const what = map.frame.how === "log" ? "Density map" : `Map colored by ${map.frame.label}`;
    canvas.setAttribute("aria-label", `${what} of ${counted(n)} galaxies${seen}, ${counted(n_selected)} selected; ` +
      `${map.state.axes[0]} ${brief(x0)} to ${brief(x1)}, ${map.state.axes[1]} ${brief(y0)} to ${brief(y1)}. Press ? for keys.`);
    veil.hidden = map.frame.n_visible > 0;
    veil.textContent = n ? "No galaxy here: press Fit" : "There are no galaxies in these latents";
  }

  function resize(edge) {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.floor(edge.width), Math.floor(edge.height)];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const old = map.box;
    map.box = { x: MARGIN.left, y: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    if (old && map.view && (old.width !== map.box.width || old.height !== map.box.height)) map.view = shaped(map.view);
  }
  // A view in the canvas's shape where x and y are of one kind.
  function shaped(view) {
    if (!map.state.equal || !map.box) return view;
    const [x0, x1, y0, y1] = view;
    const unit = Math.max((x1 - x0) / map.box.width, (y1 - y0) / map.box.height) / 2;
    const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
    return [x - unit * map.box.width, x + unit * map.box.width, y - unit * map.box.height, y + unit * map.box.height];
  }

  let resting;
  function askPictures() {
    clearTimeout(resting);
    if (!map.showPictures || !map.view || !map.box) return map.redraw();
    resting = setTimeout(() => {
      map.pictureSeq = (map.pictureSeq || 0) + 1;
      send({ t: "pictures", seq: map.pictureSeq, view: map.view, w: map.box.width, h: map.box.height });
    }, 160);
  }

  function options(select, pairs, value) {
    const key = JSON.stringify(pairs);
    if (select.dataset.pairs !== key) {
      select.replaceChildren(...pairs.map(([name, label]) => make("option", { value: name }, label)));
      select.dataset.pairs = key;
    }
    select.value = value;
  }
  function update(message) {
    const first = map.state.n === undefined;
    map.state = message;
    options(color, message.colors, message.color);
    options(plane, message.planes, message.plane);
    undo.disabled = !message.can_undo;
    redo.disabled = !message.can_redo;
    clear.disabled = !(message.n_selected || message.where);
    pictures.hidden = !message.pictures;
    problem.hidden = true;
    const changed = new Set(message.changed);
    if (!busy.textContent || changed.has(busyUntil)) settled();
    describe();
    if (changed.has("plane")) {
      map.view = map.bitmap = null;
      map.pictures = [];
      link.request();
    } else if (message.view) {
      map.adopt = true;
      map.view = shaped(message.view);
      link.request();
    } else if (changed.has("selection") || changed.has("color")) link.request();
    if (first && message.pictures && message.pictures_first && message.n <= 20000) map.togglePictures(true);
    map.redraw();
  }
  const hear = {
    state: update,
    frame: (message, buffers) => link.receive(message, buffers),
    contours: (message, buffers) => {
      map.contours = contoursOf(message, buffers);
      lines.hidden = !map.contours;
      map.redraw();
    },
    busy: (message) => {
      busyUntil = message.until;
      waiting(message.text + "…");
    },
    pictures: async (message, buffers) => {
      if (message.seq !== map.pictureSeq) return;
      map.sheet = message.items.length ? await cutOut(buffers[0], message) : null;
      map.pictures = message.items;
      map.redraw();
    },
    problem: (message) => {
      settled();
      link.fail();
      problem.textContent = message.text;
      problem.hidden = false;
    },
  };
  const stop = converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers), undefined, silent, () => {
    link.stop();
    settled();
  });

  keys.addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "?") map.showKeys(false);
    event.stopPropagation();
  });
  gestures(canvas, map);
  map.use("pan");
  const sizes = new ResizeObserver(() => link.request(150));
  sizes.observe(stage);
  const unthemed = onTheme(() => {
    theme = themeOf(el);
    map.repaint();
  });
  canvas.addEventListener("focus", () => map.redraw());
  canvas.addEventListener("blur", () => map.redraw());
  return () => {
    stop();
    link.stop();
    clearTimeout(resting);
    sizes.disconnect();
    unthemed();
  };
}

export default { render };
