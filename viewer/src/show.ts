/** Builds a picture: reads its data, makes its parts and puts them into an element. */

import { App } from "./app";
import { unzipped } from "./data/codec";
import { readCortex } from "./data/cortex";
import type { Header } from "./data/header";
import { readMapping } from "./data/mapping";
import { contextOn } from "./scene/scene";
import { controls, mappingControls } from "./ui/controls";
import { details } from "./ui/details";
import { h } from "./ui/dom";
import { imageCard } from "./ui/image";
import { keyCard } from "./ui/keycard";
import { listenToPointers } from "./ui/pointer";
import { stageOver } from "./ui/stage";
import { regionTable } from "./ui/table";
import { toolbar } from "./ui/toolbar";
import { unfolding } from "./ui/unfold";

declare global {
  interface HTMLElement {
    /** The picture's own handle, for tests and for pages that steer it. */
    factortopy?: App;
  }
}

/** Bring a picture to life in an element, from its header and its packed numbers. */
export async function show(root: HTMLElement, header: Header, packed: Uint8Array<ArrayBuffer>): Promise<App> {
  const unpacking = unzipped(packed);
  // Meanwhile, as both take their time.
  const context = contextOn(() => h("canvas", { class: "ft-canvas", tabindex: 0, role: "application", "aria-label":
    "Cortex in the colours of the map. Arrows turn, + and − enlarge, Alt and arrows walk from vertex to vertex, Enter pins" }));
  const blob = await unpacking;
  const cortex = readCortex(header.surface, blob);
  const mappings = header.mappings.map((mapping) => readMapping(mapping, cortex, blob));
  const app = new App(header, cortex, mappings, context);
  const { canvas } = app;
  const stage = h("div", { class: "ft-stage" },
    h("div", { class: "ft-view" }, canvas, stageOver(app)), h("div", { class: "ft-foot" }, keyCard(app), unfolding(app)));
  const side = h("aside", { class: "ft-side", "aria-label": "What is shown and what is pointed at" },
    ...[mappingControls(app), controls(app), details(app), imageCard(app), regionTable(app)].filter((one) => one !== null));
  root.replaceChildren(toolbar(app, root), h("div", { class: "ft-body" }, stage, side));
  root.factortopy = app;
  listenToPointers(app);
  new ResizeObserver(() => app.resize()).observe(canvas);
  app.onFrame(() => (root.dataset.ready = "true"));
  return app;
}
