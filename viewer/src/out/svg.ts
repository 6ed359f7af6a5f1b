/** The flat view as SVG: colours as one image, the key as rectangles, outlines as paths, all words as text. */

import type { App, View } from "../app";
import { drawKey, KEY_FONT, keyHeight, type Pen } from "../paint/key";
import { seenAt } from "../scene/camera";
import { shortened } from "../scene/labels";
import { Kind, outlinesOf } from "../scene/outlines";
import { download, svg } from "../ui/dom";
import { labels, panelTitle } from "../ui/stage";
import { groundOf, inkOf } from "../ui/theme";
import { HEAD, MARGIN } from "./compose";

const RATIO = 3;
/** Widths of a letter of 11 pixels, and of a title's, about. */
const LETTER = 6.1;
const TITLE_LETTER = 10;
const FONT = "system-ui, 'DejaVu Sans', sans-serif";

export function svgOf(app: App, root: HTMLElement): string {
  const before = app.store.state;
  app.store.set({ unfold: 2, outlines: false });
  const { clientWidth: width, clientHeight: height } = app.canvas;
  app.resize(RATIO);
  app.draw();
  const image = svg("image", { href: app.canvas.toDataURL("image/png"), x: 0, y: HEAD, width, height });
  const views = app.views();
  const ink = inkOf(root);
  const titled = views.length > 1 ? views.map((view) => title(app, view, ink.text)) : [];
  const over = views.flatMap((view) => [...(before.outlines ? paths(app, view) : []), ...names(app, view)]);
  const map = app.map();
  const whole = HEAD + height + (map ? keyHeight(map.key) + MARGIN : 0);
  const document = svg(
    "svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${whole}`, "font-family": FONT },
    svg("rect", { width, height: whole, fill: groundOf(root) }),
    image, svg("g", { transform: `translate(0 ${HEAD})` }, ...over, ...titled), ...head(app, width, ink), ...key(app, root, height),
  );
  app.store.set({ unfold: before.unfold, outlines: before.outlines });
  app.resize();
  return new XMLSerializer().serializeToString(document);
}

export async function saveSvg(app: App, root: HTMLElement): Promise<string> {
  download(new Blob([svgOf(app, root)], { type: "image/svg+xml" }), "cortex-flat.svg");
  return "SVG saved";
}

function paths(app: App, view: View): SVGElement[] {
  const { area } = view.panel;
  const lines = outlinesOf(app.cortex, app.mappings[view.panel.mapping]);
  const aspect = area.width / area.height;
  let drawn = "";
  for (let k = 0; k < lines.count; k++) {
    if (lines.kind[k] === Kind.OffSheet) continue;
    const ends = [0, 3].map((end) => {
      const at = 6 * k + end;
      const [x, y] = seenAt([lines.shapes.flat[at], lines.shapes.flat[at + 1], 0], view.frame, aspect);
      return `${(area.x + x * area.width).toFixed(1)} ${(area.y + y * area.height).toFixed(1)}`;
    });
    drawn += `M${ends[0]}L${ends[1]}`;
  }
  const style = { fill: "none", "stroke-linecap": "round", d: drawn };
  return [svg("path", { ...style, stroke: "#fff", "stroke-width": 3 }), svg("path", { ...style, stroke: "#1a1d21", "stroke-width": 1.3 })];
}

function names(app: App, view: View): SVGElement[] {
  return labels(app, view).flatMap(({ text, x, y, width }) => [
    svg("rect", { x: x - width / 2, y: y - 8.5, width, height: 17, rx: 3, fill: "#fff", "fill-opacity": 0.84 }),
    svg("text", { x, y: y + 4, "text-anchor": "middle", "font-size": 11.5, "font-weight": 600, fill: "#1a1d21" }, text),
  ]);
}

function title(app: App, { panel }: View, ink: string): SVGElement {
  const { x, y, width } = panel.area;
  const words = panelTitle(app, panel.mapping, (text) => text.length * 1.2 * LETTER < width);
  return svg("text", { x: x + width / 2, y: y - 8, "text-anchor": "middle", "font-size": 11, "font-weight": 600, fill: ink }, words);
}

function head(app: App, width: number, ink: { text: string; muted: string }): SVGElement[] {
  const simulated = app.mappings.some(({ header }) => header.simulated);
  const map = app.map() ? ` · ${app.map()?.label}` : "";
  const room = Math.floor((width - 2 * MARGIN - (simulated ? 96 : 0)) / TITLE_LETTER);
  const title = shortened(app.header.title, Math.max(1, room - map.length)) + map;
  const mark = [
    svg("rect", { x: width - 104, y: 6, width: 90, height: 19, rx: 4, fill: "#a63a00" }),
    svg("text", { x: width - 59, y: 20, "text-anchor": "middle", "font-size": 11, "font-weight": 700, fill: "#fff" }, "SIMULATED"),
  ];
  return [
    svg("text", { x: MARGIN, y: 20, "font-size": 15, "font-weight": 600, fill: ink.text }, title),
    svg("text", { x: 14, y: 37, "font-size": 11, fill: ink.muted },
      shortened(app.mapping.header.facts, Math.floor(width / LETTER))),
    ...(simulated ? mark : []),
  ];
}

function key(app: App, root: HTMLElement, height: number): SVGElement[] {
  const map = app.map();
  if (!map) return [];
  const drawn: SVGElement[] = [];
  const short = (value: number) => Number(value.toFixed(2));
  const pen: Pen = {
    cell(x, y, width, tall, fill) {
      drawn.push(svg("rect", { x: short(x), y: short(y), width: short(width), height: short(tall), fill }));
    },
    words(text, x, y, align, fill, upright = false) {
      const turned = `translate(${short(x)} ${short(y)})${upright ? " rotate(-90)" : ""}`;
      const style = { transform: turned, "text-anchor": align, "dominant-baseline": "central", "font-size": KEY_FONT, fill };
      drawn.push(svg("text", style, text));
    },
  };
  drawKey(pen, map.key, app.palette, inkOf(root));
  return [svg("g", { transform: `translate(${MARGIN} ${HEAD + height})` }, ...drawn)];
}
