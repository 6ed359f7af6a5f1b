"""The result of one fit: selectors, shares and scores of every voxel, with the trained parameters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
