/** Looks colours up in the figures' own tables, so that a value has one colour in page and figure. */

import { bytesOf } from "../data/codec";
import type { Palette, PaletteTables, Table } from "../data/header";

export type Rgb = [number, number, number];
export type Scalar = "scale" | "score" | "difference";

interface Grid {
  rows: number;
  columns: number;
  rgb: Uint8Array;
}

export class Colours {
  private readonly layers = new Map<number, Grid>();
  private readonly places: Grid;
  private readonly classes = new Map<number, Grid>();
  private readonly scalars: Record<Scalar, Grid & { under: Rgb }>;

  constructor(tables: PaletteTables) {
    for (const [count, table] of Object.entries(tables.layers)) this.layers.set(Number(count), gridOf(table));
    this.places = gridOf(tables.places);
    for (const [count, table] of Object.entries(tables.classes)) this.classes.set(Number(count), gridOf(table));
    const scalar = (name: Scalar) => ({
      ...gridOf(tables.scalars[name]),
      under: [...bytesOf(tables.scalars[name].under)] as Rgb,
    });
    this.scalars = { scale: scalar("scale"), score: scalar("score"), difference: scalar("difference") };
  }

  /** Hue of a layer out of so many, brightness of a confidence in 0..1. */
  layer(layer: number, count: number, confidence: number): Rgb {
    return mixed(this.layers.get(count) as Grid, layer, clamp(confidence, 0, 1));
  }

  /** Of a place in the image, -1..1 right and down. */
  place(x: number, y: number): Rgb {
    const { columns } = this.places;
    return mixed(this.places, (clamp(x, -1, 1) + 1) * 0.5 * (columns - 1), (clamp(y, -1, 1) + 1) * 0.5);
  }

  /** Of a class out of so many, counted from 1. */
  class(number: number, count: number): Rgb {
    return pixel(this.classes.get(count) as Grid, 0, number - 1);
  }

  scalar(name: Scalar, value: number, low: number, high: number): Rgb {
    const table = this.scalars[name];
    const part = (value - low) / (high - low);
    if (part < 0) return table.under;
    return pixel(table, 0, Math.min(table.columns - 1, Math.floor(part * table.columns)));
  }
}

export function coloursOf(tables: Record<Palette, PaletteTables>): Record<Palette, Colours> {
  return { default: new Colours(tables.default), "colour-blind": new Colours(tables["colour-blind"]) };
}

export function cssColour([r, g, b]: readonly number[]): string {
  return `rgb(${r} ${g} ${b})`;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

function gridOf(table: Table): Grid {
  const [rows, columns] = table.shape.length === 1 ? [1, table.shape[0]] : table.shape;
  return { rows, columns, rgb: bytesOf(table.rgb) };
}

function pixel(grid: Grid, row: number, column: number): Rgb {
  const at = 3 * (row * grid.columns + column);
  return [grid.rgb[at], grid.rgb[at + 1], grid.rgb[at + 2]];
}

/** Mixed between four neighbours; `column` is counted in columns, `down` in 0..1. */
function mixed(grid: Grid, column: number, down: number): Rgb {
  const row = down * (grid.rows - 1);
  const [r, c] = [Math.min(grid.rows - 2, Math.floor(row)), Math.min(Math.max(grid.columns - 2, 0), Math.floor(column))];
  const next = Math.min(c + 1, grid.columns - 1);
  const [v, u] = [row - r, column - c];
  const corners = [pixel(grid, r, c), pixel(grid, r, next), pixel(grid, r + 1, c), pixel(grid, r + 1, next)];
  const weights = [(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u];
  const sum = (axis: number) => corners.reduce((total, corner, k) => total + weights[k] * corner[axis], 0);
  return [Math.round(sum(0)), Math.round(sum(1)), Math.round(sum(2))];
}
