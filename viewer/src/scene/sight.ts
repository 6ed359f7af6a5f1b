/** What is seen where: the vertex at a place of the picture, and whether a vertex is hidden by cortex before it. */

import type { Cortex } from "../data/cortex";
import { distanceOf, type Frame, seenAt } from "./camera";
import { placeOf, type Pose } from "./pose";
import type { Blocks, Hit } from "./rays";
import type { Rectangle } from "./scene";

/** Least part of its normal by which a vertex faces the viewer. */
const FACING = 0.15;
/** How far something may stand before a vertex without hiding it, mm. */
const DEPTH = 1;

/** Of one panel as it stands; all panels show the same. */
export class Sight {
  private spheres: Float32Array | null = null;

  constructor(
    private readonly cortex: Cortex,
    private readonly pose: Pose,
    private readonly blocks: Blocks,
    private readonly frame: Frame,
    private readonly area: Rectangle,
  ) {}

  /** The vertex seen nearest to a place in parts of the width and height; null beside the cortex. */
  vertexAt(x: number, y: number): number | null {
    const hit = this.hitAt(x, y);
    if (!hit) return null;
    const distance = (vertex: number) => {
      const place = placeOf(this.cortex, this.pose, vertex);
      return Math.hypot(place[0] - hit.point[0], place[1] - hit.point[1], place[2] - hit.point[2]);
    };
    return hit.vertices.reduce((best, one) => (distance(one) < distance(best) ? one : best));
  }

  isSeen(vertex: number): boolean {
    const [x, y] = this.place(vertex);
    if (!(x >= 0 && x < 1 && y >= 0 && y < 1)) return false;
    if (this.pose.flat > 0.5) return this.cortex.onSheet[vertex] === 1;
    if (!this.faces(vertex)) return false;
    const before = this.hitAt(x, y);
    return !before || before.point[2] < placeOf(this.cortex, this.pose, vertex)[2] + DEPTH;
  }

  private place(vertex: number): [number, number] {
    return seenAt(placeOf(this.cortex, this.pose, vertex), this.frame, this.area.width / this.area.height);
  }

  private hitAt(x: number, y: number): Hit | null {
    const { frame } = this;
    this.spheres ??= this.blocks.placed(this.pose);
    const across = frame.x + (x - 0.5) * frame.height * (this.area.width / this.area.height);
    const up = frame.y + (0.5 - y) * frame.height;
    return this.blocks.first([frame.x, frame.y, distanceOf(frame)], [across, up, 0], this.pose, this.spheres);
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
