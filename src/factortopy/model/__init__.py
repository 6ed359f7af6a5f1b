"""FactorTopy, the encoding model: position code, selectors, channel align and read-out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
