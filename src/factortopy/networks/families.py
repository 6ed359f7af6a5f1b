"""All families of networks, by the beginning of a name and by a module's class."""

from torch import nn

from factortopy.errors import DataError, UnknownNameError
from factortopy.networks.adapters.mocov3 import MOCOV3
from factortopy.networks.adapters.open_clip import OPEN_CLIP
from factortopy.networks.adapters.squeezenet import SQUEEZENET
from factortopy.networks.adapters.timm import TIMM
from factortopy.networks.adapters.torchvision import TORCHVISION
from factortopy.networks.adapters.transformers import TRANSFORMERS
from factortopy.networks.diffusion.loading import DIFFUSION
from factortopy.networks.family import Family, ModuleFamily, NetworkSource

_FAMILIES: list[Family] = [TIMM, OPEN_CLIP, TORCHVISION, TRANSFORMERS, MOCOV3, SQUEEZENET, DIFFUSION]


def register_family(family: Family) -> None:
    """Make a family known, so that ``load_network`` loads its networks and reads modules of its package.

    Args:
        family: its name is the beginning of its networks' names.

    Raises:
        DataError: if another family has its name.
    """
    if family.name in (other.name for other in _FAMILIES):
        raise DataError(f"a family {family.name!r} is registered already; give another name")
    _FAMILIES.append(family)


def parse_source(text: str, input_size: int | None = None) -> tuple[Family, NetworkSource]:
    """Read ``FAMILY/ARCHITECTURE`` or ``FAMILY/ARCHITECTURE/TAG``; a bare name is one of timm.

    Raises:
        UnknownNameError: if there is no such family, or no such network of timm.
    """
    name, slash, rest = text.partition("/")
    if not slash:
        return TIMM, TIMM.source(text, input_size)
    for family in _FAMILIES:
        if family.name == name:
            return family, family.source(rest, input_size)
    raise UnknownNameError("source of networks", name, [family.name for family in _FAMILIES])


def family_of(module: nn.Module) -> ModuleFamily | None:
    """The family that a module's class, or one that it derives from, is of; None if none is known."""
    families = {family.package: family for family in _FAMILIES if isinstance(family, ModuleFamily) and family.package}
    packages = (base.__module__.split(".")[0] for base in type(module).__mro__)
    return next((families[package] for package in packages if package in families), None)
