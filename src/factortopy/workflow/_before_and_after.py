"""One subject's mappings of a network before and after its weights changed, such as by fine-tuning."""

from os import PathLike
from pathlib import Path
from typing import Any

from factortopy.errors import DataError
from factortopy.fitting import default_split
from factortopy.images import ImageSet
from factortopy.mapping import Mapping
from factortopy.networks import Network
from factortopy.subjects import Subject
from factortopy.tokens import extract
from factortopy.workflow._fit import fit_options
from factortopy.workflow.folder import fit_to_folder


def map_before_and_after(
    before: Network,
    after: Network,
    subject: Subject,
    output: str | PathLike[str],
    *,
    images: ImageSet | None = None,
    progress: bool = True,
    **options: Any,
) -> tuple[Mapping, Mapping]:
    """Map a network before and after, with one split; :func:`factortopy.change` says what changed.

    What is there already (tokens, mappings) is not made again.

    Args:
        before: the network with its weights before.
        after: the same network with those after.
        subject: responses.
        output: tokens and mappings go to its folders ``before`` and ``after``.
        images: the photographs that the subject saw; those beside its responses if None.
        progress: whether to show progress bars.
        options: recipe, seed, device, precision, memory_gb and settings of both fits, as for :func:`factortopy.fit`.

    Raises:
        DataError: if the photographs are not known, or a mapping there is of something else.

    Example:
        >>> other = ft.load_network("timm/test_vit", untrained=True, seed=1)
        >>> both = ft.map_before_and_after(network, other, subject, "compared", steps=3, progress=False)
        >>> [mapping.layers == network.layers for mapping in both]
        [True, True]
    """
    settings, machine = fit_options(**options)
    images = images or subject.images
    if images is None:
        raise DataError(f"subject {subject.name!r} has no photographs beside its responses; give them")
    seen, folder = images.subset(subject.distinct_image_ids), Path(output)
    old, new = (
        extract(network, seen, folder / name / "tokens", precision=options.get("precision"), progress=progress)
        for name, network in (("before", before), ("after", after))
    )
    split = default_split(old, subject, settings.seed)
    mappings = (
        fit_to_folder(
            tokens,
            subject,
            folder / name / "mapping",
            settings,
            split=split,
            machine=machine,
            progress=progress,
            description=f"Fit {name}",
        )
        for name, tokens in (("before", old), ("after", new))
    )
    first, second = mappings
    return first, second
