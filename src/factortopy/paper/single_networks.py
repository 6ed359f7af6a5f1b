"""Figures of one network: 3 (selectors), 6 (diffusion), 8 (channel clusters) and 9 (what ROIs' channels tell apart)."""

import numpy as np

from factortopy.analysis import (
    PAPER_CLUSTERS,
    ClusterWay,
    channel_clusters,
    channel_images,
    cluster_table,
    estimate,
    layer_position,
    record_of,
    records_of,
)
from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.mapping import layer_confidence, load_model
from factortopy.paper.item import Item, Result
from factortopy.paper.members import CLIP, STAND_INS, Member, diffusion_block, diffusion_steps, members_of
from factortopy.paper.numbers import Row, roi_mean, roughness, selector_weights
from factortopy.paper.pictures import Panel, map_grid
from factortopy.paper.study import Job, Study
from factortopy.plot import channel_images as draw_images
from factortopy.plot import clusters, space_dots

EXAMPLE = "china-r1c0"
NAMES = {True: "with topology", False: "without topology"}
STEPS = (25, 40)
"""Of figure 6."""
WAYS: dict[ClusterWay, str] = {"paper": "figure8", "gauge-free": "figure8_gauge_free"}
ROIS = ("V1", "V4", "FFA")
"""Of the paper's figure 9."""
SAMPLES = ("motorcycle_left", "coins", "china-r1c0", "rocket")
SHOWN = 4
"""Images, spread over the subject's."""


def clip_member(study: Study) -> Member:
    """The network of figures 3, 8 and 9: CLIP, or the first that the user named."""
    if study.plan.networks:
        return members_of("table1", study.plan.simulated, study.plan.networks)[0]
    return STAND_INS[0] if study.plan.simulated else Member(CLIP, "CLIP", CLIP)


def clip_jobs(study: Study) -> list[Job]:
    """One fit of CLIP."""
    return [Job(clip_member(study))]


def topology_jobs(study: Study) -> list[Job]:
    """The network with and without the topological constraint."""
    return [Job(clip_member(study), topology=topology) for topology in NAMES]


def make_selectors(study: Study) -> Result:
    """Figure 3: selectors, the weight of every layer and where the image is read, and the numbers behind."""
    mappings = {NAMES[job.topology]: study.fit(job) for job in topology_jobs(study)}
    smooth, palette, images = mappings[NAMES[True]], study.plan.palette, study.images()
    weights = selector_weights(smooth)
    panels, rows = [], []
    for name, mapping in mappings.items():
        own, data = selector_weights(mapping), mapping.dataset
        panels.append(Panel(f"layer, {name}", mapping, own, "layer"))
        panels.append(Panel(f"space, {name}", mapping, data["space"].values, "space"))
        panels.append(Panel(f"scale, {name}", mapping, data["scale"].values, "scale"))
        row: Row = {"label": name, **record_of({"r2": estimate(mapping, "r2")})}
        confidence = float(np.nanmean(layer_confidence(own)))
        rows.append(row | {"confidence": confidence, "roughness": roughness(mapping)})
    single, layers = [], []
    for index, name in enumerate(smooth.layers):
        own = weights[:, index]
        single.append(Panel(f"layer {index + 1}: {name}", smooth, own, "weight"))
        layers.append({"layer": name, **{roi: roi_mean(own, smooth, roi) for roi in smooth.rois}})
    # Under the dots: of the sample photographs a pagoda, else the first photograph.
    example = next((index for index, name in enumerate(images.ids) if name.startswith(EXAMPLE)), 0)
    return Result(
        {
            "figure3": map_grid("Selectors with and without topology", panels, palette=palette),
            "figure3_layers": map_grid(
                "Weight of every layer", single, columns=4, source="layer selector", names=False, palette=palette
            ),
            "figure3_dots": space_dots(smooth, image=images.image(example), palette=palette),
        },
        {"figure3": rows, "figure3_layers": layers},
        (
            "confidence: 1 - H(w) / log L (eq. 2), mean over voxels",
            "roughness: mean absolute difference of layer position between neighbouring vertices",
        ),
    )


def diffusion_jobs(study: Study) -> list[Job]:
    """Blocks at both time steps, time steps at one block."""
    simulated = study.plan.simulated
    members = (*diffusion_steps(STEPS, simulated=simulated), diffusion_block(simulated=simulated))
    return [Job(member) for member in members]


