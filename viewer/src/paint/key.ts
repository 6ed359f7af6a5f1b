/** Draws what the colours mean, for the screen and for files alike. */

import type { Key } from "./maps";
import { type Colours, cssColour, type Rgb } from "./tables";

export const KEY_WIDTH = 230;
/** Where the colours lie in a key, logical pixels. */
export const AREA = { x: 54, y: 8, width: 166 };
const HEIGHTS = { layers: 84, places: 110, scalar: 16, classes: 16 };
const BELOW = 38;

export interface Ink {
  text: string;
  muted: string;
}

export function keyHeight(key: Key): number {
  return AREA.y + HEIGHTS[key.kind] + BELOW;
}

/** What a key is drawn with: a canvas, or elements of SVG. */
export interface Pen {
  cell(x: number, y: number, width: number, height: number, colour: string): void;
  /** Text whose middle of height is at y; `upright` ones are read from below. */
  words(text: string, x: number, y: number, align: "start" | "middle" | "end", colour: string, upright?: boolean): void;
}

export const KEY_FONT = 11;

export function drawKey(pen: Pen, key: Key, colours: Colours, ink: Ink): void {
  const height = HEIGHTS[key.kind];
  const bottom = AREA.y + height;
  const text = (words: string, x: number, y: number, align: "start" | "middle" | "end" = "middle", muted = false) =>
    pen.words(words, x, y, align, muted ? ink.muted : ink.text);
  const middle = AREA.x + AREA.width / 2;
  if (key.kind === "layers") {
    const count = key.layers.length;
    fill(pen, count, 42, AREA.width, height, (u, v) => colours.layer(Math.floor(u * count), count, 1 - v));
    for (const layer of ticksOf(count)) text(String(layer + 1), AREA.x + ((layer + 0.5) / count) * AREA.width, bottom + 9);
    text("layer, first to last", middle, bottom + 25, "middle", true);
    text(key.largest < 1 ? `≥${key.largest.toFixed(2)}` : "1", AREA.x - 5, AREA.y + 5, "end");
    text("0", AREA.x - 5, bottom - 5, "end");
    pen.words("confidence", 12, AREA.y + height / 2, "middle", ink.muted, true);
  } else if (key.kind === "scalar") {
    const { low, high } = key;
    const value = (u: number) => low + u * (high - low) * 0.9999;
    fill(pen, 256, 1, AREA.width, height, (u) => colours.scalar(key.table, value(u), low, high));
    for (const [part, at] of [[0, low], [0.5, (low + high) / 2], [1, high]])
      text(String(Number(at.toPrecision(3))).replace("-", "−"), AREA.x + part * AREA.width, bottom + 9);
    text(key.label, KEY_WIDTH / 2, bottom + 25, "middle", true);
    if (key.table !== "difference") {
      pen.cell(AREA.x - 30, AREA.y, 16, height, cssColour(colours.scalar(key.table, low - 1, low, high)));
      text(`<${Number(low.toPrecision(2))}`, AREA.x - 22, bottom + 9);
    }
  } else if (key.kind === "places") {
    const left = middle - height / 2;
    fill(pen, 65, 65, height, height, (u, v) => colours.place(2 * u - 1, 2 * v - 1), left);
    pen.cell(left, AREA.y + height / 2 - 0.5, height, 1, "#fff");
    pen.cell(left + height / 2 - 0.5, AREA.y, 1, height, "#fff");
    text("left", left - 5, AREA.y + height / 2, "end", true);
    text("right", left + height + 5, AREA.y + height / 2, "start", true);
    text("place in the image", middle, bottom + 12, "middle", true);
  } else {
    fill(pen, key.count, 1, AREA.width, height, (u) => colours.class(1 + Math.floor(u * key.count), key.count));
    text("1", AREA.x + 4, bottom + 9);
    text(String(key.count), AREA.x + AREA.width - 6, bottom + 9);
    text("cluster", middle, bottom + 25, "middle", true);
  }
}

/** Layers that are numbered: about five, equally far from each other, and the last if there is room. */
export function ticksOf(count: number): number[] {
  const step = Math.max(1, Math.ceil((count - 1) / 4));
  const ticks = Array.from({ length: Math.ceil(count / step) }, (_, k) => k * step);
  return count - 1 - ticks[ticks.length - 1] > 0.5 * step ? [...ticks, count - 1] : ticks;
}

export function canvasPen(context: CanvasRenderingContext2D): Pen {
  return {
    cell(x, y, width, height, colour) {
      context.fillStyle = colour;
      context.fillRect(x, y, width, height);
    },
    words(text, x, y, align, colour, upright = false) {
      context.save();
      context.font = `${KEY_FONT}px system-ui, sans-serif`;
      context.textBaseline = "middle";
      context.textAlign = align === "middle" ? "center" : align;
      context.fillStyle = colour;
      context.translate(x, y);
      if (upright) context.rotate(-Math.PI / 2);
      context.fillText(text, 0, 0, align === "middle" ? KEY_WIDTH - 8 : undefined);
      context.restore();
    },
  };
}

/** Cells of colour, from the upper left; `colour` takes the middle of each in 0..1. */
function fill(
  pen: Pen, columns: number, rows: number, width: number, height: number, colour: (u: number, v: number) => Rgb,
  left = AREA.x,
): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const [x, y] = [left + (column * width) / columns, AREA.y + (row * height) / rows];
      // A little larger than a cell, so that no line of the ground shows between two.
      const [w, h] = [column < columns - 1 ? 0.7 : 0, row < rows - 1 ? 0.7 : 0];
      const shown = cssColour(colour((column + 0.5) / columns, (row + 0.5) / rows));
      pen.cell(x, y, width / columns + w, height / rows + h, shown);
    }
}
