/** Reads what `src/factortopy/page/codec.py` writes: numbers told from the vertices between which each one lies. */

import type { BitsPlace, NumbersPlace, ValuesPlace } from "./header";

export const ABSENT = -1;

export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const native = Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> };
  if (native.fromBase64) return native.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export async function unzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function readBits(blob: Uint8Array, place: BitsPlace): Uint8Array {
  const mask = new Uint8Array(place.count);
  for (let i = 0; i < place.count; i++) mask[i] = (blob[place.at + (i >> 3)] >> (i & 7)) & 1;
  return mask;
}

/** Whole numbers, component by component; `parents` holds two places for every item. */
export function readNumbers(blob: Uint8Array, place: NumbersPlace, parents: Int32Array): Int32Array[] {
  const { at, count, components } = place;
  const high = at + count * components;
  const read: Int32Array[] = [];
  for (let c = 0; c < components; c++) {
    const numbers = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const k = c * count + i;
      const folded = blob[at + k] | (blob[high + k] << 8);
      const rest = folded & 1 ? -((folded + 1) >> 1) : folded >> 1;
      numbers[i] = rest + expected(numbers, i, parents[2 * i], parents[2 * i + 1]);
    }
    read.push(numbers);
  }
  return read;
}

function expected(numbers: Int32Array, i: number, first: number, second: number): number {
  if (first !== ABSENT && second !== ABSENT) return (numbers[first] + numbers[second]) >> 1;
  if (first !== ABSENT) return numbers[first];
  if (second !== ABSENT) return numbers[second];
  return i > 0 ? numbers[i - 1] : 0;
}

function readFloats(blob: Uint8Array, { at, count, components }: NumbersPlace): Float32Array[] {
  const all = new Float32Array(blob.slice(at, at + 4 * count * components).buffer);
  return Array.from({ length: components }, (_, c) => all.subarray(c * count, (c + 1) * count));
}

/** Values, component by component; NaN where there is none. */
export function readValues(blob: Uint8Array, place: ValuesPlace, parents: Int32Array): Float32Array[] {
  if (place.steps === 0) return readFloats(blob, place);
  const step = (place.high - place.low) / place.steps;
  return readNumbers(blob, place, parents).map((numbers) => {
    const values = new Float32Array(numbers.length);
    for (let i = 0; i < numbers.length; i++) values[i] = numbers[i] === 0 ? NaN : place.low + (numbers[i] - 1) * step;
    return values;
  });
}
