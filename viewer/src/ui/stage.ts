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
const NARROW = 230;
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

export function panelTitle(app: App, mapping: number): string {
  const { network, subject, simulated } = app.mappings[mapping].header;
  return `${shortened(network, 40)} → ${shortened(subject, 24)}${simulated ? " · SIMULATED" : ""}`;
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
  return h("div", { style, title: app.mappings[panel.mapping].header.facts.slice(0, 400) }, panelTitle(app, panel.mapping));
}
