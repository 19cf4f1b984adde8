// The picked galaxy, its reconstruction and the residual, side by side.

function render({ model, el }) {
  el.classList.add("galnb-decoder");
  const title = make("span", { class: "galnb-title" });
  const row = make("div", { class: "galnb-row" });
  const note = make("div", { class: "galnb-note", role: "status", "aria-live": "polite" });
  const problem = make("div", { class: "galnb-problem", role: "alert", hidden: true });
  el.append(make("div", { class: "galnb-head" }, title), row, note, problem);
  const say = (head, text) => {
    title.textContent = head;
    note.textContent = text;
    problem.hidden = true;
    row.classList.remove("galnb-dim");
  };
  const hear = {
    busy: () => row.classList.add("galnb-dim"),
    empty: (message) => {
      say("Nothing picked", message.text);
      row.replaceChildren(...Array.from({ length: message.blanks }, () => make("figure", { class: "galnb-blank", "aria-hidden": "true" }, make("div"))));
    },
    pictures: (message, buffers) => {
      say(message.title, message.text);
      row.replaceChildren(...message.pictures.map(({ label, alt }, k) =>
        make("figure", {}, make("div", {}, picture(buffers[k], alt), k ? null : scaleBar(message.bar)), make("figcaption", {}, label))));
    },
    problem: (message) => {
      row.classList.remove("galnb-dim");
      problem.textContent = message.text;
      problem.hidden = false;
    },
  };
  return converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
}

export default { render };
