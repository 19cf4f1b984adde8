// Beside the density's map: which density, how unlikely the picked galaxy is, and draws from a place.

function render({ model, el }) {
  el.classList.add("galnb-gallery", "galnb-weigher");
  keepKeys(el);
  const send = (t, more = {}) => model.send({ t, ...more });
  const here = { state: {}, said: null, place: "" };
  const chooser = make("select", { "aria-label": "Density", title: "Density", onchange: () => choose() });
  const status = make("span", { class: "galnb-faint", role: "status", "aria-live": "polite" });
  const line = make("div", { class: "galnb-working", "aria-hidden": "true", hidden: true });
  const title = make("div", { class: "galnb-title" });
  const face = make("div", { class: "galnb-portrait" });
  const log = make("div", { class: "galnb-log-p" });
  const rare = make("div", { class: "galnb-rare" });
  const typical = make("div", {});
  const about = make("div", { class: "galnb-faint galnb-about" });
  const curves = make("canvas", { role: "img" });
  const plot = make("div", { class: "galnb-likelihoods", hidden: true }, curves,
    make("div", { class: "galnb-legend" }, make("span", { class: "galnb-dreamt-key" }), "drawn by the density", make("span", { class: "galnb-seen-key" }), "galaxies", make("span", { class: "galnb-faint" }, "log p in nats")));
  const standing = make("section", { "aria-label": "How unlikely is this one", "aria-live": "polite" }, title,
    make("div", { class: "galnb-one" }, face, make("div", { class: "galnb-says" }, log, rare, typical, about)), plot);
  const from = make("button", { type: "button", title: "Draw galaxies of the density from the lasso, or from around what is picked", onclick: () => ask() }, "Draw from here");
  const where = make("span", { class: "galnb-faint" });
  const share = make("div", { class: "galnb-share", role: "status", "aria-live": "polite" });
  const dreams = make("div", { class: "galnb-drawn", role: "group", "aria-label": "Drawn galaxies, which do not exist" });
  const real = make("div", { class: "galnb-drawn", role: "group", "aria-label": "Real galaxies from there" });
  const problem = make("button", { type: "button", class: "galnb-problem", title: "Dismiss", hidden: true, onclick: () => (problem.hidden = true) });
  problem.setAttribute("aria-live", "assertive");
  const heading = (words, extra) => make("div", { class: "galnb-row-head" }, make("span", {}, words), extra);
  const dreamHead = heading("Drawn: these do not exist");
  const realHead = heading("Real galaxies from there");
  const results = make("div", { hidden: true }, share, dreamHead, dreams, realHead, real);
  el.append(make("div", { class: "galnb-head" }, make("label", {}, make("span", { class: "galnb-title" }, "Density "), chooser), status), line, problem, standing,
    make("section", { class: "galnb-draws", "aria-label": "Draw from here" }, make("div", { class: "galnb-from" }, from, where), results));

  function busy(text) {
    line.hidden = !text;
    status.textContent = text ? `${text} …` : words();
    from.disabled = !here.place || !here.state.histogram;
  }
  const words = () => (here.state.histogram ? `mean ${nats(here.state.mean)} nats` : "");
  function choose() {
    busy("Beginning");
    send("kind", { name: chooser.value });
  }
  function ask() {
    from.disabled = true;
    share.textContent = "Drawing …";
    results.hidden = false;
    send("draw");
  }

  function distribution() {
    plot.hidden = !here.state.histogram;
    if (!plot.hidden) drawLikelihoods(curves, here.state.histogram, here.said?.log_p, themeOf(el));
  }

  function tile(bytes, name, value, row) {
    const image = bytes ? picture(bytes, name) : make("span", {}, "no picture");
    const inside = [image, make("span", { class: "galnb-caption" }, `${nats(value)}`)];
    return row === undefined
      ? make("figure", { title: `${name}, log p ${nats(value)} nats` }, ...inside)
      : make("button", { type: "button", title: `Galaxy ${name}, log p ${nats(value)} nats; click to pick it`, onclick: () => send("pick", { row }) }, ...inside);
  }

  const hear = {
    state: (message) => {
      here.state = message;
      chooser.replaceChildren(...message.kinds.map(([name, label]) => make("option", { value: name }, label)));
      chooser.value = message.chosen;
      busy(message.busy);
      distribution();
    },
    busy: (message) => {
      problem.hidden = true;
      busy(message.text);
    },
    waits: () => standing.classList.add("galnb-dim"),
    standing: (message, buffers) => {
      standing.classList.remove("galnb-dim");
      here.said = message.title ? message : null;
      title.textContent = message.title || "How unlikely is this one?";
      face.hidden = !message.title;
      face.replaceChildren(...(buffers?.length ? [picture(buffers[0], message.title)] : [make("span", { class: "galnb-faint" }, "no picture")]));
      log.textContent = message.title ? `log p = ${nats(message.log_p)} nats` : "";
      rare.textContent = message.title ? message.rare : "Click a galaxy, or an empty spot, on the map.";
      typical.textContent = message.title ? message.typical : "";
      about.textContent = message.title ? message.about : "";
      distribution();
    },
    place: (message) => {
      here.place = message.words;
      where.textContent = message.words || "lasso a place on the map, or click one";
      from.disabled = !here.place || !here.state.histogram;
    },
    drawn: (message, buffers) => {
      from.disabled = !here.place;
      results.hidden = false;
      share.textContent = message.words + (message.n && message.n < message.wanted ? `; these ${message.n} are all` : "") + (message.n && !message.decoded ? ". Give model=… to see them" : "");
      dreamHead.hidden = dreams.hidden = !message.n;
      dreams.replaceChildren(...message.log_p.map((value, k) => tile(message.pictures ? buffers[k] : null, `drawn ${k + 1}`, value)));
      realHead.firstChild.textContent = message.rows.length ? (message.imaged ? "Real galaxies from there" : "Catalogue galaxies from there, as decoded") : "No real galaxy is there";
      real.replaceChildren(...message.rows.map((row, k) => tile(message.real ? buffers[message.pictures + k] : null, message.names[k], message.own[k], row)));
    },
    problem: (message) => {
      busy("");
      standing.classList.remove("galnb-dim");
      if (share.textContent === "Drawing …") results.hidden = true;
      problem.textContent = message.text;
      problem.hidden = false;
      if (here.state.chosen) chooser.value = here.state.chosen;
    },
  };
  hear.standing({ title: "" });
  busy("Waiting for the kernel");
  const stop = converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
  const unthemed = onTheme(distribution);
  return () => {
    stop();
    unthemed();
  };
}

export default { render };
