/** What a vertex is called. */

import type { Cortex } from "./cortex";
import type { Mapping } from "./mapping";

const LONGEST = 60;

export function placeName(cortex: Cortex, mapping: Mapping, vertex: number): string {
  const left = vertex < cortex.side;
  const own = `${left ? "left" : "right"} ${vertex - (left ? 0 : cortex.side)}`;
  const voxel = mapping.voxel[vertex];
  const inside = voxel < 0 ? [] : mapping.regions.filter((region) => region.members[voxel]).map((region) => region.name);
  const where = inside.join(", ") || (cortex.cortex[vertex] ? "no region" : "medial wall");
  return `${where.slice(0, LONGEST)} · ${own}`;
}
