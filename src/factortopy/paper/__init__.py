"""Every figure and table of the paper, from shared tokens and fits, its numbers beside ours."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
