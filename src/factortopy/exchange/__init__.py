"""Mappings from and to the authors' released weights (`docs/authors-weights.md`), and maps for other programs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
