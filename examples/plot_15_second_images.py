"""
Images of another kind
======================

A model that predicts photographs may fail on drawings or noise. Scores on a second set of images stand beside the
held-out ones, never mixed with them. Here: other views, simulated in the same subject.
"""

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
network = ft.load_network("squeezenet-1.1")
others = ft.sample_views(100, seed=7)
tokens = ft.extract(network, others, "run/other-tokens", progress=False)
subject = ft.simulate_subject(tokens, planted_channels=5, seed=0, name="other views", progress=False)
elsewhere = ft.score_images(mapping, tokens, subject)
ft.image_set_scores({"held out": mapping, "other views": elsewhere})
