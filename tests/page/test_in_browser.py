"""The page in a real browser: what it shows, what it says of a vertex, and what it gives away."""

import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import APP, opened, settled, start
from fake_mapping import fake_mapping_and_truth
from PIL import Image

from factortopy.cortex import load_surface
from factortopy.page import write_page
from factortopy.plot import UNCOLOURED, LayerKey, SpaceKey, scalar_colormap, scalar_colours
from factortopy.reporting import report

AXE = Path(__file__).parents[2] / "viewer" / "node_modules" / "axe-core" / "axe.min.js"
COUNT = 10_242


@pytest.fixture(scope="module")
def browser():
    runner, launched = start()
    yield launched
    launched.close()
    runner.stop()


@pytest.fixture(scope="module")
def page(browser, written):
    with opened(browser, written) as shown:
        yield shown


@pytest.fixture(autouse=True)
def as_at_first(request):
    if "page" in request.fixturenames:
        page = request.getfixturevalue("page")
        page.evaluate(f"() => {{ const app = {APP}; app.store.set(app.start); }}")


def everywhere(mapping):
    """Row of the mapping for every vertex of both hemispheres, -1 where there is none."""
    rows = np.full(2 * COUNT, -1)
    data = mapping.dataset
    rows[data["vertex"].values + COUNT * (data["hemisphere"].values == "right")] = np.arange(data.sizes["voxel"])
    return rows


def colours(page, **state):
    settled(page, **state)
    return np.array(page.evaluate(f"() => Array.from({APP}.scene.layers[0].paint)")).reshape(-1, 4)


def test_it_is_shown_without_a_complaint(page):
    assert page.evaluate("document.querySelector('.factortopy').dataset.ready") == "true"
    settled(page, unfold=2)
    settled(page, map="r2", threshold=0.1, grid=True)
    assert page.complaints == []


def test_the_mark_of_simulations_is_in_view(browser, written):
    for width in (1300, 375):
        with opened(browser, written, width=width, height=700) as shown:
            mark = shown.get_by_text("SIMULATED", exact=True)
            assert mark.is_visible()
            box = mark.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_colours_are_the_figures_(page, mapping):
    rows, data = everywhere(mapping), mapping.dataset
    inside = rows >= 0
    share = data["layer_share"].values
    expected = {
        "layers-share": LayerKey().colours(share),
        "space": SpaceKey().colours(data["space"].values),
        "scale_share": scalar_colours(data["scale_share"].values, (0.0, 1.0), scalar_colormap("scale")),
    }
    for name, rgba in expected.items():
        found = colours(page, map=name)
        assert (found[~inside] == 0).all()
        assert (found[inside, 3] == 255).all()
        apart = np.abs(found[inside, :3] - 255 * rgba[rows[inside], :3]).max(axis=1)
        # Kept to a four-thousandth of its range, a value at the border of two colours may get the next one.
        assert (apart <= 1).mean() > 0.9
        assert (apart <= 3).mean() > 0.998


def test_a_threshold_leaves_out_what_is_below_it(page, mapping):
    rows = everywhere(mapping)
    r2 = np.where(rows >= 0, mapping.dataset["r2"].values[rows], -9)
    found = colours(page, threshold=0.1)[:, 3] > 0
    sure = np.abs(r2 - 0.1) > 1e-3
    assert np.array_equal(found[sure], (r2 >= 0.1)[sure])


def test_uncertain_vertices_are_pale_as_in_the_figures(page, mapping):
    rows, data = everywhere(mapping), mapping.dataset
    inside = rows >= 0
    plain = colours(page, map="scale_share")[inside, :3].astype(float)
    pale = colours(page, map="scale_share", fade=True)[inside, :3]
    sure = np.clip(data["r2_low"].values / data["r2"].values, 0, 1) * (data["r2"].values > 0)
    expected = sure[rows[inside], None] * plain + (1 - sure[rows[inside], None]) * 255 * UNCOLOURED
    assert (np.abs(pale - expected).max(axis=1) <= 4).mean() > 0.98
    assert np.abs(pale - plain).max() > 100


