"""Seeded damage to the files of a folder, undone afterwards."""

import struct
from contextlib import contextmanager

import numpy as np

NUMBERS = [np.nan, np.inf, -np.inf, 1e30, -1.0, 2.0**31]
GIANT = 10**9


def flip(random, content):
    """Change one to eight bytes anywhere."""
    content = bytearray(content)
    for position in random.integers(0, len(content), random.integers(1, 9)):
        content[position] ^= int(random.integers(1, 256))
    return bytes(content)


def flip_head(random, content):
    """Change one to four bytes of the head, where sizes, types and names stand."""
    size = min(len(content), 600)
    return flip(random, content[:size]) + content[size:]


def truncate(random, content):
    """Keep the first part."""
    return content[: random.integers(0, len(content))]


def clip(random, content):
    """Lose the last few bytes, as a broken download does."""
    return content[: -int(random.integers(1, 10))]


def empty(random, content):
    """Keep nothing."""
    return b""


def append(random, content):
    """Add a few bytes."""
    return content + random.bytes(int(random.integers(1, 100)))


def noise(random, content):
    """The same size, all of it random."""
    return random.bytes(len(content))


def zeros(random, content):
    """A block of zeros, as in a file with a hole."""
    start = int(random.integers(0, len(content)))
    stop = min(len(content), start + int(random.integers(1, 4096)))
    return content[:start] + bytes(stop - start) + content[stop:]


def number(random, content):
    """NaN, an infinity or a large number somewhere, in either byte order and precision."""
    code = str(random.choice(["<f", ">f", "<d", ">d"]))
    value = struct.pack(code[0] + code[1], np.float32(random.choice(NUMBERS)))
    start = int(random.integers(0, max(1, len(content) - 8))) // 4 * 4
    return content[:start] + value + content[start + len(value) :]


def giant(random, content):
    """A count of a billion at some place of the head, in either byte order and width."""
    code = str(random.choice(["<i", ">i", "<q", ">q"]))
    value = struct.pack(code, GIANT)
    start = int(random.integers(0, max(1, min(len(content), 600) - 8)))
    return content[:start] + value + content[start + len(value) :]


def header(random, content):
    """Another shape or type in the head of a ``.npy``; other files lose a digit of their text."""
    pairs = [
        (b"'<f4'", [b"'<f8'", b"'>f4'", b"'<i4'", b"'|O' ", b"'<c8'", b"'|S4'", b"'<M8'"]),
        (b"'<i8'", [b"'<f8'", b"'>i8'", b"'|O' ", b"'<u8'", b"'|V8'"]),
        (b"'shape': (", [b"'shape': (-", b"'shape': (9", b"'shape': (99999999999,", b"'shape': ((("]),
        (b"False", [b"True ", b"None "]),
        (b"1", [b"0", b"7", b"x"]),
    ]
    fitting = [(old, new) for old, new in pairs if old in content]
    if not fitting:
        return flip_head(random, content)
    old, new = fitting[random.integers(len(fitting))]
    return content.replace(old, new[random.integers(len(new))], 1)


CHANGES = (flip, flip_head, truncate, clip, empty, append, noise, zeros, number, giant, header)
TWICE = (flip, flip_head, number, header)


@contextmanager
def mutated(root, random):
    """Damage one file of a folder (or delete it, or swap it with another) and give a line that says what.

    Every file is as it was afterwards.
    """
    files = sorted(file for file in root.rglob("*") if file.is_file())
    # Files of one kind count once, so that many photographs do not hide the others.
    kinds = sorted({file.suffix for file in files})
    kind = kinds[random.integers(len(kinds))]
    of_kind = [file for file in files if file.suffix == kind]
    file = of_kind[random.integers(len(of_kind))]
    other = files[random.integers(len(files))]
    kept = {file: file.read_bytes(), other: other.read_bytes()}
    changes = CHANGES + TWICE
    action = random.integers(len(changes) + 2)
    try:
        if action == len(changes):
            file.unlink()
            yield f"deleted {file}"
        elif action > len(changes):
            file.write_bytes(kept[other])
            other.write_bytes(kept[file])
            yield f"swapped {file} and {other}"
        else:
            change = changes[action]
            file.write_bytes(change(random, kept[file]) if kept[file] else random.bytes(20))
            yield f"{change.__name__} {file}"
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
