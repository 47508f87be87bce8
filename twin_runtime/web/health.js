// How the processes are, and how fast: the cloud's numbers, and through it those of each edge.
//
// Counts are those since a process started; rates and quantiles those of the last WINDOW_MS,
// once they were looked at for so long. Where a histogram counted nothing meanwhile, its
// quantiles are those since the start, too.

import { now, request } from "./api.js";
import { bench } from "./bench.js";
import { el, mark, notice, replace, say } from "./dom.js";
import { age, number, scaled, shortly, valueText, withUnit } from "./format.js";
import { buckets, quantile, samplesOf, since, total } from "./metrics.js";

const PERIOD_MS = 5_000;
const SOON_MS = 1_000; // for the first rates
const WINDOW_MS = 60_000;
const SAMPLES_MAX = 400;
const CLOUD = "cloud";
const UNITS = [[/_bytes(_total)?$/, "B"], [/_seconds(_total|_sum)?$/, "s"]];

// One process: what it said newest and at the beginning of the window.
class Process {
  seen = []; // [when, samples], the oldest first
  problem = "";

  constructor(name) {
    this.isEdge = name !== CLOUD;
  }

  heard(samples) {
    const at = Date.now();
    this.problem = "";
    if (this.total("process_start_time_seconds") !== total(samples, "process_start_time_seconds")) this.seen = [];
    this.seen.push([at, samples]);
    while (this.seen.length > 2 && at - this.seen[1][0] >= WINDOW_MS) this.seen.shift();
  }

  get samples() {
    return this.seen.at(-1)?.[1] ?? [];
  }

  total(name, labels) {
    return total(this.samples, name, labels);
  }

  // A second, within the window.
  rate(name, labels) {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    const before = first && total(first[1], name, labels);
    if (before === null || first === last) return null;
    return (1000 * (total(last[1], name, labels) - before)) / (last[0] - first[0]);
  }

  // What a histogram counted within the window, or since the start where that is all there is.
  counted(name) {
    const all = buckets(this.samples, name);
    const recent = this.seen.length > 1 ? since(all, buckets(this.seen[0][1], name)) : all;
    return recent.at(-1)?.[1] ? recent : all;
  }
}

// [title, what is shown of a process and its name]; all to the right but the first.
const COLUMNS = [
  ["State", (process) => stateOf(process)],
  ["Applied", (process) => perSecond(process.isEdge ? process.rate("diten_reports_total", { outcome: "applied" }) : null)],
  ["Acks p50", (process) => timeText(0.5, process.counted("diten_ack_latency_seconds"))],
  ["Acks p99", (process) => timeText(0.99, process.counted("diten_ack_latency_seconds"))],
  ["Commits p99", (process) => timeText(0.99, process.counted("diten_commit_seconds"))],
  ["CPU", (process) => percent(process.rate("process_cpu_seconds_total"))],
  ["Memory", (process) => bytes(process.total("process_resident_memory_bytes"))],
  ["Disk free", (process) => bytes(process.total("diten_disk_free_bytes"))],
];

