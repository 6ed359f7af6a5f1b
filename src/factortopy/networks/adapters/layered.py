"""The part that is common to networks whose layers are read as maps, sequences or vectors."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import DataError, UnknownNameError
from factortopy.networks.adapters.outputs import Layout, TokenRule, learn_layout, read_layout, settle_channels
from factortopy.networks.network import Network, Preprocessing, Tokens, check_images
from factortopy.networks.weights.weights import sha256_weights

# Two images tell the batch's axis from all others, as no grid has two places.
PROBE_IMAGES = 2


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
    ) -> None:
        self._model: Any = None if model is None else model.eval()
        self.name, self.description, self.pretrained = name, description, pretrained
        self.preprocessing = preprocessing
        self.device = device_of(model)
        self.weights_hash = weights_hash or ("" if model is None else hash_of(model))
        self._look(layers, rule or TokenRule())

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
        outputs = self._outputs(images.to(self.device))
        pairs = [read_layout(layer, outputs[layer], layout) for layer, layout in self._layouts.items()]
        local = tuple(places for places, _ in pairs)
        registers = tuple(self._registers(extras) for _, extras in pairs) if self.register_tokens else ()
        if self.global_token == "class":
            position = next(iter(self._layouts.values())).class_token
            return Tokens(local, tuple(extras[:, position] for _, extras in pairs), registers)
        return Tokens(local, tuple(places.mean((2, 3), dtype=torch.float32) for places in local), registers)

    def to(self, device: torch.device | str) -> Self:
        """Move the weights to a device; returns the network itself."""
        self.device = torch.device(device)
        if self._model is not None:
            self._model.to(self.device)
        return self

    def _chosen(self, names: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        return choose_layers(names, wanted)

    def _registers(self, extras: Float[Tensor, "B E C"]) -> Float[Tensor, "B R C"]:
        position = next(iter(self._layouts.values())).class_token
        if position is None:
            return extras
        return torch.cat([extras[:, :position], extras[:, position + 1 :]], dim=1)

    def _look(self, wanted: Sequence[str] | None, rule: TokenRule) -> None:
        """Learn the layers' names and shapes by sending grey images through the network."""
        images = torch.zeros(PROBE_IMAGES, 3, *self.preprocessing.size, device=self.device)
        with torch.no_grad():
            outputs = self._outputs(images)
        chosen = self._chosen(tuple(outputs), wanted)
        rule = settle_channels(outputs, images, rule)
        self._layouts: dict[str, Layout] = {
            layer: learn_layout(layer, outputs[layer], images, rule) for layer in chosen
        }
        layouts = tuple(self._layouts.values())
        positions = {layout.class_token for layout in layouts}
        if len({(layout.extras, layout.class_token) for layout in layouts}) > 1:
            with_class = [layer for layer, layout in self._layouts.items() if layout.extras]
            raise DataError(
                f"of the layers, only {', '.join(with_class)} have prefix tokens, or not all the same; take "
                "layers of one kind, so that the global token means the same in all"
            )
        self.layers = chosen
        self.channels = tuple(layout.channels for layout in layouts)
        self.grids = tuple(layout.grid for layout in layouts)
        self.prefix_tokens = layouts[0].extras
        self.global_token: Literal["class", "pooled"] = "pooled" if positions == {None} else "class"
        self.register_tokens = self.prefix_tokens - (self.global_token == "class")


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
        DataError: if they are empty or repeat.
        UnknownNameError: if one does not exist.
    """
    if wanted is None:
        return tuple(names)
    if not wanted or len(set(wanted)) != len(wanted):
        raise DataError(f"layers {list(wanted)} are empty or repeat; name each layer once")
    for name in wanted:
        if name not in names:
            raise UnknownNameError("layer", name, names)
    return tuple(name for name in names if name in wanted)
