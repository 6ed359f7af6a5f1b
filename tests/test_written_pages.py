"""Every page: its commands and options exist, its Python compiles and names what there is, its links lead somewhere."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

import factortopy as ft
from factortopy.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
COMMANDS = typer.main.get_command(app)
pytestmark = pytest.mark.skipif(len(PAGES) < 5, reason="docs/ is not part of this copy")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands():
    """Page and command line, continued lines joined, without comments, pipes and what comes after."""
    for page in PAGES:
        for block in blocks(page, "(?:sh|bash|console)"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                ends = [at for at, word in enumerate(words) if word in ("|", "&&", ";", ">")]
                words = words[: ends[0]] if ends else words
                if words and words[0] == "factortopy":
                    yield pytest.param(words[1:], id=f"{page.name}: {' '.join(words)[:60]}")


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_of_a_page_is_taken(words):
    """The command is there, and so is every option."""
    command = COMMANDS
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    options = {text for option in command.params for text in (*option.opts, *option.secondary_opts)} | {"--help"}
    unknown = [word for word in words if re.match(r"--?[a-zA-Z]", word) and word.partition("=")[0] not in options]
    assert not unknown


def chains(code):
    """Every ``ft.a.b`` of a block."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("ft."):
            names = ast.unparse(node).split(".")[1:]
            if all(name.isidentifier() for name in names):
                yield names
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("factortopy"):
            yield from ([*node.module.split(".")[1:], alias.name] for alias in node.names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_a_page_names_what_there_is(page):
    for code in blocks(page, "python"):
        for names in chains(code):
            found = ft
            for name in names:
                assert hasattr(found, name), f"{page.name}: ft.{'.'.join(names)}"
                found = getattr(found, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    """Files and headings beside it; what the site alone makes, and other hosts, are left to the site's build."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target) or target.startswith("auto_examples/"):
            continue
        file, _, heading = target.partition("#")
        other = page.parent / file if file else page
        assert other.exists(), f"{page.name} links to {target}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
            assert heading in slugs, f"{page.name} links to {target}"
