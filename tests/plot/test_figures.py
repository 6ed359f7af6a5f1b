"""Figures: what they must contain, that it is legible, and that files are whole and repeatable."""

import io
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_mapping import LAYERS, fake_mapping_and_truth, with_limits
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image

from factortopy import plot
from factortopy.analysis import PAPER_LEVELS, hierarchy_slope
from factortopy.errors import DataError, UnknownNameError
from factortopy.fitting import History
from factortopy.mapping import facts_line
from factortopy.plot.style import text_width

MAPS = ["layers", "layers_selector", "space", "scale", "scores", "rois"]
SVG = "{http://www.w3.org/2000/svg}"
HISTORY = History(step=[24, 48, 72], loss=[0.5, 0.4, 0.3], validation_r2=[0.1, 0.25, 0.2], best_step=48, components=37)


@pytest.fixture(scope="module")
def drawn(mapping, truth):
    figures = {name: plot.draw(name, mapping) for name in plot.ALL_FIGURES}
    return figures | {
        "hierarchy with limits": plot.hierarchy(with_limits(mapping)),
        "recovery": plot.recovery(mapping, truth),
        "training": plot.training(mapping, HISTORY),
    }


def texts(figure):
    """All text that is drawn."""
    found = [*figure.texts]
    for axes in figure.axes:
        found += [*axes.texts, axes.title]
        if axes.axison:
            found += [axes.xaxis.label, axes.yaxis.label, *tick_labels(axes.xaxis), *tick_labels(axes.yaxis)]
            found += [] if axes.get_legend() is None else axes.get_legend().get_texts()
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def words(figure):
    return " ".join(text.get_text() for text in texts(figure))


def with_gid(figure, gid):
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def test_every_figure_says_what_it_shows_and_that_it_is_simulated(drawn, mapping):
    r2 = mapping.dataset["r2"].values.mean()
    facts = (
        "network timm/vit_test", "subject planted", "recipe default", "split 5eed5eed", "seed 3", "raw",
        "576 training, 71 validation, 72 test images", "3 repeats a test image", f"mean R² {r2:.3f}",
    )  # fmt: skip
    for name, figure in drawn.items():
        said = words(figure).replace("\n", " ")
        for fact in (*facts, "SIMULATED"):
            assert fact in said, (name, fact)
        for fact in facts:
            assert fact in plot.alt_text(figure), (name, fact)


@pytest.mark.parametrize("name", [name for name in plot.ALL_FIGURES if name not in ("scores", "rois")])
def test_figures_of_what_is_read_say_share_or_selector(drawn, name):
    (line,) = with_gid(drawn[name], "facts")
    assert ("selector" if name.endswith("selector") else "share") in line.get_text() or name in ("space", "size")
    assert "space selector" in line.get_text() or not name.startswith("space")


def test_a_long_name_takes_a_line_more_and_loses_nothing():
    long, _ = fake_mapping_and_truth(network="timm/" + "very-long-" * 8, subject="of a long name " * 4)
    figure = plot.hierarchy(long)
    said = words(figure).replace("\n", " ")
    for fact in ("very-long-" * 8, "576 training", "layer selector, canonical gauge"):
        assert fact in said


def test_a_measured_subject_is_not_called_simulated():
    measured, _ = fake_mapping_and_truth(simulated=0)
    assert "SIMULATED" not in words(plot.space(measured))


def test_text_is_legible_and_on_the_page(drawn):
    for name, figure in drawn.items():
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        width, height = figure.bbox.size
        for text in texts(figure):
            box = text.get_window_extent(renderer)
            assert text.get_fontsize() >= 7, (name, text.get_text())
            assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -1, (name, text.get_text())


def test_texts_do_not_touch(drawn):
    for name, figure in drawn.items():
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts(figure)]
        for number, (first, box) in enumerate(boxes):
            for second, other in boxes[:number]:
                assert not box.padded(-1).overlaps(other.padded(-1)), (name, first, second)


