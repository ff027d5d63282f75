"""Toy data: coloured pictures drawn from a seed, in folders and tar shards, with captions."""

import io
import json
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (220, 30, 40), "green": (30, 190, 60), "blue": (40, 60, 220), "white": (240,) * 3}
THINGS = ("dog", "cat", "ball", "boat", "man")
PLACES = ("on the grass", "in the water", "on the left", "to the right of a tree")

# What Karpathy's files say; `restval` is trained on, too.
SPLITS = ("train", "train", "restval", "train", "val", "train", "test")


def draw(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Draw a coloured disc somewhere on a colour gradient."""
    rng = random.Random(seed)
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    far, near = (np.array([rng.randrange(256) for _ in range(3)]) for _ in range(2))
    pixels = far + (near - far) * x[..., None]
    disc = (x - rng.random()) ** 2 + (y - rng.random()) ** 2 < 0.09
    pixels[disc] = rng.choice(list(COLOURS.values()))
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(picture: Image.Image, file_format: str = "JPEG") -> bytes:
    """Return the bytes of a picture's file."""
    file = io.BytesIO()
    picture.save(file, file_format)
    return file.getvalue()


def sentences(seed: int, count: int) -> list[str]:
    rng = random.Random(f"words {seed}")
    return [
        f"A {rng.choice(list(COLOURS))} {rng.choice(THINGS)} {rng.choice(PLACES)} ."
        for _ in range(count)
    ]


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def karpathy(name: str, images: Sequence[tuple[str, str, Sequence[str]]]) -> dict[str, object]:
    """Make the JSON of a set from file names, splits and captions."""
    return {
        "dataset": name,
        "images": [
            {"filename": filename, "split": split, "sentences": [{"raw": raw} for raw in captions]}
            for filename, split, captions in images
        ],
    }


def write_set(folder: Path, name: str, count: int, *, seed: int = 0, tars: int = 0) -> Path:
    """Write a set of `count` pictures with 1 to 5 captions each, as a folder or as tar shards.

    Returns:
        Its JSON; the pictures are in `NAME/` or in `NAME-0.tar`, `NAME-1.tar` and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, files = [], {}
    for i in range(count):
        kind, suffix = (("JPEG", "jpg"), ("PNG", "png"))[i % 2]
        filename = f"{name}_{i:03d}.{suffix}"
        files[filename] = encoded(draw(1000 * seed + i, (40 + i % 7, 48 - i % 5)), kind)
        images.append((filename, SPLITS[i % len(SPLITS)], sentences(seed + i, 1 + i % 5)))
    if tars:
        for shard in range(tars):
            write_tar(folder / f"{name}-{shard}.tar", dict(list(files.items())[shard::tars]))
    else:
        (folder / name).mkdir()
        for filename, content in files.items():
            (folder / name / filename).write_bytes(content)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(karpathy(name, images)))
    return path
