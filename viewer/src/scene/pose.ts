/** Where vertices stand: one formula for the graphics card (`shaders.ts`), for names, pointing and exports. */

import type { Cortex } from "../data/cortex";
import type { State } from "../state";

/** Between the hemispheres when they are apart, mm. */
const APART = 8;
const HALF_WIDTH = 42;
const HALF_LENGTH = 109;

export interface Pose {
  /** 0..1 from pial to inflated, and from inflated to flat. */
  inflated: number;
  flat: number;
  /** Angle about its own middle of the left hemisphere, and minus that of the right one. */
  open: number;
  /** How far each hemisphere is shifted outwards, mm. */
  shift: number;
  /** Turn of both, column by column. */
  turn: number[];
}

export function poseOf(state: State): Pose {
  const inflated = eased(Math.min(1, state.unfold));
  const flat = eased(Math.max(0, state.unfold - 1));
  const open = ((state.open * Math.PI) / 180) * (1 - flat);
  const apart = Math.hypot(HALF_WIDTH * Math.cos(open), HALF_LENGTH * Math.sin(open)) + APART;
  // The pial hemispheres lie beside each other as they are; opened ones need as much room as inflated ones.
  const shift = apart * inflated + Math.max(0, apart - HALF_WIDTH - APART) * (1 - inflated);
  return { inflated, flat, open, shift, turn: turnOf(state.yaw, state.pitch) };
}

/** Starts and ends slowly. */
export function eased(part: number): number {
  return part * part * (3 - 2 * part);
}

function turnOf(yaw: number, pitch: number): number[] {
  const [a, b] = [(yaw * Math.PI) / 180, (pitch * Math.PI) / 180];
  const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
  // First about the upright axis, then about the one across.
  return [ca, sb * sa, -cb * sa, 0, cb, sb, sa, -sb * ca, cb * ca];
}

export type Point = [number, number, number];

/** Middle of a pial hemisphere, about which it is opened: inflated ones are about their own already. */
export const PIAL_MIDDLE: Point = [34, 15, 18];

/**
 * What is done to the mixed pial and inflated shape of a side (-1 left, 1 right) before the flat one is mixed in: three
 * columns of a matrix, and a shift.
 */
export function affineOf(pose: Pose, side: number): number[] {
  const { turn } = pose;
  const solid = 1 - pose.flat;
  const middle = 1 - pose.inflated;
  const [c, s] = [Math.cos(pose.open), -side * Math.sin(pose.open)];
  const turned = (x: number, y: number, z: number) =>
    [0, 1, 2].map((axis) => solid * (turn[axis] * x + turn[3 + axis] * y + turn[6 + axis] * z));
  const columns = [...turned(c, 0, -s), ...turned(0, 1, 0), ...turned(s, 0, c)];
  const outwards = turned(side * (pose.shift + PIAL_MIDDLE[0] * middle), 0, 0);
  const centre = [side * PIAL_MIDDLE[0] * middle, PIAL_MIDDLE[1] * middle, PIAL_MIDDLE[2] * middle];
  const shift = outwards.map((out, axis) =>
    out - columns[axis] * centre[0] - columns[3 + axis] * centre[1] - columns[6 + axis] * centre[2]);
  return [...columns, ...shift];
}

export function placeOf(cortex: Cortex, pose: Pose, vertex: number): Point {
  const at = 3 * vertex;
  const { pial, inflated, flat } = cortex.shapes;
  const a = affineOf(pose, vertex < cortex.side ? -1 : 1);
  const [x, y, z] = [0, 1, 2].map((axis) => pial[at + axis] * (1 - pose.inflated) + inflated[at + axis] * pose.inflated);
  return [0, 1, 2].map((axis) =>
    a[axis] * x + a[3 + axis] * y + a[6 + axis] * z + a[9 + axis] + flat[at + axis] * pose.flat) as Point;
}
