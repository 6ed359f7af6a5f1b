"""The formulas of the paper, written a second time from its text, number by number, with NumPy loops."""

import numpy as np
from scipy.special import erf


def position_code(coordinates, bounds):
    """192 features: (axis, frequency, sine/cosine); the longest axis spans 0..100."""
    longest = max(bounds[1][axis] - bounds[0][axis] for axis in range(3))
    code = np.zeros((len(coordinates), 192))
    for i, point in enumerate(coordinates):
        for axis in range(3):
            x = (point[axis] - bounds[0][axis]) / longest * 100
            for k in range(32):
                frequency = 1000 ** (-k / 32)
                code[i, axis * 64 + k * 2] = np.sin(frequency * x)
                code[i, axis * 64 + k * 2 + 1] = np.cos(frequency * x)
    return code


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def mlp(code, weights):
    """192 -> 128 -> GELU -> 128 -> GELU -> out; the last layer has no bias."""
    hidden = gelu(code @ weights["1.weight"].T + weights["1.bias"])
    hidden = gelu(hidden @ weights["3.weight"].T + weights["3.bias"])
    return hidden @ weights["5.weight"].T


def interpolate(grid, x, y):
    """Bilinear value of a (D, H, W) grid at a point in [-1, 1]^2; it fades to 0 at the border."""
    depth, height, width = grid.shape
    column, row = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
    value = np.zeros(depth)
    for r in (int(np.floor(row)), int(np.floor(row)) + 1):
        for c in (int(np.floor(column)), int(np.floor(column)) + 1):
            if 0 <= r < height and 0 <= c < width:
                value += (1 - abs(row - r)) * (1 - abs(column - c)) * grid[:, r, c]
    return value


def predict(weights, code, local, global_):
    """Responses (B, N) of the paper's model from weights under the names of the authors' file."""
    space = np.tanh(mlp(code, part(weights, "space_selector_mlp.")))
    logits = mlp(code, part(weights, "layer_selector_mlp."))
    layer = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scale = 1 / (1 + np.exp(-mlp(code, part(weights, "scale_selector_mlp."))[:, 0]))
    omega, bias = weights["weight"], weights["bias"]
    voxels, depth = omega.shape
    responses = np.zeros((len(local[0]), voxels))
    for b in range(len(local[0])):
        maps, tokens = [], []
        for number in range(len(local)):
            align_local = weights[f"local_token_bottleneck.{number}.weight"][:, :, 0, 0]
            align_global = weights[f"global_token_bottleneck.{number}.weight"]
            maps.append(np.einsum("dc,chw->dhw", align_local, local[number][b]))
            tokens.append(align_global @ global_[number][b])
        for i in range(voxels):
            v = np.zeros(depth)
            for number in range(len(local)):
                here = interpolate(maps[number], space[i, 0], space[i, 1])
                v += layer[i, number] * ((1 - scale[i]) * here + scale[i] * tokens[number])
            responses[b, i] = (v * omega[i]).mean() + bias[i]
    return responses


def part(weights, prefix):
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
