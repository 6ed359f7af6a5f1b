"""A plain Python function as a network."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.reading.layered import LayeredNetwork
from factortopy.networks.reading.outputs import FOUND, TokenRule, summary


class FunctionNetwork(LayeredNetwork):
    """Layers that a function gives.

    Args:
        function: images (B, 3, H, W) to outputs by layer, shallow to deep.
        name, preprocessing, options: as in ``LayeredNetwork``.

    Raises:
        DataError: if the function gives no layers by name.
    """

    def __init__(
        self, function: Callable[[Tensor], Mapping[str, Any]], name: str, preprocessing: Preprocessing, **options: Any
    ) -> None:
        self._function = function
        super().__init__(None, name, preprocessing, **options)

    def _outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        outputs = self._function(images)
        if not isinstance(outputs, Mapping) or not outputs or not all(isinstance(name, str) for name in outputs):
            raise DataError(
                f"the function of network {self.name!r} gave {summary(outputs)}; expected a dict of layers, "
                "{'name': map or sequence, ...}, shallow to deep"
            )
        return outputs


def network_from_function(
    function: Callable[[Tensor], Mapping[str, Any]],
    preprocessing: Preprocessing,
    name: str,
    *,
    version: str = "1",
    layers: Sequence[str] | None = None,
    description: str | None = None,
    pretrained: bool = True,
    prefix_tokens: int | None = None,
    class_token: int | Literal["found"] | None = FOUND,
    channels_last: bool | None = None,
) -> Network:
    """Make a network of a function that gives layers by name.

    Args:
        function: images (B, 3, H, W) to ``{layer: map or sequence}``, shallow to deep. A map is
            (B, C, H, W) or (B, H, W, C), a sequence (B, T, C).
        preprocessing: what to do to a photograph first; its size is that of the images.
        name: of the network in every result.
        version: change it when the function or its weights change: it stands in for the weights' hash, by
            which stored tokens are told apart.
        layers: names of the layers to take; all if None.
        description: what the function is.
        pretrained: whether it was trained.
        prefix_tokens, class_token, channels_last: as in ``network_from_module``.

    Raises:
        UnknownNameError: if a layer does not exist.
        DataError: if the function gives no layers by name, or one that is neither map nor sequence.

    Example:
        >>> def colours(batch):  # (image, 3, height, width) -> one map
        ...     return {"colours": torch.nn.functional.avg_pool2d(batch, 8)}
        >>> plain = ft.Preprocessing((64, 64), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
        >>> network = ft.network_from_function(colours, plain, "mean colours")
        >>> network.layers
        ('colours',)
    """
    return FunctionNetwork(
        function,
        name,
        preprocessing,
        description=description or f"a function of the user's, version {version}",
        pretrained=pretrained,
        layers=layers,
        rule=TokenRule(prefix_tokens, class_token, channels_last),
        weights_hash=hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
    )
