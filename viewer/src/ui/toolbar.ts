/** Title, the mark of simulations, and what is done with the whole picture. */

import type { App } from "../app";
import { hashOf, viewOf } from "../link";
import { savePng } from "../out/png";
import { saveSvg } from "../out/svg";
import { saveTurntable } from "../out/turntable";
import { shortened } from "../scene/labels";
import { button, h } from "./dom";
import { isAlone, toggleTheme } from "./theme";

export function toolbar(app: App, root: HTMLElement): HTMLElement {
  const simulated = app.mappings.some(({ header }) => header.simulated);
  const facts = h("p", { class: "ft-facts", dir: "auto" });
  app.onFrame(() => {
    const { facts: text } = app.mapping.header;
    if (facts.title !== text) [facts.title, facts.textContent] = [text, shortened(text, 400)];
  });
  const status = h("span", { class: "ft-status", role: "status" });
  const say = (words: string) => (status.textContent = words);
  const done = (work: Promise<string>) => {
    say("Working …");
    work.then(say, (error: unknown) => say(String(error)));
  };
  return h("div", { class: "ft-bar" },
    h("div", { class: "ft-title" },
      h(isAlone(root) ? "h1" : "p", { class: "ft-name", dir: "auto", title: app.header.title.slice(0, 400) },
        shortened(app.header.title, 110)), facts),
    simulated ? h("strong", { class: "ft-simulated" }, "SIMULATED") : null,
    h("div", { class: "ft-tools", role: "group", "aria-label": "Picture" },
      status,
      button("PNG", () => done(savePng(app, root))),
      button("SVG", () => done(saveSvg(app, root)), { title: "The flat view" }),
      button("WebM", () => done(saveTurntable(app)), { title: "One turn as a film" }),
      button("Link", () => done(copyLink(app)), { title: "Copy an address that shows this view" }),
      savedViews(app),
      button("Light / dark", () => { toggleTheme(root); app.ask(); }),
      button("Full screen", () => void fullScreen(root))));
}

async function copyLink(app: App): Promise<string> {
  const address = location.href.split("#")[0] + hashOf(app.store.state, app.start);
  await navigator.clipboard.writeText(address);
  return "Link copied";
}

/** Views kept for as long as the page is open; a link keeps one for good. */
function savedViews(app: App): HTMLElement {
  const row = h("span", { class: "ft-saved" });
  let count = 0;
  const keep = () => {
    const view = viewOf(app.store.state, app.start);
    count += 1;
    row.append(button(String(count), () => app.store.set({ ...app.start, ...view }), { "aria-label": `Saved view ${count}` }));
  };
  row.append(button("Save view", keep));
  return row;
}

async function fullScreen(root: HTMLElement): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await root.requestFullscreen();
}
