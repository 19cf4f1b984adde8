// Histograms of all sets, what is held fixed and what tests say, and the galaxies of a range as a wall a set.

function render({ model, el }) {
  el.classList.add("galnb-gallery", "galnb-confronter");
  keepKeys(el);
  const send = (t, more = {}) => model.send({ t, ...more });
  const here = { state: null, wall: null, picked: -1, under: 0, wanted: null };
  const chooser = (words, act) => make("select", { "aria-label": words, onchange: (event) => act(event.target.value) });
  const statistic = chooser("Statistic", (name) => send("statistic", { name }));
  const hold = chooser("Held fixed", (name) => send("hold", { name }));
  const status = make("span", { class: "galnb-doing", role: "status", "aria-live": "polite" }, "Waiting for the kernel …");
  const problem = make("button", { type: "button", class: "galnb-problem", title: "Dismiss", hidden: true, onclick: () => (problem.hidden = true) });
  problem.setAttribute("aria-live", "assertive");
  const legend = make("div", { class: "galnb-sets" });
  const histogram = new Histogram((low, high, moving) => post({ low, high, moving }));
  const held = make("div", { class: "galnb-note" });
  const table = make("table", { class: "galnb-tests" });
  const unlike = make("div", { class: "galnb-note" });
  const title = make("span", { class: "galnb-title" });
  const others = make("button", { type: "button", title: "Other galaxies of the range, at random", hidden: true, onclick: () => send("others") }, "Others");
  const clear = make("button", { type: "button", title: "No range (Escape in the histogram)", hidden: true, onclick: () => ((histogram.brush = null), histogram.redraw(), histogram.told(false)) }, "Clear");
  const walls = make("div", { class: "galnb-walls" });
  const body = make("div", { class: "galnb-confronted", hidden: true },
    make("section", { "aria-label": "Distributions" }, legend, histogram.canvas, held, table, unlike),
    make("section", { "aria-label": "Galaxies of the range" }, make("div", { class: "galnb-wall-head", role: "status", "aria-live": "polite" }, title, others, clear), walls));
  const missing = make("div", { class: "galnb-note galnb-missing", hidden: true });
  el.append(
    make("div", { class: "galnb-toolbar", role: "toolbar", "aria-label": "What is compared" },
      make("label", {}, make("span", {}, "Statistic"), statistic), make("label", {}, make("span", {}, "Held fixed"), hold), status),
    problem, missing, body);

  // One range under way, the newest wins.
  function post(range) {
    here.wanted = range;
    if (here.under) return;
    here.wanted = null;
    here.under = 1;
    send("brush", range);
    clearTimeout(here.watch);
    here.watch = setTimeout(answered, 3000);
  }
  function answered() {
    here.under = 0;
    if (here.wanted) post(here.wanted);
  }

  function fill(select, pairs, value) {
    select.replaceChildren(...pairs.map(([name, words]) => make("option", { value: name }, words)));
    select.value = value;
  }
  function chips() {
    const theme = themeOf(el);
    legend.replaceChildren(...here.state.sets.map(([name, n]) => {
      const k = here.state.all.indexOf(name);
      const key = make("canvas", { width: 60, height: 6, "aria-hidden": "true" });
      const context = key.getContext("2d");
      context.scale(2, 2);
      context.setLineDash(DASHES[k % DASHES.length]);
      context.strokeStyle = colorOf(k, theme);
      context.lineWidth = 3;
      context.beginPath();
      context.moveTo(0, 1.5);
      context.lineTo(30, 1.5);
      context.stroke();
      return make("span", { class: "galnb-chip" }, key, make("b", {}, name), make("span", { class: "galnb-faint" }, `${counted(n)}${k ? "" : ", observed"}`));
    }));
  }

  const chance = (p) => (p === null ? "–" : p < 0.001 ? "< 0.001" : p.toFixed(3));
  const area = (value, error) => (value === null ? "–" : `${value.toFixed(3)} ± ${(error ?? 0).toFixed(3)}`);
  const COLUMNS = [
    ["set", "", (row) => row.set],
    ["AUROC", "The chance that a galaxy of this set has less of the statistic than an observed one; 0.5 where they are alike", (row) => area(row.auroc, row.auroc_error)],
    ["KS p", "Kolmogorov-Smirnov: how often sets that are alike differ as much in the statistic", (row) => chance(row.ks_p)],
    ["energy p", "Energy distance of all likelihoods and of the length of a lossless code together, by permutation", (row) => chance(row.energy_p)],
    ["classifier", "How well boosted trees tell both sets apart by these numbers: area under the ROC curve; 0.5 where they cannot", (row) => area(row.classifier, row.classifier_error)],
  ];
  const heads = () => make("tr", {}, ...COLUMNS.map(([name, words]) => make("th", { scope: "col", title: words }, name)));
  function waiting(words) {
    table.replaceChildren(make("caption", {}, "Against the observed"), make("thead", {}, heads()),
      make("tbody", {}, ...here.state.sets.slice(1).map(([name]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", { colspan: 4, class: "galnb-faint" }, words)))));
    unlike.textContent = " ";
  }

  function stamp(group, k, picture) {
    const value = said(group.values[k]);
    const row = group.rows[k];
    return make("button", { type: "button", "data-row": row, title: `${group.name}/${group.ids[k]}: ${value} ${here.state.unit}; click to look into it`, "aria-current": row === here.picked ? "true" : null, onclick: () => send("pick", { row }) },
      picture || make("span", {}, group.ids[k]), make("span", { class: "galnb-caption" }, value));
  }
  function wall(message, buffers) {
    here.wall = message;
    let next = 0;
    const ranged = message.brush || message.selected;
    const line = (group, from, to, words) => [make("div", { class: "galnb-end galnb-faint" }, words), make("div", { class: "galnb-stamps", role: "group", "aria-label": `${group.name}: ${words}` },
      ...group.rows.slice(from, to).map((_, k) => stamp(group, from + k, group.pictured ? picture(buffers[next++], group.ids[from + k]) : null)))];
    walls.replaceChildren(...message.groups.map((group) => {
      const k = here.state.all.indexOf(group.name);
      const swatch = make("span", { class: "galnb-swatch" });
      swatch.style.background = colorOf(k, themeOf(el));
      const share = ranged ? `${counted(group.count)} of ${counted(group.of)} (${Number(((100 * group.count) / Math.max(group.of, 1)).toPrecision(2))} %)` : "";
      return make("div", { class: "galnb-set" }, make("div", { class: "galnb-set-head" }, swatch, make("b", {}, group.name), make("span", { class: "galnb-faint" }, share)),
        ...(ranged ? line(group, 0, group.rows.length, "").slice(1) : [make("div", { class: "galnb-ends" }, make("div", {}, ...line(group, 0, group.least, "least")), make("div", {}, ...line(group, group.least, group.rows.length, "most")))]));
    }));
    const [low, high] = message.brush || [null, null];
    const words = low === null ? (high === null ? "all" : `up to ${said(high)}`) : high === null ? `from ${said(low)} up` : `${said(low)} to ${said(high)}`;
    title.textContent = message.brush ? `${words}, in ${here.state.unit}`
      : message.selected ? `${counted(message.selected)} selected` : "Drag over the histogram to see the galaxies of a range";
    others.hidden = clear.hidden = !ranged;
    histogram.counts = ranged ? message.groups.map((group) => `${counted(group.count)} of ${counted(group.of)} ${group.name}`).join(", ") : "";
    histogram.marks = message.marks;
    if (!histogram.drag && !here.wanted && histogram.curves) {
      const [low, high] = histogram.ends;
      histogram.brush = message.brush ? [message.brush[0] ?? low, message.brush[1] ?? high] : null;
    }
    histogram.redraw();
  }

  const hear = {
    state: (message) => {
      here.state = message;
      missing.textContent = message.missing;
      missing.hidden = !message.missing;
      body.hidden = !!message.missing;
      statistic.disabled = hold.disabled = !!message.missing;
      status.textContent = message.busy ? `${message.busy} …` : "";
      if (message.missing) return;
      fill(statistic, message.statistics.map(([name, words]) => [name, words.replaceAll(" - ", " − ").replace(/^- /, "− ")]), message.statistic);
      fill(hold, message.holds, message.hold);
      held.textContent = message.held ? `Held fixed: ${message.held}` : "";
      held.hidden = !message.held;
      chips();
      waiting("testing …");
      if (here.tests) hear.tests(here.tests);
    },
    busy: (message) => {
      if (message.text) problem.hidden = true;
      status.textContent = message.text ? `${message.text} …` : "";
    },
    curves: (message, buffers) => {
      const all = new Float32Array(buffers[0].buffer.slice(buffers[0].byteOffset, buffers[0].byteOffset + buffers[0].byteLength));
      const bins = (all.length - 1) / (1 + 3 * message.names.length);
      const part = (k) => all.subarray(bins + 1 + k * bins, bins + 1 + (k + 1) * bins);
      const sets = message.names.map((_, k) => ({ density: part(3 * k), low: part(3 * k + 1), high: part(3 * k + 2) }));
      histogram.curves = { edges: all.subarray(0, bins + 1), sets, names: message.names, label: message.label, order: message.names.map((name) => here.state.all.indexOf(name)) };
      histogram.brush = null;
      if (here.wall?.brush && here.wall.statistic === message.statistic && here.wall.hold === message.hold) {
        const [low, high] = histogram.ends;
        histogram.brush = [here.wall.brush[0] ?? low, here.wall.brush[1] ?? high];
      }
      histogram.redraw();
    },
    tests: (message) => {
      if (message.statistic !== here.state.statistic || message.hold !== here.state.shown) return;
      here.tests = message;
      table.querySelector("tbody").replaceChildren(...message.rows.map((row) =>
        make("tr", {}, ...COLUMNS.map(([, words, of], k) => (k ? make("td", { title: words }, of(row)) : make("th", { scope: "row" }, of(row)))))));
      unlike.textContent = message.words;
    },
    wall: (message, buffers) => {
      wall(message, buffers);
      answered();
    },
    marks: (message) => {
      here.picked = message.picked;
      histogram.picked = message.picked >= 0 && message.value !== null ? message : null;
      histogram.drawn = message.drawn.filter((value) => value !== null);
      for (const one of walls.querySelectorAll("button")) {
        if (Number(one.dataset.row) === here.picked) one.setAttribute("aria-current", "true");
        else one.removeAttribute("aria-current");
      }
      histogram.redraw();
    },
    problem: (message) => {
      answered();
      status.textContent = "";
      if (table.textContent.includes("testing …")) waiting("–");
      if (here.state && !here.state.missing) hold.value = here.state.hold;
      problem.textContent = message.text;
      problem.hidden = false;
    },
  };
  const end = converse({ model, el }, (message, buffers) => hear[message.t]?.(message, buffers));
  const again = () => {
    if (!here.state?.sets.length) return;
    chips();
    for (const [k, swatch] of [...walls.querySelectorAll(".galnb-swatch")].entries()) swatch.style.background = colorOf(here.state.all.indexOf(here.state.sets[k][0]), themeOf(el));
    histogram.redraw();
  };
  const sizes = new ResizeObserver(() => histogram.redraw());
  sizes.observe(el);
  const unthemed = onTheme(again);
  return () => {
    end();
    sizes.disconnect();
    unthemed();
  };
}

export default { render };
