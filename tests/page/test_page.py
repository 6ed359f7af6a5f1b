"""The page's file: small, closed to names that are programs, and with the mapping's own numbers in it."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth
from reading import Payload

from factortopy.cortex import load_surface
from factortopy.errors import DataError
from factortopy.page import write_page
from factortopy.page.codec import icosphere
from factortopy.plot import (
    CLUSTER_COLOURS,
    CortexPicture,
    class_colours,
    layer_colours,
    paint,
    scalar_colormap,
    scalar_colours,
    space_colours,
)

STEPS = {"r2": 4094, "r2_low": 510, "r2_high": 510, "size": 510}
"""In which numbers are kept between their least and largest; 1022 of all others."""
HOSTILE = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "\"'&", "x" * 10_000, "\u202eمرحبا"]


@pytest.fixture(scope="module")
def payload(written):
    return Payload(written)


@pytest.fixture(scope="module")
def shown(payload):
    """The one mapping's header with its vertices and their parents."""
    header = payload.header["mappings"][0]
    return header, *payload.voxels(header)


def rows_of(mapping, vertices, count):
    """The mapping's row of every vertex, counted over both hemispheres."""
    data = mapping.dataset
    rows = {
        vertex + count * (side == "right"): row
        for row, (side, vertex) in enumerate(
            zip(data["hemisphere"].values, data["vertex"].values.tolist(), strict=True)
        )
    }
    assert sorted(rows) == vertices
    return [rows[vertex] for vertex in vertices]


def test_the_page_is_one_small_file(written):
    source = written.read_text(encoding="utf-8")
    assert written.stat().st_size <= 1.2e6
    outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)[^"'\s>]+""", source.split("<script>")[0])
    assert not outside


def test_only_the_page_s_own_program_may_run(written):
    source = written.read_text(encoding="utf-8")
    script = source.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', source)[1]
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_cannot_leave_its_place(name, mapping, tmp_path):
    data = mapping.dataset.rename({"roi_V1": f"roi_{name}"}).assign_attrs(network=name, subject=name, rois=[name])
    page = write_page([replace(mapping, dataset=data)], tmp_path / "page.html")
    harmless = write_page([mapping], tmp_path / "harmless.html").read_text(encoding="utf-8")
    source = page.read_text(encoding="utf-8")
    for sign in ("<script", "</script", "<img"):
        assert source.count(sign) == harmless.count(sign)
    assert Payload(page).header["mappings"][0]["network"] == name


def test_shapes_are_the_surface_s(payload):
    surface = load_surface()
    header = payload.header["surface"]
    for name in ("pial", "inflated"):
        place = header["shapes"][name]
        points = np.array(place["origin"]) + payload.numbers(place, payload.parents) * place["step"]
        own = np.concatenate([getattr(half, name).coordinates for half in surface.hemispheres])
        assert np.abs(points - own).max() <= 0.51 * place["step"] < 0.02


def test_the_flat_shape_is_the_flat_map_s(payload):
    """Up to where each hemisphere is put: as far from each other as the figures' sheets."""
    surface = load_surface()
    place = payload.header["surface"]["shapes"]["flat"]
    points = np.array(place["origin"]) + payload.numbers(place, payload.parents) * place["step"]
    colours = {half.name: np.ones((half.vertices, 4)) for half in surface.hemispheres}
    figure: CortexPicture = paint(surface, colours, zoom=False, width=200)
    for side, half in enumerate(surface.hemispheres):
        own = points[side * half.vertices :][: half.vertices]
        drawn = np.isfinite(figure.sheets[half.name].points[:, 0])
        shift = (own - figure.sheets[half.name].points)[drawn]
        assert np.ptp(shift, axis=0).max() <= 1.1 * place["step"]
        assert (own[drawn, 0] < 0).all() if side == 0 else (own[drawn, 0] > 0).all()


def test_faces_follow_from_the_icosahedron():
    for half in load_surface().hemispheres:
        faces, _ = icosphere(half.vertices)
        assert np.array_equal(faces, half.sphere.faces)


