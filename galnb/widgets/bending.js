// A Gaussian and its grid at the left, the same after some layers at the right; sliders a layer, and what the Jacobian says.

const UNBENT = -Math.log(2 * Math.PI) - 1;
const signed = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–");
const floats = (bytes) => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

function render({ model, el }) {
  el.classList.add("galnb-gallery", "galnb-bending");
  keepKeys(el);
  const send = (t, more = {}) => model.send({ t, ...more });
  const here = { state: null, frame: null, target: null, probe: null, asked: ["u", 0.9, 0.6], seq: 0, under: {}, wanted: {} };
  const button = (label, words, act) => make("button", { type: "button", title: words, onclick: act }, label);
  const chooser = (words, act) => make("select", { "aria-label": words, title: words, onchange: (event) => act(event.target.value) });
  const group = (...children) => make("span", { class: "galnb-group" }, ...children);
  const target = chooser("Target", (name) => send("target", { name }));
  const kind = chooser("What learns", () => {});
  const learn = button("Let it learn", "Learn layers that bend the Gaussian into the target", () => {
    status.textContent = "Learning …";
    send("learn", { kind: kind.value, layers: here.state.learned || Math.max(4, here.state.layers.length) });
  });
  const stop = button("Stop", "Stop learning; what was learned stays", () => send("stop"));
  const reset = button("Reset", "Back to the first layers, set by hand", () => send("reset"));
  const status = make("span", { class: "galnb-doing", role: "status", "aria-live": "polite" }, "Waiting for the kernel …");
  const problem = make("button", { type: "button", class: "galnb-problem", title: "Dismiss", hidden: true, onclick: () => (problem.hidden = true) });
  problem.setAttribute("aria-live", "assertive");
  const before = new BentPlane("u: a Gaussian", "u", (x, y) => look("u", x, y));
  const after = new BentPlane("x: bent", "x", (x, y) => look("x", x, y));
  const scale = make("canvas", { class: "galnb-tints", role: "img", "aria-label": "Colors of log |det J|: orange is stretched, violet is squeezed" });
  const tints = make("div", { class: "galnb-scale" }, make("div", { class: "galnb-plane-title" }, "log |det J|"), make("div", {}, "stretched"), scale, make("div", {}, "squeezed"));
  const depth = make("input", { type: "range", min: 0, max: 2, step: 0.01, "aria-label": "How many layers are applied", oninput: () => change(false) });
  const depthWords = make("output", { class: "galnb-depth" });
  const score = make("div", { class: "galnb-big" }, "–");
  const gain = make("div", {});
  const curve = make("canvas", { class: "galnb-curve", role: "img", hidden: true });
  const numbers = make("div", { class: "galnb-jacobian", role: "img" });
  const determinant = make("div", { class: "galnb-big" });
  const area = make("div", {});
  const logs = make("div", { class: "galnb-logs" });
  const readout = make("div", { class: "galnb-readout" },
    make("section", { "aria-label": "Likelihood of the target" }, make("h4", {}, "mean log p of the target"), score, gain, curve),
    make("section", { "aria-label": "Jacobian at the pointer" }, make("h4", {}, "at the red square"), make("div", { class: "galnb-pair" }, make("span", {}, "J = "), numbers), determinant, area, logs));
  const cards = make("div", { class: "galnb-cards" });
  const add = button("+ layer", "Add a layer", () => resize(1));
  const drop = button("− layer", "Take the last layer away", () => resize(-1));
  const byHand = group(add, drop);
  const learnt = make("span", { class: "galnb-faint" });
  el.append(
    make("div", { class: "galnb-toolbar", role: "toolbar", "aria-label": "Bending tools" }, make("label", {}, make("span", {}, "Target"), target),
      group(learn), kind, group(stop), group(reset), byHand, learnt, status),
    problem, make("div", { class: "galnb-planes" }, before.el, after.el, tints, readout),
    make("label", { class: "galnb-morph" }, make("span", {}, "layers applied"), depth, depthWords), cards);

  // One question of a kind under way, the newest wins.
  function post(name, message) {
    here.wanted[name] = message;
    if (here.under[name]) return;
    delete here.wanted[name];
    here.under[name] = performance.now();
    send(name, message);
    clearTimeout(here[`${name}Watch`]);
    here[`${name}Watch`] = setTimeout(() => answered(name), 3000);
  }
  function answered(name) {
    here.under[name] = 0;
    if (here.wanted[name]) post(name, here.wanted[name]);
  }
  function look(side, x, y) {
    here.asked = [side, x, y];
    post("probe", { side, x, y });
  }
  function change(layersToo) {
    const learned = here.state.learned;
    depthWords.textContent = words();
    post("set", { layers: layersToo || !learned ? (learned ? null : here.state.layers) : null, depth: Number(depth.value), seq: ++here.seq });
  }
  const words = () => `${Number(depth.value).toFixed(2)} of ${depth.max}`;
  function resize(by) {
    const { layers, most } = here.state;
    if (layers.length + by < 1 || layers.length + by > most) return;
    if (by > 0) layers.push({ shift: 0.6, scale: 0.3, wiggle: 1 });
    else layers.pop();
    fill();
    depth.value = layers.length;
    change(true);
  }

  // Sliders of each layer.
  function fill() {
    const { layers, ranges, learned, most, learning } = here.state;
    const n = learned || layers.length;
    depth.max = n;
    add.disabled = drop.disabled = !!learned || learning;
    if (!learned) {
      add.disabled ||= layers.length >= most;
      drop.disabled ||= layers.length <= 1;
    }
    learnt.textContent = learned ? `${n} learned layers` : "";
    byHand.hidden = !!learned;
    cards.hidden = !!learned;
    if (learned) return;
    cards.replaceChildren(...layers.map((layer, k) => {
      const moves = k % 2 ? "x₁" : "x₂";
      const by = k % 2 ? "x₂" : "x₁";
      const rows = Object.entries(ranges).map(([name, [low, high]]) => {
        const value = make("output", {}, signed(layer[name]));
        const slider = make("input", { type: "range", min: low, max: high, step: 0.01, value: layer[name], "aria-label": `Layer ${k + 1}: ${name}`,
          oninput: () => {
            layer[name] = Number(slider.value);
            value.textContent = signed(layer[name]);
            if (Number(depth.value) < k + 1) depth.value = k + 1; // or nothing would be seen to move
            change(true);
          },
          ondblclick: () => ((slider.value = name === "wiggle" ? 1 : 0), slider.dispatchEvent(new Event("input"))) });
        return make("label", {}, make("span", {}, name), slider, value);
      });
      return make("fieldset", {}, make("legend", {}, `Layer ${k + 1}`, make("span", { class: "galnb-faint" }, ` ${moves} → ${moves}·exp(s(${by})) + t(${by})`)), ...rows);
    }));
  }

  let scheduled = false;
  function redraw() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      if (!here.frame) return;
      const theme = themeOf(el);
      const { frame } = here;
      const shared = { cells: here.state.cells, shades: frame.shades, most: frame.most, begun: frame.cloud };
      before.view = after.view = frame.view;
      before.draw({ ...shared, corners: flat(here.state), dots: frame.cloud, outline: here.probe?.square }, theme);
      after.draw({ ...shared, corners: frame.corners, dots: frame.dots, others: here.target, outline: here.probe?.bent }, theme);
      drawTints(scale, frame.most, theme);
      drawCurve(curve, frame.curve, theme);
    });
  }
  function flat({ cells, extent }) {
    const side = cells + 1;
    const out = new Float32Array(2 * side * side);
    for (let k = 0; k < side * side; k++) {
      out[2 * k] = extent * ((2 * (k % side)) / cells - 1);
      out[2 * k + 1] = extent * ((2 * Math.floor(k / side)) / cells - 1);
    }
    return out;
  }
  function drawCurve(canvas, points, theme) {
    canvas.hidden = points.length < 2;
    if (canvas.hidden) return;
    const [wide, tall] = [canvas.clientWidth, canvas.clientHeight];
    const context = sharp(canvas, wide, tall);
    const values = points.map(([, value]) => value);
    const [low, high] = [Math.min(UNBENT - 0.1, ...values), Math.max(...values) + 0.05];
    const y = (value) => tall - 3 - ((value - low) / (high - low)) * (tall - 6);
    context.strokeStyle = theme.faint;
    context.setLineDash([4, 4]);
    context.beginPath();
    context.moveTo(0, y(UNBENT));
    context.lineTo(wide, y(UNBENT));
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = `rgb(${theme.accent.join(",")})`;
    context.lineWidth = 2.5;
    context.beginPath();
    points.forEach(([step, value]) => context.lineTo((step / points[points.length - 1][0]) * wide, y(value)));
    context.stroke();
    canvas.setAttribute("aria-label", `mean log p while it learns, from ${signed(values[0])} to ${signed(values[values.length - 1])} nats`);
  }

  const hear = {
    state: (message) => {
      here.state = message;
      for (const [select, names, value] of [[target, message.targets, message.target], [kind, message.kinds, message.chosen]]) {
        select.replaceChildren(...names.map((name) => make("option", { value: name }, { realnvp: "RealNVP", nsf: "splines (NSF)" }[name] || name)));
        select.value = value;
      }
      learn.disabled = message.learning;
      stop.disabled = !message.learning;
      status.textContent = message.learning ? "Learning …" : "";
      problem.hidden = true;
      fill();
    },
    target: (message, buffers) => {
      here.target = floats(buffers[0]);
      redraw();
    },
    frame: (message, buffers) => {
      const all = floats(buffers[0]);
      const corners = 2 * (here.state.cells + 1) ** 2;
      if (message.learned && here.state.learned !== message.of) {
        here.state.learned = message.of;
        fill();
      }
      here.frame = { ...message, corners: all.subarray(0, corners), dots: all.subarray(corners), shades: floats(buffers[1]), cloud: floats(buffers[2]) };
      if (!here.wanted.set && document.activeElement !== depth) depth.value = message.depth;
      depthWords.textContent = words();
      after.heading.textContent = `x: after ${Number(message.depth.toFixed(2))} layer${message.depth === 1 ? "" : "s"}`;
      if (message.step) status.textContent = `Learning: step ${message.step} of ${message.steps}`;
      if (message.seq) {
        el.dataset.ms = (performance.now() - here.under.set).toFixed(1);
        answered("set");
      }
      el.dataset.turn = Number(el.dataset.turn || 0) + 1;
      post("probe", { side: here.asked[0], x: here.asked[1], y: here.asked[2] });
      redraw();
    },
    score: (message) => {
      score.textContent = `${signed(message.mean)} nats`;
      const more = message.mean - UNBENT;
      gain.textContent = `${more >= 0 ? "+" : "−"}${Math.abs(more).toFixed(2)} on the unbent Gaussian (${signed(UNBENT)})`;
    },
    probe: (message) => {
      here.probe = message;
      const { jacobian: j, det, before: a, after: b } = message;
      numbers.replaceChildren(...j.flat().map((value) => make("span", {}, signed(value))));
      numbers.setAttribute("aria-label", `rows ${j.map((row) => row.map((v) => signed(v)).join(" ")).join("; ")}`);
      determinant.textContent = `det J = ${signed(det)}`;
      area.textContent = `its area: ${signed(a, 3)} → ${signed(b, 3)}, × ${signed(b / a)}`;
      logs.replaceChildren(make("span", {}, "log p(x)"), make("span", {}, "= log p(u)"), make("span", {}, "− log |det J|"), make("b", {}, signed(message.log_x)), make("span", {}, `= ${signed(message.log_u)}`), make("span", {}, `− (${signed(Math.log(det))})`));
      answered("probe");
      redraw();
    },
    problem: (message) => {
      answered("set");
      answered("probe");
      status.textContent = "";
      problem.textContent = message.text;
      problem.hidden = false;
    },
  };
  const end = converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
  const sizes = new ResizeObserver(redraw);
  sizes.observe(el);
  const unthemed = onTheme(redraw);
  return () => {
    end();
    sizes.disconnect();
    unthemed();
  };
}

export default { render };
