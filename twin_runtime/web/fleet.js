// What the page knows: twins, where they are, edges, what happened. The source writes it,
// views read it, and are told that something changed at most once in RENDER_MS.
//
// A twin's condition, the worst first:
//   lost     its device is gone, as far as the broker knows (offline, or its connection broke)
//   moving   between two edges: sealed at one, not yet active at the other
//   stale    no report for three times as long as it usually takes
//   never    no report yet
//   live     none of these
//
// Nothing grows without bound: TWINS_MAX twins, EVENTS_MAX events, one state of each twin.

import { now } from "./api.js";
import { twinOf } from "./format.js";

export const TWINS_MAX = 20_000;
export const EVENTS_MAX = 2_000;
const RENDER_MS = 250;
const STALE_GAPS = 3;
const STALE_MS_MIN = 10_000; // reports of a busy device come in windows
const STALE_MS_FIRST = 90_000; // for one of which only one report was seen
const RATE_MS = 10_000; // reports a second are counted over this long

export const CONDITIONS = ["lost", "moving", "stale", "never", "live"];

export class Fleet extends EventTarget {
  twins = new Map(); // twin → { thing, reported_ms, gap_ms, place, words }
  edges = [];
  events = []; // oldest first
  link = { state: "loading", text: "Loading …", since_ms: Date.now() };
  complete = false; // all twins are known
  refusedTwins = 0;
  #rates = []; // [time, revisions applied since the one before]
  #revisions = 0;
  #due = null;

  // A thing, or those parts of one that changed.
  take(change) {
    const id = twinOf(change.thingId);
    const known = this.#entry(id);
    if (!known) return;
    const before = known.thing;
    if (before && isOlder(change, before)) {
      // Read whole while the stream, which leaves descriptions out, was faster.
      before.attributes = change.attributes ?? before.attributes;
      known.words = null;
      return;
    }
    known.thing = merged(before, change);
    known.words = null;
    const reported_ms = Date.parse(known.thing._modified ?? "") || 0;
    if (known.reported_ms && reported_ms > known.reported_ms) {
      known.gap_ms = reported_ms - known.reported_ms;
    }
    known.reported_ms = reported_ms;
    if (before?.epoch === known.thing.epoch) {
      this.#revisions += known.thing._revision - before._revision;
    }
    this.changed();
  }

  // Where a twin is, and whether its device is there.
  place(place) {
    const known = this.#entry(place.twin);
    if (known) {
      known.place = place;
      known.words = null;
      this.changed();
    }
  }

  happened(events) {
    if (!events.length) return;
    this.events.push(...events);
    this.events.splice(0, this.events.length - EVENTS_MAX);
    this.dispatchEvent(new CustomEvent("happened", { detail: events }));
    this.changed();
  }

  // Only these are there: a twin that is not has been deleted meanwhile.
  keep(ids) {
    for (const id of this.twins.keys()) if (!ids.has(id)) this.twins.delete(id);
    this.complete = true;
    this.changed();
  }

  linked(state, text) {
    if (this.link.state === state && this.link.text === text) return;
    const since_ms = this.link.state === state ? this.link.since_ms : Date.now();
    this.link = { state, text, since_ms };
    this.changed();
  }

  #entry(id) {
    let known = this.twins.get(id);
    if (!known && this.twins.size < TWINS_MAX) {
      known = { id, thing: null, reported_ms: 0, gap_ms: 0, place: null, words: null };
      this.twins.set(id, known);
    }
    if (!known) this.refusedTwins += 1;
    return known;
  }

  changed() {
    this.#due ??= setTimeout(() => {
      this.#due = null;
      this.dispatchEvent(new Event("change"));
    }, RENDER_MS);
  }

  // Reports a second, of all twins, as their revisions rise; null before that can be told.
  reportsPerSecond() {
    const at = Date.now();
    const newest = this.#rates.at(-1);
    if (!newest || at - newest[0] >= 1000) this.#rates.push([at, this.#revisions]);
    while (this.#rates.length > 2 && at - this.#rates[1][0] >= RATE_MS) this.#rates.shift();
    const [since, revisions] = this.#rates[0];
    return at - since < 2000 ? null : (1000 * (this.#revisions - revisions)) / (at - since);
  }
}

export function conditionOf({ thing, reported_ms, gap_ms, place }) {
  if (place?.presence === "lost" || place?.presence === "offline") return "lost";
  if (place && place.phase !== "owned") return "moving";
  if (!thing || !reported_ms) return "never";
  const late_ms = gap_ms ? Math.max(STALE_GAPS * gap_ms, STALE_MS_MIN) : STALE_MS_FIRST;
  return now() - reported_ms > late_ms ? "stale" : "live";
}

// What a search looks through.
export function wordsOf(known) {
  known.words ??= [known.id, titleOf(known), known.place?.owner ?? "", known.place?.presence ?? "",
    ...Object.keys(known.thing?.features ?? {})].join(" ").toLowerCase();
  return known.words;
}

export const titleOf = (known) => known.thing?.attributes?.description?.title ?? "";

// [x, y] in metres, as the device reports it, or as it was described; null where neither.
export function positionOf({ thing }) {
  const value = (name) => thing?.features?.[name]?.properties?.value;
  const described = thing?.attributes?.description?.position;
  const [x, y] = [value("x_m") ?? described?.x_m, value("y_m") ?? described?.y_m];
  return Number.isFinite(x) && Number.isFinite(y) ? [x, y] : null;
}

function isOlder(change, known) {
  if ((change.epoch ?? known.epoch) !== known.epoch) return change.epoch < known.epoch;
  return (change._revision ?? change.revision) < known._revision;
}

// What a change leaves out stays; what it names is whole.
const merged = (before, change) => ({ features: {}, attributes: {}, ...before, ...change });
