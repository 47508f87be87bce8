// One twin: its values, what is wanted of it, its past, its commands, its moves.

import { get, now } from "./api.js";
import { Chart } from "./chart.js";
import { commands, mover } from "./orders.js";
import { DesiredCell } from "./desired.js";
import { conditionOf, positionOf, titleOf } from "./fleet.js";
import { el, mark, notice, replace, say } from "./dom.js";
import { age, moment, number, scaled, unitOf, valueText } from "./format.js";
import { CONDITION, PRESENCE, sentence, weight } from "./words.js";

const MOVES_SHOWN = 12;

export function twin(fleet, _query, id) {
  const facts = new Facts();
  const chart = new Chart(id);
  const table = new Features(id, (name) => choose(name), () => refresh());
  const moves = el("ol", { className: "happened" });
  const move = mover(id, fleet);
  const mine = el("div", { className: "stack" }, move.element, el("section", { className: "panel", "aria-label": "Its moves" }, el("h2", {}, "Where it was"), moves));
  const body = el("div", { className: "twin wide" }, facts.element,
    el("div", { className: "stack" }, table.element, commands(() => fleet.twins.get(id)?.thing?.thingId ?? id)), el("div", { className: "stack" }, chart.element, mine));
  const element = el("div", {});

  function choose(name) {
    const thing = fleet.twins.get(id).thing;
    chart.show(name, unitOf(thing, name), specOf(thing, name));
    table.chosen = name;
    draw();
  }

  function draw() {
    const known = fleet.twins.get(id);
    if (!known) return replaceOnce(element, missing(fleet, id));
    replaceOnce(element, body);
    facts.draw(known);
    table.draw(known.thing);
    if (!chart.feature) first(known.thing);
    addTo(chart, known.thing);
    chart.draw();
    move.draw();
    drawMoves(moves, fleet.events.filter((event) => event.twin === id));
  }

  function first(thing) {
    const names = Object.keys(thing?.features ?? {}).sort();
    const name = names.find((each) => typeof thing.features[each].properties?.value === "number") ?? names[0];
    if (name) choose(name);
  }

  async function refresh() {
    try {
      fleet.take((await get(`/api/2/things/${encodeURIComponent(id)}`)).body);
    } catch {
      // Not there yet, or the cloud is away: the rounds say so, and go on asking.
    }
    draw();
  }

  return { title: id, element, draw, close: () => chart.close() };
}

const specOf = (thing, feature) => thing.attributes?.description?.features?.[feature] ?? {};

function replaceOnce(parent, child) {
  if (parent.firstElementChild?.dataset.key !== undefined && parent.firstElementChild.dataset.key === child.dataset.key) return;
  if (parent.firstElementChild !== child) replace(parent, child);
}

function missing(fleet, id) {
  const shown = fleet.complete
    ? notice("error", `There is no twin ${id.slice(0, 100)}`, "It may not have been heard of yet. ", el("a", { href: "#/twins" }, "All twins there are"))
    : notice("loading", "Reading the twin …");
  shown.dataset.key = String(fleet.complete);
  return shown;
}

function addTo(chart, thing) {
  const state = thing?.features?.[chart.feature]?.properties;
  if (state) chart.add(state.observed_ms, state.value);
}

class Facts {
  #facts = new Map();

  constructor() {
    this.heading = el("h1", {});
    this.list = el("dl", { className: "facts" });
    this.element = el("div", { className: "wide" }, this.heading, this.list);
  }

  draw(known) {
    const { thing, place, reported_ms } = known;
    const title = titleOf(known);
    const position = positionOf(known);
    const condition = conditionOf(known);
    say(this.heading, title ? `${known.id} · ${title}` : known.id);
    this.#set("Condition", CONDITION[condition], { condition });
    this.#set("Device", PRESENCE[place?.presence] ?? "–");
    this.#set("Edge", !place ? "–" : place.to ? `${place.owner}, moving to ${place.to}` : place.owner);
    this.#set("Reported", reported_ms ? age(now() - reported_ms) : "never");
    this.#set("Revision", thing ? number(thing._revision) : "–");
    this.#set("Epoch", number(place?.epoch ?? thing?.epoch ?? 0));
    if (position) this.#set("Position", `${position.map((metres) => metres.toFixed(1)).join(" / ")} m`);
  }

