// One feature over time: its history, and what comes while one looks.
//
// Numbers are a line, true and false are steps; what is neither has no chart. Where nothing
// was heard for much longer than usual the line is broken: nobody knows what was in between.
// The values are said in words, too: a chart is for the eye alone.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { now } from "./api.js";
import { el, replace, say } from "./dom.js";
import { aligned, scaled, valueText, withUnit } from "./format.js";
import { past, POINTS_MAX } from "./history.js";

const SPANS = [["5 min", 300], ["1 h", 3600], ["24 h", 86_400], ["7 d", 604_800]];
const HEIGHT = 260;
const GAP_PERIODS = 5; // a line across more than that would tell of values nobody has
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  #twin;
  #feature = null;
  #unit = "";
  #spec = {};
  #span_s = SPANS[0][1];
  #points = [[], []];
  #plot = null;
  #turn = 0;
  #recolour = () => this.#build();

  constructor(twin) {
    this.#twin = twin;
    this.title = el("span", {});
    this.spans = el("div", { className: "bar", role: "group", "aria-label": "How far back" },
      SPANS.map(([name, span_s]) => el("button", { type: "button", "aria-pressed": String(span_s === this.#span_s), onclick: ({ target }) => this.#spanned(span_s, target) }, name)));
    this.canvas = el("div", { className: "chart", role: "img" });
    this.note = el("p", { className: "quiet" });
    this.element = el("section", { className: "panel", "aria-label": "Chart" }, el("h2", {}, this.title), this.spans, this.canvas, this.note);
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.canvas);
    dark.addEventListener("change", this.#recolour);
  }

  get feature() {
    return this.#feature;
  }

  show(feature, unit, spec) {
    if (feature === this.#feature) return;
    [this.#feature, this.#unit, this.#spec] = [feature, unit, spec];
    say(this.title, feature);
    this.#read();
  }

  // What was just reported.
  add(at_ms, value) {
    const [times, values] = this.#points;
    const at = at_ms / 1000;
    if (!plottable(value) || (times.length && at <= times.at(-1))) return;
    times.push(at);
    values.push(Number(value));
    if (times.length > POINTS_MAX) [times, values].forEach((axis) => axis.splice(0, axis.length - POINTS_MAX));
    this.draw();
  }

  close() {
    this.#turn += 1;
    this.#plot?.destroy();
    this.observer.disconnect();
    dark.removeEventListener("change", this.#recolour);
  }

  #spanned(span_s, pressed) {
    this.#span_s = span_s;
    for (const button of this.spans.children) button.setAttribute("aria-pressed", String(button === pressed));
    this.#read();
  }

  async #read() {
    const turn = (this.#turn += 1);
    this.#points = [[], []];
    this.#build();
    say(this.note, "Reading its history …");
    let rows = [];
    let problem = "";
    try {
      rows = await past(this.#twin, this.#feature, now() - 1000 * this.#span_s);
    } catch (error) {
      problem = `Its history cannot be read: ${error.message} What comes from now on is drawn.`;
    }
    if (turn !== this.#turn) return;
    const live = this.#points;
    this.#points = [[], []];
    for (const [at_ms, value] of rows) this.#keep(at_ms / 1000, value);
    live[0].forEach((at, place) => this.#keep(at, live[1][place]));
    this.problem = problem;
    this.draw();
  }

  #keep(at, value) {
    const [times, values] = this.#points;
    if (!plottable(value) || (times.length && at <= times.at(-1))) return;
    times.push(at);
    values.push(Number(value));
  }

  #build() {
    this.#plot?.destroy();
    replace(this.canvas);
    const ink = getComputedStyle(this.canvas);
    const [quiet, line, accent] = ["--quiet", "--line", "--accent"].map((name) => ink.getPropertyValue(name));
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const step = this.#spec.type === "boolean" ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
    this.#plot = new uPlot({
      width: Math.max(this.canvas.clientWidth, 200), height: HEIGHT, legend: { show: false },
      cursor: { y: false }, scales: { x: { range: () => this.#range() }, y: { range: spread } },
      series: [{}, { stroke: accent, width: 1.5, points: { size: 4 }, ...step }],
      axes: [{ ...axis, values: (_, ticks, __, ___, step_s) => ticks.map((at) => clock(at, step_s)) }, { ...axis, size: 78, values: (_, ticks) => this.#ticks(ticks) }],
      hooks: { setCursor: [(plot) => this.#pointed(plot.cursor.idx)] },
    }, broken(...this.#points), this.canvas);
  }

  #range() {
    const end = Math.max(now() / 1000, this.#points[0].at(-1) ?? 0);
    return [end - this.#span_s, end];
  }

  #ticks(ticks) {
    if (this.#spec.type === "boolean") return ticks.map((tick) => (Number.isInteger(tick) ? String(Boolean(tick)) : ""));
    return aligned(ticks, this.#unit);
  }

  #fit() {
    const width = this.canvas.clientWidth;
    if (this.#plot && width > 0 && this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
  }

  draw() {
    if (!this.#plot) return;
    const from = this.#range()[0];
    const [times, values] = this.#points;
    const seen = values.filter((_, place) => times[place] >= from);
    this.#plot.setData(broken(times, values));
    if (this.#plot.cursor.idx === null || this.#plot.cursor.idx === undefined) say(this.note, this.#summary(seen));
    this.canvas.setAttribute("aria-label", `${this.#feature}: ${this.#summary(seen)}`);
  }

  #summary(seen) {
    if (!seen.length) return this.problem || `No value in this time${this.#spec.type === "string" ? ": a text has no chart" : ""}.`;
    const [least, most] = seen.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const shown = (value) => (this.#spec.type === "boolean" ? String(Boolean(value)) : withUnit(value, this.#unit));
    return `${valueText(seen.length)} ${seen.length === 1 ? "value" : "values"}, from ${shown(least)} to ${shown(most)}, the last ${shown(seen.at(-1))}. ${this.problem ?? ""}`;
  }

  #pointed(place) {
    if (place === null || place === undefined) return;
    const [at, value] = [this.#plot.data[0][place], this.#plot.data[1][place]];
    if (at === undefined || value === null) return;
    const [amount, unit] = scaled(this.#spec.type === "boolean" ? Boolean(value) : value, this.#unit);
    say(this.note, `${new Date(1000 * at).toLocaleString()}: ${valueText(amount)} ${unit}`);
  }
}

// The time of a tick, as far as ticks differ in it; the day where one begins.
function clock(at, step_s) {
  const time = new Date(1000 * at);
  const two = (part) => String(part).padStart(2, "0");
  const [hours, minutes] = [two(time.getHours()), two(time.getMinutes())];
  if (step_s < 60) return `${hours}:${minutes}:${two(time.getSeconds())}`;
  return hours === "00" && minutes === "00" ? `${two(time.getMonth() + 1)}-${two(time.getDate())}` : `${hours}:${minutes}`;
}

const plottable = (value) => typeof value === "boolean" || Number.isFinite(value);

// The points, with nothing in the midst of each gap.
function broken(times, values) {
  const periods = times.slice(1).map((at, place) => at - times[place]).sort((a, b) => a - b);
  const gap = GAP_PERIODS * (periods[Math.floor(periods.length / 2)] ?? Infinity);
  const [shown, drawn] = [[], []];
  times.forEach((at, place) => {
    if (place && at - times[place - 1] > gap) {
      shown.push((at + times[place - 1]) / 2);
      drawn.push(null);
    }
    shown.push(at);
    drawn.push(values[place]);
  });
  return [shown, drawn];
}

// Some room above and below, also around a value that does not change.
function spread(_, least, most) {
  if (least === null || least === undefined) return [0, 1];
  const room = (most - least) * 0.08 || Math.max(Math.abs(most) * 0.05, 0.5);
  return [least - room, most + room];
}
