// A slider over a condition's training range and a part beyond it, with a tick below for what each galaxy measures.

const STEPS = 1000;
const brief = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "–");

class Scale {
  // about: {name, unit, log, range, scale, plain}; changed(): its value is another one now
  constructor(about, changed) {
    Object.assign(this, about, { changed, asked: !!about.plain, value: null, other: null });
    const called = about.name.replaceAll("_", " ");
    const words = about.unit ? `${called} in ${about.unit}` : called;
    this.box = about.plain ? null : make("input", { type: "checkbox", "aria-label": `Ask for ${called}`, title: `Ask for ${called}; else each galaxy has its own` });
    this.text = make("input", { type: "text", inputmode: "decimal", class: "galnb-number", "aria-label": `${words}, as a number` });
    this.slider = make("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": words });
    const track = make("div", { class: "galnb-track" }, this.slider);
    for (const [name, at] of [["--from", about.range[0]], ["--to", about.range[1]]]) track.style.setProperty(name, this.share(at));
    this.ticks = make("div", { class: "galnb-ticks", "aria-hidden": "true" });
    this.ends = make("div", { class: "galnb-ends", "aria-hidden": "true" });
    for (const at of about.range) {
      const end = make("span", {}, brief(at));
      end.style.setProperty("--at", this.share(at));
      end.style.setProperty("--back", this.share(at) < 0.08 ? 0 : this.share(at) > 0.92 ? 1 : 0.5); // within the column
      this.ends.append(end);
    }
    this.warning = make("div", { class: "galnb-warning", role: "status", hidden: true });
    const name = make("span", { class: "galnb-name" }, called);
    const unit = make("span", { class: "galnb-unit" }, about.unit);
    const note = about.note ? make("span", { class: "galnb-faint" }, about.note) : null;
    const head = make("div", { class: "galnb-ask-head" }, make("label", {}, this.box, name, note), this.text, unit);
    this.el = make("div", { class: `galnb-ask${about.plain ? " galnb-plain" : ""}` }, head, track, ...(about.plain ? [] : [this.ticks, this.ends]), this.warning);
    this.slider.addEventListener("input", () => this.become(this.valueAt(this.slider.value / STEPS)));
    this.slider.addEventListener("dblclick", () => this.reset());
    this.slider.addEventListener("keydown", (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      this.reset();
      event.preventDefault();
    });
    this.text.addEventListener("change", () => this.commit());
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.commit();
    });
    this.box?.addEventListener("change", () => (this.box.checked ? this.become(this.value ?? this.valueAt(0.5)) : this.reset()));
  }

  share(value) {
    const [low, high] = this.scale;
    const share = this.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return Number.isFinite(share) ? Math.min(Math.max(share, 0), 1) : 0;
  }

  valueAt(share) {
    const [low, high] = this.scale;
    return Number((this.log ? low * (high / low) ** share : low + share * (high - low)).toPrecision(4));
  }

  become(value) {
    this.asked = true;
    this.value = value;
    this.paint();
    this.changed();
  }

  // What is typed, once; what is no number the kernel refuses, with a reason.
  commit() {
    const typed = this.text.value.trim().replace("−", "-");
    if (typed === this.typed) return;
    this.typed = typed;
    if (!typed) return this.reset();
    this.become(Number.isFinite(Number(typed)) ? Number(typed) : typed);
  }

  reset() {
    this.asked = !!this.plain;
    if (this.plain) this.value = 0;
    this.paint();
    this.changed();
  }

  // What the kernel says: the value that is asked for, or none and that of the galaxies.
  told(value, own, warning = "") {
    this.asked = this.plain || value !== undefined;
    this.value = value ?? own ?? null;
    this.warning.textContent = warning;
    this.warning.hidden = !warning;
    this.ends.hidden = !!warning;
    this.slider.setAttribute("aria-invalid", String(!!warning));
    this.el.classList.toggle("galnb-beyond", !!warning);
    this.paint();
  }

  paint() {
    if (this.box) this.box.checked = this.asked;
    this.el.toggleAttribute("data-free", !this.asked);
    const known = Number.isFinite(this.value);
    if (known && document.activeElement !== this.text) this.typed = this.text.value = brief(this.value);
    if (known) this.slider.value = Math.round(this.share(this.value) * STEPS);
    this.slider.setAttribute("aria-valuetext", `${known ? brief(this.value) : "unknown"} ${this.unit}${this.asked ? "" : ", free"}`);
    this.el.style.setProperty("--at", known ? this.share(this.value) : 0.5);
  }

  // Ticks where the galaxies measure (null where nothing was found), and a mark where the real galaxy does.
  measured(values, truth) {
    const mark = (value, kind, k) => {
      const tick = make("span", { class: kind, "data-k": k });
      tick.style.setProperty("--at", this.share(value));
      return Number.isFinite(value) ? tick : null;
    };
    this.ticks.replaceChildren(...[mark(truth ?? NaN, "galnb-truth"), ...values.map((value, k) => mark(value ?? NaN, "galnb-tick", k))].filter(Boolean));
  }

  light(k) {
    for (const tick of this.ticks.children) tick.toggleAttribute("data-on", tick.dataset.k === String(k));
  }
}
