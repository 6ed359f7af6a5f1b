/** Finds the pictures of a page and brings each to life; without WebGL 2 the still picture stays. */

import "./style.css";

import { App } from "./app";
import { bytesOf, unzipped } from "./data/codec";
import { readCortex } from "./data/cortex";
import type { Header } from "./data/header";
import { readMapping } from "./data/mapping";
import { hashOf, readHash } from "./link";
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

async function begin(root: HTMLElement): Promise<void> {
  const part = (name: string) => root.querySelector(`[data-part=${name}]`)?.textContent ?? "";
  const header = JSON.parse(part("header")) as Header;
  const blob = await unzipped(bytesOf(part("numbers")));
  const cortex = readCortex(header.surface, blob);
  const mappings = header.mappings.map((mapping) => readMapping(mapping, cortex, blob));
  const canvas = h("canvas", { class: "ft-canvas", tabindex: 0, role: "application", "aria-label":
    "Cortex in the colours of the map. Arrows turn, + and − enlarge, Alt and arrows walk from vertex to vertex, Enter pins" });
  const app = new App(header, cortex, mappings, canvas);
  const stage = h("div", { class: "ft-stage" },
    h("div", { class: "ft-view" }, canvas, stageOver(app)), h("div", { class: "ft-foot" }, keyCard(app), unfolding(app)));
  const side = h("aside", { class: "ft-side", "aria-label": "What is shown and what is pointed at" },
    ...[mappingControls(app), controls(app), details(app), imageCard(app), regionTable(app)].filter((one) => one !== null));
  root.replaceChildren(toolbar(app, root), h("div", { class: "ft-body" }, stage, side));
  root.factortopy = app;
  listenToPointers(app);
  new ResizeObserver(() => app.resize()).observe(canvas);
  app.onFrame(() => (root.dataset.ready = "true"));
  linkView(app);
  app.resize();
}

/** The view of the address is taken on, and the address follows the view. */
function linkView(app: App): void {
  app.store.set(known(app, readHash(location.hash, app.start)));
  let timer = 0;
  app.store.listen(() => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      const hash = hashOf(app.store.state, app.start);
      if (hash || location.hash.startsWith("#view:")) history.replaceState(null, "", hash || location.pathname);
    }, 400);
  });
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#view:")) app.store.set(known(app, readHash(location.hash, app.start)));
  });
}

/** Without numbers that this page has nothing for. */
function known(app: App, view: ReturnType<typeof readHash>): ReturnType<typeof readHash> {
  if ((view.mapping ?? 0) >= app.mappings.length) delete view.mapping;
  if (view.pinned) view.pinned = view.pinned.filter((vertex) => vertex < app.cortex.count);
  return view;
}

function start(): void {
  for (const root of document.querySelectorAll<HTMLElement>("[data-factortopy]")) {
    begin(root).catch((error: unknown) => {
      root.dataset.failed = "true";
      root.append(h("p", { class: "ft-note", role: "alert" }, `Only the still picture can be shown here: ${String(error)}`));
    });
  }
}

if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
else start();
