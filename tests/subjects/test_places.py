"""Hemispheres, vertices and surfaces: by what files say of themselves, against what was written to them."""

from itertools import permutations

import h5py
import nibabel as nib
import numpy as np
import pytest

from factortopy.cortex import Voxels, file_side, file_sides
from factortopy.errors import DataError, UnknownNameError
from factortopy.subjects import load_arrays

HALF = 10_242
IDS = ["a.png", "b.png", "c.png"]
SIDES = ("left", "right")
VALUES = {side: np.random.default_rng(number).normal(size=(3, HALF)).astype("f4") for number, side in enumerate(SIDES)}


def gifti(path, rows, structure=None, intent="NIFTI_INTENT_TIME_SERIES", of_array=False):
    """Rows of a hemisphere's values, with the structure in the file's metadata, or in those of its arrays."""
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure} if structure else {})
    arrays = [nib.gifti.GiftiDataArray(row, intent=intent, meta=meta if of_array else None) for row in rows]
    nib.save(nib.GiftiImage(darrays=arrays, meta=None if of_array else meta), path)
    return path


def npy(path, values):
    path.parent.mkdir(exist_ok=True)
    np.save(path, values)
    return path


def by_metadata(folder, side):
    return gifti(folder / f"{'ab'[side == 'left']}.func.gii", VALUES[side], f"Cortex{side.capitalize()}")


def by_metadata_of_arrays(folder, side):
    path = folder / f"{'ab'[side == 'left']}.func.gii.gz"
    return gifti(path, VALUES[side], f"Cortex{side.capitalize()}", of_array=True)


def by_array_name(folder, side):
    with h5py.File(folder / "betas.h5", "a") as file:
        file[f"{side[0]}h/betas"] = VALUES[side]
    return f"{folder}/betas.h5:{side[0]}h/betas"


NAMED = {
    "FreeSurfer": "{0}h.betas.npy",
    "BIDS": "sub-01_hemi-{1}_space-fsaverage5.npy",
    "HCP": "100307.{1}.curv.32k_fs_LR.npy",
    "end": "betas_{0}h.npy",
    "words": "{2}.npy",
    "letters": "betas_{1}.npy",
    "in capitals": "{1}H.betas.npy",
}
WRITERS = {
    "metadata": by_metadata,
    "metadata of arrays, compressed": by_metadata_of_arrays,
    "name of an array": by_array_name,
    **{
        key: lambda folder, side, form=form: npy(folder / form.format(side[0], side[0].upper(), side), VALUES[side])
        for key, form in NAMED.items()
    },
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("order", list(permutations(SIDES)))
def test_files_in_any_order_lie_where_they_say(tmp_path, kind, order):
    files = [WRITERS[kind](tmp_path, side) for side in order]
    subject = load_arrays(files, IDS, surface="fsaverage5")
    for side in SIDES:
        here = subject.voxels.hemisphere == side
        np.testing.assert_array_equal(subject.responses[:, here], VALUES[side])
        np.testing.assert_array_equal(subject.voxels.vertex[here], np.arange(HALF))


def test_one_file_that_says_it_tells_the_other(tmp_path):
    files = [npy(tmp_path / "rh.npy", VALUES["right"][:, :4]), npy(tmp_path / "other.npy", VALUES["left"][:, :3])]
    assert load_arrays(files, IDS).voxels.hemisphere.tolist() == ["right"] * 4 + ["left"] * 3
    silent = [npy(tmp_path / "R.npy", np.ones((3, 4))), npy(tmp_path / "fs_LR.npy", np.ones((3, 3)))]
    assert file_sides([silent[1], silent[1]]) == [None, None]
    assert file_side(silent[0]) is None, "one letter alone is no hemisphere"


def test_masks_and_ceilings_follow_the_order_of_the_responses(tmp_path):
    ceiling = {"left": np.full(3, 0.25), "right": np.full(4, 0.75)}
    sizes = {"left": 3, "right": 4}
    responses = {side: npy(tmp_path / f"{side[0]}h.npy", VALUES[side][:, : sizes[side]]) for side in SIDES}
    shares = {side: npy(tmp_path / f"hemi-{side[0]}.npy", ceiling[side]) for side in SIDES}
    for order in permutations(SIDES):
        for other in permutations(SIDES):
            subject = load_arrays(
                [responses[side] for side in order],
                IDS,
                noise_ceiling=[shares[side] for side in other],
                rois={
                    "R": [npy(tmp_path / f"{side[0]}h.R.npy", np.full(sizes[side], side == "right")) for side in other]
                },
            )
            expected = np.where(subject.voxels.hemisphere == "left", 0.25, 0.75)
            np.testing.assert_array_equal(subject.noise_ceiling, expected.astype("f4"))
            np.testing.assert_array_equal(subject.voxels.rois["R"], subject.voxels.hemisphere == "right")
    with pytest.raises(DataError, match="of the left and the left hemisphere"):
        load_arrays(list(responses.values()), IDS, noise_ceiling=[shares["left"], shares["left"]])


def test_contradictions_are_refused(tmp_path):
    wrong = gifti(tmp_path / "lh.func.gii", VALUES["left"][:, :4], "CortexRight")
    with pytest.raises(
        DataError, match=r"lh\.func\.gii is of the left hemisphere by its name, of the right one by its"
    ):
        load_arrays([wrong, npy(tmp_path / "x.npy", np.ones((3, 4)))], IDS)
    files = [npy(tmp_path / "lh.npy", np.ones((3, 2))), npy(tmp_path / "rh.npy", np.ones((3, 1)))]
    with pytest.raises(DataError, match="contradicts what the files of responses say of themselves in 3 voxels"):
        load_arrays(files, IDS, np.eye(3), hemisphere=np.array(["right", "right", "left"]))
    voxels = Voxels.on_sphere("fsaverage5", np.array(["left", "right"]), np.array([0, 1]))
    label = tmp_path / "rh.V1.label"
    label.write_text("#!ascii\n1\n0 0 0 0 1\n")
    with pytest.raises(DataError, match=r"rh\.V1\.label is of the right hemisphere, given for the left one"):
        voxels.with_labels({"left": label})


def dense(path, models):
    """A CIFTI file of so many rows whose columns are brain models in some order."""
    axis = sum(models[1:], models[0])
    values = np.arange(3 * len(axis), dtype="f4").reshape(3, -1)
    nib.save(nib.Cifti2Image(values, (nib.cifti2.ScalarAxis(["a", "b", "c"]), axis)), path)
    return path, values


def cortex(side, vertices, whole=HALF):
    name = f"CIFTI_STRUCTURE_CORTEX_{side.upper()}"
    return nib.cifti2.BrainModelAxis.from_surface(np.array(vertices), whole, name=name)


def test_columns_of_cifti_lie_where_its_models_say(tmp_path):
    path, values = dense(tmp_path / "a.dscalar.nii", [cortex("right", [7, 9]), cortex("left", [0, 2, 4])])
    subject = load_arrays(path, IDS, surface="fsaverage5")
    assert subject.voxels.hemisphere.tolist() == ["right"] * 2 + ["left"] * 3
    assert subject.voxels.vertex.tolist() == [7, 9, 0, 2, 4]
    np.testing.assert_array_equal(subject.responses, values)
    assert load_arrays(path, IDS).voxels.vertex.tolist() == [7, 9, 0, 2, 4]
    given = np.repeat(["right", "left"], [2, 3])
    voxels = load_arrays(path, IDS, surface="fsaverage5", hemisphere=given).voxels
    assert voxels.vertex.tolist() == [7, 9, 0, 2, 4], "hemispheres that agree take nothing away"


def test_cifti_of_another_surface_or_with_voxels_is_refused(tmp_path):
    path, _ = dense(tmp_path / "a.dscalar.nii", [cortex("left", [0, 2], 32_492)])
    with pytest.raises(DataError, match="surface of 32492 vertices a hemisphere, fsaverage5 has 10242"):
        load_arrays(path, IDS, surface="fsaverage5")
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, :2] = True
    thalamus = nib.cifti2.BrainModelAxis.from_mask(mask, name="CIFTI_STRUCTURE_THALAMUS_LEFT", affine=np.eye(4))
    path, _ = dense(tmp_path / "b.dscalar.nii", [cortex("left", [0, 2]), thalamus])
    with pytest.raises(DataError, match="give vertex of each"):
        load_arrays(path, IDS, surface="fsaverage5")


