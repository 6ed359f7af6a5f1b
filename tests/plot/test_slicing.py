"""A mapping on fsaverage painted on fsaverage5, whose vertices are its first ones, without any download."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from fake_mapping import fake_mapping_and_truth

from factortopy.errors import DataError
from factortopy.plot import draw, surface_of, to_vertices
from factortopy.plot.panels import paint_mapping


@pytest.fixture(autouse=True)
def no_finer_surface(tmp_path, monkeypatch):
    for variable in ("SUBJECTS_DIR", "NILEARN_DATA", "NILEARN_SHARED_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def coarse():
    return fake_mapping_and_truth()[0]


@pytest.fixture(scope="module")
def fine(coarse):
    """The same voxels and as many again beyond fsaverage5's vertices, in another order."""
    beyond = coarse.dataset.assign_coords(vertex=("voxel", coarse.dataset["vertex"].values + 100_000))
    both = xr.concat([beyond, coarse.dataset], dim="voxel", data_vars="all", coords="different", compat="equals")
    attributes = coarse.dataset.attrs | {"surface": "fsaverage"}
    return replace(coarse, dataset=both.isel(voxel=np.roll(np.arange(both.sizes["voxel"]), 7)).assign_attrs(attributes))


@pytest.mark.parametrize("name", ["fsaverage", "fsaverage7", "fsaverage6"])
def test_paints_the_same_picture_as_fsaverage5(coarse, fine, name):
    mapping = replace(fine, dataset=fine.dataset.assign_attrs(surface=name))
    assert surface_of(mapping).name == "fsaverage5"

    def picture(of):
        rgba = np.repeat(of.dataset["r2"].values[:, None], 4, axis=1) * [1, 0.5, 0, 0] + [0, 0, 0.5, 1]
        return paint_mapping(of, surface_of(of), rgba, "flat", 122.0).image

    np.testing.assert_allclose(picture(mapping), picture(coarse), atol=1e-6)


def test_values_land_on_their_vertices(fine):
    surface = surface_of(fine)
    values = to_vertices(fine, surface, fine.dataset["r2"].values)
    inside = fine.dataset["vertex"].values < 10_242
    for side, spread in values.items():
        here = inside & (fine.dataset["hemisphere"].values == side)
        np.testing.assert_array_equal(spread[fine.dataset["vertex"].values[here]], fine.dataset["r2"].values[here])


def test_a_figure_with_outlines_is_drawn(fine):
    figure = draw("layers", fine)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any("fsaverage on fsaverage5" in text for text in texts)


def test_voxels_of_a_volume_have_no_flat_map(fine):
    with pytest.raises(DataError, match="flat maps need"):
        surface_of(replace(fine, dataset=fine.dataset.assign_attrs(surface="")))
