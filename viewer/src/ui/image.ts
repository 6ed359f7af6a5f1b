/** The image: where pointed vertices read it, and, pointed at itself, which vertices read there. */

import type { App } from "../app";
import { clamp, cssColour } from "../paint/tables";
import { counted, h, number, svg } from "./dom";

const STEP = 0.08;

export function imageCard(app: App): HTMLElement {
  const picture = svg("svg", {
    class: "ft-image", viewBox: "-1 -1 2 2", tabindex: 0, role: "application",
    "aria-label": "Image: arrows move a place whose readers are lit on the cortex; Escape ends it",
  });
  const reach = h("input", { type: "range", min: 0.05, max: 0.6, step: 0.01, "aria-label": "Reach around the place",
    input: () => app.store.set({ reach: Number(reach.value) }) });
  const said = h("p", { class: "ft-note", "aria-live": "polite" });
  let drawn = "";
  const draw = () => {
    const { state } = app.store;
    const now = JSON.stringify([state.pointed, state.pinned, state.place, state.reach, state.mapping, state.palette]);
    if (now === drawn) return;
    drawn = now;
    picture.replaceChildren(...ground(app), ...marks(app));
    reach.value = String(state.reach);
    said.textContent = words(app);
  };
  app.onFrame(draw);
  listen(picture, app);
  return h("section", { "aria-label": "Image" }, h("h2", {}, "Image"), picture,
    h("label", { class: "ft-reach" }, "Reach", reach), said);
}

function ground(app: App): Element[] {
  const { image } = app.mapping.header;
  if (image) return [svg("image", { href: image, x: -1, y: -1, width: 2, height: 2, preserveAspectRatio: "none" })];
  // Without an image its places are drawn in their own colours.
  const cells = 16;
  const squares = Array.from({ length: cells * cells }, (_, k) => {
    const [x, y] = [(k % cells) / cells, Math.floor(k / cells) / cells];
    const fill = cssColour(app.palette.place(2 * x - 1 + 1 / cells, 2 * y - 1 + 1 / cells));
    return svg("rect", { x: 2 * x - 1, y: 2 * y - 1, width: 2 / cells + 0.01, height: 2 / cells + 0.01, fill });
  });
  return [svg("g", { opacity: 0.6 }, ...squares)];
}

function marks(app: App): Element[] {
  const { state } = app.store;
  const { values, voxel } = app.mapping;
  const mark = (vertex: number, text: string, kind: string): Element[] => {
    const own = voxel[vertex];
    if (own < 0 || Number.isNaN(values.x[own])) return [];
    const [x, y] = [clamp(values.x[own], -1, 1), clamp(values.y[own], -1, 1)];
    const around = values.size ? [svg("circle", { cx: x, cy: y, r: values.size[own], class: "ft-size" })] : [];
    return [...around, svg("circle", { cx: x, cy: y, r: text ? 0.085 : 0.06, class: kind }),
      svg("text", { x, y: y + 0.035, class: "ft-dot-text" }, text)];
  };
  const lit = state.place
    ? [svg("circle", { cx: state.place[0], cy: state.place[1], r: state.reach, class: "ft-place" })]
    : [];
  return [
    ...lit,
    ...state.pinned.flatMap((vertex, k) => mark(vertex, String(k + 1), "ft-dot")),
    ...(state.pointed === null ? [] : mark(state.pointed, "", "ft-dot ft-dot-now")),
  ];
}

function words(app: App): string {
  const { place, reach } = app.store.state;
  if (!place) return "Point at the image to light the vertices that read there.";
  const { x, y } = app.mapping.values;
  let count = 0;
  for (let voxel = 0; voxel < x.length; voxel++) if (Math.hypot(x[voxel] - place[0], y[voxel] - place[1]) <= reach) count++;
  return `${counted(count)} vertices read within ${number(reach)} of x ${number(place[0])}, y ${number(place[1])}.`;
}

function listen(picture: SVGSVGElement, app: App): void {
  const look = (event: PointerEvent) => {
    const box = picture.getBoundingClientRect();
    const x = clamp((2 * (event.clientX - box.left)) / box.width - 1, -1, 1);
    const y = clamp((2 * (event.clientY - box.top)) / box.height - 1, -1, 1);
    app.store.set({ place: [x, y], brush: null, region: null });
  };
  picture.addEventListener("pointermove", look);
  picture.addEventListener("pointerdown", look);
  picture.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") app.store.set({ place: null });
  });
  picture.addEventListener("keydown", (event) => {
    const [x, y] = app.store.state.place ?? [0, 0];
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
    };
    const move = moves[event.key];
    if (event.key === "Escape") app.store.set({ place: null });
    if (!move) return;
    event.preventDefault();
    app.store.set({ place: [clamp(x + move[0], -1, 1), clamp(y + move[1], -1, 1)], brush: null, region: null });
  });
}
