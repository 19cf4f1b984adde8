// Color maps as a few anchors each, interpolated in the browser, so that a change of theme or palette costs no message.

const ANCHORS = {
  // lightness falls (light theme) or rises (dark theme) evenly from few to many
  ink: ["#c9d9e8", "#8fb4d6", "#4f86c0", "#2f5597", "#1d2e66", "#120f33"],
  glow: ["#27405f", "#2f6690", "#3d8fb3", "#6cbcc4", "#b9e0c9", "#fdf8dc"],
  cividis: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"],
  viridis: ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  magma: ["#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d", "#fcfdbf"],
};
// Okabe & Ito 2008, then lighter and darker kin; figures.py has the first eight
const OKABE_ITO = [
  "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#7f7f7f",
  "#66aad1", "#f0c566", "#66c5ab", "#e69e66", "#9ad2f2", "#e0afca", "#004a74", "#966700", "#006749", "#8a3d00", "#855070", "#b2b2b2",
];

function rgb(color) {
  const hex = { white: "#ffffff", black: "#000000" }[color.trim()] ?? color.trim(); // JupyterLab says "white"
  if (/^#[0-9a-f]{6}$/i.test(hex)) return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
  if (/^#[0-9a-f]{3}$/i.test(hex)) return [1, 2, 3].map((k) => 17 * parseInt(hex[k], 16));
  const parts = hex.match(/[\d.]+/g);
  return parts && parts.length >= 3 ? parts.slice(0, 3).map(Number) : [128, 128, 128];
}

const mix = (a, b, share) => a.map((v, k) => v + (b[k] - v) * share);
const luminance = ([r, g, b]) => (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;

function sample(name, share) {
  const anchors = ANCHORS[name];
  const at = Math.min(Math.max(share, 0), 1) * (anchors.length - 1);
  const low = Math.min(Math.floor(at), anchors.length - 2);
  return mix(rgb(anchors[low]), rgb(anchors[low + 1]), at - low);
}

// What index 0..255 looks like: [r, g, b] for 1..255.
function lookup(frame, palette, theme) {
  const table = [[0, 0, 0]];
  const from = theme.dark && palette !== "density" ? 0.18 : 0; // the darkest colors are not seen on black
  for (let k = 1; k < 256; k++) {
    if (frame.how === "category") table.push(rgb(OKABE_ITO[(k - 1) % OKABE_ITO.length]));
    else table.push(sample(palette === "density" ? (theme.dark ? "glow" : "ink") : palette, from + ((1 - from) * (k - 1)) / 254));
  }
  return table;
}

// A frame's layers as a canvas: what is not selected fades to grey, what is keeps or takes the accent color.
function paint(frame, index, selected, palette, theme) {
  const canvas = new OffscreenCanvas(frame.w, frame.h);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(frame.w, frame.h);
  const full = lookup(frame, palette, theme);
  const counts = frame.how === "log";
  const rest = full.map((color) => {
    const grey = 255 * luminance(color);
    return mix([grey, grey, grey], theme.ground, counts ? 0.55 : 0.7);
  });
  const words = new Uint32Array(picture.data.buffer);
  const pack = ([r, g, b], a = 255) => ((a << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
  const plain = full.map((c) => pack(c));
  if (!selected) {
    for (let k = 0; k < words.length; k++) words[k] = index[k] ? plain[index[k]] : 0;
  } else {
    const faded = rest.map((c) => pack(c));
    const accent = counts ? full.map((c, k) => mix(mix(theme.accent, theme.ground, 0.35), theme.accent, k / 160 > 1 ? 1 : k / 160)) : full;
    for (let k = 0; k < words.length; k++) {
      if (!index[k] && !selected[k]) continue;
      if (!selected[k]) words[k] = faded[index[k]];
      else words[k] = pack(mix(rest[index[k] || 1], accent[index[k] || 1], 0.35 + (0.65 * selected[k]) / 255));
    }
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

// Colors of the surrounding page, from JupyterLab's variables where there are any.
function themeOf(el) {
  const style = getComputedStyle(el);
  const read = (name, other) => style.getPropertyValue(name).trim() || other;
  const ground = rgb(read("--jp-layout-color0", "#ffffff"));
  const dark = luminance(ground) < 0.4;
  return {
    dark,
    ground,
    text: read("--jp-ui-font-color1", dark ? "#e0e0e0" : "#212121"),
    faint: read("--jp-ui-font-color2", dark ? "#a0a0a0" : "#616161"),
    line: read("--jp-border-color2", dark ? "#424242" : "#e0e0e0"),
    accent: rgb(read("--jp-brand-color1", dark ? "#2196f3" : "#1976d2")),
    font: read("--jp-ui-font-family", "system-ui, sans-serif"),
  };
}
