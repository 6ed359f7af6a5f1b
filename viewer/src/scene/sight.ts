/** What is seen where: the vertex at a place of the picture, and whether a vertex is hidden by cortex before it. */

import type { Cortex } from "../data/cortex";
import { type Frame, seenAt } from "./camera";
import { placeOf, type Pose } from "./pose";
import type { CortexScene, Rectangle } from "./scene";

/** Pixels of the picture in a cell of the coarser one in which vertices are drawn as numbers. */
const CELL = 2;
/** Least part of its normal by which a vertex faces the viewer. */
const FACING = 0.15;
/** How far something may stand before a vertex without hiding it, mm: a face and a fold of the coarse picture. */
const DEPTH = 4;

/** Of one panel as it stands; all panels show the same. */
export class Sight {
  private readonly columns: number;
  private readonly rows: number;
  private numbers: Int32Array | null = null;

  constructor(
    private readonly cortex: Cortex,
    private readonly pose: Pose,
    private readonly scene: CortexScene,
    private readonly frame: Frame,
    private readonly area: Rectangle,
  ) {
    this.columns = Math.max(1, Math.round(area.width / CELL));
    this.rows = Math.max(1, Math.round(area.height / CELL));
  }

  /** The vertex seen nearest to a place in parts of the width and height; null beside the cortex. */
  vertexAt(x: number, y: number): number | null {
    const corner = this.cornerAt(x, y);
    if (corner < 0) return null;
    // A cell holds only one of the corners of its face: the others are among its neighbours.
    const { start, vertex } = this.cortex.neighbours;
    const distance = (candidate: number) => {
      const [across, down] = this.place(candidate);
      return Math.hypot((across - x) * this.area.width, (down - y) * this.area.height);
    };
    const candidates = [corner, ...vertex.subarray(start[corner], start[corner + 1])];
    return candidates.reduce((best, candidate) => (distance(candidate) < distance(best) ? candidate : best));
  }

  isSeen(vertex: number): boolean {
    if (this.pose.flat > 0.5) return this.cortex.onSheet[vertex] === 1;
    if (!this.faces(vertex)) return false;
    const [x, y] = this.place(vertex);
    if (!(x >= 0 && x < 1 && y >= 0 && y < 1)) return false;
    const before = this.cornerAt(x, y);
    const deep = (one: number) => placeOf(this.cortex, this.pose, one)[2];
    return before < 0 || deep(before) < deep(vertex) + DEPTH;
  }

  private place(vertex: number): [number, number] {
    return seenAt(placeOf(this.cortex, this.pose, vertex), this.frame, this.area.width / this.area.height);
  }

  private cornerAt(x: number, y: number): number {
    this.numbers ??= this.scene.verticesIn(this.columns, this.rows, this.frame, this.area.width / this.area.height);
    const [column, row] = [Math.floor(x * this.columns), Math.floor((1 - y) * this.rows)];
    return this.numbers[Math.min(row, this.rows - 1) * this.columns + Math.min(column, this.columns - 1)];
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
