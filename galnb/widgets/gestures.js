// Hands: wheel, drag, lasso, box, click, and the same by keyboard. `map` is the state that latent_map.js draws.

const KEYS = [
  ["Drag, arrow keys", "move the map"],
  ["Wheel, + and −", "zoom, about the cursor or the crosshair"],
  ["0 or Home", "fit all galaxies"],
  ["Click, Enter", "pick the galaxy under the cursor or crosshair; on empty space, decode what would live there"],
  ["L, B, H", "lasso, box, hand"],
  ["Shift, Alt + drag", "add to the selection, take from it (with the hand: a lasso)"],
  ["Lasso or box by keyboard", "arrows move the crosshair, Space sets a corner, Enter closes the shape (Shift adds, Alt takes away)"],
  ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"],
  ["Esc", "drop the shape that is being drawn, then clear selection and pick"],
  ["T", "pictures of galaxies on the map"],
  ["C", "next color map"],
  ["R", "contours, where there are any"],
  ["?", "these keys"],
];

const AIMED = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "=", "-", "_", "Enter", " "]);
const PACE = 650; // ms between frames while one zooms: the old one, stretched, will do so long
const modeOf = (event) => (event.shiftKey ? "add" : event.altKey ? "subtract" : "replace");

function zoomed(view, at, factor, home) {
  const [x, y] = at;
  const span = home ? home[1] - home[0] : view[1] - view[0];
  const wide = (view[1] - view[0]) * factor;
  if (wide < span * 1e-5 || wide > span * 30) return view;
  return [x - (x - view[0]) * factor, x + (view[1] - x) * factor, y - (y - view[2]) * factor, y + (view[3] - y) * factor];
}

