/** What the graphics card holds: the cortex once, its colours once a mapping, and the lines around regions. */

import {
  BufferAttribute, BufferGeometry, DoubleSide, DynamicDrawUsage, FrontSide, GLSL3, type IUniform, Matrix3, Mesh,
  PerspectiveCamera, RawShaderMaterial, Scene, Vector2, Vector3, WebGLRenderer,
} from "three";

import type { Cortex } from "../data/cortex";
import { distanceOf, type Frame, VIEW_ANGLE } from "./camera";
import type { Lines } from "./outlines";
import { PIAL_MIDDLE, type Pose } from "./pose";
import { CORTEX_FRAGMENT, CORTEX_VERTEX, LINE_FRAGMENT, LINE_VERTEX } from "./shaders";

/** Nearest and farthest that anything stands from the middle of the world, mm. */
const REACH = 420;
/** Of lines, pixels, and their colours: dark on white, so that they show on any colour. */
const LINES: { width: number; ink: [number, number, number] }[] = [
  { width: 4.2, ink: [1, 1, 1] },
  { width: 2.2, ink: [0.1, 0.115, 0.13] },
];

/** A rectangle of the picture in CSS pixels, from its upper left corner. */
export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Layer {
  cortex: Mesh;
  lines: Mesh[];
  paint: Uint8Array;
  attribute: BufferAttribute;
}

export class CortexScene {
  readonly renderer: WebGLRenderer;
  private readonly scene = new Scene();
  private readonly camera = new PerspectiveCamera(VIEW_ANGLE, 1, 1, 2000);
  private readonly layers: Layer[];
  private readonly uniforms: Record<string, IUniform> = {
    inflating: { value: 0 },
    flattening: { value: 0 },
    opening: { value: 0 },
    shift: { value: 0 },
    turn: { value: new Matrix3() },
    pialMiddle: { value: new Vector3(...PIAL_MIDDLE) },
    sideVertices: { value: 0 },
    classes: { value: false },
    pixels: { value: new Vector2(1, 1) },
  };
  private readonly dissolved: IUniform = { value: 0 };
  private readonly surfaces: RawShaderMaterial[];

  constructor(context: WebGL2RenderingContext, cortex: Cortex, lines: Lines[]) {
    this.renderer = new WebGLRenderer({ canvas: context.canvas, context });
    this.renderer.autoClear = false;
    this.renderer.setScissorTest(true);
    this.uniforms.sideVertices.value = cortex.side;
    const shared = sharedGeometry(cortex);
    const materials = [this.material(CORTEX_VERTEX, CORTEX_FRAGMENT, false), this.material(CORTEX_VERTEX, CORTEX_FRAGMENT, true)];
    const inks = LINES.map(({ width, ink }) => {
      const material = this.material(LINE_VERTEX, LINE_FRAGMENT, false);
      Object.assign(material.uniforms, { width: { value: width }, ink: { value: new Vector3(...ink) } });
      return Object.assign(material, { transparent: true, depthWrite: false });
    });
    this.layers = lines.map((own) => this.addLayer(cortex, shared, materials, own, inks));
    this.surfaces = materials;
  }

  /** Colours of every vertex for a mapping, written by `change`. */
  paint(mapping: number, change: (colours: Uint8Array) => void): void {
    const layer = this.layers[mapping];
    change(layer.paint);
    layer.attribute.needsUpdate = true;
  }

  /** Whether colours are of classes, which do not mix. */
  setClasses(classes: boolean): void {
    this.uniforms.classes.value = classes;
  }

  setPose(pose: Pose): void {
    this.uniforms.inflating.value = pose.inflated;
    this.uniforms.flattening.value = pose.flat;
    this.uniforms.opening.value = pose.open;
    this.uniforms.shift.value = pose.shift;
    (this.uniforms.turn.value as Matrix3).fromArray(pose.turn);
    // Backs are seen only while sheets are on their way.
    const side = pose.flat > 0 && pose.flat < 1 ? DoubleSide : FrontSide;
    for (const material of this.surfaces) material.side = side;
    // What the flat sheets have not goes away as they open.
    this.dissolved.value = Math.min(1, pose.flat * 6);
  }

  clear(): void {
    const size = this.renderer.getSize(new Vector2());
    this.renderer.setScissor(0, 0, size.x, size.y);
    this.renderer.setClearColor(0, 0);
    this.renderer.clear();
  }

  draw(mapping: number, area: Rectangle, frame: Frame, outlines: boolean): void {
    const height = this.renderer.getSize(new Vector2()).y;
    const bottom = height - area.y - area.height;
    this.renderer.setViewport(area.x, bottom, area.width, area.height);
    this.renderer.setScissor(area.x, bottom, area.width, area.height);
    this.look(frame, area.width / area.height);
    this.uniforms.pixels.value.set(area.width, area.height);
    this.layers.forEach((layer, number) => {
      layer.cortex.visible = number === mapping;
      for (const line of layer.lines) line.visible = number === mapping && outlines;
    });
    this.renderer.render(this.scene, this.camera);
  }

