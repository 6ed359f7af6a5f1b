"""Real weights of EfficientNet-Lite0 and SqueezeNet: tokens equal both written out from the raw file."""

import h5py
import numpy as np
import pytest
import torch
from real_wheels import close, photographs, real_network, run
from torch.nn.functional import conv2d, max_pool2d, pad


@pytest.fixture(scope="module")
def efficientnet(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield run(*real_network("efficientnet-lite0", tmp_path_factory.mktemp("lite0"), patch))


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield run(*real_network("squeezenet-1.1", tmp_path_factory.mktemp("squeezenet"), patch))


class Lite0:
    """EfficientNet-Lite0 from the raw file: no squeeze-and-excite, ReLU6, TensorFlow's padding."""

    # of each block: stride of its depthwise convolution
    STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)

    def __init__(self, file):
        self.weights = torch.load(file, weights_only=True)

    def convolve(self, x, name, stride=1):
        kernel = self.weights[f"{name}.weight"]
        size = kernel.shape[-1]
        # As many outputs as ceil(input / stride); what must be padded goes half before, the odd one behind.
        total = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
        x = pad(x, (total // 2, total - total // 2) * 2)
        return conv2d(x, kernel, stride=stride, groups=x.shape[1] if kernel.shape[1] == 1 else 1)

    def normalise(self, x, name):
        part = {key: self.weights[f"{name}.{key}"][:, None, None] for key in ("weight", "bias")}
        mean, variance = (self.weights[f"{name}.running_{key}"][:, None, None] for key in ("mean", "var"))
        return (x - mean) / (variance + 1e-3).sqrt() * part["weight"] + part["bias"]

    def block(self, x, index):
        name, y = f"_blocks.{index}.", x
        if index:
            y = self.normalise(self.convolve(y, f"{name}_expand_conv"), f"{name}_bn0").clamp(0, 6)
        y = self.convolve(y, f"{name}_depthwise_conv", self.STRIDES[index])
        y = self.normalise(y, f"{name}_bn1").clamp(0, 6)
        y = self.normalise(self.convolve(y, f"{name}_project_conv"), f"{name}_bn2")
        return x + y if x.shape == y.shape else y

    def stages(self, images):
        x = self.normalise(self.convolve(images, "_conv_stem", 2), "_bn0").clamp(0, 6)
        outputs = []
        for index in range(16):
            x = self.block(x, index)
            outputs.append(x)
        return [outputs[last] for last in (0, 2, 4, 10, 15)]

    def logits(self, stage):
        x = self.normalise(self.convolve(stage, "_conv_head"), "_bn1").clamp(0, 6).mean((2, 3))
        return x @ self.weights["_fc.weight"].T + self.weights["_fc.bias"]


def test_efficientnet_equals_its_definition(efficientnet):
    network, file, images, tokens = efficientnet
    assert network.layers == ("blocks.0", "blocks.1", "blocks.2", "blocks.4", "blocks.6")
    for layer, stage in enumerate(Lite0(file).stages(images)):
        close(tokens.local[layer], stage, 1e-5)
        close(tokens.global_[layer], stage.mean((2, 3)), 1e-5)


def test_efficientnet_knows_a_cat_and_a_coffee(efficientnet):
    _network, file, _images, tokens = efficientnet
    found = Lite0(file).logits(tokens.local[-1]).argmax(1).tolist()
    assert all(answer in right for answer, right in zip(found, photographs()[1], strict=True)), found


class Squeeze:
    """SqueezeNet 1.1 from the raw file, in Keras' order of axes and Caffe's of colours."""

    def __init__(self, file):
        with h5py.File(file) as raw:
            self.arrays = {}
            raw.visititems(self.collect)

    def collect(self, name, entry):
        if isinstance(entry, h5py.Dataset):
            parts = name.split("/")  # the file says each layer's name twice: fire2/squeeze1x1/fire2/squeeze1x1_W:0
            self.arrays["/".join(parts[len(parts) // 2 :])] = torch.tensor(entry[()])

    def convolve(self, x, name, **options):
        kernel = torch.einsum("hwio->oihw", self.arrays[f"{name}_W:0"])
        return conv2d(x, kernel, self.arrays[f"{name}_b:0"], **options).relu()

    def fire(self, x, number):
        x = self.convolve(x, f"fire{number}/squeeze1x1")
        wide = self.convolve(x, f"fire{number}/expand3x3", padding=1)
        return torch.cat([self.convolve(x, f"fire{number}/expand1x1"), wide], dim=1)

    def layers(self, pictures):
        """Of pictures in 0..255, BGR, less Caffe's mean."""
        x = self.convolve(pictures, "conv1", stride=2)
        outputs = [x]
        for number in range(2, 10):
            if number in (2, 4, 6):
                x = max_pool2d(x, 3, 2)
            x = self.fire(x, number)
            outputs.append(x)
        return outputs

    def logits(self, last):
        return self.convolve(last, "conv10").mean((2, 3))


def caffe_pictures(network):
    """The photographs as Caffe takes them, from what the network is given undone to pixels."""
    rules = network.preprocessing
    pictures = []
    for picture in photographs()[0]:
        seen = rules(picture).permute(1, 2, 0).double() * torch.tensor(rules.std) + torch.tensor(rules.mean)
        pixels = (seen * 255).round().float()
        pictures.append((pixels.flip(-1) - torch.tensor([103.939, 116.779, 123.68])).permute(2, 0, 1))
    return torch.stack(pictures)


def test_squeezenet_equals_its_definition(squeezenet):
    network, file, _images, tokens = squeezenet
    raw = Squeeze(file)
    assert len(raw.arrays) == 52
    layers = raw.layers(caffe_pictures(network))
    assert [layer.shape[-1] for layer in layers] == [113, 56, 56, 27, 27, 13, 13, 13, 13]
    for layer, expected in enumerate(layers):
        close(tokens.local[layer], expected, 1e-5)


def test_squeezenet_knows_a_cat_and_a_coffee(squeezenet):
    _network, file, _images, tokens = squeezenet
    found = Squeeze(file).logits(tokens.local[-1]).topk(5).indices.numpy()
    assert all(np.isin(answers, list(right)).any() for answers, right in zip(found, photographs()[1], strict=True))
