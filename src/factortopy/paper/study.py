"""The work behind all figures and tables: subjects, tokens and fits, each made once and kept in a folder."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from factortopy.errors import DataError, MissingExtraError, UnavailableError
from factortopy.finetuning import FinetuneSettings, LabelledImages, finetune, open_labelled, split_classes
from factortopy.fitting import default_split
from factortopy.images import ImageSet, sample_views
from factortopy.mapping import Mapping
from factortopy.networks import Network
from factortopy.paper.members import STAND_INS, Member
from factortopy.paper.plan import StudyPlan
from factortopy.storage import sha256_file, sha256_text
from factortopy.subjects import Subject, subject_digest
from factortopy.tokens import TokenStore, extract, image_digests
from factortopy.workflow import fit_identity, fit_to_folder


@dataclass(frozen=True)
class Job:
    """One fit.

    Attributes:
        member: the network.
        subject: its index in the plan, from 0.
        topology: whether selectors are smooth over the cortex.
    """

    member: Member
    subject: int = 0
    topology: bool = True


@dataclass
class Study:
    """Subjects, tokens and fits of a plan; whatever is in its folder already is not made again.

    All methods raise :class:`UnavailableError` where a network cannot be had.

    Attributes:
        plan: what the study is of.
        fitted: fits that were run.
        reused: fits that were found in the folder.
        left_out: networks that could not be had, with the reason.
        read: folders of the plan's kept fits that were read.
    """

    plan: StudyPlan
    fitted: int = 0
    reused: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    read: list[Path] = field(default_factory=list)
    _open: tuple[int, Subject] | None = None
    _pixels: dict[int, list[str]] = field(default_factory=dict)
    _labelled: dict[str, str] = field(default_factory=dict)

    @property
    def subjects(self) -> int:
        """Their number."""
        return len(self._kept_subjects) if self.plan.kept else len(self.plan.subject_sources)

    @property
    def simulated(self) -> bool:
        """Whether any subject is simulated."""
        return self.plan.simulated or any(fit.simulated for fit in self.plan.kept)

    @property
    def _kept_subjects(self) -> list[str]:
        return list(dict.fromkeys(fit.subject for fit in self.plan.kept))

    def subject(self, index: int = 0) -> Subject:
        """A subject by its index in the plan, from 0; only the last one asked for is held in memory."""
        if self._open is None or self._open[0] != index:
            self._open = None
            sees = self.tokens(STAND_INS[0], index) if self.plan.simulated else None
            self._open = (index, self.plan.open_subject(index, sees))
        return self._open[1]

    def images(self, index: int = 0) -> ImageSet:
        """The photographs that a subject saw; a DataError if they are not known."""
        if self.plan.simulated:
            return sample_views(self.plan.views, self.plan.seed)
        subject = self.subject(index)
        if subject.images is None:
            raise DataError(f"subject {subject.name!r} has no photographs beside its responses; networks need them")
        return subject.images.subset(subject.distinct_image_ids)

    def network(self, member: Member) -> Network:
        """A network with its weights."""
        return member.load(self.plan.weights.get(member.network), self.plan.device, self.plan.progress, self.plan.shown)

    def tokens(self, member: Member, index: int = 0) -> TokenStore:
        """Tokens of a subject's images, extracted if they are not there."""
        images = self.images(index)
        if index not in self._pixels:  # all are decoded, once for all networks
            self._pixels[index] = image_digests(images, progress=self.plan.progress)
        return self.tokens_of(member, images, self.plan.grid, pixels=self._pixels[index])

    def tokens_of(
        self,
        member: Member,
        images: ImageSet,
        grid: tuple[int, int],
        network: Network | None = None,
        pixels: Sequence[str] = (),
    ) -> TokenStore:
        """Tokens of any images, extracted if they are not there.

        Args:
            member: the network.
            images: the photographs.
            grid: height and width of the maps that are kept.
            network: the network itself, where it is loaded already.
            pixels: digests of the photographs, where they are known already.
        """
        # Photographs of two subjects may have the same names.
        pixels = pixels or image_digests(images, progress=self.plan.progress)
        marks = (self._weights_digest(member), str(grid), str(self.plan.shown), self.plan.machine.precision)
        mark = sha256_text(*marks, *images.ids, *pixels)[:10]
        folder = self.plan.work / "tokens" / f"{_slug(member.network)}-{mark}"
        if (folder / "completed.json").is_file():
            try:
                return TokenStore.open(folder)
            except DataError:
                pass  # begun and not finished, or damaged: extraction goes on, or says what is wrong
        network, plan = network or self.network(member), self.plan
        return extract(network, images, folder, grid, precision=plan.precision, progress=plan.progress)

    def fine_tuned(self, member: Member, source: str) -> Member:
        """A network fine-tuned on labelled images, in the paper's way; trained if it is not there.

        Args:
            member: the network before.
            source: the labelled images, as ``open_labelled`` takes them.

        Raises:
            DataError: if the labelled images cannot be had.
        """
        plan, images = self.plan, open_labelled(source, root=self.plan.root)
        settings, name = FinetuneSettings.checked(**{"seed": plan.seed, **plan.finetuning}), images.images.name
        if source not in self._labelled:  # drawn images are decoded, once for all networks
            self._labelled[source] = self._labelled_digest(images, settings)
        marks = (settings.model_dump_json(), plan.machine.precision, str(plan.shown), self._labelled[source])
        mark = sha256_text(*marks, self._weights_digest(member))[:8]
        folder = plan.work / "finetuned" / f"{_slug(member.network)}-{_slug(name)}-{mark}"
        if not (folder / "provenance.json").is_file():
            how = {"precision": plan.precision, "progress": plan.progress, **settings.model_dump()}
            finetune(self.network(member), images, folder, **how)
        return Member(f"{member.network}-{name}", f"{member.label}, after {name}", folder=folder)

    def _labelled_digest(self, images: LabelledImages, settings: FinetuneSettings) -> str:
        """Of the images that fine-tuning draws: ids, classes and pixels."""
        sizes = settings.per_class, settings.validation_per_class
        return split_classes(images, *sizes, seed=settings.seed, progress=self.plan.progress).digest

    def _weights_digest(self, member: Member) -> str:
        """Of the local file or folder that a network's weights come from; empty without one."""
        source = member.folder or self.plan.weights.get(member.network)
        if source is None:
            return ""
        files = [source] if source.is_file() else sorted(file for file in source.rglob("*") if file.is_file())
        return sha256_text(*map(sha256_file, files))

    def fit(self, job: Job) -> Mapping:
        """A mapping, fitted if it is not there; a fit that was stopped goes on."""
        if self.plan.kept:
            return self._kept(job)
        plan, tokens, subject = self.plan, self.tokens(job.member, job.subject), self.subject(job.subject)
        settings, machine = plan.settings(job.topology), plan.machine
        split = default_split(tokens, subject, plan.seed)
        made_of = fit_identity(tokens, subject, split, settings, None, machine)
        held = subject_digest(subject, made_of["responses"])
        key = sha256_text(json.dumps([made_of, held, plan.bootstrap], sort_keys=True))[:12]
        folder = plan.work / "fits" / f"{_slug(job.member.network)}-{_slug(subject.name)}-{key}"
        if folder.is_dir():
            self.reused += 1
        else:
            self.fitted += 1
        return fit_to_folder(
            tokens, subject, folder, settings, split=split, machine=machine, bootstrap=plan.bootstrap,
            progress=plan.progress, description=job.member.label[:20],
        )  # fmt: skip

    def _kept(self, job: Job) -> Mapping:
        plan, subject = self.plan, self._kept_subjects[job.subject]
        wanted = job.member.network, subject, plan.chosen_recipe, plan.seed, job.topology
        for fit in plan.kept:
            if (fit.network, fit.subject, fit.recipe, fit.seed, fit.topology) == wanted:
                self.reused += 1
                self.read.append(fit.folder)
                return Mapping.load(fit.folder)
        how = f"seed {plan.seed}" + ("" if job.topology else " without topology")
        raise UnavailableError(
            f"no fit of {job.member.network} on {subject} by the {plan.chosen_recipe} recipe with {how} "
            "is there; it may come yet, or give --recipe or --seed"
        )

    def fits(self, members: Sequence[Member], index: int = 0) -> dict[Member, Mapping]:
        """A mapping of each network that can be had, at least one; the others go to ``left_out``."""
        fits: dict[Member, Mapping] = {}
        missing: list[UnavailableError] = []
        for member in members:
            try:
                fits[member] = self.fit(Job(member, index))
            except UnavailableError as error:
                self.left_out[member.label] = str(error)
                missing.append(error)
        if not fits:
            reasons = UnavailableError("; ".join(map(str, missing)))
            raise next((error for error in missing if isinstance(error, MissingExtraError)), reasons)
        return fits


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", name)
