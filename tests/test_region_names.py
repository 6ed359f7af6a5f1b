"""Names of regions that are no words: kept from a subject's folder to its mapping's tables, figures and page."""

import csv
import html
import io
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import factortopy as ft
from factortopy.cli import app
from factortopy.cortex import Voxels
from factortopy.mapping import Mapping, mapping_dataset, voxel_variables
from factortopy.subjects import Subject

NAMES = [
    "V1",
    "v1",  # the same file on some disks
    "V1/V2",
    "../../up",
    "a b  c",
    "<b>\"bold\"</b> & 'co'",
    "<script>alert(1)</script>",
    "[red]V4[/red]",
    "$V_1^{x}$ \\alpha",
    "区域 Ünï-χ",
    "CON",
    "x" * 300,
    "V1,V2=0.3+V3",
    ".hidden",
    "7",
    "%s %d {0}",
]
COUNT = 4
VOXELS = COUNT * len(NAMES)


@pytest.fixture(scope="module")
def voxels():
    sides = np.repeat(["left", "right"], VOXELS // 2)
    region = np.arange(VOXELS) // COUNT
    rois = {name: region == number for number, name in enumerate(NAMES)}
    where = Voxels.on_sphere("fsaverage5", sides, 5_000 + np.arange(VOXELS) % (VOXELS // 2))
    return Voxels(where.coordinates, where.bounds, sides, where.vertex, "fsaverage5", rois)


@pytest.fixture(scope="module")
def mapping(voxels):
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(3), VOXELS)
    values, facts = voxel_variables(voxels)
    values |= {
        "space": rng.uniform(-1, 1, (VOXELS, 2)),
        "layer": share,
        "layer_share": share,
        "scale": rng.random(VOXELS),
        "scale_share": rng.random(VOXELS),
        "depth": share @ [0, 0.5, 1],
        "r2": np.repeat(np.linspace(0.1, 0.8, len(NAMES)), COUNT),
    }
    facts |= {"network": "net", "subject": "one", "recipe": "default", "simulated": 0}
    return Mapping(mapping_dataset(values, ["a", "b", "c"], voxels.rois, facts))


def test_through_a_subjects_folder(voxels, tmp_path):
    responses = np.random.default_rng(0).normal(size=(3, VOXELS)).astype(np.float32)
    loaded = ft.load_subject(Subject("one", responses, tuple("abc"), voxels).save(tmp_path / "s"))
    assert list(loaded.voxels.rois) == NAMES
    for name in NAMES:
        np.testing.assert_array_equal(loaded.voxels.rois[name], voxels.rois[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"], "nothing is written elsewhere"


def test_through_a_mappings_folder_and_its_tables(mapping, tmp_path):
    folder = mapping.save(tmp_path / "m")
    loaded = Mapping.load(folder)
    assert list(loaded.rois) == NAMES
    for name in NAMES:
        np.testing.assert_array_equal(loaded.rois[name], mapping.rois[name])
    table = ft.roi_scores(loaded)
    assert table["roi"].tolist() == [*NAMES, "all voxels"]
    np.testing.assert_allclose(table["r2"][:-1], np.linspace(0.1, 0.8, len(NAMES)))
    done = CliRunner().invoke(app, ["score", str(folder), "--csv"])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["roi"] for row in rows] == [*NAMES, "all voxels"]
    shown = CliRunner().invoke(app, ["score", str(folder)], env={"COLUMNS": "400"}).stdout
    for name in NAMES:
        assert name[:200] in shown, "names are printed as they are, no markup is read in them"


class Cells(HTMLParser):
    """Texts of the row headings of a page, and all tags in it."""

    def __init__(self):
        super().__init__()
        self.texts, self.tags, self.inside = [], set(), False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.inside = tag == "th" and ("scope", "row") in attrs
        if self.inside:
            self.texts.append("")

    def handle_endtag(self, tag):
        self.inside = False if tag == "th" else self.inside

    def handle_data(self, data):
        if self.inside:
            self.texts[-1] += data


@pytest.mark.filterwarnings("ignore:Glyph")  # a font has not every letter; the text is there
def test_on_a_page_and_in_figures(mapping, tmp_path):
    page = ft.report([mapping], tmp_path / "report.html", figures=[{}]).read_text(encoding="utf-8")
    cells = Cells()
    cells.feed(page)
    assert set(NAMES) <= set(cells.texts)
    assert page.count("<script") == page.count("</script>") == 3  # the picture's header, numbers and program
    assert html.escape("<script>alert(1)</script>", quote=False) in page
    _, svg = ft.plot.save(ft.plot.rois(mapping), tmp_path / "rois")
    texts = {"".join(node.itertext()) for node in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")}
    for name in NAMES:
        short = [text for text in texts if "…" in text and all(name.find(part) >= 0 for part in text.split("…"))]
        assert name in texts or (short and len(name) > 20), name
