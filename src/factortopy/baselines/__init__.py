"""Baselines and ablations on the same data: what a simpler model would have said (`docs/baselines.md`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
