// The few DOM words that all parts share. Strings become text nodes, never markup.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A picture from bytes; its memory is given back once it is drawn.
function picture(bytes, alt, kind = "image/png") {
  const url = URL.createObjectURL(new Blob([bytes], { type: kind }));
  const image = make("img", { alt, draggable: "false" });
  image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
  image.src = url;
  return image;
}

// A scale bar over a picture: {share: of its width, label}.
function scaleBar(bar) {
  if (!bar) return null;
  const line = make("span", { class: "galnb-bar-line" });
  line.style.width = `${100 * bar.share}%`;
  return make("span", { class: "galnb-bar", "aria-hidden": "true" }, line, make("span", { class: "galnb-bar-label" }, bar.label));
}

// Listen to the kernel, say hello, and ask again until it answers; returns what ends it. What was answered
// has the class galnb-alive, and no picture need stand in for it: see still.py. Where the page learns that the
// kernel is gone, for good or to come back without what was in it, the first part of a panel says so.
const GONE = "The kernel was restarted, or is gone: run the cell again to go on from here";
function converse({ model, el }, hear, hello = () => ({ t: "hello" }), silent = () => {}, gone = () => {}) {
  let answered = false;
  const listener = (message, buffers) => {
    answered = true;
    el.classList.add("galnb-alive");
    hear(message, buffers);
  };
  const lost = () => {
    const panel = el.closest(".galnb-panel") ?? el;
    if (!panel.querySelector(".galnb-gone")) el.prepend(make("div", { class: "galnb-gone", role: "alert" }, GONE));
    gone();
  };
  model.on("msg:custom", listener);
  model.on("comm_live_update", lost); // ipywidgets' word for it
  model.send(hello());
  const timer = setInterval(() => {
    if (answered) return clearInterval(timer);
    silent();
    model.send(hello());
  }, 5000);
  return () => {
    clearInterval(timer);
    model.off("msg:custom", listener);
    model.off("comm_live_update", lost);
  };
}

// A canvas of so many CSS pixels, emptied, and sharp on every screen; returns what one draws with.
function sharp(canvas, wide, tall) {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(tall * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

// Draw again in another theme; returns what ends it.
function onTheme(redraw) {
  const themes = new MutationObserver(() => redraw());
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  return () => themes.disconnect();
}

// JupyterLab takes B for "insert a cell below": here letters are ours, and Ctrl+S and its like go on to JupyterLab.
function keepKeys(el) {
  el.dataset.lmSuppressShortcuts = "true";
  // a shortcut for any focused element finds the target first: without this, arrow keys move no slider
  el.addEventListener("focusin", (event) => (event.target.dataset.lmSuppressShortcuts = "true"));
  el.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.length > 1 || event.defaultPrevented || !el.parentElement) return;
    if (!el.parentElement.dispatchEvent(new KeyboardEvent("keydown", event))) event.preventDefault();
  });
}

const integer = new Intl.NumberFormat("en-US");
const counted = (n) => integer.format(n);
// A number as one says it: thousands without a fraction, small ones with two digits of it.
const spoken = [2, 1, 0].map((digits) => new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const said = (value) => (Number.isFinite(value) ? spoken[(Math.abs(value) >= 10) + (Math.abs(value) >= 100)].format(value).replace("-", "−") : "–");
