"""How well a mapping of a simulated subject finds what was planted."""

from dataclasses import dataclass

from factortopy.analysis.quantities import map_correlation
from factortopy.analysis.slope import fit_slope, layer_position
from factortopy.mapping import Mapping
from factortopy.subjects import PlantedTruth


@dataclass(frozen=True)
class Recovery:
    """Found against planted, over all voxels of a simulated subject.

    Attributes:
        slope_found, slope_planted: hierarchy slope of the found and of the planted layer share.
        slope_selector: hierarchy slope of the layer selector.
        b0_found, b0_planted: depth at level 0 on the found and on the planted line.
        b1_found, b1_planted: depth at level 1.
        depth_r: correlation of found and planted depth, by layer share.
        space_x_r, space_y_r: of found and planted position in the image.
        scale_r: of found and planted scale share.
    """

    slope_found: float
    slope_selector: float
    slope_planted: float
    b0_found: float
    b0_planted: float
    b1_found: float
    b1_planted: float
    depth_r: float
    space_x_r: float
    space_y_r: float
    scale_r: float


def recovery(mapping: Mapping, truth: PlantedTruth) -> Recovery:
    """Compare a mapping with the planted truth of the simulated subject it was fitted to.

    Like is compared with like: shares, which are identifiable, with the shares of the noise-free signal.

    Example:
        >>> found = ft.recovery(mapping, subject.truth)
        >>> -1 <= found.depth_r <= 1
        True
    """
    data = mapping.dataset
    rois = mapping.rois
    found_depth = layer_position(data["layer_share"].values)
    planted_depth = layer_position(truth.layer_share)
    line, planted_line = fit_slope(found_depth, rois), fit_slope(planted_depth, rois)
    space = data["space"].values
    return Recovery(
        slope_found=line.slope,
        slope_selector=fit_slope(layer_position(data["layer"].values), rois).slope,
        slope_planted=planted_line.slope,
        b0_found=line.b0,
        b0_planted=planted_line.b0,
        b1_found=line.b1,
        b1_planted=planted_line.b1,
        depth_r=map_correlation(found_depth, planted_depth)[0],
        space_x_r=map_correlation(space[:, 0], truth.space[:, 0])[0],
        space_y_r=map_correlation(space[:, 1], truth.space[:, 1])[0],
        scale_r=map_correlation(data["scale_share"].values, truth.scale_share)[0],
    )
