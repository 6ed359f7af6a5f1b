"""Published data sets as they lie on disk, each with its reader and its check."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
