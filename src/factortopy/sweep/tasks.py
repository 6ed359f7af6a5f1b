"""The graph of a sweep: extract -> fit -> score -> compare, each task named by what it is made of.

A task's key is a digest of its settings, of the package's code, of the data it reads (pixels of images, responses,
weights) and of the keys of the tasks it needs. A changed image or weight so gives new keys to all that follows from it,
and what is not changed keeps its results.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import factortopy
from factortopy.datasets import load_subject
from factortopy.errors import DataError, FactortopyError
from factortopy.images import ImageSet
from factortopy.networks import find_cached_weights, load_network
from factortopy.storage import read_text, sha256_array, sha256_file, sha256_text
from factortopy.subjects import Subject, subject_digest
from factortopy.sweep.reasons import reason_of
from factortopy.sweep.settings import NetworkChoice, SubjectChoice, SweepSettings
from factortopy.tokens import image_digests

Kind = Literal["extract", "fit", "score", "compare"]
FOLDERS: dict[Kind, str] = {"extract": "tokens", "fit": "mappings", "score": "scores", "compare": "comparisons"}
"""Of the results, within the sweep's folder."""
AFTER = ("cli", "sweep", "paper", "demo", "reporting", "page", "plot", "baselines", "exchange")
"""Stages that change no result of a task but a comparison's figures."""
SHOWN = 12
"""Digits of a key in the names of results."""


@dataclass(frozen=True)
class Task:
    """A piece of work that gives the same result whenever and wherever it is done.

    Attributes:
        kind: what is done.
        name: of the result, with the first digits of the key.
        key: digest of all that it is made of.
        needs: keys of the tasks whose results it reads.
        facts: what to do, JSON-ready.
    """

    kind: Kind
    name: str
    key: str
    needs: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls, kind: Kind, words: Sequence[str], needs: Sequence["Task"], made_of: Any, facts: dict[str, Any]
    ) -> "Task":
        """A task named by some words and by a digest of what it is made of."""
        parts = [kind, code_digest(), json.dumps(made_of, sort_keys=True, default=str)]
        key = sha256_text(*parts, *(task.key for task in needs))
        name = "-".join(map(slug, words))[:100]
        return cls(kind, f"{name}-{key[:SHOWN]}", key, tuple(task.key for task in needs), facts)

    @property
    def fault(self) -> str | None:
        """Why it cannot be done, where that is known before it begins: its network or its subject cannot be had."""
        return (self.facts or {}).get("fault")

    @property
    def result(self) -> Path:
        """Where its result lies within the sweep's folder."""
        return Path(FOLDERS[self.kind]) / self.name

    def to_json(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self), indent=1, default=str) + "\n"

    @classmethod
    def from_file(cls, path: Path) -> "Task":
        """The task that a file describes.

        Raises:
            DataError: if it is missing or damaged.
        """
        try:
            values = json.loads(read_text(path))
            return cls(**(values | {"needs": tuple(values["needs"])}))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} describes no task; run the sweep again, which writes it", path=path) from error


def plan_tasks(settings: SweepSettings, *, progress: bool = True) -> list[Task]:
    """All tasks of a sweep, each after those it needs; fits of one network stand together, so that they share reading.

    Subjects are read, and images decoded, to know their digests. A network that cannot be had, or a subject that cannot
    be read, is a ``fault`` of its own extractions; all else can be done.

    Raises:
        DataError: if two networks or two subjects bear one name.
    """
    networks = [one for choice in settings.networks for one in choice.each()]
    labels = [one.label for one in networks]
    if len(set(labels)) < len(labels):
        repeated = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"network {repeated!r} is named twice; name each once, checkpoints by different file names")
    subjects = [
        _or_fault(
            {"name": choice.label, "choice": choice.model_dump(mode="json")}
            | ({} if choice.sizes is None else {"size": choice.sizes.model_dump()}),
            partial(_described, choice, progress),
        )
        for choice in settings.subjects
    ]
    names = [seen["name"] for seen in subjects]
    if len(set(names)) < len(names):
        raise DataError(f"two subjects bear the name {max(names, key=names.count)!r}; give each a name of its own")
    tasks: dict[str, Task] = {}
    scores: dict[tuple[str, str, int], list[Task]] = {}
    for network in networks:
        shown = _or_fault(network.model_dump(mode="json"), partial(_with_weights, network))
        for seen in subjects:
            store = _extraction(settings, network.label, shown, seen)
            tasks[store.key] = store
            for recipe in settings.recipes:
                for seed in settings.seeds:
                    fit = _fit(settings, network.label, seen, store, recipe, seed)
                    score = Task.of(
                        "score", [network.label, seen["name"], recipe, f"s{seed}"], [fit], {}, dict(fit.facts or {})
                    )
                    tasks |= {fit.key: fit, score.key: score}
                    if store.fault is None:  # networks that can be had are compared without the others
                        scores.setdefault((seen["name"], recipe, seed), []).append(score)
    for (subject, called, seed), group in scores.items():
        if len(group) > 1:
            fits = [tasks[score.needs[0]] for score in group]
            facts = {"labels": [str((fit.facts or {})["label"]) for fit in fits]}
            compared = Task.of("compare", [subject, called, f"s{seed}"], fits, facts, facts)
            tasks[compared.key] = compared
    return list(tasks.values())


