"""Standard surfaces from nilearn's files, FreeSurfer's folder or a download asked for, and their spheres."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex.mesh import HEMISPHERES, VERTICES, Hemisphere, Mesh, Surface
from factortopy.cortex.mesh_files import flat_mesh, read_mesh, read_morph
from factortopy.errors import DataError, UnavailableError, UnknownNameError

SURFACES = ("fsaverage5", "fsaverage6", "fsaverage")
"""Each a refinement of the one before."""
ALIASES = {"fsaverage7": "fsaverage"}
NATIVE = "native-"
"""Starts the name of a surface of a subject's own (``native-subj01``), which no figure can paint."""
MESHES = ("white", "pial", "inflated", "sphere")
MORPHS = ("sulc", "curv")
# File stems of nilearn's that differ from the names used here.
_STEMS = {"inflated": "infl"}


def standard_name(name: str) -> str:
    """The name of a standard surface without aliases: ``"fsaverage7"`` is ``"fsaverage"``.

    Raises:
        UnknownNameError: if there is no such surface.
    """
    name = ALIASES.get(name, name)
    if name not in SURFACES:
        raise UnknownNameError("surface", name, SURFACES)
    return name


def surface_name(name: str) -> str:
    """As :func:`standard_name`, but the name of a surface of a subject's own (``NATIVE``) stays as it is.

    Raises:
        UnknownNameError: if it is neither.
    """
    return name if name.startswith(NATIVE) else standard_name(name)


def load_surface(name: str = "fsaverage5", *, fetch: bool = False) -> Surface:
    """Load a standard surface (Fischl et al. 1999, Human Brain Mapping 8:272-284).

    fsaverage5 comes with nilearn; it is read once, and its arrays cannot be written to. The finer ones are read
    from the folder that the environment variable ``SUBJECTS_DIR`` names (FreeSurfer's), else from nilearn's data
    folder. Nothing is downloaded unless asked for.

    Args:
        name: ``"fsaverage5"`` (10,242 vertices a hemisphere), ``"fsaverage6"`` (40,962) or ``"fsaverage"``,
            also called ``"fsaverage7"`` (163,842).
        fetch: let nilearn download what is not there.

    Raises:
        UnknownNameError: if there is no such surface.
        UnavailableError: if its files are nowhere, or the download fails.
        DataError: if a file is missing or cannot be read.

    Example:
        >>> surface = ft.load_surface("fsaverage5")
        >>> len(surface.left.pial.coordinates)
        10242
    """
    name = standard_name(name)
    if name == "fsaverage5":
        return _fsaverage5()
    subjects = os.environ.get("SUBJECTS_DIR")
    if subjects and (Path(subjects) / name / "surf").is_dir():
        return _upright(read_freesurfer(Path(subjects) / name, name))
    folder = next((data / name for data in _nilearn_folders() if (data / name).is_dir()), None)
    if folder is None and fetch:
        folder = _fetch(name)
    if folder is None:
        raise UnavailableError(
            f"the surface {name} is not on this machine; set SUBJECTS_DIR to a folder of FreeSurfer subjects "
            f"that has {name}, or put nilearn's {name} into ~/nilearn_data, or let "
            f"load_surface({name!r}, fetch=True) download it"
        )
    return _upright(_read_nilearn(name, folder))


@cache
def _fsaverage5() -> Surface:
    """nilearn's own, which every map, simulation and finer surface asks for."""
    # nilearn.datasets itself takes seconds to import; only its data folder is needed.
    import nilearn

    surface = _read_nilearn("fsaverage5", Path(os.fspath(nilearn.__file__)).parent / "datasets" / "data" / "fsaverage5")
    for half in surface.hemispheres:
        meshes = (getattr(half, name) for name in (*MESHES, "flat"))
        shared = [array for mesh in meshes for array in (mesh.coordinates, mesh.faces)]
        for array in (*shared, half.sulcal_depth, half.curvature):
            array.flags.writeable = False
    return surface


