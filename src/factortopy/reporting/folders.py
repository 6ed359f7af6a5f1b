"""Results as folders: a change of weights, averages over subjects, clusters of channels and what they see."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas
from jaxtyping import Float

from factortopy.analysis import (
    Change,
    ChannelClusters,
    ChannelImages,
    Contrast,
    Ranking,
    change,
    cluster_table,
    subject_average,
)
from factortopy.cortex import VERTICES
from factortopy.images import ImageSet
from factortopy.mapping import Mapping, write_vertices
from factortopy.plot import (
    Palette,
    change_bars,
    change_maps,
    channel_images,
    channel_pages,
    clusters,
    contact_sheet,
    contrast_map,
    save,
    subject_counts,
)
from factortopy.storage import write_table, write_text


def write_change(before: Mapping, after: Mapping, folder: Path, palette: Palette = "default") -> Change:
    """Compare two mappings and write tables; figures too, where they lie on a surface that can be painted.

    Args:
        before: of the network as it was.
        after: of the network with other weights.
        folder: where tables and figures go.
        palette: colours.

    Raises:
        DataError: if they cannot be compared, or the folder cannot be written.
    """
    result = change(before, after)
    result.save(folder)
    save(change_bars(result, palette=palette), folder / "change_bars")
    if before.dataset.attrs.get("surface") in VERTICES:
        save(change_maps(result, palette=palette), folder / "change_maps")
        save(change_maps(result, "selector", palette=palette), folder / "change_maps_selector")
    return result


def write_averages(
    mappings: Sequence[Mapping], folder: Path, palette: Palette = "default"
) -> tuple[list[Mapping], list[str]]:
    """Average the mappings of each network and recipe over subjects; write them, and maps of how many subjects.

    Args:
        mappings: of several subjects.
        folder: averages go to ``folder/averages``, figures to ``folder``.
        palette: colours.

    Returns:
        The averages, and their folders.

    Raises:
        DataError: if mappings cannot be averaged, or the folder cannot be written.
    """
    networks: dict[tuple[str, str], list[Mapping]] = {}
    for mapping in mappings:
        attributes = mapping.dataset.attrs
        networks.setdefault((str(attributes.get("network")), str(attributes.get("recipe"))), []).append(mapping)
    averages = {re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(key)): subject_average(own) for key, own in networks.items()}
    folders = [str(average.save(folder / "averages" / name)) for name, average in averages.items()]
    for name, average in averages.items():
        save(subject_counts(average, palette=palette), folder / f"subjects-{name}")
    return list(averages.values()), folders


def write_clusters(
    mapping: Mapping, result: ChannelClusters, facts: dict[str, Any], folder: Path, palette: Palette = "default"
) -> bool:
    """Write facts, a table of the clusters, each voxel's cluster, and a figure where a surface can be painted.

    Args:
        mapping: whose voxels were clustered.
        result: the clusters.
        facts: of :func:`factortopy.analysis.cluster_facts`, and what else is known.
        folder: where they go.
        palette: colours.

    Returns:
        Whether there is a figure.

    Raises:
        DataError: if the folder cannot be written.
    """
    data = mapping.dataset
    vertices = {name: data[name].values for name in ("hemisphere", "vertex") if name in data}
    voxels = pandas.DataFrame({**vertices, "cluster": result.labels})
    write_text(folder / "clusters.json", json.dumps(facts, indent=2))
    write_table(folder / "table.csv", cluster_table(mapping, result))
    write_table(folder / "voxels.csv", voxels)
    if data.attrs.get("surface") not in VERTICES:
        return False
    save(clusters(mapping, result, palette=palette), folder / "clusters")
    return True


def write_ranking(ranking: Ranking, images: ImageSet, folder: Path, count: int = 12) -> list[Path]:
    """Write ``ranking.csv``, all photographs in order, and ``contact_sheet``, those at either end, as PNG and SVG.

    Args:
        ranking: of :func:`factortopy.rank_images`.
        images: the photographs.
        folder: where they go.
        count: photographs shown at either end.

    Returns:
        The files.

    Raises:
        DataError: if the folder cannot be written.
    """
    row = {image: number for number, image in enumerate(images.ids)}

    def seen(image: str) -> Float[np.ndarray, "row column 3"]:
        return ranking.network.preprocessing.seen(images.image(row[image]))

    table = write_table(folder / "ranking.csv", ranking.table)
    return [table, *save(contact_sheet(ranking, seen, count), folder / "contact_sheet")]


def write_contrast(
    contrast: Contrast, names: tuple[str, str], folder: Path, palette: Palette = "default"
) -> list[Path]:
    """Write tables of voxels and of ROIs; on a standard surface also ``t_map`` as PNG, SVG and GIfTI (t and q).

    Args:
        contrast: of :func:`factortopy.contrast`.
        names: of the two sets of photographs.
        folder: where they go.
        palette: colours.

    Returns:
        The files.

    Raises:
        DataError: if the folder cannot be written.
    """
    files = contrast.save(folder)
    if contrast.mapping.dataset.attrs.get("surface") not in VERTICES:
        return files
    files += save(contrast_map(contrast, names, palette=palette), folder / "t_map")
    maps = {"t": contrast.t, "q": contrast.q}
    return files + write_vertices(contrast.mapping, np.stack(list(maps.values())), list(maps), folder / "t_map.gii")


def write_channel_images(
    mapping: Mapping,
    maps: ChannelImages,
    photograph: "Callable[[int], Float[np.ndarray, 'row column 3']]",
    folder: Path,
    *,
    canonical: bool,
    palette: Palette = "default",
) -> list[str]:
    """Write all maps, and figures of the first images, as many regions a page as fit.

    Args:
        mapping: what was mapped.
        maps: of :func:`factortopy.analysis.channel_images`.
        photograph: gives an image, by its position, as the network sees it, RGB in 0..1.
        folder: where they go.
        canonical: whether the channels' gauge is the canonical one.
        palette: colours.

    Returns:
        The files' names.

    Raises:
        DataError: if the folder cannot be written.
    """
    maps.save(folder / "channel_images.npz")
    files = ["channel_images.npz"]
    pages = channel_pages(maps)
    seen = [photograph(index) for index in range(len(pages[0].images))]
    kinds: tuple[Literal["components", "response"], ...] = ("components", "response")
    for kind in kinds:
        for number, page in enumerate(pages, start=1):
            figure = channel_images(mapping, page, seen, kind, canonical=canonical, palette=palette)
            stem = kind if len(pages) == 1 else f"{kind}-{number}"
            files += [path.name for path in save(figure, folder / stem)]
    return files
