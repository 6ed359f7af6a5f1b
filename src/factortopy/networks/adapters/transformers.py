"""Vision networks of transformers, read through their hidden states."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import DataError, FactortopyError, UnavailableError, first_line, import_extra
from factortopy.machine import seeded
from factortopy.networks.adapters.transformers_preprocessing import transformers_preprocessing
from factortopy.networks.family import Layers, ModuleAndPreprocessing, ModuleFamily, NetworkSource, StateDict
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import IMAGENET_PREPROCESSING, Preprocessing, preprocessing_or_usual
from factortopy.networks.reading.layered import LayeredNetwork, choose_layers
from factortopy.networks.weights.matching import check_values, find_prefix, refuse_misfits
from factortopy.networks.weights.remote import HubFile

# Where two-tower models keep the part that sees images
TOWERS = ("vision_model", "vision_encoder", "vision_tower")
# Modules after the last hidden state
HEADS = ("pooler", "head", "classifier", "post_layernorm", "vision_model.post_layernorm")


class TransformersNetwork(LayeredNetwork):
    """The hidden states of a vision model of transformers; ``hidden_states.1`` is what its first block gives.

    Args:
        model: a vision model, called as ``model(pixel_values=images)``.
        name, preprocessing, options: as in ``LayeredNetwork``.

    Raises:
        UnavailableError: if the model gives no hidden states, or takes more than images.
    """

    def _cannot_run(self, how: str) -> FactortopyError:
        return UnavailableError(
            f"transformers' {type(self._model).__name__} does not run {how}; name modules of its image tower: "
            "load_network(tower, layers=[...])"
        )

    def _outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        output = self._model(pixel_values=images, output_hidden_states=True, **self._in_order(images))
        # Networks whose states are sequences on a changing grid also give them as maps.
        states = getattr(output, "reshaped_hidden_states", None) or getattr(output, "hidden_states", None)
        if not states or any(state is None for state in states):
            raise UnavailableError(
                f"transformers' {type(self._model).__name__} gives no hidden states; name its modules: "
                "load_network(model, layers=[...])"
            )
        return {f"hidden_states.{index}": state for index, state in enumerate(states)}

    def _in_order(self, images: Float[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Masked autoencoders drop and shuffle patches by random numbers; rising numbers keep their order."""
        config = self._model.config
        # Hiera, of patches that overlap, masks in pre-training alone.
        if not hasattr(config, "mask_ratio") or not isinstance(config.patch_size, int):
            return {}
        places = (images.shape[2] // config.patch_size) * (images.shape[3] // config.patch_size)
        return {"noise": torch.arange(places, device=images.device).expand(len(images), -1)}

    def _chosen(self, names: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        """The hidden states wanted; all but the embedding if None."""
        config = self._model.config
        blocks = getattr(config, "num_hidden_layers", None) or len(getattr(config, "depths", ()))
        return choose_layers(names, names[1:] if wanted is None and len(names) == blocks + 1 else wanted)


class Transformers(ModuleFamily):
    """Vision networks of transformers, from a repository of the model hub or a folder like one."""

    name, package = "hf", "transformers"

    def remote(self, source: NetworkSource) -> HubFile:
        """The repository's weights."""
        return HubFile(source.architecture)

    def create(self, source: NetworkSource, weights: StateDict | None, seed: int) -> ModuleAndPreprocessing:
        """Make the module, of which the repository's configuration decides structure and preprocessing."""
        config, seen = _configuration(source.architecture)
        return create_from_config(config, weights, seed, source.architecture), seen

    def network(self, module: nn.Module, layers: Layers, seen: Preprocessing | None, **facts: Any) -> Network:
        """The hidden states wanted; all but the embedding (``hidden_states.0``) if None.

        Of a two-tower model the image tower is taken. A masked autoencoder is set to mask nothing.
        """
        tower: Any = image_tower(module)
        if hasattr(tower.config, "mask_ratio"):
            tower.config.mask_ratio = 0.0
        seen, facts["description"] = preprocessing_or_usual(seen, facts["description"], _input_size(tower))
        return TransformersNetwork(tower, preprocessing=seen, layers=layers, **facts)

    def reads(self, _module: nn.Module, layers: Sequence[str], /) -> bool:
        """Whether all are hidden states."""
        return all(layer.startswith("hidden_states.") for layer in layers)


def image_tower(model: nn.Module) -> nn.Module:
    """The part of a transformers model that sees images; the model itself if it is no more than that."""
    for part in TOWERS:
        tower = getattr(model, part, None)
        if isinstance(tower, nn.Module):
            return tower
    return model


def _configuration(architecture: str) -> tuple[Any, Preprocessing]:
    """The configuration of a model, and its preprocessing."""
    library = import_extra("transformers", "transformers")
    folder = Path(architecture)
    named = (("config.json",), ("preprocessor_config.json", "processor_config.json"))
    if not folder.is_dir():
        _, file = (HubFile(architecture, names).fetch() for names in named)
        folder = file.parent
    try:
        config = library.AutoConfig.from_pretrained(folder)
        with _quiet():
            processor = library.AutoImageProcessor.from_pretrained(folder)
    # Whatever the library raises of files that it cannot read
    except Exception as error:
        reason = first_line(error)
        raise DataError(f"the configuration of transformers' {architecture} cannot be read: {reason}") from error
    return config, transformers_preprocessing(processor)


def create_from_config(config: Any, state: Mapping[str, Tensor] | None, seed: int, name: str) -> nn.Module:
    """Make the image network of a configuration of transformers, as ``ModuleFamily.create`` does of a source."""
    from transformers import AutoModel

    config = deepcopy(getattr(config, "vision_config", config))
    with seeded(seed):
        model: Any = AutoModel.from_config(config)
        if state is None:
            return model
        check_values(state, model, name)
        loaded, faults = _load(model, state, name)
        prefix = find_prefix(state, model.state_dict(), name) if faults["missing"] else ""
        if prefix:
            inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            loaded, faults = _load(model, inside, name)
    refuse_misfits(name, faults, prefix)
    return loaded


def _load(model: Any, state: Mapping[str, Tensor], name: str) -> tuple[nn.Module, dict[str, list[str]]]:
    """A model like this one with weights, and what of them does not fit, by kind.

    The library's own loader also knows the names of its earlier versions.
    """
    floating = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    options = {"ignore_mismatched_sizes": True, "output_loading_info": True}
    try:
        with _quiet():
            loaded, report = type(model).from_pretrained(None, config=model.config, state_dict=floating, **options)
    # Whatever the library raises of weights that it does not expect
    except Exception as error:
        raise DataError(f"the weights do not fit {name}: {first_line(error)}; give those of this network") from error
    parts = {key.split(".")[0] for key in model.state_dict()}
    parts |= {f"{model.base_model_prefix}.{part}" for part in parts}
    # Some versions give the shapes beside a name.
    differ = [key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]]
    return loaded, {
        "missing": [key for key in report["missing_keys"] if not key.startswith(HEADS)],
        "unexpected": [key for key in report["unexpected_keys"] if key.startswith(tuple(f"{part}." for part in parts))],
        "of another shape": [key for key in differ if not key.startswith(HEADS)],
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """No report or bar of transformers': what is wrong is raised."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _input_size(model: Any) -> tuple[int, int]:
    size = getattr(model.config, "image_size", None) or IMAGENET_PREPROCESSING.size
    return (size, size) if isinstance(size, int) else (size[0], size[1])


TRANSFORMERS = Transformers()
