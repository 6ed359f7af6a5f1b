/** Where each mapping is drawn: one fills the picture, several stand in rows. */

import type { Rectangle } from "./scene";

/** Room for a panel's title, pixels. */
export const TITLE = 24;

export interface Panel {
  mapping: number;
  area: Rectangle;
}

/** Of so many panels of a shape (width over height) that fill the picture best. */
export function panelsOf(mappings: number[], width: number, height: number, shape: number): Panel[] {
  if (mappings.length === 1) return [{ mapping: mappings[0], area: { x: 0, y: 0, width, height } }];
  let [best, columns] = [0, 1];
  for (let candidate = 1; candidate <= mappings.length; candidate++) {
    const rows = Math.ceil(mappings.length / candidate);
    const size = Math.min(width / candidate, (height / rows - TITLE) * shape);
    if (size > best) [best, columns] = [size, candidate];
  }
  const rows = Math.ceil(mappings.length / columns);
  return mappings.map((mapping, number) => {
    const [row, column] = [Math.floor(number / columns), number % columns];
    const area = {
      x: Math.round((column * width) / columns),
      y: Math.round((row * height) / rows) + TITLE,
      width: Math.floor(width / columns),
      height: Math.floor(height / rows) - TITLE,
    };
    return { mapping, area };
  });
}
