"""What stands on standard error when a long stage has ended."""

import pytest

from factortopy.progress import progress_bar


def test_a_stage_that_ends_early_is_shown_as_done(capsys):
    with progress_bar("Fit", 300, done=100) as advance:
        advance(150, note="R² 0.224")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "250/250" in shown.err
    assert "left 0:00:00" in shown.err
    assert "R² 0.224" in shown.err


def test_a_stage_that_fails_stays_where_it_stopped(capsys):
    def work():
        with progress_bar("Fit", 300) as advance:
            advance(150)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert "150/300" in capsys.readouterr().err
