"""Settings refuse what they do not know and cannot be changed by accident."""

import pytest
from pydantic import ValidationError

from factortopy.errors import DataError, UnknownNameError
from factortopy.fitting import fit_settings


def test_recipes_keep_the_papers_numbers():
    paper = fit_settings("paper")
    assert (paper.width, paper.batch_size, paper.learning_rate, paper.gradient_clip) == (128, 8, 1e-3, 0.5)
    assert (paper.loss, paper.softness, paper.softness_steps) == ("smooth_l1", 0.1, 2000)


def test_changes_are_validated():
    assert fit_settings(width=3).width == 3
    with pytest.raises(DataError, match="setting width = 0"):
        fit_settings(width=0)
    with pytest.raises(DataError, match="setting steps = 'many'"):
        fit_settings(steps="many")
    with pytest.raises(UnknownNameError, match="did you mean 'learning_rate'"):
        fit_settings(learning_rte=1)
    with pytest.raises(UnknownNameError, match="unknown recipe 'papers'; did you mean 'paper'"):
        fit_settings("papers")


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        fit_settings().steps = 4
