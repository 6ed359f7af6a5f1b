"""All items by name, in the order of the paper."""

from factortopy.errors import UnknownNameError
from factortopy.paper.item import Item
from factortopy.paper.items.figure3 import FIGURE3
from factortopy.paper.items.figure6 import FIGURE6
from factortopy.paper.items.figure7 import FIGURE7, TABLE3
from factortopy.paper.items.figure8 import FIGURE8
from factortopy.paper.items.figure9 import FIGURE9
from factortopy.paper.items.table1 import FIGURE4, TABLE1
from factortopy.paper.items.table2 import FIGURE5, TABLE2

EVERY = (FIGURE3, FIGURE4, TABLE1, FIGURE5, TABLE2, FIGURE6, FIGURE7, TABLE3, FIGURE8, FIGURE9)
ITEMS = {item.name: item for item in EVERY}


def find_item(name: str) -> Item:
    """An item by its name.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in ITEMS:
        raise UnknownNameError("figure or table", name, ["list", "all", *ITEMS])
    return ITEMS[name]
