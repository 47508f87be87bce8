// The whole site: totals, the map, edges with their load, what happens.

import { CONDITIONS, conditionOf } from "./fleet.js";
import { el, mark, notice, replace, say } from "./dom.js";
import { age, duration, moment, number, SPACE } from "./format.js";
import { now } from "./api.js";
import { SiteMap } from "./site_map.js";
import { twinAddress } from "./table.js";
import { PRESENCE, sentence, weight } from "./words.js";

const HAPPENED_SHOWN = 14;
const HOUR_MS = 3_600_000;
const SILENT_MS = 90_000; // three heartbeats

export function overview(fleet) {
  const totals = new Totals();
  const map = new SiteMap(fleet);
  const edges = new Edges();
  const happened = el("ol", { className: "happened" });
  const empty = el("div", {});
  const element = el("div", { className: "overview" },
    el("h1", { className: "unseen" }, "Overview"), el("div", {}, totals.element, empty),
    el("section", { className: "panel", "aria-label": "Site" }, el("h2", {}, "Site"), map.element),
    el("section", { className: "panel", "aria-label": "Edges" }, el("h2", {}, "Edges"), edges.element),
    el("section", { className: "panel", "aria-label": "What happens" },
      el("h2", {}, "What happens ", el("a", { href: "#/events" }, "all events")), happened));
  const moved = ({ detail }) => map.moved(detail);
  fleet.addEventListener("happened", moved);

  function draw() {
    totals.draw(fleet);
    map.draw();
    edges.draw(fleet);
    drawHappened(happened, fleet);
    replace(empty, welcome(fleet));
  }

  return { title: "Overview", element, draw, close: () => fleet.removeEventListener("happened", moved) };
}

function welcome(fleet) {
  if (fleet.twins.size) return null;
  if (!fleet.complete) return notice("loading", "Reading the twins …");
  return notice("empty", "No twins yet", "A twin appears when its device is heard of for the first time: start one with `diten device run`.");
}

class Totals {
  #shown = new Map();

  constructor() {
    this.element = el("dl", { className: "totals" });
  }

  draw(fleet) {
    const counted = Object.fromEntries(CONDITIONS.map((condition) => [condition, 0]));
    for (const known of fleet.twins.values()) counted[conditionOf(known)] += 1;
    const rate = fleet.link.state === "disconnected" ? null : fleet.reportsPerSecond();
    const there = fleet.edges.filter(({ presence }) => presence === "online").length;
    const [since_ms, span] = spanOf(fleet.events);
    const known = fleet.complete || fleet.twins.size > 0;
    const count = (amount) => (known ? number(amount) : "–");
    const recent = fleet.events.filter(({ at_ms }) => at_ms >= since_ms);
    const pauses = recent.filter(({ kind, pause_s }) => kind === "owned" && pause_s !== undefined)
      .map(({ pause_s }) => pause_s).sort((a, b) => a - b);
    const failovers = recent.filter(({ kind }) => kind === "failover").length;
    this.#set("twins", "Twins", count(fleet.twins.size), fleet.refusedTwins ? "the first only; there are more" : "");
    const others = [[counted.moving, "moving"], [counted.never, "without a report"]].filter(([amount]) => amount);
    this.#set("live", "Live", count(counted.live), others.map(([amount, what]) => `${number(amount)} ${what}`).join(", "));
    this.#set("stale", "Stale", count(counted.stale), "late by three reports", counted.stale && "warn");
    this.#set("lost", "Devices lost", count(counted.lost), "signed off, or cut off", counted.lost && "bad");
    this.#set("rate", "Reports", rate === null ? "–" : number(Math.round(rate * 10) / 10), "a second, applied");
    this.#set("edges", "Edges there", known ? `${there} of ${fleet.edges.length}` : "–", "", there < fleet.edges.length && "bad");
    this.#set("moves", "Moves", count(pauses.length), pauses.length
      ? `${span}, paused ${duration(quantile(pauses, 0.5))} (p50), ${duration(quantile(pauses, 0.99))} (p99)` : span);
    this.#set("failovers", "Failovers", count(failovers), span, failovers && "warn");
  }

  #set(key, name, value, note, tone) {
    if (!this.#shown.has(key)) {
      const shown = { value: el("dd", {}), note: el("dd", { className: "note" }) };
      shown.box = el("div", {}, el("dt", {}, name), shown.value, shown.note);
      this.#shown.set(key, shown);
      this.element.append(shown.box);
    }
    const shown = this.#shown.get(key);
    say(shown.value, value);
    say(shown.note, note);
    mark(shown.box, "tone", tone || "");
  }
}

