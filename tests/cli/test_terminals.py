"""Terminals and batch jobs that cannot write UTF-8: other characters, never a traceback."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

import factortopy
from factortopy.cli import app
from factortopy.cli.shared.failures import PLAIN, print_readably
from factortopy.progress import progress_bar

COMMANDS = sorted({command.callback.__name__ for command in app.registered_commands})


@pytest.fixture(params=["ascii", "latin-1", "cp1252", "utf-8"])
def terminal(request, monkeypatch):
    """Opens standard output and error of an encoding; within the test, as pytest sets its own before it."""

    def opened():
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), request.param, write_through=True))
        print_readably()
        return sys.stdout

    return opened


def written(stream):
    return stream.buffer.getvalue().decode(stream.encoding)


def test_our_own_characters_have_plain_ones(terminal):
    stream = terminal()
    print("".join(PLAIN))
    expected = (sign if can_write(sign, stream.encoding) else plain for sign, plain in PLAIN.items())
    assert written(stream).strip() == "".join(expected)


def can_write(text, encoding):
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def test_names_of_users_are_never_lost(terminal):
    """A name in letters that the terminal lacks, and the name of a file that is no UTF-8."""
    stream = terminal()
    print("Größe 日本 \udcff")
    shown = written(stream).strip()
    assert shown.startswith("Größe" if stream.encoding != "ascii" else r"Gr\xf6\xdfe")
    assert r"\udcff" in shown
    assert "日本" in shown or r"\u65e5\u672c" in shown


def test_tables_and_bars(terminal):
    stream = terminal()
    table = Table("R²", "1–2")
    table.add_row(Text("…"), Text("Größe"))
    Console().print(table)
    with progress_bar("R² of images", 2) as advance:
        advance(2, "R² 0.1 → 0.2")
    assert "R" in written(stream)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_help(terminal, command):
    stream = terminal()
    with pytest.raises(SystemExit) as ended:
        app([*command, "--help"], prog_name="factortopy")
    assert ended.value.code == 0
    assert "factortopy" in written(stream)


def test_every_character_of_ours_has_a_plain_one():
    root = Path(factortopy.__file__).parent
    texts = (file.read_text("utf-8") for file in root.rglob("*.py"))
    assert {character for text in texts for character in text if ord(character) > 127} <= set(PLAIN)
