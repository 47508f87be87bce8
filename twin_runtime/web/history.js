// The past of one feature, as far as the cloud can tell it.

import { get } from "./api.js";

export const POINTS_MAX = 2_000; // of one chart: more than a screen has columns

// [[observed_ms, value, quality]], the oldest first: so many that they look like all of them.
export async function past(twin, feature, from_ms) {
  const query = new URLSearchParams({ feature, from: Math.round(from_ms), points: POINTS_MAX });
  const { body } = await get(`/api/v1/twins/${encodeURIComponent(twin)}/history?${query}`);
  return body.rows.slice(-POINTS_MAX);
}
