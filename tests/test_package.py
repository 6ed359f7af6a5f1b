"""The public face: what it names exists, and importing it is quick."""

import subprocess
import sys
from pathlib import Path

import pytest

import factortopy


def test_every_public_name_exists_and_is_listed_for_type_checkers():
    source = Path(factortopy.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    for name in factortopy.__all__:
        assert getattr(factortopy, name) is not None
        assert f"import {name} as {name}" in source


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match=r"attribute fitt$"):
        _ = factortopy.fitt


def test_import_loads_nothing_heavy():
    code = "import sys, factortopy; print([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