class Edges {
  constructor() {
    this.body = el("tbody", {});
    this.note = el("p", { className: "quiet" });
    this.element = el("div", {}, el("table", {},
      el("thead", {}, el("tr", {}, ["Edge", "State", "Presence"].map((name) => el("th", { scope: "col" }, name)),
        el("th", { scope: "col", className: "right" }, "Twins"), el("th", { scope: "col" }, "Share"))),
      this.body), this.note);
  }

  draw(fleet) {
    const total = fleet.edges.reduce((sum, { twins }) => sum + twins, 0);
    while (this.body.children.length > fleet.edges.length) this.body.lastElementChild.remove();
    fleet.edges.forEach((edge, place) => this.#row(this.body.children[place] ?? this.#newRow(), edge, total));
    say(this.note, fleet.edges.length ? "" : fleet.complete ? "No edge has said hello yet." : "Reading the edges …");
    this.element.firstElementChild.hidden = fleet.edges.length === 0;
  }

  #newRow() {
    const meter = el("progress", { max: 1, "aria-label": "of all twins" });
    const row = el("tr", {}, el("th", { scope: "row" }), el("td", {}), el("td", {}), el("td", { className: "right" }), el("td", { className: "share" }, meter, el("span", {})));
    this.body.append(row);
    return row;
  }

  #row(row, edge, total) {
    const [name, state, presence, twins, share] = row.children;
    say(name, edge.edge);
    say(state, edge.state);
    mark(state, "tone", { draining: "warn", lost: "bad" }[edge.state] ?? "");
    const silent = edge.presence === "online" && now() - edge.heard_ms > SILENT_MS;
    say(presence, silent ? `silent, heard ${age(now() - edge.heard_ms)}` : PRESENCE[edge.presence] ?? edge.presence);
    mark(presence, "tone", edge.presence === "online" && !silent ? "" : edge.presence === "unknown" ? "warn" : "bad");
    say(twins, number(edge.twins));
    const part = edge.twins / Math.max(total, 1);
    share.firstElementChild.value = part;
    say(share.lastElementChild, `${Math.round(100 * part)}${SPACE}%`);
  }
}

function drawHappened(list, { events, complete }) {
  const newest = events.slice(-HAPPENED_SHOWN).reverse();
  const key = String(newest[0]?.number ?? complete);
  if (list.dataset.newest === key) return;
  list.dataset.newest = key;
  replace(list, newest.length ? newest.map(happenedItem) : el("li", { className: "quiet" }, complete ? "Nothing yet: moves, failovers and edges that come and go appear here." : "Reading the events …"));
}

function happenedItem(event) {
  const about = event.twin ? [el("a", { href: twinAddress(event.twin) }, event.twin), " "] : [];
  return el("li", { "data-tone": weight(event) }, el("time", {}, moment(event.at_ms)), el("span", {}, ...about, sentence(event)));
}

// The last hour, or what is known of it where more happened than the page keeps.
function spanOf(events) {
  const hour = now() - HOUR_MS;
  const first = events[0];
  if (!first || first.number === 1 || first.at_ms <= hour) return [hour, "last hour"];
  return [first.at_ms, `since ${moment(first.at_ms)}`];
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