export function health(fleet) {
  const processes = new Map();
  const table = new Processes();
  const kept = new Facts("Reports, at all edges", "Since the edges started. Whether anything acknowledged was lost is compared by diten chaos run, and when diten up ends.");
  const moved = new Facts("Moves and devices", "Since the cloud started; pauses are of the last minute if anything moved in it.");
  const raw = new Raw(() => draw());
  const note = el("div", {}, notice("loading", "Reading the numbers …"));
  const shown = el("div", { className: "stack", hidden: true }, table.element,
    el("div", { className: "halves" }, kept.element, moved.element));
  const element = el("div", { className: "health" }, el("h1", {}, "Health"), note, shown, bench(), raw.element);
  let closed = false;
  raw.element.hidden = true;

  async function read() {
    const edges = fleet.edges.filter(({ state }) => state !== "lost").map(({ edge }) => edge);
    const names = [CLOUD, ...edges];
    for (const name of processes.keys()) if (!names.includes(name)) processes.delete(name);
    await Promise.all(names.map((name) => ask(name)));
    if (closed) return;
    draw();
    const isNew = [...processes.values()].some(({ seen }) => seen.length === 1);
    setTimeout(read, isNew || !(edges.length || fleet.complete) ? SOON_MS : PERIOD_MS);
  }

  async function ask(name) {
    const process = processes.get(name) ?? new Process(name);
    processes.set(name, process);
    try {
      const path = name === CLOUD ? "/metrics" : `/api/v1/edges/${encodeURIComponent(name)}/metrics`;
      process.heard(samplesOf(await (await request(path, {})).text()));
    } catch (error) {
      process.problem = error.message;
    }
  }

  function draw() {
    const known = [...processes].filter(([, { seen, problem }]) => seen.length || problem);
    if (!known.length) return;
    const cloud = processes.get(CLOUD);
    const nothing = known.every(([, { seen }]) => !seen.length);
    replace(note, nothing ? notice("error", "The numbers could not be read", cloud.problem) : null);
    shown.hidden = raw.element.hidden = nothing;
    table.draw(known);
    kept.draw(reportsOf(known.filter(([name]) => name !== CLOUD).map(([, process]) => process)));
    moved.draw(movesOf(cloud));
    raw.draw(processes);
  }

  read();
  return { title: "Health", element, draw() {}, close: () => { closed = true; } };
}

function stateOf(process) {
  if (process.problem) return process.seen.length ? `no answer, last ${age(Date.now() - process.seen.at(-1)[0])}` : "no answer";
  if (!process.total("diten_ready")) return "not ready";
  return process.total("diten_bus_connected") ? "ready" : "no broker";
}

// [name, text, tone] of what became of reports.
function reportsOf(edges) {
  const sum = (name, labels) => edges.reduce((all, process) => all + (process.total(name, labels) ?? 0), 0);
  const counted = (name, labels, tone = "") => [number(sum(name, labels)), sum(name, labels) && tone];
  return [
    ["Applied", ...counted("diten_reports_total", { outcome: "applied" })],
    ["Came twice, applied once", ...counted("diten_reports_total", { outcome: "duplicate" })],
    ["Missing, asked for again", ...counted("diten_reports_total", { outcome: "gap" })],
    ["Refused as unusable", ...counted("diten_rejects_total", {}, "warn")],
    ["Kept by devices until stable", ...counted("diten_outbox_rows")],
    ["Merged, an outbox was full", ...counted("diten_reports_coalesced_total", {}, "warn")],
    ["Given up before stable", ...counted("diten_reports_unprotected_total", {}, "bad")],
  ];
}

function movesOf(cloud) {
  const pause = cloud.counted("diten_move_pause_seconds");
  const lost = cloud.total("diten_devices", { presence: "lost" });
  const failed = cloud.total("diten_decisions_total", { outcome: "failed" });
  return [
    ["Moves begun", valueText(cloud.total("diten_moves_total", { result: "begun" }))],
    ["Moves done", valueText(cloud.total("diten_moves_total", { result: "done" }))],
    ["Pause of a move, p50", timeText(0.5, pause)],
    ["Pause of a move, p99", timeText(0.99, pause)],
    ["Failovers", valueText(cloud.total("diten_failovers_total")), cloud.total("diten_failovers_total") && "warn"],
    ["Decisions that failed", valueText(failed), failed && "warn"],
    ["Devices cut off", valueText(lost), lost && "bad"],
  ];
}

class Processes {
  #rows = new Map();

  constructor() {
    const titles = COLUMNS.map(([title], place) => el("th", { scope: "col", className: place ? "right" : "" }, title));
    this.body = el("tbody", {});
    this.element = el("section", { className: "panel processes", "aria-label": "Processes" }, el("h2", {}, "Processes"),
      el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Process"), titles)), this.body),
      el("p", { className: "legend" }, "Times and rates are of the last minute if there was any work in it, else since the start. Acks: from a report's arrival until its acknowledgement, which its commit to the disk precedes. p50: half are faster; p99: all but one in a hundred."));
  }

