// What happened, in words.

import { duration } from "./format.js";

export function sentence(event) {
  const { kind, edge, from, to, epoch, pause_s: pause } = event;
  switch (kind) {
    case "created": return `is new, and given to ${to}`;
    case "move": return `moves from ${from} to ${to}`;
    case "failover": return `fails over from ${from} to ${to}`;
    case "owned": return (from ? `now at ${to}, was at ${from}` : `now at ${to}, epoch ${epoch}`)
      + (pause === undefined ? "" : `, paused ${duration(pause)}`);
    case "adopted": return `is at ${to}, epoch ${epoch}, as it says: the cloud's store is an older copy`;
    case "joined": return `${edge} joined`;
    case "serving": return `${edge} serves`;
    case "draining": return `${edge} drains: its twins move elsewhere`;
    case "lost": return `${edge} was called lost: its twins come back elsewhere`;
    default: return Object.entries(event).filter(([name]) => !["number", "at_ms", "kind", "twin"].includes(name))
      .map(([name, value]) => `${name} ${value}`).join(", ") || kind;
  }
}

// Which colour an event has, if any: what needs a look.
export const weight = ({ kind }) => ({ failover: "warn", lost: "bad", draining: "warn" })[kind] ?? "";

export const PRESENCE = {
  online: "there", offline: "signed off", lost: "lost", sleeping: "sleeping", unknown: "not heard yet",
};

export const CONDITION = { lost: "lost", moving: "moving", stale: "stale", never: "no report yet", live: "live" };
