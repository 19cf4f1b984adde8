// How a galaxy stands: bars of its scores, the distribution of one with its place, and how scores agree.

const SIGNS = { interesting: "★", ordinary: "○", artefact: "✕" };
const VOTED = "my votes"; // an order by a share from 0 to 1, all others are by sigma
const inSigma = (value) => (Number.isFinite(value) ? `${value.toFixed(1).replace("-", "−")}σ` : "–");
const measured = (name, value) => (name !== VOTED ? inSigma(value) : Number.isFinite(value) ? value.toFixed(2) : "–");

// Rows of scores: name (orders the wall), a bar from 0 σ, sigma and rank. order(name) is called by a click.
function bars(scores, chosen, order) {
  const most = Math.max(5, ...scores.map((score) => score.value ?? 0));
  const head = make("tr", {}, make("th", { scope: "col" }, "score"), make("th", { scope: "col", class: "galnb-bars-head" }, "0σ", make("span", {}, `${Math.round(most)}σ`)),
    make("th", { scope: "col" }, "sigma"), make("th", { scope: "col" }, "rank"));
  const rows = scores.map((score) => {
    const bar = make("span", { class: "galnb-score-bar", "aria-hidden": "true" });
    const part = Math.max(-0.2, (score.value ?? 0) / (score.name === VOTED ? 1 : most));
    bar.style.setProperty("--from", Math.min(part, 0));
    bar.style.setProperty("--to", Math.max(part, 0));
    const rank = score.rank === null ? "–" : counted(score.rank);
    const name = make("button", { type: "button", class: "galnb-link", title: `Order the wall by ${score.name}`, onclick: () => order(score.name) }, score.name);
    return make("tr", { "data-score": score.name, "data-on": score.name === chosen }, make("th", { scope: "row" }, name), make("td", { class: "galnb-bar-cell" }, bar),
      make("td", {}, measured(score.name, score.value)), make("td", { title: `rank ${rank} of ${counted(score.of)}` }, rank));
  });
  return [head, ...rows];
}

// The distribution of a score, logarithmic, with a mark where the galaxy lies.
function histogram({ counts, low, high }, at, name) {
  const most = Math.log1p(Math.max(...counts, 1));
  const words = `${name} of all galaxies, from ${measured(name, low)} to ${measured(name, high)}${at === null ? "" : `; this one at ${measured(name, at)}`}`;
  const columns = counts.map((count, k) => {
    const from = low + (k * (high - low)) / counts.length;
    const column = make("span", { title: `${counted(count)} from ${measured(name, from)} to ${measured(name, from + (high - low) / counts.length)}` });
    column.style.setProperty("--high", Math.log1p(count) / most);
    return column;
  });
  const plot = make("div", { class: "galnb-histogram", role: "img", "aria-label": words }, ...columns);
  const share = (value) => Math.min(Math.max((value - low) / (high - low), 0), 1);
  if (at !== null) {
    const mark = make("span", { class: "galnb-mark" }, make("span", {}, `this galaxy ${measured(name, at)}`));
    mark.style.setProperty("--at", share(at));
    mark.toggleAttribute("data-left", share(at) > 0.5);
    plot.append(mark);
  }
  const step = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((size) => (high - low) / size <= 7) ?? 10 ** Math.ceil(Math.log10((high - low) / 7));
  const axis = make("div", { class: "galnb-axis", "aria-hidden": "true" });
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
    const label = make("span", {}, String(Number(tick.toFixed(6))).replace("-", "−"));
    label.style.setProperty("--at", share(tick));
    axis.append(label);
  }
  const unit = name === VOTED ? "how much each is wanted" : "in σ";
  return [plot, axis, make("div", { class: "galnb-axis-name" }, `${name}, ${unit}; logarithmic, highest bar ${counted(Math.max(...counts))} galaxies`)];
}

// Spearman's rank correlation of each two scores: a square of colors with numbers.
function agreementTable({ names, square }) {
  const head = make("tr", {}, make("td", {}), ...names.map((name) => make("th", { scope: "col", title: name }, make("span", {}, name))));
  const rows = names.map((name, i) => make("tr", {}, make("th", { scope: "row" }, name), ...names.map((other, j) => {
    const value = square[i][j];
    const known = Number.isFinite(value);
    const cell = make("td", { title: `${name} and ${other}: ${known ? value.toFixed(2) : "unknown"}` }, known ? value.toFixed(1).replace("-", "−").replace("0.", ".") : "");
    cell.style.setProperty("--much", `${Math.round(60 * Math.abs(value ?? 0))}%`);
    cell.toggleAttribute("data-against", value < 0);
    return cell;
  })));
  return [head, ...rows];
}
