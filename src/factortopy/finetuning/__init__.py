"""Fine-tuning: a network and labelled images in, the network with other weights out."""

from factortopy.finetuning._finetune import Finetuned, finetune
from factortopy.finetuning._probe import Probe, probe, probe_before_and_after
from factortopy.finetuning.estimate import estimate_finetuning
from factortopy.finetuning.labelled import (
    LabelledImages,
    LabelledSplit,
    labelled_digits,
    labelled_from_folder,
    labelled_from_torchvision,
    open_labelled,
    split_classes,
)
from factortopy.finetuning.settings import FinetuneSettings, finetune_settings
from factortopy.finetuning.training import Classifier, FinetuneHistory, Trainer

__all__ = [
    "Classifier",
    "FinetuneHistory",
    "FinetuneSettings",
    "Finetuned",
    "LabelledImages",
    "LabelledSplit",
    "Probe",
    "Trainer",
    "estimate_finetuning",
    "finetune",
    "finetune_settings",
    "labelled_digits",
    "labelled_from_folder",
    "labelled_from_torchvision",
    "open_labelled",
    "probe",
    "probe_before_and_after",
    "split_classes",
]
