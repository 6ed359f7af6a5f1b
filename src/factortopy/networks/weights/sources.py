"""Where a network comes from: which library builds it, and which file of which hub has its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from factortopy.errors import MissingExtraError, UnavailableError, UnknownNameError
from factortopy.networks.adapters.mocov3 import build_mocov3
from factortopy.networks.adapters.open_clip import build_open_clip
from factortopy.networks.adapters.squeezenet import build_squeezenet
from factortopy.networks.adapters.timm import TimmNetwork, build_timm
from factortopy.networks.adapters.torchvision import build_torchvision
from factortopy.networks.adapters.transformers import build_transformers
from factortopy.networks.network import Network
from factortopy.networks.weights.weights import hub_file, url_file
from factortopy.networks.zoo import list_networks

OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
LIBRARIES = ("timm", "open_clip", "torchvision", "hf")


@dataclass(frozen=True)
class Source:
    """A network of a library.

    Args:
        library: ``"timm"``, ``"open_clip"``, ``"torchvision"``, ``"hf"`` (transformers), ``"mocov3"`` or
            ``"squeezenet"``.
        architecture: its name there.
        tag: of the checkpoint, where the library has several an architecture.
        input_size: height and width of the images; the network's own if None.
    """

    library: str
    architecture: str
    tag: str | None = None
    input_size: int | None = None

    def __str__(self) -> str:
        """As it is written: ``open_clip/ViT-B-16/openai``."""
        return "/".join(part for part in (self.library, self.architecture, self.tag) if part)


def parse_source(text: str, input_size: int | None = None) -> Source:
    """Read ``LIBRARY/ARCHITECTURE`` or ``LIBRARY/ARCHITECTURE/TAG``; a bare name is one of timm.

    Raises:
        UnknownNameError: if there is no such library, or no such network of timm.
    """
    import timm

    library, _, rest = text.partition("/")
    if library in ("open_clip", "torchvision"):
        architecture, _, tag = rest.partition("/")
        return Source(library, architecture, tag or None, input_size)
    if library in ("hf", "mocov3", "squeezenet"):
        return Source(library, rest, None, input_size)
    bare = text.removeprefix("timm/")
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if bare not in known:
        if "/" in bare:
            raise UnknownNameError("source of networks", library, LIBRARIES)
        raise UnknownNameError("network", bare, [entry.name for entry in list_networks()] + sorted(known))
    return Source("timm", bare, None, input_size)


def trained_file(source: Source) -> tuple[Path, str]:
    """The file of a network's trained weights, from a cache or a hub; and in words where it is from.

    Raises:
        UnavailableError: if there are none, or they cannot be had.
        UnknownNameError: if the library has no such network or checkpoint.
    """
    if source.library == "timm":
        repository, *names = _timm_repository(source.architecture)
    elif source.library == "open_clip":
        repository, *names = _open_clip_repository(source)
    elif source.library == "hf":
        repository, names = source.architecture, []
    else:
        url = _torchvision_url(source)
        return url_file(url), f"weights {url.rsplit('/', 1)[-1]} of torchvision"
    return hub_file(repository, *names), f"weights of {repository} (model hub)"


def build(
    source: Source,
    state: Mapping[str, Tensor] | None,
    *,
    seed: int,
    layers: Sequence[str] | None,
    name: str,
    description: str,
) -> Network:
    """Build a network with given weights, or with random ones if ``state`` is None.

    Raises:
        UnknownNameError: if the library has no such network, or the network no such layer.
        UnavailableError: if the library is not installed.
        DataError: if the weights do not fit.
    """
    weights = None if state is None else dict(state)
    named: dict[str, Any] = {"layers": layers, "name": name, "description": description}
    named["pretrained"] = state is not None
    match source.library:
        case "timm":
            return TimmNetwork(build_timm(source.architecture, weights, seed, **_sizes(source)), **named)
        case "mocov3":
            return TimmNetwork(build_mocov3(source.architecture, weights, seed), **named)
        case "squeezenet":
            return build_squeezenet(weights, seed=seed, **named)
        case "open_clip":
            return build_open_clip(source.architecture, weights, tag=source.tag, seed=seed, **named)
        case "torchvision":
            return build_torchvision(source.architecture, weights, tag=source.tag, seed=seed, **named)
        case _:
            return build_transformers(source.architecture, weights, seed=seed, **named)


def _sizes(source: Source) -> dict[str, int]:
    """The size to ask of a timm model, where it is not its own; networks without positions take none."""
    from timm.models import get_pretrained_cfg

    config: Any = get_pretrained_cfg(source.architecture)
    native = None if config is None else config.input_size[1]
    return {"img_size": source.input_size} if source.input_size not in (None, native) else {}


def _timm_repository(name: str) -> tuple[str, ...]:
    from timm.models import get_pretrained_cfg

    config: Any = get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise UnavailableError(f"timm has no trained weights for {name!r}")
    return (config.hf_hub_id, *([config.hf_hub_filename] if config.hf_hub_filename else []))


def _open_clip_repository(source: Source) -> tuple[str, ...]:
    try:
        import open_clip
    except ImportError:
        raise MissingExtraError("open-clip", "open_clip is not installed; install it") from None
    if source.architecture not in open_clip.list_models():
        raise UnknownNameError("open_clip architecture", source.architecture, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(source.architecture)
    if source.tag is None:
        raise UnavailableError(
            f"which weights of open_clip's {source.architecture}? name one: {source}/{tags[0] if tags else 'TAG'}"
        )
    if source.tag not in tags:
        raise UnknownNameError(f"open_clip tag of {source.architecture}", source.tag, tags)
    place: str = open_clip.get_pretrained_cfg(source.architecture, source.tag)["hf_hub"]
    organisation, name, file = place.split("/")
    return (f"{organisation}/{name}", *([file] if file else OPEN_CLIP_FILES))


def _torchvision_url(source: Source) -> str:
    from torchvision import models

    if source.architecture not in models.list_models(module=models):
        raise UnknownNameError("torchvision network", source.architecture, models.list_models(module=models))
    checkpoints: Any = models.get_model_weights(source.architecture)
    if source.tag is not None and source.tag not in checkpoints.__members__:
        raise UnknownNameError(f"torchvision checkpoint of {source.architecture}", source.tag, checkpoints.__members__)
    if not len(checkpoints):
        raise UnavailableError(f"torchvision has no trained weights for {source.architecture!r}")
    url: str = checkpoints[source.tag or "DEFAULT"].url
    return url
