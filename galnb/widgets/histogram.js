// Distributions of one number in several sets, as steps with bands, and a range of it under a hand.

const DASHES = [[], [9, 3], [3, 3], [12, 3, 3, 3], [6, 2, 2, 2, 2, 2]]; // sets are told apart without colors, too
const PLOT = { left: 46, right: 14, top: 26, bottom: 40 };
const GRIP = 6; // px about an end of the range, by which it is taken

// The color of set k; on a dark page a little lighter.
function colorOf(k, theme) {
  const color = rgb(OKABE_ITO[k % OKABE_ITO.length]);
  return `rgb(${(theme.dark ? mix(color, [255, 255, 255], 0.28) : color).map(Math.round).join(",")})`;
}

class Histogram {
  // brushed(low, high, moving): a hand has a range; null, null: none
  constructor(brushed) {
    Object.assign(this, { brushed, curves: null, brush: null, marks: [], picked: null, drawn: [], drag: null });
    this.canvas = make("canvas", { class: "galnb-histogram", tabindex: "0", role: "application", "aria-roledescription": "histogram" });
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, (event) => this.up(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  get ends() {
    const { edges } = this.curves;
    return [edges[0], edges[edges.length - 1]];
  }
  get bin() {
    return this.curves.edges[1] - this.curves.edges[0];
  }
  get width() {
    return this.canvas.clientWidth || 560;
  }
  x(value) {
    const [low, high] = this.ends;
    const share = Math.min(Math.max((value - low) / (high - low), 0), 1);
    return PLOT.left + share * (this.width - PLOT.left - PLOT.right);
  }
  at(event) {
    const [low, high] = this.ends;
    const share = (event.clientX - this.canvas.getBoundingClientRect().left - PLOT.left) / (this.width - PLOT.left - PLOT.right);
    return low + Math.min(Math.max(share, 0), 1) * (high - low);
  }

  // a range that reaches an end takes what lies beyond it, as the outermost bin does
  told(moving) {
    if (!this.brush) return this.brushed(null, null, moving);
    const [low, high] = this.ends;
    const [a, b] = this.brush;
    const near = this.bin / 50;
    this.brushed(a <= low + near ? null : a, b >= high - near ? null : b, moving);
  }

  down(event) {
    if (!this.curves || event.button) return;
    const value = this.at(event);
    const px = this.x(value);
    const [a, b] = (this.brush || [NaN, NaN]).map((end) => this.x(end));
    const kind = Math.abs(px - a) < GRIP ? "low" : Math.abs(px - b) < GRIP ? "high" : px > a && px < b ? "all" : "new";
    this.drag = { kind, from: value, brush: this.brush, x: event.clientX, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  }
  move(event) {
    if (!this.curves) return;
    if (!this.drag) {
      const px = this.x(this.at(event));
      const [a, b] = (this.brush || [NaN, NaN]).map((end) => this.x(end));
      this.canvas.style.cursor = Math.min(Math.abs(px - a), Math.abs(px - b)) < GRIP ? "ew-resize" : px > a && px < b ? "grab" : "crosshair";
      return;
    }
    const { kind, from, brush, x } = this.drag;
    if (Math.abs(event.clientX - x) > 3) this.drag.moved = true;
    if (!this.drag.moved) return;
    const value = this.at(event);
    const [low, high] = this.ends;
    if (kind === "new") this.brush = [Math.min(from, value), Math.max(from, value)];
    else if (kind === "all") {
      const by = Math.min(Math.max(value - from, low - brush[0]), high - brush[1]);
      this.brush = [brush[0] + by, brush[1] + by];
    } else {
      const other = kind === "low" ? brush[1] : brush[0];
      this.brush = [Math.min(other, value), Math.max(other, value)];
    }
    if (this.brush[1] - this.brush[0] < (high - low) / 1000) return;
    this.redraw();
    this.told(true);
  }
  up() {
    if (!this.drag) return;
    const { moved, kind } = this.drag;
    this.drag = null;
    if (!moved && kind !== "new") return;
    if (!moved) this.brush = null;
    this.redraw();
    this.told(false);
  }

  key(event) {
    if (!this.curves || !["ArrowLeft", "ArrowRight", "Escape", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const [low, high] = this.ends;
    const { bin } = this;
    const by = { ArrowLeft: -bin, ArrowRight: bin }[event.key];
    if (event.key === "Escape") this.brush = null;
    else if (event.key === "Home") this.brush = [low, low + 3 * bin];
    else if (event.key === "End") this.brush = [high - 3 * bin, high];
    else if (!this.brush) this.brush = [0, 3].map((k) => low + (Math.floor((high - low) / bin / 2) - 1 + k) * bin);
    else if (event.shiftKey) this.brush = [this.brush[0], Math.min(Math.max(this.brush[1] + by, this.brush[0] + bin), high)];
    else {
      const step = Math.min(Math.max(by, low - this.brush[0]), high - this.brush[1]);
      this.brush = this.brush.map((end) => end + step);
    }
    this.redraw();
    this.told(false);
  }

  say(counts) {
    const { curves, brush, picked } = this;
    if (!curves) return;
    const range = brush ? `; range ${said(brush[0])} to ${said(brush[1])}${counts ? `, with ${counts}` : ""}` : "";
    const words = `Distributions of ${curves.label} in ${curves.names.join(", ")}, from ${said(this.ends[0])} to ${said(this.ends[1])}${range}${picked ? `; the picked galaxy is at ${said(picked.value)}` : ""}`;
    this.canvas.setAttribute("aria-label", `${words}. Arrow keys move a range, with Shift they widen it, Home and End go to the least and the most likely, Escape clears`);
  }

  redraw() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.paint(themeOf(this.canvas));
    });
  }

  paint(theme) {
    const { canvas, curves, width } = this;
    const tall = canvas.clientHeight || 260;
    const context = sharp(canvas, width, tall);
    if (!curves) return;
    const { edges, sets, order } = curves;
    const ground = tall - PLOT.bottom;
    const percent = 100 * this.bin;
    const most = 1.06 * percent * Math.max(...sets.flatMap((set) => [...set.high, ...set.density]));
    const y = (density) => ground - ((percent * density) / most) * (ground - PLOT.top);
    const x = (value) => this.x(value);
    context.font = `12px ${theme.font}`;
    context.lineWidth = 1;
    context.fillStyle = theme.faint;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const up = ticks(0, most, (ground - PLOT.top) / 45);
    for (const tick of up.places) {
      const at = Math.round(ground - (tick / most) * (ground - PLOT.top)) + 0.5;
      context.fillText(shown(tick, up.step), PLOT.left - 6, at);
      context.strokeStyle = theme.line;
      context.globalAlpha = 0.55;
      context.beginPath();
      context.moveTo(PLOT.left, at);
      context.lineTo(width - PLOT.right, at);
      context.stroke();
      context.globalAlpha = 1;
    }
    if (this.brush) {
      const [a, b] = this.brush.map(x);
      context.fillStyle = `rgba(${theme.accent.join(",")},0.16)`;
      context.fillRect(a, PLOT.top, b - a, ground - PLOT.top);
      context.fillStyle = `rgb(${theme.accent.join(",")})`;
      for (const end of [a, b]) context.fillRect(end - 1, PLOT.top, 2, ground - PLOT.top);
    }
    const outline = (path, values) => values.forEach((value, k) => [k, k + 1].forEach((end) => path.lineTo(x(edges[end]), y(value))));
    sets.forEach((set, k) => {
      const band = new Path2D();
      outline(band, [...set.high]);
      [...set.low].map((value, j) => [value, j]).reverse().forEach(([value, j]) => [j + 1, j].forEach((end) => band.lineTo(x(edges[end]), y(value))));
      context.globalAlpha = 0.24;
      context.fillStyle = colorOf(order[k], theme);
      context.fill(band);
      context.globalAlpha = 1;
    });
    sets.forEach((set, k) => {
      const line = new Path2D();
      line.moveTo(x(edges[0]), ground);
      outline(line, [...set.density]);
      line.lineTo(x(edges[edges.length - 1]), ground);
      context.setLineDash(DASHES[order[k] % DASHES.length]);
      context.strokeStyle = colorOf(order[k], theme);
      context.lineWidth = 2.2;
      context.stroke(line);
    });
    context.setLineDash([]);
    context.lineWidth = 1.5;
    for (const [value, k] of this.marks) {
      context.strokeStyle = colorOf(order[k] ?? k, theme);
      context.beginPath();
      context.moveTo(x(value), ground - 11);
      context.lineTo(x(value), ground);
      context.stroke();
    }
    this.axis(context, ground, tall, theme);
    this.pointers(context, ground, theme);
    this.say(this.counts);
  }

  axis(context, ground, tall, theme) {
    const { width } = this;
    const [low, high] = this.ends;
    context.lineWidth = 1;
    context.strokeStyle = theme.faint;
    context.fillStyle = theme.faint;
    context.beginPath();
    context.moveTo(PLOT.left, ground + 0.5);
    context.lineTo(width - PLOT.right, ground + 0.5);
    context.textAlign = "center";
    context.textBaseline = "top";
    const across = ticks(low, high, width / 95);
    for (const tick of across.places) {
      const at = Math.round(this.x(tick)) + 0.5;
      context.moveTo(at, ground);
      context.lineTo(at, ground + 4);
      context.fillText(across.step >= 1 ? counted(tick).replace("-", "−") : shown(tick, across.step), at, ground + 7);
    }
    context.stroke();
    context.fillStyle = theme.text;
    context.textBaseline = "bottom";
    context.fillText(this.curves.label.replaceAll(" - ", " − ").replace(/^- /, "− "), (PLOT.left + width - PLOT.right) / 2, tall - 1);
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillText("% of the galaxies in a bin", 4, 3);
  }

  // The picked galaxy, and those that were drawn, which do not exist.
  pointers(context, ground, theme) {
    const stem = (value, color, dash, top) => {
      context.strokeStyle = context.fillStyle = color;
      context.setLineDash(dash);
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(this.x(value), top);
      context.lineTo(this.x(value), ground);
      context.stroke();
      context.setLineDash([]);
    };
    for (const value of this.drawn) {
      const at = this.x(value);
      stem(value, theme.faint, [2, 3], PLOT.top + 6);
      context.beginPath();
      for (const [dx, dy] of [[0, -5], [5, 0], [0, 5], [-5, 0]]) context.lineTo(at + dx, PLOT.top + 6 + dy);
      context.fill();
    }
    if (!this.picked || !Number.isFinite(this.picked.value)) return;
    const { value } = this.picked;
    const [low, high] = this.ends;
    stem(value, theme.text, [], PLOT.top - 4);
    const words = `${value < low ? "← " : ""}picked ${said(value)}${value > high ? " →" : ""}`;
    context.font = `600 12px ${theme.font}`;
    const half = context.measureText(words).width / 2;
    const least = 4 + half + (this.x(value) < 260 ? 168 : 0); // beside the words of the axis
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText(words, Math.min(Math.max(this.x(value), least), this.width - half - 2), PLOT.top - 6);
  }
}
