// A question made of galaxies, and the wall of those most like it: pick, more like this, less like this.

function render({ model, el }) {
  el.classList.add("galnb-gallery", "galnb-similar");
  keepKeys(el);
  const title = make("span", { class: "galnb-title" }, "Most like");
  const place = make("span", { class: "galnb-faint", role: "status", "aria-live": "polite" });
  const find = make("input", { type: "search", placeholder: "id, or ra dec in degrees", "aria-label": "Search by id, or by ra and dec in degrees" });
  find.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && find.value.trim()) model.send({ t: "ask", text: find.value.trim() });
  });
  const asked = make("div", { class: "galnb-asked", role: "group", "aria-label": "The question" });
  const wall = make("div", { class: "galnb-wall galnb-cards", role: "group", "aria-label": "Galaxies most like it" });
  const note = make("div", { class: "galnb-note" });
  const problem = make("div", { class: "galnb-problem", role: "alert", hidden: true });
  const button = (label, words, act) => make("button", { type: "button", title: words, "aria-label": words, onclick: act }, label);
  const save = (kind, words) => button(kind.slice(1).toUpperCase(), words, () => model.send({ t: "save", kind }));
  const actions = make("div", { class: "galnb-actions" },
    button("Select on the map", "Select these galaxies on the map", () => model.send({ t: "select" })),
    make("span", { class: "galnb-faint" }, "Save"),
    save(".csv", "Save ids and distances as CSV"), save(".vot", "Save ids and distances as VOTable"),
    save(".parquet", "Save ids and distances as Parquet"), save(".png", "Save the pictures as one figure"));
  el.append(make("div", { class: "galnb-head" }, title, place), find, asked, problem, wall, note, actions);

  const shown = (bytes, words, name, bar) =>
    bytes && bytes.byteLength ? [picture(bytes, words), scaleBar(bar)] : [make("span", {}, name)];

  function question(message, buffers) {
    asked.replaceChildren(...message.asked.map((item, k) => {
      const less = item.kind === "less";
      const words = `${less ? "Less" : "More"} like ${item.name}`;
      const drop = item.row < 0 ? null : button("×", `Leave ${item.name} out of the question`, () => model.send({ t: "vote", row: item.row, kind: "neither" }));
      return make("figure", { class: less ? "galnb-less" : "galnb-more", title: words },
        make("div", {}, ...shown(buffers[k], words, item.name), make("span", { class: "galnb-sign", "aria-hidden": "true" }, less ? "−" : "+"), drop),
        make("figcaption", {}, item.name));
    }));
  }

  function card(item, bytes, bar, first) {
    const words = `${item.name}, at distance ${item.distance}${item.about ? `: ${item.about}` : ""}`;
    const vote = (kind) => () => model.send({ t: "vote", row: item.row, kind });
    return make("div", { class: "galnb-card", "data-row": item.row },
      make("button", { type: "button", class: "galnb-face", title: `${words}. Double-click to search from it`, tabindex: first ? "0" : "-1",
        onclick: () => model.send({ t: "pick", row: item.row }), ondblclick: () => model.send({ t: "again", row: item.row }) },
      ...shown(bytes, words, item.name, bar)),
      make("div", { class: "galnb-votes" },
        button("−", `Less like ${item.name}`, vote("less")), make("span", {}, item.distance), button("+", `More like ${item.name}`, vote("more"))));
  }

  function mark(row) {
    for (const one of wall.children) one.toggleAttribute("data-current", Number(one.dataset.row) === row);
  }

  function page(message, buffers) {
    const focused = wall.contains(document.activeElement);
    wall.classList.remove("galnb-dim");
    question(message, buffers);
    const rest = buffers.slice(message.asked.length);
    wall.classList.toggle("galnb-names", !rest.some((bytes) => bytes.byteLength));
    wall.replaceChildren(...message.items.map((item, k) => card(item, rest[k], k ? null : message.bar, !k)));
    mark(message.picked);
    const some = message.items.length;
    place.textContent = some ? `${counted(some)} of ${counted(message.total)}, ${message.metric}${message.decoded ? ", decoded" : ""}` : "";
    note.textContent = some ? "" : "Click a galaxy in the map to see the ones most like it, or an empty spot to ask for what would live there";
    note.hidden = some > 0;
    actions.hidden = !some;
    problem.hidden = true;
    if (focused && wall.firstChild) wall.querySelector(".galnb-face").focus();
  }

  wall.addEventListener("keydown", (event) => {
    const faces = [...wall.querySelectorAll(".galnb-face")];
    const at = faces.indexOf(document.activeElement);
    if (at < 0) return;
    const across = Math.max(1, Math.round(wall.clientWidth / (wall.firstChild.offsetWidth + 6)));
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    const row = Number(wall.children[at].dataset.row);
    if (event.key === "+" || event.key === "=") model.send({ t: "vote", row, kind: "more" });
    else if (event.key === "-") model.send({ t: "vote", row, kind: "less" });
    else if (event.key === "s") model.send({ t: "again", row });
    else if (by && faces[at + by]) {
      faces[at].tabIndex = -1;
      faces[at + by].tabIndex = 0;
      faces[at + by].focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const hear = {
    page,
    busy: (message) => {
      wall.classList.add("galnb-dim");
      if (message.text) place.textContent = `${message.text} …`;
    },
    picked: (message) => mark(message.picked),
    file: (message, buffers) => {
      const url = URL.createObjectURL(new Blob([buffers[0]]));
      const link = make("a", { href: url, download: message.name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    },
    problem: (message) => {
      wall.classList.remove("galnb-dim");
      problem.textContent = message.text;
      problem.hidden = false;
    },
  };
  return converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
}

export default { render };
