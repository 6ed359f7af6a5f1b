"""Figures in files: PDF with text as text, and nothing behind a transparent one."""

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth
from PIL import Image

from factortopy import plot
from factortopy.fitting import History

HISTORY = History(step=[24, 48, 72], loss=[0.5, 0.4, 0.3], validation_r2=[0.1, 0.25, 0.2], best_step=48)


def test_pdf_holds_text_as_text_and_maps_as_pictures(tmp_path):
    pypdf = pytest.importorskip("pypdf", reason="pypdf reads the PDF; install it with factortopy[test]")
    mapping, _ = fake_mapping_and_truth(network="<b> & $x^2")
    (path,) = plot.save(plot.space(mapping, views=("flat", "lateral")), tmp_path / "space.pdf")
    assert path.name == "space.pdf"
    (page,) = pypdf.PdfReader(path).pages
    said = page.extract_text()
    for words in ("SIMULATED SUBJECT", "EBA", "<b> & $x^2", "L · lateral · R", "20 mm, flattened"):
        assert words in said
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
    assert {font["/Subtype"] for font in fonts} <= {"/TrueType", "/Type0"}
    assert len(page.images) >= 3  # two maps and the key
    (again,) = plot.save(plot.space(mapping, views=("flat", "lateral")), tmp_path / "again.pdf")
    assert again.read_bytes() == path.read_bytes()


def test_a_transparent_figure_has_nothing_behind_it(mapping, tmp_path):
    plain, clear = (
        plot.save(plot.training(mapping, HISTORY), tmp_path / str(through), ("png",), transparent=through)[0]
        for through in (False, True)
    )
    with Image.open(plain) as picture:
        assert np.asarray(picture.convert("RGBA"))[..., 3].min() == 255
    with Image.open(clear) as picture:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        assert alpha[0, 0] == 0
        assert (alpha == 0).mean() > 0.5
        assert alpha.max() == 255
