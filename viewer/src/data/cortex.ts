/** Both hemispheres as one mesh in three shapes, turned so that a viewer stands behind the head. */

import { ABSENT, readBits, readNumbers, readValues } from "./codec";
import type { ShapePlace, SurfaceHeader } from "./header";
import { type Icosphere, icosphere } from "./icosphere";

export interface Shapes {
  pial: Float32Array;
  inflated: Float32Array;
  flat: Float32Array;
}

export interface Cortex {
  name: string;
  /** Vertices of a hemisphere; those of the right one follow the left one's. */
  side: number;
  count: number;
  /** Three numbers a vertex: x to the right, y up, z to the viewer. */
  shapes: Shapes;
  /** Of the pial and the inflated shape, -127..127. */
  normals: { pial: Int8Array; inflated: Int8Array };
  /** Faces of the flat sheet first. */
  faces: Uint32Array;
  sheetFaces: number;
  onSheet: Uint8Array;
  cortex: Uint8Array;
  folding: Float32Array;
  parents: Int32Array;
}

export function readCortex(header: SurfaceHeader, blob: Uint8Array): Cortex {
  const side = header.vertices;
  const sphere = icosphere(side);
  const parents = bothSides(sphere.parents, side);
  const { faces, sheetFaces } = sortedFaces(sphere, side, readBits(blob, header.sheet));
  const onSheet = new Uint8Array(2 * side);
  for (let k = 0; k < sheetFaces; k++) onSheet[faces[k]] = 1;
  const shapes = {
    pial: readShape(blob, header.shapes.pial, parents),
    inflated: readShape(blob, header.shapes.inflated, parents),
    flat: readShape(blob, header.shapes.flat, parents),
  };
  return {
    name: header.name,
    side,
    count: 2 * side,
    shapes,
    normals: { pial: normalsOf(shapes.pial, faces), inflated: normalsOf(shapes.inflated, faces) },
    faces,
    sheetFaces,
    onSheet,
    cortex: readBits(blob, header.cortex),
    folding: readValues(blob, header.folding, parents)[0],
    parents,
  };
}

function bothSides(parents: Int32Array, side: number): Int32Array {
  const both = new Int32Array(2 * parents.length);
  both.set(parents);
  for (let i = 0; i < parents.length; i++) both[parents.length + i] = parents[i] === ABSENT ? ABSENT : parents[i] + side;
  return both;
}

/** Those of the flat sheet first, then the others; `sheet` is of the left hemisphere's faces, then the right one's. */
function sortedFaces(sphere: Icosphere, side: number, sheet: Uint8Array): { faces: Uint32Array; sheetFaces: number } {
  const { faces, order } = sphere;
  const sorted = new Uint32Array(2 * faces.length);
  let [to, sheetFaces] = [0, 0];
  for (const wanted of [1, 0]) {
    for (const right of [0, 1])
      for (const face of order) {
        if (sheet[face + right * order.length] !== wanted) continue;
        for (let corner = 0; corner < 3; corner++) sorted[to++] = faces[3 * face + corner] + right * side;
      }
    if (wanted) sheetFaces = to;
  }
  return { faces: sorted, sheetFaces };
}

/** From x right, y anterior, z superior to x right, y up, z to a viewer behind the head; flat shapes lie in z = 0. */
function readShape(blob: Uint8Array, place: ShapePlace, parents: Int32Array): Float32Array {
  const points = new Float32Array(3 * place.count);
  // Where an axis goes, and its sign.
  const turned = place.components === 3 ? [[0, 1], [2, -1], [1, 1]] : [[0, 1], [1, 1]];
  readNumbers(blob, place, parents).forEach((numbers, axis) => {
    const [[to, sign], origin, { step }] = [turned[axis], place.origin[axis], place];
    for (let i = 0; i < place.count; i++) points[3 * i + to] = sign * (origin + numbers[i] * step);
  });
  return points;
}

function normalsOf(points: Float32Array, faces: Uint32Array): Int8Array {
  const sums = new Float32Array(points.length);
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const ux = points[b] - points[a], uy = points[b + 1] - points[a + 1], uz = points[b + 2] - points[a + 2];
    const vx = points[c] - points[a], vy = points[c + 1] - points[a + 1], vz = points[c + 2] - points[a + 2];
    const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
    sums[a] += nx; sums[a + 1] += ny; sums[a + 2] += nz;
    sums[b] += nx; sums[b + 1] += ny; sums[b + 2] += nz;
    sums[c] += nx; sums[c + 1] += ny; sums[c + 2] += nz;
  }
  const normals = new Int8Array(points.length);
  for (let i = 0; i < sums.length; i += 3) {
    const length = Math.sqrt(sums[i] * sums[i] + sums[i + 1] * sums[i + 1] + sums[i + 2] * sums[i + 2]) || 1;
    for (let axis = 0; axis < 3; axis++) normals[i + axis] = Math.round((127 * sums[i + axis]) / length);
  }
  return normals;
}

/** Vertices that share an edge with one. */
export function neighboursOf({ faces }: Cortex, vertex: number): number[] {
  const found: number[] = [];
  // The mesh is closed: each neighbour follows the vertex in exactly one of its faces.
  for (let k = 0; k < faces.length; k++) if (faces[k] === vertex) found.push(faces[k % 3 === 2 ? k - 2 : k + 1]);
  return found;
}
