/** One picture: its data, its state, and the drawing of a frame whenever something changed. */

import { Vector2 } from "three";

import type { Cortex } from "./data/cortex";
import type { Header, Palette } from "./data/header";
import type { Mapping } from "./data/mapping";
import { type Map, mapsOf } from "./paint/maps";
import { paint } from "./paint/paint";
import { type Colours, coloursOf } from "./paint/tables";
import { focusOf, type Focus, type Frame, frameOf, seenAt, shapeOf } from "./scene/camera";
import { outlinesOf } from "./scene/outlines";
import { type Panel, panelsOf } from "./scene/panels";
import { placeOf, type Pose, poseOf } from "./scene/pose";
import { CortexScene } from "./scene/scene";
import { Blocks } from "./scene/rays";
import { Sight } from "./scene/sight";
import { START, type State, Store } from "./state";

/** What of the state decides colours; all else moves or marks. */
const COLOURING: readonly (keyof State)[] = [
  "map", "layer", "threshold", "fade", "palette", "place", "reach", "brush", "region",
];

export interface View {
  panel: Panel;
  frame: Frame;
}

export class App {
  readonly canvas: HTMLCanvasElement;
  readonly start: State;
  readonly store: Store;
  readonly scene: CortexScene;
  readonly colours: Record<Palette, Colours>;
  readonly focus: Focus;
  private readonly blocks: Blocks;
  private readonly stale: Set<number>;
  private readonly afterFrame: (() => void)[] = [];
  private waiting = false;
  /** Which vertices are seen; the same in all panels, which show one view. */
  sight!: Sight;

  constructor(
    readonly header: Header,
    readonly cortex: Cortex,
    readonly mappings: Mapping[],
    context: WebGL2RenderingContext,
  ) {
    this.canvas = context.canvas as HTMLCanvasElement;
    this.start = { ...START, palette: header.palette, fade: header.fade, map: mapsOf(mappings[0], START, mappings)[0].id };
    this.store = new Store(this.start);
    this.colours = coloursOf(header.colours);
    this.focus = focusOf(cortex, mappings);
    this.blocks = new Blocks(cortex);
    this.scene = new CortexScene(context, cortex, mappings.map((mapping) => outlinesOf(cortex, mapping)));
    this.stale = new Set(mappings.keys());
    this.store.listen((_, changed) => {
      if (COLOURING.some((key) => changed.has(key))) for (const number of mappings.keys()) this.stale.add(number);
      this.ask();
    });
  }

  /** Called after every frame, for what stands on top of it. */
  onFrame(call: () => void): void {
    this.afterFrame.push(call);
  }

  /** Draw at the next chance. */
  ask(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  maps(mapping = this.store.state.mapping): Map[] {
    return mapsOf(this.mappings[mapping], this.store.state, this.mappings);
  }

  map(mapping = this.store.state.mapping): Map | undefined {
    return this.maps(mapping).find((map) => map.id === this.store.state.map);
  }

  get mapping(): Mapping {
    return this.mappings[this.store.state.mapping];
  }

  get palette(): Colours {
    return this.colours[this.store.state.palette];
  }

  get pose(): Pose {
    return poseOf(this.store.state);
  }

  /** Panels of the picture with what is seen in them. */
  views(): View[] {
    const { state } = this.store;
    const shown = state.grid ? [...this.mappings.keys()] : [state.mapping];
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const shape = shapeOf(this.focus, this.pose);
    return panelsOf(shown, width, height, shape).map((panel) => ({
      panel,
      frame: frameOf(this.focus, this.pose, state, panel.area.width / panel.area.height),
    }));
  }

  /** Place of a vertex in a panel, CSS pixels of the picture. */
  seen(vertex: number, { panel, frame }: View): [number, number] {
    const { x, y, width, height } = panel.area;
    const [across, down] = seenAt(placeOf(this.cortex, this.pose, vertex), frame, width / height);
    return [x + across * width, y + down * height];
  }

  draw(): void {
    const { state } = this.store;
    const views = this.views();
    for (const { panel } of views) {
      if (!this.stale.delete(panel.mapping)) continue;
      const map = this.map(panel.mapping);
      this.scene.paint(panel.mapping, (colours) => paint(this.mappings[panel.mapping], map, this.palette, state, colours));
    }
    this.scene.setPose(this.pose);
    this.scene.setClasses(this.map()?.key.kind === "classes");
    this.scene.clear();
    for (const { panel, frame } of views) this.scene.draw(panel.mapping, panel.area, frame, state.outlines);
    const [{ panel, frame }] = views;
    this.sight = new Sight(this.cortex, this.pose, this.blocks, frame, panel.area);
    for (const call of this.afterFrame) call();
  }

  /** Take the size of the element; `ratio` pixels a CSS pixel. */
  resize(ratio = Math.min(2, devicePixelRatio)): void {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    const { renderer } = this.scene;
    const size = renderer.getSize(new Vector2());
    if (size.x === clientWidth && size.y === clientHeight && renderer.getPixelRatio() === ratio) return;
    renderer.setPixelRatio(ratio);
    renderer.setSize(clientWidth, clientHeight, false);
    this.ask();
  }

  /** The vertex seen at a place of the picture, CSS pixels; null beside the cortex. */
  vertexAt(x: number, y: number): number | null {
    const view = this.views().find(({ panel: { area } }) =>
      x >= area.x && x < area.x + area.width && y >= area.y && y < area.y + area.height);
    if (!view) return null;
    const { area } = view.panel;
    return this.sight.vertexAt((x - area.x) / area.width, (y - area.y) / area.height);
  }
}
