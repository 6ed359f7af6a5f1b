"""Maps that turn pale where the prediction is uncertain."""

import numpy as np
import pytest

from factortopy import plot
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot import certainty
from factortopy.plot.colours import UNCOLOURED
from factortopy.plot.maps import fade_out


@pytest.fixture
def limited(mapping):
    low = mapping.dataset["r2"].values.copy()
    half = len(low) // 2
    low[:half] = -1.0
    return Mapping(mapping.dataset.assign(r2_low=("voxel", low), r2=("voxel", np.abs(low) + 0.01)))


def test_uncertain_vertices_are_pale_and_certain_ones_are_not(limited):
    low, r2 = limited.dataset["r2_low"].values, limited.dataset["r2"].values
    rgba = np.tile([1.0, 0.0, 0.0, 1.0], (len(low), 1))
    faded = fade_out(limited, rgba)
    np.testing.assert_allclose(faded[low <= 0, :3], np.tile(UNCOLOURED, ((low <= 0).sum(), 1)))
    sure = np.clip(low / r2, 0, 1)
    np.testing.assert_allclose(certainty(limited), sure)
    np.testing.assert_allclose(faded[:, 0], sure + (1 - sure) * UNCOLOURED[0])
    assert (faded[:, 3] == 1).all()


def test_the_figure_says_that_it_is_faded(limited):
    figure = plot.space(limited, fade=True)
    assert "pale where R² is uncertain" in figure.get_label()


@pytest.mark.parametrize("name", plot.ALL_FIGURES)
def test_figures_by_name_fade_where_they_show_what_is_read(limited, name):
    figure = plot.draw(name, limited, fade=True)
    faded = name.startswith(("layers", "scale")) or name in ("space", "size")
    assert ("pale where" in figure.get_label()) == faded


def test_the_figure_counts_vertices_without_a_prediction(mapping):
    assert "without a prediction" not in plot.scale(mapping).get_label()
    share = mapping.dataset["scale_share"].values.copy()
    share[[0, 2, 5]] = np.nan
    holes = Mapping(mapping.dataset.assign(scale_share=("voxel", share)))
    assert f"no colour: 3 of {len(share):,} without a prediction" in plot.scale(holes).get_label()


def test_fading_needs_limits(mapping):
    with pytest.raises(DataError, match="bootstrap"):
        plot.layers(mapping, fade=True)
