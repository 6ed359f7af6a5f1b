/** Light and dark: as the reader's system has it, or as chosen on the page. */

import type { Ink } from "../paint/key";

export function inkOf(element: Element): Ink {
  const style = getComputedStyle(element);
  return { text: style.getPropertyValue("--ft-ink").trim(), muted: style.getPropertyValue("--ft-muted").trim() };
}

export function groundOf(element: Element): string {
  return getComputedStyle(element).getPropertyValue("--ft-page").trim();
}

export function toggleTheme(root: HTMLElement): void {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

/** Whether the picture fills its page, or stands in one with more on it. */
export function isAlone(element: Element): boolean {
  return element.closest(".ft-alone") !== null;
}
