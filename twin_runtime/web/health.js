// How the cloud itself is: whether it is ready, and its own numbers.

import { request } from "./api.js";
import { el, mark, notice, replace, say } from "./dom.js";
import { number, withUnit } from "./format.js";

const PERIOD_MS = 5_000;
const SAMPLES_MAX = 400;
const UNITS = [[/_bytes(_total)?$/, "B"], [/_seconds(_total)?$/, "s"]];
const SAMPLE = /^(diten_\w+|process_\w+)(?:\{(.*)\})? (\S+)$/;

export function health() {
  const ready = el("p", { role: "status" });
  const list = el("dl", { className: "numbers" });
  const note = el("div", {}, notice("loading", "Reading the numbers …"));
  const element = el("div", { className: "health" }, el("h1", {}, "Health"),
    el("section", { className: "panel", "aria-label": "Cloud" }, el("h2", {}, "Cloud"), ready),
    el("section", { className: "panel", "aria-label": "Numbers" }, el("h2", {}, "Its numbers ", el("a", { href: "/metrics" }, "all, for Prometheus")), note, list),
    el("p", { className: "quiet" }, "Each edge has its own at its /metrics."));
  let closed = false;

  async function read() {
    try {
      await drawReady(ready);
      drawNumbers(list, await (await request("/metrics", {})).text());
      replace(note);
    } catch (error) {
      replace(note, notice("error", "The numbers could not be read", error.message));
    }
    if (!closed) setTimeout(read, PERIOD_MS);
  }

  read();
  return { title: "Health", element, draw() {}, close: () => { closed = true; } };
}

async function drawReady(shown) {
  const response = await fetch("/readyz", { cache: "no-store" });
  const { ready, reason } = await response.json();
  mark(shown, "tone", ready ? "" : "bad");
  say(shown, ready ? "Ready: it stores what it takes on." : `Not ready: ${reason}`);
}

function drawNumbers(list, text) {
  const samples = text.split("\n").map((line) => SAMPLE.exec(line)).filter(Boolean)
    .filter(isShown).slice(0, SAMPLES_MAX);
  const key = samples.map(([, name, labels]) => name + labels).join();
  if (list.dataset.names !== key) {
    list.dataset.names = key;
    replace(list, samples.map(([, name, labels]) => el("div", {}, el("dt", {}, labels ? `${name} ${labels}` : name), el("dd", {}))));
  }
  samples.forEach(([, name, , value], place) => say(list.children[place].lastElementChild, valueOf(name, Number(value))));
}

// Of what is counted by kind, the kinds there were; of histograms, how many and how much.
function isShown([, name, labels = "", value]) {
  if (name.endsWith("_created") || labels.includes("le=")) return false;
  return !labels || Number(value) !== 0;
}

function valueOf(name, value) {
  const unit = UNITS.find(([pattern]) => pattern.test(name))?.[1] ?? "";
  return name.endsWith("timestamp_seconds") || name.endsWith("start_time_seconds")
    ? new Date(1000 * value).toLocaleString() : unit ? withUnit(value, unit) : number(value);
}
