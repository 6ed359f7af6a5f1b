/** What is shown: the map, the mapping, the threshold and the like. */

import type { App } from "../app";
import { clamp } from "../paint/tables";
import type { State } from "../state";
import { freshId, h, number } from "./dom";

export function controls(app: App): HTMLElement {
  const maps = chooser("Map", () => app.maps().map(({ id, label }) => [id, label]), () => app.store.state.map, (id) =>
    app.store.set({ map: id, brush: null }));
  const note = h("p", { class: "ft-note" });
  const layer = slider("Layer", 0, 0, 1, (value) => app.store.set({ layer: value }));
  const [least, most] = rangeOf(app);
  const threshold = slider("R² at least", least, most, (most - least) / 200, (value) =>
    app.store.set({ threshold: value <= least ? null : value }));
  const sure = check(app, "Pale where R² is uncertain", "fade");
  const boxes = [check(app, "Outlines", "outlines"), check(app, "Names", "names")];
  const blind = h("input", { type: "checkbox", change: () =>
    app.store.set({ palette: blind.checked ? "colour-blind" : "default" }) });
  const update = () => {
    const { state } = app.store;
    maps.update();
    note.textContent = app.map()?.note ?? "This mapping does not hold what this map is made of.";
    layer.element.hidden = state.map !== "one-layer";
    const names = layersOf(app);
    const shown = Math.min(state.layer, names.length - 1);
    layer.update(shown, `${shown + 1}: ${names[shown].slice(0, 60)}`, names.length - 1);
    threshold.update(state.threshold ?? least, state.threshold === null ? "all" : number(state.threshold));
    sure.hidden = !app.mapping.values.sure;
    blind.checked = state.palette === "colour-blind";
  };
  app.onFrame(update);
  return h(
    "section", { class: "ft-controls", "aria-label": "What is shown" },
    maps.element, note, layer.element, threshold.element,
    h("div", { class: "ft-checks" }, ...boxes, sure, h("label", {}, blind, "Colour-blind safe")),
  );
}

/** Which mapping; several beside each other; for three and more a timeline that plays. */
export function mappingControls(app: App): HTMLElement | null {
  const count = app.mappings.length;
  if (count < 2) return null;
  const names = app.mappings.map(({ header }, k): [string, string] => [String(k), `${header.network} → ${header.subject}`]);
  const which = chooser("Mapping", () => names, () => String(app.store.state.mapping), (k) =>
    app.store.set({ mapping: Number(k) }));
  const line = slider("Series", 0, count - 1, 1, (value) => app.store.set({ mapping: value }));
  let timer = 0;
  const play = h("button", { type: "button", "aria-pressed": "false", click: () => {
    if (timer) clearInterval(timer);
    timer = timer ? 0 : window.setInterval(() => app.store.set({ mapping: (app.store.state.mapping + 1) % count }), 900);
    play.setAttribute("aria-pressed", String(timer !== 0));
    play.textContent = timer ? "Stop" : "Play";
  } }, "Play");
  const row = h("div", { class: "ft-series" }, line.element, play);
  app.onFrame(() => {
    const { state } = app.store;
    which.update();
    line.update(state.mapping, `${state.mapping + 1} of ${count}`);
    row.hidden = state.grid;
  });
  return h("section", { class: "ft-controls", "aria-label": "Which mapping" },
    which.element, row, check(app, "All beside each other", "grid"));
}

interface Control {
  element: HTMLElement;
}

function chooser(
  label: string, options: () => [string, string][], current: () => string, choose: (value: string) => void,
): Control & { update(): void } {
  const id = freshId();
  const select = h("select", { id, change: () => choose(select.value) });
  let written = "";
  const update = () => {
    const now = options();
    if (JSON.stringify(now) !== written) {
      written = JSON.stringify(now);
      select.replaceChildren(...now.map(([value, text]) => h("option", { value }, text.slice(0, 120))));
    }
    select.value = current();
  };
  update();
  return { element: h("div", { class: "ft-field" }, h("label", { for: id }, label), select), update };
}

function slider(
  label: string, least: number, most: number, step: number, choose: (value: number) => void,
): Control & { update(value: number, text: string, last?: number): void } {
  const id = freshId();
  const input = h("input", { id, type: "range", min: least, max: most, step, input: () => choose(Number(input.value)) });
  const output = h("output", { for: id });
  const update = (value: number, text: string, last = most) => {
    input.max = String(last);
    if (Number(input.value) !== value) input.value = String(value);
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  const element = h("div", { class: "ft-field ft-slider" }, h("label", { for: id }, label), output, input);
  return { element, update };
}

function check(app: App, label: string, key: keyof State): HTMLLabelElement {
  const input = h("input", { type: "checkbox", change: () => app.store.set({ [key]: input.checked }) });
  app.onFrame(() => (input.checked = Boolean(app.store.state[key])));
  return h("label", {}, input, label);
}

/** Layers of the network that is shown; of several beside each other, of the one that has most. */
function layersOf(app: App): string[] {
  const shown = app.store.state.grid ? app.mappings : [app.mapping];
  return shown.map(({ header }) => header.layers).reduce((most, layers) => (layers.length > most.length ? layers : most));
}

/** Least and largest R² of all mappings. */
function rangeOf(app: App): [number, number] {
  let [low, high] = [0, 0.05];
  for (const { values } of app.mappings)
    for (const value of values.r2) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  return [clamp(Math.floor(low * 20) / 20, -1, 0), Math.ceil(high * 20) / 20];
}