@pytest.mark.parametrize(
    "view", [{"unfold": 2}, {"unfold": 1}, {"unfold": 1, "open": 90}, {"unfold": 0, "yaw": 40, "pitch": 20}]
)
def test_pointing_at_a_vertex_finds_it(page, view):
    """Where the picture says that a vertex is seen, pointing finds it or, at the mesh's own grain, a neighbour."""
    settled(page, **view)
    found = page.evaluate(
        f"""() => {{
            const app = {APP};
            const view = app.views()[0];
            const {{ width, height }} = view.panel.area;
            const asked = [];
            for (const vertex of app.mapping.vertex) {{
                const [x, y] = app.seen(vertex, view);
                if (vertex % 5 === 0 && x > 2 && y > 2 && x < width - 2 && y < height - 2 && app.sight.isSeen(vertex))
                    asked.push([vertex, app.vertexAt(x, y)]);
            }}
            return asked;
        }}"""
    )
    asked, answered = np.array([[one, -1 if other is None else other] for one, other in found]).T
    assert len(asked) > 30
    assert (asked == answered).mean() > 0.97
    points = np.concatenate([half.pial.coordinates for half in load_surface().hemispheres])
    near = np.linalg.norm(points[asked] - points[answered], axis=1) < 15
    assert near.mean() > 0.95


def test_a_pointed_vertex_s_numbers_are_the_mapping_s(page, mapping):
    data, rows = mapping.dataset, everywhere(mapping)
    for vertex in np.flatnonzero(rows >= 0)[[3, 700, 2000]]:
        row = rows[vertex]
        settled(page, pointed=int(vertex))
        said = page.locator(".ft-vertices article").first.inner_text().replace("−", "-")
        r2, low, high = (float(data[name].values[row]) for name in ("r2", "r2_low", "r2_high"))
        # Printed to the third decimal, of numbers kept to a four-thousandth of their range.
        shown = [float(number) for number in said.split("R²")[1].split("]")[0].replace("[", ",").split(",")]
        assert shown == pytest.approx([r2, low, high], abs=6e-3)
        part = float(data["r2"].values[row] / data["ceiling"].values[row])
        assert int(said.split("%")[0].rpartition("(")[2]) == pytest.approx(100 * part, abs=1)
        own = [name for name, inside in mapping.rois.items() if inside[row]] or ["no region"]
        assert all(name in said for name in own)
        bars = page.locator(".ft-vertices article").first.locator("rect title").all_text_contents()
        heights = [float(bar.split(": ")[1].replace("−", "-")) for bar in bars]
        assert heights == pytest.approx(data["layer_share"].values[row], abs=8e-3)


def test_an_extreme_vertex_takes_nothing_from_the_others(browser, mapping, tmp_path):
    r2 = mapping.dataset["r2"].values.astype(np.float32)
    r2[100] = -2_000
    with opened(browser, write_page([mapping.with_variables({"r2": ("voxel", r2)})], tmp_path / "wild.html")) as page:
        read = np.array(page.evaluate(f"() => Array.from({APP}.mapping.values.r2)"))
        rows = everywhere(mapping)
        assert np.array_equal(read.astype(np.float32), r2[rows[rows >= 0]])


def test_a_click_pins_and_escape_lets_go(page):
    settled(page, unfold=2)
    x, y = page.evaluate(f"() => {{ const app = {APP}; return app.seen(app.mapping.vertex[50], app.views()[0]); }}")
    box = page.locator(".ft-canvas").bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.click(box["x"] + x, box["y"] + y)
    state = settled(page)
    assert len(state["pinned"]) == 1
    assert state["pinned"][0] == state["pointed"]
    page.locator(".ft-close").click()
    assert settled(page)["pinned"] == []


def test_a_press_is_a_click_though_the_pointed_vertex_changes_meanwhile(page, mapping):
    pinned, other = (int(vertex) for vertex in np.flatnonzero(everywhere(mapping) >= 0)[[3, 700]])
    settled(page, pinned=[pinned, other], pointed=pinned)
    box = page.locator(".ft-close").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    settled(page, pointed=None)
    page.mouse.up()
    assert settled(page)["pinned"] == [other]


def test_what_is_pinned_keeps_focus_and_order_as_others_are_pointed_at(page, mapping):
    first, second, third = (int(vertex) for vertex in np.flatnonzero(everywhere(mapping) >= 0)[[3, 700, 2000]])
    settled(page, pinned=[first, second])
    page.locator(".ft-close").nth(1).focus()
    settled(page, pointed=third)
    assert page.locator(".ft-vertices article").count() == 3
    assert page.locator(".ft-vertices article .ft-pin").all_text_contents() == ["1", "2"]
    assert page.locator(".ft-vertices article").first.locator(".ft-pin").count() == 0
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Let vertex 2 go"
    page.keyboard.press("Enter")
    assert settled(page)["pinned"] == [first]


