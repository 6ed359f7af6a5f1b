"""The report: whole in one file, escaped, accessible, and with the right numbers."""

import base64
import io
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth, with_limits
from PIL import Image

from factortopy import plot
from factortopy.cli.shared.options import parse_changes
from factortopy.errors import DataError
from factortopy.fitting import History, fit_settings
from factortopy.reporting import headline, limits_note, report, selectors_note
from factortopy.reporting.pages import flat_rows, recovery_rows, roi_rows, text
from factortopy.reporting.summary import commands, key_numbers, summary

HISTORY = History(step=[24, 48], loss=[0.5, 0.4], validation_r2=[0.1, 0.25], best_step=48)
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements, text and whether every tag is closed."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def figures(self):
        """Pictures without the still one of the cortex that unfolds."""
        return [attributes for attributes in self.all("img") if attributes.get("class") != "ft-still"]


def without_programs(source):
    return re.sub(r"<script.*?</script>", "", source, flags=re.DOTALL)


@pytest.fixture(scope="module")
def fake():
    return fake_mapping_and_truth()


@pytest.fixture(scope="module")
def one_figure(fake):
    return {"training": plot.training(fake[0], HISTORY)}


@pytest.fixture(scope="module")
def full(fake, tmp_path_factory):
    """A report that draws everything itself."""
    mapping, truth = fake
    path = tmp_path_factory.mktemp("report") / "report.html"
    return report([mapping], path, truths=[truth], histories=[HISTORY])


def test_the_file_is_whole_and_small(full):
    source = full.read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == []
    assert len(source) < 10e6
    pictures = page.figures
    assert len(pictures) == len(plot.ALL_FIGURES) + 2
    for picture in pictures:
        kind, data = picture["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(data))).verify()


def test_nothing_is_loaded_from_elsewhere(full):
    page = Page(full.read_text(encoding="utf-8"))
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed"), tag
        for name in ("src", "href", "srcset", "data"):
            assert not re.match(r"(https?:)?//", attributes.get(name) or "")
    style = full.read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    assert "@import" not in style
    assert "url(" not in style


def test_it_can_be_read_without_seeing(full):
    page = Page(full.read_text(encoding="utf-8"))
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(picture["alt"]) > 40 for picture in page.all("img"))
    assert all(cell["scope"] in ("col", "row") for cell in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels))
    anchors = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= anchors


def test_it_says_what_it_must(full):
    said = " ".join(Page(full.read_text(encoding="utf-8")).words)
    for words in ("SIMULATED", "Brain Decodes Deep Nets", "timm/vit_test", "optimiser.learning_rate", "0.003",
                  "ab" * 32, "Found against planted", "not identified"):  # fmt: skip
        assert words in said, words


def test_every_figure_and_table_says_what_was_fitted_and_how(full, fake):
    source = full.read_text(encoding="utf-8")
    r2 = fake[0].dataset["r2"].values.mean()
    facts = (
        "network timm/vit_test · subject planted · recipe default · split 5eed5eed · seed 3 · 576 training, "
        f"71 validation, 72 test images · scores of own means of 3 repeats a test image · mean R² {r2:.3f} raw"
    )
    page = Page(source)
    tables = re.findall(r"<caption>.*?</caption>", source, flags=re.DOTALL)
    assert len(tables) == source.count("<table") > 4
    for place in [*tables, *(picture["alt"] for picture in page.figures)]:
        assert facts in place
    # A figure has its facts in the picture and its description; its caption does not say them again.
    captions = re.findall(r"<figcaption>.*?</figcaption>", source, flags=re.DOTALL)
    assert len(captions) == len(page.figures)
    assert not any(facts in caption for caption in captions)
    for words in ("Depth (share)", "Depth (selector)", "R² is raw"):
        assert words in source


def test_tables_give_limits_where_there_are_draws(fake):
    limited = with_limits(fake[0])
    inside = fake[0].dataset["roi_V1"].values
    low, high = np.quantile(limited.dataset["drawn_r2"].values[:, list(fake[0].rois).index("V1")], (0.025, 0.975))
    row = {row["ROI"]: row for row in roi_rows(limited)}["V1"]
    assert row["Mean R²"] == f"{fake[0].dataset['r2'].values[inside].mean():.3f} [{low:.3f}, {high:.3f}]"
    assert "[" in row["Depth (share)"]
    assert "[" in row["Scale (share)"]
    assert "[" not in row["Depth (selector)"]  # a selector has no limits
    low, high = np.quantile(limited.dataset["drawn_slope"].values, (0.025, 0.975))
    assert f"[{low:.3f}, {high:.3f}], b0" in headline(limited)["Hierarchy slope (share)"]


