"""Recognise what a layer gives, a map, a sequence or a vector, and read its tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from factortopy.errors import ShapeError

MOST_PREFIX_TOKENS = 16
FOUND: Literal["found"] = "found"

MapAndExtras = tuple[Float[Tensor, "B C H W"], Float[Tensor, "B E C"]]
"""Places as a map, and the tokens that belong to no place (E may be 0)."""


@dataclass(frozen=True)
class TokenRule:
    """Where the tokens of a layer's output stand; what is not given is found from the output's shape.

    Args:
        prefix_tokens: tokens of a sequence that belong to no place: class token and registers. If None, the
            fewest that leave as many tokens as a grid of the image's aspect has places.
        class_token: position of the class token among them (-1: at the end of the sequence); None if there
            is none, so that the global token is the mean over places. ``"found"``: the first prefix token.
        channels_last: whether maps are (B, H, W, C), not (B, C, H, W).
    """

    prefix_tokens: int | None = None
    class_token: int | Literal["found"] | None = FOUND
    channels_last: bool | None = None


@dataclass(frozen=True)
class TokenLayout:
    """How a layer's output is laid out, learnt once from a batch of known size.

    Args:
        kind: a map, a sequence of tokens or one vector an image.
        grid: height and width of the places; (1, 1) for a vector.
        channels: number of channels.
        channels_last: of a map.
        sequence_first: whether a sequence is (T, B, C), not (B, T, C).
        extras: tokens of a sequence that belong to no place.
        class_token: position of the class token among them; None if there is none.
        class_last: whether the class token ends the sequence.
    """

    kind: Literal["map", "sequence", "vector"]
    grid: tuple[int, int]
    channels: int
    channels_last: bool = False
    sequence_first: bool = False
    extras: int = 0
    class_token: int | None = None
    class_last: bool = False


def learn_layout(layer: str, output: Any, images: Float[Tensor, "B 3 H W"], rule: TokenRule) -> TokenLayout:
    """Recognise the output of a layer.

    Args:
        layer: its name, for messages.
        output: what it gave for ``images``.
        images: the batch; its size tells batch from tokens, its aspect tells places from channels.
        rule: what is known beforehand.

    Raises:
        ShapeError: if the output is none of the kinds known, or its shape leaves the kind open.
    """
    tensor = find_tensor(layer, output)
    count, size = len(images), (images.shape[2], images.shape[3])
    if tensor.ndim == 3 and count in tensor.shape[:2]:
        return _sequence_layout(layer, tensor, count, size, rule)
    if tensor.ndim == 4 and tensor.shape[0] == count:
        return _map_layout(layer, tensor, size, rule)
    if tensor.ndim == 2 and tensor.shape[0] == count:
        return TokenLayout("vector", (1, 1), tensor.shape[1])
    raise ShapeError(
        f"layer {layer!r} gave {summary(output)} for {count} images; expected a map (B, C, H, W) or "
        "(B, H, W, C), a sequence (B, T, C) or a vector (B, C): name another module"
    )


def settle_channels(outputs: Mapping[str, Any], images: Float[Tensor, "B 3 H W"], rule: TokenRule) -> TokenRule:
    """The rule, with the side of the channels on which all maps agree whose shape tells it."""
    if rule.channels_last is not None:
        return rule
    size = (images.shape[2], images.shape[3])
    maps = [output for output in outputs.values() if isinstance(output, Tensor) and output.ndim == 4]
    sides = {_channels_last(tensor, size) for tensor in maps} - {None}
    return replace(rule, channels_last=sides.pop()) if len(sides) == 1 else rule


def read_layout(layer: str, output: Any, layout: TokenLayout) -> MapAndExtras:
    """Places as a map, and the tokens that belong to no place (E may be 0), the class token among them."""
    tensor = find_tensor(layer, output)
    if layout.kind == "vector":
        return tensor[:, :, None, None], tensor[:, None][:, :0]
    if layout.kind == "map":
        return without_extras(tensor.movedim(-1, 1) if layout.channels_last else tensor)
    sequence = tensor.transpose(0, 1) if layout.sequence_first else tensor
    if layout.class_last:
        sequence = sequence.roll(1, dims=1)
    places = sequence[:, layout.extras :].transpose(1, 2).unflatten(2, layout.grid)
    return places, sequence[:, : layout.extras]


def without_extras(places: Float[Tensor, "B C H W"]) -> MapAndExtras:
    """A map that comes without tokens that belong to no place."""
    return places, places.new_zeros(len(places), 0, places.shape[1])


def find_tensor(layer: str, output: Any) -> Tensor:
    """The tensor of features in a layer's output.

    It is the output itself, the first tensor of a tuple or list, or of a dict (or model output)
    ``last_hidden_state``, or its only tensor.

    Raises:
        ShapeError: if there is none, or the choice is open.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        tensors = {key: value for key, value in output.items() if isinstance(value, Tensor)}
        if "last_hidden_state" in tensors:
            return tensors["last_hidden_state"]
        if len(tensors) == 1:
            return next(iter(tensors.values()))
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for entry in output:
            if isinstance(entry, Tensor):
                return entry
    raise ShapeError(
        f"layer {layer!r} gave {summary(output)}; expected a tensor, a tuple that has one, or a dict with "
        "'last_hidden_state' or one tensor only: name another module"
    )


