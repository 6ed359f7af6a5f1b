from .names import AuthorsFile as AuthorsFile
from .places import LabelFiles as LabelFiles
from .places import subject_at as subject_at
from .places import voxels_from_coordinates as voxels_from_coordinates
from .places import voxels_from_labels as voxels_from_labels
from .weights import export_weights as export_weights
from .weights import import_weights as import_weights
from .weights import score_weights as score_weights
