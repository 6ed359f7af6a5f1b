"""Many networks on many subjects as a graph of tasks, on one machine or many: nothing is done twice, nothing lost."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
