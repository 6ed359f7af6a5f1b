"""Pictures of docs/gallery.md from the work folder of ``factortopy paper all --simulated``, scaled down.

python benchmarks/gallery.py paper-run docs/images
"""

import sys
from pathlib import Path

from PIL import Image

from factortopy.paper import ITEMS

WIDTH, LARGEST = 1200, 300_000
"""Pixels, and bytes of a picture."""


def shrink(source: Path, target: Path) -> int:
    """Write a picture with as many colours as its size allows; returns its bytes."""
    with Image.open(source) as picture:
        height = round(picture.height * WIDTH / picture.width)
        small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    for colours in (256, 128, 64, 32):
        small.quantize(colours, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size < LARGEST:
            break
    return target.stat().st_size


if __name__ == "__main__":
    work, images = map(Path, sys.argv[1:])
    for name in ITEMS:
        size = shrink(work / name / f"{name}.png", images / f"paper-{name}.png")
        print(f"{name}: {size:,} bytes")
