// The site from above: edges where they said they are, twins where their devices are.
//
// All twins of one condition are one path of dots, so ten thousand are a handful of elements.
// A line says which edge owns a twin, where there are few enough to follow; who has just
// moved has a ring for a few seconds. One twin at a time is chosen, by the pointer or the arrow
// keys, is named on the map and to screen readers, and opens with a click or Enter.

import { now } from "./api.js";
import { conditionOf, positionOf } from "./fleet.js";
import { el, say, svg } from "./dom.js";
import { number } from "./format.js";
import { twinAddress } from "./table.js";
import { CONDITION } from "./words.js";

const WIDTH = 1000; // of the drawing, in its own unit
const MARGIN = 40;
const ROOM = 0.08; // around the site, of its size
const LINES_MAX = 200; // beyond, lines hide more than they show
const MOVED_MS = 4_000;
const COLOURS = [["lost", "red"], ["moving", "blue"], ["stale", "amber"]];
const DRAWN = ["live", "never", "stale", "moving", "lost"]; // the last is on top
const PICK_PX = 14;
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = "Arrow keys choose a twin, Enter opens it";
const RING_PX = 8;
const EDGE_PX = 8; // half of its square
const TEXT_PX = 13;
const NAME_CHARS = 20;
const SCALES_M = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6, 1e7];

export class SiteMap {
  #fleet;
  #layers = new Map();
  #moved = new Map(); // twin → when it came to where it is
  #coloured = []; // how many are in which colour, in words
  #placed = []; // [twin, x, y] in the drawing's unit
  #chosen = null; // a twin's id
  #bounds = "";
  #kept = null; // the site, as it is drawn
  #px = 1; // one pixel, in the drawing's unit

  constructor(fleet) {
    this.#fleet = fleet;
    this.lines = svg("path", { class: "own" });
    this.rings = svg("path", { class: "moved" });
    this.edges = svg("g", {});
    this.scale = svg("g", { class: "scale" });
    for (const condition of DRAWN) {
      this.#layers.set(condition, svg("path", { class: "dots", "data-condition": condition }));
    }
    this.mark = svg("g", { class: "chosen" }, svg("path", {}), svg("text", {}));
    this.drawing = svg("svg", { role: "img" },
      this.lines, this.rings, ...this.#layers.values(), this.edges, this.scale, this.mark);
    this.told = el("p", { className: "unseen", role: "status" });
    this.legend = el("p", { className: "legend" });
    this.element = el("div", { className: "site-map" }, el("div", {
      role: "application", tabIndex: 0, "aria-label": `Twins on the map. ${KEYS}`, onclick: (event) => this.#clicked(event),
      onpointermove: (event) => this.#pointed(event), onpointerleave: () => this.#choose(null),
      onkeydown: (event) => this.#keyed(event), onblur: () => this.#choose(null),
    }, this.drawing), this.told, this.legend);
  }

  // Twins that have just come to another edge.
  moved(events) {
    for (const { kind, twin, from, at_ms } of events) {
      if ((kind === "owned" && from) || kind === "failover") this.#moved.set(twin, at_ms);
    }
  }

  draw() {
    const twins = [...this.#fleet.twins.values()]
      .map((known) => [known, positionOf(known)]).filter(([, position]) => position);
    const edges = this.#fleet.edges.filter((edge) => edge.position);
    this.element.hidden = twins.length === 0 && edges.length === 0;
    if (this.element.hidden) return;
    this.#px = WIDTH / Math.max(this.drawing.clientWidth, 1);
    const toDrawing = this.#fit(twins, edges);
    this.#placed = twins.map(([known, position]) => [known, ...toDrawing(position)]);
    this.#dots();
    this.#owners(edges, toDrawing);
    this.#edgeMarks(edges, toDrawing);
    this.#drawChosen();
    this.#describe(twins.length, edges.length);
  }

  // One scale for both axes; north is up.
  #fit(twins, edges) {
    const places = [...twins.map(([, position]) => position), ...edges.map(({ position }) => [position.x_m, position.y_m])];
    const [xs, ys] = [places.map(([x]) => x), places.map(([, y]) => y)];
    const [west, east, south, north] = this.#site(extent(xs), extent(ys));
    const perMetre = (WIDTH - 2 * MARGIN) / Math.max(east - west, (north - south) / 0.75, 1);
    const height = Math.max((north - south) * perMetre, WIDTH / 4) + 2 * MARGIN;
    const spare = (height - 2 * MARGIN - (north - south) * perMetre) / 2;
    const aside = (WIDTH - 2 * MARGIN - (east - west) * perMetre) / 2;
    this.#setBounds(`0 0 ${WIDTH} ${Math.round(height)}`, perMetre, height);
    return ([x, y]) => [MARGIN + aside + (x - west) * perMetre, MARGIN + spare + (north - y) * perMetre];
  }

  // The map stands still while what is on it moves: until somebody leaves it, or it is much
  // too large.
  #site([west, east], [south, north]) {
    const room = Math.max(east - west, north - south, 1) * ROOM;
    const kept = this.#kept;
    const holds = kept && kept[0] <= west && kept[1] >= east && kept[2] <= south && kept[3] >= north;
    const fits = holds && kept[1] - kept[0] <= east - west + 4 * room && kept[3] - kept[2] <= north - south + 4 * room;
    if (!fits) this.#kept = [west - room, east + room, south - room, north + room];
    return this.#kept;
  }

