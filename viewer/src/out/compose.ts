/** Everything of the picture on one canvas: the cortex, names, titles, the key, facts and the mark of simulations. */

import type { App } from "../app";
import { canvasPen, drawKey, keyHeight } from "../paint/key";
import { LABEL_HEIGHT } from "../scene/labels";
import { TITLE } from "../scene/panels";
import { LABEL_FONT, labels, panelTitle } from "../ui/stage";
import { groundOf, inkOf } from "../ui/theme";

export const HEAD = 46;
export const MARGIN = 14;

/** Draw at so many pixels a CSS pixel. */
export function composed(app: App, root: HTMLElement, ratio: number): HTMLCanvasElement {
  const { clientWidth: width, clientHeight: height } = app.canvas;
  const map = app.map();
  const whole = HEAD + height + (map ? keyHeight(map.key) + MARGIN : 0);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(whole * ratio)];
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no canvas");
  context.scale(ratio, ratio);
  context.fillStyle = groundOf(root);
  context.fillRect(0, 0, width, whole);
  app.resize(ratio);
  app.draw();
  context.drawImage(app.canvas, 0, HEAD, width, height);
  app.resize();
  const ink = inkOf(root);
  drawHead(context, app, width, ink);
  context.save();
  context.translate(0, HEAD);
  drawOver(context, app, ink.text);
  if (map) {
    context.translate(MARGIN, height);
    drawKey(canvasPen(context), map.key, app.palette, ink);
  }
  context.restore();
  return canvas;
}

function drawHead(context: CanvasRenderingContext2D, app: App, width: number, ink: { text: string; muted: string }): void {
  const mark = app.mappings.some(({ header }) => header.simulated) ? 96 : 0;
  context.textBaseline = "alphabetic";
  context.fillStyle = ink.text;
  context.font = "600 15px system-ui, sans-serif";
  const map = app.map();
  context.fillText(`${app.header.title.slice(0, 110)}${map ? ` · ${map.label}` : ""}`, MARGIN, 20, width - 2 * MARGIN - mark);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = ink.muted;
  context.fillText(app.mapping.header.facts.slice(0, 300), MARGIN, 37, width - 2 * MARGIN);
  if (!mark) return;
  context.fillStyle = "#a63a00";
  context.fillRect(width - MARGIN - 90, 6, 90, 19);
  context.fillStyle = "#fff";
  context.font = "700 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText("SIMULATED", width - MARGIN - 45, 20);
  context.textAlign = "left";
}

function drawOver(context: CanvasRenderingContext2D, app: App, ink: string): void {
  const views = app.views();
  for (const view of views) {
    const { x, y, width } = view.panel.area;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = ink;
    const fits = (words: string) => context.measureText(words).width < width - 8;
    if (views.length > 1) context.fillText(panelTitle(app, view.panel.mapping, fits), x + width / 2, y - TITLE / 2);
    context.font = LABEL_FONT;
    for (const label of labels(app, view)) {
      context.fillStyle = "rgb(255 255 255 / 0.84)";
      context.fillRect(label.x - label.width / 2, label.y - LABEL_HEIGHT / 2, label.width, LABEL_HEIGHT);
      context.fillStyle = "#1a1d21";
      context.fillText(label.text, label.x, label.y + 1);
    }
  }
  context.textAlign = "left";
}