def _extraction(settings: SweepSettings, label: str, network: dict[str, Any], seen: dict[str, Any]) -> Task:
    how = {"grid": settings.grid, "batch_size": settings.batch_size, "precision": settings.precision}
    made_of = {"network": {**network, "weights": None}, "images": seen["images"], **how}
    facts = {"label": label, "network": network, "subject": seen["choice"], "device": settings.device, **how}
    facts |= {"size": seen["size"], "fault": network.get("fault") or seen.get("fault")}
    return Task.of("extract", [label, seen["images"][:6]], [], made_of, facts)


def _fit(settings: SweepSettings, label: str, seen: dict[str, Any], store: Task, recipe: str, seed: int) -> Task:
    how = {"recipe": recipe, "seed": seed, "settings": settings.settings, "bootstrap": settings.bootstrap}
    how |= {"precision": settings.precision}
    facts = {"label": label, "subject": seen["choice"], "device": settings.device, "size": seen["size"], **how}
    return Task.of("fit", [label, seen["name"], recipe, f"s{seed}"], [store], {"subject": seen["digest"], **how}, facts)


def _or_fault(told: dict[str, Any], describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is known of a network or subject; where it cannot be had, what was told of it, and the fault."""
    try:
        return told | describe()
    except (FactortopyError, OSError) as error:
        reason = reason_of(error)
        unknown = {"digest": "", "images": sha256_text(reason), "size": {"images": 0, "trials": 0, "voxels": 0}}
        return unknown | told | {"fault": reason}


def _with_weights(network: NetworkChoice) -> dict[str, Any]:
    return {"digest": weights_digest(network)}


def _described(choice: SubjectChoice, progress: bool) -> dict[str, Any]:
    """Name and digests of a subject and its images, and how to open it."""
    if choice.sizes is not None:
        raise DataError(f"subject {choice.label!r} has sizes alone, for --dry-run; give its folder")
    subject = open_subject(choice.model_dump(), progress=progress)
    images = images_of(subject)
    return {
        "name": subject.name,
        "size": {"images": len(images), "trials": len(subject.image_ids), "voxels": len(subject.voxels)},
        "digest": subject_digest(subject, sha256_array(subject.responses)),
        "images": sha256_text(*images.ids, *(images.groups or ()), *image_digests(images, progress=progress)),
    }


def open_subject(choice: Mapping[str, Any], *, progress: bool = False) -> Subject:
    """The subject of a task or of a sweep file."""
    return load_subject(choice["folder"], subject=choice["number"], progress=progress)


def images_of(subject: Subject) -> ImageSet:
    """The photographs that a subject saw.

    Raises:
        DataError: if they are not known.
    """
    if subject.images is None:
        raise DataError(
            f"subject {subject.name!r} has no photographs beside its responses, of which a sweep extracts tokens; "
            'name their folder in subject.toml: images = "FOLDER"'
        )
    return subject.images.subset(subject.distinct_image_ids)


def weights_digest(network: NetworkChoice) -> str:
    """Of the files that a network's weights come from; of the weights themselves where there is no such file."""
    if network.untrained:
        return "untrained"
    folder = Path(network.name)
    # Folders are absolute by then: a name is not looked for in the current folder.
    given = network.weights or (folder if folder.is_absolute() and folder.is_dir() else None)
    file = find_cached_weights(network.name) if given is None else given
    if file is None:
        return load_network(network.name, device="cpu").weights_hash
    files = [file] if file.is_file() else sorted(one for one in file.rglob("*") if one.is_file())
    if not files:
        raise DataError(f"the weights {file} are not there; give a file that is", path=file)
    return sha256_text(*map(sha256_file, files))


@cache
def code_digest() -> str:
    """Of the package's code that decides results."""
    package = Path(factortopy.__file__).parent
    files = [path for path in sorted(package.rglob("*.py")) if path.relative_to(package).parts[0] not in AFTER]
    return sha256_text(*(f"{path.relative_to(package)} {sha256_file(path)}" for path in files))


def slug(name: str) -> str:
    """A name that is one part of a path and leads nowhere else."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("._") or "_"
