// What a person can order of a twin: to move to another edge, and commands to its device.

import { write } from "./api.js";
import { el, mark, replace, say } from "./dom.js";
import { authorised } from "./token.js";

export function mover(id, fleet) {
  const target = el("select", { id: "target" });
  const button = el("button", { type: "submit" }, "Move");
  const answer = el("p", { className: "answer quiet", role: "status" });
  const form = el("form", { className: "fields", onsubmit: (event) => { event.preventDefault(); move(); } },
    el("div", { className: "pair" }, el("label", { htmlFor: "target" }, "To edge"), target, button), answer);
  const element = el("section", { className: "panel", "aria-label": "Move" }, el("h2", {}, "Move it"), form);

  let awaited = "";

  function draw() {
    const owner = fleet.twins.get(id)?.place?.owner;
    if (awaited && owner === awaited) {
      say(answer, `It moved to ${awaited}.`);
      awaited = "";
    }
    if (document.activeElement === target) return; // somebody is choosing
    const edges = fleet.edges.filter(({ edge, state }) => edge !== owner && state === "serving").map(({ edge }) => edge);
    const key = edges.join(" ");
    button.disabled = edges.length === 0;
    if (target.dataset.edges === key) return;
    target.dataset.edges = key;
    replace(target, edges.length ? edges.map((edge) => el("option", {}, edge)) : el("option", { value: "" }, "no other edge serves"));
  }

  async function move() {
    const key = { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
    const order = { twin: id, to: target.value };
    awaited = "";
    if (await carriedOut(answer, `It moves to ${order.to}.`, () => authorised(() => write("POST", "/api/v1/moves", order, key)))) awaited = order.to;
  }

  return { element, draw };
}

export function commands(thingId) {
  const subject = el("input", { id: "subject", required: true, placeholder: "sample_now", maxLength: 64, autocomplete: "off", spellcheck: false });
  const value = el("textarea", { id: "value", spellcheck: false, placeholder: '{"name": 1}, or nothing' });
  const answer = el("p", { className: "answer quiet", role: "status" });
  const form = el("form", { className: "fields", onsubmit: (event) => { event.preventDefault(); send(); } },
    el("label", { htmlFor: "subject" }, "Command"), subject, el("label", { htmlFor: "value" }, "Arguments"), value,
    el("div", { className: "pair" }, el("button", { type: "submit" }, "Send")), answer);

  async function send() {
    let content;
    try {
      content = JSON.parse(value.value.trim() || "{}");
    } catch (error) {
      mark(answer, "tone", "bad");
      say(answer, `The arguments are not JSON: ${error.message}`);
      return;
    }
    const path = `/api/2/things/${encodeURIComponent(thingId())}/inbox/messages/${encodeURIComponent(subject.value)}`;
    const answered = await carriedOut(answer, "The device was told.", () => authorised(() => write("POST", path, content)));
    if (answered?.body?.outcome) say(answer, `The device says: ${answered.body.outcome}. ${answered.body.reason ?? ""}`);
  }

  return el("section", { className: "panel later", "aria-label": "Commands" }, el("h2", {}, "Command its device"), form);
}

async function carriedOut(answer, done, act) {
  mark(answer, "tone", "");
  say(answer, "Sending …");
  try {
    const answered = await act();
    say(answer, done);
    return answered;
  } catch (error) {
    mark(answer, "tone", "bad");
    say(answer, error.message);
    return null;
  }
}
