// Values as people read them: with units, few digits, ages. The same rules as `diten twin`.

const SYMBOLS = { 1: "", Cel: "°C", By: "B", "By/s": "B/s", Ohm: "Ω", "dB[mW]": "dBm" };
const PREFIXED = new Set(["B", "B/s", "Hz", "W", "J"]);
const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const LARGE = 1000; // from here on a fraction tells nobody anything
const HUGE = 1e15; // from here on nobody counts the digits
const AGES = [[86_400, 172_800, "d"], [3600, 7200, "h"], [60, 120, "min"], [1, 1, "s"]];
// Between an amount and its unit no line ends.
export const SPACE = "\u00a0";
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function unitOf(thing, feature) {
  const unit = thing.attributes?.description?.features?.[feature]?.unit ?? "";
  return SYMBOLS[unit] ?? unit;
}

export function number(value) {
  if (Math.abs(value) >= HUGE) return value.toExponential(3);
  if (Number.isInteger(value) || Math.abs(value) >= LARGE) return grouped.format(value);
  const text = value.toPrecision(4);
  return text.includes("e") ? text : text.replace(/\.?0+$/, "");
}

export function valueText(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return number(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// A large quantity with an SI prefix to its unit, where people write one: [24.9, "GB"].
export function scaled(value, unit) {
  if (typeof value === "number" && PREFIXED.has(unit)) {
    for (const [factor, prefix] of PREFIXES) {
      if (Math.abs(value) >= factor) return [value / factor, prefix + unit];
    }
  }
  return [value, unit];
}

export function withUnit(value, unit) {
  const [amount, symbol] = scaled(value, unit);
  return symbol && amount !== null && amount !== undefined
    ? `${valueText(amount)}${SPACE}${symbol}` : valueText(amount);
}

// Numbers below one another: one prefix, and one number of digits after the point.
export function aligned(values, unit) {
  const most = Math.max(...values.map(Math.abs));
  const [amount, symbol] = scaled(most, unit);
  const shown = values.map((value) => Number(((value * amount) / (most || 1)).toPrecision(6)));
  if (shown.some((value) => /e/.test(value))) return values.map((value) => withUnit(value, unit));
  const digits = Math.max(...shown.map((value) => (String(value).split(".")[1] ?? "").length));
  const text = new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return shown.map((value) => `${text.format(value)}${symbol && SPACE}${symbol}`);
}

// `3 s ago`; a device's clock may be ahead of ours: `in 3 s`.
export function age(ms) {
  const seconds = Math.abs(ms) / 1000;
  for (const [unit, from, name] of AGES) {
    if (seconds >= from) {
      const amount = `${Math.floor(seconds / unit)} ${name}`;
      return ms > 0 ? `${amount} ago` : `in ${amount}`;
    }
  }
  return "now";
}

// A time that was measured, to two digits: 4.0 ms, 15 ms.
export function shortly(seconds) {
  const [amount, unit] = seconds < 1 ? [1000 * seconds, "ms"] : [seconds, "s"];
  const rounded = Number(amount.toPrecision(2));
  return `${rounded >= 10 || rounded === 0 ? number(rounded) : rounded.toPrecision(2)}${SPACE}${unit}`;
}

export function duration(seconds) {
  if (seconds < 1) return `${number(Math.round(seconds * 1000))}${SPACE}ms`;
  for (const [unit, from, name] of AGES) {
    if (seconds >= from) return `${number(Math.floor(seconds / unit))}${SPACE}${name}`;
  }
  return "0 s";
}

// Local time; with the day where it is not today.
export function moment(ms, now = Date.now()) {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return "–";
  const two = (part) => String(part).padStart(2, "0");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  if (at.toDateString() === new Date(now).toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

export const twinOf = (thingId) => thingId.slice(thingId.indexOf(":") + 1);
