from ._page import Picture as Picture
from ._page import picture as picture
from ._page import write_page as write_page
from .widget import view as view
