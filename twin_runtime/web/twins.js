// All twins: searched, sorted, as many as there are.

import { CONDITIONS, conditionOf, titleOf, wordsOf } from "./fleet.js";
import { el, mark, notice, replace, say } from "./dom.js";
import { age, number, unitOf, withUnit } from "./format.js";
import { now } from "./api.js";
import { Table, text, twinAddress, twinLink } from "./table.js";
import { CONDITION } from "./words.js";

const VALUES_SHOWN = 8;
const byId = (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
const KEYS = {
  id: () => 0,
  edge: ({ place }) => place?.owner ?? "",
  condition: (known) => CONDITIONS.indexOf(conditionOf(known)),
  reported: ({ reported_ms }) => -reported_ms,
};

export function twins(fleet, query) {
  const wanted = { words: query.get("q") ?? "", condition: query.get("is") ?? "", sort: "id", direction: 1 };
  const search = el("input", { type: "search", id: "search", value: wanted.words, placeholder: "Twin, title, edge or feature", autocomplete: "off", spellcheck: false, maxLength: 200, oninput: () => changed({ words: search.value }) });
  const condition = el("select", { id: "condition", onchange: () => changed({ condition: condition.value }) },
    el("option", { value: "" }, "any condition"), CONDITIONS.map((name) => el("option", { value: name }, CONDITION[name])));
  condition.value = wanted.condition;
  const count = el("p", { className: "quiet", role: "status" });
  const table = new Table({
    label: "Twins", key: ({ id }) => id, columns: columns(),
    open: ({ id }) => (location.hash = twinAddress(id)),
    onSort: (name) => sort(name), empty: "No twin is like that.",
  });
  const note = el("div", {});
  const element = el("div", { className: "twins" }, el("h1", {}, "Twins"),
    el("form", { className: "bar", role: "search", onsubmit: (event) => event.preventDefault() },
      el("label", { htmlFor: "search", className: "unseen" }, "Search"), search,
      el("label", { htmlFor: "condition", className: "unseen" }, "Condition"), condition, count),
    note, table.element);
  table.sorted("id", 1);

  function sort(name) {
    wanted.direction = wanted.sort === name ? -wanted.direction : 1;
    wanted.sort = name;
    table.sorted(name, wanted.direction);
    draw();
  }

  function changed(change) {
    Object.assign(wanted, change);
    const query = new URLSearchParams(Object.entries({ q: wanted.words, is: wanted.condition }).filter(([, value]) => value));
    history.replaceState(null, "", `#/twins${query.size ? `?${query}` : ""}`);
    draw();
  }

  function draw() {
    const rows = chosen(fleet, wanted);
    replace(note, fleet.twins.size ? null : fleet.complete
      ? notice("empty", "No twins yet", "A twin appears when its device is heard of for the first time.")
      : notice("loading", "Reading the twins …"));
    table.element.hidden = fleet.twins.size === 0;
    const more = fleet.complete ? "" : ", still reading";
    say(count, `${number(rows.length)} of ${number(fleet.twins.size)}${more}`);
    table.show(rows);
  }

  return { title: "Twins", element, draw, close: () => table.close() };
}

function chosen(fleet, { words, condition, sort, direction }) {
  const asked = words.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...fleet.twins.values()].filter((known) =>
    (!condition || conditionOf(known) === condition)
    && (!asked.length || asked.every((word) => wordsOf(known).includes(word))));
  const key = KEYS[sort];
  const keyed = rows.map((known) => [key(known), known]);
  keyed.sort(([a, x], [b, y]) => direction * (a < b ? -1 : a > b ? 1 : byId(x, y)));
  return keyed.map(([, known]) => known);
}

function columns() {
  return [
    { name: "id", title: "Twin", sort: true, fill: (cell, { id }) => twinLink(cell, id) },
    { name: "title", title: "Title", fill: text(titleOf) },
    { name: "edge", title: "Edge", sort: true, fill: text(edgeText) },
    { name: "condition", title: "Condition", sort: true, fill: fillCondition },
    { name: "reported", title: "Reported", className: "right", sort: true, fill: text(({ reported_ms }) => (reported_ms ? age(now() - reported_ms) : "never")) },
    { name: "revision", title: "Revision", className: "right", fill: text(({ thing }) => (thing ? number(thing._revision) : "–")) },
    { name: "values", title: "Values", fill: text(valuesText) },
  ];
}

const edgeText = ({ place }) => (!place ? "–" : place.to ? `${place.owner} → ${place.to}` : place.owner);

function fillCondition(cell, known) {
  const condition = conditionOf(known);
  say(cell, CONDITION[condition]);
  mark(cell, "condition", condition);
}

function valuesText({ thing }) {
  if (!thing) return "";
  return Object.keys(thing.features).sort().slice(0, VALUES_SHOWN)
    .map((name) => {
      const { value, quality = "good" } = thing.features[name].properties ?? {};
      const doubt = quality === "good" ? "" : ` (${quality})`;
      return `${name} ${withUnit(value, unitOf(thing, name))}${doubt}`;
    }).join("  ·  ");
}
