"""Photographs as they are handed over: pictures in memory, or paths of picture files."""

from pathlib import Path

from PIL import Image

from model.pictures.decode import read_picture
from model.pictures.upright import upright_rgb

__all__ = ["Photograph", "open_photograph"]

Photograph = Image.Image | str | Path  # a picture, or the path of a picture file


def open_photograph(picture: Photograph) -> Image.Image:
    """Return a picture in RGB and upright, read from its file if it is a path.

    Raises:
        TypeError: it is neither a picture nor a path.
        ValueError: it has no pixels.
        OSError: a file cannot be read as a picture.
    """
    if isinstance(picture, Image.Image):
        if 0 in picture.size:
            raise ValueError(f"a picture of {picture.width} x {picture.height} pixels is empty")
        return upright_rgb(picture)
    if isinstance(picture, str | Path):
        return read_picture(picture)
    raise TypeError(
        f"an object of type {type(picture).__name__} is not a picture: give a PIL image or "
        "the path of a picture file (`caption` also takes a list of these)"
    )
