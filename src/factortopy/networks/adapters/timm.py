"""Any network of timm, read through its ``forward_intermediates``."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import UnavailableError, UnknownNameError
from factortopy.machine import seeded
from factortopy.networks.family import Layers, ModuleAndPreprocessing, ModuleFamily, NetworkSource, StateDict
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.reading.layered import LayeredNetwork, choose_layers
from factortopy.networks.reading.outputs import MapAndExtras, without_extras
from factortopy.networks.weights.matching import find_prefix, load_fitting, refuse_misfits
from factortopy.networks.weights.remote import HubFile
from factortopy.networks.zoo import list_networks


class TimmNetwork(LayeredNetwork):
    """A timm model as a ``Network``.

    Args:
        model: a timm model with its weights.
        name: as the user calls it.
        preprocessing: what to do to a photograph first; the model's own if None.
        options: as in ``LayeredNetwork``.

    Raises:
        UnknownNameError: if a layer does not exist.
        UnavailableError: if the model cannot give intermediate maps.
    """

    def __init__(self, model: nn.Module, name: str, preprocessing: Preprocessing | None = None, **options: Any) -> None:
        if not hasattr(model, "forward_intermediates"):
            raise UnavailableError(f"network {name!r} gives no intermediate layers in timm; choose another network")
        forward: Any = model.forward_intermediates
        self._options: dict[str, Any] = {"norm": False, "output_fmt": "NCHW", "intermediates_only": True}
        known = inspect.signature(forward).parameters
        # Blocks after the last layer taken need not run. Some networks without prefix tokens fail if asked
        # for them.
        if "stop_early" in known:
            self._options["stop_early"] = True
        if "return_prefix_tokens" in known and getattr(model, "num_prefix_tokens", True):
            self._options["return_prefix_tokens"] = True
        self._indices: list[int] | None = None
        seen = preprocessing or timm_preprocessing(model)
        super().__init__(model, name, seen, unhashed=classifiers(model), **options)

    def _outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        """Of each layer its map, or its map and prefix tokens if the network has them."""
        entries = self._model.forward_intermediates(images, indices=self._indices, **self._options)
        return dict(zip(self._names(len(entries)) if self._indices is None else self.layers, entries, strict=True))

    def _names(self, count: int) -> tuple[str, ...]:
        named = tuple(info["module"] for info in getattr(self._model, "feature_info", ()))
        return named if len(set(named)) == count else tuple(f"intermediate.{index}" for index in range(count))

    def _read(self, _layer: str, output: Any, /) -> MapAndExtras:
        return without_extras(output) if isinstance(output, Tensor) else output

    def _look(self, wanted: Sequence[str] | None) -> None:
        """Learn the layers' names and shapes by sending one image of noise through the network."""
        outputs = self._run_first(self._probe(1))
        self.layers = choose_layers(tuple(outputs), wanted)
        self._indices = [tuple(outputs).index(name) for name in self.layers]
        self._settle_shapes([self._read(name, outputs[name]) for name in self.layers])
        has_class = self.prefix_tokens > 0 and getattr(self._model, "cls_token", None) is not None
        # The two prefix tokens of a distilled network are both of the class; the first one is it.
        class_tokens = (2 if getattr(self._model, "dist_token", None) is not None else 1) if has_class else 0
        self._settle_tokens(0 if has_class else None, range(class_tokens, self.prefix_tokens))


