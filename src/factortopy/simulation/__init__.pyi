from .planting import Planted as Planted
from .simulate import simulate_subject as simulate_subject