def _nilearn_folders() -> list[Path]:
    """nilearn's data folders, in its own order: two environment variables, then the home folder."""
    named = [os.environ.get(variable, "") for variable in ("NILEARN_SHARED_DATA", "NILEARN_DATA")]
    folders = [Path(path) for paths in named for path in paths.split(os.pathsep) if path]
    return [*folders, Path.home() / "nilearn_data"]


def _fetch(name: str) -> Path:
    from nilearn.datasets import fetch_surf_fsaverage

    try:
        return Path(os.fspath(fetch_surf_fsaverage(name)["sphere_left"])).parent
    except Exception as error:
        # nilearn passes on whatever its HTTP library raises.
        raise UnavailableError(f"cannot download the surface {name}: {' '.join(str(error).split())}") from error


def _read_nilearn(name: str, folder: Path) -> Surface:
    halves = []
    for half in HEMISPHERES:
        files = {kind: folder / f"{_STEMS.get(kind, kind)}_{half}.gii.gz" for kind in (*MESHES, "flat", *MORPHS)}
        meshes = {mesh: read_mesh(files[mesh]) for mesh in (*MESHES, "flat")}
        halves.append(_hemisphere(half, meshes, files, VERTICES[name]))
    return Surface(name, *halves)


def read_freesurfer(folder: str | os.PathLike[str], name: str) -> Surface:
    """Read both hemispheres of a standard surface from its folder as FreeSurfer has it.

    It holds ``surf`` with lh and rh of white, pial, inflated, sphere, sulc, curv and cortex.patch.flat;
    fsaverage6 has no patch of its own and takes that of ``fsaverage`` beside it.
    """
    surf, halves = Path(folder) / "surf", []
    for half, short in zip(HEMISPHERES, ("lh", "rh"), strict=True):
        files = {kind: surf / f"{short}.{kind}" for kind in (*MESHES, *MORPHS)}
        meshes = {mesh: read_mesh(files[mesh]) for mesh in MESHES}
        patches = [path / f"{short}.cortex.patch.flat" for path in (surf, surf.parents[1] / "fsaverage" / "surf")]
        patch = next((path for path in patches if path.is_file()), None)
        if patch is None:
            raise DataError.of(patches[0], "is missing, nor has fsaverage beside it one; copy it")
        meshes["flat"] = flat_mesh(patch, meshes["sphere"])
        halves.append(_hemisphere(half, meshes, files, VERTICES.get(name, len(meshes["sphere"].coordinates))))
    return Surface(name, *halves)


def _hemisphere(name: str, meshes: dict[str, Mesh], files: dict[str, Path], count: int) -> Hemisphere:
    sulcal_depth, curvature = (read_morph(files[kind], count) for kind in MORPHS)
    for kind, mesh in meshes.items():
        if len(mesh.coordinates) != count:
            raise DataError(
                f"the {name} {kind} mesh has {len(mesh.coordinates)} vertices, expected {count}; "
                "its files are of several surfaces"
            ).at(files["sphere"].parent)
    return Hemisphere(name=name, **meshes, sulcal_depth=sulcal_depth, curvature=curvature)


def _upright(surface: Surface) -> Surface:
    """Turn the flat meshes in their plane to lie as fsaverage5's do: dorsal up, occipital poles inside.

    FreeSurfer leaves the direction of a flat patch open. The turn is the rotation that brings the vertices
    shared with fsaverage5 nearest to theirs (orthogonal Procrustes without reflection).
    """
    halves = []
    for mine, model in zip(surface.hemispheres, load_surface("fsaverage5").hemispheres, strict=True):
        shared = _drawn(mine.flat)[: model.vertices] & _drawn(model.flat)
        points, targets = (half.flat.coordinates[: model.vertices][shared, :2] for half in (mine, model))
        outer = (points - points.mean(axis=0)).T @ (targets - targets.mean(axis=0))
        angle = np.arctan2(outer[0, 1] - outer[1, 0], outer[0, 0] + outer[1, 1])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        coordinates = mine.flat.coordinates.copy()
        coordinates[:, :2] = coordinates[:, :2] @ turn
        halves.append(replace(mine, flat=Mesh(coordinates, mine.flat.faces)))
    return Surface(surface.name, *halves)


