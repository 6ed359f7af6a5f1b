"""The two protocols: which rows, which images on which side, and what the score is."""

import numpy as np
import pytest
from algonauts_fixture import write_algonauts
from nsd_fixture import write_nsd

from factortopy.datasets import algonauts_protocol, paper_protocol
from factortopy.errors import DataError


def test_paper_protocol_is_single_trials_split_by_image(tmp_path):
    planted = {n: write_nsd(tmp_path, n, space="nativesurface", sessions=(1, 2, 3, 4), trials=30) for n in (1, 2)}
    protocols = paper_protocol(tmp_path, subjects=(1, 2), space="nativesurface", progress=False)
    assert "raw R^2" in protocols[0].score
    for truth, protocol in zip(planted.values(), protocols, strict=True):
        subject, split = protocol.subject, protocol.split
        assert subject.single_trials
        assert [int(name.removeprefix("nsd-")) for name in subject.image_ids] == truth.images.tolist()
        assert (subject.repeats == 1).all()
        sides = [set(side) for side in (split.train, split.validation, split.test)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == len(set(truth.images))
        np.testing.assert_allclose([len(side) / len(set(truth.images)) for side in sides], (0.8, 0.1, 0.1), atol=0.02)
    assert protocols[0].split.digest != protocols[1].split.digest


def test_algonauts_protocol_averages_and_differs(tmp_path):
    for number in (1, 2):
        write_algonauts(tmp_path / f"subj0{number}", left=20, right=20, images=40, seed=number, side_pixels=1)
    protocol = algonauts_protocol(tmp_path, 2, vertices="nsdgeneral")
    assert protocol.subject.name == "subj02"
    assert protocol.subject.provenance["vertices"] == "nsdgeneral"
    assert not protocol.subject.single_trials
    sizes = [len(side) for side in (protocol.split.train, protocol.split.validation, protocol.split.test)]
    assert sizes == [32, 4, 4]
    assert "not to be compared" in protocol.score
    with pytest.raises(DataError, match="no subject 3"):
        algonauts_protocol(tmp_path, 3)
    with pytest.raises(DataError, match="is missing"):
        algonauts_protocol(tmp_path / "nowhere")
