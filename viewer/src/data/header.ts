/** What the Python package writes into a page; `src/factortopy/page/` is the other side of every name here. */

export interface BitsPlace {
  at: number;
  count: number;
}

export interface NumbersPlace extends BitsPlace {
  components: number;
}

export interface ValuesPlace extends NumbersPlace {
  low: number;
  high: number;
  /** Between low and high; 0 where numbers are written as they are. */
  steps: number;
}

export interface ShapePlace extends NumbersPlace {
  origin: number[];
  step: number;
}

export interface SurfaceHeader {
  name: string;
  vertices: number;
  shapes: { pial: ShapePlace; inflated: ShapePlace; flat: ShapePlace };
  folding: ValuesPlace;
  cortex: BitsPlace;
  sheet: BitsPlace;
}

export interface WeightsHeader {
  profile?: ValuesPlace;
  best: ValuesPlace;
  confidence: ValuesPlace;
  position?: ValuesPlace;
  largest: number;
  highest: number;
}

export interface RegionHeader {
  name: string;
  members: BitsPlace;
  anchors: (number | null)[];
}

/** A number with its limits; null where not known. */
export type Limited = [number | null, number | null, number | null];

export interface RegionRow {
  region: string;
  all: boolean;
  voxels: number;
  r2?: Limited;
  ceiling?: Limited;
  normalised?: Limited;
  depth?: Limited;
  scale?: Limited;
}

export type Source = "share" | "selector";

export interface MappingHeader {
  network: string;
  subject: string;
  facts: string;
  simulated: boolean;
  token: string;
  layers: string[];
  /** How many; 0 for none. */
  clusters: number;
  measured: BitsPlace;
  values: Record<string, ValuesPlace>;
  weights: Partial<Record<Source, WeightsHeader>>;
  limits: Record<string, [number, number]>;
  rois: RegionHeader[];
  table: RegionRow[];
  image: string | null;
}

export interface Table {
  shape: number[];
  rgb: string;
}

export interface PaletteTables {
  layers: Record<string, Table>;
  places: Table;
  /** By how many clusters there are. */
  classes: Record<string, Table>;
  scalars: Record<"scale" | "score" | "difference", Table & { under: string }>;
}

export type Palette = "default" | "colour-blind";

export interface Header {
  title: string;
  version: string;
  palette: Palette;
  fade: boolean;
  surface: SurfaceHeader;
  mappings: MappingHeader[];
  colours: Record<Palette, PaletteTables>;
}
