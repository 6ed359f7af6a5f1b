"""Figure 9: what the channels of V1, V4 and FFA tell apart in images."""

import numpy as np

from factortopy.analysis import channel_images
from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.mapping import Mapping, load_model
from factortopy.paper.item import Item, Result
from factortopy.paper.items.figure3 import clip_member
from factortopy.paper.study import Job, Study
from factortopy.plot import channel_images as draw

ROIS = ("V1", "V4", "FFA")
"""Of the paper's figure."""
SAMPLES = ("motorcycle_left", "coins", "china-r1c0", "rocket")
SHOWN = 4
"""Images, spread over the subject's."""


def jobs(study: Study) -> list[Job]:
    """One fit of CLIP."""
    return [Job(clip_member(study))]


def make(study: Study) -> Result:
    """Photographs and, beside each, a map of every ROI, in the paper's colours and as a response."""
    job = jobs(study)[0]
    mapping, photographs = study.fit(job), _chosen(study.images(), study.plan.simulated)
    network = study.network(job.member)
    store = study.tokens_of(job.member, photographs, network.grid, network)
    regions = _regions(mapping)
    maps = channel_images(load_model(mapping), [store.read()], store.image_ids, regions)
    shown = [network.preprocessing.seen(photographs.image(index)) for index in range(len(photographs))]
    palette = study.plan.palette
    rows = [
        {"roi": name, "voxels": int(regions[name].sum()), "variance of three components": float(part.sum())}
        for name, part in zip(maps.regions, maps.explained, strict=True)
    ]
    return Result(
        {
            "figure9": draw(mapping, maps, shown, palette=palette),
            "figure9_response": draw(mapping, maps, shown, "response", palette=palette),
        },
        {"figure9": rows},
        ("for other photographs: factortopy channels images; the paper gives no numbers for this figure",),
    )


def _chosen(images: ImageSet, simulated: bool) -> ImageSet:
    """A view of each of some sample photographs, or photographs spread over the subject's."""
    if simulated:
        first = [next((one for one in images.ids if one.startswith(name)), None) for name in SAMPLES]
        return images.subset(one for one in first if one is not None)
    indices = np.linspace(0, len(images) - 1, SHOWN).round().astype(int)
    return images.subset(dict.fromkeys(images.ids[index] for index in indices))


def _regions(mapping: Mapping) -> dict[str, np.ndarray]:
    present = {name: mapping.rois[name] for name in ROIS if name in mapping.rois}
    enough = {name: inside for name, inside in present.items() if inside.sum() > 3}
    if not enough:
        raise DataError(f"figure 9 needs the ROIs {', '.join(ROIS)}; this subject has none of them")
    return enough


FIGURE9 = Item("figure9", "ROI channel images of V1, V4 and FFA", jobs, make)
