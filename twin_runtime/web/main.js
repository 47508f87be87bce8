// The page: one fleet, one source, and the view that the address names (`#/…`).

import { Fleet } from "./fleet.js";
import { Source } from "./source.js";
import { el, mark, notice, say } from "./dom.js";
import { duration } from "./format.js";
import { overview } from "./overview.js";

const VIEWS = [
  [/^\/$/, async () => overview],
  [/^\/twins$/, async () => (await import("./twins.js")).twins],
  [/^\/twins\/([^/]+)$/, async () => (await import("./twin.js")).twin],
  [/^\/events$/, async () => (await import("./events.js")).events],
  [/^\/decisions$/, async () => (await import("./decisions.js")).decisions],
  [/^\/health$/, async () => (await import("./health.js")).health],
];
const TICK_MS = 1_000; // ages grow even where nothing changes

const fleet = new Fleet();
const main = document.getElementById("main");
const link = document.getElementById("link");
const banner = document.getElementById("banner");
let view = null;
let shown = 0;

async function show() {
  const turn = (shown += 1);
  const [path, query = ""] = (location.hash.slice(1) || "/").split("?");
  const next = await made(path, new URLSearchParams(query));
  if (turn !== shown) return next.close?.();
  view?.close?.();
  view = next;
  document.title = path === "/" ? "diten" : `${view.title} · diten`;
  main.replaceChildren(view.element);
  scrollTo(0, 0);
  markNav(path);
  view.draw();
}

async function made(path, query) {
  for (const [pattern, load] of VIEWS) {
    const found = pattern.exec(path);
    if (!found) continue;
    try {
      return (await load())(fleet, query, ...found.slice(1).map(decodeURIComponent));
    } catch (error) {
      return still("This view could not be loaded", `${error.message}. Load the page again.`);
    }
  }
  return still("There is no such view", "The menu above has all of them.");
}

const still = (title, text) => ({ title, element: notice("error", title, text), draw() {} });

function markNav(path) {
  for (const each of document.querySelectorAll("nav a")) {
    const own = each.getAttribute("href").slice(1);
    const here = own === "/" ? path === "/" : path.startsWith(own);
    if (here) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

function drawLink() {
  const { state, text, since_ms } = fleet.link;
  mark(link, "state", state);
  say(link, state === "disconnected" ? "Disconnected" : text);
  const away = state === "disconnected";
  banner.hidden = !away;
  document.body.classList.toggle("away", away);
  if (away) say(banner, `${text} What is shown is from ${duration((Date.now() - since_ms) / 1000)} ago; trying again by itself.`);
}

function draw() {
  drawLink();
  if (!document.hidden) view?.draw();
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  main.focus();
});
addEventListener("hashchange", () => show().then(() => main.focus({ preventScroll: true })));
fleet.addEventListener("change", draw);
document.addEventListener("visibilitychange", draw);
setInterval(draw, TICK_MS);

await show();
performance.mark("diten-shell");
const source = new Source(fleet);
await source.start();
draw();
performance.mark("diten-all-twins");
// While the cloud is there: a view can be opened while it is away, too.
for (const [, load] of VIEWS) load().catch(() => {});