@pytest.mark.parametrize("name", MAPS)
def test_roi_names_stand_once_per_hemisphere_without_touching(drawn, mapping, name):
    figure = drawn[name]
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in {label.axes for label in with_gid(figure, "roi-name")}:
        labels = [label for label in with_gid(figure, "roi-name") if label.axes is axes]
        assert sorted(label.get_text() for label in labels) == sorted([*mapping.rois] * 2)
        boxes = [label.get_window_extent(renderer) for label in labels]
        for first, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:first])


def test_selectors_of_patches_are_said_to_tell_no_layers(mapping):
    points = replace(mapping, dataset=mapping.dataset.drop_vars("size"))
    said = "shares alone tell layers and scale"
    label = plot.layers(mapping, which="selector").get_label()
    assert said in label
    for figure in (plot.layers(mapping), plot.space(mapping), plot.layers(points, which="selector")):
        assert said not in figure.get_label()
    assert said in facts_line(plot.Header.of([points, mapping]).dataset, "layer selector")
    assert said not in facts_line(plot.Header.of([points]).dataset, "layer selector")


@pytest.mark.parametrize("name", [*MAPS, "space_dots", "recovery"])
def test_a_key_is_there(drawn, name):
    assert with_gid(drawn[name], "key")


def test_layer_key_has_layers_and_confidence(drawn):
    (key,) = with_gid(drawn["layers"], "key")
    shown = np.asarray(key.get_array())
    assert shown.shape[1] == LAYERS
    assert shown.shape[0] > 10
    lightness = shown[..., :3].sum(axis=2)
    assert np.all(np.diff(lightness, axis=0) >= 0)  # drawn from the bottom: brighter is more certain
    assert key.axes.get_ylabel() == "confidence"
    assert "share" in words(drawn["layers"])
    assert "selector" in words(drawn["layers_selector"])


def test_layer_map_shows_the_layer_of_a_vertex(drawn, mapping):
    """The hue painted where a vertex lies is the key's hue of its largest share."""
    flat = with_gid(drawn["layers"], "cortex")[0]
    image, extent = np.asarray(flat.get_array()), flat.get_extent()
    (key,) = with_gid(drawn["layers"], "key")
    full = np.asarray(key.get_array())[-1, :, :3]
    shares = mapping.dataset["layer_share"].values
    inside = mapping.dataset["roi_EBA"].values & (mapping.dataset["hemisphere"].values == "left")
    pixels = image[image[..., 3] > 0.99][:, :3]
    assert extent[1] > extent[0]
    # EBA's vertices read the last layers: their full colour must dominate somewhere on the map.
    best = np.bincount(shares[inside].argmax(axis=1)).argmax()
    direction = full[best] / np.linalg.norm(full[best])
    cosine = pixels @ direction / np.maximum(np.linalg.norm(pixels, axis=1), 1e-6)
    assert (cosine > 0.995).mean() > 0.01


def test_negative_scores_are_said(drawn, mapping):
    below = (mapping.dataset["r2"].values < 0).sum()
    voxels = mapping.dataset.sizes["voxel"]
    assert below > 0
    assert f"{below / voxels:.0%} of vertices below 0" in words(drawn["scores"])


def test_space_dots_stand_where_vertices_read(drawn, mapping):
    left, right = with_gid(drawn["space_dots"], "dots")
    places = mapping.dataset["space"].values
    is_left = mapping.dataset["hemisphere"].values == "left"
    np.testing.assert_allclose(left.get_offsets(), places[is_left])
    np.testing.assert_allclose(right.get_offsets(), places[~is_left])
    assert left.axes.get_ylim() == (1, -1)  # y points down, as in the image


def test_space_dots_show_the_image(mapping):
    picture = Image.fromarray(np.full((20, 20, 3), (255, 0, 0), dtype=np.uint8))
    figure = plot.space_dots(mapping, image=picture)
    shown = np.asarray(figure.axes[0].get_images()[0].get_array())
    np.testing.assert_allclose(shown[5, 5], [1.0, 0.5, 0.5], atol=0.01)