def test_nilearn_writes_a_hemisphere_as_vertex_by_image(tmp_path):
    values = np.random.default_rng(0).normal(size=(7, 3)).astype("f4")
    path = gifti(tmp_path / "lh.func.gii", [values], intent="NIFTI_INTENT_NONE")
    np.testing.assert_array_equal(load_arrays(path, IDS, np.eye(7, 3)).responses, values.T)
    with pytest.raises(DataError, match=r"they are \(voxel, image\): transpose them"):
        load_arrays(values, IDS, np.eye(3))


@pytest.mark.parametrize(
    ("vertex", "message"),
    [
        (np.arange(4) + 20_000, "20000 to 20003, but fsaverage5 has 0 to 10241"),
        (np.full(4, -1), "-1 to -1, but fsaverage5 has 0 to 10241"),
        (np.array([0, 1, 5, 5]), "vertex 5 of the left hemisphere stands 2 times"),
    ],
)
def test_vertices_that_the_surface_has_not_are_refused(vertex, message):
    where = {"hemisphere": np.repeat("left", 4), "vertex": vertex, "surface": "fsaverage5"}
    with pytest.raises(DataError, match=message):
        load_arrays(np.ones((3, 4)), IDS, np.eye(4, 3), **where)


def test_unknown_surfaces_are_refused_with_the_nearest_name():
    given = {"hemisphere": np.repeat("left", 2), "vertex": np.arange(2)}
    with pytest.raises(UnknownNameError, match="unknown surface 'fsaverge5'; did you mean 'fsaverage5'"):
        load_arrays(np.ones((3, 2)), IDS, np.eye(2, 3), surface="fsaverge5", **given)
    assert load_arrays(np.ones((3, 2)), IDS, np.eye(2, 3), surface="fsaverage7", **given).voxels.surface == "fsaverage"
    own = load_arrays(np.ones((3, 2)), IDS, np.eye(2, 3), surface="native-subj01", **given)
    assert own.voxels.surface == "native-subj01"
    with pytest.raises(DataError, match=r"native-subj01 is a subject's own surface.* give coordinates"):
        load_arrays(np.ones((3, 2)), IDS, surface="native-subj01", **given)


def test_a_surface_needs_the_vertex_of_each_voxel():
    with pytest.raises(
        DataError, match="4 voxels on fsaverage5, which has 2 x 10242: give hemisphere and vertex of each"
    ):
        load_arrays(np.ones((3, 4)), IDS, np.eye(4, 3), surface="fsaverage5")
    with pytest.raises(DataError, match="give vertex of each"):
        load_arrays(np.ones((3, 4)), IDS, np.eye(4, 3), surface="fsaverage5", hemisphere=np.repeat("left", 4))
    mixed = np.tile(["right", "left"], HALF)
    voxels = load_arrays(np.ones((3, 2 * HALF)), IDS, surface="fsaverage5", hemisphere=mixed).voxels
    np.testing.assert_array_equal(voxels.vertex, np.repeat(np.arange(HALF), 2))
