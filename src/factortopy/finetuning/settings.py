"""Settings of a fine-tuning: the paper's recipe, and what may be changed in it."""

from typing import Any

from pydantic import Field

from factortopy.settings import Settings


class FinetuneSettings(Settings):
    """How a network is fine-tuned; the numbers are the paper's (section 4.4) where it gives them.

    Attributes:
        per_class: training images of each class.
        validation_per_class: validation images of each class, at most.
        steps: optimisation steps.
        batch_size: images per step.
        learning_rate: of all parameters (AdamW), constant.
        weight_decay: of all parameters (AdamW, per unit of learning rate).
        validate_every: steps between two looks at the validation images.
        seed: of the split, the head and the order of images.
    """

    per_class: int = Field(default=50, ge=1)
    validation_per_class: int = Field(default=50, ge=1)
    steps: int = Field(default=3_000, ge=1)
    batch_size: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=3e-5, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    validate_every: int = Field(default=250, ge=1)
    seed: int = Field(default=0, ge=0)


def finetune_settings(**changes: Any) -> FinetuneSettings:
    """The paper's recipe with changes.

    Raises:
        UnknownNameError: if a change names no setting.
        DataError: if a value is out of range.
    """
    return FinetuneSettings.checked(**changes)
