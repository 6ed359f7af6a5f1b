/** The maps that a page can show, each only where a mapping holds what it is made of. */

import type { Source } from "../data/header";
import type { Mapping } from "../data/mapping";
import type { State } from "../state";
import type { Colours, Rgb, Scalar } from "./tables";

/** What a map's key shows. */
export type Key =
  | { kind: "layers"; source: Source; layers: string[]; largest: number }
  | { kind: "scalar"; table: Scalar; low: number; high: number; label: string }
  | { kind: "places" }
  | { kind: "classes"; count: number };

export interface Map {
  id: string;
  label: string;
  /** How to read it, in words. */
  note: string;
  key: Key;
  /** Colour of a voxel; null where it has none. */
  colour(voxel: number, colours: Colours): Rgb | null;
}

const NAMES: Record<Source, string> = { share: "share", selector: "selector" };

/** Maps of a mapping; `others` are all mappings, from the first of which differences are taken. */
export function mapsOf(mapping: Mapping, state: State, others: Mapping[]): Map[] {
  const maps: (Map | null)[] = [
    layers(mapping, "share"),
    layers(mapping, "selector"),
    oneLayer(mapping, "share", state),
    places(mapping),
    scalar(mapping, "scale_share", "Scale (share)", "scale", `0 local, 1 global (${mapping.header.token} token)`),
    scalar(mapping, "scale", "Scale (selector)", "scale", `0 local, 1 global (${mapping.header.token} token)`),
    scalar(mapping, "size", "Size", "score", "standard deviation; 1 is half the image"),
    scalar(mapping, "r2", "R²", "score", "raw R² on held-out images"),
    scalar(mapping, "ceiling", "Noise ceiling", "score", "largest possible R²"),
    scalar(mapping, "normalised", "R² against ceiling", "score", "R² / noise ceiling"),
    classes(mapping),
  ];
  if (others.length > 1) {
    for (const [name, label] of [["r2", "R²"], ["depth", "depth"], ["scale_share", "scale"]])
      maps.push(difference(mapping, others, name, label));
  }
  return maps.filter((map) => map !== null);
}

function layers(mapping: Mapping, source: Source): Map | null {
  const weights = mapping.weights[source];
  if (!weights) return null;
  const names = mapping.header.layers;
  return {
    id: `layers-${source}`,
    label: `Layer (${NAMES[source]})`,
    note: "Hue: the layer that counts most for a vertex. Brightness: how sure that is; dark where many layers count alike.",
    key: { kind: "layers", source, layers: names, largest: weights.largest },
    colour: (voxel, colours) => {
      const best = weights.best[voxel];
      if (Number.isNaN(best)) return null;
      return colours.layer(best, names.length, weights.confidence[voxel] / weights.largest);
    },
  };
}

function oneLayer(mapping: Mapping, source: Source, state: State): Map | null {
  const weights = mapping.weights[source] ?? mapping.weights.selector;
  if (!weights) return null;
  const layer = Math.min(state.layer, mapping.header.layers.length - 1);
  const kind = mapping.weights[source] ? source : "selector";
  return {
    id: "one-layer",
    label: `One layer (${NAMES[kind]})`,
    note: `How much ${mapping.header.layers[layer]} counts for each vertex. The slider sweeps the layers.`,
    key: { kind: "scalar", table: "score", low: 0, high: weights.highest, label: `${kind} of layer ${layer + 1}` },
    colour: (voxel, colours) => known(weights.profile()[layer][voxel], (value) =>
      colours.scalar("score", value, 0, weights.highest)),
  };
}

function places(mapping: Mapping): Map | null {
  const { x, y } = mapping.values;
  return {
    id: "space",
    label: "Place in the image",
    note: "Where in the image a vertex reads, in the colours of the square key.",
    key: { kind: "places" },
    colour: (voxel, colours) => (Number.isNaN(x[voxel] + y[voxel]) ? null : colours.place(x[voxel], y[voxel])),
  };
}

function scalar(mapping: Mapping, name: string, label: string, table: Scalar, words: string): Map | null {
  const values = mapping.values[name];
  if (!values || values.every(Number.isNaN)) return null;
  const [low, high] = mapping.header.limits[name];
  return {
    id: name,
    label,
    note: `${label}: ${words}.`,
    key: { kind: "scalar", table, low, high, label: words },
    colour: (voxel, colours) => known(values[voxel], (value) => colours.scalar(table, value, low, high)),
  };
}

function classes(mapping: Mapping): Map | null {
  const values = mapping.values.cluster;
  const count = mapping.header.clusters;
  if (!values || !count) return null;
  return {
    id: "cluster",
    label: "Clusters by channels",
    note: "Vertices that select like channels; neighbouring numbers are alike.",
    key: { kind: "classes", count },
    colour: (voxel, colours) => known(values[voxel], (value) => colours.class(Math.round(value), count)),
  };
}

/** How a value differs from the first mapping's at the same vertex. */
function difference(mapping: Mapping, others: Mapping[], name: string, label: string): Map | null {
  const first = others[0];
  const [own, before] = [valuesOf(mapping, name), valuesOf(first, name)];
  if (!own || !before) return null;
  const change = (one: Float32Array, of: Mapping, voxel: number) => one[voxel] - before[first.voxel[of.vertex[voxel]]];
  const high = Math.max(
    ...others.map((other) => {
      const values = valuesOf(other, name);
      return values ? largest(Array.from(other.vertex, (_, voxel) => Math.abs(change(values, other, voxel)))) : 0;
    }),
  );
  const words = `${label}, less that of ${first.header.network}`;
  return {
    id: `difference-${name}`,
    label: `Difference in ${label}`,
    note: `${words} onto ${first.header.subject}.`,
    key: { kind: "scalar", table: "difference", low: -high, high, label: `difference in ${label} from the first` },
    colour: (voxel, colours) => known(change(own, mapping, voxel), (value) =>
      colours.scalar("difference", Math.max(value, -high), -high, high)),
  };
}

function valuesOf(mapping: Mapping, name: string): Float32Array | undefined {
  if (name === "depth") return mapping.weights.share?.position();
  return mapping.values[name];
}

/** The 98th percentile, rounded up to half a power of ten, as the figures have it. */
function largest(values: number[]): number {
  const finite = values.filter(Number.isFinite).sort((a, b) => a - b);
  const value = Math.max(finite.length ? finite[Math.floor(0.98 * (finite.length - 1))] : 0, 1e-3);
  const step = 10 ** Math.floor(Math.log10(value)) / 2;
  return Math.ceil(value / step) * step;
}

function known(value: number, colour: (value: number) => Rgb): Rgb | null {
  return Number.isFinite(value) ? colour(value) : null;
}
