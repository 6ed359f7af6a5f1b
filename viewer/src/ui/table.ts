/** Numbers by region: sorted by any column, lit on the cortex, taken away as CSV. */

import type { App } from "../app";
import type { Limited, RegionRow } from "../data/header";
import { button, counted, download, h, number } from "./dom";

const COLUMNS: [keyof RegionRow, string][] = [
  ["region", "Region"], ["voxels", "Vertices"], ["r2", "R²"], ["ceiling", "Ceiling"], ["normalised", "R² / ceiling"],
  ["depth", "Depth"], ["scale", "Scale"],
];

export function regionTable(app: App): HTMLElement {
  const body = h("tbody");
  let [sorted, falling]: [keyof RegionRow | null, boolean] = [null, true];
  const heads = COLUMNS.map(([key, label]) => {
    const head = h("th", { scope: "col", "aria-sort": "none" }, button(label, () => {
      [sorted, falling] = sorted === key ? [key, !falling] : [key, key !== "region"];
      heads.forEach((one) => one.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      drawn = "";
      app.ask();
    }));
    return head;
  });
  let drawn = "";
  const draw = () => {
    const { mapping, region } = app.store.state;
    const now = JSON.stringify([mapping, region, sorted, falling]);
    if (now === drawn) return;
    drawn = now;
    const rows = [...app.mapping.header.table];
    if (sorted) rows.sort((a, b) => (falling ? -1 : 1) * compared(a, b, sorted as keyof RegionRow));
    body.replaceChildren(...rows.map((row) => rowOf(app, row)));
  };
  app.onFrame(draw);
  const save = button("CSV", () =>
    download(new Blob([csvOf(app.mapping.header.table)], { type: "text/csv" }), "regions.csv"));
  return h("section", { class: "ft-regions", "aria-label": "Regions" }, h("h2", {}, "Regions", save),
    h("div", { class: "ft-scroll", tabindex: 0, role: "region", "aria-label": "Numbers by region" },
      h("table", {}, h("thead", {}, h("tr", {}, ...heads)), body)));
}

function rowOf(app: App, row: RegionRow): HTMLElement {
  const light = () => app.store.set({ region: app.store.state.region === row.region ? null : row.region, place: null, brush: null });
  const pressed = app.store.state.region === row.region;
  const name = row.all ? row.region : button(row.region.slice(0, 60), light, { "aria-pressed": String(pressed), title: "Light on the cortex", dir: "auto" });
  const cells = COLUMNS.slice(1).map(([key]) => {
    const value = row[key];
    return h("td", {}, typeof value === "number" ? counted(value) : shown(value as Limited | undefined));
  });
  return h("tr", pressed ? { class: "ft-lit" } : {}, h("th", { scope: "row" }, name), ...cells);
}

function shown(value: Limited | undefined): string {
  if (!value) return "–";
  const [estimate, low, high] = value;
  return low === null ? number(estimate) : `${number(estimate)} [${number(low)}, ${number(high)}]`;
}

function compared(a: RegionRow, b: RegionRow, key: keyof RegionRow): number {
  const value = (row: RegionRow) => {
    const one = row[key];
    return Array.isArray(one) ? (one[0] ?? -Infinity) : (one ?? -Infinity);
  };
  const [one, other] = [value(a), value(b)];
  return typeof one === "string" ? one.localeCompare(String(other)) : Number(one) - Number(other);
}

/** Comma-separated, text in quotes; a quote in it is doubled. */
export function csvOf(rows: RegionRow[]): string {
  const limited = COLUMNS.slice(2).map(([key]) => key);
  const heads = ["region", "vertices", ...limited.flatMap((key) => [key, `${key}_low`, `${key}_high`])];
  const lines = rows.map((row) => [
    `"${row.region.replaceAll('"', '""')}"`,
    row.voxels,
    ...limited.flatMap((key) => ((row[key] as Limited | undefined) ?? [null, null, null]).map((value) => value ?? "")),
  ]);
  return [heads, ...lines].map((line) => line.join(",")).join("\n") + "\n";
}
