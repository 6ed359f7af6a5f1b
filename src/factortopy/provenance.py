"""What made a result: versions, machine, time, settings and hashes of the data, saved beside it."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("factortopy", "torch", "timm", "numpy", "scipy", "xarray", "zarr", "safetensors", "nilearn", "matplotlib")


def package_versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of installed packages by name; those not installed are left out."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def provenance(**facts: Any) -> dict[str, Any]:
    """A JSON-ready record of how a result came to be.

    Args:
        facts: what is particular to the result (settings, hashes, seed, device); JSON-ready values.

    Returns:
        ``facts`` with ``created`` (ISO 8601, UTC), ``python``, ``platform`` and ``versions`` added.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": package_versions(),
        **facts,
    }
