"""Subjects: their responses, cortex, regions, splits, and simulated subjects with a planted truth."""

from factortopy.brain.arrays import load_arrays
from factortopy.brain.betas import BetaStore, load_betas
from factortopy.brain.ceilings import (
    RepeatVariance,
    noise_ceiling_at,
    noise_ceiling_from_ncsnr,
    noise_ceiling_from_percent,
    repeat_counts,
    repeat_variance,
)
from factortopy.brain.convert import ConversionEstimate, convert_nsd, estimate_conversion
from factortopy.brain.datasets.algonauts import load_algonauts
from factortopy.brain.datasets.nsd import load_nsd, open_nsd
from factortopy.brain.datasets.nsd_shared import nsd_shared_images
from factortopy.brain.datasets.protocols import Protocol, algonauts_protocol, paper_protocol
from factortopy.brain.datasets.recognise import open_subject
from factortopy.brain.labels import Labels, read_labels, roi_masks, with_labels
from factortopy.brain.planting import Planted
from factortopy.brain.rois import ROI_NAMES, hemisphere_rois, visual_region, visual_vertices
from factortopy.brain.simulate import simulate_subject
from factortopy.brain.splits import Split, read_split, split_images, split_with_test
from factortopy.brain.splits_cluster import split_clusters
from factortopy.brain.storage import load_subject, save_subject
from factortopy.brain.subject import PlantedTruth, Projection, Subject
from factortopy.brain.surface import (
    VERTICES,
    Hemisphere,
    Mesh,
    Surface,
    coordinate_bounds,
    load_surface,
    sphere_coordinates,
)
from factortopy.brain.volumes import volume_coordinates

__all__ = [
    "ROI_NAMES",
    "VERTICES",
    "BetaStore",
    "ConversionEstimate",
    "Hemisphere",
    "Labels",
    "Mesh",
    "Planted",
    "PlantedTruth",
    "Projection",
    "Protocol",
    "RepeatVariance",
    "Split",
    "Subject",
    "Surface",
    "algonauts_protocol",
    "convert_nsd",
    "coordinate_bounds",
    "estimate_conversion",
    "hemisphere_rois",
    "load_algonauts",
    "load_arrays",
    "load_betas",
    "load_nsd",
    "load_subject",
    "load_surface",
    "noise_ceiling_at",
    "noise_ceiling_from_ncsnr",
    "noise_ceiling_from_percent",
    "nsd_shared_images",
    "open_nsd",
    "open_subject",
    "paper_protocol",
    "read_labels",
    "read_split",
    "repeat_counts",
    "repeat_variance",
    "roi_masks",
    "save_subject",
    "simulate_subject",
    "sphere_coordinates",
    "split_clusters",
    "split_images",
    "split_with_test",
    "visual_region",
    "visual_vertices",
    "volume_coordinates",
    "with_labels",
]
