"""Partly fixed selectors: what is fixed is the same for all voxels, the rest is that of the learnt ones."""

import pytest
import torch

from factortopy.errors import DataError
from factortopy.fitting import fit_settings, fix_selectors
from factortopy.model import FixedSelectors, FreeSelectors, PartlyFixedSelectors


@pytest.fixture
def learnt():
    selectors = FreeSelectors(5, 3)
    generator = torch.Generator().manual_seed(0)
    for parameter in selectors.parameters():
        parameter.data.normal_(generator=generator)
    return selectors


def test_only_what_is_given_is_fixed(learnt):
    free = learnt()
    fixed = PartlyFixedSelectors(learnt, space=(0.25, -0.5), scale=1.0)()
    assert fixed.space.tolist() == [[0.25, -0.5]] * 5
    assert fixed.scale.tolist() == [1.0] * 5
    torch.testing.assert_close(fixed.layer, free.layer)
    uniform = PartlyFixedSelectors(learnt, uniform_layers=True)()
    assert (uniform.layer == 1 / 3).all()
    torch.testing.assert_close(uniform.space, free.space)
    torch.testing.assert_close(uniform.scale, free.scale)


def test_fixed_parts_have_no_gradient_and_the_others_have_one(learnt):
    selection = PartlyFixedSelectors(learnt, scale=0.0)()
    (selection.space.sum() + selection.layer[:, 0].sum() + selection.scale.sum()).backward()
    assert learnt.scale.grad is None
    assert learnt.space.grad.abs().min() > 0
    assert learnt.layer.grad.abs().min() > 0


@pytest.mark.parametrize("size", [None, torch.full((5,), 0.3)])
def test_given_selectors_are_kept_as_a_copy_without_gradient(learnt, size):
    given = learnt()._replace(size=size)
    kept = FixedSelectors(given)
    for found, wanted in zip(kept(), given, strict=True):
        assert (found is None) == (wanted is None)
        if wanted is not None:
            torch.testing.assert_close(found, wanted.detach())
            assert not found.requires_grad
    given.space.data.zero_()
    assert kept().space.abs().min() > 0
    assert {"space", "layer", "scale"} <= set(kept.state_dict())


def test_settings_say_what_is_fixed(learnt):
    assert fix_selectors(fit_settings(), learnt) is learnt
    fixed = fix_selectors(fit_settings(fixed_space=(0, 0.5), uniform_layers=True, fixed_scale=0), learnt)
    assert isinstance(fixed, PartlyFixedSelectors)
    assert (fixed.space, fixed.uniform_layers, fixed.scale) == ((0, 0.5), True, 0)
    with pytest.raises(DataError, match="setting fixed_scale = 2"):
        fit_settings(fixed_scale=2)
    with pytest.raises(DataError, match=r"setting fixed_space.0 = -3"):
        fit_settings(fixed_space=(-3, 0))
