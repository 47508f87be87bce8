// What the association decided: what it saw, what that costs, who moved, how good it was.

import { get, now } from "./api.js";
import { el, mark, notice, replace, say } from "./dom.js";
import { age, duration, moment, number, valueText } from "./format.js";
import { Table, text } from "./table.js";

const PERIOD_MS = 5_000;
const SHOWN = 200;

export function decisions() {
  const note = el("div", {}, notice("loading", "Reading the decisions …"));
  const table = new Table({ label: "Decisions", columns: columns(), key: ({ number: each }) => each });
  const element = el("div", { className: "decisions" }, el("h1", {}, "Decisions"), note, table.element);
  let rows = [];
  let closed = false;

  async function read() {
    try {
      const { decisions: receipts } = (await get(`/api/v1/decisions?limit=${SHOWN}`)).body;
      rows = joined(receipts).reverse();
      const newest = receipts.at(-1);
      replace(note, newest ? el("p", { className: "quiet" }, `Costs are those of problem [P3] in one period, moves included; lower is better. A move pays for itself in later ones. Newest decision: ${age(now() - newest.at_ms)}.`)
        : notice("empty", "No decision yet", "The cloud decides by itself which edge owns which twin where its configuration has an [association] section."));
    } catch (error) {
      if (!rows.length) replace(note, notice("error", "The decisions could not be read", error.message));
    }
    if (closed) return;
    draw();
    setTimeout(read, PERIOD_MS);
  }

  function draw() {
    table.element.hidden = rows.length === 0;
    table.show(rows);
  }

  table.element.hidden = true;
  read();
  return { title: "Decisions", element, draw, close: () => { closed = true; table.close(); } };
}

// Each decision with its comparison, which is a receipt of its own.
function joined(receipts) {
  const compared = new Map(receipts.filter(({ kind }) => kind === "compared").map((each) => [each.of, each]));
  return receipts.filter(({ kind }) => kind !== "compared")
    .map((each) => ({ ...each, compared: compared.get(each.number) }));
}

function columns() {
  return [
    { name: "number", title: "Number", className: "right", fill: text((each) => number(each.number)) },
    { name: "at", title: "Time", fill: text((each) => moment(each.at_ms)) },
    { name: "policy", title: "Policy", fill: fillPolicy },
    { name: "twins", title: "Twins", className: "right", fill: text((each) => valueText(each.twins)) },
    { name: "took", title: "Took", className: "right", fill: text((each) => (each.took_s === undefined ? "–" : duration(each.took_s))) },
    { name: "moves", title: "Moves", className: "right", fill: text((each) => valueText(each.moves?.length)) },
    { name: "cost", title: "Cost", className: "right", fill: text((each) => cost(each.cost)) },
    { name: "stay", title: "If all stay", className: "right", fill: text((each) => cost(each.cost_if_all_stay)) },
    { name: "reference", title: "Reference", className: "right", fill: text(({ compared }) => (compared ? `${cost(compared.cost)} (${compared.reference})` : "–")) },
  ];
}

const cost = (value) => (typeof value === "number" ? value.toFixed(4).replace("-", "−") : "–");

function fillPolicy(cell, { kind, policy, reason }) {
  say(cell, kind === "failed" ? `failed: ${reason}` : policy ?? kind);
  mark(cell, "tone", kind === "failed" ? "bad" : "");
}
