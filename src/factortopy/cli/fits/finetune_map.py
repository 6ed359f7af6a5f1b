"""The mappings before and after a fine-tuning: tokens, fits on one split, and what changed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factortopy.cli.options import PaletteName
from factortopy.errors import DataError
from factortopy.reporting import write_change
from factortopy.storage import remove, sha256_array, write_text

if TYPE_CHECKING:
    from factortopy.analysis import Change
    from factortopy.finetuning import FinetuneSettings, LabelledImages
    from factortopy.fitting import FitSettings
    from factortopy.images import ImageSet, Split
    from factortopy.machine import Machine
    from factortopy.mapping import Mapping
    from factortopy.networks import Network
    from factortopy.subjects import Subject
    from factortopy.tokens import TokenStore


@dataclass(frozen=True, eq=False)
class Request:
    """What a network is mapped onto, and how.

    Attributes:
        subject: responses.
        photographs: what it saw.
        settings: of both fits.
        machine: where to fit.
        precision: of the network.
        progress: whether to show bars.
    """

    subject: "Subject"
    photographs: "ImageSet"
    settings: "FitSettings"
    machine: "Machine"
    precision: str | None
    progress: bool

    @classmethod
    def open(
        cls,
        subject: Path,
        images: Path | None,
        number: int | None,
        changes: dict[str, Any],
        seed: int,
        device: str | None,
        precision: str | None,
        progress: bool,
    ) -> "Request":
        """Read a subject and find its photographs.

        Raises:
            DataError: if they cannot be read, or there are no photographs.
        """
        from factortopy.datasets import load_subject, open_images
        from factortopy.fitting import fit_settings
        from factortopy.machine import Machine

        settings = fit_settings(changes.pop("recipe", "default"), seed=seed, **changes)
        person = load_subject(subject, subject=number, progress=progress)
        found = person.images if images is None else open_images(images)
        if found is None:
            raise DataError(f"{subject} does not hold the photographs that were shown; give --photographs FOLDER")
        photographs = found.subset(person.distinct_image_ids)
        return cls(person, photographs, settings, Machine.choose(device, precision), precision, progress)


def map_before_and_after(
    before: "Network", after: "Network", request: Request, output: Path, palette: PaletteName
) -> "Change":
    """Map a network before and after, with one split, and write what changed to ``output/change``.

    What is there already (tokens, mappings) is not made again.

    Raises:
        DataError: if a mapping there is of something else.
    """
    from factortopy.fitting import default_split

    stores = {
        name: _tokens(network, request, output / name) for name, network in (("before", before), ("after", after))
    }
    split = default_split(stores["before"], request.subject, request.settings.seed)
    mappings = [_mapping(store, request, split, output / name) for name, store in stores.items()]
    return write_change(mappings[0], mappings[1], output / "change", palette)


def original_task(
    before: "Network",
    after: "Network",
    images: "LabelledImages",
    output: Path,
    settings: "FinetuneSettings",
    precision: str | None,
    progress: bool,
) -> dict[str, Any]:
    """Accuracy of the original task by a linear classifier on the features, before and after; written too."""
    from dataclasses import asdict

    from factortopy.finetuning import probe

    old, new = (
        probe(
            network,
            images,
            settings.per_class,
            settings.validation_per_class,
            seed=settings.seed,
            precision=precision,
            progress=progress,
        )
        for network in (before, after)
    )
    facts = {
        "images": images.images.name,
        "before": old.accuracy,
        "after": new.accuracy,
        "drop": old.accuracy - new.accuracy,
        **{name: value for name, value in asdict(old).items() if name != "accuracy"},
    }
    write_text(output / "original_task.json", json.dumps(facts, indent=1) + "\n")
    return facts


def _tokens(network: "Network", request: Request, folder: Path) -> "TokenStore":
    from factortopy.tokens import extract

    return extract(
        network,
        request.photographs,
        folder / "tokens",
        precision=request.precision,
        progress=request.progress,
    )


def _mapping(tokens: "TokenStore", request: Request, split: "Split", folder: Path) -> "Mapping":
    from factortopy.mapping import Mapping
    from factortopy.workflow import fit_model

    target = folder / "mapping"
    if target.exists():
        held = Mapping.load(target)
        facts, settings = held.provenance, request.settings.model_dump(exclude_none=True)
        hashes = tokens.weights_hash, sha256_array(request.subject.responses), split.digest
        found = facts["tokens"]["weights_hash"], facts["responses_hash"], facts["split"]
        if found != hashes or json.dumps(held.settings) != json.dumps(settings):
            raise DataError(f"{target} is a mapping of something else; choose another OUTPUT, or delete it")
        return held
    checkpoint = folder / "mapping.checkpoint"
    mapping = fit_model(
        tokens,
        request.subject,
        request.settings,
        split=split,
        machine=request.machine,
        checkpoint=checkpoint,
        progress=request.progress,
        description=f"Fit {folder.name}",
    ).mapping
    mapping.save(target)
    remove(checkpoint)
    return mapping
