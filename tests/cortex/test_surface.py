"""The cortex that nilearn ships, and the regions placed on it."""

import os
from pathlib import Path

import numpy as np
import pytest

from factortopy.cortex import coordinate_bounds, hemisphere_rois, load_surface, sphere_coordinates, visual_region
from factortopy.cortex.regions import talairach_to_mni305
from factortopy.errors import DataError, UnknownNameError

SHARED = os.environ.get("FACTORTOPY_SHARED_DATA")


@pytest.fixture(scope="module")
def surface():
    return load_surface("fsaverage5")


def test_meshes_share_vertices_and_the_flat_one_lies_in_the_plane(surface):
    for half in surface.hemispheres:
        for mesh in (half.white, half.pial, half.inflated, half.sphere, half.flat):
            assert mesh.coordinates.shape == (10_242, 3)
            assert mesh.coordinates.dtype == np.float32
        assert half.sphere.faces.shape == (20_480, 3)
        assert len(half.edges) == 10_242 + 20_480 - 2  # Euler's formula of a closed surface
        np.testing.assert_allclose(np.linalg.norm(half.sphere.coordinates, axis=1), 100, atol=0.01)
        assert np.abs(half.flat.coordinates[half.flat.faces][..., 2]).max() == 0


def test_nilearns_surface_is_read_once_and_cannot_be_changed_by_who_shares_it(surface):
    assert load_surface() is surface
    for half in surface.hemispheres:
        for array in (half.flat.coordinates, half.pial.faces, half.sulcal_depth):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


def test_medial_wall_is_one_medial_piece(surface):
    for half, sign in zip(surface.hemispheres, (-1, 1), strict=True):
        wall = half.midthickness[~half.cortex]
        # FreeSurfer's own cortex label leaves out about 885 vertices of fsaverage5.
        assert 600 < len(wall) < 950
        assert abs(np.median(wall[:, 0])) < 10  # near the midline
        assert np.all(np.abs(np.median(wall, axis=0) - [sign * 6, -12, 5]) < 8)
        assert half.cortex[half.nearest_vertex((sign * 13, -100, -5))]


def test_right_sphere_stands_beside_the_left(surface):
    coordinates = sphere_coordinates(surface)
    left, right = coordinates[:10_242], coordinates[10_242:]
    width = np.ptp(left[:, 0])
    assert right[:, 0].min() == pytest.approx(left[:, 0].min() + 1.5 * width)
    np.testing.assert_array_equal(right[:, 1:], surface.right.sphere.coordinates[:, 1:])
    np.testing.assert_array_equal(left, surface.left.sphere.coordinates)
    np.testing.assert_array_equal(coordinate_bounds(coordinates)[0], coordinates.min(axis=0))
    assert surface.right.sphere.coordinates[:, 0].min() == pytest.approx(-100)  # the surface is unchanged


def test_geodesic_distance_is_a_metric_no_shorter_than_the_straight_line(surface):
    half = surface.left
    here, there = 12, 9_000
    distance = half.geodesic_distance(np.array([here]))
    assert distance[here] == 0
    assert distance[there] == pytest.approx(half.geodesic_distance(np.array([there]))[here])
    straight = np.linalg.norm(half.midthickness - half.midthickness[here], axis=1)
    assert np.all(distance >= straight - 1e-3)
    with pytest.raises(DataError, match="at least one source"):
        half.geodesic_distance(np.array([], dtype=int))


def test_unknown_names_are_refused(surface):
    with pytest.raises(UnknownNameError, match="fsaverage5"):
        load_surface("fsaverag5")
    with pytest.raises(UnknownNameError, match="left"):
        surface.hemisphere("lefft")


def test_talairach_conversion_moves_up_and_down_as_known():
    # Lancaster et al. 2007: MNI brains are larger than Talairach's; the commissure stays near the origin.
    assert np.linalg.norm(talairach_to_mni305((0, 0, 0))) < 6
    x, y, z = talairach_to_mni305((40, -55, -10))
    assert 41 < x < 46
    assert -63 < y < -57
    assert -16 < z < -9


def test_regions_do_not_overlap_and_mirror(surface):
    left, right = (hemisphere_rois(half) for half in surface.hemispheres)
    for half, regions in zip(surface.hemispheres, (left, right), strict=True):
        assert np.sum(list(regions.values()), axis=0).max() == 1
        for name, mask in regions.items():
            assert 25 < mask.sum() < 250, name
            assert np.all(visual_region(half)[mask]), name
    for name in left:
        here = surface.left.midthickness[left[name]].mean(axis=0) * [-1, 1, 1]
        there = surface.right.midthickness[right[name]].mean(axis=0)
        assert np.linalg.norm(here - there) < 13, name
    total = sum(visual_region(half).sum() for half in surface.hemispheres)
    assert 2_300 < total < 2_600


def test_regions_lie_where_anatomy_has_them(surface):
    for half in surface.hemispheres:
        centre = {n: half.midthickness[m].mean(axis=0) for n, m in hemisphere_rois(half).items()}
        lateral = {name: abs(point[0]) for name, point in centre.items()}
        assert centre["V1"][1] < -90  # occipital pole
        assert lateral["V1"] < 18
        assert lateral["EBA"] == max(lateral.values())
        assert lateral["PPA"] < lateral["FFA"]
        assert max(centre["FFA"][2], centre["PPA"][2]) < -5  # ventral
        assert centre["OPA"][2] == max(point[2] for point in centre.values())  # dorsal
        assert centre["PPA"][1] == max(point[1] for point in centre.values())  # the most anterior


@pytest.mark.skipif(not SHARED, reason="FACTORTOPY_SHARED_DATA does not point to the NSD regions")
@pytest.mark.parametrize(("hemisphere", "short"), [("left", "lh"), ("right", "rh")])
def test_agrees_with_regions_measured_in_nsd(surface, hemisphere, short):
    folder = Path(str(SHARED)) / "nsd_rois_fsaverage"
    streams = np.load(folder / f"{short}.streams.npy").squeeze()[:10_242]
    mapped = np.load(folder / f"{short}.prf-visualrois.npy").squeeze()[:10_242]
    half = surface.hemisphere(hemisphere)
    regions = hemisphere_rois(half)
    assert _dice(visual_region(half), streams > 0) > 0.8
    assert _dice(regions["V1"] | regions["V2V3"], streams == 1) > 0.65
    assert _dice(regions["V1"], np.isin(mapped, (1, 2))) > 0.5
    for name, stream in {"OPA": (4, 6, 7), "EBA": (6,), "FFA": (5,), "PPA": (5,)}.items():
        assert np.isin(streams[regions[name]], stream).mean() > 0.6, name


def _dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())
