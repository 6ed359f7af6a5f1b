"""``benchmarks/recovery.py`` at the tiniest size, and the parts that it shares with ``ablation.py``."""

import json
import sys
from pathlib import Path

import pytest

from factortopy.analysis import load_recovery_table
from factortopy.images import ImageSet, sample_views
from factortopy.networks import load_network
from factortopy.tokens import extract

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KEYS = ("slope_error", "depth_r", "space_r", "scale_r", "r2_of_oracle", "slope_error_low_ceiling")


@pytest.fixture
def scripts(monkeypatch):
    """The benchmarks' folder on the path; the measured data out of sight."""
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks do not lie beside the tests (an sdist)")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delenv("FACTORTOPY_SHARED_DATA", raising=False)


@pytest.mark.slow  # .ci/run fits a planted subject by the same script, through winning.py
def test_a_tiny_grid_is_measured_kept_shown_and_planned_from(scripts, tmp_path, monkeypatch, capsys):
    import recovery

    views = sample_views(5_000)
    network = load_network("timm/test_vit", untrained=True, layers=["blocks.0", "blocks.5"])
    extract(network, views.subset(views.ids[:150]), tmp_path / "tokens", grid=(2, 2), progress=False)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: benchmarks/recovery.py -->\nold\n<!-- end -->\nafter\n")
    words = [
        "recovery.py", "--work", tmp_path / "work", "--tokens", tmp_path / "tokens", "--cases", "60:0.5",
        "90:0.1", "--voxels", "150", "--channels", "3", "--default-steps", "12", "--paper-steps", "2",
        "--device", "cpu", "--page", page, "--table", tmp_path / "table.json",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [*map(str, words), "--figures", str(tmp_path / "figures")])
    recovery.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["fits"] == 6
    assert set(KEYS) | {f"paper_{key}" for key in KEYS} <= set(found)

    kept = [json.loads(line) for line in (tmp_path / "work" / "recovery.jsonl").read_text().splitlines()]
    assert [row["recipe"] for row in kept] == ["oracle", "default", "paper"] * 2
    assert all(row["space_r"] == pytest.approx(1, abs=1e-6) for row in kept if row["recipe"] == "oracle")
    fit = {(row["recipe"], row["images"]): row for row in kept}
    assert found["case"] == found["paper_case"] == "90:0.1"  # nearest to a ceiling of 0.2, in ratio
    assert found["slope_error"] == pytest.approx(abs(fit["default", 90]["slope_error"]))
    assert found["paper_depth_r"] == pytest.approx(fit["paper", 90]["depth_r"])
    table = {(row.recipe, row.images): row for row in load_recovery_table(tmp_path / "table.json")}
    oracle = fit["oracle", 60]["r2"]
    if oracle > 0:
        assert table["default", 60].r2_of_oracle == pytest.approx(fit["default", 60]["r2"] / oracle)
    else:
        assert table["default", 60].r2_of_oracle is None
    assert table["paper", 60].budget == "2 of 20,000 x 8"

    text = page.read_text()
    assert text.startswith("before\n<!-- table: benchmarks/recovery.py -->\n*SIMULATED")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    (figure,) = (tmp_path / "figures").glob("*.png")
    assert figure.read_bytes()[:4] == b"\x89PNG"

    recovery.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["fits"] == 6
    assert not list((tmp_path / "work" / "checkpoints").iterdir())


def test_views_of_one_photograph_stay_on_one_side(scripts):
    from laboratory import split_views, used_views

    crops = ("whole", "left", "right")
    ids = tuple(f"{number}-{crop}" for crop in crops for number in range(1_700))
    groups = tuple(name.partition("-")[0] for name in ids)
    split = split_views(ids, groups, 2_000)
    sides = [{name.partition("-")[0] for name in side} for side in split.to_dict().values()]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert len(split.train) == 2_000
    assert [len(split.validation), len(split.test)] == [160, 160]
    assert all(name.endswith("-whole") for name in (*split.validation, *split.test))
    images = ImageSet("views", ids, lambda name: None, groups)
    needed = used_views(images, 2_000)
    assert set(needed.ids) == {name for side in split.to_dict().values() for name in side}
    fewer = split_views(ids, groups, 500)
    assert {name for side in fewer.to_dict().values() for name in side} < set(needed.ids)
    with pytest.raises(SystemExit, match="only"):
        split_views(ids, groups, 5_000)


def test_key_numbers_are_those_nearest_to_the_targets(scripts):
    from recovery_summary import key_numbers

    def row(images, ceiling, kind="smooth", recipe="default", voxels=100, **changes):
        facts = dict.fromkeys(("depth_r", "space_r", "scale_r", "r2_of_oracle"), 0.5)
        mark = images + ceiling
        case = {"images": images, "ceiling": ceiling, "kind": kind, "recipe": recipe, "voxels": voxels}
        return facts | case | {"slope_error": mark} | changes

    rows = [row(500, 0.2), row(2_300, 0.2), row(2_300, 0.2, "sharp", slope_error=-1), row(5_000, 0.05)]
    rows += [row(8_000, 0.05), row(8_000, 0.6), row(2_300, 0.2, recipe="paper", slope_error=7)]
    found = key_numbers(rows)
    assert found["slope_error"] == 2_300.2
    assert found["slope_error_low_ceiling"] == 8_000.05
    assert found["paper_slope_error"] == 7
    assert found["paper_slope_error_low_ceiling"] is None
