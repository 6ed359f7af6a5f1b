"""The probe of an original task reads what features hold, and changes nothing in the network."""

import numpy as np
from small_network import coloured_images, small_network

from factortopy.finetuning import FinetuneSettings, LabelledImages, probe


def test_features_hold_the_colour_and_no_shuffled_labels():
    images, network = coloured_images(40), small_network()
    before = network.weights_hash
    shuffled = tuple(np.random.default_rng(0).permutation(images.labels).tolist())
    settings = FinetuneSettings(per_class=20, validation_per_class=15)
    told, nothing = (
        probe(network, one, settings, precision="fp32", progress=False)
        for one in (images, LabelledImages(images.images, shuffled, images.classes))
    )
    assert told.accuracy > 0.9
    assert nothing.accuracy < 0.6
    assert (told.training, told.validation, told.chance) == (60, 45, 1 / 3)
    network.mark_changed("same", "same")
    assert network.weights_hash == before
