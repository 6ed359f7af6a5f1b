/** What part of the world is seen: a frame that fits the hemispheres as they stand, moved and enlarged by hand. */

import type { Cortex } from "../data/cortex";
import type { Mapping } from "../data/mapping";
import type { State } from "../state";
import type { Point, Pose } from "./pose";

/** Angle of view up and down, degrees. */
export const VIEW_ANGLE = 14;
const MARGIN = 1.14;
/** Around the measured part of the flat sheets, mm. */
const BORDER = 16;
/** Where more than this part of the cortex was measured, all of it is shown. */
const WHOLE = 0.5;

/** Middle and half the width and height of what is shown of the flat sheets. */
export interface Focus {
  x: number;
  y: number;
  halfWidth: number;
  halfHeight: number;
}

export interface Frame {
  x: number;
  y: number;
  height: number;
}

export function focusOf(cortex: Cortex, mappings: Mapping[]): Focus {
  const shown = new Uint8Array(cortex.count);
  for (const mapping of mappings) for (const vertex of mapping.vertex) shown[vertex] = 1;
  const whole = shown.reduce((sum, one) => sum + one, 0) > WHOLE * cortex.count;
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let vertex = 0; vertex < cortex.count; vertex++) {
    if (!cortex.onSheet[vertex] || !(whole || shown[vertex])) continue;
    const [x, y] = [cortex.shapes.flat[3 * vertex], cortex.shapes.flat[3 * vertex + 1]];
    left = Math.min(left, x);
    right = Math.max(right, x);
    low = Math.min(low, y);
    high = Math.max(high, y);
  }
  if (left > right) return { x: 0, y: 0, halfWidth: 330, halfHeight: 140 };
  const halfWidth = (right - left) / 2 + BORDER;
  return { x: (left + right) / 2, y: (low + high) / 2, halfWidth, halfHeight: (high - low) / 2 + BORDER };
}

/** Half the width and height in which hemispheres are seen that are not flat, mm. */
function solidSize(pose: Pose): [number, number] {
  const [c, s] = [Math.cos(pose.open), Math.sin(pose.open)];
  const across = pose.shift + Math.hypot(42 * c, 109 * s) * pose.inflated + Math.hypot(70 * c, 92 * s) * (1 - pose.inflated);
  const deep = Math.hypot(109 * c, 42 * s);
  const seen = (axis: number) =>
    MARGIN * Math.hypot(pose.turn[axis] * across, pose.turn[3 + axis] * 74, pose.turn[6 + axis] * deep);
  return [seen(0), seen(1)];
}

/** How many times what is shown is as wide as high. */
export function shapeOf(focus: Focus, pose: Pose): number {
  const [wide, high] = pose.flat > 0.5 ? [focus.halfWidth, focus.halfHeight] : solidSize(pose);
  return wide / high;
}

/** For a picture so many times as wide as high. */
export function frameOf(focus: Focus, pose: Pose, state: State, aspect: number): Frame {
  const [wide, high] = solidSize(pose);
  const solid = 2 * Math.max(high, wide / aspect);
  const flat = 2 * Math.max(focus.halfHeight, focus.halfWidth / aspect);
  const height = (solid * (1 - pose.flat) + flat * pose.flat) / state.zoom;
  return {
    x: focus.x * pose.flat - state.panX * height,
    y: focus.y * pose.flat - state.panY * height,
    height,
  };
}

export function distanceOf(frame: Frame): number {
  return frame.height / 2 / Math.tan((VIEW_ANGLE * Math.PI) / 360);
}

/** Where a point is seen, in parts of the width and height from the upper left corner. */
export function seenAt(point: Point, frame: Frame, aspect: number): [number, number] {
  const distance = distanceOf(frame);
  const scale = distance / (distance - point[2]) / frame.height;
  return [0.5 + ((point[0] - frame.x) * scale) / aspect, 0.5 - (point[1] - frame.y) * scale];
}

/** Ways to look at the hemispheres, by name. */
export const VIEWS: Record<string, Partial<State>> = {
  Behind: { yaw: 0, pitch: 0, open: 0 },
  Outside: { yaw: 0, pitch: 0, open: 90 },
  Inside: { yaw: 0, pitch: 0, open: -90 },
  Below: { yaw: 0, pitch: -90, open: 0 },
  Above: { yaw: 0, pitch: 90, open: 0 },
};
