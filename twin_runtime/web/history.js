// The past of one feature, as far as the cloud can tell it.

import { get } from "./api.js";

export const POINTS_MAX = 5_000; // of one chart: more than a screen has columns

// [[at_ms, value]], the oldest first.
export async function past(twin, feature, from_ms) {
  const query = new URLSearchParams({ feature, from: new Date(from_ms).toISOString() });
  const { body } = await get(`/api/v1/twins/${encodeURIComponent(twin)}/history?${query}`);
  return body.rows.slice(-POINTS_MAX);
}