  #setBounds(bounds, perMetre, height) {
    const metres = SCALES_M.findLast((length) => length * perMetre <= WIDTH / 5) ?? SCALES_M[0];
    const key = `${bounds} ${metres} ${perMetre} ${this.#px}`;
    if (key === this.#bounds) return;
    this.#bounds = key;
    this.drawing.setAttribute("viewBox", bounds);
    const [left, bottom] = [16, height - 14];
    this.scale.replaceChildren(
      svg("path", { d: `M${left} ${bottom - 6}v6h${metres * perMetre}v-6` }),
      svg("text", { x: left + metres * perMetre + 8 * this.#px, y: bottom, "font-size": TEXT_PX * this.#px }, `${number(metres)} m`),
    );
  }

  #dots() {
    const paths = Object.fromEntries(DRAWN.map((condition) => [condition, []]));
    for (const [known, x, y] of this.#placed) {
      paths[conditionOf(known)].push(`M${x.toFixed(1)} ${y.toFixed(1)}h0`);
    }
    for (const [condition, layer] of this.#layers) layer.setAttribute("d", paths[condition].join(""));
    this.#coloured = COLOURS.filter(([condition]) => paths[condition].length)
      .map(([condition, colour]) => `${number(paths[condition].length)} ${condition} (${colour})`);
  }

  #owners(edges, toDrawing) {
    const at = new Map(edges.map(({ edge, position }) => [edge, toDrawing([position.x_m, position.y_m])]));
    const [lines, rings] = [[], []];
    for (const [id, since] of this.#moved) if (now() - since > MOVED_MS) this.#moved.delete(id);
    for (const [known, x, y] of this.#placed) {
      const owner = at.get(known.place?.owner);
      if (owner && this.#placed.length <= LINES_MAX) lines.push(`M${x.toFixed(1)} ${y.toFixed(1)}L${owner[0].toFixed(1)} ${owner[1].toFixed(1)}`);
      if (this.#moved.has(known.id)) rings.push(ring(x, y, RING_PX * this.#px));
    }
    this.lines.setAttribute("d", lines.join(""));
    this.rings.setAttribute("d", rings.join(""));
  }

  #edgeMarks(edges, toDrawing) {
    this.edges.replaceChildren(...edges.map((edge) => {
      const [x, y] = toDrawing([edge.position.x_m, edge.position.y_m]);
      const half = EDGE_PX * this.#px;
      return svg("g", { class: "edge", "data-presence": edge.presence, "data-state": edge.state },
        svg("rect", { x: x - half, y: y - half, width: 2 * half, height: 2 * half }),
        svg("text", { x, y: y - 1.8 * half, "font-size": TEXT_PX * this.#px, "stroke-width": 4 * this.#px }, `${short(edge.edge)} · ${edge.twins}`), svg("title", {}, edge.edge));
    }));
  }

  #describe(twins, edges) {
    const without = this.#fleet.twins.size - twins;
    const rest = without ? `; ${number(without)} have no position` : "";
    const coloured = this.#coloured.length ? `${this.#coloured.join(", ")}. ` : "";
    say(this.legend, `${number(twins)} twins and ${number(edges)} edges${rest}. ${coloured}`
      + (twins > LINES_MAX ? "Choose a dot to see its twin." : "A line leads to the edge that owns a twin; a ring is a twin that has just moved."));
    this.drawing.setAttribute("aria-label", `Site map: ${this.legend.textContent}`);
  }

  #pointed(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.drawing.getScreenCTM().inverse());
    const far = ([, x, y]) => Math.hypot(x - at.x, y - at.y);
    const nearest = least(this.#placed, far);
    this.#choose(nearest && far(nearest) <= PICK_PX * this.#px ? nearest[0].id : null);
  }

  #clicked(event) {
    this.#pointed(event); // a finger did not move here
    this.#open();
  }

  #keyed(event) {
    const own = !event.altKey && !event.ctrlKey && !event.metaKey; // Alt and an arrow go back
    const way = own && ARROWS[event.key];
    if (way) this.#choose(this.#beside(way)?.[0].id ?? this.#chosen);
    else if (event.key === "Enter" && this.#chosen) this.#open();
    else if (event.key === "Escape" && this.#chosen) this.#choose(null);
    else return;
    event.preventDefault();
  }

  // The next one that way, rather straight on; where none is chosen yet, one in the middle.
  #beside([dx, dy]) {
    const from = this.#placed.find(([{ id }]) => id === this.#chosen);
    if (!from) return least(this.#placed, ([, x, y]) => Math.hypot(x - WIDTH / 2, y - WIDTH * 0.375));
    const cost = ([, x, y]) => {
      const [along, aside] = [(x - from[1]) * dx + (y - from[2]) * dy, (x - from[1]) * dy + (y - from[2]) * dx];
      return along > 0 ? along + 2 * Math.abs(aside) : Infinity;
    };
    const next = least(this.#placed, cost);
    return next && cost(next) < Infinity ? next : null;
  }

  #choose(id) {
    if (id === this.#chosen) return;
    this.#chosen = id;
    this.#drawChosen();
  }

  #drawChosen() {
    const found = this.#placed.find(([{ id }]) => id === this.#chosen);
    this.mark.toggleAttribute("hidden", !found);
    this.drawing.parentElement.classList.toggle("picks", Boolean(found));
    if (!found) return say(this.told, "");
    const [{ id, place }, x, y] = found;
    const [outline, name] = this.mark.children;
    const left = x < WIDTH / 2;
    outline.setAttribute("d", ring(x, y, RING_PX * this.#px));
    for (const [key, value] of Object.entries({
      x: x + (left ? 1.5 : -1.5) * RING_PX * this.#px, y: y + TEXT_PX * this.#px / 3, "text-anchor": left ? "start" : "end",
      "font-size": TEXT_PX * this.#px, "stroke-width": 4 * this.#px,
    })) name.setAttribute(key, value);
    say(name, short(id));
    say(this.told, `${id}, ${CONDITION[conditionOf(found[0])]}${place ? `, at ${place.owner}` : ""}`);
  }

  #open() {
    if (this.#chosen) location.hash = twinAddress(this.#chosen);
  }
}

// The one of least cost; undefined of none.
function least(all, costOf) {
  let [found, cost] = [undefined, Infinity];
  for (const each of all) {
    const own = costOf(each);
    if (own < cost || found === undefined) [found, cost] = [each, own];
  }
  return found;
}

const ring = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;

const short = (name) => (name.length > NAME_CHARS ? `${name.slice(0, NAME_CHARS - 1)}…` : name);

function extent(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}
