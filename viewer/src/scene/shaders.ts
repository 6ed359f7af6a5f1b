/** Programs of the graphics card. `place` is `placeOf` of `pose.ts`. */

const POSE = /* glsl */ `
uniform float inflating;
uniform float flattening;
uniform float opening;
uniform float shift;
uniform mat3 turn;
uniform vec3 pialMiddle;
uniform mat4 projectionMatrix;
uniform mat4 viewMatrix;

vec3 opened(vec3 local, float side) {
  float c = cos(opening), s = -side * sin(opening);
  return vec3(c * local.x + s * local.z, local.y, c * local.z - s * local.x);
}

vec3 place(vec3 pial, vec3 inflated, vec3 flatPoint, float side) {
  vec3 middle = pialMiddle * vec3(side, 1.0, 1.0) * (1.0 - inflating);
  vec3 solid = opened(mix(pial, inflated, inflating) - middle, side);
  solid.x += side * (shift + pialMiddle.x * (1.0 - inflating));
  return mix(turn * solid, flatPoint, flattening);
}
`;

export const CORTEX_VERTEX = /* glsl */ `
precision highp float;
${POSE}
uniform int sideVertices;
in vec3 pial;
in vec3 inflated;
in vec3 flatShape;
in vec3 pialNormal;
in vec3 inflatedNormal;
in float folding;
in float isCortex;
in vec4 paint;
out vec3 normal;
out float fold;
out float onCortex;
out vec4 colour;
flat out vec3 cornerColour;

void main() {
  float side = gl_VertexID < sideVertices ? -1.0 : 1.0;
  normal = mix(turn * opened(mix(pialNormal, inflatedNormal, inflating), side), vec3(0.0, 0.0, 1.0), flattening);
  fold = folding;
  onCortex = isCortex;
  colour = vec4(paint.rgb * paint.a, paint.a);
  cornerColour = paint.rgb;
  gl_Position = projectionMatrix * viewMatrix * vec4(place(pial, inflated, flatShape, side), 1.0);
}
`;

/** Painted colours over the grey of the folding; a pixel is measured where measured corners weigh more than half. */
export const CORTEX_FRAGMENT = /* glsl */ `
precision highp float;
uniform float flattening;
uniform float dissolved;
uniform bool classes;
in vec3 normal;
in float fold;
in float onCortex;
in vec4 colour;
flat in vec3 cornerColour;
out vec4 shown;

float scatter(vec2 at) {
  return fract(52.9829189 * fract(dot(at, vec2(0.06711056, 0.00583715))));
}

void main() {
  if (dissolved > 0.0 && scatter(gl_FragCoord.xy) < dissolved) discard;
  float grey = mix(0.80, 0.62, smoothstep(-0.12, 0.12, fold));
  grey = mix(0.70, grey, smoothstep(0.4, 0.6, onCortex));
  float edge = max(fwidth(colour.a), 1e-4);
  float painted = smoothstep(0.5 - 0.5 * edge, 0.5 + 0.5 * edge, colour.a);
  // Two classes have none between them: a face has one colour.
  vec3 own = classes ? cornerColour : colour.rgb / max(colour.a, 1e-3);
  vec3 base = mix(vec3(grey), own, painted);
  vec3 n = normalize(gl_FrontFacing ? normal : -normal);
  float light = 0.64 + 0.36 * pow(max(0.0, dot(n, normalize(vec3(-0.25, 0.35, 1.0)))), 0.8);
  shown = vec4(base * mix(light, 1.0, flattening), 1.0);
}
`;

/** A line between two points as a strip of one width on the screen, a little nearer than the surface. */
export const LINE_VERTEX = /* glsl */ `
precision highp float;
${POSE}
uniform vec2 pixels;
uniform float width;
in vec2 corner;
in vec3 pialA;
in vec3 pialB;
in vec3 inflatedA;
in vec3 inflatedB;
in vec3 flatA;
in vec3 flatB;
in vec2 sideAndKind;
out float across;

void main() {
  float kind = sideAndKind.y;
  bool hidden = (kind == 1.0 && flattening > 0.02) || (kind == 2.0 && flattening < 0.98);
  vec4 a = projectionMatrix * viewMatrix * vec4(place(pialA, inflatedA, flatA, sideAndKind.x), 1.0);
  vec4 b = projectionMatrix * viewMatrix * vec4(place(pialB, inflatedB, flatB, sideAndKind.x), 1.0);
  vec2 along = normalize((b.xy / b.w - a.xy / a.w) * pixels + 1e-6);
  vec4 end = corner.x < 0.5 ? a : b;
  float reach = corner.x < 0.5 ? -0.35 : 0.35;
  vec2 offset = (vec2(-along.y, along.x) * corner.y + along * reach) * width;
  end.xy += offset / pixels * 2.0 * end.w;
  end.z -= mix(0.0022, 0.0002, flattening) * end.w;
  across = corner.y;
  gl_Position = hidden ? vec4(2.0, 2.0, 2.0, 1.0) : end;
}
`;

export const LINE_FRAGMENT = /* glsl */ `
precision highp float;
uniform vec3 ink;
in float across;
out vec4 shown;

void main() {
  shown = vec4(ink, 1.0 - smoothstep(0.6, 1.0, abs(across) * 2.0));
}
`;
