/** Slow changes of the state: unfolding, and going to a view; at once for readers who want no motion. */

import type { App } from "../app";
import type { State } from "../state";

type Moving = "unfold" | "yaw" | "pitch" | "open" | "zoom" | "panX" | "panY";

const SECONDS = 1.4;
const running = new WeakMap<App, number>();

export function goTo(app: App, aim: Partial<Pick<State, Moving>>, seconds = SECONDS): void {
  cancelAnimationFrame(running.get(app) ?? 0);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    app.store.set(aim);
    return;
  }
  const from = app.store.state;
  const begin = performance.now();
  const step = (now: number) => {
    const part = Math.min(1, Math.max(0, (now - begin) / 1000 / seconds));
    const eased = part * part * (3 - 2 * part);
    const mixed = Object.fromEntries(
      (Object.keys(aim) as Moving[]).map((key) => [key, part === 1 ? aim[key] : from[key] + eased * ((aim[key] as number) - from[key])]),
    );
    app.store.set(mixed);
    if (part < 1) running.set(app, requestAnimationFrame(step));
  };
  running.set(app, requestAnimationFrame(step));
}