def test_numbers_are_the_mapping_s(payload, shown, mapping):
    header, vertices, parents = shown
    rows = rows_of(mapping, vertices, payload.vertices)
    data = mapping.dataset
    own = {name: data[name].values for name in ("r2", "r2_low", "r2_high", "ceiling", "scale", "scale_share", "size")}
    own |= {"x": data["space"].values[:, 0], "y": data["space"].values[:, 1]}
    for name, values in own.items():
        read = payload.values(header["values"][name], parents)[:, 0]
        assert np.abs(read - values[rows]).max() <= 0.51 * np.ptp(values) / STEPS.get(name, 1022)
    share, weights = data["layer_share"].values[rows], header["weights"]["share"]
    assert np.abs(payload.values(weights["profile"], parents) - share).max() <= 0.51 * np.ptp(share) / 254
    selector = header["weights"]["selector"]
    assert set(selector) == set(weights) - {"profile", "position"}  # its map needs no more
    best = data["layer"].values[rows].argmax(axis=1)
    assert np.array_equal(np.rint(payload.values(selector["best"], parents)[:, 0]), best)
    assert np.array_equal(np.rint(payload.values(weights["best"], parents)[:, 0]), share.argmax(axis=1))
    for number, (name, inside) in enumerate(mapping.rois.items()):
        assert header["rois"][number]["name"] == name
        assert np.array_equal(payload.bits(header["rois"][number]["members"]), inside[rows])


def test_an_extreme_vertex_takes_nothing_from_the_others(mapping, tmp_path):
    """Other numbers are kept to half of what is printed, be one R² -2,000 and one layer's share 50."""
    data, wild = mapping.dataset, {}
    for name, extreme in {"r2": -2_000.0, "r2_low": -3_000.0, "layer_share": 50.0}.items():
        values = data[name].values.copy()
        values[100] = extreme
        values[7] = np.nan
        wild[name] = (data[name].dims, values)
    payload = Payload(write_page([mapping.with_variables(wild)], tmp_path / "page.html"))
    header = payload.header["mappings"][0]
    vertices, parents = payload.voxels(header)
    rows = rows_of(mapping, vertices, payload.vertices)
    places = {"layer_share": header["weights"]["share"]["profile"], **header["values"]}
    for name, (_, values) in wild.items():
        read = payload.values(places[name], parents).reshape(len(rows), -1)
        own = values[rows].reshape(len(rows), -1)
        np.testing.assert_allclose(read, own, rtol=1e-6, atol=0.0005 if name == "r2" else 0.005)
    shapes = {key for key, place in header["values"].items() if place["steps"] == 0}
    assert shapes == {"r2", "r2_low"}  # all others take no more room


def test_what_a_mapping_lacks_is_not_on_its_page(mapping, tmp_path):
    poor = replace(mapping, dataset=mapping.dataset.drop_vars(["ceiling", "layer_share", "size", "r2_low", "r2_high"]))
    header = Payload(write_page([poor], tmp_path / "poor.html")).header["mappings"][0]
    assert not {"ceiling", "normalised", "size", "r2_low"} & set(header["values"])
    assert list(header["weights"]) == ["selector"]


def test_a_value_that_is_none_stays_none(mapping, tmp_path):
    r2 = mapping.dataset["r2"].values.copy()
    r2[:7] = np.nan
    holed = mapping.with_variables({"r2": ("voxel", r2)})
    payload = Payload(write_page([holed], tmp_path / "page.html"))
    header = payload.header["mappings"][0]
    vertices, parents = payload.voxels(header)
    read = payload.values(header["values"]["r2"], parents)[:, 0]
    assert np.array_equal(np.isnan(read), np.isnan(r2[rows_of(mapping, vertices, payload.vertices)]))


def test_a_page_can_begin_pale(mapping, tmp_path):
    assert Payload(write_page([mapping], tmp_path / "pale.html", fade=True)).header["fade"] is True
    drawn = mapping.dataset["drawn_r2"].values - 2
    nothing = mapping.with_variables(
        {"r2": ("voxel", mapping.dataset["r2"].values - 2), "drawn_r2": (("draw", "region"), drawn)}
    )
    assert Payload(write_page([nothing], tmp_path / "nothing.html")).header["fade"] is True


def test_clusters_are_kept_as_they_are(mapping, tmp_path):
    labels = np.random.default_rng(0).integers(0, 21, mapping.dataset.sizes["voxel"])
    unknown = write_page([mapping], tmp_path / "nan.html", clusters=[np.where(labels > 0, labels, np.nan)])
    assert Payload(unknown).header["mappings"][0]["clusters"] == 20
    payload = Payload(write_page([mapping], tmp_path / "page.html", clusters=[labels]))
    header = payload.header["mappings"][0]
    vertices, parents = payload.voxels(header)
    read = payload.values(header["values"]["cluster"], parents)[:, 0]
    own = labels[rows_of(mapping, vertices, payload.vertices)]
    assert np.array_equal(np.isnan(read), own == 0)
    assert np.array_equal(np.rint(read[own > 0]), own[own > 0])