  draw(processes) {
    const names = processes.map(([name]) => name);
    if ([...this.#rows.keys()].join() !== names.join()) {
      this.#rows = new Map(names.map((name) => [name, this.#row(name)]));
      replace(this.body, [...this.#rows.values()]);
    }
    for (const [name, process] of processes) this.#fill(this.#rows.get(name), process);
  }

  #row(name) {
    return el("tr", {}, el("th", { scope: "row" }, name),
      COLUMNS.map(([title], place) => el("td", { className: place ? "right" : "", "data-title": title })));
  }

  #fill(row, process) {
    COLUMNS.forEach(([, textOf], place) => say(row.children[place + 1], textOf(process)));
    mark(row.children[1], "tone", stateOf(process) === "ready" ? "" : "bad");
    row.title = process.problem;
  }
}

// Names and numbers, some of them with a colour.
class Facts {
  #shown = new Map();

  constructor(title, legend) {
    this.list = el("dl", { className: "numbers" });
    this.element = el("section", { className: "panel", "aria-label": title }, el("h2", {}, title), this.list, el("p", { className: "legend" }, legend));
  }

  draw(facts) {
    for (const [name, text, tone] of facts) {
      if (!this.#shown.has(name)) {
        const value = el("dd", {});
        this.#shown.set(name, value);
        this.list.append(el("div", {}, el("dt", {}, name), value));
      }
      say(this.#shown.get(name), text);
      mark(this.#shown.get(name), "tone", tone || "");
    }
  }
}

// All numbers of one process, under their own names.
class Raw {
  #names = "";

  constructor(redraw) {
    this.choice = el("select", { id: "process", onchange: redraw });
    this.list = el("dl", { className: "numbers" });
    this.all = el("a", { href: "/metrics" }, "as Prometheus reads them");
    this.element = el("details", { className: "panel" }, el("summary", {}, "All numbers"),
      el("div", { className: "bar" }, el("label", { htmlFor: "process" }, "of"), this.choice, this.all), this.list);
  }

  draw(processes) {
    const names = [...processes.keys()];
    if (this.choice.dataset.names !== names.join()) {
      const chosen = this.choice.value;
      this.choice.dataset.names = names.join();
      replace(this.choice, names.map((name) => el("option", {}, name)));
      this.choice.value = names.includes(chosen) ? chosen : CLOUD;
    }
    const name = this.choice.value;
    this.all.href = name === CLOUD ? "/metrics" : `/api/v1/edges/${encodeURIComponent(name)}/metrics`;
    this.#fill(processes.get(name).samples.filter(isShown).slice(0, SAMPLES_MAX));
  }

  #fill(samples) {
    const titles = samples.map(({ name, labels }) => [name, ...Object.entries(labels).map(([label, value]) => `${label}=${value}`)].join(" "));
    if (this.#names !== titles.join()) {
      this.#names = titles.join();
      replace(this.list, titles.map((title) => el("div", {}, el("dt", {}, title), el("dd", {}))));
    }
    samples.forEach(({ name, value }, place) => say(this.list.children[place].lastElementChild, rawText(name, value)));
  }
}

// Of what is counted by kind, the kinds there were; of histograms, how many and how much.
function isShown({ name, labels, value }) {
  if (!/^(diten|process)_/.test(name) || name.endsWith("_created") || labels.le) return false;
  return !Object.keys(labels).length || value !== 0;
}

function rawText(name, value) {
  if (name.endsWith("start_time_seconds")) return age(now() - 1000 * value);
  return withUnit(value, UNITS.find(([pattern]) => pattern.test(name))?.[1] ?? "");
}

function timeText(share, counted) {
  const seconds = quantile(share, counted);
  if (seconds === null) return "–";
  return seconds === Infinity ? `over ${shortly(counted.at(-2)[0])}` : shortly(seconds);
}

const perSecond = (rate) => (rate === null ? "–" : `${rate < 100 ? rate.toFixed(1) : number(Math.round(rate))} /s`);
const percent = (share) => (share === null ? "–" : `${number(Math.round(100 * share))} %`);
function bytes(value) {
  if (value === null) return "–";
  const [amount, unit] = scaled(value, "B");
  const rounded = Number(amount.toPrecision(3));
  return `${rounded && rounded < 1000 ? rounded.toPrecision(3) : number(rounded)} ${unit}`;
}