def make_diffusion(study: Study) -> Result:
    """Figure 6: one picture of three maps, and where each ROI reads."""
    panels, rows = [], []
    for job in diffusion_jobs(study):
        mapping, label = study.fit(job), job.member.label
        weights = selector_weights(mapping)
        panels.append(Panel(f"{label}\n{mapping.layers[0]} … {mapping.layers[-1]}", mapping, weights))
        sure = layer_confidence(weights)
        row: Row = {"label": label, "layers": len(mapping.layers)}
        row |= record_of({"r2": estimate(mapping, "r2")}) | {"confidence": float(np.nanmean(sure))}
        for roi in mapping.rois:
            row[f"{roi} position"] = roi_mean(layer_position(weights), mapping, roi)
            row[f"{roi} confidence"] = roi_mean(sure, mapping, roi)
        rows.append(row)
    figure = map_grid(
        "Diffusion: blocks at fixed time steps, time steps at a fixed block", panels,
        source="layer selector", palette=study.plan.palette,
    )  # fmt: skip
    notes = ("position: 0 first block or time step, 1 last; the paper gives no numbers for this figure",)
    return Result({"figure6": figure}, {"figure6": rows}, notes)


def make_clusters(study: Study) -> Result:
    """Figure 8: both ways of clustering, a picture and a table each."""
    from sklearn.metrics import adjusted_rand_score

    mapping = study.fit(*clip_jobs(study))
    clusterings = {way: channel_clusters(mapping, PAPER_CLUSTERS, way, seed=study.plan.seed) for way in WAYS}
    alike = adjusted_rand_score(clusterings["paper"].labels, clusterings["gauge-free"].labels)
    return Result(
        {name: clusters(mapping, clusterings[way], palette=study.plan.palette) for way, name in WAYS.items()},
        {name: records_of(cluster_table(mapping, clusterings[way])) for way, name in WAYS.items()},
        (f"adjusted Rand index of the two ways: {alike:.2f}; the paper gives no numbers for this figure",),
    )


def make_images(study: Study) -> Result:
    """Figure 9: photographs and, beside each, a map of every ROI, in the paper's colours and as a response."""
    (job,) = clip_jobs(study)
    mapping, photographs = study.fit(job), _photographs(study.images(), study.plan.simulated)
    network = study.network(job.member)
    store = study.tokens_of(job.member, photographs, network.grid, network)
    regions = {name: mapping.rois[name] for name in ROIS if name in mapping.rois and mapping.rois[name].sum() > 3}
    if not regions:
        raise DataError(f"figure 9 needs the ROIs {', '.join(ROIS)}; this subject has none of them")
    maps = channel_images(load_model(mapping), [store.read()], store.image_ids, regions)
    shown = [network.preprocessing.seen(photographs.image(index)) for index in range(len(photographs))]
    rows = [
        {"roi": name, "voxels": int(regions[name].sum()), "variance of three components": float(part.sum())}
        for name, part in zip(maps.regions, maps.explained, strict=True)
    ]
    return Result(
        {
            "figure9": draw_images(mapping, maps, shown, palette=study.plan.palette),
            "figure9_response": draw_images(mapping, maps, shown, "response", palette=study.plan.palette),
        },
        {"figure9": rows},
        (
            "axes and clip are those of the authors' program, but percentiles are over all images shown and ROIs have "
            "their voxels of both hemispheres",
            "for other photographs: factortopy channels images; the paper gives no numbers for this figure",
        ),
    )


def _photographs(images: ImageSet, simulated: bool) -> ImageSet:
    """A view of each of some sample photographs, or photographs spread over the subject's."""
    if simulated:
        first = [next((one for one in images.ids if one.startswith(name)), None) for name in SAMPLES]
        return images.subset(one for one in first if one is not None)
    indices = np.linspace(0, len(images) - 1, SHOWN).round().astype(int)
    return images.subset(dict.fromkeys(images.ids[index] for index in indices))


FIGURE3 = Item(
    "figure3",
    "selectors with and without topology, weights of single layers, space dots",
    topology_jobs,
    make_selectors,
)
FIGURE6 = Item(
    "figure6", "diffusion: blocks at fixed time steps, time steps at a fixed block", diffusion_jobs, make_diffusion,
    more="the extra 'diffusion'",
)  # fmt: skip
FIGURE8 = Item(
    "figure8", f"{PAPER_CLUSTERS} channel clusters, the paper's way and gauge-free", clip_jobs, make_clusters
)
FIGURE9 = Item("figure9", "ROI channel images of V1, V4 and FFA", clip_jobs, make_images)
