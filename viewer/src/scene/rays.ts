/** Where a ray from the viewer meets the cortex first: near faces lie in blocks, and of most blocks the box is missed. */

import type { Cortex, Shapes } from "../data/cortex";
import { affineOf, type Pose } from "./pose";

/** Faces of a block; those of `icosphere` follow each other so that these lie together. */
const FACES = 64;

export interface Hit {
  /** Its three corners. */
  vertices: [number, number, number];
  point: [number, number, number];
}

export class Blocks {
  /** Where each begins among the faces' corners, and one end more. */
  private readonly start: number[] = [];
  /** Middle and half the diagonal of each box in the shapes of which it was asked for: four numbers each. */
  private readonly boxes = new Map<keyof Shapes, Float32Array>();

  constructor(private readonly cortex: Cortex) {
    const { faces, side, sheetFaces } = cortex;
    for (let f = 0; f < faces.length; f += 3) {
      const first = this.start[this.start.length - 1] ?? -Infinity;
      const other = f === sheetFaces || (f > 0 && faces[f] < side !== faces[f - 1] < side);
      if (f - first >= 3 * FACES || other) this.start.push(f);
    }
    this.start.push(faces.length);
  }

  private boxesOf(shape: keyof Shapes): Float32Array {
    const known = this.boxes.get(shape);
    if (known) return known;
    const { faces } = this.cortex;
    const points = this.cortex.shapes[shape];
    const boxes = new Float32Array(4 * (this.start.length - 1));
    this.boxes.set(shape, boxes);
    for (let block = 0; block < this.start.length - 1; block++) {
      let [x0, y0, z0, x1, y1, z1] = [Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity];
      for (let k = this.start[block]; k < this.start[block + 1]; k++) {
        const at = 3 * faces[k];
        const x = points[at], y = points[at + 1], z = points[at + 2];
        if (x < x0) x0 = x;
        if (x > x1) x1 = x;
        if (y < y0) y0 = y;
        if (y > y1) y1 = y;
        if (z < z0) z0 = z;
        if (z > z1) z1 = z;
      }
      boxes.set([(x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2, Math.hypot(x1 - x0, y1 - y0, z1 - z0) / 2], 4 * block);
    }
    return boxes;
  }

  /** Spheres around the blocks as they stand in a pose: of shapes mixed, no larger than the spheres mixed. */
  placed(pose: Pose): Float32Array {
    const { faces, side } = this.cortex;
    const sides = [affineOf(pose, -1), affineOf(pose, 1)];
    const [p, i, f] = weightsOf(pose);
    const spheres = new Float32Array(4 * (this.start.length - 1));
    // What does not count need not be known.
    const [pial, inflated, flat] = [p && this.boxesOf("pial"), i && this.boxesOf("inflated"), f && this.boxesOf("flat")].map(
      (boxes) => boxes || spheres.slice());
    for (let at = 0; at < spheres.length; at += 4) {
      const a = sides[faces[this.start[at >> 2]] < side ? 0 : 1];
      const x = p * pial[at] + i * inflated[at];
      const y = p * pial[at + 1] + i * inflated[at + 1];
      const z = p * pial[at + 2] + i * inflated[at + 2];
      for (let axis = 0; axis < 3; axis++)
        spheres[at + axis] = a[axis] * x + a[3 + axis] * y + a[6 + axis] * z + a[9 + axis] + f * flat[at + axis];
      spheres[at + 3] = (1 - f) * (p * pial[at + 3] + i * inflated[at + 3]) + f * flat[at + 3];
    }
    return spheres;
  }

  /** What a ray from `from` through `to` meets first; null if it passes everything. */
  first(from: [number, number, number], to: [number, number, number], pose: Pose, spheres: Float32Array): Hit | null {
    const [ox, oy, oz] = from;
    const [dx, dy, dz] = [to[0] - ox, to[1] - oy, to[2] - oz];
    const square = dx * dx + dy * dy + dz * dz;
    const blocks = spheres.length / 4;
    let [nearest, found] = [Infinity, -1];
    for (let block = 0; block < blocks; block++) {
      const at = 4 * block;
      const x = spheres[at] - ox, y = spheres[at + 1] - oy, z = spheres[at + 2] - oz;
      const along = x * dx + y * dy + z * dz;
      const radius = spheres[at + 3];
      if ((x * x + y * y + z * z - radius * radius) * square > along * along) continue;
      // What the flat sheets have not is gone soon after they open.
      if (pose.flat > 1 / 12 && this.start[block] >= this.cortex.sheetFaces) continue;
      const [t, face] = this.firstIn(block, from, [dx, dy, dz], pose, nearest);
      if (face >= 0) [nearest, found] = [t, face];
    }
    if (found < 0) return null;
    const { faces } = this.cortex;
    const point = (axis: number) => from[axis] + nearest * (to[axis] - from[axis]);
    return { vertices: [faces[found], faces[found + 1], faces[found + 2]], point: [point(0), point(1), point(2)] };
  }

  /** Of a block, by Moeller and Trumbore: how far along the ray, and which face; backs count while sheets are on their way. */
  private firstIn(
    block: number, [ox, oy, oz]: number[], [dx, dy, dz]: number[], pose: Pose, nearest: number,
  ): [number, number] {
    const { faces, side } = this.cortex;
    const { pial, inflated, flat } = this.cortex.shapes;
    const a = affineOf(pose, faces[this.start[block]] < side ? -1 : 1);
    const [p, i, f] = weightsOf(pose);
    const both = pose.flat > 0 && pose.flat < 1;
    const c = CORNERS;
    let found = -1;
    for (let face = this.start[block]; face < this.start[block + 1]; face += 3) {
      for (let corner = 0; corner < 3; corner++) {
        const at = 3 * faces[face + corner];
        const x = p * pial[at] + i * inflated[at];
        const y = p * pial[at + 1] + i * inflated[at + 1];
        const z = p * pial[at + 2] + i * inflated[at + 2];
        for (let axis = 0; axis < 3; axis++)
          c[3 * corner + axis] = a[axis] * x + a[3 + axis] * y + a[6 + axis] * z + a[9 + axis] + f * flat[at + axis];
      }
      const e1x = c[3] - c[0], e1y = c[4] - c[1], e1z = c[5] - c[2];
      const e2x = c[6] - c[0], e2y = c[7] - c[1], e2z = c[8] - c[2];
      const hx = dy * e2z - dz * e2y, hy = dz * e2x - dx * e2z, hz = dx * e2y - dy * e2x;
      const turned = e1x * hx + e1y * hy + e1z * hz;
      if (both ? turned === 0 : turned <= 0) continue;
      const sx = ox - c[0], sy = oy - c[1], sz = oz - c[2];
      const u = (sx * hx + sy * hy + sz * hz) / turned;
      if (u < -NEAR || u > 1 + NEAR) continue;
      const qx = sy * e1z - sz * e1y, qy = sz * e1x - sx * e1z, qz = sx * e1y - sy * e1x;
      const v = (dx * qx + dy * qy + dz * qz) / turned;
      if (v < -NEAR || u + v > 1 + NEAR) continue;
      const t = (e2x * qx + e2y * qy + e2z * qz) / turned;
      if (t > 0 && t < nearest) [nearest, found] = [t, face];
    }
    return [nearest, found];
  }
}

/** By so much of a face a ray may miss it, so that none passes between two. */
const NEAR = 1e-6;
const CORNERS = new Float64Array(9);

/** How much the pial, the inflated and the flat shape count. */
function weightsOf(pose: Pose): [number, number, number] {
  return [1 - pose.inflated, pose.inflated, pose.flat];
}
