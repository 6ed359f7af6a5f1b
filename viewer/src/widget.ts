/** The picture in a notebook, by anywidget's protocol: what is selected and how it is looked at goes both ways. */

import type { App } from "./app";
import type { Cortex } from "./data/cortex";
import type { Header } from "./data/header";
import { fitting } from "./link";
import { show } from "./show";
import type { State } from "./state";
import { h } from "./ui/dom";

/** What anywidget hands over. */
interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(event: string, call: () => void): void;
  off(event: string, call: () => void): void;
}

/** Hemisphere and vertex within it. */
type Named = [string, number];

const CAMERA: readonly (keyof State)[] = ["unfold", "yaw", "pitch", "open", "zoom", "panX", "panY"];

export async function render({ model, el }: { model: Model; el: HTMLElement }): Promise<() => void> {
  const root = h("div", { class: "factortopy", style: `height:${Number(model.get("height"))}px` });
  el.append(root);
  const header = JSON.parse(String(model.get("_header"))) as Header;
  const packed = model.get("_numbers") as DataView<ArrayBuffer>;
  const app = await show(root, header, new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength));
  const take = () => app.store.set({ ...cameraOf(app, model), ...selectionOf(app, model), ...mapOf(app, model) });
  take();
  const events = ["change:selected", "change:camera", "change:map"];
  for (const event of events) model.on(event, take);
  app.store.listen((state, changed) => {
    const told: Record<string, unknown> = {};
    if (changed.has("pinned")) told.selected = state.pinned.map((vertex) => named(app.cortex, vertex));
    if (changed.has("map")) told.map = state.map;
    if (CAMERA.some((key) => changed.has(key))) told.camera = Object.fromEntries(CAMERA.map((key) => [key, state[key]]));
    for (const [name, value] of Object.entries(told)) model.set(name, value);
    if (Object.keys(told).length) model.save_changes();
  });
  app.resize();
  return () => {
    for (const event of events) model.off(event, take);
    app.scene.renderer.dispose();
  };
}

function named(cortex: Cortex, vertex: number): Named {
  return vertex < cortex.side ? ["left", vertex] : ["right", vertex - cortex.side];
}

function selectionOf(app: App, model: Model): Partial<State> {
  const { side } = app.cortex;
  const given = model.get("selected") as Named[];
  const vertices = given.filter(([, vertex]) => Number.isInteger(vertex) && vertex >= 0 && vertex < side);
  return { pinned: vertices.map(([hemisphere, vertex]) => vertex + (hemisphere === "right" ? side : 0)) };
}

function cameraOf(app: App, model: Model): Partial<State> {
  const given = Object.entries(model.get("camera") as Record<string, unknown>);
  return fitting(given.filter(([key]) => CAMERA.includes(key as keyof State)), app.start);
}

function mapOf(app: App, model: Model): Partial<State> {
  const map = String(model.get("map"));
  return app.maps().some(({ id }) => id === map) ? { map } : {};
}
