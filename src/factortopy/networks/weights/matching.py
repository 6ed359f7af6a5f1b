"""A file's weights under a network's own names; what does not fit is named, never skipped in silence."""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from factortopy.errors import DataError

LISTED = 4
# What batch normalisation counts; averaged weights often lack it
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def load_fitting(module: nn.Module, weights: Mapping[str, Tensor], network: str, heads: Iterable[str] = ()) -> None:
    """Load the weights of a file into a module; arguments and errors are those of ``fit_weights``."""
    own = module.state_dict()
    if not all(isinstance(value, Tensor) for value in own.values()):
        raise DataError(f"{network} is quantised or keeps more than tensors; give weights before it is quantised")
    fitted: Any = OrderedDict(fit_weights(weights, own, network, heads))
    # Some modules ask by which version of theirs the names are.
    fitted._metadata = getattr(own, "_metadata", None)
    module.load_state_dict(fitted)
    check_values(weights, module, network)


def check_values(weights: Mapping[str, Tensor], module: nn.Module, network: str) -> None:
    """Refuse integers where a network has floating-point numbers (of int8 weights the scale is unknown), and NaN.

    Names are compared by their last part, as what stands before it may differ.

    Args:
        weights: of the file.
        module: the network, with these weights.
        network: its name, for the error message.

    Raises:
        DataError: if there are some.
    """
    floating = {_last(name) for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    integers = [name for name, value in weights.items() if not value.is_floating_point() and _last(name) in floating]
    if integers:
        raise DataError(
            f"the weights of {network} are quantised: {len(integers)} are {weights[integers[0]].dtype} "
            f"({_some(integers)}); give floating-point ones"
        )
    damaged = [name for name, parameter in module.named_parameters() if not bool(parameter.isfinite().all())]
    if damaged:
        raise DataError(f"the weights of {network} are NaN or infinite in {_some(damaged)}; give another file")


def fit_weights(
    weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], network: str, heads: Iterable[str] = ()
) -> dict[str, Tensor]:
    """The weights of a file under the names of a network's state dict.

    Names in a file often carry a prefix (``module.``, ``teacher.backbone.``, ``image_encoder.``, ...): the
    one under which most names match is taken off. Tensors outside this prefix belong to other parts (a text
    tower, a decoder, a projection) and are left out. The head gives no tokens: where it is missing or has
    other classes, the network's own stays.

    Args:
        weights: tensors by their name in the file.
        wanted: state dict of the network.
        network: its name, for the error message.
        heads: names of the modules that classify.

    Returns:
        one tensor for every name in ``wanted``.

    Raises:
        DataError: if a tensor beyond the head is missing, superfluous or of another shape, or if the file
            holds the network more than once.
    """
    prefix = find_prefix(weights, wanted, network)
    inside = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    in_head = tuple(f"{module}." for module in heads)
    # The counters of batches seen in training are of no use here, and old files lack them.
    may_lack = {name for name in wanted if name.startswith(in_head) or name.endswith("num_batches_tracked")}
    differ = {name for name in wanted.keys() & inside.keys() if inside[name].shape != wanted[name].shape}
    faults = {
        "missing": wanted.keys() - inside.keys() - may_lack,
        "unexpected": {name for name in inside.keys() - wanted.keys() if not name.startswith(in_head)},
        "of another shape": {
            f"{name} is {tuple(inside[name].shape)} for {tuple(wanted[name].shape)}" for name in differ - may_lack
        },
    }
    refuse_misfits(network, faults, prefix)
    return {name: wanted[name] if name in differ else inside.get(name, wanted[name]) for name in wanted}


def refuse_misfits(network: str, faults: Mapping[str, Collection[str]], prefix: str = "") -> None:
    """Refuse weights that do not fit a network.

    Args:
        network: its name.
        faults: names of tensors by what is wrong with them; nothing is refused if there are none.
        prefix: beginning of the names in the file.

    Raises:
        DataError: if there is a fault.
    """
    told = [f"{len(names)} {kind} ({_some(sorted(names))})" for kind, names in faults.items() if names]
    if told:
        under = f" under {prefix!r}" if prefix else ""
        raise DataError(f"the weights{under} do not fit {network}: {'; '.join(told)}; give those of this network")


def find_prefix(names: Iterable[str], wanted: Collection[str], network: str) -> str:
    """The beginning, ending in a dot or empty, after which most of ``names`` are among ``wanted``.

    Args:
        names: of the tensors in a file.
        wanted: names in the network's state dict.
        network: its name, for the error message.

    Raises:
        DataError: if no name matches, or two beginnings match equally well: the file holds two networks.
    """
    names = list(names)
    votes: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in wanted:
                votes["".join(f"{part}." for part in parts[:start])] += 1
    if not votes:
        raise DataError(
            f"the weights do not fit {network}: no name is known ({_some(names)}); give those of this network"
        )
    (best, most), *others = votes.most_common()
    whole = sum(not name.endswith(STATISTICS) for name in wanted)
    rivals = [best, *(prefix for prefix, count in others if count >= min(most, whole))]
    if len(rivals) > 1 and most > 1:
        raise DataError(
            f"the weights hold {network} {len(rivals)} times, under {_some(rivals)}; save one of them alone"
        )
    return best


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "") or "the file is empty"
