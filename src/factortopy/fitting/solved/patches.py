"""Patches of the image that voxels on the cortex read, and channels of every component, in closed form.

A channel align takes many images to learn. Where they are few, the components themselves are better channels, and a
Gaussian patch of the image, at least a cell of the token grid wide, is a better place than a point. What a voxel i
reads is then the mean of the candidates of :mod:`factortopy.fitting.solved.candidates`, scored for units j (voxels or
parcels). Those around a voxel tell for it, and so does the place u_i that its selectors were trained to::

    weight_ic ~ prior_c exp(sum_j exp(-d_ij^2 / 2 NEAR^2) log evidence_jc - |u_c - u_i|^2 / 2 FAR^2)

with ``prior_c = mean_i weight_ic``. Layers are the mean of these and of the trained ones.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting.reduction import spread_evenly
from factortopy.fitting.solved.candidates import Channels, candidates, mean_selection, score, solve
from factortopy.fitting.solved.closed_form import PENALTIES, centre
from factortopy.fitting.solved.parcels import find_parcels
from factortopy.fitting.solved.prior import log_likelihood, share_prior
from factortopy.fitting.solved.scan import leading
from factortopy.model import Selection
from factortopy.networks import Tokens

IMAGES = 1_500
"""Images at most: with more, a trained align is the better, and decomposing what each voxel reads takes hours."""
FEWEST = 10
"""Validation images at least: fewer judge by chance."""
MEMORY = 4e9
"""Bytes that components and channels may take: not those of the machine, on which no result may depend."""
NEAR, CROWD = 8.0, 12.0
"""Standard deviation of the distance over which units tell for a voxel, mm; as many as count in full, at most."""
FAR = 0.3
"""Standard deviation of the distance from the trained place, in image units."""
UNITS = 512
"""Voxels or parcels that candidates are scored for, at most."""
JUDGES = 64
"""Voxels that tell whether components may be the better channels, before anything is scored."""
HOPE = 0.85
"""Share of the align's R^2 that patches around trained places must have to go on: places found for them add to it."""
KEPT = 0.95
"""Share of the align's R^2 that is taken to hold for other images: its step was chosen by these."""
SHARED, DECOMPOSED = 1_024, 1e11
"""Distinct selections at most, and their number times images^3: each takes a decomposition."""
FLAT = torch.full((len(PENALTIES), 1), 1 / len(PENALTIES))
"""Weights of penalties of which nothing is known."""


class Seen(NamedTuple):
    """Components of distinct images with the responses to them.

    Attributes:
        tokens: undamped components of training images, then of validation images.
        responses: mean responses.
        repeats: trials of each image.
        judged: how many of them, the last ones, are validation images.
    """

    tokens: Tokens
    responses: Float[Tensor, "n N"]
    repeats: Float[Tensor, "n"]
    judged: int

    def solve(self, selection: Selection, penalties: Float[Tensor, "Q 1"], progress: bool) -> Channels:
        """Channels for a selection; their score is of the validation images, predicted from the others.

        Args:
            selection: of every voxel.
            penalties: weights of the penalties before the data are seen.
            progress: whether to show a progress bar.
        """
        prior = penalties.expand(-1, self.responses.shape[1])
        return solve(self.tokens, self.responses, self.repeats, selection, prior, progress, self.judged)

    def of(self, voxels: Int[Tensor, "some"]) -> "Seen":
        """The same of some voxels."""
        return self._replace(responses=self.responses[:, voxels.to(self.responses.device)])


def share_nearby(selection: Selection, coordinates: Float[Tensor, "N 3"], images: int, parts: int = 1) -> Selection:
    """The mean selection of the voxels that lie together, where there are too many to decompose what each reads.

    Args:
        selection: of every voxel.
        coordinates: of these, mm.
        images: from which channels are solved.
        parts: one of so many selections suffices.
    """
    most = max(64, min(SHARED, int(DECOMPOSED / images**3)) // parts)
    if len(coordinates) <= most:
        return selection
    parcels = find_parcels(coordinates, most)
    return selection.map(lambda part: parcels.mean(part)[parcels.label])


def components_memory(images: int, components: int, positions: int) -> float:
    """Bytes of all components of images in float32, half of them of local tokens, half of global ones.

    Args:
        images: training and validation images.
        components: of all blocks.
        positions: local tokens of a layer.
    """
    return 4.0 * images * components * (positions + 1) / 2


def may_judge(images: int, judged: int, voxels: int, components: int, positions: int) -> bool:
    """Whether images are few, validation images among them enough, and components of all blocks not too much."""
    held = components_memory(images, components, positions) + 16.0 * voxels * components
    return images <= IMAGES and judged >= FEWEST and held <= MEMORY


def widened(selection: Selection, height: int, width: int) -> Selection:
    """A selection that reads patches of a cell of the token grid around its points."""
    return selection._replace(size=torch.full_like(selection.scale, 2 / max(height, width)))


def select_patches(
    seen: Seen, places: Float[Tensor, "N 3"], coordinates: Float[Tensor, "M 3"], trained: Selection, progress: bool
) -> tuple[Selection, Float[Tensor, "Q 1"]]:
    """What M voxels select, and how much each penalty counts before a voxel is looked at.

    Args:
        seen: responses of N units.
        places: of the units, mm.
        coordinates: of the voxels, mm.
        trained: their selection by trained selectors.
        progress: whether to show a progress bar.
    """
    some = spread_evenly(len(places), UNITS)
    tokens, responses, repeats, _ = seen.of(some)
    tried = candidates(len(tokens.local), *tokens.local[0].shape[-2:])
    scores = score(leading(tokens), centre(responses, repeats)[0], repeats, tried, progress)
    log = log_likelihood(scores, len(repeats))
    evidence = log.logsumexp(dim=1)
    near = torch.exp(-torch.cdist(coordinates, places[some]).square() / (2 * NEAR**2))
    near = near * (CROWD / near.sum(dim=1, keepdim=True).clamp(min=CROWD))
    away = torch.cdist(tried.space, trained.space).square() / (2 * FAR**2)
    found = mean_selection(share_prior(evidence @ near.T - away), tried)
    penalties = log.flatten(0, 1).softmax(dim=0).view_as(log).sum(dim=0).mean(dim=1, keepdim=True)
    return found._replace(layer=(found.layer + trained.layer) / 2), penalties