def test_hierarchy_draws_the_fitted_lines(drawn, mapping):
    figure = drawn["hierarchy"]
    fits = [hierarchy_slope(mapping, variable) for variable in ("layer_share", "layer")]
    drawn_lines = [line.get_ydata() for line in with_gid(figure, "fitted-line")]
    np.testing.assert_allclose(drawn_lines, [[fit.b0, fit.b1] for fit in fits])
    for fit in fits:
        assert f"slope {fit.slope:.2f}" in plot.alt_text(figure)


def test_hierarchy_shows_limits_over_test_images(mapping):
    limited = with_limits(mapping)
    figure = plot.hierarchy(limited)
    data = limited.dataset
    low, high = np.quantile(data["drawn_slope"], (0.025, 0.975))
    assert f"slope {hierarchy_slope(mapping).slope:.2f} [{low:.2f}, {high:.2f}]" in words(figure)
    assert len(with_gid(figure, "line-limits")) == 1  # of the share; selectors have none
    means = with_gid(figure, "roi-mean")
    assert [mean.get_ydata()[0] for mean in means] == pytest.approx(
        [data["depth"].values[mapping.rois[name]].mean() for name in PAPER_LEVELS]
    )
    assert "95 % limits over test images" in plot.alt_text(figure)


def test_hierarchy_holds_its_whole_band(mapping):
    limited = with_limits(mapping)
    wide = limited.dataset["drawn_b0"] + np.linspace(-1, 1, limited.dataset.sizes["draw"])
    figure = plot.hierarchy(limited.with_variables({"drawn_b0": ("draw", wide.values)}))
    (band,) = with_gid(figure, "line-limits")
    edge = band.get_paths()[0].vertices[:, 1]
    low, high = figure.axes[0].get_ylim()
    assert edge.min() < -0.5
    assert low <= edge.min() < edge.max() <= high


def test_recovery_states_the_correlation(drawn, mapping, truth):
    r = np.corrcoef(mapping.dataset["scale_share"].values, truth.scale_share)[0, 1]
    assert f"r = {r:.3f}" in words(drawn["recovery"])
    with pytest.raises(DataError, match="planted truth has 3 voxels"):
        plot.recovery(mapping, truth.select(np.arange(3)))


def test_training_marks_the_kept_step_and_says_what_was_trained_in(drawn):
    assert "kept: step 48, R² 0.250, 37 components" in words(drawn["training"])


def test_training_says_whose_r2_it_shows(mapping):
    """Parcels are predicted better than voxels: 0.25 is no R² of voxels, which is 0.08."""
    parcels = plot.training(mapping, replace(HISTORY, units="parcels", solved_r2=0.08))
    assert parcels.axes[1].get_title().startswith("mean validation R² of parcels\nkept: step 48, R² 0.250")
    assert "voxels, by channels solved at last: R² 0.080" in parcels.axes[1].get_title()
    assert "mean validation R² of parcels" in plot.alt_text(parcels)
    old = plot.training(mapping, HISTORY)
    assert old.axes[1].get_title().startswith("mean validation R²\n")


