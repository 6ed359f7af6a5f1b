/** Colours of all vertices: the map, what is left out by the threshold, and what is lit. */

import type { Mapping } from "../data/mapping";
import type { State } from "../state";
import type { Map } from "./maps";
import { clamp, type Colours } from "./tables";

/** What uncertain vertices fade to, as in the figures. */
const UNCOLOURED = [0.93 * 255, 0.93 * 255, 0.95 * 255];
/** What vertices that are not lit are drawn towards, and how far. */
const DIMMED = 200;
const DIMMING = 0.86;

/** Red, green, blue and alpha of every vertex; alpha 0 where nothing is painted. */
export function paint(mapping: Mapping, map: Map | undefined, colours: Colours, state: State, target: Uint8Array): void {
  target.fill(0);
  if (!map) return;
  const lit = litBy(mapping, state);
  const { r2, sure: sureness } = mapping.values;
  for (let voxel = 0; voxel < mapping.vertex.length; voxel++) {
    if (state.threshold !== null && !(r2[voxel] >= state.threshold)) continue;
    const colour = map.colour(voxel, colours);
    if (!colour) continue;
    const sure = state.fade && sureness ? sureness[voxel] : 1;
    const kept = lit ? 1 - DIMMING * (1 - lit(voxel)) : 1;
    const at = 4 * mapping.vertex[voxel];
    for (let axis = 0; axis < 3; axis++) {
      const pale = sure * colour[axis] + (1 - sure) * UNCOLOURED[axis];
      target[at + axis] = Math.round(kept * pale + (1 - kept) * DIMMED);
    }
    target[at + 3] = 255;
  }
}

/** How brightly a voxel is lit, 0..1; null where nothing is chosen and all are. */
export function litBy(mapping: Mapping, state: State): ((voxel: number) => number) | null {
  if (state.place) {
    const [x, y] = state.place;
    const { x: across, y: down } = mapping.values;
    return (voxel) => {
      const distance = Math.hypot(across[voxel] - x, down[voxel] - y) / state.reach;
      return clamp(1.5 - distance, 0, 1);
    };
  }
  if (state.brush !== null) {
    const weights = mapping.weights.share ?? mapping.weights.selector;
    return (voxel) => (weights?.best[voxel] === state.brush ? 1 : 0);
  }
  if (state.region !== null) {
    const region = mapping.regions.find((one) => one.name === state.region);
    return region ? (voxel) => region.members[voxel] : null;
  }
  return null;
}
