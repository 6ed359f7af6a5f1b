"""Splits that hold out whole clusters of similar images: a stricter test of generalisation."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from factortopy.errors import DataError
from factortopy.images import Split, split_images
from factortopy.progress import progress_bar
from factortopy.tokens.store import TokenStore

CLUSTERS = 40
BATCH = 64


def split_clusters(
    tokens: TokenStore,
    ids: Sequence[str] | None = None,
    *,
    clusters: int = CLUSTERS,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    progress: bool = True,
) -> Split:
    """Split images so that no cluster of similar images stands on two sides.

    The training and test images of NSD share clusters, so that a score on a random split rewards knowing the
    cluster (Shirakawa et al. 2024, arXiv:2405.10078). Here the global tokens of the network's last layer
    are standardised channel by channel and clustered by k-means; whole clusters are then dealt to the sides.
    Views of one scene are averaged first, so that they stay together.

    Args:
        tokens: tokens of (at least) these images.
        ids: the images to split; all of the store by default.
        clusters: how many.
        fractions: of train, validation and test, met as nearly as whole clusters allow.
        seed: of k-means and of the deal.
        progress: show a bar.

    Raises:
        DataError: if an image has no tokens, or there are fewer images (or scenes) than clusters.
    """
    ids = tuple(tokens.image_ids if ids is None else ids)
    index_of = {image: index for index, image in enumerate(tokens.image_ids)}
    missing = [image for image in ids if image not in index_of]
    if missing:
        fault = f"{len(missing)} images have no tokens in {tokens.path} (first: {missing[0]!r})"
        raise DataError(fault, path=tokens.path)
    scene = tokens.image_groups or tokens.image_ids
    labels = cluster_images(
        _last_global_tokens(tokens, [index_of[image] for image in ids], progress),
        [scene[index_of[image]] for image in ids],
        clusters,
        seed,
    )
    return split_images(ids, labels, fractions, seed)


def cluster_images(
    features: Float[np.ndarray, "image channel"], scenes: Sequence[str], clusters: int, seed: int = 0
) -> list[str]:
    """The cluster of each image, by k-means of the standardised features, averaged over each scene.

    Fewer scenes than clusters, or fewer than three clusters, are an error.
    """
    from sklearn.cluster import KMeans

    names, scene = np.unique(np.asarray(scenes), return_inverse=True)
    if not 3 <= clusters <= len(names):
        raise DataError(
            f"{len(names)} images (or scenes) cannot make {clusters} clusters for three sides; "
            "give 3 clusters or more, and no more than images"
        )
    sums = np.zeros((len(names), features.shape[1]))
    np.add.at(sums, scene, features)
    means = sums / np.bincount(scene)[:, None]
    spread = means.std(axis=0)
    standard = (means - means.mean(axis=0)) / np.where(spread > 0, spread, 1)
    labels = KMeans(clusters, n_init=4, random_state=seed).fit_predict(standard)
    return [f"cluster {number}" for number in labels[scene]]


def _last_global_tokens(tokens: TokenStore, rows: list[int], progress: bool) -> Float[np.ndarray, "image channel"]:
    parts = []
    with progress_bar("Clusters of images", total=len(rows), show=progress) as advance:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            parts.append(tokens.read(batch).global_[-1].float().numpy())
            advance(len(batch))
    return np.concatenate(parts)
