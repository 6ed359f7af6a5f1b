"""The page: one HTML file in which the cortex unfolds, takes the colours of a mapping and can be pointed at."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
