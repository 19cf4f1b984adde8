// A small picture, large: its pixels, one of them under the pointer or the arrow keys, and those that come before it.

// Fabio Crameri's vik and berlin, perceptually even from both ends: for a light and for a dark page
const DIVERGING = {
  light: ["#001261", "#033e7d", "#1e6f9d", "#71a8c4", "#c9dde7", "#eacebd", "#d39774", "#be6533", "#8b2706", "#590008"],
  dark: ["#9eb0ff", "#5aa3da", "#2d7597", "#194155", "#11181d", "#270c01", "#501802", "#8a3f2a", "#c5706a", "#ffadad"],
};

// The color of a share 0..1 of a scale: of one sign, or about zero.
function shade(share, diverging, theme) {
  if (!diverging) return sample("magma", share);
  const anchors = DIVERGING[theme.dark ? "dark" : "light"];
  const at = Math.min(Math.max(share, 0), 1) * (anchors.length - 1);
  const low = Math.min(Math.floor(at), anchors.length - 2);
  return mix(rgb(anchors[low]), rgb(anchors[low + 1]), at - low);
}

class PixelView {
  // pointed(row, column): a pixel is under the pointer; left(): none is; taken(row): a click, or Enter
  constructor(words, { pointed, left, taken }) {
    Object.assign(this, { words, pointed, left, taken, size: 0, source: null, cursor: null, veil: false, cut: null });
    this.canvas = make("canvas", { class: "galnb-pixels", tabindex: "0", role: "application", "aria-roledescription": "picture of pixels", "aria-label": words });
    this.canvas.addEventListener("pointermove", (event) => this.size && this.pointed(...this.at(event)));
    this.canvas.addEventListener("pointerdown", (event) => this.size && this.pointed(...this.at(event)));
    this.canvas.addEventListener("pointerleave", () => this.left());
    this.canvas.addEventListener("blur", () => this.left());
    this.canvas.addEventListener("click", (event) => this.size && event.pointerType !== "touch" && this.taken(this.at(event)[0]));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  at(event) {
    const edge = this.canvas.getBoundingClientRect();
    const cell = (share) => Math.min(Math.max(Math.floor(share * this.size), 0), this.size - 1);
    return [cell((event.clientY - edge.top) / edge.height), cell((event.clientX - edge.left) / edge.width)];
  }
  key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!this.size || (!step && event.key !== "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    const [row, column] = this.cursor || [this.size >> 1, this.size >> 1];
    if (!step) return this.taken(row);
    const far = event.shiftKey ? 4 : 1;
    const cell = (value) => Math.min(Math.max(value, 0), this.size - 1);
    this.pointed(cell(row + far * step[0]), cell(column + far * step[1]));
  }

  // colors: function of the pixel's number, [r, g, b]
  fill(size, colors) {
    this.size = size;
    this.source = new OffscreenCanvas(size, size);
    const context = this.source.getContext("2d");
    const picture = context.createImageData(size, size);
    for (let k = 0; k < size * size; k++) {
      const [r, g, b] = colors(k);
      picture.data.set([r, g, b, 255], 4 * k);
    }
    context.putImageData(picture, 0, 0);
    const side = size * Math.max(1, Math.round(320 / size));
    this.canvas.style.setProperty("--side", `${Math.max(side, 288)}px`);
  }

  paint(theme) {
    const { canvas, size, cursor } = this;
    const side = canvas.clientWidth || 320;
    const context = sharp(canvas, side, side);
    if (!size) return;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.source, 0, 0, side, side);
    const unit = side / size;
    if (this.cut !== null) {
      context.setLineDash([6, 4]);
      for (const [color, wide] of [["rgba(0,0,0,0.7)", 4], ["#ffffff", 2]]) {
        context.strokeStyle = color;
        context.lineWidth = wide;
        context.beginPath();
        context.moveTo(0, this.cut * unit);
        context.lineTo(side, this.cut * unit);
        context.stroke();
      }
      context.setLineDash([]);
    }
    if (!cursor) return;
    const [row, column] = cursor;
    const [x, y] = [column * unit, row * unit];
    if (this.veil) {
      context.fillStyle = `rgba(${theme.ground.join(",")},0.62)`; // what the network has not seen
      context.fillRect(x + unit, y, side - x - unit, unit);
      context.fillRect(0, y + unit, side, side - y - unit);
    }
    const steps = new Path2D();
    steps.moveTo(0, y + unit);
    for (const [a, b] of [[x, y + unit], [x, y], [side, y]]) steps.lineTo(a, b);
    for (const [color, wide] of [["rgba(0,0,0,0.75)", 4], ["#ffd23f", 2]]) {
      context.strokeStyle = color;
      context.lineWidth = wide;
      context.stroke(steps);
      context.strokeRect(x, y, unit, unit);
    }
  }
}

// A scale of colors with its numbers, from low at the bottom to high at the top.
function drawRamp(canvas, low, high, diverging, theme) {
  const [wide, tall] = [canvas.clientWidth || 58, canvas.clientHeight || 320];
  const context = sharp(canvas, wide, tall);
  const [top, bottom] = [7, tall - 7];
  for (let y = top; y < bottom; y++) {
    context.fillStyle = `rgb(${shade((bottom - y) / (bottom - top), diverging, theme).map(Math.round).join(",")})`;
    context.fillRect(0, y, 14, 1.5);
  }
  context.strokeStyle = theme.line;
  context.strokeRect(0.5, top - 0.5, 14, bottom - top + 1);
  context.fillStyle = theme.text;
  context.font = `12px ${theme.font}`;
  context.textBaseline = "middle";
  const { places, step } = ticks(low, high, 7);
  for (const value of places) context.fillText(shown(value, step), 20, bottom - ((value - low) / (high - low || 1)) * (bottom - top));
}
