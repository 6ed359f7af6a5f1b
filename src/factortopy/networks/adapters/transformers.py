"""Vision networks of transformers, read through their hidden states."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import DataError, FactortopyError, MissingExtraError, UnavailableError, first_line
from factortopy.machine import seeded
from factortopy.networks.adapters.layered import LayeredNetwork, choose_layers
from factortopy.networks.adapters.transformers_preprocessing import transformers_preprocessing
from factortopy.networks.network import ASSUMED, IMAGENET_PREPROCESSING, Network, Preprocessing
from factortopy.networks.weights.weights import hub_file

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

    def __init__(self, model: nn.Module, name: str, preprocessing: Preprocessing, **options: Any) -> None:
        try:
            super().__init__(model, name, preprocessing, **options)
        except (TypeError, ValueError) as error:
            if isinstance(error, FactortopyError):
                raise
            raise UnavailableError(
                f"transformers' {type(model).__name__} does not run on images alone ({error}); name modules "
                "of its image tower: load_network(tower, layers=[...])"
            ) from error

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
        if not hasattr(config, "mask_ratio"):
            return {}
        places = (images.shape[2] // config.patch_size) * (images.shape[3] // config.patch_size)
        return {"noise": torch.arange(places, device=images.device).expand(len(images), -1)}

    def _chosen(self, names: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
        """The hidden states wanted; all but the embedding if None."""
        config = self._model.config
        blocks = getattr(config, "num_hidden_layers", None) or len(getattr(config, "depths", ()))
        return choose_layers(names, names[1:] if wanted is None and len(names) == blocks + 1 else wanted)


def network_from_transformers(
    model: nn.Module,
    layers: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    *,
    name: str,
    description: str,
    pretrained: bool,
) -> Network:
    """Make a network of a vision model of transformers.

    Args:
        model: with its weights; of a two-tower model, the image tower is taken. A masked autoencoder is set
            to mask nothing.
        layers: ``hidden_states.1``, ...; all but the embedding (``hidden_states.0``) if None.
        preprocessing: how it was trained to see a photograph; ImageNet's at the model's size if None.
        name, description, pretrained: as in ``build_transformers``.

    Raises:
        UnavailableError: if the model gives no hidden states.
        UnknownNameError: if a layer does not exist.
    """
    tower: Any = image_tower(model)
    if hasattr(tower.config, "mask_ratio"):
        tower.config.mask_ratio = 0.0
    rules = preprocessing or replace(IMAGENET_PREPROCESSING, size=_input_size(tower))
    description += "" if preprocessing else ASSUMED
    return TransformersNetwork(tower, name, rules, description=description, pretrained=pretrained, layers=layers)


def build_transformers(
    architecture: Any,
    state: Mapping[str, Tensor] | None = None,
    *,
    seed: int = 0,
    layers: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    name: str | None = None,
    description: str | None = None,
    pretrained: bool | None = None,
) -> Network:
    """Build a vision network of transformers.

    Args:
        architecture: a repository of the model hub, e.g. ``"facebook/dinov2-base"``, of which only the
            configuration is read; a folder that has it; or a configuration object.
        state: state dict of the network, or of a larger one that it is a part of; None for random weights.
        seed: of the random weights.
        layers: ``hidden_states.1``, ...; all but the embedding (``hidden_states.0``) if None.
        preprocessing: how it was trained to see a photograph; the repository's if None.
        name: of the network in every result; ``transformers/ARCHITECTURE`` if None.
        description: where the weights come from.
        pretrained: whether the weights were trained; whether ``state`` is given if None.

    Raises:
        UnavailableError: if transformers is not installed, the configuration cannot be had, or the model
            gives no hidden states.
        UnknownNameError: if a layer does not exist.
        DataError: if the weights do not fit.
    """
    config, seen = _configuration(architecture)
    label = architecture if isinstance(architecture, str) else type(config).__name__
    model = _create(config, state, seed, label)
    return network_from_transformers(
        model,
        layers,
        preprocessing or seen,
        name=name or f"transformers/{label}",
        description=description or f"{'random' if state is None else 'given'} weights; transformers {label}",
        pretrained=state is not None if pretrained is None else pretrained,
    )


def image_tower(model: nn.Module) -> nn.Module:
    """The part of a transformers model that sees images; the model itself if it is no more than that."""
    for part in TOWERS:
        tower = getattr(model, part, None)
        if isinstance(tower, nn.Module):
            return tower
    return model


def _configuration(architecture: Any) -> tuple[Any, Preprocessing | None]:
    """The configuration of a model, of its image tower alone where it has two; and its preprocessing."""
    try:
        from transformers import AutoConfig
    except ImportError:
        raise MissingExtraError("transformers", "transformers is not installed; install it") from None
    if not isinstance(architecture, str):
        return getattr(architecture, "vision_config", architecture), None
    folder = Path(architecture)
    files = [
        folder / file if folder.is_dir() else hub_file(architecture, file)
        for file in ("config.json", "preprocessor_config.json")
    ]
    try:
        config = AutoConfig.from_pretrained(files[0].parent)
        seen = transformers_preprocessing(json.loads(files[1].read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, FactortopyError):
            raise
        reason = first_line(error)
        raise DataError(f"the configuration of transformers' {architecture} cannot be read: {reason}") from error
    return getattr(config, "vision_config", config), seen


def _create(config: Any, state: Mapping[str, Tensor] | None, seed: int, name: str) -> nn.Module:
    from transformers import AutoModel

    config = deepcopy(config)
    with seeded(seed):
        model: Any = AutoModel.from_config(config)
        if state is None:
            return model
        # The library's own loader also knows the names of its earlier versions.
        with _quiet():
            model, report = type(model).from_pretrained(
                None, config=config, state_dict=dict(state), output_loading_info=True
            )
    parts = {key.split(".")[0] for key in model.state_dict()}
    parts |= {f"{model.base_model_prefix}.{part}" for part in parts}
    faults = {
        "missing": [key for key in report["missing_keys"] if not key.startswith(HEADS)],
        "unexpected": [key for key in report["unexpected_keys"] if key.startswith(tuple(f"{part}." for part in parts))],
        "of another shape": [str(key) for key in report["mismatched_keys"]],
    }
    found = [f"{len(keys)} {kind} ({', '.join(sorted(keys)[:4])})" for kind, keys in faults.items() if keys]
    if found:
        raise DataError(f"the weights do not fit {name}: {'; '.join(found)}; give those of this network")
    return model


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
