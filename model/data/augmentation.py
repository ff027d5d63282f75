"""Random views of a picture for training, and the captions of mirrored pictures.

Each view is a function of the picture and a seed alone, so that a resumed run sees what an
uninterrupted one would have seen. View 0 is the picture unchanged, view 1 its mirror image, and
every later one a random crop, mirrored half of the time.
"""

import random
import re
from typing import Annotated

from PIL import Image, ImageEnhance
from pydantic import Field
from pydantic.dataclasses import dataclass

from model.config.base import STRICT

__all__ = ["USUAL_CROPS", "CropConfig", "augment", "is_mirrored", "mirror_caption"]

_SIDES = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)

_GREY = (127, 127, 127)  # the mean that pictures are normalised with


@dataclass(frozen=True, config=STRICT)
class CropConfig:
    """How much a crop may differ from its picture; the caption should still fit it.

    A crop keeps at least `smallest_side` of each side. Brightness, contrast and colour change by
    up to `colour`. Half of the crops lose a rectangle with at most the share `erased` of each of
    its sides, which becomes grey (random erasing, Zhong et al. 2020).
    """

    smallest_side: Annotated[float, Field(gt=0, le=1)] = 0.7
    colour: Annotated[float, Field(ge=0, lt=1)] = 0.2
    erased: Annotated[float, Field(ge=0, lt=1)] = 0.0


USUAL_CROPS = CropConfig()


def augment(
    picture: Image.Image, view: int, seed: str, crops: CropConfig = USUAL_CROPS
) -> Image.Image:
    """Return one view of a picture.

    Args:
        picture: RGB.
        view: 0 unchanged, 1 mirrored, from 2 on random crops with a change of colour.
        seed: determines the random choices, together with `view`.
        crops: how much a crop differs.
    """
    if view >= 2:
        rng = _rng(view, seed, "crop")
        width, height = (round(side * rng.uniform(crops.smallest_side, 1)) for side in picture.size)
        left = rng.randint(0, picture.width - width)
        top = rng.randint(0, picture.height - height)
        picture = picture.crop((left, top, left + width, top + height))
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            picture = change(picture).enhance(rng.uniform(1 - crops.colour, 1 + crops.colour))
        if crops.erased and rng.random() < 0.5:
            _erase(picture, rng, crops.erased)
    if is_mirrored(view, seed):
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture


def is_mirrored(view: int, seed: str) -> bool:
    """Check whether `augment` mirrors this view, in which case its caption must be mirrored."""
    return view == 1 or (view >= 2 and _rng(view, seed, "mirror").random() < 0.5)


def mirror_caption(caption: str) -> str:
    """Swap the words left and right, so that a caption describes the mirror image."""
    return _SIDE.sub(lambda side: _SIDES[side[0].lower()], caption)


def _erase(picture: Image.Image, rng: random.Random, share: float) -> None:
    """Paint over a rectangle with at most a share of each side."""
    width, height = (round(side * rng.uniform(0, share)) for side in picture.size)
    left, top = rng.randint(0, picture.width - width), rng.randint(0, picture.height - height)
    picture.paste(_GREY, (left, top, left + width, top + height))


def _rng(view: int, seed: str, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{view}/{purpose}")  # noqa: S311 - no secret depends on it
