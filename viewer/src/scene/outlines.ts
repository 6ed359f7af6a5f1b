/** Lines around regions, halfway along the edges that lead out of them, smoothed by less than an edge. */

import type { Cortex, Shapes } from "../data/cortex";
import type { Mapping } from "../data/mapping";

/** Rounds in which each point moves halfway to the middle of its neighbours, on fsaverage5. */
const SMOOTHING = 3;
/** Vertices of fsaverage5: lines on finer surfaces are smoothed more and keep fewer of their points. */
const COARSE = 20_484;

/** When a line is drawn: always, on what the flat sheet has not, or where the sheet is cut. */
export enum Kind {
  Always,
  OffSheet,
  Cut,
}

/** A line: each point between two vertices. */
interface Chain {
  region: number;
  kind: Kind;
  points: [number, number][];
}

/** Segments end to end: two points each, three numbers a point, of every shape. */
export interface Lines {
  count: number;
  shapes: Shapes;
  side: Float32Array;
  kind: Float32Array;
  /** Number of the region of each segment. */
  region: Uint16Array;
}

export function outlinesOf(cortex: Cortex, mapping: Mapping): Lines {
  const chains = mapping.regions.flatMap((region, number) => {
    const inside = new Uint8Array(cortex.count);
    mapping.vertex.forEach((vertex, voxel) => (inside[vertex] = region.members[voxel]));
    return chainsOf(cortex, inside, number);
  });
  return segmentsOf(cortex, chains);
}

function chainsOf(cortex: Cortex, inside: Uint8Array, region: number): Chain[] {
  const crossings: Record<Kind, [Pair, Pair][]> = { [Kind.Always]: [], [Kind.OffSheet]: [], [Kind.Cut]: [] };
  const { faces } = cortex;
  const open = new Map<number, Pair>();
  for (let f = 0; f < faces.length; f += 3) {
    const count = inside[faces[f]] + inside[faces[f + 1]] + inside[faces[f + 2]];
    if (count === 0) continue;
    const corners = [faces[f], faces[f + 1], faces[f + 2]];
    // Of the few faces beside the sheet: the mesh is closed, so an edge that one of them has alone is the sheet's border.
    if (f >= cortex.sheetFaces) toggleEdges(open, corners, inside, cortex.count);
    if (count === 3) continue;
    const crossed = [0, 1, 2]
      .map((k): Pair => [corners[k], corners[(k + 1) % 3]])
      .filter(([a, b]) => inside[a] !== inside[b]);
    crossings[f < cortex.sheetFaces ? Kind.Always : Kind.OffSheet].push([crossed[0], crossed[1]]);
  }
  for (const [a, b] of open.values()) crossings[Kind.Cut].push([[a, a], [b, b]]);
  return [Kind.Always, Kind.OffSheet, Kind.Cut].flatMap((kind) =>
    joined(crossings[kind], cortex.count).map((points) => ({ region, kind, points })),
  );
}

type Pair = [number, number];

function toggleEdges(open: Map<number, Pair>, corners: number[], inside: Uint8Array, count: number): void {
  for (let k = 0; k < 3; k++) {
    const pair: Pair = [corners[k], corners[(k + 1) % 3]];
    if (!inside[pair[0]] || !inside[pair[1]]) continue;
    const key = keyOf(pair, count);
    if (!open.delete(key)) open.set(key, pair);
  }
}

function keyOf([a, b]: Pair, count: number): number {
  return Math.min(a, b) * count + Math.max(a, b);
}

/** Steps put end to end; the first point of a closed line comes again as its last. */
function joined(steps: [Pair, Pair][], count: number): Pair[][] {
  const at = new Map<number, number[]>();
  steps.forEach((step, number) => {
    for (const point of step) {
      const key = keyOf(point, count);
      at.set(key, [...(at.get(key) ?? []), number]);
    }
  });
  const used = new Uint8Array(steps.length);
  const walk = (from: Pair, first: number): Pair[] => {
    const points = [from];
    for (let number: number | undefined = first; number !== undefined; ) {
      used[number] = 1;
      const [one, other] = steps[number];
      const next: Pair = keyOf(one, count) === keyOf(points[points.length - 1], count) ? other : one;
      points.push(next);
      number = at.get(keyOf(next, count))?.find((candidate) => !used[candidate]);
    }
    return points;
  };
  return steps.flatMap(([one], number) => {
    if (used[number]) return [];
    const forward = walk(one, number);
    const back = at.get(keyOf(one, count))?.find((candidate) => !used[candidate]);
    return [back === undefined ? forward : [...walk(one, back).reverse().slice(0, -1), ...forward]];
  });
}

function segmentsOf(cortex: Cortex, chains: Chain[]): Lines {
  const stride = Math.round(Math.sqrt(cortex.count / COARSE));
  const stepsOf = (chain: Chain) => Math.ceil((chain.points.length - 1) / stride);
  const count = chains.reduce((sum, chain) => sum + stepsOf(chain), 0);
  const shapes: Shapes = {
    pial: new Float32Array(6 * count),
    inflated: new Float32Array(6 * count),
    flat: new Float32Array(6 * count),
  };
  const side = new Float32Array(count);
  const kind = new Float32Array(count);
  const region = new Uint16Array(count);
  let at = 0;
  for (const chain of chains) {
    const steps = stepsOf(chain);
    for (const name of ["pial", "inflated", "flat"] as const) {
      const line = smoothed(cortex.shapes[name], chain, cortex.count, stride);
      for (let k = 0; k <= steps; k++) {
        const from = 3 * Math.min(k * stride, chain.points.length - 1);
        const point = line.subarray(from, from + 3);
        // The end of a segment and the beginning of the next.
        if (k > 0) shapes[name].set(point, 6 * (at + k - 1) + 3);
        if (k < steps) shapes[name].set(point, 6 * (at + k));
      }
    }
    side.fill(chain.points[0][0] < cortex.side ? -1 : 1, at, at + steps);
    kind.fill(chain.kind, at, at + steps);
    region.fill(chain.region, at, at + steps);
    at += steps;
  }
  return { count, shapes, side, kind, region };
}

/** Points of a line, three numbers each: middles of its pairs, drawn to the middles of their neighbours. */
function smoothed(shape: Float32Array, chain: Chain, count: number, stride: number): Float32Array {
  const last = chain.points.length - 1;
  let line = new Float32Array(3 * (last + 1));
  chain.points.forEach(([a, b], k) => {
    for (let axis = 0; axis < 3; axis++) line[3 * k + axis] = (shape[3 * a + axis] + shape[3 * b + axis]) / 2;
  });
  if (chain.kind === Kind.Cut) return line;
  const closed = keyOf(chain.points[0], count) === keyOf(chain.points[last], count);
  let next = line.slice();
  for (let round = 0; round < SMOOTHING * stride * stride; round++) {
    for (let k = closed ? 0 : 1; k <= (closed ? last : last - 1); k++) {
      const [before, after] = [3 * (k === 0 ? last - 1 : k - 1), 3 * (k === last ? 1 : k + 1)];
      for (let axis = 0; axis < 3; axis++)
        next[3 * k + axis] = 0.5 * line[3 * k + axis] + 0.25 * (line[before + axis] + line[after + axis]);
    }
    [line, next] = [next, line];
  }
  return line;
}
