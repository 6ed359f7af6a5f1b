"""What docs/networks.md says can be done is done."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
SECTIONS = ("Your own network", "What every network tells and gives")


def test_examples_run_and_print_what_they_say(capsys):
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = [text for text in sections if text.startswith(SECTIONS)]
    assert len(texts) == len(SECTIONS)
    blocks = re.findall(r"```python\n(.*?)```", "".join(texts), flags=re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    said = re.findall(r"^print\(.*\)  # (.*)$", "".join(blocks), flags=re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == said
    assert len(said) == 3
