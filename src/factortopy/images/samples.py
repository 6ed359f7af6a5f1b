"""Several hundred distinct natural views, made from photographs that installed packages carry."""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from factortopy.errors import DataError, UnavailableError
from factortopy.images.image_set import ImageSet
from factortopy.images.pictures import read_image

# (package, file, side in pixels that a scene should have). Of scikit-image's files only photographs are
# taken, no drawings, text, phantoms or microscopy; of its stereo pair one eye, for both show one scene.
# Textures look alike everywhere, so they are cut into fewer and larger scenes.
PHOTOGRAPHS = (
    ("skimage", "data/astronaut.png", 150),
    ("skimage", "data/camera.png", 150),
    ("skimage", "data/chelsea.png", 150),
    ("skimage", "data/coffee.png", 150),
    ("skimage", "data/coins.png", 150),
    ("skimage", "data/motorcycle_left.png", 150),
    ("skimage", "data/rocket.jpg", 213),
    ("sklearn", "datasets/images/china.jpg", 150),
    ("sklearn", "datasets/images/flower.jpg", 150),
    ("skimage", "data/brick.png", 256),
    ("skimage", "data/grass.png", 256),
    ("skimage", "data/gravel.png", 256),
    ("skimage", "data/moon.png", 256),
    ("skimage", "data/hubble_deep_field.jpg", 450),
)
LARGEST_COUNT = 5000
SMALLEST_DETAIL = 1.0
SMALLEST_CROP = 0.55


@dataclass(frozen=True)
class _Scene:
    """A block of a photograph; blocks do not overlap. Bounds in pixels: left, top, right, bottom."""

    name: str
    photograph: Path
    bounds: tuple[int, int, int, int]


def sample_views(count: int = 720, seed: int = 0) -> ImageSet:
    """Distinct natural views: random square crops, half of them mirrored, of the sample photographs.

    Each photograph is cut into blocks that do not overlap, the *scenes*. Every view lies wholly in one
    scene and has 0.55 to 1 of its shorter side, so a split by ``groups`` shares no pixel between its sides.
    The photographs ship with scikit-image and scikit-learn (CC0, public domain, CC BY: see the licence
    notes in these packages); nothing is downloaded.

    Args:
        count: number of views, 1 to 5000.
        seed: the same seed gives the same views.

    Returns:
        Views with ids such as ``"coffee-r1c2-v0"`` and the scene (``"coffee-r1c2"``) of each as group.

    Raises:
        DataError: if ``count`` is out of range.
        UnavailableError: if a photograph is not installed.

    Example:
        >>> views = ft.sample_views(100)
        >>> len(views), len(set(views.groups)) < 100
        (100, True)
    """
    if not 1 <= count <= LARGEST_COUNT:
        raise DataError(f"count is {count}; expected 1 to {LARGEST_COUNT} sample views")
    random = np.random.default_rng(seed)
    scenes = [scene for package, file, side in PHOTOGRAPHS for scene in _scenes(_find(package, file), side)]
    order = random.permutation(len(scenes))
    taken: set[tuple[str, tuple[int, int, int, int]]] = set()
    views: dict[str, tuple[_Scene, tuple[int, int, int, int], bool]] = {}
    for number in range(count):
        scene = scenes[order[number % len(scenes)]]
        box = _random_box(scene, random)
        while (scene.name, box) in taken:
            box = _random_box(scene, random)
        taken.add((scene.name, box))
        views[f"{scene.name}-v{number // len(scenes)}"] = (scene, box, bool(random.random() < 0.5))

    def load(view_id: str) -> Image.Image:
        scene, box, mirrored = views[view_id]
        view = _photograph(scene.photograph).crop(box)
        return ImageOps.mirror(view) if mirrored else view

    groups = tuple(scene.name for scene, _, _ in views.values())
    return ImageSet(f"sample-views-{count}-seed-{seed}", tuple(views), load, groups)


def _find(package: str, file: str) -> Path:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(folders[0]) / file if folders else None
    if path is None or not path.is_file():
        raise UnavailableError(f"the sample photograph {file} of {package} is missing; reinstall {package}")
    return path


@cache
def _photograph(path: Path) -> Image.Image:
    return read_image(path)


def _scenes(path: Path, side: int) -> list[_Scene]:
    """Cut a photograph into blocks about ``side`` wide; empty sky and blurred ground are left out."""
    photograph = _photograph(path)
    grey = np.asarray(photograph.convert("L"), dtype=np.float32)
    columns, rows = (max(1, round(length / side)) for length in photograph.size)
    edges_x = np.linspace(0, photograph.width, columns + 1).astype(int)
    edges_y = np.linspace(0, photograph.height, rows + 1).astype(int)
    scenes = []
    for row in range(rows):
        for column in range(columns):
            left, right = (int(x) for x in edges_x[column : column + 2])
            top, bottom = (int(y) for y in edges_y[row : row + 2])
            # The mean step from a pixel to its right neighbour, in grey levels of 255.
            if np.abs(np.diff(grey[top:bottom, left:right])).mean() >= SMALLEST_DETAIL:
                name = f"{path.stem}-r{row}c{column}"
                scenes.append(_Scene(name, path, (left, top, right, bottom)))
    return scenes


def _random_box(scene: _Scene, random: np.random.Generator) -> tuple[int, int, int, int]:
    left, top, right, bottom = scene.bounds
    side = round(random.uniform(SMALLEST_CROP, 1.0) * min(right - left, bottom - top))
    x = int(random.integers(left, right - side + 1))
    y = int(random.integers(top, bottom - side + 1))
    return x, y, x + side, y + side
