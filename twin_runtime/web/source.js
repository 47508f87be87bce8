// Keeps a fleet up to date: one stream of changed things, and one round of questions about
// what changes rarely (edges, places, events) every ROUND_MS.
//
// The stream is an EventSource: where it breaks off, the browser goes on by itself
// (`Last-Event-ID`), and a cloud that has forgotten what is missing sends all things anew. A
// stream of ours that is new says nothing of what is there already, so all things are read
// once it is open. A cloud with another store is another site, and the page begins anew. That a
// stream is silent proves nothing; that the rounds fail does: they say whether the cloud is
// there, and replace a stream that the browser gave up. A thing with a new epoch has another
// owner, which only makes the next round come at once.
//
// A browser opens six connections to a server, for all its tabs. So there is one stream, and
// none where nobody looks: a hidden tab gives it up with its next round.

import { get } from "./api.js";
import { EVENTS_MAX } from "./fleet.js";
import { twinOf } from "./format.js";

const ROUND_MS = 2_000;
const ROUND_MS_MIN = 250; // while much is decided
const ROUND_HIDDEN_MS = 15_000;
const ROUND_MS_MAX = 15_000; // between two attempts while the cloud is away
const SILENT_ROUNDS = 5; // a stream that could not be opened for so long is opened anew
const OPEN_MS = 2_000;
const THINGS_PAGE = 200;
const PAGE = 1_000;
const PAGES_MAX = 1_000; // pages end, since their cursors rise; this is for a server that errs
const FIELDS = "thingId,epoch,_revision,_modified,features";

export class Source {
  #fleet;
  #stream = null;
  #anew = true; // all things are to be read
  #silentRounds = 0;
  #store = null; // whose changes these are, as their ids begin
  #afterTwin = 0;
  #afterEvent = null;
  #failures = 0;
  #timer = null;
  #running = false;
  #roundAt = 0;
  #unknown = new Set(); // things to be read whole: the stream leaves descriptions out

  constructor(fleet) {
    this.#fleet = fleet;
    addEventListener("online", () => this.#soon());
    document.addEventListener("visibilitychange", () => document.hidden || this.#soon());
  }

  start() {
    return this.#round();
  }

  #soon() {
    if (this.#running) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#round(), Math.max(0, this.#roundAt + ROUND_MS_MIN - Date.now()));
  }

  async #round() {
    if (this.#running) return;
    this.#running = true;
    this.#roundAt = Date.now();
    try {
      await this.#askAll();
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      this.#fleet.linked("disconnected", error.message);
    } finally {
      this.#running = false;
      this.#timer = setTimeout(() => this.#round(), this.#pause());
    }
  }

  #pause() {
    if (this.#failures) return Math.min(1000 * 2 ** (this.#failures - 1), ROUND_MS_MAX);
    return document.hidden ? ROUND_HIDDEN_MS : ROUND_MS;
  }

  async #askAll() {
    if (document.hidden) this.#stream?.close();
    else if (this.#isGone()) await this.#open();
    const asked = [this.#edges(), this.#places(), this.#events()];
    if (this.#anew) asked.push(this.#things());
    await Promise.all(asked);
    await this.#ask([...this.#unknown]);
    const open = this.#stream?.readyState === EventSource.OPEN;
    this.#silentRounds = open ? 0 : this.#silentRounds + 1;
    this.#fleet.linked(open ? "live" : "loading", open ? "Live" : "Connecting …");
  }

  #isGone() {
    return !this.#stream || this.#stream.readyState === EventSource.CLOSED || this.#silentRounds >= SILENT_ROUNDS;
  }

  // A new stream, once it is open or could not be opened.
  #open() {
    this.#stream?.close();
    this.#silentRounds = 0;
    this.#anew = true;
    const stream = new EventSource(`/api/2/things?fields=${encodeURIComponent(FIELDS)}`);
    this.#stream = stream;
    stream.onmessage = ({ data, lastEventId }) => this.#changed(data, lastEventId);
    return new Promise((resolve) => {
      stream.onopen = stream.onerror = resolve;
      setTimeout(resolve, OPEN_MS);
    });
  }

  async #edges() {
    this.#fleet.edges = (await get("/api/v1/edges")).body;
    this.#fleet.changed();
  }

  async #places() {
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const { twins, next } = (await get(`/api/v1/twins?after=${this.#afterTwin}&limit=${PAGE}`)).body;
      twins.forEach((place) => this.#fleet.place(place));
      this.#afterTwin = next;
      if (twins.length < PAGE) return;
    }
  }

  async #events() {
    const since = this.#afterEvent === null ? `limit=${PAGE}` : `after=${this.#afterEvent}&limit=${PAGE}`;
    const { events, next } = (await get(`/api/v1/events?${since}`)).body;
    this.#afterEvent = next;
    this.#fleet.happened(events.slice(-EVENTS_MAX));
  }

  // All things, page by page; what is shown grows with each.
  async #things() {
    const ids = new Set();
    let path = `/api/2/things?limit=${THINGS_PAGE}`;
    for (let page = 0; path && page < PAGES_MAX; page += 1) {
      const { body, next } = await get(path);
      for (const thing of body) {
        ids.add(twinOf(thing.thingId));
        this.#fleet.take(thing);
      }
      path = next;
    }
    for (const [id, { place }] of this.#fleet.twins) if (place) ids.add(id);
    this.#fleet.keep(ids);
    this.#anew = false;
  }

  // Whole things, for those of which only changes are known.
  async #ask(ids) {
    this.#unknown.clear();
    for (let start = 0; start < ids.length; start += THINGS_PAGE) {
      const named = encodeURIComponent(ids.slice(start, start + THINGS_PAGE).join(","));
      (await get(`/api/2/things?ids=${named}`)).body.forEach((thing) => this.#fleet.take(thing));
    }
  }

  #changed(data, id) {
    const [store] = id.split("-");
    if (store && store !== (this.#store ??= store)) location.reload(); // nothing that is shown is of it
    if (!data) return;
    const change = JSON.parse(data);
    const known = this.#fleet.twins.get(twinOf(change.thingId))?.thing;
    if (isNews(change, known) && this.#unknown.size < PAGE) this.#unknown.add(change.thingId);
    if (known && change.epoch > known.epoch) this.#soon();
    this.#fleet.take(change);
  }
}

// Whether it names what was not described: it is new, or has described itself anew.
const isNews = ({ features = {} }, known) => !known || Object.keys(features).some((name) => !(name in known.features));
