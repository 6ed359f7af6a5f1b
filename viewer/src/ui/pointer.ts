/** Pointing, turning, moving and enlarging, by mouse, touch and keys. */

import type { App } from "../app";
import { neighboursOf } from "../data/cortex";
import { clamp } from "../paint/tables";
import { isAlone } from "./theme";

/** Degrees a pixel. */
const TURNING = 0.35;
/** Pixels within which a press is a click. */
const STILL = 4;
const KEY_STEP = 8;

export function listenToPointers(app: App): void {
  const { canvas } = app;
  const held = new Map<number, { x: number; y: number }>();
  let moved = 0;
  const at = (event: PointerEvent | WheelEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") app.store.set({ pointed: app.vertexAt(...at(event)) });
      return;
    }
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    moved += Math.abs(dx) + Math.abs(dy);
    if (held.size === 2) pinch(app, held, event);
    else if (moved > STILL) drag(app, dx, dy, event.shiftKey || event.buttons === 2);
    held.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  const release = (event: PointerEvent) => {
    const clicked = held.delete(event.pointerId) && moved <= STILL && event.type === "pointerup";
    if (clicked) click(app, app.vertexAt(...at(event)), event);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => app.store.set({ pointed: null }));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    // In a page that scrolls, the wheel is the page's until the cortex was clicked.
    const own = isAlone(canvas) || document.fullscreenElement || document.activeElement === canvas || event.ctrlKey;
    if (!own) return;
    event.preventDefault();
    enlarge(app, Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0012)), ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => press(app, event));
}

/** A click pins a vertex or lets it go; a touch points at it first. */
function click(app: App, vertex: number | null, event: PointerEvent): void {
  const { pinned } = app.store.state;
  if (vertex === null) {
    app.store.set({ place: null, brush: null, region: null, pointed: null });
    return;
  }
  app.store.set({ pointed: vertex });
  if (event.pointerType === "mouse" || pinned.includes(vertex)) pin(app, vertex);
}

export function pin(app: App, vertex: number): void {
  const { pinned } = app.store.state;
  app.store.set({ pinned: pinned.includes(vertex) ? pinned.filter((one) => one !== vertex) : [...pinned, vertex] });
}

function drag(app: App, dx: number, dy: number, shift: boolean): void {
  const { state } = app.store;
  const height = app.views()[0].panel.area.height;
  if (shift || state.unfold > 1.5) app.store.set({ panX: state.panX + dx / height, panY: state.panY - dy / height });
  else app.store.set({ yaw: wrapped(state.yaw + TURNING * dx), pitch: clamp(state.pitch + TURNING * dy, -90, 90) });
}

function pinch(app: App, held: Map<number, { x: number; y: number }>, event: PointerEvent): void {
  const [one, other] = [...held.values()];
  const moving = held.get(event.pointerId);
  const still = moving === one ? other : one;
  if (!moving) return;
  const before = Math.hypot(moving.x - still.x, moving.y - still.y);
  const after = Math.hypot(event.clientX - still.x, event.clientY - still.y);
  const box = app.canvas.getBoundingClientRect();
  enlarge(app, after / Math.max(before, 1), still.x - box.left, still.y - box.top);
  drag(app, (event.clientX - moving.x) / 2, (event.clientY - moving.y) / 2, true);
}

/** Enlarge around a place of the picture, which stays where it is. */
export function enlarge(app: App, by: number, x: number, y: number): void {
  const { state } = app.store;
  const zoom = clamp(state.zoom * by, 0.5, 20);
  const view = app.views().find(({ panel: { area } }) => x < area.x + area.width && y < area.y + area.height);
  if (!view) return;
  const { area } = view.panel;
  const [across, up] = [(x - area.x - area.width / 2) / area.height, -(y - area.y - area.height / 2) / area.height];
  const factor = zoom / state.zoom;
  app.store.set({
    zoom,
    panX: across - (across - state.panX) * factor,
    panY: up - (up - state.panY) * factor,
  });
}

function press(app: App, event: KeyboardEvent): void {
  const { state } = app.store;
  const { clientWidth: width, clientHeight: height } = app.canvas;
  const arrows: Record<string, [number, number]> = {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  };
  const arrow = arrows[event.key];
  if (arrow && event.altKey) app.store.set({ pointed: walked(app, arrow) });
  else if (arrow) drag(app, arrow[0] * KEY_STEP * 3, arrow[1] * KEY_STEP * 3, event.shiftKey);
  else if (event.key === "+" || event.key === "=") enlarge(app, 1.2, width / 2, height / 2);
  else if (event.key === "-") enlarge(app, 1 / 1.2, width / 2, height / 2);
  else if (event.key === "Enter" && state.pointed !== null) pin(app, state.pointed);
  else if (event.key === "Escape") app.store.set({ pointed: null, place: null, brush: null, region: null });
  else return;
  event.preventDefault();
}

/** The neighbour of the pointed vertex that lies farthest in a direction on the screen. */
function walked(app: App, [dx, dy]: [number, number]): number | null {
  const view = app.views()[0];
  const { area } = view.panel;
  const from = app.store.state.pointed;
  if (from === null) return app.vertexAt(area.x + area.width * 0.4, area.y + area.height * 0.5) ?? app.mapping.vertex[0];
  const [x, y] = app.seen(from, view);
  const along = (candidate: number) => {
    const [across, down] = app.seen(candidate, view);
    return (across - x) * dx + (down - y) * dy;
  };
  return neighboursOf(app.cortex, from).reduce((best, one) => (along(one) > along(best) ? one : best));
}

function wrapped(angle: number): number {
  return ((((angle + 180) % 360) + 360) % 360) - 180;
}
