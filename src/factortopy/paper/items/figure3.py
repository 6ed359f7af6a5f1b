"""Figure 3: selectors with and without topology, the weight of every layer, and where the image is read."""

import numpy as np

from factortopy.analysis import estimate, record_of
from factortopy.images import ImageSet
from factortopy.mapping import Mapping, layer_confidence
from factortopy.paper.item import Item, Result
from factortopy.paper.items.panels import Panel, map_grid
from factortopy.paper.measures import roi_mean, roughness, selector_weights
from factortopy.paper.members import CLIP, STAND_INS, Member, members_of
from factortopy.paper.numbers import Row
from factortopy.paper.study import Job, Study
from factortopy.plot import space_dots

EXAMPLE = "china-r1c0"
NAMES = {True: "with topology", False: "without topology"}


def clip_member(study: Study) -> Member:
    """The network of figures 3, 8 and 9: CLIP, or the first that the user named."""
    if study.plan.networks:
        return members_of("table1", study.plan.simulated, study.plan.networks)[0]
    return STAND_INS[0] if study.plan.simulated else Member(CLIP, "CLIP", CLIP)


def jobs(study: Study) -> list[Job]:
    """The network with and without the topological constraint."""
    member = clip_member(study)
    return [Job(member, topology=topology) for topology in NAMES]


def make(study: Study) -> Result:
    """Three pictures, and the numbers behind the first two."""
    with_topology, without = (study.fit(job) for job in jobs(study))
    mappings = {True: with_topology, False: without}
    palette = study.plan.palette
    images = study.images()
    panels = [panel for topology, mapping in mappings.items() for panel in _selectors(NAMES[topology], mapping)]
    weights = selector_weights(with_topology)
    single = [
        Panel(f"layer {number}: {name}", with_topology, weights[:, number - 1], "weight")
        for number, name in enumerate(with_topology.layers, start=1)
    ]
    return Result(
        figures={
            "figure3": map_grid("Selectors with and without topology", panels, palette=palette),
            "figure3_layers": map_grid(
                "Weight of every layer",
                single,
                columns=4,
                source="layer selector",
                names=False,
                palette=palette,
            ),
            "figure3_dots": space_dots(with_topology, image=images.image(_example(images)), palette=palette),
        },
        tables={
            "figure3": [_row(NAMES[topology], mapping) for topology, mapping in mappings.items()],
            "figure3_layers": _layer_rows(with_topology),
        },
        notes=(
            "confidence: 1 - H(w) / log L (eq. 2), mean over voxels",
            "roughness: mean absolute difference of layer position between neighbouring vertices",
        ),
    )


def _selectors(name: str, mapping: Mapping) -> list[Panel]:
    data = mapping.dataset
    return [
        Panel(f"layer, {name}", mapping, selector_weights(mapping), "layer"),
        Panel(f"space, {name}", mapping, data["space"].values, "space"),
        Panel(f"scale, {name}", mapping, data["scale"].values, "scale"),
    ]


def _example(images: ImageSet) -> int:
    """Index of the photograph under the dots: of the sample photographs a pagoda, else the first."""
    return next((index for index, name in enumerate(images.ids) if name.startswith(EXAMPLE)), 0)


def _row(name: str, mapping: Mapping) -> Row:
    return {
        "label": name,
        **record_of({"r2": estimate(mapping, "r2")}),
        "confidence": float(np.nanmean(layer_confidence(selector_weights(mapping)))),
        "roughness": roughness(mapping),
    }


def _layer_rows(mapping: Mapping) -> list[Row]:
    weights = selector_weights(mapping)
    return [
        {"layer": name, **{roi: roi_mean(weights[:, index], mapping, roi) for roi in mapping.rois}}
        for index, name in enumerate(mapping.layers)
    ]


FIGURE3 = Item("figure3", "selectors with and without topology, weights of single layers, space dots", jobs, make)