def timm_preprocessing(model: nn.Module) -> Preprocessing:
    """The preprocessing a timm model was trained with."""
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(model)
    # A model built for another size than its checkpoint's knows its own.
    size = getattr(getattr(model, "patch_embed", None), "img_size", None) or config["input_size"][1:]
    return Preprocessing(
        size=(size[0], size[1]),
        mean=_three(config["mean"]),
        std=_three(config["std"]),
        interpolation=config["interpolation"],
        crop_fraction=config["crop_pct"],
        crop_mode=config["crop_mode"],
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values if len(values) == 3 else (values[0],) * 3
    return red, green, blue


def classifiers(model: nn.Module) -> tuple[str, ...]:
    """Names of the modules of a timm model that classify; they give no tokens."""
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def build_timm(name: str, weights: Mapping[str, Tensor] | None, seed: int = 0, **options: Any) -> nn.Module:
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
    model = _with_weights(name, weights, seed, options)
    # timm resamples patches of another size, which with positions of another grid are another network.
    own = {key: value.shape for key, value in model.named_parameters() if "patch_embed" in key and value.ndim == 4}
    kernels = {key: value.shape for key, value in weights.items() if value.ndim == 4}
    differ = [
        f"{other} is {tuple(given)} for {tuple(shape)}"
        for shape in own.values()
        for other, given in kernels.items()
        if shape not in kernels.values() and given[:2] == shape[:2]
    ]
    refuse_misfits(name, {"of another shape": differ})
    return model


def _with_weights(name: str, weights: Mapping[str, Tensor], seed: int, options: dict[str, Any]) -> nn.Module:
    """Under timm's names, those of the original release, or with a prefix before them."""
    try:
        return _create(name, seed, options, weights)
    # Whatever timm's own renaming raises of names and shapes that it does not expect
    except Exception:
        model = _create(name, seed, options)
    own, heads = model.state_dict(), tuple(f"{module}." for module in classifiers(model))
    prefix = find_prefix(weights, own, name)
    inside = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    # The classifier may be absent or have other classes; it gives no tokens, so a random one will do.
    body = {key: value for key, value in inside.items() if not key.startswith(heads)}
    try:
        return _create(name, seed, options, body | {key: own[key] for key in own if key.startswith(heads)})
    except Exception:
        load_fitting(model, weights, name, classifiers(model))
    return model


def _create(name: str, seed: int, options: dict[str, Any], weights: Mapping[str, Tensor] | None = None) -> nn.Module:
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


class Timm(ModuleFamily):
    """Any network of timm that gives intermediate layers."""

    name = package = "timm"

    def source(self, text: str, input_size: int | None = None) -> NetworkSource:
        """Read a name of timm, with or without the tag of a checkpoint."""
        import timm

        known = {*timm.list_models(), *timm.list_models(pretrained=True)}
        if text not in known:
            raise UnknownNameError("network", text, [*(entry.name for entry in list_networks()), *sorted(known)])
        return super().source(text, input_size)

    def remote(self, source: NetworkSource) -> HubFile:
        """The file that timm itself takes."""
        config = _trained_config(source.architecture)
        if config is None or not config.hf_hub_id:
            raise UnavailableError(f"timm has no trained weights for {source.architecture!r}")
        return HubFile(config.hf_hub_id, *([[config.hf_hub_filename]] if config.hf_hub_filename else []))

    def create(self, source: NetworkSource, weights: StateDict | None, seed: int) -> ModuleAndPreprocessing:
        """Make the module, for images of the source's size; networks without positions take no size."""
        config = _trained_config(source.architecture)
        native = None if config is None else config.input_size[1]
        sizes = {} if source.input_size in (None, native) else {"img_size": source.input_size}
        return build_timm(source.architecture, weights, seed, **sizes), None

    def network(self, module: nn.Module, layers: Layers, seen: Preprocessing | None, **facts: Any) -> Network:
        """All that timm calls features, or those wanted."""
        return TimmNetwork(module, preprocessing=seen, layers=layers, **facts)

    def preprocessing(self, module: nn.Module) -> Preprocessing | None:
        """That of the module's checkpoint."""
        return timm_preprocessing(module) if hasattr(module, "pretrained_cfg") else None

    def reads(self, module: nn.Module, layers: Sequence[str]) -> bool:
        """Whether timm lists these layers as features."""
        return set(layers) <= {info["module"] for info in getattr(module, "feature_info", ())}


def _trained_config(name: str) -> Any:
    from timm.models import get_pretrained_cfg

    return get_pretrained_cfg(name)


TIMM = Timm()