def test_keys_turn_walk_and_pin(page):
    page.locator(".ft-canvas").focus()
    before = settled(page)["yaw"]
    page.keyboard.press("ArrowRight")
    assert settled(page)["yaw"] != before
    page.keyboard.press("Alt+ArrowRight")
    first = settled(page)["pointed"]
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Enter")
    state = settled(page)
    assert first is not None
    assert state["pointed"] != first
    assert state["pinned"] == [state["pointed"]]
    assert "R²" in page.locator("[role=status].ft-said").inner_text()


def test_a_place_in_the_image_lights_its_readers(page, mapping):
    plain = colours(page, map="space")
    lit = colours(page, map="space", place=[0.2, -0.1], reach=0.4)
    rows = everywhere(mapping)
    distance = np.linalg.norm(mapping.dataset["space"].values[rows] - [0.2, -0.1], axis=1)
    near, far = (rows >= 0) & (distance < 0.195), (rows >= 0) & (distance > 0.61)
    assert near.sum() > 20
    assert np.array_equal(lit[near], plain[near])
    assert (np.ptp(lit[far, :3].astype(float), axis=1) < 0.2 * 255).all()


def test_unfolding_ends_on_the_flat_map(page):
    """Seen from straight above, points of the flat state have the flat coordinates' distances."""
    settled(page, unfold=2)
    vertices = list(range(0, COUNT, 97))
    seen = np.array(
        page.evaluate(
            f"(all) => {{ const app = {APP}; return all.map((v) => app.seen(v, app.views()[0])); }}", vertices
        )
    )
    flat = load_surface().left.flat
    drawn = np.isin(vertices, flat.faces)
    own = flat.coordinates[vertices, :2] * [1, -1]
    steps = np.diff(seen[drawn], axis=0) / np.diff(own[drawn], axis=0)
    assert np.median(np.abs(steps - np.median(steps))) < 1e-2 * np.median(steps)
    scale = np.median(steps)
    shift = seen[drawn] - scale * own[drawn]
    assert np.ptp(shift, axis=0).max() < 0.05 * scale


def test_names_of_regions_do_not_overlap(page):
    for view in ({"unfold": 2}, {"unfold": 1}, {"unfold": 0, "yaw": 30}):
        settled(page, **view)
        boxes = page.evaluate(
            "() => [...document.querySelectorAll('.ft-names span')].map((one) => {"
            "const b = one.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })"
        )
        assert boxes
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[:number]:
                assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]


def test_a_link_shows_the_view_again(browser, written, page):
    wanted = {
        "map": "scale_share",
        "unfold": 1.5,
        "threshold": 0.1,
        "pinned": [11, 12_000],
        "yaw": 30,
        "palette": "colour-blind",
    }
    settled(page, **wanted)
    page.wait_for_timeout(600)
    fragment = page.evaluate("location.hash")
    with opened(browser, written, fragment=fragment) as again:
        state = settled(again)
        assert {name: state[name] for name in wanted} == wanted
    with opened(browser, written, fragment="#view:map=1&unfold=%22x%22&yaw=1e999&nothing=1&pinned=[99999999]") as again:
        assert settled(again) == again.evaluate(f"{APP}.start")
        assert again.complaints == []


def test_a_link_in_a_tab_that_shows_the_page_leaves_nothing_of_the_view_before(page):
    settled(page, map="r2", unfold=2, threshold=0.4, palette="colour-blind", pinned=[5, 6])
    page.evaluate("location.hash = '#view:map=%22space%22'")
    page.wait_for_function(f"{APP}.store.state.map === 'space'")
    assert settled(page) == {**page.evaluate(f"{APP}.start"), "map": "space"}


