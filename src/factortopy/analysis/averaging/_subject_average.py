"""The average of one network's mappings over subjects, vertex by vertex on a common surface."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.analysis.comparing.comparable import differing_ceiling
from factortopy.analysis.estimates._estimate import CONFIDENCE, student_limits
from factortopy.analysis.hierarchy.slope import LINE, hierarchy_slope
from factortopy.analysis.quantities import voxel_values
from factortopy.analysis.regions import finite_mean, region_names, regions_of
from factortopy.cortex import HEMISPHERES
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping, mapping_dataset
from factortopy.provenance import provenance
from factortopy.storage import sha256_text

SAME = ("network", "surface", "recipe", "global_token", "gauge")
"""What all mappings of an average must have in common."""
IMAGES = ("images_train", "images_validation", "images_test")
AVERAGED = ("space", "layer", "scale", "r2", "layer_share", "scale_share", "depth", "ceiling", "r")
LIMITED = ("r2", "depth", "scale_share")
"""Variables of one number a voxel that get limits over subjects."""
RIGHT = 2**32
"""Added to the vertices of the right hemisphere, so that each of both has a number of its own."""


def subject_average(mappings: Sequence[Mapping], fewest: int = 1) -> Mapping:
    """Average one network's mappings over subjects, each vertex over the subjects that have it.

    Args:
        mappings: one a subject, of vertices of one surface, such as fsaverage.
        fewest: vertices that fewer subjects have are left out.

    Returns:
        A mapping that can be painted and compared like any other: means of selectors, shares, R^2 and
        ceiling; ``subjects`` (voxel), how many have the vertex; ``r2``, ``depth`` and ``scale_share`` with
        ``_low`` and ``_high``, Student's limits of the mean over subjects (NaN where fewer than two have the
        vertex); ``persons_r2``, ``persons_ceiling``, ``persons_depth``, ``persons_scale`` (person, region)
        and ``persons_slope``, ``persons_b0``, ``persons_b1`` (person), each subject's own ROI means and
        hierarchy line. A vertex lies in an ROI if it does in more than half of the subjects that have it.

    Raises:
        DataError: if there are fewer than two, a subject stands twice, or they differ in network, layers,
            surface, recipe, global token, gauge or noise ceiling.

    Example:
        >>> average = ft.subject_average([mapping, other_subject])
        >>> average.dataset.sizes["voxel"] == mapping.dataset.sizes["voxel"]
        True
    """
    _check(mappings)
    vertices = _Vertices.of(mappings, fewest)
    values: dict[str, np.ndarray] = {"subjects": vertices.count}
    for name in AVERAGED:
        if all(name in mapping.dataset for mapping in mappings):
            stacked = vertices.spread([mapping.dataset[name].values for mapping in mappings])
            values[name] = finite_mean(stacked, axis=0).astype(np.float32)
            if name in LIMITED:
                values[f"{name}_low"], values[f"{name}_high"] = student_limits(stacked)
    rois = vertices.rois(mappings)
    values |= _persons(mappings, rois)
    names = [str(mapping.dataset.attrs["subject"]) for mapping in mappings]
    values |= {
        "hemisphere": vertices.hemisphere,
        "vertex": vertices.vertex,
        "person": np.array(names),
        "region": np.array(region_names(rois)),
    }
    dataset = mapping_dataset(values, mappings[0].layers, rois, _attributes(mappings, names))
    facts = {"subject": mappings[0].provenance.get("subject", {}), "averaged": names}
    return Mapping(dataset, settings=dict(mappings[0].settings), provenance=provenance(**facts))


class _Vertices:
    """The vertices that any subject has, and where each subject's voxels stand among them."""

    def __init__(self, codes: Int[np.ndarray, "voxel"], own: list[np.ndarray], fewest: int) -> None:
        self._indices = [np.searchsorted(codes, code) for code in own]
        self._here = np.ones(len(codes), dtype=bool)
        count = self.spread([np.ones(len(code)) for code in own])
        self._here = np.isfinite(count).sum(axis=0) >= fewest
        self.count = np.isfinite(count).sum(axis=0)[self._here]
        right, self.vertex = np.divmod(codes[self._here], RIGHT)
        self.hemisphere = np.array(HEMISPHERES)[right]

    @classmethod
    def of(cls, mappings: Sequence[Mapping], fewest: int) -> "_Vertices":
        own = []
        for mapping in mappings:
            right = mapping.dataset["hemisphere"].values == HEMISPHERES[1]
            own.append(RIGHT * right + mapping.dataset["vertex"].values)
        return cls(np.unique(np.concatenate(own)), own, fewest)

    def spread(self, values: Sequence[np.ndarray]) -> Float[np.ndarray, "person voxel *rest"]:
        """Each subject's values on all vertices, NaN where it has none."""
        shape = (len(values), len(self._here), *values[0].shape[1:])
        stacked = np.full(shape, np.nan)
        for row, index, own in zip(stacked, self._indices, values, strict=True):
            row[index] = own
        return stacked[:, self._here]

    def rois(self, mappings: Sequence[Mapping]) -> dict[str, Bool[np.ndarray, "voxel"]]:
        """Vertices that lie in each ROI in more than half of the subjects that have both."""
        found = {}
        for name in dict.fromkeys(name for mapping in mappings for name in mapping.rois):
            unknown = [np.full(mapping.dataset.sizes["voxel"], np.nan) for mapping in mappings]
            own = [
                mapping.rois[name].astype(float) if name in mapping.rois else nothing
                for mapping, nothing in zip(mappings, unknown, strict=True)
            ]
            found[name] = np.nan_to_num(finite_mean(self.spread(own), axis=0)) > 0.5
        return found


