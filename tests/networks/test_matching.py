"""A file's weights under a network's names: any prefix, nothing lost in silence."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from factortopy.errors import DataError
from factortopy.networks import load_network, read_weights
from factortopy.networks.adapters.timm import build_timm
from factortopy.networks.weights.matching import find_prefix, fit_weights
from factortopy.networks.weights.remote import UrlFile

PREFIXES = ("", "module.", "model.", "backbone.", "teacher.backbone.", "visual.", "image_encoder.")


def network():
    return nn.ModuleDict({"stem": nn.Linear(3, 4), "norm": nn.BatchNorm1d(4), "head": nn.Linear(4, 2)})


WANTED = network().state_dict()


def planted(prefix="", **changes):
    return {f"{prefix}{name}": tensor + 1 for name, tensor in WANTED.items()} | changes


parts = st.lists(st.sampled_from(["module", "encoder", "a", "0", "stem", "head"]), max_size=3)


@given(parts)
def test_any_prefix_is_found(words):
    prefix = "".join(f"{word}." for word in words)
    found = fit_weights(planted(prefix), WANTED, "small")
    assert all(torch.equal(found[name], tensor + 1) for name, tensor in WANTED.items())


def test_other_parts_are_left_out():
    text = {f"transformer.{index}.weight": torch.zeros(2) for index in range(40)}
    found = fit_weights(planted("visual.") | text | {"logit_scale": torch.zeros(1)}, WANTED, "small")
    assert found.keys() == WANTED.keys()
    assert find_prefix(planted("visual.") | text, WANTED, "small") == "visual."


def test_head_may_be_absent_or_of_other_classes():
    without = {name: tensor for name, tensor in planted().items() if not name.startswith("head.")}
    other = without | {"head.weight": torch.zeros(9, 4), "head.bias": torch.zeros(9), "head.1.scale": torch.ones(1)}
    for weights in (without, other):
        found = fit_weights(weights, WANTED, "small", ["head"])
        assert torch.equal(found["head.weight"], WANTED["head.weight"])
        assert torch.equal(found["stem.weight"], WANTED["stem.weight"] + 1)
        with pytest.raises(DataError, match=r"head"):
            fit_weights(weights, WANTED, "small")


def test_old_files_lack_counters():
    weights = {name: tensor for name, tensor in planted().items() if "num_batches" not in name}
    assert fit_weights(weights, WANTED, "small")["norm.num_batches_tracked"] == 0


def test_every_fault_is_listed_in_one_line():
    weights = planted("module.", **{f"module.extra.{i}": torch.zeros(1) for i in range(6)})
    del weights["module.stem.bias"]
    weights["module.norm.weight"] = torch.zeros(7)
    with pytest.raises(DataError) as caught:
        fit_weights(weights, WANTED, "small")
    assert str(caught.value) == (
        "the weights under 'module.' do not fit small: 1 missing (stem.bias); 6 unexpected (extra.0, "
        "extra.1, extra.2, extra.3, ...); 1 of another shape (norm.weight is (7,) for (4,)); give those of "
        "this network"
    )


def test_two_networks_in_a_file_or_none():
    with pytest.raises(DataError, match=r"hold small 2 times, under student\., teacher\.; save one"):
        fit_weights(planted("student.") | planted("teacher."), WANTED, "small")
    with pytest.raises(DataError, match=r"no name is known \(x\.y\)"):
        fit_weights({"x.y": torch.zeros(1)}, WANTED, "small")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_timm_takes_every_prefix(prefix, tmp_path):
    """A fine-tuned network, of other classes and under a prefix, is loaded and named so."""
    state = dict(build_timm("test_vit", None, seed=5).state_dict())
    state |= {"head.weight": torch.zeros(7, 64), "head.bias": torch.zeros(7)}
    torch.save({"state_dict": {prefix + k: v for k, v in state.items()}}, tmp_path / "tuned-7.pth")
    loaded = load_network("timm/test_vit", weights=tmp_path / "tuned-7.pth", device="cpu")
    for name, tensor in loaded._model.state_dict().items():
        assert name.startswith("head.") or torch.equal(tensor, state[name])
    assert loaded.name == "timm/test_vit-from-tuned-7"
    assert loaded.description == "weights from tuned-7.pth; timm/test_vit"


def test_positions_of_another_size_are_resampled_under_a_prefix(tmp_path):
    """As without a prefix: timm resamples them, as the zoo's DINOv2 is trained at 518 and read at 448."""
    state = build_timm("test_vit", None, seed=5).state_dict()
    plain = build_timm("test_vit", dict(state), img_size=192)
    prefixed = build_timm("test_vit", {f"module.{k}": v for k, v in state.items()}, img_size=192)
    assert plain.pos_embed.shape[1] == 1 + 12 * 12 != state["pos_embed"].shape[1]
    assert torch.equal(plain.pos_embed, prefixed.pos_embed)


