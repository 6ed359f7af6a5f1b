/** Where names of regions stand: at their anchors as far as these face the viewer, and never on each other. */

import type { Mapping } from "../data/mapping";
import type { Rectangle } from "./scene";
import type { Sight } from "./sight";

export interface Label {
  text: string;
  x: number;
  y: number;
  width: number;
}

export const LABEL_HEIGHT = 17;
const LONGEST = 18;
const PADDING = 3;
/** Shifts that are tried where a name would stand on another, in heights of a line. */
const SHIFTS = [0, -1, 1, -2, 2];

export function labelsOf(
  mapping: Mapping, area: Rectangle, sight: Sight, seen: (vertex: number) => [number, number],
  measure: (text: string) => number,
): Label[] {
  const placed: Label[] = [];
  const bySize = [...mapping.regions].sort((a, b) => sizeOf(b.members) - sizeOf(a.members));
  for (const region of bySize) {
    for (const anchor of region.anchors) {
      if (anchor === null || !sight.isSeen(anchor)) continue;
      const [x, y] = seen(anchor);
      const text = shortened(region.name);
      const width = measure(text) + 8;
      const label = { text, x, y, width };
      const free = SHIFTS.map((shift) => ({ ...label, y: label.y + shift * (LABEL_HEIGHT + PADDING) })).find(
        (tried) => isInside(tried, area) && !placed.some((other) => touch(tried, other)),
      );
      if (free) placed.push(free);
    }
  }
  return placed;
}

export function shortened(text: string, longest = LONGEST): string {
  const letters = [...text];
  return letters.length <= longest ? text : `${letters.slice(0, longest - 1).join("")}…`;
}

function sizeOf(members: Uint8Array): number {
  return members.reduce((sum, one) => sum + one, 0);
}

function isInside(label: Label, area: Rectangle): boolean {
  const across = label.x - label.width / 2 >= area.x && label.x + label.width / 2 <= area.x + area.width;
  return across && label.y - LABEL_HEIGHT / 2 >= area.y && label.y + LABEL_HEIGHT / 2 <= area.y + area.height;
}

function touch(a: Label, b: Label): boolean {
  const across = Math.abs(a.x - b.x) < (a.width + b.width) / 2 + PADDING;
  return across && Math.abs(a.y - b.y) < LABEL_HEIGHT + PADDING;
}
