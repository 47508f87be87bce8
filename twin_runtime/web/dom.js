// Elements of the page. Text enters it as text alone, so nothing that a device, an edge or an
// address says is ever read as HTML; and characters that nobody can see are written out, as on a
// terminal, so nothing of it turns a line around or looks like something else.

const SVG = "http://www.w3.org/2000/svg";
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const seen = (child) => typeof child !== "string" ? child
  : child.replace(UNSEEN, (char) => `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`);

// An element with properties and children. `on…` properties listen; `aria-…`, `data-…` and
// what is no property of elements become attributes; strings and numbers become text.
export function el(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

export function svg(name, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !(element instanceof SVGElement)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined).map(seen));
  return element;
}

// Set a text only where it changed: an unchanged node costs no layout and is not read aloud.
export function say(element, text) {
  const shown = seen(`${text ?? ""}`);
  if (element.textContent !== shown) element.textContent = shown;
}

export function mark(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

export function replace(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(Boolean).map(seen));
}

// What a view says where it has nothing to show: empty, loading, error.
export function notice(kind, title, ...text) {
  return el("div", { className: "notice", "data-kind": kind },
    el("p", { className: "notice-title" }, title), text.some(Boolean) ? el("p", {}, text) : null);
}
