// Requests to the cloud. An answer in time, or an error that says in words what to do.

const TIMEOUT_MS = 10_000;
const SKEW_SHOWN_MS = 5_000; // a `Date` header has whole seconds, and was on its way
const TOKEN = "diten-token";

// The cloud's clock is the one that ages are measured by: a browser's may be wrong.
let skewMs = 0;
export const now = () => Date.now() + skewMs;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function get(path) {
  const response = await request(path, {});
  const body = parsed(await response.text());
  if (body === null) throw new Refused(response.status, "The cloud's answer cannot be read: it is no JSON.");
  return { body, next: nextPage(response) };
}

// Write JSON; the answer's status and body (null where it has none).
export async function write(method, path, value, headers = {}) {
  const body = value === undefined ? undefined : JSON.stringify(value);
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await request(path, { method, body, headers: { ...type, ...bearer(), ...headers } });
  const text = await response.text();
  return { status: response.status, body: text ? parsed(text) : null };
}

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

function bearer() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Refused(0, late ? `The cloud did not answer within ${TIMEOUT_MS / 1000} s.`
      : "The cloud cannot be reached.");
  }
  setClock(response.headers.get("Date"));
  if (!response.ok) throw new Refused(response.status, await inWords(response));
  return response;
}

function setClock(date) {
  const skew = date ? Date.parse(date) - Date.now() : 0;
  skewMs = Math.abs(skew) > SKEW_SHOWN_MS ? skew : 0;
}

// Ditto's error body, or a problem of RFC 9457.
async function inWords(response) {
  const said = parsed(await response.text());
  const text = said?.message ?? said?.detail ?? said?.title ?? response.statusText;
  return `${text} (${response.status})`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function nextPage(response) {
  return /<([^>]*)>;\s*rel="next"/.exec(response.headers.get("Link") ?? "")?.[1] ?? null;
}
