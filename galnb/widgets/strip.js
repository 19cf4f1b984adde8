// Pictures side by side that are drawn row by row.

class Strip {
  // looked(k): picture k is clicked
  constructor(words, looked) {
    this.el = make("div", { class: "galnb-tiles", role: "group", "aria-label": words });
    this.looked = looked;
    this.tiles = [];
  }

  // n empty pictures; given: a canvas like the picture that they complete, of which rows up to `from` are known
  begin(n, size, from, given) {
    const label = (k) => (given ? `completion ${k + 1}` : `drawn galaxy ${k + 1}`);
    this.tiles = Array.from({ length: n }, (_, k) => {
      const canvas = make("canvas", { width: size, height: size });
      const context = canvas.getContext("2d");
      context.fillStyle = "#777";
      context.fillRect(0, 0, size, size);
      if (given && from) context.drawImage(given, 0, 0, size, from, 0, 0, size, from);
      const caption = make("span", { class: "galnb-under" }, "drawing …");
      const tile = make("button", { type: "button", class: from ? "galnb-tile galnb-cut" : "galnb-tile", title: `${label(k)}, which does not exist`, "aria-label": label(k), disabled: true, onclick: () => this.looked(k) }, canvas, caption);
      tile.style.setProperty("--from", from / size);
      return { tile, canvas, caption };
    });
    this.truth = null;
    if (given) {
      const canvas = make("canvas", { width: size, height: size });
      canvas.getContext("2d").drawImage(given, 0, 0);
      this.truth = make("span", { class: "galnb-under" }, "the truth");
      const tile = make("figure", { class: "galnb-tile galnb-cut galnb-true", title: "The galaxy itself" }, canvas, this.truth);
      tile.style.setProperty("--from", from / size);
      this.el.replaceChildren(tile, ...this.tiles.map((one) => one.tile));
    } else this.el.replaceChildren(...this.tiles.map((one) => one.tile));
    this.el.dataset.rows = from;
  }

  // bytes (n, rows, x, 3) of rows from `row` on
  rows(bytes, row, rows) {
    this.tiles.forEach(({ canvas }, k) => {
      const wide = canvas.width;
      const data = new ImageData(wide, rows);
      for (let i = 0, from = 3 * k * rows * wide; i < data.data.length; i += 4, from += 3) data.data.set([bytes[from], bytes[from + 1], bytes[from + 2], 255], i);
      canvas.getContext("2d").putImageData(data, 0, row);
    });
    this.el.dataset.rows = row + rows;
  }

  end(values, truth) {
    this.tiles.forEach(({ tile, caption }, k) => {
      caption.textContent = values ? said(values[k]) : "stopped";
      tile.disabled = !values;
    });
    if (this.truth && truth !== null) this.truth.textContent = `truth ${said(truth)}`;
  }
}
