/** Draws what the colours mean, for the screen and for files alike. */

import type { Key } from "./maps";
import type { Colours, Rgb } from "./tables";

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

export function drawKey(context: CanvasRenderingContext2D, key: Key, colours: Colours, ink: Ink): void {
  const height = HEIGHTS[key.kind];
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = ink.text;
  const bottom = AREA.y + height;
  const text = (words: string, x: number, y: number, align: CanvasTextAlign = "center", muted = false) => {
    context.textAlign = align;
    context.fillStyle = muted ? ink.muted : ink.text;
    context.fillText(words, x, y, align === "center" ? KEY_WIDTH - 8 : undefined);
  };
  const middle = AREA.x + AREA.width / 2;
  if (key.kind === "layers") {
    const count = key.layers.length;
    fill(context, count, 42, AREA.width, height, (u, v) => colours.layer(Math.floor(u * count), count, 1 - v));
    const ticks = new Set([0, 1, 2, 3, 4].map((part) => Math.round((part / 4) * (count - 1))));
    for (const layer of ticks) text(String(layer + 1), AREA.x + ((layer + 0.5) / count) * AREA.width, bottom + 9);
    text("layer, first to last", middle, bottom + 25, "center", true);
    text(key.largest < 1 ? `≥${key.largest.toFixed(2)}` : "1", AREA.x - 5, AREA.y + 5, "right");
    text("0", AREA.x - 5, bottom - 5, "right");
    upright(context, "confidence", 12, AREA.y + height / 2, ink.muted);
  } else if (key.kind === "scalar") {
    const { low, high } = key;
    const value = (u: number) => low + u * (high - low) * 0.9999;
    fill(context, 256, 1, AREA.width, height, (u) => colours.scalar(key.table, value(u), low, high));
    for (const [part, at] of [[0, low], [0.5, (low + high) / 2], [1, high]])
      text(String(Number(at.toPrecision(3))).replace("-", "−"), AREA.x + part * AREA.width, bottom + 9);
    text(key.label, KEY_WIDTH / 2, bottom + 25, "center", true);
    if (key.table !== "difference") {
      context.fillStyle = `rgb(${colours.scalar(key.table, low - 1, low, high).join(" ")})`;
      context.fillRect(AREA.x - 30, AREA.y, 16, height);
      text(`<${Number(low.toPrecision(2))}`, AREA.x - 22, bottom + 9);
    }
  } else if (key.kind === "places") {
    const left = middle - height / 2;
    fill(context, 65, 65, height, height, (u, v) => colours.place(2 * u - 1, 2 * v - 1), left);
    context.fillStyle = "#fff";
    context.fillRect(left, AREA.y + height / 2 - 0.5, height, 1);
    context.fillRect(left + height / 2 - 0.5, AREA.y, 1, height);
    text("left", left - 5, AREA.y + height / 2, "right", true);
    text("right", left + height + 5, AREA.y + height / 2, "left", true);
    text("place in the image", middle, bottom + 12, "center", true);
  } else {
    fill(context, key.count, 1, AREA.width, height, (u) => colours.class(1 + Math.floor(u * key.count)));
    text("1", AREA.x + 4, bottom + 9);
    text(String(key.count), AREA.x + AREA.width - 6, bottom + 9);
    text("cluster", middle, bottom + 25, "center", true);
  }
}

/** Cells of colour, from the upper left; `colour` takes the middle of each in 0..1. */
function fill(
  context: CanvasRenderingContext2D, columns: number, rows: number, width: number, height: number,
  colour: (u: number, v: number) => Rgb, left = AREA.x,
): void {
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      context.fillStyle = `rgb(${colour((column + 0.5) / columns, (row + 0.5) / rows).join(" ")})`;
      const [x, y] = [left + (column * width) / columns, AREA.y + (row * height) / rows];
      // A little larger than a cell, so that no line of the ground shows between two.
      const [w, h] = [column < columns - 1 ? 0.7 : 0, row < rows - 1 ? 0.7 : 0];
      context.fillRect(x, y, width / columns + w, height / rows + h);
    }
}

function upright(context: CanvasRenderingContext2D, words: string, x: number, y: number, colour: string): void {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillStyle = colour;
  context.fillText(words, 0, 0);
  context.restore();
}
