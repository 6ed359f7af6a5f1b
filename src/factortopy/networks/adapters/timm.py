"""Any network of timm, read through its ``forward_intermediates``."""

import inspect
from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import UnavailableError
from factortopy.machine import seeded
from factortopy.networks.adapters.layered import choose_layers, device_of, hash_of
from factortopy.networks.network import Network, Preprocessing, Tokens, check_images
from factortopy.networks.weights.matching import find_prefix, fit_weights


class TimmNetwork(Network):
    """A timm model as a ``Network``.

    Args:
        model: a timm model with its weights.
        name: as the user calls it.
        description: where the weights come from.
        pretrained: whether the weights were trained.
        layers: names of the layers to take; all if None. They come in order of depth.
        preprocessing: what to do to a photograph first; the model's own if None.

    Raises:
        UnknownNameError: if a layer does not exist.
        UnavailableError: if the model cannot give intermediate maps.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        description: str,
        pretrained: bool,
        layers: Sequence[str] | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        if not hasattr(model, "forward_intermediates"):
            raise UnavailableError(f"network {name!r} gives no intermediate layers in timm; choose another network")
        self._model: Any = model.eval()
        self.name, self.description, self.pretrained = name, description, pretrained
        self.device = device_of(model)
        self.preprocessing = preprocessing or timm_preprocessing(model)
        self.unhashed = classifiers(model)
        self.weights_hash = hash_of(model, self.unhashed)
        forward: Any = model.forward_intermediates
        self._options: dict[str, Any] = {"norm": False, "output_fmt": "NCHW", "intermediates_only": True}
        known = inspect.signature(forward).parameters
        # Blocks after the last layer taken need not run. Some networks without prefix tokens fail if asked
        # for them.
        if "stop_early" in known:
            self._options["stop_early"] = True
        if "return_prefix_tokens" in known and getattr(model, "num_prefix_tokens", True):
            self._options["return_prefix_tokens"] = True
        self._class_tokens = 0
        self._indices: list[int] | None = None
        self._look(layers)

    @property
    def module(self) -> nn.Module:
        """The timm model."""
        model: nn.Module = self._model
        return model

    def tokens(self, images: Float[Tensor, "B 3 H W"]) -> Tokens:
        """Tokens of preprocessed images, each layer at its own resolution. Gradients flow where enabled.

        Raises:
            ShapeError: if the images are not of the size this network takes.
        """
        check_images(self, images)
        maps, prefixes = self._forward(images.to(self.device))
        if prefixes is None:
            return Tokens(maps, tuple(tensor.mean((2, 3), dtype=torch.float32) for tensor in maps))
        registers = tuple(prefix[:, self._class_tokens :] for prefix in prefixes) if self.register_tokens else ()
        if self.global_token == "class":
            return Tokens(maps, tuple(prefix[:, 0] for prefix in prefixes), registers)
        return Tokens(maps, tuple(tensor.mean((2, 3), dtype=torch.float32) for tensor in maps), registers)

    def to(self, device: torch.device | str) -> Self:
        """Move the weights to a device; returns the network itself."""
        self.device = torch.device(device)
        self._model.to(self.device)
        return self

    def _forward(self, images: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
        """Maps and prefix tokens of the layers taken; no prefix tokens if the network has none."""
        entries = self._model.forward_intermediates(images, indices=self._indices, **self._options)
        if isinstance(entries[0], Tensor):
            return tuple(entries), None
        maps, prefixes = zip(*entries, strict=True)
        return maps, prefixes

    def _look(self, wanted: Sequence[str] | None) -> None:
        """Learn the layers' names and shapes by sending one grey image through the network."""
        with torch.no_grad():
            maps, prefixes = self._forward(torch.zeros(1, 3, *self.preprocessing.size, device=self.device))
        named = tuple(info["module"] for info in getattr(self._model, "feature_info", ()))
        names = named if len(set(named)) == len(maps) else tuple(f"intermediate.{i}" for i in range(len(maps)))
        indices = [names.index(name) for name in choose_layers(names, wanted)]
        self.layers = tuple(names[index] for index in indices)
        self.channels = tuple(maps[index].shape[1] for index in indices)
        self.grids = tuple((maps[index].shape[2], maps[index].shape[3]) for index in indices)
        self.prefix_tokens = 0 if prefixes is None else prefixes[0].shape[1]
        has_class = self.prefix_tokens > 0 and getattr(self._model, "cls_token", None) is not None
        self.global_token: Literal["class", "pooled"] = "class" if has_class else "pooled"
        # The two prefix tokens of a distilled network are both of the class; the first one is it.
        self._class_tokens = (2 if getattr(self._model, "dist_token", None) is not None else 1) if has_class else 0
        self.register_tokens = self.prefix_tokens - self._class_tokens
        self._indices = indices


def timm_preprocessing(model: nn.Module) -> Preprocessing:
    """The preprocessing a timm model was trained with."""
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(model)
    # A model built for another size than its checkpoint's knows its own.
    size = getattr(getattr(model, "patch_embed", None), "img_size", None) or config["input_size"][1:]
    return Preprocessing(
        size=(size[0], size[1]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop_fraction=config["crop_pct"],
        crop_mode=config["crop_mode"],
    )


def classifiers(model: nn.Module) -> tuple[str, ...]:
    """Names of the modules of a timm model that classify; they give no tokens."""
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def build_timm(name: str, weights: dict[str, Tensor] | None, seed: int = 0, **options: Any) -> nn.Module:
    """Build a timm model, with given weights or with random ones.

    Args:
        name: a timm name, with or without tag, e.g. ``"vit_base_patch16_224.mae"``.
        weights: a state dict, in timm's names or those of the original release, with any prefix; None for
            random weights. It need not have the classifier.
        seed: of the random weights.
        options: of the model, e.g. ``depth=2``; with ``img_size=448`` timm resamples the positions, and the
            preprocessing follows.

    Raises:
        DataError: if a weight is missing, superfluous or of another shape.
    """
    if weights is None:
        return _create(name, seed, options)
    try:
        return _create(name, seed, options, weights)
    except (RuntimeError, KeyError):
        model = _create(name, seed, options)
    own, heads = model.state_dict(), tuple(f"{module}." for module in classifiers(model))
    prefix = find_prefix(weights, own, name)
    inside = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    # The classifier may be absent or have other classes; it gives no tokens, so a random one will do.
    body = {key: value for key, value in inside.items() if not key.startswith(heads)}
    try:
        return _create(name, seed, options, body | {key: own[key] for key in own if key.startswith(heads)})
    except (RuntimeError, KeyError):
        model.load_state_dict(fit_weights(weights, own, name, classifiers(model)))
    return model


def _create(name: str, seed: int, options: dict[str, Any], weights: dict[str, Tensor] | None = None) -> nn.Module:
    import timm

    overlay: dict[str, Any] = {} if weights is None else {"state_dict": dict(weights)}
    if "img_size" in options:
        overlay["input_size"] = (3, options["img_size"], options["img_size"])
    # timm draws random weights first in any case; the caller's own random state stays untouched.
    with seeded(seed):
        model: nn.Module = timm.create_model(
            name, pretrained=weights is not None, pretrained_cfg_overlay=overlay or None, **options
        )
    vars(model)["pretrained_cfg"]["state_dict"] = None
    return model