def _check(mappings: Sequence[Mapping]) -> None:
    names = [str(mapping.dataset.attrs.get("subject")) for mapping in mappings]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise DataError(f"an average needs two subjects or more, each once; got {', '.join(names) or 'none'}")
    first = mappings[0]
    for name, mapping in zip(names, mappings, strict=True):
        pairs = {key: (first.dataset.attrs.get(key), mapping.dataset.attrs.get(key)) for key in SAME}
        found = [f"{key} ({left} and {right})" for key, (left, right) in pairs.items() if left != right]
        if first.layers != mapping.layers:
            found.append(f"layers ({len(first.layers)} and {len(mapping.layers)})")
        found += differing_ceiling(first, mapping, values=False)
        if found:
            raise DataError(
                f"the mappings of {names[0]!r} and {name!r} cannot be averaged, they differ in {'; '.join(found)}"
            )
        if not mapping.dataset.attrs.get("surface"):
            raise DataError(f"{name!r} lies on no surface; an average needs vertices of one, such as fsaverage")


def _persons(mappings: Sequence[Mapping], rois: Iterable[str]) -> dict[str, np.ndarray]:
    """Each subject's own ROI means and hierarchy line; NaN where it has none."""
    found: dict[str, np.ndarray] = {}
    for quantity in ("r2", "ceiling", "depth", "scale"):
        try:
            values = [voxel_values(mapping, quantity) for mapping in mappings]
        except UnknownNameError:
            continue
        regions = [regions_of(mapping) for mapping in mappings]
        means = [
            [finite_mean(own[inside[name]]) if name in inside else np.nan for name in region_names(rois)]
            for own, inside in zip(values, regions, strict=True)
        ]
        found[f"persons_{quantity}"] = np.array(means)
    try:
        lines = [hierarchy_slope(mapping) for mapping in mappings]
    except (DataError, UnknownNameError):
        return found
    return found | {f"persons_{name}": np.array([getattr(line, name) for line in lines]) for name in LINE}


def _attributes(mappings: Sequence[Mapping], names: list[str]) -> dict[str, object]:
    held = [mapping.dataset.attrs for mapping in mappings]
    return {
        **{name: held[0][name] for name in SAME if name in held[0]},
        "subject": f"average of {len(names)} ({', '.join(names)})",
        "simulated": int(any(mapping.simulated for mapping in mappings)),
        "seed": " / ".join(dict.fromkeys(str(attributes.get("seed")) for attributes in held)),
        "split": sha256_text(*(str(attributes.get("split")) for attributes in held)),
        "confidence": CONFIDENCE,
        "limits": "Student's, of the mean over subjects",
        **{name: _range(attributes.get(name) for attributes in held) for name in IMAGES},
    }


def _range(counts: Iterable[object]) -> str:
    """Numbers of images of all subjects, in words."""
    known = [int(str(count)) for count in counts if count is not None]
    few, many = (min(known), max(known)) if known else (0, 0)
    return f"{many:,}" if few == many else f"{few:,} to {many:,}"
