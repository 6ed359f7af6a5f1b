"""Files of trained weights on a model hub or at an address; from a cache with no network access if there."""

import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from factortopy.errors import DataError, UnavailableError, first_line

ANSWER_SECONDS = 4.0


class Remote(ABC):
    """Where a file of weights can be had."""

    @property
    @abstractmethod
    def origin(self) -> str:
        """In words, for the description of a network."""

    @abstractmethod
    def cached(self) -> Path | None:
        """The file, if it is on this machine; no network is asked."""

    @abstractmethod
    def download(self, progress: bool, /) -> Path:
        """The file, from where it can be had.

        Raises:
            UnavailableError: if it cannot.
            DataError: if what was downloaded is not the file expected.
        """

    def fetch(self, progress: bool = False) -> Path:
        """The file, from the cache if it is there; raises what ``download`` does."""
        return self.cached() or self.download(progress)


@dataclass(frozen=True)
class HubFile(Remote):
    """A file of a model hub's repository.

    Args:
        repository: e.g. ``"timm/vit_base_patch16_224.mae"``.
        names: of the file, the best first.
    """

    repository: str
    names: Sequence[str] = ("model.safetensors", "pytorch_model.bin")

    @property
    def origin(self) -> str:
        """In words."""
        return f"weights of {self.repository} (model hub)"

    def cached(self) -> Path | None:
        """The file in the hub's cache."""
        from huggingface_hub import try_to_load_from_cache

        files = (try_to_load_from_cache(self.repository, name) for name in self.names)
        return next((Path(file) for file in files if isinstance(file, str)), None)

    def download(self, _progress: bool, /) -> Path:
        """The file, from the hub."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
        from huggingface_hub.errors import EntryNotFoundError

        if HF_HUB_OFFLINE or not _reachable(ENDPOINT):
            reason = "is switched off (HF_HUB_OFFLINE)" if HF_HUB_OFFLINE else "cannot be reached"
            raise UnavailableError(f"the weights {self.repository} are not cached and the model hub {reason}")
        for name in self.names:
            try:
                return Path(hf_hub_download(self.repository, name, etag_timeout=ANSWER_SECONDS))
            except EntryNotFoundError:
                continue
            except OSError as error:
                raise UnavailableError(f"the model hub did not give {self.repository}: {first_line(error)}") from error
        raise UnavailableError(f"the hub's repository {self.repository} has none of {', '.join(self.names)}")


@dataclass(frozen=True)
class UrlFile(Remote):
    """A file of torchvision that is published at an address; PyTorch's own cache keeps it.

    The beginning of its SHA-256 stands at the end of the file's name, and is checked.

    Args:
        url: the address.
    """

    url: str

    @property
    def origin(self) -> str:
        """In words."""
        return f"weights {self._target.name} of torchvision"

    @property
    def _target(self) -> Path:
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]

    def cached(self) -> Path | None:
        """The file in PyTorch's cache."""
        return self._target if self._target.is_file() else None

    def download(self, _progress: bool, /) -> Path:
        """The file, from the address."""
        target = self._target
        if not _reachable(self.url):
            raise UnavailableError(f"the weights {target.name} are not cached and {self.url} cannot be reached")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(target), target.stem.rsplit("-", 1)[-1])
        except RuntimeError as error:
            raise DataError(f"{self.url} gave another file than expected: {first_line(error)}") from error
        except OSError as error:
            raise UnavailableError(f"{self.url} could not be fetched: {first_line(error)}") from error
        return target


def _reachable(address: str) -> bool:
    # One short question first, because the hub's own client asks again and again for minutes.
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=ANSWER_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
