"""The part that is common to networks whose layers are read as maps, sequences or vectors."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import DataError, FactortopyError, UnknownNameError, first_line
from factortopy.networks.network import Network, Tokens, check_images
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.reading.outputs import MapAndExtras, TokenRule, learn_layout, read_layout, settle_channels
from factortopy.networks.weights.state_dict import sha256_weights

# Two images tell the batch's axis from all others, as no grid has two places.
PROBE_IMAGES = 2
MOST_CHANGE = 1e-3
"""Of an image's tokens from one batch to another, of their norm; more where the type rounds more."""


class LayeredNetwork(Network):
    """A network of which a subclass gives raw outputs by layer; this class makes tokens of them.

    Args:
        model: holds the weights; set to eval mode. None if there are no weights to be seen.
        name: as the user calls it.
        preprocessing: what to do to a photograph first.
        description: where the weights come from.
        pretrained: whether the weights were trained.
        layers: names of the layers to take; all that ``outputs`` gives if None.
        rule: where the tokens stand in the outputs.
        weights_hash: SHA-256 of the weights; computed from ``model`` if None.
        unhashed: modules that give no tokens and are left out of the hash.

    Raises:
        UnknownNameError: if a layer does not exist.
        ShapeError: if a layer gives no tokens.
    """

    def __init__(
        self,
        model: nn.Module | None,
        name: str,
        preprocessing: Preprocessing,
        *,
        description: str = "",
        pretrained: bool = True,
        layers: Sequence[str] | None = None,
        rule: TokenRule | None = None,
        weights_hash: str | None = None,
        unhashed: tuple[str, ...] = (),
    ) -> None:
        self._model: Any = None if model is None else model.eval()
        self.name, self.description, self.pretrained = name, description, pretrained
        self.preprocessing = preprocessing
        self.device = device_of(model)
        self.dtype = torch.float32
        self.unhashed = unhashed
        self.weights_hash = weights_hash or ("" if model is None else hash_of(model, unhashed))
        self._rule = rule or TokenRule()
        self._look(layers)

    @property
    def module(self) -> nn.Module:
        """What holds the weights.

        Raises:
            UnavailableError: if they cannot be seen: of a function.
        """
        if self._model is None:
            return super().module
        model: nn.Module = self._model
        return model

    @abstractmethod
    def _outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        """Raw outputs of all layers (at least of those taken), by name, in order of depth."""

    def tokens(self, images: Float[Tensor, "B 3 H W"]) -> Tokens:
        """Tokens of preprocessed images, each layer at its own resolution. Gradients flow where enabled.

        Raises:
            ShapeError: if the images are not of the size this network takes.
        """
        check_images(self, images)
        outputs = self._outputs(images.to(self.device, self.dtype))
        pairs = [self._read(layer, outputs[layer]) for layer in self.layers]
        local = tuple(places for places, _ in pairs)
        registers = tuple(extras[:, self._registers] for _, extras in pairs) if self._registers else ()
        if self._class_token is None:
            return Tokens(local, tuple(places.mean((2, 3), dtype=torch.float32) for places in local), registers)
        return Tokens(local, tuple(extras[:, self._class_token] for _, extras in pairs), registers)

    def to(self, device: torch.device | str) -> Self:
        """Move the weights to a device; returns the network itself."""
        self.device = torch.device(device)
        if self._model is not None:
            self._model.to(self.device)
        return self

    def _chosen(self, names: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        return choose_layers(names, wanted)

    def _read(self, layer: str, output: Any, /) -> MapAndExtras:
        """A layer's output as a map, and the tokens that belong to no place."""
        return read_layout(layer, output, self._layouts[layer])

    def _look(self, wanted: Sequence[str] | None) -> None:
        """Learn the layers' names and shapes by sending images of noise through the network."""
        images = self._probe(PROBE_IMAGES)
        outputs = self._run_first(images)
        chosen = self._chosen(tuple(outputs), wanted)
        rule = settle_channels(outputs, images, self._rule)
        layouts = {layer: learn_layout(layer, outputs[layer], images, rule) for layer in chosen}
        self.layers, self._layouts = chosen, layouts
        if len({(layout.extras, layout.class_token) for layout in layouts.values()}) > 1:
            with_class = [layer for layer, layout in layouts.items() if layout.extras]
            raise DataError(
                f"of the layers, only {', '.join(with_class)} have prefix tokens, or not all the same; take "
                "layers of one kind, so that the global token means the same in all"
            )
        pairs = [self._read(layer, outputs[layer]) for layer in chosen]
        self._settle_shapes(pairs)
        self._check_steady(images, pairs)
        class_token = layouts[chosen[0]].class_token
        self._settle_tokens(class_token, [index for index in range(self.prefix_tokens) if index != class_token])

    def _probe(self, count: int) -> Float[Tensor, "B 3 H W"]:
        """Images of noise, always the same."""
        noise = torch.Generator().manual_seed(0)
        with torch.device("cpu"):
            return torch.randn(count, 3, *self.preprocessing.size, generator=noise).to(self.device)

    def _run_first(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        """Outputs for the first images, which also tell the floating-point type that the network takes.

        Raises:
            DataError: if the network does not run on images alone.
        """
        reason: Exception | None = None
        for dtype in _floating_types(self._model):
            self.dtype = dtype
            try:
                with torch.no_grad():
                    return self._first_outputs(images.to(dtype))
            except FactortopyError:
                raise
            # Whatever a module of anybody's raises
            except Exception as error:
                reason = reason or error
        shape = f"(2, 3, {self.preprocessing.size[0]}, {self.preprocessing.size[1]})"
        raise self._cannot_run(f"on a batch of RGB images {shape}: {first_line(reason or TypeError())}") from reason

    def _first_outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        return self._outputs(images)

    def _cannot_run(self, how: str) -> FactortopyError:
        """The error of a network that does not run."""
        kind = "the function" if self._model is None else type(self._model).__name__
        remedy = "give one that takes images of preprocessing.size and nothing else, such as the image tower alone"
        return DataError(f"{kind} of network {self.name!r} does not run {how}; {remedy}")

    def _check_steady(self, images: Tensor, before: Sequence[MapAndExtras]) -> None:
        """Refuse tokens that are random, or those of an image that change with the other images of its batch."""
        if self.device.type == "meta":
            return
        other = torch.stack([images[0], images[1].flip(-1)]).to(self.dtype)
        with torch.no_grad():
            outputs = self._outputs(other)
        limit = max(MOST_CHANGE, 4 * torch.finfo(self.dtype).eps)
        for layer, parts in zip(self.layers, before, strict=True):
            for first, second in zip(parts, self._read(layer, outputs[layer]), strict=True):
                expected, change = first[0].double(), (second[0].double() - first[0].double()).norm()
                if change > limit * expected.norm():
                    raise DataError(
                        f"layer {layer!r} of {self.name} gives one image other tokens each time or in another batch; "
                        "switch off what does so in eval mode: dropout, statistics of the batch, dynamic quantisation"
                    )

    def _settle_shapes(self, pairs: Sequence[MapAndExtras]) -> None:
        self.channels = tuple(places.shape[1] for places, _ in pairs)
        self.grids = tuple((places.shape[2], places.shape[3]) for places, _ in pairs)
        self.prefix_tokens = pairs[0][1].shape[1]

    def _settle_tokens(self, class_token: int | None, registers: Sequence[int]) -> None:
        """Which of the prefix tokens is the class token, and which are registers."""
        self._class_token, self._registers = class_token, list(registers)
        self.global_token: Literal["class", "pooled"] = "pooled" if class_token is None else "class"
        self.register_tokens = len(self._registers)


def device_of(model: nn.Module | None) -> torch.device:
    """Where a model's weights are; the CPU if it has none."""
    parameter = None if model is None else next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def hash_of(model: nn.Module, without: Iterable[str] = ()) -> str:
    """SHA-256 of a model's weights without some modules; empty for a mere structure (device ``meta``)."""
    return "" if device_of(model).type == "meta" else sha256_weights(model, without)


def choose_layers(names: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The layers wanted in order of depth; all if None.

    Raises:
        DataError: if they are no list of names, empty or repeat.
        UnknownNameError: if one does not exist.
    """
    if wanted is None:
        return tuple(names)
    for name in named_once(wanted):
        if name not in names:
            raise UnknownNameError("layer", name, names)
    return tuple(name for name in names if name in wanted)


def named_once(layers: Sequence[str]) -> Sequence[str]:
    """The names of layers, if they are a list of names, not empty, and none repeats; else a ``DataError``."""
    if isinstance(layers, str) or not layers or len(set(layers)) != len(layers):
        raise DataError(f"layers {layers!r} are no list, empty or repeat; name each layer once")
    if not all(isinstance(layer, str) for layer in layers):
        raise DataError(f"layers {list(layers)} are no names; give text, e.g. layers=[{str(layers[0])!r}]")
    return layers


def _floating_types(model: nn.Module | None) -> list[torch.dtype]:
    """Floating-point types of a model's weights in order of appearance; float32 if it has none."""
    tensors = () if model is None else (*model.parameters(), *model.buffers())
    return list(dict.fromkeys([t.dtype for t in tensors if t.is_floating_point()])) or [torch.float32]
