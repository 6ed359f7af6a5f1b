"""What a fine-tuning, and the mappings before and after it, will take."""

from factortopy.cli.fits.finetune_map import Request
from factortopy.cli.options import readable_bytes, readable_seconds
from factortopy.finetuning import FinetuneSettings, LabelledImages, estimate_finetuning
from factortopy.networks import Network
from factortopy.tokens import estimate_extraction


def estimate_rows(
    network: Network,
    images: LabelledImages,
    settings: FinetuneSettings,
    request: Request | None,
    precision: str | None,
    progress: bool,
) -> list[tuple[str, str]]:
    """Time, memory and disk as a table; a few steps, and a few extractions, are run to find out.

    Args:
        network: of the right structure; the steps change it.
        images: images with a class each.
        settings: of the fine-tuning.
        request: what the network is mapped onto, if it is.
        precision: of the matrix products.
        progress: whether to show bars.
    """
    found = estimate_finetuning(network, images, settings, precision=precision, progress=progress)
    rows = [
        ("images", f"{found.training:,} training, {found.validation:,} validation; {found.classes} classes"),
        ("parameters", f"{found.trained:,} trained of {found.parameters:,}"),
        ("memory", f"about {readable_bytes(found.memory)}"),
        ("disk", f"{readable_bytes(found.disk)}, and {readable_bytes(found.checkpoint)} until it is done"),
        ("time", f"about {readable_seconds(found.seconds)} on {network.device}"),
    ]
    if found.device_memory:
        rows.insert(3, ("GPU memory", f"about {readable_bytes(found.device_memory)}"))
    if request is not None:
        tokens = estimate_extraction(network, request.photographs, precision=precision)
        disk, seconds = readable_bytes(2 * tokens.bytes), readable_seconds(2 * tokens.seconds)
        rows += [
            ("tokens, twice", f"{len(request.photographs):,} images: {disk} of disk, about {seconds}"),
            ("fits, twice", "as factortopy fit --dry-run says once there are tokens"),
        ]
    return rows
