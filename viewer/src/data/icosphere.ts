/** FreeSurfer's refined icosahedron: its faces, and between which earlier vertices each vertex lies. */

import { ABSENT } from "./codec";

const CORNERS = 12;
const ICOSAHEDRON = [
  0, 3, 4, 0, 4, 5, 0, 5, 1, 0, 1, 2, 0, 2, 3, 3, 2, 8, 3, 8, 9, 3, 9, 4, 4, 9, 10, 4, 10, 5, 5, 10, 6, 5, 6, 1, 1, 6,
  7, 1, 7, 2, 2, 7, 8, 8, 11, 9, 9, 11, 10, 10, 11, 6, 6, 11, 7, 7, 11, 8,
];

export interface Icosphere {
  /** Three vertices a face. */
  faces: Uint32Array;
  /** Two vertices a vertex. */
  parents: Int32Array;
  /** Numbers of the faces so that near ones follow each other: a graphics card then sees each vertex about once. */
  order: Uint32Array;
}

export function icosphere(vertices: number): Icosphere {
  let faces = Uint32Array.from(ICOSAHEDRON);
  let rank = Uint32Array.from({ length: ICOSAHEDRON.length / 3 }, (_, face) => face);
  let count = CORNERS;
  const parents = new Int32Array(2 * vertices).fill(ABSENT);
  while (count < vertices) {
    const middles = new Middles(count, parents);
    const finer = new Uint32Array(4 * faces.length);
    const finerRank = new Uint32Array(4 * rank.length);
    const others = faces.length;
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [faces[f], faces[f + 1], faces[f + 2]];
      const ca = middles.of(c, a);
      const bc = middles.of(b, c);
      const ab = middles.of(a, b);
      // Number by number, as an array for each face is slow.
      finer[f] = a; finer[f + 1] = ab; finer[f + 2] = ca;
      const at = others + 3 * f;
      finer[at] = ca; finer[at + 1] = bc; finer[at + 2] = c;
      finer[at + 3] = ab; finer[at + 4] = bc; finer[at + 5] = ca;
      finer[at + 6] = ab; finer[at + 7] = b; finer[at + 8] = bc;
      const before = 4 * rank[f / 3];
      finerRank[f / 3] = before;
      for (let k = 0; k < 3; k++) finerRank[others / 3 + f + k] = before + 1 + k;
    }
    faces = finer;
    rank = finerRank;
    count = middles.next;
  }
  const order = new Uint32Array(rank.length);
  rank.forEach((place, face) => (order[place] = face));
  return { faces, parents, order };
}

/** Numbers the middles of edges as they are met: a hash table of open addresses, as a Map is ten times slower. */
class Middles {
  next: number;
  private readonly size: number;
  private readonly keys: Float64Array;
  private readonly numbers: Int32Array;

  constructor(
    private readonly count: number,
    private readonly parents: Int32Array,
  ) {
    this.next = count;
    this.size = 2 ** Math.ceil(Math.log2(count * 8));
    this.keys = new Float64Array(this.size).fill(-1);
    this.numbers = new Int32Array(this.size);
  }

  of(a: number, b: number): number {
    const low = Math.min(a, b);
    const high = Math.max(a, b);
    const key = low * this.count + high;
    let slot = (Math.imul(low, 73856093) ^ Math.imul(high, 19349663)) & (this.size - 1);
    while (this.keys[slot] !== key) {
      if (this.keys[slot] === -1) {
        this.keys[slot] = key;
        this.numbers[slot] = this.next;
        this.parents[2 * this.next] = low;
        this.parents[2 * this.next + 1] = high;
        return this.next++;
      }
      slot = (slot + 1) & (this.size - 1);
    }
    return this.numbers[slot];
  }
}
