// A wall of galaxies: real buttons, arrow keys between them, pages by previous and next.

function render({ model, el }) {
  el.classList.add("galnb-gallery");
  keepKeys(el);
  let page = null;
  const title = make("span", { class: "galnb-title" });
  const place = make("span", { class: "galnb-faint", role: "status", "aria-live": "polite" });
  const turn = (by) => page && model.send({ t: "page", start: page.start + by * page.per_page });
  const before = make("button", { type: "button", "aria-label": "Previous page", title: "Previous page", onclick: () => turn(-1) }, "‹");
  const after = make("button", { type: "button", "aria-label": "Next page", title: "Next page", onclick: () => turn(1) }, "›");
  const wall = make("div", { class: "galnb-wall", role: "group", "aria-label": "Galaxies" });
  const note = make("div", { class: "galnb-note", hidden: true });
  const problem = make("div", { class: "galnb-problem", role: "alert", hidden: true });
  el.append(make("div", { class: "galnb-head" }, title, place, before, after), problem, wall, note);

  function mark(row) {
    for (const button of wall.children) {
      if (Number(button.dataset.row) === row) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }
  function show(message, buffers) {
    page = message;
    const focused = wall.contains(document.activeElement);
    const { start, total, per_page, items, selected, decoded } = message;
    const named = !buffers.length;
    wall.classList.toggle("galnb-names", named);
    wall.replaceChildren(...items.map((item, k) => {
      const words = item.about ? `${item.name}: ${item.about}` : item.name;
      const bytes = buffers[k];
      const inner = named || !bytes.byteLength ? [make("span", {}, item.name)] : [picture(bytes, words), k ? null : scaleBar(message.bar)];
      const pick = () => model.send({ t: "pick", row: item.row });
      return make("button", { type: "button", title: words, "data-row": item.row, tabindex: k ? "-1" : "0", onclick: pick }, ...inner);
    }));
    mark(message.picked);
    const what = decoded ? "decoded" : "";
    title.textContent = selected ? "Selected" : "In view";
    place.textContent = !total ? "" : selected
      ? total > per_page ? `${counted(start + 1)}–${counted(start + items.length)} of ${counted(total)} ${what}` : `${counted(total)} ${what}`
      : `a sample of ${counted(items.length)} ${what}`;
    before.hidden = after.hidden = total <= per_page;
    before.disabled = start === 0;
    after.disabled = start + per_page >= total;
    note.hidden = total > 0 && !named;
    note.textContent = total ? "Give images=… to see the galaxies" : "No galaxy in view: press Fit in the map";
    problem.hidden = true;
    if (focused && wall.firstChild) wall.firstChild.focus();
  }
  wall.addEventListener("keydown", (event) => {
    const buttons = [...wall.children];
    const at = buttons.indexOf(document.activeElement);
    if (at < 0) return;
    const across = Math.max(1, Math.round(wall.clientWidth / (buttons[0].offsetWidth + 4)));
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    if (event.key === "PageDown") turn(1);
    else if (event.key === "PageUp") turn(-1);
    else if (by && buttons[at + by]) {
      buttons[at].tabIndex = -1;
      buttons[at + by].tabIndex = 0;
      buttons[at + by].focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const hear = {
    page: show,
    picked: (message) => mark(message.picked),
    problem: (message) => {
      problem.textContent = message.text;
      problem.hidden = false;
    },
  };
  return converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
}

export default { render };
