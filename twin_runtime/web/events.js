// What the directory decided, newest first, from the cloud's disk.

import { el, mark, notice, replace, say } from "./dom.js";
import { EVENTS_MAX } from "./fleet.js";
import { moment, number } from "./format.js";
import { Table, text, twinAddress, twinLink } from "./table.js";
import { sentence, weight } from "./words.js";

export function events(fleet, query) {
  const words = el("input", { type: "search", id: "search", value: query.get("q") ?? "", placeholder: "Twin, edge or kind", autocomplete: "off", spellcheck: false, maxLength: 200, oninput: () => draw() });
  const count = el("p", { className: "quiet", role: "status" });
  const note = el("div", {});
  const table = new Table({
    label: "Events", columns: columns(), key: ({ number: each }) => each,
    open: ({ twin }) => twin && (location.hash = twinAddress(twin)), empty: "No event is like that.",
  });
  const element = el("div", { className: "events" }, el("h1", {}, "Events"),
    el("form", { className: "bar", role: "search", onsubmit: (event) => event.preventDefault() },
      el("label", { htmlFor: "search", className: "unseen" }, "Search"), words, count), note, table.element);

  function draw() {
    const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = fleet.events.filter((event) => asked.every((word) => wordsOf(event).includes(word))).reverse();
    replace(note, fleet.events.length ? null : fleet.complete
      ? notice("empty", "Nothing has happened yet", "Moves, failovers, and edges that come and go are listed here.")
      : notice("loading", "Reading the events …"));
    table.element.hidden = fleet.events.length === 0;
    const bound = fleet.events.length >= EVENTS_MAX ? "; older ones are at /api/v1/events" : "";
    say(count, `${number(rows.length)} of the newest ${number(fleet.events.length)}${bound}`);
    table.show(rows);
  }

  return { title: "Events", element, draw, close: () => table.close() };
}

const wordsOf = ({ kind, twin = "", edge = "", from = "", to = "" }) => `${kind} ${twin} ${edge} ${from} ${to}`.toLowerCase();

function columns() {
  return [
    { name: "number", title: "Number", className: "right", fill: text((event) => number(event.number)) },
    { name: "at", title: "Time", fill: text((event) => moment(event.at_ms)) },
    { name: "kind", title: "Kind", fill: (cell, event) => { say(cell, event.kind); mark(cell, "tone", weight(event)); } },
    { name: "twin", title: "Twin", fill: (cell, event) => (event.twin ? twinLink(cell, event.twin) : replace(cell)) },
    { name: "what", title: "What happened", fill: text(sentence) },
  ];
}
