// What `diten bench` measured last on this machine, each figure beside its bar.

import { get } from "./api.js";
import { el, mark, notice, replace } from "./dom.js";
import { moment, SPACE, withUnit } from "./format.js";

const COLUMNS = ["Target", "Measured", "Bar", "", "When", "Against"];
const RIGHT = new Set(["Measured", "Bar"]);

export function bench() {
  const shown = el("div", {}, el("p", { className: "quiet" }, "Reading the figures …"));
  read(shown);
  return el("section", { className: "panel bench", "aria-label": "Benchmark" }, el("h2", {}, "Benchmark"), shown);
}

async function read(shown) {
  try {
    const { figures } = (await get("/api/v1/bench")).body;
    replace(shown, figures.length ? [table(figures), el("p", { className: "legend" }, "What diten bench measured last, each figure beside a peer or a limit of the same run.")]
      : notice("empty", "Nothing measured yet", "`diten bench --keep DIR` measures this machine, in twenty minutes; DIR is the cloud's data_dir, diten-data/cloud after diten up."));
  } catch (error) {
    replace(shown, notice("error", "The figures could not be read", error.message));
  }
}

function table(figures) {
  const heads = COLUMNS.map((name) => el("th", { scope: "col", className: RIGHT.has(name) ? "right" : "" }, name || el("span", { className: "unseen" }, "Verdict")));
  return el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, figures.map(row)));
}

function row({ name, value, unit, bar, met, against, measured_ms }) {
  const verdict = el("td", {}, value === null ? "not measured" : met ? "met" : "not met");
  mark(verdict, "tone", met ? "" : "warn");
  return el("tr", {}, el("th", { scope: "row" }, name),
    el("td", { className: "right" }, value === null ? "–" : withUnit(value, unit)),
    el("td", { className: "right" }, barText(bar, unit)),
    verdict, el("td", { className: "when" }, moment(measured_ms)), el("td", { className: "quiet" }, against));
}

// `<= 1.2e+04` as `≤ 12,000 ms`.
function barText(bar, unit) {
  const [sign, limit] = bar.split(" ");
  return `${{ "<=": "≤", ">=": "≥" }[sign]}${SPACE}${withUnit(Number(limit), unit)}`;
}
