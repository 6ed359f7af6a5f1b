/** The key on the picture; going along a key of layers lights the vertices that read each. */

import type { App } from "../app";
import { AREA, canvasPen, drawKey, KEY_WIDTH, keyHeight } from "../paint/key";
import { clamp } from "../paint/tables";
import { h } from "./dom";
import { inkOf } from "./theme";

export function keyCard(app: App): HTMLElement {
  const canvas = h("canvas", { class: "ft-key" });
  let drawn = "";
  const draw = () => {
    const map = app.map();
    const ink = inkOf(canvas);
    const now = JSON.stringify([map?.key, app.store.state.palette, app.store.state.brush, ink]);
    if (now === drawn) return;
    drawn = now;
    canvas.hidden = !map;
    if (!map) return;
    const { key } = map;
    const height = keyHeight(key);
    const ratio = Math.max(2, devicePixelRatio);
    [canvas.width, canvas.height] = [KEY_WIDTH * ratio, height * ratio];
    [canvas.style.width, canvas.style.height] = [`${KEY_WIDTH}px`, `${height}px`];
    const context = canvas.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    drawKey(canvasPen(context), key, app.palette, ink);
    describe(canvas, app);
    if (key.kind === "layers" && app.store.state.brush !== null) {
      const width = AREA.width / key.layers.length;
      context.strokeStyle = ink.text;
      context.lineWidth = 2;
      context.strokeRect(AREA.x + app.store.state.brush * width, AREA.y, width, height - AREA.y - 38);
    }
  };
  app.onFrame(draw);
  listen(canvas, app);
  return h("div", { class: "ft-keycard" }, canvas);
}

function describe(canvas: HTMLCanvasElement, app: App): void {
  const map = app.map();
  if (!map) return;
  const { brush } = app.store.state;
  if (map.key.kind !== "layers") {
    for (const name of ["tabindex", "aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext"]) canvas.removeAttribute(name);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Key of colours. ${map.note}`);
    return;
  }
  const said = brush === null ? "all layers" : `layer ${brush + 1}, ${map.key.layers[brush]?.slice(0, 80)}`;
  const attributes = {
    role: "slider", tabindex: "0", "aria-label": "Key of layers: lights the vertices that read a layer",
    "aria-valuemin": "0", "aria-valuemax": String(map.key.layers.length), "aria-valuenow": String((brush ?? -1) + 1),
    "aria-valuetext": said,
  };
  for (const [name, value] of Object.entries(attributes)) canvas.setAttribute(name, value);
  canvas.title = `${said}: move along the key to light the vertices that read a layer`;
}

function listen(canvas: HTMLCanvasElement, app: App): void {
  const layers = () => {
    const key = app.map()?.key;
    return key?.kind === "layers" ? key.layers.length : 0;
  };
  canvas.addEventListener("pointermove", (event) => {
    const part = (event.clientX - canvas.getBoundingClientRect().left - AREA.x) / AREA.width;
    const inside = layers() > 0 && part >= 0 && part < 1;
    app.store.set({ brush: inside ? Math.floor(part * layers()) : null, place: null, region: null });
  });
  canvas.addEventListener("pointerleave", () => app.store.set({ brush: null }));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step || !layers()) return;
    event.preventDefault();
    const next = clamp((app.store.state.brush ?? -1) + step, -1, layers() - 1);
    app.store.set({ brush: next < 0 ? null : next, place: null, region: null });
  });
}
