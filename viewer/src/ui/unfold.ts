/** The slider from the folded to the flat cortex, with its three stops and the ways to look. */

import type { App } from "../app";
import { VIEWS } from "../scene/camera";
import { button, h } from "./dom";
import { goTo } from "./motion";

const STOPS = ["Pial", "Inflated", "Flat"];
const CENTRED = { zoom: 1, panX: 0, panY: 0 };

export function unfolding(app: App): HTMLElement {
  const slider = h("input", { type: "range", min: 0, max: 2, step: 0.01, "aria-label": "Unfold: pial, inflated, flat",
    input: () => app.store.set({ unfold: Number(slider.value) }) });
  const stops = STOPS.map((name, stop) => button(name, () => goTo(app, { unfold: stop, ...CENTRED })));
  const views = Object.entries(VIEWS).map(([name, view]) =>
    button(name, () => goTo(app, { ...CENTRED, ...view, ...(app.store.state.unfold > 1 ? { unfold: 1 } : {}) })));
  app.onFrame(() => {
    const { unfold } = app.store.state;
    if (Number(slider.value) !== unfold) slider.value = String(unfold);
    slider.setAttribute("aria-valuetext", `${STOPS[Math.round(unfold)]}${unfold % 1 ? `, ${unfold.toFixed(2)} of 2` : ""}`);
    stops.forEach((stop, number) => stop.setAttribute("aria-pressed", String(Math.abs(unfold - number) < 0.005)));
  });
  return h("div", { class: "ft-unfold" },
    h("div", { class: "ft-views", role: "group", "aria-label": "Look from" }, ...views),
    h("div", { class: "ft-slide" }, slider, h("div", { class: "ft-stops" }, ...stops)));
}