  #set(name, value, { condition = "" } = {}) {
    if (!this.#facts.has(name)) {
      const shown = el("dd", {});
      this.#facts.set(name, shown);
      this.list.append(el("div", {}, el("dt", {}, name), shown));
    }
    say(this.#facts.get(name), value);
    mark(this.#facts.get(name), "condition", condition);
  }
}

class Features {
  #rows = new Map();
  #names = "";

  constructor(id, choose, written) {
    [this.id, this.choose, this.written] = [id, choose, written];
    this.chosen = "";
    this.body = el("tbody", {});
    this.empty = el("p", { className: "quiet" }, "Its device has not reported yet.");
    this.table = el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Feature"),
      el("th", { scope: "col", className: "right" }, "Value"), ["Unit", "Observed", "Quality", "Desired"].map((name) => el("th", { scope: "col" }, name)))), this.body);
    this.element = el("section", { className: "panel features", "aria-label": "Features" }, el("h2", {}, "Values"), this.table, this.empty);
  }

  draw(thing) {
    const names = Object.keys(thing?.features ?? {}).sort();
    // A description changes what a row can do; so a changed one makes new rows.
    const key = JSON.stringify([names, thing?.attributes?.description?.features]);
    if (key !== this.#names) this.#build(thing, names, key);
    this.table.hidden = names.length === 0;
    this.empty.hidden = names.length > 0;
    for (const name of names) this.#draw(this.#rows.get(name), name, thing);
  }

  #build(thing, names, key) {
    this.#names = key;
    this.#rows = new Map(names.map((name) => [name, this.#row(thing, name)]));
    replace(this.body, [...this.#rows.values()].map(({ element }) => element));
  }

  #row(thing, name) {
    const spec = specOf(thing, name);
    const unit = unitOf(thing, name);
    const choose = el("button", { type: "button", className: "link-button", onclick: () => this.choose(name) }, name);
    const cells = { value: el("td", { className: "right value" }), unit: el("td", {}), age: el("td", {}), quality: el("td", {}) };
    const desired = new DesiredCell(thing.thingId, name, spec, unit);
    desired.onwritten = () => this.written();
    desired.onchange = () => this.written();
    const head = el("th", { scope: "row" }, choose, spec.title ? el("span", { className: "describe" }, spec.title) : null);
    return { ...cells, choose, desired, unitText: unit, element: el("tr", {}, head, ...Object.values(cells), desired.element) };
  }

  #draw(row, name, thing) {
    const { value, observed_ms, quality = "" } = thing.features[name].properties ?? {};
    const [amount, unit] = scaled(value, row.unitText);
    say(row.value, valueText(amount));
    mark(row.value, "type", typeof amount);
    say(row.unit, unit);
    say(row.age, observed_ms ? age(now() - observed_ms) : "never");
    say(row.quality, quality);
    mark(row.quality, "tone", quality === "good" || quality === "live" || quality === "" ? "" : "warn");
    row.choose.setAttribute("aria-pressed", String(name === this.chosen));
    row.element.setAttribute("aria-selected", String(name === this.chosen));
    row.desired.draw(thing.features[name]);
  }
}

function drawMoves(list, events) {
  const newest = events.slice(-MOVES_SHOWN).reverse();
  const key = String(newest[0]?.number ?? "none");
  if (list.dataset.newest === key) return;
  list.dataset.newest = key;
  replace(list, newest.length ? newest.map((event) => el("li", { "data-tone": weight(event) }, el("time", {}, moment(event.at_ms)), el("span", {}, sentence(event))))
    : el("li", { className: "quiet" }, "Nothing among the newest events."));
}