def test_what_is_saved_can_be_read(page):
    settled(page, unfold=1)
    with page.expect_download() as saved:
        page.get_by_role("button", name="PNG").click()
    picture = Image.open(saved.value.path())
    picture.load()
    assert picture.width == 2 * page.locator(".ft-canvas").bounding_box()["width"]
    assert len(picture.convert("RGB").getcolors(2**24)) > 500
    with page.expect_download() as saved:
        page.get_by_role("button", name="SVG").click()
    drawn = Path(saved.value.path()).read_text(encoding="utf-8")
    tree = ElementTree.fromstring(drawn)
    count = {tag: len(list(tree.iter(f"{{http://www.w3.org/2000/svg}}{tag}"))) for tag in ("image", "path", "rect")}
    assert (count["image"], count["path"]) == (1, 2)  # the colours; each line around regions, white and dark
    assert count["rect"] > 8 * 42  # the key of eight layers
    words = {"".join(one.itertext()) for one in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert {"SIMULATED", "V1", "layer, first to last", "confidence"} <= words
    assert settled(page)["unfold"] == 1
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    lines = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + page.evaluate(f"{APP}.mapping.regions.length")


def test_a_turn_is_recorded(page):
    film = page.evaluate(
        """async () => {
            const button = [...document.querySelectorAll('.ft-tools button')].find((one) => one.textContent === 'WebM');
            const made = new Promise((give) => {
                const create = URL.createObjectURL;
                URL.createObjectURL = (blob) => { URL.createObjectURL = create; blob.arrayBuffer().then((all) =>
                    give([blob.size, ...new Uint8Array(all).subarray(0, 4)])); return create(blob); };
            });
            button.click();
            return made;
        }"""
    )
    assert film[0] > 10_000
    assert film[1:] == [0x1A, 0x45, 0xDF, 0xA3]  # EBML, the beginning of a WebM


def test_the_table_sorts_and_lights_a_region(page, mapping):
    page.get_by_role("button", name="R²", exact=True).click()
    settled(page)
    names = page.locator(".ft-regions tbody th").all_inner_texts()
    means = {name: mapping.dataset["r2"].values[inside].mean() for name, inside in mapping.rois.items()}
    regions = [name for name in names if name in means]
    assert regions == sorted(means, key=means.get, reverse=True)
    page.get_by_role("button", name="V1", exact=True).click()
    assert settled(page)["region"] == "V1"


def with_layers(mapping, count):
    """The mapping with so many layers of equal weights, of a network with a long name."""
    even = np.full((mapping.dataset.sizes["voxel"], count), 1 / count)
    names = ("layer", [f"deep.{number}" for number in range(count)])
    data = mapping.dataset.drop_dims("layer").assign_coords(network_layer=names)
    data = data.assign(layer=(("voxel", "layer"), even), layer_share=(("voxel", "layer"), even))
    return replace(mapping, dataset=data.assign_attrs(network="a-network-of-many-layers-" * 5))


def test_every_layer_of_every_mapping_can_be_slid_to(browser, mapping, tmp_path):
    path = write_page([mapping, with_layers(mapping, 24)], tmp_path / "page.html")
    layer = "[...document.querySelectorAll('.ft-slider')].find((one) => one.textContent.startsWith('Layer'))"
    slid = f"() => [{layer}.querySelector('input').max, {layer}.querySelector('output').textContent]"
    with opened(browser, path) as page:
        for state, expected in (
            ({"mapping": 1, "layer": 18}, ["23", "19: deep.18"]),
            ({"mapping": 0}, ["7", "8: blocks.7"]),
            ({"grid": True}, ["23", "19: deep.18"]),
        ):
            settled(page, map="one-layer", **state)
            assert page.evaluate(slid) == expected
        assert page.complaints == []


def test_a_long_title_ends_before_the_mark_in_svg(browser, mapping, tmp_path):
    path = write_page([with_layers(mapping, 3)], tmp_path / "page.html")
    with opened(browser, path, width=700) as page:
        with page.expect_download() as saved:
            page.get_by_role("button", name="SVG").click()
        drawn = Path(saved.value.path()).read_text(encoding="utf-8")
        title, mark = page.evaluate(
            """(drawn) => {
                document.body.innerHTML = drawn;
                const both = [document.querySelector('svg > text'), document.querySelector('svg > rect[rx]')];
                return both.map((one) => one.getBBox()).map((box) => [box.x, box.x + box.width]);
            }""",
            drawn,
        )
        assert mark[0] - 120 < title[1] < mark[0]
        assert "… · Layer (share)<" in drawn


def test_several_mappings_are_linked(browser, mapping, tmp_path):
    others = [fake_mapping_and_truth(network=f"network {number}", simulated=0)[0] for number in range(3)]
    others[1] = others[1].with_variables({"r2": ("voxel", others[1].dataset["r2"].values + 0.1)})
    with opened(browser, write_page([mapping, *others], tmp_path / "four.html")) as page:
        settled(page, grid=True, pinned=[int(mapping.dataset["vertex"].values[0])], unfold=2)
        titles = page.locator(".ft-titles div").all_inner_texts()
        assert [title.replace("\n", "") for title in titles] == [
            f"{name} → planted" + " · SIMULATED" * (name == "vit_test")
            for name in ("vit_test", "network 0", "network 1", "network 2")
        ]
        assert page.locator(".ft-marks .ft-pin").count() == 4
        assert page.locator(".ft-vertices dl").count() == 4
        settled(page, pinned=[4000], zoom=3)  # beside what is shown of its own sheet, over that of another panel
        assert page.locator(".ft-marks .ft-pin").count() == 0
        settled(page, grid=False, mapping=2, map="difference-r2", zoom=1)
        assert "difference in R²" in page.evaluate(f"{APP}.map().key.label")
        page.get_by_role("button", name="Play").click()
        page.wait_for_timeout(1_500)
        assert settled(page)["mapping"] != 2
        assert page.complaints == []


def test_hostile_names_are_only_words(browser, mapping, tmp_path):
    names = [
        "<script>document.title='x'</script>",
        "</script><img src=x onerror=document.title='x'>",
        "\"'&",
        "y" * 10_000,
        "\u202eمرحبا",
    ]
    data = mapping.dataset.rename(
        dict(zip([f"roi_{name}" for name in mapping.rois], [f"roi_{name}" for name in names], strict=False))
    )
    data = data.assign_coords(network_layer=("layer", [f"{names[number % 5]} {number}" for number in range(8)]))
    kept = [*names, *list(mapping.rois)[5:]]
    data = data.assign_attrs(network=names[0], subject=names[3], rois=kept)
    path = write_page([replace(mapping, dataset=data)], tmp_path / "page.html")
    with opened(browser, path) as page:
        vertex = page.evaluate(f"{APP}.mapping.vertex[9]")
        settled(page, unfold=2, pinned=[vertex], pointed=vertex, map="one-layer")
        assert page.evaluate("document.title") != "x"
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1300
        assert page.complaints == []


def test_without_webgl_the_still_picture_stays(browser, written):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(f"file://{written}")
    page.wait_for_selector("[data-failed]")
    still = page.locator("img.ft-still")
    assert still.is_visible()
    assert still.evaluate("(image) => image.naturalWidth") == 900
    context.close()


def serious(page):
    """What axe finds to be serious, with the elements."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; run npm ci in viewer/")
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("() => axe.run()")["violations"]
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 375)])
def test_axe_finds_nothing_serious(browser, written, scheme, width):
    with opened(browser, written, scheme=scheme, width=width, arguments={"bypass_csp": True}) as page:
        settled(page, pinned=[page.evaluate(f"{APP}.mapping.vertex[9]")])
        assert serious(page) == []


def test_the_report_holds_the_picture(browser, mapping, tmp_path):
    path = report([mapping], tmp_path / "report.html", figures=[{}])
    with opened(browser, path) as page:
        assert page.evaluate(f"{APP}.mapping.vertex.length") == mapping.dataset.sizes["voxel"]
        page.mouse.move(600, 600)
        page.mouse.wheel(0, 400)  # the page's, as the cortex was not clicked
        for _ in range(100):  # scrolling is smooth, and slow on a busy machine
            if page.evaluate("scrollY") > 0:
                break
            page.wait_for_timeout(100)
        assert page.evaluate("scrollY") > 0
        assert settled(page)["zoom"] == 1
        assert page.complaints == []
    with opened(browser, path, scheme="dark", arguments={"bypass_csp": True}) as page:
        assert serious(page) == []


def test_phones_need_no_scrolling_sideways(browser, written):
    with opened(browser, written, width=375, height=700) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        assert page.locator(".ft-canvas").bounding_box()["height"] > 250


def test_the_still_picture_is_the_mapping(written):
    """It is there before any program runs."""
    import base64
    import re

    source = written.read_text(encoding="utf-8")
    data = re.search(r'class="ft-still"[^>]*src="data:image/webp;base64,([^"]*)"', source)[1]
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).reshape(-1, 3)
    assert (np.ptp(picture.astype(int), axis=1) > 80).mean() > 0.1
