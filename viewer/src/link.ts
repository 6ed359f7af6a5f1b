/** A view as the part of an address behind #, and back; only what differs from the start is written. */

import type { State } from "./state";

const MARK = "view:";
/** What belongs to a view; what the pointer is on at the moment does not. */
export const KEPT: readonly (keyof State)[] = [
  "map", "mapping", "grid", "unfold", "layer", "threshold", "fade", "palette", "outlines", "names", "yaw", "pitch",
  "open", "zoom", "panX", "panY", "pinned", "place", "reach", "brush", "region",
];

export function viewOf(state: State, start: State): Partial<State> {
  const same = (key: keyof State) => JSON.stringify(state[key]) === JSON.stringify(start[key]);
  return Object.fromEntries(KEPT.filter((key) => !same(key)).map((key) => [key, state[key]])) as Partial<State>;
}

export function hashOf(state: State, start: State): string {
  const view = viewOf(state, start);
  const texts = Object.entries(view).map(([key, value]) => `${key}=${encodeURIComponent(JSON.stringify(short(value)))}`);
  return texts.length ? `#${MARK}${texts.join("&")}` : "";
}

/** The view of an address; names and values that are none of a state are left out. */
export function readHash(hash: string, start: State): Partial<State> {
  if (!hash.startsWith(`#${MARK}`)) return {};
  const read: [string, unknown][] = [];
  for (const part of hash.slice(MARK.length + 1).split("&")) {
    const [key, text] = part.split("=", 2);
    try {
      read.push([key, JSON.parse(decodeURIComponent(text ?? ""))]);
    } catch {
      continue;
    }
  }
  return fitting(read, start);
}

/** What of given names and values can stand in a state. */
export function fitting(given: [string, unknown][], start: State): Partial<State> {
  const kept = given.filter(([key, value]) => KEPT.includes(key as keyof State) && fits(key as keyof State, value, start));
  return Object.fromEntries(kept) as Partial<State>;
}

function fits(key: keyof State, value: unknown, start: State): boolean {
  const finite = (one: unknown) => typeof one === "number" && Number.isFinite(one);
  const whole = (one: unknown) => Number.isInteger(one) && (one as number) >= 0;
  switch (key) {
    case "pinned":
      return Array.isArray(value) && value.every(whole);
    case "place":
      return value === null || (Array.isArray(value) && value.length === 2 && value.every(finite));
    case "threshold":
      return value === null || finite(value);
    case "mapping":
    case "layer":
      return whole(value);
    case "brush":
      return value === null || whole(value);
    case "region":
      return value === null || typeof value === "string";
    case "palette":
      return value === "default" || value === "colour-blind";
    default:
      return typeof value === typeof start[key] && (typeof value !== "number" || finite(value));
  }
}

function short(value: unknown): unknown {
  return typeof value === "number" ? Number(value.toFixed(4)) : value;
}
