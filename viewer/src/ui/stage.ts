/** What stands on the picture: names of regions, marks of pointed vertices, titles of panels. */

import type { App, View } from "../app";
import { type Label, labelsOf, shortened } from "../scene/labels";
import { TITLE } from "../scene/panels";
import { h } from "./dom";

export const LABEL_FONT = "600 11.5px system-ui, sans-serif";

export function stageOver(app: App): HTMLElement {
  const names = h("div", { class: "ft-names", "aria-hidden": "true" });
  const marks = h("div", { class: "ft-marks", "aria-hidden": "true" });
  const titles = h("div", { class: "ft-titles" });
  const draw = () => {
    const views = app.views();
    names.replaceChildren(...views.flatMap((view) => labels(app, view).map(nameAt)));
    marks.replaceChildren(...views.flatMap((view) => marksIn(app, view)));
    titles.replaceChildren(...(views.length > 1 ? views.map((view) => titleOf(app, view)) : []));
  };
  app.onFrame(draw);
  return h("div", { class: "ft-over" }, titles, names, marks);
}

/** Width of a panel below which names would cover it, pixels. */
const NARROW = 300;
let context: CanvasRenderingContext2D | null = null;

/** Names of a panel where they are drawn: none if they are not wanted or there is no room. */
export function labels(app: App, view: View): Label[] {
  if (!app.store.state.names || view.panel.area.width < NARROW) return [];
  context ??= h("canvas").getContext("2d");
  const measure = (text: string) => {
    if (!context) return 7 * text.length;
    context.font = LABEL_FONT;
    return context.measureText(text).width;
  };
  const { mapping, area } = view.panel;
  return labelsOf(app.mappings[mapping], area, app.sight, (vertex) => app.seen(vertex, view), measure);
}

/** Network and subject of a panel; what the page's own mark of simulations says of all is not said of each. */
function titleParts(app: App, mapping: number): [string, string] {
  const { network, subject, simulated } = app.mappings[mapping].header;
  const mixed = simulated && !app.mappings.every(({ header }) => header.simulated);
  return [shortened(plainName(app, network), 40), ` → ${shortened(subject, 24)}${mixed ? " · SIMULATED" : ""}`];
}

/** A network's name without where it is from, which takes the room, if that tells all of the page apart. */
function plainName(app: App, network: string): string {
  const plain = (name: string) => name.slice(name.lastIndexOf("/") + 1) || name;
  const names = [...new Set(app.mappings.map(({ header }) => header.network))];
  return new Set(names.map(plain)).size === names.length ? plain(network) : network;
}

/** Both in one line that fits; it is the network that is shortened. */
export function panelTitle(app: App, mapping: number, fits: (words: string) => boolean): string {
  const [network, rest] = titleParts(app, mapping);
  let length = network.length;
  while (length > 3 && !fits(shortened(network, length) + rest)) length -= 1;
  return shortened(network, length) + rest;
}

function nameAt(label: Label): HTMLElement {
  const place = `left:${label.x}px;top:${label.y}px;width:${label.width}px`;
  return h("span", { style: place, dir: "auto" }, label.text);
}

function marksIn(app: App, view: View): HTMLElement[] {
  const { pointed, pinned } = app.store.state;
  const mark = (vertex: number, text: string, kind: string) => {
    if (!app.sight.isSeen(vertex)) return [];
    const [x, y] = app.seen(vertex, view);
    return [h("span", { class: kind, style: `left:${x}px;top:${y}px` }, text)];
  };
  return [
    ...pinned.flatMap((vertex, number) => mark(vertex, String(number + 1), "ft-pin")),
    ...(pointed === null ? [] : mark(pointed, "", "ft-ring")),
  ];
}

function titleOf(app: App, { panel }: View): HTMLElement {
  const { x, y, width } = panel.area;
  const style = `left:${x}px;top:${y - TITLE}px;width:${width}px`;
  const [network, rest] = titleParts(app, panel.mapping);
  return h("div", { style, title: app.mappings[panel.mapping].header.facts.slice(0, 400) },
    h("span", { dir: "auto" }, network), h("span", { class: "ft-rest", dir: "auto" }, rest));
}