function gestures(canvas, map) {
  const { toData, toPixel, inside } = map;
  let drag = null;
  const place = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  };
  const select = (path, mode, shape) => {
    if (shape === "box") {
      const [a, b] = [path[0], path[path.length - 1]];
      const box = [Math.min(a[0], b[0]), Math.max(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[1], b[1])];
      if (box[1] > box[0] && box[3] > box[2]) map.command({ t: "box", box, mode });
    } else if (path.length > 2) map.command({ t: "lasso", polygon: path, mode });
  };
  const pickAt = (at) => {
    const picture = map.pictureAt(at);
    if (picture !== null) return map.command({ t: "pick", row: picture });
    const [x, y] = toData(at);
    const [ax, ay] = toData([at[0] + 8, at[1] - 8]);
    map.command({ t: "click", x, y, rx: Math.abs(ax - x), ry: Math.abs(ay - y) });
  };

  const down = (event) => {
    if (event.button || !map.view) return;
    const at = place(event);
    canvas.focus({ preventScroll: true });
    map.cross = null;
    if (!inside(at)) return map.onMargin(at);
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    const lassoing = map.tool === "lasso" || (map.tool === "pan" && (event.shiftKey || event.altKey));
    const shape = map.tool === "box" ? "box" : lassoing ? "lasso" : "pan";
    drag = { at, last: at, shape, mode: modeOf(event), moved: false, view: map.view, path: [toData(at)] };
  };
  const move = (event) => {
    const at = place(event);
    map.hover = inside(at) ? at : null;
    if (!drag) return;
    if (!drag.moved && Math.hypot(at[0] - drag.at[0], at[1] - drag.at[1]) < 4) return;
    drag.moved = true;
    if (drag.shape === "pan") {
      const [x0, x1, y0, y1] = drag.view;
      const dx = ((at[0] - drag.at[0]) / map.box.width) * (x1 - x0);
      const dy = ((at[1] - drag.at[1]) / map.box.height) * (y1 - y0);
      canvas.style.cursor = "grabbing";
      return map.look([x0 - dx, x1 - dx, y0 + dy, y1 + dy], 150);
    }
    const far = Math.hypot(at[0] - drag.last[0], at[1] - drag.last[1]) >= 3;
    if (drag.shape === "box") drag.path = [drag.path[0], toData(at)];
    else if (far && drag.path.length < 10000) drag.path.push(toData(at));
    if (far) drag.last = at;
    map.path = { points: drag.path, shape: drag.shape, mode: drag.mode };
    map.redraw();
  };
  const up = (event) => {
    if (!drag) return;
    const done = drag;
    drag = null;
    map.path = null;
    map.setCursor();
    if (event.type === "pointercancel") return map.redraw();
    if (!done.moved) return pickAt(done.at);
    if (done.shape === "pan") return map.look(map.view, 0);
    select(done.path, done.mode, done.shape);
    map.redraw();
  };
  const wheel = (event) => {
    const at = place(event);
    if (!map.view || !inside(at)) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : event.deltaMode === 2 ? 300 : 1;
    const turn = Math.max(-240, Math.min(240, event.deltaY * lines * (event.ctrlKey ? 6 : 1)));
    map.look(zoomed(map.view, toData(at), Math.exp(turn * 0.0017), map.state.home), PACE);
  };

  const step = (dx, dy, event) => {
    if (map.tool === "pan") {
      const [x0, x1, y0, y1] = map.view;
      const [sx, sy] = [(x1 - x0) * 0.1 * dx, (y1 - y0) * 0.1 * dy];
      return map.look([x0 + sx, x1 + sx, y0 + sy, y1 + sy], PACE);
    }
    const far = event.shiftKey ? 2 : 16;
    const { x, y, width, height } = map.box;
    const [cx, cy] = map.cross;
    map.cross = [Math.min(Math.max(cx + dx * far, x), x + width), Math.min(Math.max(cy - dy * far, y), y + height)];
    if (map.corners.length) map.path = { points: [...map.corners, toData(map.cross)], shape: map.tool, mode: "replace" };
    const [px, py] = toData(map.cross);
    map.say(`crosshair at ${brief(px)}, ${brief(py)}`);
    map.redraw();
  };
  const close = (event) => {
    if (map.tool !== "pan" && map.corners.length) {
      select([...map.corners, toData(map.cross)], modeOf(event), map.tool);
      map.corners = [];
      map.path = null;
      return map.redraw();
    }
    pickAt(map.cross);
  };
  const corner = () => {
    if (map.tool === "pan") return;
    map.corners.push(toData(map.cross));
    map.say(`corner ${map.corners.length} set`);
    if (map.tool === "box" && map.corners.length === 2) {
      select(map.corners, "replace", "box");
      map.corners = [];
      map.path = null;
    }
    map.redraw();
  };
  const escape = () => {
    if (map.showKeys(false)) return;
    if (map.corners.length || drag) {
      map.corners = [];
      drag = map.path = null;
      return map.redraw();
    }
    map.command({ t: "clear" });
  };
  const zoom = (factor) => () => map.look(zoomed(map.view, toData(map.cross), factor, map.state.home), PACE);
  const KEY = {
    ArrowLeft: (e) => step(-1, 0, e), ArrowRight: (e) => step(1, 0, e), ArrowUp: (e) => step(0, 1, e), ArrowDown: (e) => step(0, -1, e),
    "+": zoom(0.8), "=": zoom(0.8), "-": zoom(1.25), _: zoom(1.25), 0: () => map.fit(), Home: () => map.fit(),
    l: () => map.use("lasso"), b: () => map.use("box"), h: () => map.use("pan"), t: () => map.togglePictures(),
    c: () => map.nextPalette(), r: () => map.toggleContours(), Enter: close, " ": corner, Escape: escape, "?": () => map.showKeys(),
  };
  const key = (event) => {
    if (!map.view) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      const redo = name === "y" || (name === "z" && event.shiftKey);
      if (name !== "z" && name !== "y") return;
      map.command({ t: redo ? "redo" : "undo" });
    } else {
      if (!KEY[name]) return;
      const { x, y, width, height } = map.box;
      if (AIMED.has(name)) map.cross = map.cross || [x + width / 2, y + height / 2];
      KEY[name](event);
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const leave = () => ((map.hover = null), map.redraw());

  const listeners = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up, pointerleave: leave, keydown: key };
  for (const [name, listener] of Object.entries(listeners)) canvas.addEventListener(name, listener);
  canvas.addEventListener("wheel", wheel, { passive: false });
}
