from .cost import Cost as Cost
from .machine import Machine as Machine
from .machine import autocast as autocast
from .machine import choose_device as choose_device
from .machine import choose_precision as choose_precision
from .machine import seeded as seeded
