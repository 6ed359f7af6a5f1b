"""The public face: what it names exists, and importing it is quick."""

import ast
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


def test_stages_import_from_each_other_only_what_is_public():
    """``from factortopy.cortex import Voxels``, never ``from factortopy.cortex.voxels import ...``."""
    package = Path(factortopy.__file__).parent
    past = []
    for path in package.rglob("*.py"):
        stage = path.relative_to(package).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("factortopy."):
                parts = node.module.split(".")[1:]
                if len(parts) > 1 and parts[0] != stage:
                    past.append(f"{path.relative_to(package)}:{node.lineno} {node.module}")
    assert not past, "\n".join(past)
