"""Random views of a picture for training, and the captions of mirrored pictures.

Each view is a function of the picture and a seed alone, so that a resumed run sees what an
uninterrupted one would have seen. View 0 is the picture unchanged, view 1 its mirror image, and
every later one a random crop, mirrored half of the time.
"""

import random
import re

from PIL import Image, ImageEnhance

__all__ = ["augment", "is_mirrored", "mirror_caption"]

_SIDES = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)

# A crop keeps at least this share of each side, so that the caption still fits it.
_SMALLEST_SIDE = 0.7
_COLOUR_RANGE = (0.8, 1.2)


def augment(picture: Image.Image, view: int, seed: str) -> Image.Image:
    """Return one view of a picture.

    Args:
        picture: RGB.
        view: 0 unchanged, 1 mirrored, from 2 on random crops with a change of colour.
        seed: determines the random choices, together with `view`.
    """
    if view >= 2:
        rng = _rng(view, seed, "crop")
        width, height = (round(side * rng.uniform(_SMALLEST_SIDE, 1)) for side in picture.size)
        left = rng.randint(0, picture.width - width)
        top = rng.randint(0, picture.height - height)
        picture = picture.crop((left, top, left + width, top + height))
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            picture = change(picture).enhance(rng.uniform(*_COLOUR_RANGE))
    if is_mirrored(view, seed):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture


def is_mirrored(view: int, seed: str) -> bool:
    """Check whether `augment` mirrors this view, in which case its caption must be mirrored."""
    return view == 1 or (view >= 2 and _rng(view, seed, "mirror").random() < 0.5)


def mirror_caption(caption: str) -> str:
    """Swap the words left and right, so that a caption describes the mirror image."""
    return _SIDE.sub(lambda side: _SIDES[side[0].lower()], caption)


def _rng(view: int, seed: str, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{view}/{purpose}")  # noqa: S311 - no secret depends on it