def makers_files():
    """Files as the makers of SAM, DINOv2 and MAE give them, of small networks: other names, other parts."""
    small = {"depth": 2, "embed_dim": 48, "num_heads": 3, "img_size": 56}
    sam = {**small, "img_size": 64, "global_attn_indexes": (1,), "window_size": 2}
    name = "samvit_base_patch16"
    state = build_timm(name, None, seed=5, **sam).state_dict()
    theirs = {f"image_encoder.{k.replace('mlp.fc', 'mlp.lin')}": v for k, v in state.items()}
    yield name, sam, state, theirs | {"mask_decoder.iou_token.weight": torch.zeros(1, 256)}
    name = "vit_small_patch14_dinov2"
    state = build_timm(name, None, seed=5, **small).state_dict()
    for prefix in ("", "teacher.backbone."):
        theirs = {prefix + k: v for k, v in (state | {"mask_token": torch.zeros(1, 48)}).items()}
        yield (name, small, state, theirs | ({"teacher.dino_head.mlp.weight": torch.zeros(3)} if prefix else {}))
    name, small = "vit_base_patch16_224.mae", {**small, "img_size": 64}
    state = build_timm(name, None, seed=5, **small).state_dict()
    yield name, small, state, {k: v for k, v in state.items() if not k.startswith("head.")}


@pytest.mark.parametrize("index", range(4))
def test_makers_own_files(index):
    name, options, state, theirs = list(makers_files())[index]
    model = build_timm(name, theirs, seed=0, **options)
    for key, tensor in model.state_dict().items():
        assert key.startswith("head.") or torch.equal(tensor, state[key]), key


def test_state_dict_beside_other_things(tmp_path):
    path = tmp_path / "file.pth"
    for content, expected in [
        ({"teacher": WANTED, "epoch": 3, "args": {"lr": 0.1}}, WANTED),
        ({"model": WANTED, "model_ema": planted(), "optimizer": {"state": {}}}, planted()),
        ({"state_dict": WANTED, "state_dict_ema": None}, WANTED),
        ({"model": WANTED, "loss": {"centre": torch.zeros(3)}}, WANTED),
        (WANTED, WANTED),
    ]:
        torch.save(content, path)
        found = read_weights(path)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    for content, message in [
        ({"student": WANTED, "teacher": planted()}, r"several networks \(student, teacher\)"),
        ({"model": WANTED, "ema": planted("module.")}, r"several networks \(model, ema\)"),
        ({"epoch": 3}, "no state dict"),
        ([1, 2], "no state dict"),
    ]:
        torch.save(content, path)
        with pytest.raises(DataError, match=message):
            read_weights(path)


def test_weights_at_an_address_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    source = tmp_path / "net-01234567.pth"
    source.write_bytes(b"other bytes")
    with pytest.raises(DataError, match="another file than expected"):
        UrlFile(source.as_uri()).fetch()
    assert not list((tmp_path / "hub").rglob("*.pth"))
    right = source.rename(tmp_path / f"net-{hashlib.sha256(b'other bytes').hexdigest()[:8]}.pth")
    assert UrlFile(right.as_uri()).fetch().read_bytes() == b"other bytes"
    right.unlink()
    assert UrlFile(right.as_uri()).fetch().read_bytes() == b"other bytes"