def test_regions_carry_their_numbers_with_limits(payload, mapping):
    rows = {row["region"]: row for row in payload.header["mappings"][0]["table"]}
    inside = mapping.rois["V1"]
    drawn = mapping.dataset["drawn_r2"].values[:, list(mapping.rois).index("V1")]
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert rows["V1"]["r2"] == pytest.approx([mapping.dataset["r2"].values[inside].mean(), low, high])
    assert rows["V1"]["voxels"] == inside.sum()
    assert rows["all voxels"]["voxels"] == len(inside)


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_tables_of_colours_are_the_figures_to_a_255th(payload, palette):
    tables = payload.header["colours"][palette]
    generator = np.random.default_rng(0)
    layers = grid_of(tables["layers"]["8"])
    layer, confidence = generator.integers(0, 8, 500), generator.random(500)
    found = mixed(layers, confidence * (len(layers) - 1), layer.astype(float))
    assert np.abs(found - 255 * layer_colours(layer / 7, confidence, palette)[:, :3]).max() <= 1
    places = grid_of(tables["places"])
    space = generator.uniform(-1, 1, (500, 2))
    found = mixed(places, (space[:, 1] + 1) / 2 * (len(places) - 1), (space[:, 0] + 1) / 2 * (len(places) - 1))
    assert np.abs(found - 255 * space_colours(space, palette)[:, :3]).max() <= 1
    for quantity in ("scale", "score", "difference"):
        scale = grid_of(tables["scalars"][quantity])
        values = generator.random(500)
        found = scale[np.floor(values * len(scale)).astype(int)]
        expected = scalar_colours(values, (0.0, 1.0), scalar_colormap(quantity, palette))
        assert np.abs(found - 255 * expected[:, :3]).max() <= 0.5


def test_clusters_have_the_figures_colours_however_many(mapping, tmp_path):
    """After the last the colours come again, lighter the more clusters there are."""
    labels = [np.arange(mapping.dataset.sizes["voxel"]) % count + 1 for count in (25, 45)]
    header = Payload(write_page([mapping] * 2, tmp_path / "page.html", clusters=labels)).header
    assert [one["clusters"] for one in header["mappings"]] == [25, 45]
    for palette, tables in header["colours"].items():
        for count in (25, 45):
            own = class_colours(count, palette, CLUSTER_COLOURS)[:, :3]
            assert np.abs(grid_of(tables["classes"][str(count)]) - 255 * own).max() <= 0.5


def grid_of(table):
    return np.frombuffer(base64.b64decode(table["rgb"]), np.uint8).reshape(*table["shape"], 3).astype(float)


def mixed(grid, row, column):
    r, c = (
        np.minimum(np.floor(row), len(grid) - 2).astype(int),
        np.minimum(np.floor(column), len(grid[0]) - 2).astype(int),
    )
    v, u = (row - r)[:, None], (column - c)[:, None]
    top = (1 - u) * grid[r, c] + u * grid[r, c + 1]
    return (1 - v) * top + v * ((1 - u) * grid[r + 1, c] + u * grid[r + 1, c + 1])


def test_mappings_of_two_surfaces_meet_on_the_coarser(mapping, tmp_path):
    finer = replace(mapping, dataset=mapping.dataset.assign_attrs(surface="fsaverage6"))
    header = Payload(write_page([finer, mapping], tmp_path / "page.html")).header
    assert header["surface"]["name"] == "fsaverage5"
    assert len(header["mappings"]) == 2


def test_mappings_of_a_page_share_their_colours(mapping, tmp_path):
    soft = mapping.dataset["layer_share"].values + 1
    half = mapping.with_variables(
        {
            "r2": ("voxel", mapping.dataset["r2"].values / 2),
            "layer_share": (("voxel", "layer"), soft / soft.sum(axis=1, keepdims=True)),
        }
    )
    alone = Payload(write_page([mapping], tmp_path / "alone.html")).header["mappings"][0]
    both = Payload(write_page([half, mapping], tmp_path / "page.html")).header["mappings"]
    for one in both:
        assert one["limits"] == alone["limits"]
        assert one["weights"]["share"]["largest"] == 1  # confidence has one scale in all pages and figures


def test_bad_input_leaves_nothing_behind(mapping, tmp_path):
    volume, unlimited = fake_mapping_and_truth(surface="a volume")[0], fake_mapping_and_truth()[0]
    with pytest.raises(DataError, match="at least one mapping"):
        write_page([], tmp_path / "p.html")
    with pytest.raises(DataError, match="images has 2 entries for 1 mappings"):
        write_page([mapping], tmp_path / "p.html", images=[None, None])
    with pytest.raises(DataError, match="lies on surface"):
        write_page([volume], tmp_path / "p.html")
    with pytest.raises(DataError, match="bootstrap"):
        write_page([unlimited], tmp_path / "p.html", fade=True)
    assert not list(tmp_path.iterdir())