def test_what_limits_leave_out_is_said(fake):
    assert "leave the training out" in limits_note(with_limits(fake[0]))
    assert limits_note(fake[0]) == ""  # no limits, no note on them


def test_where_selectors_say_little_it_is_said(fake):
    assert "shares alone" in selectors_note(fake[0])  # it reads patches
    points = replace(fake[0], dataset=fake[0].dataset.drop_vars("size"))
    assert "shares alone" not in selectors_note(points)


def test_a_faded_report_needs_limits(fake, tmp_path):
    with pytest.raises(DataError, match="bootstrap"):
        report([fake[0]], tmp_path / "r.html", fade=True)
    assert not list(tmp_path.iterdir())


def test_roi_table_holds_the_means(fake):
    mapping, _ = fake
    data, rows = mapping.dataset, {row["ROI"]: row for row in roi_rows(mapping)}
    inside = data["roi_V1"].values
    assert rows["V1"]["Voxels"] == str(inside.sum())
    assert rows["V1"]["Mean R²"] == f"{data['r2'].values[inside].mean():.3f}"
    ratio = data["r2"].values[inside].mean() / data["ceiling"].values[inside].mean()
    assert rows["V1"]["R² / ceiling"] == f"{ratio:.3f}"
    weights, layers = data["layer_share"].values[inside], data.sizes["layer"]
    depth = sum(weights[:, layer] * layer / (layers - 1) for layer in range(layers)).mean()
    assert rows["V1"]["Depth (share)"] == f"{depth:.3f}"
    assert rows["all voxels"]["Voxels"] == f"{data.sizes['voxel']:,}"


def test_a_mapping_without_ceiling_and_shares_is_reported(fake, tmp_path):
    mapping, _ = fake
    poor = type(mapping)(dataset=mapping.dataset.drop_vars(["ceiling", "layer_share", "scale_share"]))
    row = roi_rows(poor)[0]
    assert row["Noise ceiling"] == row["Depth (share)"] == row["R² / ceiling"] == "–"
    source = report([poor], tmp_path / "poor.html").read_text(encoding="utf-8")
    shown = Page(source).figures
    assert 0 < len(shown) < len(plot.ALL_FIGURES)


def test_the_summary_says_the_mapping_s_numbers(fake):
    limited = with_limits(fake[0])
    data, said = limited.dataset, " ".join(summary(limited))
    means = {name: data["r2"].values[inside].mean() for name, inside in limited.rois.items()}
    best, worst = max(means, key=means.get), min(means, key=means.get)
    low, high = np.quantile(data["drawn_r2"].values[:, -1], (0.025, 0.975))
    assert f"{data['r2'].values.mean():.1%} of their variance on average ({low:.1%} to {high:.1%} over test" in said
    assert f"{best} is predicted best (raw R² {means[best]:.2f}) and {worst} least ({means[worst]:.2f})" in said
    assert f"{data['r2'].values.mean() / data['ceiling'].values.mean():.0%} of what the noise allows" in said
    assert "on 72 test images" in said
    poor = replace(fake[0], dataset=data.drop_vars(["ceiling", "layer_share", "scale_share"]))
    assert not any(word in " ".join(summary(poor)) for word in ("noise allows", "slope", "reads", "nan"))


def test_few_numbers_are_seen_at_a_glance(fake, full):
    numbers = key_numbers(with_limits(fake[0]))
    labels = [number["label"] for number in numbers]
    assert labels == ["R²", "R² / ceiling", "Hierarchy slope", "Mean depth", "Mean scale"]
    assert numbers[0]["value"] == f"{fake[0].dataset['r2'].values.mean():.2f}"
    assert " to " in numbers[0]["limits"]
    source = full.read_text(encoding="utf-8")
    assert source.index('aria-label="Summary"') < source.index("data-factortopy") < source.index('class="glance"')


