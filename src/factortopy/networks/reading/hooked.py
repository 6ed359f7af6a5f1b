"""A PyTorch module read by hooks."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from factortopy.networks.preprocessing import Preprocessing, preprocessing_or_usual
from factortopy.networks.reading.hooks import record_copies, record_outputs
from factortopy.networks.reading.layered import LayeredNetwork, named_once
from factortopy.networks.reading.outputs import find_tensor


class HookedNetwork(LayeredNetwork):
    """Layers of a module that is called as ``module(images)``.

    Args:
        module: with its weights; it is set to eval mode.
        layers: names of modules inside it, as in ``module.named_modules()``. They come in the order in which
            they run.
        name, description, options: as in ``LayeredNetwork``.
        preprocessing: what to do to a photograph first; ImageNet's usual one if None, and then the description
            says so.

    Raises:
        UnknownNameError: if a layer does not exist.
        DataError: if a layer does not run, runs more than once, or gives no tokens.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Sequence[str],
        name: str,
        preprocessing: Preprocessing | None,
        *,
        description: str = "",
        **options: Any,
    ) -> None:
        self._hooked = tuple(named_once(layers))
        seen, description = preprocessing_or_usual(preprocessing, description)
        super().__init__(module, name, seen, layers=layers, description=description, **options)

    def _outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        return record_outputs(self._model, self._hooked, images, self._keep)

    def _first_outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        copies, self._overwritten = record_copies(self._model, self._hooked, images)
        return copies

    def _keep(self, layer: str, output: Any) -> Any:
        return find_tensor(layer, output).clone() if layer in self._overwritten else output
