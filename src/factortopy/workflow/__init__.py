"""The stages from tokens and a subject to a scored mapping, in their order."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
