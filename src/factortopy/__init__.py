"""factortopy: map pre-trained vision networks onto the human brain.

The public names stand in ``__init__.pyi``; each loads on first use, so that importing the package costs little.
"""

import lazy_loader

from factortopy.machine import share_processors

share_processors()  # before PyTorch is loaded

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