def summary(output: Any) -> str:
    """A value's type, with shapes, in a few words."""
    if isinstance(output, Tensor):
        return f"a tensor {tuple(output.shape)}"
    if isinstance(output, Mapping):
        inside = ", ".join(f"{key}: {summary(value)}" for key, value in list(output.items())[:6])
        return f"a {type(output).__name__} ({inside})"
    if isinstance(output, tuple | list):
        inside = ", ".join(summary(value) for value in output[:6])
        return f"a {type(output).__name__} of {len(output)} ({inside})"
    return "None" if output is None else f"a value of type {type(output).__name__}"


def grid_of(places: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """The grid of the image's aspect with so many places; None if there is none."""
    height = isqrt(places * size[0] // size[1]) if places > 0 else 0
    for rows in (height, height + 1):
        if rows > 0 and places % rows == 0 and rows * size[1] == places // rows * size[0]:
            return rows, places // rows
    return None


def _sequence_layout(layer: str, tensor: Tensor, count: int, size: tuple[int, int], rule: TokenRule) -> TokenLayout:
    sequence_first = tensor.shape[0] != count
    length = tensor.shape[0 if sequence_first else 1]
    few = range(min(MOST_PREFIX_TOKENS, length - 4) + 1) if length >= 4 else range(1)
    candidates = few if rule.prefix_tokens is None else (rule.prefix_tokens,)
    for extras in candidates:
        grid = grid_of(length - extras, size)
        if grid is not None:
            break
    else:
        given = "no" if rule.prefix_tokens is None else f"not with prefix_tokens={rule.prefix_tokens} a"
        raise ShapeError(
            f"layer {layer!r} gave {summary(tensor)}: its {length} tokens fill {given} grid of an image of "
            f"{size[0]} x {size[1]} pixels: give prefix_tokens=NUMBER, or name another module"
        )
    position = rule.class_token
    if position == FOUND:
        position = 0 if extras else None
    if position is not None and not -1 <= position < max(extras, 1):
        raise ShapeError(
            f"class_token={position} is not among the {extras} prefix tokens of layer {layer!r} "
            f"({summary(tensor)}); give 0 to {max(extras - 1, 0)}, -1 (the last) or None"
        )
    if position is not None and extras == 0:
        raise ShapeError(f"layer {layer!r} gave {summary(tensor)}, all places; it has no class token")
    return TokenLayout(
        "sequence",
        grid,
        tensor.shape[2],
        sequence_first=sequence_first,
        extras=extras,
        class_token=0 if position == -1 else position,
        class_last=position == -1,
    )


def _map_layout(layer: str, tensor: Tensor, size: tuple[int, int], rule: TokenRule) -> TokenLayout:
    _, first, second, third = tensor.shape
    channels_last = _channels_last(tensor, size) if rule.channels_last is None else rule.channels_last
    if channels_last is None:
        raise ShapeError(
            f"layer {layer!r} gave {summary(tensor)}, whose shape does not tell where the channels are: "
            "give channels_last=True or False"
        )
    if channels_last:
        return TokenLayout("map", (first, second), third, channels_last=True)
    return TokenLayout("map", (second, third), first)


def _channels_last(tensor: Tensor, size: tuple[int, int]) -> bool | None:
    """Whether a map's channels come last: the places have the image's aspect. None if both sides have it."""
    _, first, second, third = tensor.shape
    # Only where no side has it exactly may a height or width have been rounded.
    for slack in (1, max(size)):
        is_first, is_last = _has_aspect(second, third, size, slack), _has_aspect(first, second, size, slack)
        if is_first != is_last:
            return is_last
    return None


def _has_aspect(height: int, width: int, size: tuple[int, int], slack: int) -> bool:
    return abs(height * size[1] - width * size[0]) < slack