def test_save_writes_the_same_bytes_twice(mapping, tmp_path):
    first = plot.save(plot.space(mapping), tmp_path / "first.png")
    second = plot.save(plot.space(mapping), tmp_path / "second")
    assert [path.name for path in (*first, *second)] == ["first.png", "first.svg", "second.png", "second.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    with Image.open(first[0]) as picture:
        assert picture.size[0] == int(180 / 25.4 * 300)
        assert picture.info["dpi"][0] == pytest.approx(300, abs=1)
        assert "timm/vit_test" in picture.info["Description"]


def test_svg_holds_text_as_text(tmp_path):
    mapping, _ = fake_mapping_and_truth(network="<b> & $x^2")
    _, svg = plot.save(plot.space(mapping), tmp_path / "space")
    root = ElementTree.parse(svg).getroot()
    said = " ".join(element.text or "" for element in root.iter(f"{SVG}text"))
    assert "SIMULATED SUBJECT" in said
    assert "EBA" in said
    assert "<b> & $x^2" in said
    pictures = [element.get("{http://www.w3.org/1999/xlink}href", "") for element in root.iter(f"{SVG}image")]
    assert pictures
    assert all(picture.startswith("data:image/png") for picture in pictures)


@pytest.mark.parametrize("name", ["layers", "space"])
def test_colour_blind_palette_changes_pictures(drawn, mapping, name):
    default, safe = (
        np.asarray(with_gid(figure, "cortex")[0].get_array())
        for figure in (drawn[name], plot.draw(name, mapping, palette="colour-blind"))
    )
    assert np.abs(default - safe).max() > 0.1


def test_settings_of_matplotlib_are_left_alone(mapping):
    before = dict(rcParams)
    plot.to_png(plot.training(mapping, HISTORY), dpi=50)
    assert dict(rcParams) == before


def test_png_bytes_are_an_image(mapping):
    with Image.open(io.BytesIO(plot.to_png(plot.training(mapping, HISTORY), dpi=50))) as picture:
        assert picture.size[0] == pytest.approx(180 / 25.4 * 50, abs=1)


def test_bad_input_is_one_clear_line(mapping, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'layers'"):
        plot.draw("layer", mapping)
    with pytest.raises(UnknownNameError, match="share"):
        plot.layers(mapping, "shares")
    without = type(mapping)(dataset=mapping.dataset.drop_vars("layer_share"))
    with pytest.raises(DataError, match="which='selector'"):
        plot.layers(without)
    volume, _ = fake_mapping_and_truth(surface="none")
    with pytest.raises(DataError, match="fsaverage5"):
        plot.space(volume)
    with pytest.raises(DataError, match="history is empty"):
        plot.training(mapping, History())
    with pytest.raises(DataError, match=r"\.png, \.svg and \.pdf"):
        plot.save(plot.training(mapping, HISTORY), tmp_path / "figure.jpg")
    with pytest.raises(UnknownNameError, match="png, svg"):
        plot.save(plot.training(mapping, HISTORY), tmp_path / "figure", ("gif",))
    with pytest.raises(UnknownNameError, match="did you mean 'lateral'"):
        plot.layers(mapping, views=("lateal",))
    with pytest.raises(DataError, match="name at least one"):
        plot.layers(mapping, views=())
    assert not list(tmp_path.iterdir())


def test_the_same_weights_have_the_same_colour_beside_any_others(mapping):
    """Brightness is confidence on one scale: what else a mapping holds changes nothing."""
    shares = mapping.dataset["layer_share"].values
    soft = shares + 0.3
    soft /= soft.sum(axis=1, keepdims=True)
    mixed = np.concatenate([soft[:1000], shares[1000:]])
    for palette in ("default", "colour-blind"):
        key = plot.LayerKey(palette=palette)
        np.testing.assert_array_equal(key.colours(mixed)[:1000], key.colours(soft)[:1000])
        one, all_alike = key.colours(np.eye(LAYERS)), key.colours(np.full((1, LAYERS), 1 / LAYERS))
        np.testing.assert_allclose(one, plot.layer_colours(np.linspace(0, 1, LAYERS), palette=palette))
        assert all_alike[0, :3].max() < 0.4 * one[:, :3].max()


def test_the_width_of_a_line_is_that_of_its_letters_outlines():
    for words, size, weight in (
        ("vit_base_patch14_dinov2.lvd142m", 7, "normal"),
        ("Wide Words: 0.12 less", 9.5, "bold"),
    ):
        drawn = TextPath((0, 0), words, size=size, prop=FontProperties(weight=weight)).get_extents().width / 72 * 25.4
        assert text_width(words, size, weight) == pytest.approx(drawn, rel=0.03)
