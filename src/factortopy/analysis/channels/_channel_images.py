"""What the channels of a region respond to in an image (figure 9): a map over the image's places.

A region R of voxels has mean layer weights ``w_l``, mean channels ``omega`` and the three leading principal
axes ``e_k`` of its voxels' channels, taken as the authors' program takes them: each voxel's channels less their mean
over channels, each axis as long as its singular value. With the aligned local tokens F_l of an image, at place p::

    response(p)     = factor sum_l w_l <F_l(p), omega>         components_k(p) = sum_l w_l <F_l(p), e_k>

The paper shows the components as red, green and blue, all clipped at one 5th and one 95th percentile. The
response is what a voxel of these channels and layers would answer, up to a constant, if it read just that
place. Principal axes depend on the gauge of the channels (`docs/identifiability.md`): give the model of
:func:`factortopy.analysis.canonical_model` where images of different mappings are to be compared.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from factortopy.errors import DataError
from factortopy.mapping import Mapping, check_tokens
from factortopy.model import FactorTopy
from factortopy.networks import Tokens
from factortopy.storage import atomic_path
from factortopy.tokens import TokenStore

COMPONENTS = 3
"""Principal axes of a region, which needs more voxels than these."""
COLOUR_PERCENTILES = (5.0, 95.0)
"""Percentiles at which components are clipped."""


@dataclass(frozen=True, eq=False)
class ChannelImages:
    """Maps of what regions respond to in some images.

    Attributes:
        images: ids of the images.
        regions: names of the regions.
        response: response to every place of the token grid, in standard deviations of the responses; only
            differences mean something.
        components: the same along the principal axes of the region's channels, largest first, each as long as its
            singular value; the sign of an axis is such that the mean channels lie on its positive side.
        explained: share of the squares of the region's channels, less their mean over channels, along every axis.
    """

    images: tuple[str, ...]
    regions: tuple[str, ...]
    response: Float[np.ndarray, "image region row column"]
    components: Float[np.ndarray, "image region row column component"]
    explained: Float[np.ndarray, "region component"]

    @property
    def colours(self) -> Float[np.ndarray, "image region row column component"]:
        """Components as red, green and blue: 0 at the 5th, 1 at the 95th percentile of all three over all images."""
        low, high = np.percentile(self.components, COLOUR_PERCENTILES, axis=(0, 2, 3, 4), keepdims=True)
        return np.clip((self.components - low) / np.where(high > low, high - low, 1), 0, 1)

    def save(self, path: Path) -> None:
        """Write the maps as ``.npz``: images, regions, response, components and explained.

        Args:
            path: of the file.
        """
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **vars(self))

    def part(self, images: Sequence[int], regions: Sequence[int]) -> "ChannelImages":
        """The maps of some images and regions, by their indices."""
        rows, columns = list(images), list(regions)
        return ChannelImages(
            tuple(self.images[row] for row in rows),
            tuple(self.regions[column] for column in columns),
            self.response[rows][:, columns],
            self.components[rows][:, columns],
            self.explained[columns],
        )


def channel_images(
    model: FactorTopy,
    batches: Iterable[Tokens],
    images: Sequence[str],
    regions: MappingType[str, Bool[np.ndarray, "voxel"]],
) -> ChannelImages:
    """Maps of what regions respond to in some images (figure 9).

    Args:
        model: a trained model, see :func:`factortopy.mapping.load_model`.
        batches: tokens of the images, at any grid: channel maps apply place by place.
        images: their ids, in order.
        regions: voxels of every region by name, such as ``mapping.rois``.

    Raises:
        DataError: if a region has no more voxels than components, or images and tokens differ in number.

    Example:
        >>> model, batch = ft.load_model(mapping, subject), tokens.read([0, 1])
        >>> shown = ft.channel_images(model, [batch], tokens.image_ids[:2], mapping.rois)
        >>> shown.regions[0] in mapping.rois
        True
    """
    if not regions:
        raise DataError("no region is given; give masks of voxels by name, such as mapping.rois")
    parts = [_region(model, name, np.asarray(inside, dtype=bool)) for name, inside in regions.items()]
    layers, axes, explained = (torch.stack(own) for own in zip(*parts, strict=True))
    maps = []
    with torch.no_grad():
        for tokens in batches:
            local = model.align(tokens).local
            # Layers first: what is left has no layers, and is small whatever the number of regions.
            mixed = torch.einsum("rl,lbdhw->rbdhw", layers, local)
            maps.append(torch.einsum("rkd,rbdhw->brhwk", axes, mixed))
    values = torch.cat(maps).numpy()
    if len(values) != len(images):
        raise DataError(f"{len(images)} images are named, but tokens of {len(values)} were given")
    return ChannelImages(tuple(images), tuple(regions), values[..., 0], values[..., 1:], explained.numpy())


def _region(
    model: FactorTopy, name: str, inside: Bool[np.ndarray, "voxel"]
) -> tuple[Float[Tensor, "L"], Float[Tensor, "axis D"], Float[Tensor, "component"]]:
    """Mean layer weights; mean channels with the model's factor, then principal axes; and what these explain."""
    voxels, width = model.channels.shape
    count = int(inside.sum())
    if inside.shape != (voxels,) or count <= COMPONENTS or width < COMPONENTS:
        raise DataError(
            f"region {name!r} has {count} of {len(inside)} voxels; {COMPONENTS} components need more than "
            f"{COMPONENTS} of the mapping's {voxels} voxels, and {COMPONENTS} channels"
        )
    with torch.no_grad():
        rows = torch.from_numpy(inside)
        layers, channels = model.select().layer[rows].mean(dim=0), model.channels[rows]
        mean = channels.mean(dim=0)
        _, sizes, axes = torch.linalg.svd(channels - channels.mean(dim=1, keepdim=True), full_matrices=False)
        axes = axes[:COMPONENTS] * sizes[:COMPONENTS, None]
        axes = axes * torch.where(axes @ mean < 0, -1.0, 1.0)[:, None]
        explained = sizes.square() / sizes.square().sum().clamp(min=torch.finfo(sizes.dtype).tiny)
        return layers, torch.cat([model.factor * mean[None], axes]), explained[:COMPONENTS]


MOST_IMAGES, BATCH = 512, 32


def gauge_tokens(store: TokenStore, mapping: Mapping) -> Iterator[Tokens]:
    """Batches of at most 512 images of a store, evenly spread.

    Args:
        store: tokens of images over which channels are compared.
        mapping: whose channels they are.

    Raises:
        DataError: if the store is of another network, other layers or another preprocessing than the mapping.
    """
    check_tokens(mapping, store)
    chosen = list(range(0, len(store), -(-len(store) // MOST_IMAGES)))
    return (store.read(chosen[first : first + BATCH]) for first in range(0, len(chosen), BATCH))
