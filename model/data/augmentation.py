"""Random views of a picture for training, and what a mirror does to its caption.

Each view is a function of the picture and a seed alone, so that a resumed run sees what an
unbroken one would have seen. View 0 is the picture as it is, view 1 its mirror image, and every
later one a random crop, mirrored half of the time.
"""

import random
import re

from PIL import Image, ImageEnhance

__all__ = ["augment", "is_mirrored", "mirror_caption"]

_SIDES = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)

# A crop keeps at least this share of each side: a caption must stay true of what is left.
_SMALLEST_SIDE = 0.7
_COLOUR_RANGE = (0.8, 1.2)


def augment(picture: Image.Image, view: int, seed: str) -> Image.Image:
    """Give one view of a picture.

    Args:
        picture: RGB.
        view: 0 as it is, 1 mirrored, from 2 on random crops with a change of colour.
        seed: makes the random choices, together with `view`.
    """
    if view >= 2:
        chance = _chance(view, seed, "crop")
        width, height = (round(side * chance.uniform(_SMALLEST_SIDE, 1)) for side in picture.size)
        left = chance.randint(0, picture.width - width)
        top = chance.randint(0, picture.height - height)
        picture = picture.crop((left, top, left + width, top + height))
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            picture = change(picture).enhance(chance.uniform(*_COLOUR_RANGE))
    if is_mirrored(view, seed):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture


def is_mirrored(view: int, seed: str) -> bool:
    """Say whether `augment` mirrors this view, so that its caption can follow."""
    return view == 1 or (view >= 2 and _chance(view, seed, "mirror").random() < 0.5)


def mirror_caption(caption: str) -> str:
    """Swap the words left and right: what a caption says of the mirror image."""
    return _SIDE.sub(lambda side: _SIDES[side[0].lower()], caption)


def _chance(view: int, seed: str, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{view}/{purpose}")  # noqa: S311 - no secret depends on it
