"""Compressed volumes and surface maps: what their checksum says is not passed over."""

import gzip

import nibabel as nib
import numpy as np
import pytest

from factortopy.errors import DataError
from factortopy.storage import open_volume, read_array, read_values, read_volume


@pytest.mark.parametrize("name", ["a.mgz", "a.dtseries.nii.gz", "a.func.gii.gz", "a.nii.gz"])
def test_a_damaged_byte_of_a_compressed_file_is_found(tmp_path, name):
    """Numbers hardly shrink, so that many stand in the file as they are: only its checksum tells."""
    path, values = tmp_path / name, np.random.default_rng(0).normal(size=(5, 400)).astype("f4")
    if name == "a.mgz":
        image = nib.MGHImage(values.T[:, None, None, :].copy(), np.eye(4))
    elif name == "a.nii.gz":
        image = nib.Nifti1Image(values, np.eye(4))
    elif name == "a.func.gii.gz":
        image = nib.GiftiImage(darrays=[nib.gifti.GiftiDataArray(row, intent="NIFTI_INTENT_SHAPE") for row in values])
    else:
        axes = nib.cifti2.SeriesAxis(0, 1, 5), nib.cifti2.BrainModelAxis.from_mask(np.ones(400), name="cortex_left")
        image = nib.Cifti2Image(values, axes)
    content = image.to_bytes()
    packed = gzip.compress(content, 0 if name != "a.func.gii.gz" else 9)
    path.write_bytes(packed)
    read = read_volume if name == "a.nii.gz" else read_array
    np.testing.assert_array_equal(read(path), values)
    for place in (len(packed) // 2, len(packed) - 6):
        damaged = bytearray(packed)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read(path)


def test_volumes_are_read_part_by_part_and_checked_at_the_last_one(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 5, 6, 7)).astype("f4")
    packed = bytearray(gzip.compress(nib.Nifti1Image(values, np.eye(4)).to_bytes(), 0))
    packed[-6] ^= 1  # of the checksum
    (tmp_path / "a.nii.gz").write_bytes(packed)
    image = open_volume(tmp_path / "a.nii.gz")
    for trial in (0, 1, 3, 2, 5):
        np.testing.assert_array_equal(read_values(image, tmp_path / "a.nii.gz", (..., trial)), values[..., trial])
    with pytest.raises(DataError, match=r"a\.nii\.gz"):
        read_values(image, tmp_path / "a.nii.gz", (..., 6))
