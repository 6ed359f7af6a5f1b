"""Any PyTorch module as a network: the layers are named, and read by hooks."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import DataError
from factortopy.networks.hooks import find_modules, record_outputs
from factortopy.networks.layered import LayeredNetwork
from factortopy.networks.network import IMAGENET_PREPROCESSING, Network, Preprocessing
from factortopy.networks.outputs import FOUND, TokenRule


class ModuleNetwork(LayeredNetwork):
    """Layers of a module that is called as ``module(images)``.

    Args:
        module: with its weights; it is set to eval mode.
        layers: names of modules inside it, as in ``module.named_modules()``. They come in the order in which
            they run.
        name, preprocessing, options: as in ``LayeredNetwork``.

    Raises:
        UnknownNameError: if a layer does not exist.
        DataError: if a layer does not run, runs more than once, or gives no tokens.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        name: str,
        preprocessing: Preprocessing,
        **options: Any,
    ) -> None:
        if not layers or len(set(layers)) != len(layers):
            raise DataError(f"layers {list(layers)} are empty or repeat; name each layer once")
        find_modules(module, layers)
        self._hooked = tuple(layers)
        super().__init__(module, name, preprocessing, layers=layers, **options)

    def _outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        return record_outputs(self._model, self._hooked, images)


def network_from_module(
    module: nn.Module,
    layers: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    pretrained: bool = True,
    prefix_tokens: int | None = None,
    class_token: int | Literal["found"] | None = FOUND,
    channels_last: bool | None = None,
) -> Network:
    """Make a network of one's own PyTorch module.

    Args:
        module: called as ``module(images)``; it is set to eval mode.
        layers: names of modules inside it, in any order.
        preprocessing: how it was trained to see a photograph; ImageNet's usual one at 224 pixels if None,
            and then the description says so.
        name: of the network in every result; the class's name if None.
        description: where the weights come from.
        pretrained: whether the weights were trained.
        prefix_tokens: tokens of a sequence that belong to no place; found from its length if None.
        class_token: position of the class token, -1 if it is the last, None if there is none.
        channels_last: whether maps are (B, H, W, C); found from their shape if None.

    Raises:
        UnknownNameError: if a layer does not exist.
        DataError: if no layers are given, or one does not run, runs more than once, or gives no tokens.
    """
    kind = type(module).__name__
    if layers is None:
        known = [known_name for known_name, _ in module.named_modules() if known_name]
        raise DataError(
            f"which layers of {kind} are wanted? give layers=[...]; it has {', '.join(known[:12])}, ..."
        )
    description = description or f"weights of the given {kind}"
    if preprocessing is None:
        description += "; preprocessing not given, ImageNet's assumed"
    with torch.random.fork_rng(devices=[]):
        return ModuleNetwork(
            module,
            layers,
            name or kind,
            preprocessing or IMAGENET_PREPROCESSING,
            description=description,
            pretrained=pretrained,
            rule=TokenRule(prefix_tokens, class_token, channels_last),
        )
