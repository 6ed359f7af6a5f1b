/** Everything that can be changed by hand, in one object that others listen to. */

import type { Palette } from "./data/header";

export interface State {
  /** Which map, by its id. */
  map: string;
  /** Which mapping, by its number. */
  mapping: number;
  /** All mappings beside each other. */
  grid: boolean;
  /** 0 pial, 1 inflated, 2 flat. */
  unfold: number;
  /** Layer of the map of one layer. */
  layer: number;
  /** R² below which nothing is painted; null paints all. */
  threshold: number | null;
  /** Pale where R² is uncertain. */
  fade: boolean;
  palette: Palette;
  outlines: boolean;
  names: boolean;
  /** Turn, tilt and opening of the hemispheres, degrees. */
  yaw: number;
  pitch: number;
  open: number;
  zoom: number;
  /** Shift of the picture, parts of its height. */
  panX: number;
  panY: number;
  /** Vertices over both hemispheres. */
  pointed: number | null;
  pinned: number[];
  /** Place in the image, -1..1 right and down, whose readers are lit. */
  place: [number, number] | null;
  /** How far around it. */
  reach: number;
  /** Layer whose readers are lit. */
  brush: number | null;
  /** Region that is lit. */
  region: string | null;
}

export const START: State = {
  map: "",
  mapping: 0,
  grid: false,
  unfold: 1,
  layer: 0,
  threshold: null,
  fade: false,
  palette: "default",
  outlines: true,
  names: true,
  yaw: 0,
  pitch: 0,
  open: 0,
  zoom: 1,
  panX: 0,
  panY: 0,
  pointed: null,
  pinned: [],
  place: null,
  reach: 0.15,
  brush: null,
  region: null,
};

export type Listener = (state: State, changed: Set<keyof State>) => void;

export class Store {
  private readonly listeners: Listener[] = [];

  constructor(public state: State) {}

  set(changes: Partial<State>): void {
    const changed = new Set<keyof State>();
    for (const key of Object.keys(changes) as (keyof State)[])
      if (JSON.stringify(this.state[key]) !== JSON.stringify(changes[key])) changed.add(key);
    if (!changed.size) return;
    this.state = { ...this.state, ...changes };
    for (const listener of this.listeners) listener(this.state, changed);
  }

  listen(listener: Listener): void {
    this.listeners.push(listener);
  }
}
