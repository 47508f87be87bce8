// A table of any length: only the rows in sight are in the document.
//
// Rows have one height, so where a row stands follows from its number. A few rows beyond both
// edges are there already, and the same elements are filled again as they scroll by. What a
// screen reader needs to know of the rest is in aria-rowcount and aria-rowindex; the arrow
// keys, Page Up and Down, Home and End move the row that is chosen, and Enter opens it. It stays
// chosen where rows are sorted anew, come and go.

import { el, replace, say } from "./dom.js";

const BORDERS_PX = 2;
const BEYOND = 8; // rows on both sides of what is in sight
let tables = 0;

// columns: [{ name, title, className?, sort?: bool, fill(cell, row) }]; fill sets one cell.
export class Table {
  #columns;
  #key;
  #open;
  #onSort;
  #rows = [];
  #pool = [];
  #chosen = -1;
  #id = `table-${(tables += 1)}`;
  #frame = 0;

  constructor({ label, columns, key, open = null, onSort = null, empty = "Nothing here." }) {
    this.#columns = columns;
    this.#key = key;
    this.#open = open;
    this.#onSort = onSort;
    this.head = el("div", { role: "row", className: "row head", "aria-rowindex": "1" },
      columns.map((column) => this.#header(column)));
    this.spacer = el("div", { className: "rows", role: "presentation" });
    this.empty = el("p", { className: "table-empty" }, empty);
    this.element = el("div", {
      className: "table", role: "grid", "aria-label": label, "aria-readonly": "true", tabIndex: 0,
      onscroll: () => this.#later(), onkeydown: (event) => this.#keyed(event),
    }, el("div", { role: "rowgroup", className: "head-group" }, this.head), this.spacer, this.empty);
    this.observer = new ResizeObserver(() => this.#later());
    this.observer.observe(this.element);
  }

  show(rows) {
    const chosen = this.#rows[this.#chosen];
    this.#rows = rows;
    this.#chosen = chosen ? this.#placeOf(this.#key(chosen)) : -1;
    this.element.setAttribute("aria-rowcount", rows.length + 1);
    this.empty.hidden = rows.length > 0;
    const height = this.head.offsetHeight + Math.max(rows.length, 1) * this.#rowHeight() + BORDERS_PX;
    this.element.style.maxHeight = `${height}px`; // no room for rows that are not there
    this.#draw();
  }

  sorted(name, direction) {
    for (const header of this.head.children) {
      const own = header.dataset.column === name;
      if (own) header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else header.removeAttribute("aria-sort");
    }
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  #header({ name, title, className = "", sort = false }) {
    const shown = sort
      ? el("button", { type: "button", onclick: () => this.#onSort(name) }, title) : title;
    return el("div", { role: "columnheader", className: `cell ${className}`, "data-column": name }, shown);
  }

  #later() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #rowHeight() {
    return Number.parseFloat(getComputedStyle(this.element).getPropertyValue("--row-px")) || 32;
  }

  #draw() {
    const height = this.#rowHeight();
    this.spacer.style.height = `${this.#rows.length * height}px`;
    const seen = Math.ceil(this.element.clientHeight / height);
    const first = Math.max(0, Math.floor(this.element.scrollTop / height) - BEYOND);
    const count = Math.max(0, Math.min(this.#rows.length - first, seen + 2 * BEYOND));
    this.#grow(count);
    this.#pool.forEach((row, place) => this.#fill(row, first + place, place < count, height));
    const chosen = this.#chosen >= first && this.#chosen < first + count;
    if (chosen) this.element.setAttribute("aria-activedescendant", `${this.#id}-${this.#chosen}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #grow(count) {
    while (this.#pool.length < count) {
      const cells = this.#columns.map(({ className = "", name }) =>
        el("div", { role: "gridcell", className: `cell ${className}`, "data-column": name }));
      const row = el("div", { role: "row", className: "row", onclick: () => this.#clicked(row) }, cells);
      this.#pool.push(row);
      this.spacer.append(row);
    }
  }

  #fill(row, index, used, height) {
    row.hidden = !used;
    if (!used) return;
    row.style.transform = `translateY(${index * height}px)`;
    row.id = `${this.#id}-${index}`;
    row.setAttribute("aria-rowindex", index + 2);
    row.setAttribute("aria-selected", String(index === this.#chosen));
    row.index = index;
    this.#columns.forEach((column, place) => column.fill(row.children[place], this.#rows[index]));
  }

  #clicked(row) {
    if (getSelection().isCollapsed) this.#choose(row.index, true);
  }

  // Where a row is now; mostly where it was.
  #placeOf(key) {
    const same = this.#rows[this.#chosen];
    return same && this.#key(same) === key ? this.#chosen : this.#rows.findIndex((row) => this.#key(row) === key);
  }

  #choose(index, open = false) {
    this.#chosen = Math.max(0, Math.min(this.#rows.length - 1, index));
    this.#draw();
    if (open && this.#open && this.#rows[this.#chosen]) this.#open(this.#rows[this.#chosen]);
  }

  #keyed(event) {
    if (event.target !== this.element) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#rowHeight()) - 2);
    const to = {
      ArrowDown: this.#chosen + 1, ArrowUp: this.#chosen - 1, Home: 0, End: this.#rows.length - 1,
      PageDown: this.#chosen + page, PageUp: this.#chosen - page,
    }[event.key];
    if (event.key === "Enter" && this.#chosen >= 0) this.#choose(this.#chosen, true);
    else if (to !== undefined && this.#rows.length) {
      this.#choose(to);
      this.#reveal();
    } else return;
    event.preventDefault();
  }

  #reveal() {
    const height = this.#rowHeight();
    const [top, sight] = [this.#chosen * height, this.element.clientHeight - this.head.offsetHeight];
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + height > this.element.scrollTop + sight) this.element.scrollTop = top + height - sight;
    this.#draw();
  }
}

// A cell that is text alone.
export const text = (of) => (cell, row) => say(cell, of(row));

// A cell that leads to a twin.
export function twinLink(cell, id) {
  let link = cell.firstElementChild;
  if (!link) {
    link = el("a", { tabIndex: -1 });
    replace(cell, link);
  }
  say(link, id);
  link.href = twinAddress(id);
}

export const twinAddress = (id) => `#/twins/${encodeURIComponent(id)}`;
