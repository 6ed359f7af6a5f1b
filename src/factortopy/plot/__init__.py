"""Figures of a mapping: flat maps of the cortex, their keys, and charts; as PNG and SVG."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
