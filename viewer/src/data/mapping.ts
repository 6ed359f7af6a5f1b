/** The numbers of one mapping, by voxel, and where its voxels lie. */

import { ABSENT, readBits, readValues } from "./codec";
import type { Cortex } from "./cortex";
import type { MappingHeader, Source, ValuesPlace } from "./header";

export interface Weights {
  /** A row a layer; read once it is asked for. */
  profile(): Float32Array[];
  best: Float32Array;
  confidence: Float32Array;
  /** Mean position along depth, 0..1. */
  position(): Float32Array;
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
  const { r2, ceiling } = values;
  if (ceiling) values.normalised = r2.map((value, voxel) => (ceiling[voxel] > 0 ? value / ceiling[voxel] : NaN));
  const weights: Mapping["weights"] = {};
  for (const [source, place] of Object.entries(header.weights))
    weights[source as Source] = {
      profile: once(() => readValues(blob, needed(place.profile), parents)),
      best: readValues(blob, place.best, parents)[0].map(Math.round),
      confidence: readValues(blob, place.confidence, parents)[0],
      position: once(() => readValues(blob, needed(place.position), parents)[0]),
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

function once<Value>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => (made ??= make());
}

/** Of selectors a page with shares holds no more than their map shows. */
function needed(place: ValuesPlace | undefined): ValuesPlace {
  if (!place) throw new Error("the page holds no profile of these weights");
  return place;
}
