// A process's metrics, read from Prometheus' text format, and what is computed from them.

const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

// [{ name, labels: {…}, value }], in the order in which they were told.
export function samplesOf(text) {
  return text.split("\n").map((line) => SAMPLE.exec(line)).filter(Boolean).map(([, name, labels = "", value]) => ({
    name, value: Number(value.replace("Inf", "Infinity")),
    labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, label, text]) => [label, text])),
  }));
}

// The sum of what one metric counted, of all kinds or of one; null where it is not told.
export function total(samples, name, labels = {}) {
  const found = samples.filter((sample) => sample.name === name
    && Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
  return found.length ? found.reduce((sum, { value }) => sum + value, 0) : null;
}

// Counts per bucket, [[upper bound, count up to it], …], rising; of several processes added up.
export function buckets(samples, name) {
  const counted = new Map();
  for (const sample of samples) {
    if (sample.name !== `${name}_bucket`) continue;
    const bound = sample.labels.le === "+Inf" ? Infinity : Number(sample.labels.le);
    counted.set(bound, (counted.get(bound) ?? 0) + sample.value);
  }
  return [...counted].sort(([a], [b]) => a - b);
}

// What came after `before`: counts only grow, unless a process began anew.
export function since(after, before) {
  const known = new Map(before);
  const grown = after.map(([bound, count]) => [bound, count - (known.get(bound) ?? 0)]);
  return grown.some(([, count]) => count < 0) ? after : grown;
}

// A quantile, as Prometheus has it: straight within a bucket; null where nothing was counted,
// Infinity where it lies beyond the last bound.
export function quantile(share, counted) {
  const all = counted.at(-1)?.[1] ?? 0;
  if (!all) return null;
  let [bound_before, count_before] = [0, 0];
  for (const [bound, count] of counted) {
    if (count >= share * all) {
      const part = (share * all - count_before) / (count - count_before);
      return bound === Infinity ? Infinity : bound_before + part * (bound - bound_before);
    }
    [bound_before, count_before] = [bound, count];
  }
  return null;
}
