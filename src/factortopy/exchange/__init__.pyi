from .weights import LabelFiles as LabelFiles
from .weights import export_weights as export_weights
from .weights import import_weights as import_weights
from .weights import score_weights as score_weights
from .weights import voxels_from_coordinates as voxels_from_coordinates
from .weights import voxels_from_labels as voxels_from_labels
