"""Positions on the spheres of fsaverage5, 6 and 7, made from fsaverage5's without a download."""

import numpy as np
from jaxtyping import Float, Int

from factortopy.cortex.mesh import Mesh, Surface
from factortopy.cortex.surfaces import load_surface, standard_name

REFINEMENTS = {"fsaverage5": 0, "fsaverage6": 1, "fsaverage": 2}


def sphere_coordinates(surface: Surface | str) -> Float[np.ndarray, "vertex 3"]:
    """Positions on the sphere of all vertices, the left hemisphere first, the right one beside it, in mm.

    Args:
        surface: a surface, whose own spheres are taken; or the name of a standard one (``"fsaverage"``,
            ``"fsaverage6"``, ``"fsaverage5"``), whose spheres are computed (``refine_sphere``), so that
            nothing but nilearn's files is needed. They are within 0.011 mm of FreeSurfer's.

    Raises:
        UnknownNameError: if there is no standard surface of that name.
    """
    if isinstance(surface, str):
        left, right = standard_spheres(surface)
    else:
        left, right = surface.left.sphere, surface.right.sphere
    return side_by_side(left.coordinates, right.coordinates)


def side_by_side(
    left: Float[np.ndarray, "vertex 3"], right: Float[np.ndarray, "vertex 3"]
) -> Float[np.ndarray, "both 3"]:
    """Two spheres in one space, so that no voxel has another's position.

    The right one is shifted along x so that its smallest x equals the left's smallest x plus 1.5 times the
    left's width.
    """
    shifted = right.copy()
    smallest, largest = left[:, 0].min(), left[:, 0].max()
    shifted[:, 0] += smallest + 1.5 * (largest - smallest) - shifted[:, 0].min()
    return np.concatenate([left, shifted])


def standard_spheres(name: str) -> tuple[Mesh, Mesh]:
    """Left and right sphere of a standard surface, radius 100 mm, computed from fsaverage5's.

    Args:
        name: ``"fsaverage"`` (or ``"fsaverage7"``), ``"fsaverage6"`` or ``"fsaverage5"``.
    """
    times = REFINEMENTS[standard_name(name)]
    coarse = load_surface("fsaverage5")
    spheres = [hemisphere.sphere for hemisphere in coarse.hemispheres]
    for _ in range(times):
        spheres = [refine_sphere(sphere) for sphere in spheres]
    return spheres[0], spheres[1]


def refine_sphere(sphere: Mesh) -> Mesh:
    """Split every triangle into four and lift the new vertices to the sphere, in FreeSurfer's order.

    fsaverage5, 6 and 7 are refinements of one icosahedron: old vertices stay, and the middles of edges
    follow in the order in which they occur when triangles are gone through one by one, edges (3rd, 1st),
    (2nd, 3rd), (1st, 2nd). The new triangles are those at the first corners, for all old triangles; then for
    each old triangle that at its third corner, the middle one, and that at its second corner.

    Args:
        sphere: a closed mesh around the origin.
    """
    first, second, third = sphere.faces.T.astype(np.int64)
    corners = np.stack([np.stack(pair, axis=1) for pair in ((third, first), (second, third), (first, second))], 1)
    edges, number = _by_first_use(np.sort(corners.reshape(-1, 2), axis=1))
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


def _by_first_use(
    pairs: Int[np.ndarray, "use 2"],
) -> tuple[Int[np.ndarray, "edge 2"], Int[np.ndarray, "use"]]:
    """Each edge once, in order of first use; and for every use the number of its edge."""
    key = pairs[:, 0] * (pairs.max() + 1) + pairs[:, 1]
    _, first, number = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return pairs[first[order]], np.argsort(order)[number]
