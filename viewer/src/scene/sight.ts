/** Which vertices can be seen: those that face the viewer and have no cortex before them. */

import type { Cortex } from "../data/cortex";
import { type Frame, seenAt } from "./camera";
import { placeOf, type Pose } from "./pose";
import type { CortexScene } from "./scene";

/** Cells across the coarse picture in which what stands in front is looked up. */
const COLUMNS = 160;
/** Least part of its normal by which a vertex faces the viewer. */
const FACING = 0.15;
/** How far something may stand before a vertex without hiding it, mm: a face and a fold of the coarse picture. */
const DEPTH = 4;

export class Sight {
  private front: Int32Array | null = null;

  constructor(
    private readonly cortex: Cortex,
    private readonly pose: Pose,
    private readonly scene: CortexScene,
    private readonly frame: Frame,
    private readonly aspect: number,
  ) {}

  isSeen(vertex: number): boolean {
    if (this.pose.flat > 0.5) return this.cortex.onSheet[vertex] === 1;
    if (!this.faces(vertex)) return false;
    const rows = Math.max(1, Math.round(COLUMNS / this.aspect));
    this.front ??= this.scene.verticesIn(COLUMNS, rows, this.frame, this.aspect);
    const place = placeOf(this.cortex, this.pose, vertex);
    const [x, y] = seenAt(place, this.frame, this.aspect);
    if (!(x >= 0 && x < 1 && y >= 0 && y < 1)) return false;
    const before = this.front[Math.floor(y * rows) * COLUMNS + Math.floor(x * COLUMNS)];
    return before < 0 || placeOf(this.cortex, this.pose, before)[2] < place[2] + DEPTH;
  }

  private faces(vertex: number): boolean {
    const { pial, inflated } = this.cortex.normals;
    const { pose } = this;
    const at = 3 * vertex;
    const own = [0, 1, 2].map((axis) => (pial[at + axis] * (1 - pose.inflated) + inflated[at + axis] * pose.inflated) / 127);
    const side = vertex < this.cortex.side ? -1 : 1;
    const [c, s] = [Math.cos(pose.open), -side * Math.sin(pose.open)];
    const opened = [c * own[0] + s * own[2], own[1], -s * own[0] + c * own[2]];
    return pose.turn[2] * opened[0] + pose.turn[5] * opened[1] + pose.turn[8] * opened[2] > FACING;
  }
}