def test_the_commands_make_it_again(fake):
    settings = fit_settings("paper", seed=7, steps=321).model_dump(exclude_none=True)
    extract, fit, _ = commands(replace(fake[0], settings=settings))
    assert extract == "factortopy extract timm/vit_test IMAGES TOKENS"
    assert fit == "factortopy fit TOKENS SUBJECT MAPPING --recipe paper --seed 7 --set steps=321"
    given = parse_changes([word for word in shlex.split(fit) if "=" in word])
    assert fit_settings("paper", seed=7, **given).model_dump(exclude_none=True) == settings
    assert commands(replace(fake[0], settings={})) == []


def test_a_mapping_on_no_surface_has_no_picture(fake, one_figure, tmp_path):
    volume = replace(fake[0], dataset=fake[0].dataset.assign_attrs(surface=""))
    page = Page(report([volume], tmp_path / "r.html", figures=[one_figure]).read_text(encoding="utf-8"))
    assert not page.all("script")
    assert len(page.all("img")) == 1


def test_recovery_rows_pair_found_and_planted():
    from factortopy.analysis import Recovery

    values = dict.fromkeys(Recovery.__dataclass_fields__, 0.0) | {"slope_found": 0.91, "slope_planted": 0.93}
    rows = {row["Quantity"]: row for row in recovery_rows(Recovery(**values))}
    assert rows["Hierarchy slope (layer share)"]["Found"] == "0.910"
    assert rows["Hierarchy slope (layer share)"]["Planted"] == "0.930"


@pytest.mark.parametrize("place", ["network", "subject", "recipe"])
def test_text_of_users_is_escaped(one_figure, tmp_path, place):
    attack = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
    mapping, _ = fake_mapping_and_truth(**{place: attack})
    object.__setattr__(mapping, "settings", {attack: attack})
    mapping.provenance["path"] = attack
    path = report([mapping], tmp_path / "r.html", figures=[one_figure], tables=[{attack: [{attack: attack}]}])
    page = Page(path.read_text(encoding="utf-8"))
    # The picture's header, its numbers and its program, and the program is the only one that may run.
    assert [script.get("data-part") for script in page.all("script")] == ["header", "numbers", None]
    assert len(page.figures) == len(page.all("img")) - 1 == 1
    assert attack in " ".join(page.words)


def test_two_mappings_have_a_section_each(fake, one_figure, tmp_path):
    measured, _ = fake_mapping_and_truth(simulated=0, network="another", subject="person")
    path = report([fake[0], measured], tmp_path / "two.html", figures=[one_figure, one_figure])
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    sections = [attributes["id"] for attributes in page.all("section") if "id" in attributes]
    assert sections == ["mapping-1", "mapping-2"]
    assert [link["href"] for link in page.all("a")] == ["#mapping-1", "#mapping-2"]
    first, second = (source.split(f'id="mapping-{number}"')[1].split("</section>")[0] for number in (1, 2))
    assert "SIMULATED" in first
    assert "SIMULATED" not in second
    assert "another onto person" in second


def test_a_measured_subject_has_no_banner(one_figure, tmp_path):
    mapping, _ = fake_mapping_and_truth(simulated=0)
    path = report([mapping], tmp_path / "r.html", figures=[{}])
    assert "SIMULATED" not in without_programs(path.read_text(encoding="utf-8"))


def test_values_are_printed_plainly():
    assert [text(value) for value in (None, np.nan, 0.12345, 2442, np.int64(5), True, 3e-6, "a")] == [
        "–", "–", "0.123", "2,442", "5", "True", "3e-06", "a",
    ]  # fmt: skip
    rows = flat_rows({"a": {"b": 1, "c": list(range(500))}})
    assert [row["Name"] for row in rows] == ["a.b", "a.c"]
    assert rows[1]["Value"].endswith("(500 in all)")


def test_bad_input_leaves_nothing_behind(fake, one_figure, tmp_path):
    with pytest.raises(DataError, match="at least one mapping"):
        report([], tmp_path / "r.html")
    with pytest.raises(DataError, match="figures has 2 entries for 1 mappings"):
        report([fake[0]], tmp_path / "r.html", figures=[one_figure, one_figure])
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        report([fake[0]], tmp_path / "folder", figures=[one_figure])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
