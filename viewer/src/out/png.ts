/** The picture as PNG, two pixels a CSS pixel. */

import type { App } from "../app";
import { download } from "../ui/dom";
import { composed } from "./compose";

export async function pngOf(app: App, root: HTMLElement): Promise<Blob> {
  const canvas = composed(app, root, 2);
  return new Promise((give, refuse) =>
    canvas.toBlob((blob) => (blob ? give(blob) : refuse(new Error("the picture is too large"))), "image/png"));
}

export async function savePng(app: App, root: HTMLElement): Promise<string> {
  download(await pngOf(app, root), "cortex.png");
  return "PNG saved";
}
