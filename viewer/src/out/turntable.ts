/** One turn of the hemispheres as a film, as the browser records it. */

import type { App } from "../app";
import { download } from "../ui/dom";

const SECONDS = 8;
const FRAMES = 30;

export async function turntableOf(app: App, seconds = SECONDS): Promise<Blob> {
  if (!("MediaRecorder" in window)) throw new Error("this browser records no films");
  const { yaw, unfold } = app.store.state;
  const stream = app.canvas.captureStream(FRAMES);
  const recorder = new MediaRecorder(stream, { mimeType: "video/webm", videoBitsPerSecond: 8_000_000 });
  const parts: Blob[] = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const ended = new Promise((end) => recorder.addEventListener("stop", end));
  app.store.set({ unfold: Math.min(unfold, 1) });
  recorder.start(200);
  const begin = performance.now();
  await new Promise<void>((end) => {
    const step = () => {
      const part = (performance.now() - begin) / 1000 / seconds;
      if (part >= 1) return end();
      app.store.set({ yaw: ((yaw + 360 * part + 180) % 360) - 180 });
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
  recorder.stop();
  await ended;
  app.store.set({ yaw, unfold });
  return new Blob(parts, { type: "video/webm" });
}

export async function saveTurntable(app: App): Promise<string> {
  download(await turntableOf(app), "cortex.webm");
  return "WebM saved";
}
