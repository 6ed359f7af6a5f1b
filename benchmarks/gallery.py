"""docs/gallery.md and its pictures from the work folder of ``factortopy paper all --simulated``.

    python benchmarks/gallery.py paper-run docs

Items that are not in the work folder are left out.
"""

import sys
from pathlib import Path

from PIL import Image

from factortopy.paper import ITEMS
from factortopy.storage import write_text

WIDTH = 1200
"""Of a picture, pixels."""
HEAD = """# Gallery

Every picture is of SIMULATED subjects: their responses were made from the tokens of CLIP B/16, with noise.
The networks are real, save the diffusion model, whose weights are random. The pictures show what comes out,
not what brains do; numbers of the paper stand beside ours only to show the form. Each was made by the command
below it and scaled down. [docs/paper.md](paper.md) says how to make them of measured data.
"""


def shrink(source: Path, target: Path) -> int:
    """Write a picture as WebP, which holds its true colours in a tenth of PNG's bytes; returns its bytes."""
    with Image.open(source) as picture:
        size = WIDTH, round(picture.height * WIDTH / picture.width)
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(target, quality=90, method=6)
    return target.stat().st_size


def section(name: str, title: str) -> str:
    """An item's picture and its command."""
    number = f"{name[:-1].capitalize()} {name[-1]}"
    picture = f"![{number}: {title}; SIMULATED](images/paper-{name}.webp)"
    return f"\n## {number}: {title}\n{picture}\n\n```bash\nfactortopy paper {name} --simulated\n```\n"


if __name__ == "__main__":
    work, docs = map(Path, sys.argv[1:])
    page = HEAD
    for name, item in ITEMS.items():
        source = work / name / f"{name}.png"
        if source.is_file():
            size = shrink(source, docs / "images" / f"paper-{name}.webp")
            page += section(name, item.title)
            print(f"{name}: {size:,} bytes")
    write_text(docs / "gallery.md", page)