def _drawn(mesh: Mesh) -> Bool[np.ndarray, "vertex"]:
    drawn = np.zeros(len(mesh.coordinates), dtype=bool)
    drawn[mesh.faces] = True
    return drawn


def sphere_coordinates(surface: Surface | str) -> Float[np.ndarray, "vertex 3"]:
    """Positions on the sphere of all vertices, the left hemisphere first, the right one beside it, in mm.

    Args:
        surface: a surface, whose own spheres are taken; or the name of a standard one (``"fsaverage"``,
            ``"fsaverage6"``, ``"fsaverage5"``), whose spheres are computed (``refine_sphere``), so that
            nothing but nilearn's files is needed. They are within 0.011 mm of FreeSurfer's.

    Raises:
        UnknownNameError: if there is no standard surface of that name.

    Example:
        >>> ft.sphere_coordinates("fsaverage5").shape
        (20484, 3)
    """
    left, right = standard_spheres(surface) if isinstance(surface, str) else (surface.left.sphere, surface.right.sphere)
    return side_by_side(left.coordinates, right.coordinates)


def side_by_side(left: Float[np.ndarray, "left 3"], right: Float[np.ndarray, "right 3"]) -> Float[np.ndarray, "both 3"]:
    """Two spheres in one space, so that no voxel has another's position.

    The right one is shifted along x so that its smallest x equals the left's smallest x plus 1.5 times the
    left's width.
    """
    shifted = right.copy()
    smallest, largest = left[:, 0].min(), left[:, 0].max()
    shifted[:, 0] += smallest + 1.5 * (largest - smallest) - shifted[:, 0].min()
    return np.concatenate([left, shifted])


def standard_spheres(name: str) -> tuple[Mesh, Mesh]:
    """Left and right sphere of a standard surface, radius 100 mm, computed from fsaverage5's."""
    coarse = load_surface("fsaverage5")
    left, right = coarse.left.sphere, coarse.right.sphere
    for _ in range(SURFACES.index(standard_name(name))):
        left, right = refine_sphere(left), refine_sphere(right)
    return left, right


def refine_sphere(sphere: Mesh) -> Mesh:
    """Split every triangle of a sphere in four and lift the new vertices to it, in FreeSurfer's order.

    fsaverage5, 6 and 7 are refinements of one icosahedron: old vertices stay, and the middles of edges
    follow in the order in which they occur when triangles are gone through one by one, edges (3rd, 1st),
    (2nd, 3rd), (1st, 2nd). The new triangles are those at the first corners, for all old triangles; then for
    each old triangle that at its third corner, the middle one, and that at its second corner.
    """
    first, second, third = sphere.faces.T.astype(np.int64)
    corners = np.stack([np.stack(pair, axis=1) for pair in ((third, first), (second, third), (first, second))], 1)
    # Each edge once, in order of first use; and for every use the number of its edge.
    pairs = np.sort(corners.reshape(-1, 2), axis=1)
    _, uses, number = np.unique(pairs @ [len(sphere.coordinates), 1], return_index=True, return_inverse=True)
    order = np.argsort(uses)
    edges, number = pairs[uses[order]], np.argsort(order)[number]
    middles = sphere.coordinates[edges].astype(np.float64).mean(axis=1)
    radius = np.linalg.norm(sphere.coordinates, axis=1).mean()
    middles *= radius / np.linalg.norm(middles, axis=1, keepdims=True)
    third_first, second_third, first_second = (len(sphere.coordinates) + number).reshape(-1, 3).T
    at_first = np.stack([first, first_second, third_first], axis=1)
    others = [
        np.stack([third_first, second_third, third], axis=1),
        np.stack([first_second, second_third, third_first], axis=1),
        np.stack([first_second, second, second_third], axis=1),
    ]
    return Mesh(
        np.concatenate([sphere.coordinates, middles]).astype(np.float32),
        np.concatenate([at_first, np.stack(others, axis=1).reshape(-1, 3)]).astype(np.int32),
    )
