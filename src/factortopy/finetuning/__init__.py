"""Fine-tuning: a network and labelled images in, the network with other weights out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
