"""Files: whole or not at all; arrays in any common format; shards, checkpoints, locks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
