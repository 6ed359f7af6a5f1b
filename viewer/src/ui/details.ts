/** All that a mapping says of a vertex, in words and bars, for the pointed one and those that are pinned. */

import type { App } from "../app";
import { placeName } from "../data/naming";
import type { Mapping } from "../data/mapping";
import { cssColour } from "../paint/tables";
import { pin } from "./pointer";
import { arrange, button, h, number, svg } from "./dom";

const BARS = { width: 240, height: 64 };

export function details(app: App): HTMLElement {
  const list = h("div", { class: "ft-vertices" });
  const said = h("p", { class: "ft-said", role: "status", "aria-live": "polite" });
  const hint = h("p", { class: "ft-note" }, HINT);
  let drawn = "";
  let cards = new Map<string, HTMLElement>();
  const update = () => {
    const { pointed, pinned, mapping, grid, palette } = app.store.state;
    const now = JSON.stringify([pointed, pinned, mapping, grid, palette]);
    if (now === drawn) return;
    drawn = now;
    const shown = [...(pointed === null || pinned.includes(pointed) ? [] : [pointed]), ...pinned];
    cards = new Map(shown.map((vertex) => {
      const place = pinned.indexOf(vertex);
      const key = JSON.stringify([vertex, place, mapping, grid, palette]);
      return [key, cards.get(key) ?? card(app, vertex, place)];
    }));
    arrange(list, shown.length ? [...cards.values()] : [hint]);
    const vertex = pointed ?? pinned.at(-1);
    said.textContent = vertex === undefined ? "" : sentence(app, app.mapping, vertex);
  };
  app.onFrame(update);
  return h("section", { "aria-label": "Pointed vertices" }, h("h2", {}, "Vertex"), said, list);
}

const HINT =
  "Point at the cortex to read a vertex; click to pin it. With the keyboard: Alt and arrows walk from vertex to " +
  "vertex, Enter pins, arrows turn, + and − enlarge.";

function card(app: App, vertex: number, pinned: number): HTMLElement {
  const shown = app.store.state.grid ? app.mappings : [app.mapping];
  const letGo = button("×", () => pin(app, vertex), { class: "ft-close", "aria-label": `Let vertex ${pinned + 1} go` });
  const head = h("h3", {}, pinned < 0 ? null : h("span", { class: "ft-pin ft-inline" }, String(pinned + 1)),
    placeName(app.cortex, app.mapping, vertex), pinned < 0 ? null : letGo);
  const nowhere = shown.every((mapping) => mapping.voxel[vertex] < 0);
  const bodies = nowhere ? [body(app, app.mapping, vertex)] : shown.flatMap((mapping) => [
    shown.length > 1 ? h("h4", { dir: "auto" }, `${mapping.header.network} → ${mapping.header.subject}`.slice(0, 120)) : null,
    body(app, mapping, vertex),
  ]);
  return h("article", {}, head, ...bodies);
}

function body(app: App, mapping: Mapping, vertex: number): HTMLElement {
  const voxel = mapping.voxel[vertex];
  if (voxel < 0) return h("p", { class: "ft-note" }, "Not measured.");
  const rows = factsOf(mapping, voxel).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
  return h("div", {}, h("dl", {}, ...rows), profile(app, mapping, voxel));
}

/** Name and value of what is known of a voxel. */
export function factsOf(mapping: Mapping, voxel: number): [string, string][] {
  const { values } = mapping;
  const at = (name: string) => values[name]?.[voxel];
  const limits = at("r2_low") === undefined ? "" : ` [${number(at("r2_low"))}, ${number(at("r2_high"))}]`;
  const facts: [string, string][] = [["R²", `${number(at("r2"), 3)}${limits}`]];
  if (values.ceiling) {
    const part = values.normalised?.[voxel];
    const percent = Number.isFinite(part) ? ` (${Math.round(100 * (part as number))} %)`.replace("-", "−") : "";
    facts.push(["of ceiling", `${number(at("ceiling"), 3)}${percent}`]);
  }
  const weights = mapping.weights.share ?? mapping.weights.selector;
  if (weights) facts.push(["depth", number(weights.position()[voxel])]);
  const scale = values.scale_share ? "scale_share" : "scale";
  facts.push(["scale", number(at(scale))], ["place", `x ${number(at("x"))}, y ${number(at("y"))}`]);
  if (values.size) facts.push(["size", number(at("size"))]);
  if (values.cluster) facts.push(["cluster", number(at("cluster"), 0)]);
  return facts;
}

function sentence(app: App, mapping: Mapping, vertex: number): string {
  const place = placeName(app.cortex, mapping, vertex);
  const voxel = mapping.voxel[vertex];
  if (voxel < 0) return `${place}: not measured`;
  return `${place}: ${factsOf(mapping, voxel).map(([name, value]) => `${name} ${value}`).join(", ")}`;
}

/** Weights of layers as bars in the layers' colours; negative ones hang below the line. */
function profile(app: App, mapping: Mapping, voxel: number): SVGElement | null {
  const weights = mapping.weights.share ?? mapping.weights.selector;
  if (!weights) return null;
  const values = weights.profile().map((layer) => layer[voxel]);
  const high = Math.max(...values, 0.05);
  const low = Math.min(...values, 0);
  const y = (value: number) => 4 + ((high - value) / (high - low)) * (BARS.height - 8);
  const wide = BARS.width / values.length;
  const bars = values.map((value, layer) => {
    const [top, bottom] = [y(Math.max(value, 0)), y(Math.min(value, 0))];
    const fill = cssColour(app.palette.layer(layer, values.length, 1));
    return svg("rect", { x: layer * wide + 1, y: top, width: Math.max(wide - 2, 1), height: Math.max(bottom - top, 0.5), fill },
      svg("title", {}, `${mapping.header.layers[layer]}: ${number(value)}`));
  });
  const best = values.indexOf(Math.max(...values));
  const words = `Layer profile (${mapping.weights.share ? "share" : "selector"}): most from layer ${best + 1} of ${values.length}, ${number(values[best])}`;
  const zero = svg("line", { x1: 0, x2: BARS.width, y1: y(0), y2: y(0), class: "ft-axis" });
  return svg("svg", { class: "ft-bars", viewBox: `0 0 ${BARS.width} ${BARS.height}`, role: "img", "aria-label": words }, ...bars, zero);
}