  private look(frame: Frame, aspect: number): void {
    const distance = distanceOf(frame);
    this.camera.aspect = aspect;
    this.camera.position.set(frame.x, frame.y, distance);
    this.camera.near = Math.max(1, distance - REACH);
    this.camera.far = distance + REACH;
    this.camera.updateProjectionMatrix();
  }

  private material(vertexShader: string, fragmentShader: string, wall: boolean): RawShaderMaterial {
    const uniforms = { ...this.uniforms, dissolved: wall ? this.dissolved : { value: 0 } };
    return new RawShaderMaterial({ vertexShader, fragmentShader, uniforms, glslVersion: GLSL3, side: DoubleSide });
  }

  private addLayer(
    cortex: Cortex, shared: BufferGeometry, materials: RawShaderMaterial[], lines: Lines, inks: RawShaderMaterial[],
  ): Layer {
    const paint = new Uint8Array(4 * cortex.count);
    const attribute = new BufferAttribute(paint, 4, true).setUsage(DynamicDrawUsage);
    const geometry = new BufferGeometry();
    for (const [name, values] of Object.entries(shared.attributes)) geometry.setAttribute(name, values);
    geometry.setIndex(shared.index);
    geometry.groups = shared.groups;
    geometry.setAttribute("paint", attribute);
    const strips = lineGeometry(lines);
    const layer = {
      cortex: unculled(new Mesh(geometry, materials)),
      lines: inks.map((ink) => unculled(new Mesh(strips, ink))),
      paint,
      attribute,
    };
    layer.lines.forEach((line, order) => (line.renderOrder = 1 + order));
    this.scene.add(layer.cortex, ...layer.lines);
    return layer;
  }
}

/** WebGL 2 on a new canvas, with smooth edges unless it runs on the processor, where every sample of an edge is paid for. */
export function contextOn(create: () => HTMLCanvasElement): WebGL2RenderingContext {
  const context = (antialias: boolean) => {
    const made = create().getContext("webgl2", { antialias, preserveDrawingBuffer: true });
    if (!made) throw new Error("this browser has no WebGL 2");
    return made;
  };
  const plain = context(false);
  const asked = plain.getExtension("WEBGL_debug_renderer_info");
  const name = asked ? String(plain.getParameter(asked.UNMASKED_RENDERER_WEBGL)) : "";
  if (/swiftshader|llvmpipe|software/i.test(name)) return plain;
  plain.getExtension("WEBGL_lose_context")?.loseContext();
  return context(true);
}

function unculled(mesh: Mesh): Mesh {
  mesh.frustumCulled = false;
  return mesh;
}

function sharedGeometry(cortex: Cortex): BufferGeometry {
  const geometry = new BufferGeometry();
  geometry.setAttribute("pial", new BufferAttribute(cortex.shapes.pial, 3));
  geometry.setAttribute("inflated", new BufferAttribute(cortex.shapes.inflated, 3));
  geometry.setAttribute("flatShape", new BufferAttribute(cortex.shapes.flat, 3));
  geometry.setAttribute("pialNormal", new BufferAttribute(cortex.normals.pial, 3, true));
  geometry.setAttribute("inflatedNormal", new BufferAttribute(cortex.normals.inflated, 3, true));
  geometry.setAttribute("folding", new BufferAttribute(cortex.folding, 1));
  geometry.setAttribute("isCortex", new BufferAttribute(Uint8Array.from(cortex.cortex, (one) => 255 * one), 1, true));
  geometry.setIndex(new BufferAttribute(cortex.faces, 1));
  geometry.addGroup(0, cortex.sheetFaces, 0);
  geometry.addGroup(cortex.sheetFaces, cortex.faces.length - cortex.sheetFaces, 1);
  return geometry;
}

/** Four corners a segment, each with both ends: software draws instances one by one, which is ten times slower. */
function lineGeometry(lines: Lines): BufferGeometry {
  const geometry = new BufferGeometry();
  const fourTimes = (size: number, value: (segment: number, place: number, corner: number) => number) => {
    const values = new Float32Array(4 * size * lines.count);
    for (let k = 0; k < values.length; k++) {
      const corner = Math.floor(k / size);
      values[k] = value(corner >> 2, k % size, corner & 3);
    }
    return new BufferAttribute(values, size);
  };
  const corners = [[0, -0.5], [1, -0.5], [1, 0.5], [0, 0.5]];
  geometry.setAttribute("corner", fourTimes(2, (_, place, corner) => corners[corner][place]));
  for (const name of ["pial", "inflated", "flat"] as const) {
    const points = lines.shapes[name];
    geometry.setAttribute(`${name}A`, fourTimes(3, (segment, axis) => points[6 * segment + axis]));
    geometry.setAttribute(`${name}B`, fourTimes(3, (segment, axis) => points[6 * segment + 3 + axis]));
  }
  const both = [lines.side, lines.kind];
  geometry.setAttribute("sideAndKind", fourTimes(2, (segment, place) => both[place][segment]));
  const faces = new Uint32Array(6 * lines.count);
  for (let k = 0; k < lines.count; k++) faces.set([0, 1, 2, 0, 2, 3].map((corner) => 4 * k + corner), 6 * k);
  geometry.setIndex(new BufferAttribute(faces, 1));
  return geometry;
}
