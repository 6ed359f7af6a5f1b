"""Algonauts 2023: NSD responses on fsaverage, averaged over presentations, as the challenge ships them.

Layout of a subject's folder, from the challenge's own preparation code (gifale95/algonauts_2023)::

    training_split/training_images/train-0001_nsd-00013.png
    training_split/training_fmri/{lh,rh}_training_fmri.npy        float32 (image, vertex)
    test_split/noise_ceiling/{lh,rh}_noise_ceiling.npy            share or per cent, where it is there
    roi_masks/{lh,rh}.all-vertices_fsaverage_space.npy            1 on the vertices of the challenge
    roi_masks/{lh,rh}.CLASS_challenge_space.npy                   label of each of these
    roi_masks/mapping_CLASS.npy                                   names of the labels
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool

from factortopy.cortex import VERTICES, Surface, Voxels
from factortopy.datasets.algonauts.files import (
    LABELS,
    MASK,
    RESPONSES,
    SIDES,
    challenge_mask,
    images_folder,
    nsd_ids,
    read_labels,
    read_noise_ceiling,
    read_responses,
    read_rois,
    response_headers,
)
from factortopy.errors import DataError, ShapeError, UnknownNameError
from factortopy.images import ImageSet, images_from_folder
from factortopy.subjects import Subject

PARTS = ("all", "nsdgeneral")


def load_algonauts(
    path: str | os.PathLike[str], *, vertices: Literal["all", "nsdgeneral"] = "all", surface: Surface | None = None
) -> Subject:
    """Read one subject's folder of Algonauts 2023, whatever its size.

    Row i belongs to the i-th training image by file name. Responses were z-scored within each session, test
    trials included, and averaged over one to three presentations; how many is not shipped.

    Args:
        path: the subject's folder, e.g. ``algonauts_2023/subj01``.
        vertices: ``"all"`` of the challenge, or its ``"nsdgeneral"`` part: those with a label in ``streams``.
            It is no exact copy of NSD's ``nsdgeneral``, which the challenge does not ship: the group's
            ``streams`` leave out 133 of its 37,984 vertices. What the challenge added to it is RSC, which
            ``floc-places`` names.
        surface: the surface that the vertices are of; without it the standard one with as many vertices
            (fsaverage, 163,842 a hemisphere), whose spheres need no download.

    Returns:
        Left hemisphere first. ROIs bear the names that the data set ships; V1, V2, V3, V2V3, V4, FFA, FBA
        and VWFA are added as unions of their parts; ROIs without a vertex are left out. ``vertex`` counts
        fsaverage vertices within a hemisphere.

    Raises:
        DataError: if a file is missing, damaged or does not fit the others.

    Example:
        >>> subject = ft.load_algonauts("algonauts_2023/subj01")
        >>> subject.voxels.surface  # with FreeSurfer's fsaverage at hand, that one
        'fsaverage5'
    """
    folder = Path(path)
    if vertices not in PARTS:
        raise UnknownNameError("part of the challenge's vertices", vertices, PARTS)
    headers = response_headers(folder)
    images = training_images(folder, headers["lh"].shape[0])
    counts = {side: header.shape[1] for side, header in headers.items()}
    voxels = replace(_on_surface(folder, counts, surface), rois=read_rois(folder, counts))
    ceiling = read_noise_ceiling(folder, counts)
    chosen = np.ones(sum(counts.values()), bool) if vertices == "all" else _nsdgeneral(folder, counts)
    voxels = voxels.select(chosen)
    facts = {
        "kind": "algonauts",
        "folder": str(folder.resolve()),
        "vertices": vertices,
        "trials": "averaged",
        "responses": "z-scored within each session (test trials included), mean of 1 to 3 presentations, "
        "their number not shipped",
        "noise_ceiling": "ncsnr^2 / (ncsnr^2 + mean over test images of 1 / repeats), by the organisers",
    }
    return Subject(
        name=folder.resolve().name,
        responses=read_responses(folder, headers, chosen),
        image_ids=images.ids,
        voxels=replace(voxels, rois={name: mask for name, mask in voxels.rois.items() if mask.any()}),
        noise_ceiling=None if ceiling is None else ceiling[chosen],
        images=images,
        provenance=facts,
    )


def training_images(folder: Path, rows: int | None = None) -> ImageSet:
    """The training images in the order of the rows of responses, of which there must be ``rows``."""
    path = images_folder(folder)
    images = images_from_folder(path)
    nsd_ids(path, "training", images.ids)
    if rows not in (None, len(images)):
        fault = f"has {len(images)} images, {Path(RESPONSES.format('lh')).name} {rows} rows; one of them is incomplete"
        raise ShapeError.of(path, f"{fault}: get it again")
    return replace(images, name=f"{folder.resolve().name} training images")


def _on_surface(folder: Path, counts: dict[str, int], surface: Surface | None) -> Voxels:
    masks = [challenge_mask(folder, side, count) for side, count in counts.items()]
    sizes = {len(mask) for mask in masks}
    file = folder / MASK.format("{lh,rh}")
    name = next((name for name, count in VERTICES.items() if {count} == sizes), None)
    if surface is not None and sizes != {surface.left.vertices}:
        raise ShapeError.of(file, f"do not have the {surface.left.vertices:,} vertices of {surface.name}")
    if surface is None and name is None:
        listed = " and ".join(f"{count:,}" for count in sorted(sizes))
        raise ShapeError.of(file, f"are for {listed} vertices, no standard surface; expected 163,842")
    vertices = [np.flatnonzero(mask) for mask in masks]
    sides = np.repeat(list(SIDES.values()), [len(part) for part in vertices])
    return Voxels.on_sphere(surface or str(name), sides, np.concatenate(vertices))


def _nsdgeneral(folder: Path, counts: dict[str, int]) -> Bool[np.ndarray, "vertex"]:
    chosen = np.concatenate(read_labels(folder, "streams", counts)) > 0
    if not chosen.any():
        file = folder / LABELS.format("lh", "streams")
        raise DataError.of(file, "and its pair label no vertex; get them again, or load all vertices")
    return chosen
