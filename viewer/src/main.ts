/** Finds the pictures of a page and brings each to life; without WebGL 2 the still picture stays. In notebooks, `render`. */

import "./style.css";

import type { App } from "./app";
import { bytesOf } from "./data/codec";
import type { Header } from "./data/header";
import { hashOf, readHash } from "./link";
import { show } from "./show";
import { h } from "./ui/dom";

async function begin(root: HTMLElement): Promise<void> {
  const part = (name: string) => root.querySelector(`[data-part=${name}]`)?.textContent ?? "";
  const app = await show(root, JSON.parse(part("header")) as Header, bytesOf(part("numbers")));
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
    if (!location.hash.startsWith("#view:")) return;
    // What a link leaves out is as it is at first.
    app.store.set({ ...app.start, ...known(app, readHash(location.hash, app.start)) });
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

export { render } from "./widget";

if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
else start();
