/** The numbers of one mapping, by voxel, and where its voxels lie. */

import { ABSENT, readBits, readValues } from "./codec";
import type { Cortex } from "./cortex";
import type { MappingHeader, Source } from "./header";

export interface Weights {
  /** A row a layer. */
  profile: Float32Array[];
  best: Float32Array;
  confidence: Float32Array;
  /** Mean position along depth, 0..1. */
  position: Float32Array;
  largest: number;
  highest: number;
}

export interface Region {
  name: string;
  members: Uint8Array;
  /** A vertex of each hemisphere at which the name stands. */
  anchors: (number | null)[];
}

export interface Mapping {
  header: MappingHeader;
  /** Vertex of every voxel, counted over both hemispheres. */
  vertex: Uint32Array;
  /** Voxel of every vertex; -1 where nothing was measured. */
  voxel: Int32Array;
  values: Record<string, Float32Array>;
  weights: Partial<Record<Source, Weights>>;
  regions: Region[];
}

export function readMapping(header: MappingHeader, cortex: Cortex, blob: Uint8Array): Mapping {
  const measured = readBits(blob, header.measured);
  const voxel = new Int32Array(cortex.count).fill(ABSENT);
  const places: number[] = [];
  measured.forEach((one, vertex) => {
    if (one) voxel[vertex] = places.push(vertex) - 1;
  });
  const vertex = Uint32Array.from(places);
  const parents = new Int32Array(2 * vertex.length);
  for (let k = 0; k < parents.length; k++) {
    const parent = cortex.parents[2 * vertex[k >> 1] + (k & 1)];
    parents[k] = parent === ABSENT ? ABSENT : voxel[parent];
  }
  const values = Object.fromEntries(
    Object.entries(header.values).map(([name, place]) => [name, readValues(blob, place, parents)[0]]),
  );
  const weights: Mapping["weights"] = {};
  for (const [source, place] of Object.entries(header.weights))
    weights[source as Source] = {
      profile: readValues(blob, place.profile, parents),
      best: readValues(blob, place.best, parents)[0].map(Math.round),
      confidence: readValues(blob, place.confidence, parents)[0],
      position: readValues(blob, place.position, parents)[0],
      largest: place.largest,
      highest: place.highest,
    };
  const regions = header.rois.map((roi) => ({
    name: roi.name,
    members: readBits(blob, roi.members),
    anchors: roi.anchors.map((anchor, number) => (anchor === null ? null : anchor + number * cortex.side)),
  }));
  return { header, vertex, voxel, values, weights, regions };
}
