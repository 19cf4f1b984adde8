// A plane with a grid that may be bent: cells colored by log |det J|, grid lines, a cloud, a small square.

const EVERY = 3; // cells between lines that are drawn
const CLOUD = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"]; // by the quadrant in which a point began
const SQUEEZED = [94, 60, 153];
const STRETCHED = [230, 97, 1];
const SQUARE = "#d00000";

// Stretched is orange, squeezed is violet, neither is the ground.
function tint(value, most, theme) {
  const share = Math.max(-1, Math.min(1, value / most));
  const end = share > 0 ? STRETCHED : theme.dark ? [150, 120, 230] : SQUEEZED;
  return `rgb(${mix(theme.ground, end, 0.9 * Math.abs(share)).map(Math.round).join(",")})`;
}

class BentPlane {
  // name: of its axes; probed(x, y): a hand asks for a place
  constructor(title, name, probed) {
    Object.assign(this, { name, probed, view: 4, at: null });
    this.heading = make("div", { class: "galnb-plane-title" }, title);
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": "plane", "aria-label": `${title}; arrow keys move the small square` });
    this.el = make("div", { class: "galnb-plane" }, this.heading, this.canvas);
    this.canvas.addEventListener("pointermove", (event) => {
      const edge = this.canvas.getBoundingClientRect();
      this.ask([((event.clientX - edge.left) / edge.width) * 2 * this.view - this.view, this.view - ((event.clientY - edge.top) / edge.height) * 2 * this.view]);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!step) return;
      const far = event.shiftKey ? 0.02 : 0.1;
      const [x, y] = this.at || [0, 0];
      this.ask([x + far * step[0], y + far * step[1]]);
      event.preventDefault();
      event.stopPropagation();
    });
  }

  ask(at) {
    this.at = at.map((value) => Math.min(Math.max(value, -this.view), this.view));
    this.probed(...this.at);
  }

  // corners: (cells + 1)^2 points; shades: cells^2; dots: points, begun: where they began; others: the target
  draw({ corners, cells, shades, most, dots, begun, others, outline }, theme) {
    const { canvas, view } = this;
    const size = canvas.clientWidth;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(size * ratio)) canvas.width = canvas.height = Math.round(size * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = `rgb(${theme.ground.join(",")})`;
    context.fillRect(0, 0, size, size);
    const unit = size / (2 * view);
    const px = (x) => size / 2 + x * unit;
    const py = (y) => size / 2 - y * unit;
    const side = cells + 1;
    const corner = (k) => [px(corners[2 * k]), py(corners[2 * k + 1])];
    for (let row = 0; row < cells; row++) {
      for (let column = 0; column < cells; column++) {
        const k = row * side + column;
        context.beginPath();
        for (const at of [k, k + 1, k + side + 1, k + side]) context.lineTo(...corner(at));
        context.closePath();
        context.fillStyle = context.strokeStyle = tint(shades[row * cells + column], most, theme);
        context.lineWidth = 0.7; // or seams show between cells
        context.fill();
        context.stroke();
      }
    }
    context.strokeStyle = theme.dark ? "rgba(255,255,255,0.5)" : "rgba(0,0,0,0.42)";
    context.lineWidth = 1;
    context.beginPath();
    for (let line = 0; line < side; line += EVERY) {
      for (let k = 0; k < side; k++) context[k ? "lineTo" : "moveTo"](...corner(line * side + k));
      for (let k = 0; k < side; k++) context[k ? "lineTo" : "moveTo"](...corner(k * side + line));
    }
    context.stroke();
    if (others) {
      context.fillStyle = theme.dark ? "rgba(255,255,255,0.55)" : "rgba(0,0,0,0.5)";
      for (let k = 0; k < others.length; k += 2) context.fillRect(px(others[k]) - 1, py(others[k + 1]) - 1, 2, 2);
    }
    for (let k = 0; k < dots.length; k += 2) {
      context.beginPath();
      context.arc(px(dots[k]), py(dots[k + 1]), 3, 0, 2 * Math.PI);
      context.fillStyle = CLOUD[(begun[k] > 0 ? 1 : 0) + (begun[k + 1] > 0 ? 2 : 0)];
      context.fill();
      context.strokeStyle = theme.dark ? "rgba(0,0,0,0.7)" : "rgba(255,255,255,0.85)";
      context.lineWidth = 0.8;
      context.stroke();
    }
    if (outline) {
      context.beginPath();
      for (const [x, y] of outline) context.lineTo(px(x), py(y));
      context.closePath();
      context.strokeStyle = theme.dark ? "#000" : "#fff";
      context.lineWidth = 6;
      context.stroke();
      context.strokeStyle = theme.dark ? "#ff6b6b" : SQUARE;
      context.lineWidth = 3;
      context.stroke();
    }
    context.fillStyle = theme.text;
    context.font = `600 14px ${theme.font}`;
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.fillText(`${this.name}₁`, size - 6, size - 5);
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillText(`${this.name}₂`, 6, 6);
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    context.strokeRect(0.5, 0.5, size - 1, size - 1);
  }
}

// The scale of colors, and what it means.
function drawTints(canvas, most, theme) {
  const [wide, tall] = [54, canvas.clientHeight];
  const context = sharp(canvas, wide, tall);
  const [top, bottom] = [22, tall - 22];
  for (let y = top; y < bottom; y++) {
    context.fillStyle = tint(most * (1 - (2 * (y - top)) / (bottom - top)), most, theme);
    context.fillRect(0, y, 16, 1.5);
  }
  context.strokeStyle = theme.line;
  context.strokeRect(0.5, top - 0.5, 15, bottom - top + 1);
  context.fillStyle = theme.text;
  context.font = `14px ${theme.font}`;
  context.textBaseline = "middle";
  for (const share of [1, 0.5, 0, -0.5, -1]) {
    const value = most * share;
    context.fillText(`${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value)}`, 20, Math.min(Math.max(top + ((1 - share) / 2) * (bottom - top), top + 6), bottom - 6));
  }
}
