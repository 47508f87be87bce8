// What is wanted of a feature, beside what is reported: shown, set, and taken back.
//
// A wish goes through `sending` (not answered yet), and then, as the owner tells it,
// `pending`, `accepted` and `done`; or it ends as `rejected` or `expired`.

import { write } from "./api.js";
import { el, mark, replace, say } from "./dom.js";
import { withUnit } from "./format.js";
import { authorised } from "./token.js";

const WAY = ["sending", "pending", "accepted", "done"];
const ENDS = new Set(["rejected", "expired"]);

export class DesiredCell {
  #path;
  #spec;
  #unit;
  #sending = null; // the value, until the thing shows it
  #problem = "";
  #key = "";
  #leaves = false; // the form has just gone: who was in it goes on at its button

  constructor(thingId, feature, spec, unit) {
    const named = `${encodeURIComponent(thingId)}/features/${encodeURIComponent(feature)}`;
    this.#path = `/api/2/things/${named}/desiredProperties/value`;
    [this.#spec, this.#unit] = [spec, unit];
    this.shown = el("div", {});
    this.element = el("td", { "aria-label": `Desired ${feature}` }, this.shown);
    this.label = feature;
  }

  // `feature`: the thing's own; its desired part may be absent.
  draw(feature) {
    const desired = feature.desiredProperties;
    const state = this.#sending ? { state: "sending" } : feature.desiredState ?? {};
    const value = this.#sending ? this.#sending.value : desired?.value;
    const key = JSON.stringify([value, state, this.#problem]);
    if (key === this.#key) return;
    this.#key = key;
    if (this.shown.querySelector(".edit")) return; // somebody is writing
    const wished = this.#sending || desired !== undefined;
    const held = this.shown.contains(document.activeElement);
    replace(this.shown, el("span", {}, wished ? `${withUnit(value, this.#unit)} ` : ""), wished ? steps(state) : null,
      this.#spec.writable ? this.#buttons(wished) : null, this.#problem ? el("span", { className: "reason", role: "alert" }, this.#problem) : null);
    if (this.#leaves || held) this.shown.querySelector("button")?.focus();
    this.#leaves = false;
  }

  #buttons(wished) {
    return el("span", { className: "buttons" }, " ", el("button", { type: "button", "aria-label": `Set ${this.label}`, onclick: () => this.#edit() }, "Set"),
      wished ? [" ", el("button", { type: "button", "aria-label": `Want ${this.label} no more`, onclick: () => this.#send("DELETE") }, "Clear")] : null);
  }

  #edit() {
    const field = input(this.#spec, this.label);
    const form = el("form", { className: "edit", onsubmit: (event) => { event.preventDefault(); this.#submit(field); } },
      field, el("button", { type: "submit" }, "Send"), el("button", { type: "button", onclick: () => this.#stop() }, "Cancel"));
    form.addEventListener("keydown", ({ key }) => key === "Escape" && this.#stop());
    replace(this.shown, form);
    field.focus();
  }

  #submit(field) {
    const value = read(this.#spec, field.value);
    if (value === undefined) {
      field.setCustomValidity(`Write a ${this.#spec.type}.`);
      field.reportValidity();
      field.setCustomValidity("");
      return;
    }
    this.#send("PUT", value);
  }

  #stop() {
    this.#key = "";
    this.#leaves = true;
    replace(this.shown);
    this.onchange?.();
  }

  async #send(method, value) {
    this.#problem = "";
    if (method === "PUT") this.#sending = { value };
    this.#stop();
    try {
      await authorised(() => write(method, this.#path, value));
    } catch (error) {
      this.#problem = error.message;
    }
    this.#sending = null;
    this.#key = "";
    this.onwritten?.();
  }
}

// sending → pending → accepted → done, with where it is; or how else it ended.
function steps({ state = "pending", reason = "" }) {
  const way = ENDS.has(state) ? [...WAY.slice(1, 3), state] : WAY.slice(state === "sending" ? 0 : 1);
  const list = el("ol", { className: "steps", "aria-label": `State: ${state}` }, way.map((name) => {
    const item = el("li", {}, name);
    if (name === state) item.setAttribute("aria-current", "step");
    if (name === state && ENDS.has(state)) mark(item, "tone", "bad");
    return item;
  }));
  if (!reason) return list;
  const why = el("span", { className: "reason" });
  say(why, ` ${reason}`);
  return el("span", {}, list, why);
}

function input({ type }, feature) {
  const label = `New value of ${feature}`;
  if (type === "boolean") return el("select", { "aria-label": label }, el("option", {}, "true"), el("option", {}, "false"));
  const mode = type === "string" ? {} : { inputMode: "decimal" };
  return el("input", { "aria-label": label, required: true, maxLength: 256, autocomplete: "off", ...mode });
}

// What was written, as the feature's type has it; undefined where it is none.
function read({ type }, text) {
  if (type === "string") return text;
  if (type === "boolean") return text === "true";
  const value = text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(value) || (type === "integer" && !Number.isInteger(value))) return undefined;
  return value;
}
